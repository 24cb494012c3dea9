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

/// Reads the outline of a component and checks its imports. Memory and time are linear in the bytes.
pub(super) fn outline(bytes: &[u8]) -> Result<Outline, MapperError> {
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
    let mut outline = Outline::default();
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
                    outline.needs_sandbox |= is_sandbox(import.map_err(damaged)?.name.name)?;
                }
            }
            Payload::ComponentExportSection(exports) if depth == 0 => {
                for export in exports {
                    outline.exports.add(export.map_err(damaged)?.name.name)?;
                }
            }
            _ => {}
        }
    }
    if outline.exports == Exports::default() {
        let what = format!("it exports neither `{PACKAGE}field-mapping` nor `{PACKAGE}product-usage`");
        return Err(MapperError::WrongWorld { what });
    }
    Ok(outline)
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
    let is_preview_2 =
        version.strip_prefix("0.2.").is_some_and(|patch| patch.bytes().all(|byte| byte.is_ascii_digit()));
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
        check("wasi:io/streams", "mapper-forbidden-import");
        check("env", "mapper-forbidden-import");
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
