//! What a component says of itself, read before anything of it is compiled: what kind of file it is, what it imports,
//! what it exports.

use wasmparser::{Encoding, Parser, Payload};
use wasmtime::Engine;

use super::error::MapperError;
use super::escape::escaped;

/// The contract that this version knows.
pub(super) const VERSION: &str = "0.1.0";
/// The contract's package.
const PACKAGE: &str = "gristmill:mapper/";
/// Interfaces of WASI 0.2 that the empty sandbox has.
const SANDBOX: [(&str, &[&str]); 6] = [
    (
        "wasi:cli/",
        &[
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
    ),
    ("wasi:clocks/", &["monotonic-clock", "wall-clock"]),
    ("wasi:filesystem/", &["types", "preopens"]),
    ("wasi:io/", &["error", "poll", "streams"]),
    ("wasi:random/", &["random", "insecure", "insecure-seed"]),
    (
        "wasi:sockets/",
        &["network", "instance-network", "tcp", "tcp-create-socket", "udp", "udp-create-socket", "ip-name-lookup"],
    ),
];

/// Which transforms a mapper has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exports {
    /// It makes account records.
    pub field_mapping: bool,
    /// It makes usage records.
    pub product_usage: bool,
}

/// What a component says of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Outline {
    pub(super) exports: Exports,
    /// It imports WASI.
    pub(super) needs_sandbox: bool,
}

/// Everything that a component says of itself, for its author.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) outline: Outline,
    /// The names of its imports, escaped; the first hundreds.
    pub(super) imports: Vec<String>,
    /// The version of the contract that its exports and imports name.
    pub(super) version: Option<String>,
    /// What is wrong with it, in the order of its bytes.
    pub(super) problems: Vec<MapperError>,
}

/// Imports whose names are kept.
const IMPORTS: usize = 256;

/// Reads the outline of a component and checks its imports. Memory and time are linear in the bytes.
pub(super) fn outline(bytes: &[u8]) -> Result<Outline, MapperError> {
    let mut survey = survey(bytes, 1);
    match survey.problems.pop() {
        Some(problem) => Err(problem),
        None => Ok(survey.outline),
    }
}

/// Reads what a component says of itself, until so many things are found wrong with it.
pub(super) fn survey(bytes: &[u8], most_problems: usize) -> Survey {
    let mut survey = Survey::default();
    if let Err(problem) = survey.read(bytes, most_problems) {
        survey.problems.push(problem);
    } else if survey.outline.exports == Exports::default() && survey.problems.is_empty() {
        let what = format!("it exports neither `{PACKAGE}field-mapping` nor `{PACKAGE}product-usage`");
        survey.problems.push(MapperError::WrongWorld { what });
    }
    survey
}

impl Survey {
    /// An error is one that ends the reading.
    fn read(&mut self, bytes: &[u8], most_problems: usize) -> Result<(), MapperError> {
        let not_a_component = |what: &str| MapperError::NotAComponent { what: what.into() };
        if Engine::detect_precompiled(bytes).is_some() || bytes.starts_with(b"\x7fELF") {
            return Err(not_a_component("it is native code; a mapper is taken as WebAssembly alone"));
        }
        if !bytes.starts_with(b"\0asm") {
            return Err(not_a_component("it does not begin as WebAssembly does"));
        }
        let damaged = |error: wasmparser::BinaryReaderError| MapperError::NotAComponent {
            what: escaped(error.message(), 200).into_owned(),
        };
        // How deep the payload stands in modules and components inside the component.
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(damaged)? {
                Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                    return Err(not_a_component("it is a core module"));
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(imports) if depth == 0 => {
                    for import in imports {
                        let name = import.map_err(damaged)?.name.name;
                        self.import(name);
                        self.go_on(most_problems)?;
                    }
                }
                Payload::ComponentExportSection(exports) if depth == 0 => {
                    for export in exports {
                        let name = export.map_err(damaged)?.name.name;
                        self.note_version(name);
                        if let Err(problem) = self.outline.exports.add(name) {
                            self.problems.push(problem);
                        }
                        self.go_on(most_problems)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn import(&mut self, name: &str) {
        self.note_version(name);
        if self.imports.len() < IMPORTS {
            self.imports.push(escaped(name, 200).into_owned());
        }
        match is_sandbox(name) {
            Ok(is_sandbox) => self.outline.needs_sandbox |= is_sandbox,
            Err(problem) => self.problems.push(problem),
        }
    }

    fn note_version(&mut self, name: &str) {
        let version = name.strip_prefix(PACKAGE).and_then(|name| name.split_once('@'));
        if let (None, Some((_, version))) = (&self.version, version) {
            self.version = Some(escaped(version, 64).into_owned());
        }
    }

    /// Ends the reading once enough is wrong.
    fn go_on(&mut self, most_problems: usize) -> Result<(), MapperError> {
        if self.problems.len() < most_problems { Ok(()) } else { self.problems.pop().map_or(Ok(()), Err) }
    }
}

/// Whether an import belongs to the sandbox; an error if it belongs to nothing that a mapper gets.
fn is_sandbox(name: &str) -> Result<bool, MapperError> {
    let forbidden = || MapperError::ForbiddenImport { name: escaped(name, 200).into_owned() };
    let (interface, version) = name.split_once('@').ok_or_else(forbidden)?;
    if let Some(ours) = interface.strip_prefix(PACKAGE) {
        check_version(version)?;
        return if matches!(ours, "log" | "columns" | "types") { Ok(false) } else { Err(forbidden()) };
    }
    let known = |(package, interfaces): &(&str, &[&str])| {
        interface.strip_prefix(package).is_some_and(|interface| interfaces.contains(&interface))
    };
    let is_patch = |patch: &str| !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit());
    let is_preview_2 = version.strip_prefix("0.2.").is_some_and(is_patch);
    if is_preview_2 && SANDBOX.iter().any(known) { Ok(true) } else { Err(forbidden()) }
}

fn check_version(version: &str) -> Result<(), MapperError> {
    if version == VERSION {
        return Ok(());
    }
    Err(MapperError::UnknownVersion { found: escaped(version, 64).into_owned(), known: VERSION })
}

impl Exports {
    /// Notes an export. Those that are not of the contract are the toolchain's own business.
    fn add(&mut self, name: &str) -> Result<(), MapperError> {
        let Some((interface, version)) = name.strip_prefix(PACKAGE).and_then(|name| name.split_once('@')) else {
            return Ok(());
        };
        match interface {
            "field-mapping" => check_version(version).map(|()| self.field_mapping = true),
            "product-usage" => check_version(version).map(|()| self.product_usage = true),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_log_and_the_sandbox_may_be_imported() {
        let check = |name: &str, expected: &str| {
            let found = match is_sandbox(name) {
                Ok(true) => "sandbox".to_owned(),
                Ok(false) => "contract".to_owned(),
                Err(error) => error.code().to_owned(),
            };
            assert_eq!(found, expected, "{name}");
        };
        check("gristmill:mapper/log@0.1.0", "contract");
        check("gristmill:mapper/types@0.1.0", "contract");
        check("gristmill:mapper/secrets@0.1.0", "mapper-forbidden-import");
        check("gristmill:mapper/log@0.2.0", "mapper-unknown-version");
        check("wasi:cli/environment@0.2.0", "sandbox");
        check("wasi:io/streams@0.2.6", "sandbox");
        check("wasi:io/streams@0.3.0", "mapper-forbidden-import");
        check("wasi:io/streams@0.2.0-rc", "mapper-forbidden-import");
        check("wasi:http/outgoing-handler@0.2.0", "mapper-forbidden-import");
        check("wasi:io/streams@0.2.", "mapper-forbidden-import");
        check("wasi:io/streams", "mapper-forbidden-import");
        check("env", "mapper-forbidden-import");
    }

    #[test]
    fn a_survey_names_everything_that_is_wrong() {
        let text = r#"(component
            (import "wasi:http/types@0.2.0" (instance))
            (import "gristmill:mapper/log@0.2.0" (instance))
            (import "wasi:io/streams@0.2.6" (instance)))"#;
        let bytes = wat::parse_str(text).unwrap();
        let found = survey(&bytes, 16);
        let codes: Vec<&str> = found.problems.iter().map(MapperError::code).collect();
        assert_eq!(codes, ["mapper-forbidden-import", "mapper-unknown-version"]);
        assert_eq!((found.imports.len(), found.version.as_deref()), (3, Some("0.2.0")));
        assert!(found.outline.needs_sandbox);
        assert_eq!(survey(&bytes, 1).problems.len(), 1);
        assert_eq!(survey(&wat::parse_str("(component)").unwrap(), 16).problems[0].code(), "mapper-wrong-world");
    }

    #[test]
    fn files_that_are_no_components_are_named() {
        let check = |bytes: &[u8], expected: &str| {
            assert_eq!(outline(bytes).unwrap_err().to_string(), format!("not a WebAssembly component: {expected}"));
        };
        check(b"", "it does not begin as WebAssembly does");
        check(b"\x7fELF\x02\x01\x01", "it is native code; a mapper is taken as WebAssembly alone");
        check(b"\0asm\x01\0\0\0", "it is a core module");
        check(b"\0asm\x0d\0\x01\0\xff", "malformed section id");
        check(b"\0asm\x0d\0\x01\0\x00\xff", "unexpected end-of-file");
    }
}
