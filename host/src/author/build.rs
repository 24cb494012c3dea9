//! From a project to its component, by each language's own tool. Tools are run, never installed: what is missing is said,
//! with the command that installs it.
//!
//! | language | tool | how the component comes about |
//! |---|---|---|
//! | Rust | cargo, with the target wasm32-unknown-unknown | from its core module |
//! | C | `zig cc` from PyPI or on the path, or clang with wasi-libc | from its core module |
//! | JavaScript | the project's own script `build` | the tool makes it |
//! | Python | componentize-py | the tool makes it |

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use serde_json::Value;
use wasmparser::{Parser, Payload};

use super::language::{Language, Makes};
use super::project::Project;

const RUST_TARGET: &str = "wasm32-unknown-unknown";

/// How C is compiled, up to the name of the module. The linker's own stack is 64 KiB, which a mapper with a buffer or two
/// would grow into its data.
const C_OPTIONS: [&str; 10] = [
    "-target",
    "wasm32-wasi",
    "-mexec-model=reactor",
    "-Wl,-z,stack-size=1048576",
    "-std=c11",
    "-O2",
    "-s",
    "-Wall",
    "-Wextra",
    "-o",
];

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A tool is not installed.
    #[error("{what} is not installed")]
    Missing {
        /// The tool.
        what: &'static str,
        /// How it is installed.
        hint: String,
    },
    /// A tool could not be started.
    #[error("cannot run `{program}`")]
    Start {
        /// Its program.
        program: String,
        /// The system's own words.
        #[source]
        source: io::Error,
    },
    /// A tool failed, after it said why.
    #[error("`{program}` failed: {status}")]
    Failed {
        /// Its program.
        program: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// A tool said that it was done, and left nothing.
    #[error("`{program}` made no {what}")]
    Nothing {
        /// Its program.
        program: String,
        /// What it should have made.
        what: String,
    },
    /// The core module is not that of a mapper.
    #[error("the module that was compiled becomes no component: {what}")]
    Module {
        /// What is wrong with it.
        what: String,
    },
    /// The manifest does not say what the mapper makes.
    #[error("`pyproject.toml` names no `world` under `[tool.gristmill]`")]
    NoWorld,
    /// A file could not be read or written.
    #[error("cannot {what} `{}`", path.display())]
    Io {
        /// The step.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's own words.
        #[source]
        source: io::Error,
    },
}

impl BuildError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { hint, .. } => Some(hint.clone()),
            Self::NoWorld => Some("world = \"field-mapper\", \"usage-mapper\" or \"mapper\" for both".to_owned()),
            Self::Start { .. } | Self::Failed { .. } | Self::Nothing { .. } | Self::Module { .. } | Self::Io { .. } => {
                None
            }
        }
    }
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BuildError {
    let path = path.to_owned();
    move |source| BuildError::Io { what, path, source }
}

/// Builds a project's component, and says where it is. What tools say goes to standard error.
pub fn build(project: &Project) -> Result<PathBuf, BuildError> {
    let component = project.component();
    match project.language {
        Language::Rust => write(&component, &encode(&cargo(project)?)?)?,
        Language::C => write(&component, &encode(&of_world(c(project)?, project)?)?)?,
        Language::JavaScript => javascript(project)?,
        Language::Python => python(project, &component)?,
    }
    Ok(component)
}

/// A core module as a component. What it imports and exports is told by the world that it carries.
fn encode(module: &[u8]) -> Result<Vec<u8>, BuildError> {
    wit_component::ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|encoder| encoder.encode())
        .map_err(|error| BuildError::Module { what: format!("{error:#}") })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), BuildError> {
    fs::write(path, bytes).map_err(failed("write", path))
}

fn cargo(project: &Project) -> Result<Vec<u8>, BuildError> {
    let rustup = "install Rust 1.87 or newer: https://rustup.rs";
    let cargo = find(project, &[], "cargo").ok_or_else(|| missing("cargo", rustup))?;
    let rustc = env::var_os("RUSTC").unwrap_or("rustc".into());
    let library = Command::new(&rustc).args(["--print", "target-libdir", "--target", RUST_TARGET]).output();
    let library = library.map_err(|source| start(&rustc, source))?;
    if !library.status.success() || !Path::new(String::from_utf8_lossy(&library.stdout).trim()).is_dir() {
        return Err(missing("the target wasm32-unknown-unknown", "rustup target add wasm32-unknown-unknown"));
    }
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--lib", "--target", RUST_TARGET, "--message-format=json-render-diagnostics"]);
    let output = command.current_dir(&project.directory).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|source| start("cargo".as_ref(), source))?;
    if !output.status.success() {
        return Err(BuildError::Failed { program: "cargo".to_owned(), status: output.status });
    }
    let nothing = || BuildError::Nothing { program: "cargo".to_owned(), what: "`cdylib` of the package".to_owned() };
    let module = module_of(&String::from_utf8_lossy(&output.stdout), &project.name).ok_or_else(nothing)?;
    fs::read(&module).map_err(failed("read", &module))
}

/// The module that cargo says it made for a package.
fn module_of(messages: &str, package: &str) -> Option<PathBuf> {
    let of_package = |message: &Value| {
        let library = message.pointer("/target/name").and_then(Value::as_str);
        library.is_some_and(|name| name.replace('_', "-") == package.replace('_', "-"))
    };
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut artifacts =
        messages.filter(|message| message.get("reason").is_some_and(|reason| reason == "compiler-artifact"));
    let last = artifacts.rfind(of_package)?;
    let files = last.get("filenames")?.as_array()?.iter().filter_map(Value::as_str);
    files.map(PathBuf::from).find(|path| path.extension() == Some(OsStr::new("wasm")))
}

/// Compiles `mapper.c` and the SDK to a core module.
fn c(project: &Project) -> Result<Vec<u8>, BuildError> {
    let module = tempfile::Builder::new().suffix(".wasm").tempfile_in(&project.directory);
    let module = module.map_err(failed("write into", &project.directory))?.into_temp_path();
    let hint = "python3 -m venv .venv && .venv/bin/pip install ziglang==0.17.1, in the project; \
                or Debian's clang, lld, wasi-libc and libclang-rt-dev-wasm32";
    let mut compiler = if let Some(zig) = find(project, &[], "zig") {
        command(&zig, &["cc"])
    } else if let Some(python) = ziglang(project) {
        command(&python, &["-m", "ziglang", "cc"])
    } else if let Some(clang) = find(project, &[], "clang") {
        command(&clang, &[])
    } else {
        return Err(missing("a C compiler for WebAssembly", hint));
    };
    compiler.args(C_OPTIONS);
    compiler.arg(&*module).arg("mapper.c");
    let of_sdk = Language::C.parts().sdk.iter().map(|(path, _)| Path::new("sdk").join(path));
    compiler.args(of_sdk.filter(|path| path.extension() == Some(OsStr::new("c"))));
    run(compiler, project)?;
    fs::read(&module).map_err(failed("read", &module))
}

/// The Python that has the compiler: the project's own, or the system's.
fn ziglang(project: &Project) -> Option<PathBuf> {
    let pythons = [find(project, &[".venv/bin"], "python3"), find(project, &[], "python3")];
    pythons.into_iter().flatten().find(|python| {
        let asked = Command::new(python).args(["-c", "import ziglang"]).stdin(Stdio::null()).output();
        asked.is_ok_and(|output| output.status.success())
    })
}

/// A module of C with the world that its exports are of.
fn of_world(mut module: Vec<u8>, project: &Project) -> Result<Vec<u8>, BuildError> {
    let wrong = |what: String| BuildError::Module { what };
    let makes = exported(&module).map_err(wrong)?;
    let mut resolve = wit_parser::Resolve::default();
    let wit = project.directory.join("wit");
    let (package, _) = resolve.push_dir(&wit).map_err(|error| wrong(format!("`{}`: {error:#}", wit.display())))?;
    let world = resolve.select_world(&[package], Some(makes.world())).map_err(|error| wrong(format!("{error:#}")))?;
    let encoding = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, encoding)
        .map_err(|error| wrong(format!("{error:#}")))?;
    Ok(module)
}

/// What a core module makes, by the interfaces that its functions are named after.
fn exported(module: &[u8]) -> Result<Makes, String> {
    let (mut fields, mut usage) = (false, false);
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ExportSection(exports) = payload.map_err(|error| error.message().to_owned())? {
            for export in exports {
                let name = export.map_err(|error| error.message().to_owned())?.name;
                fields |= name.starts_with("gristmill:mapper/field-mapping@");
                usage |= name.starts_with("gristmill:mapper/product-usage@");
            }
        }
    }
    match (fields, usage) {
        (true, true) => Ok(Makes::Both),
        (true, false) => Ok(Makes::Fields),
        (false, true) => Ok(Makes::Usage),
        (false, false) => Err("it exports neither `field-mapping` nor `product-usage`".to_owned()),
    }
}

fn javascript(project: &Project) -> Result<(), BuildError> {
    let npm =
        find(project, &[], "npm").ok_or_else(|| missing("npm", "install Node.js 20 or newer: https://nodejs.org"))?;
    if find(project, &["node_modules/.bin"], "componentize-qjs").is_none() {
        return Err(missing("the package `componentize-qjs`", "npm install, in the project"));
    }
    run(command(&npm, &["run", "build"]), project)?;
    is_there(project, "npm run build")
}

fn python(project: &Project, component: &Path) -> Result<(), BuildError> {
    let hint = "python3 -m venv .venv && .venv/bin/pip install componentize-py==0.25.0, in the project";
    let tool = find(project, &[".venv/bin"], "componentize-py").ok_or_else(|| missing("componentize-py", hint))?;
    let world = project.python_world().ok_or(BuildError::NoWorld)?;
    let mut tool = command(&tool, &["--wit-path", "wit", "--world", &world, "componentize", "--stub-wasi"]);
    tool.args(["--python-path", ".", "--python-path", "sdk", "--output"]);
    tool.args(component.file_name()).arg("gristmill_component");
    run(tool, project)?;
    is_there(project, "componentize-py")
}

fn is_there(project: &Project, program: &str) -> Result<(), BuildError> {
    let component = project.component();
    let what = || component.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match component.is_file() {
        true => Ok(()),
        false => Err(BuildError::Nothing { program: program.to_owned(), what: what() }),
    }
}

fn missing(what: &'static str, hint: &str) -> BuildError {
    BuildError::Missing { what, hint: hint.to_owned() }
}

fn start(program: &OsStr, source: io::Error) -> BuildError {
    BuildError::Start { program: program.to_string_lossy().into_owned(), source }
}

/// The program of this name: in a folder of the project, or on the path.
fn find(project: &Project, folders: &[&str], name: &str) -> Option<PathBuf> {
    let own = folders.iter().map(|folder| project.directory.join(folder));
    let path = env::var_os("PATH").unwrap_or_default();
    let program = own.chain(env::split_paths(&path)).map(|folder| folder.join(name)).find(|path| path.is_file())?;
    // Tools are run in the project's folder, where a relative path would lead elsewhere.
    std::path::absolute(program).ok()
}

fn command(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// Runs a tool in the project's folder. All that it says goes to standard error, for standard output is ours.
fn run(mut command: Command, project: &Project) -> Result<(), BuildError> {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program()).to_owned();
    let ours = rustix::io::dup(io::stderr()).map_err(|error| start(&program, error.into()))?;
    let status = command.current_dir(&project.directory).stdin(Stdio::null()).stdout(Stdio::from(ours)).status();
    let status = status.map_err(|source| start(&program, source))?;
    match status.success() {
        true => Ok(()),
        false => Err(BuildError::Failed { program: program.to_string_lossy().into_owned(), status }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_the_one_that_cargo_names() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"serde"},"filenames":["/t/serde.rlib"]}
            {"reason":"compiler-message","target":{"name":"acme_plans"}}
            {"reason":"compiler-artifact","target":{"name":"acme_plans"},"filenames":["/t/libacme_plans.rlib","/t/acme_plans.wasm"]}
            not JSON
            {"reason":"build-finished","success":true}"#;
        assert_eq!(module_of(messages, "acme-plans").unwrap(), Path::new("/t/acme_plans.wasm"));
        assert_eq!(module_of(messages, "other"), None);
    }

    #[test]
    fn a_module_says_what_it_makes_by_its_exports() {
        let module = |names: &[&str]| {
            let exports: String = names.iter().map(|name| format!("(export \"{name}\" (func 0))")).collect();
            wat::parse_str(format!("(module (func) {exports})")).unwrap()
        };
        let fields = "gristmill:mapper/field-mapping@0.1.0#open";
        let usage = "gristmill:mapper/product-usage@0.1.0#open";
        assert_eq!(exported(&module(&[fields])), Ok(Makes::Fields));
        assert_eq!(exported(&module(&[usage, "memory"])), Ok(Makes::Usage));
        assert_eq!(exported(&module(&[usage, fields])), Ok(Makes::Both));
        assert!(exported(&module(&["main"])).is_err());
        assert!(exported(b"\0asm\x01\0\0\0\xff").is_err());
    }

    #[test]
    fn a_module_that_is_no_mapper_becomes_no_component() {
        let module = wat::parse_str("(module (import \"env\" \"x\" (func)))").unwrap();
        let error = encode(&module).unwrap_err().to_string();
        assert!(error.starts_with("the module that was compiled becomes no component: "), "{error}");
    }
}
