//! Hostile mappers as components, made of the threats in `tests/hostile`.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// A component on disk, and what a configuration has to say of it.
#[derive(Debug)]
pub struct Guest {
    /// Where it is.
    pub path: PathBuf,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
}

impl Guest {
    /// Writes the mapper with this threat below `directory`.
    ///
    /// # Panics
    /// When there is no such threat.
    pub fn write(threat: &str, directory: &Path) -> Self {
        Self::of(threat, &hostile(threat), directory)
    }

    /// The same, whose loop of a hundred million turns has so many.
    ///
    /// # Panics
    /// When there is no such threat.
    pub fn write_turning(threat: &str, turns: u32, directory: &Path) -> Self {
        Self::of(threat, &hostile(threat).replace(&TURNS.to_string(), &turns.to_string()), directory)
    }

    /// Writes the mapper that differs from the well-behaved one in these lines.
    ///
    /// # Panics
    /// When it cannot be made of them.
    pub fn of(name: &str, lines: &str, directory: &Path) -> Self {
        let bytes = component(&with_threat(&hostile("skeleton"), lines));
        let path = directory.join(format!("{name}.wasm"));
        fs::write(&path, &bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { path, sha256 }
    }

    /// Its `[mappers.NAME]`.
    pub fn table(&self, name: &str) -> String {
        format!("[mappers.{name}]\npath = \"{}\"\nsha256 = \"{}\"\n", self.path.display(), self.sha256)
    }
}

/// The turns of the loop that takes processor time, as they stand in the threats that have one.
pub const TURNS: u32 = 100_000_000;

fn hostile(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("hostile").join(format!("{name}.wat"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The skeleton with the lines of a threat in their places.
fn with_threat(skeleton: &str, threat: &str) -> String {
    let mut text = skeleton.to_owned();
    for part in threat.split(";;@").skip(1) {
        let (place, lines) = part.split_once('\n').unwrap_or((part, ""));
        let place = format!(";;@{}\n", place.trim());
        assert!(text.contains(&place), "the skeleton has no place `{place}`");
        text = text.replacen(&place, lines, 1);
    }
    text
}

fn component(text: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).expect("the text is a module");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut resolve = wit_parser::Resolve::default();
    resolve.push_dir(root.join("wit/0.1.0")).expect("the contract parses");
    let package = resolve.push_file(root.join("tests/hostile/sandbox.wit")).expect("the sandbox parses");
    let world = resolve.select_world(&[package], Some("sandboxed")).expect("the sandbox has a world");
    let encoding = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, encoding).expect("the module takes metadata");
    let mut encoder = wit_component::ComponentEncoder::default();
    encoder.module(&module).expect("the module fits the world").encode().expect("the module becomes a component")
}
