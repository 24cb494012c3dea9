//! Compiles the built-in mapper to a component, for the daemon to embed. Downloads nothing.
//!
//! `plugins/builtin` is compiled for `wasm32-unknown-unknown`, which has no imports of its own, by a second cargo: with
//! the daemon's lock file and crates, but a target directory of its own (the outer cargo holds the lock of the other) and
//! none of the outer build's compiler flags and wrappers. `wit-component` then makes the component
//! `OUT_DIR/builtin.component.wasm`.
//!
//! Where the target cannot be installed, the standard library can be built from its source (`rust-src`):
//!
//! ```text
//! export GRISTMILL_GUEST_CARGO_ARGS=-Zbuild-std=std,panic_abort
//! RUSTC_BOOTSTRAP=1 cargo fetch --locked --target wasm32-unknown-unknown $GRISTMILL_GUEST_CARGO_ARGS
//! cargo build
//! ```
//!
//! `GRISTMILL_GUEST_CARGO_ARGS` are further arguments of the second cargo, parted by blanks; `GRISTMILL_GUEST_RUSTC` names
//! another compiler than the one of the daemon.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-unknown-unknown";

/// What the outer cargo sets for its own compiler. A second cargo that inherited it would lint, wrap or instrument the
/// component as if it were native, or wait for the first one's job slots.
const OUTER: [&str; 8] = [
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_MAKEFLAGS",
    "MAKEFLAGS",
    "MFLAGS",
    "CLIPPY_ARGS",
];

/// The same, by how the names begin.
const OUTER_PREFIXES: [&str; 6] =
    ["CARGO_BUILD_", "CARGO_PROFILE_", "CARGO_TARGET_", "CARGO_FEATURE_", "CARGO_CFG_", "CARGO_PKG_"];

/// Speed first, for the component maps every row. Measured against this: level `s` makes it 13 % smaller and 6 % slower,
/// the compiler's own threshold for inlining a third larger and no faster, SIMD changes nothing that counts.
/// Loops are unrolled, because each turn is asked for its deadline: the guards take 20 % of the time then, else 26 %.
const PROFILE: [&str; 7] = [
    "profile.release.opt-level=3",
    "profile.release.lto=\"fat\"",
    "profile.release.codegen-units=1",
    "profile.release.panic=\"abort\"",
    "profile.release.debug=false",
    "profile.release.strip=true",
    "target.wasm32-unknown-unknown.rustflags=[\"-Cllvm-args=-inline-threshold=50 -unroll-runtime -unroll-count=4\"]",
];

fn main() {
    if let Err(error) = build() {
        for line in error.to_string().lines() {
            println!("cargo::error={line}");
        }
    }
}

fn build() -> Result<(), Box<dyn Error>> {
    let workspace = required("CARGO_MANIFEST_DIR")?.join("..");
    let out = required("OUT_DIR")?;
    for path in ["plugins/builtin", "wit/0.1.0", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", workspace.join(path).display());
    }
    for variable in ["GRISTMILL_GUEST_RUSTC", "GRISTMILL_GUEST_CARGO_ARGS"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }

    let rustc = env::var_os("GRISTMILL_GUEST_RUSTC").or_else(|| env::var_os("RUSTC")).unwrap_or("rustc".into());
    let arguments = env::var("GRISTMILL_GUEST_CARGO_ARGS").unwrap_or_default();
    if !arguments.contains("build-std") {
        require_target(&rustc)?;
    }
    let module = compile(&workspace, &out.join("guest"), &rustc, &arguments)?;
    let component = wit_component::ComponentEncoder::default()
        .validate(true)
        .module(&fs::read(&module)?)
        .and_then(|encoder| encoder.encode())
        .map_err(|error| format!("the built-in mapper is not a component: {error:#}"))?;
    fs::write(out.join("builtin.component.wasm"), component)?;
    Ok(())
}

fn required(variable: &str) -> Result<PathBuf, String> {
    env::var_os(variable).map(PathBuf::from).ok_or_else(|| format!("cargo did not set {variable}"))
}

/// Whether the compiler has a standard library for the target.
fn require_target(rustc: &OsString) -> Result<(), Box<dyn Error>> {
    let output = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output()?;
    let directory = String::from_utf8(output.stdout)?;
    if output.status.success() && Path::new(directory.trim()).is_dir() {
        return Ok(());
    }
    Err(format!("the built-in mapper needs the target {TARGET}\nhint: rustup target add {TARGET}").into())
}

/// Compiles the core module and says where it is.
fn compile(workspace: &Path, target: &Path, rustc: &OsString, arguments: &str) -> Result<PathBuf, Box<dyn Error>> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    for (name, _) in env::vars_os() {
        let inherited = name
            .to_str()
            .is_some_and(|name| OUTER.contains(&name) || OUTER_PREFIXES.iter().any(|prefix| name.starts_with(prefix)));
        if inherited {
            cargo.env_remove(name);
        }
    }
    cargo
        .env("RUSTC", rustc)
        .args(["rustc", "--release", "--lib", "--crate-type", "cdylib", "--locked", "--offline", "--target", TARGET])
        .arg("--manifest-path")
        .arg(workspace.join("plugins/builtin/Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        .args(PROFILE.iter().flat_map(|setting| ["--config", setting]))
        .args(arguments.split_whitespace());
    if arguments.contains("-Z") {
        // A stable cargo takes unstable options from those who ask for them in this way.
        cargo.env("RUSTC_BOOTSTRAP", "1");
    }
    let output = cargo.output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let hint = "hint: if a crate is missing, `cargo fetch --locked` gets those of every target";
        return Err(format!("the built-in mapper does not compile\n{said}\n{hint}").into());
    }
    Ok(target.join(TARGET).join("release/gristmill_builtin.wasm"))
}
