//! `gristmill secret`: what the vault holds.
//!
//! The vault is a file, and a lock keeps its writers apart, so these commands change it themselves, beside a daemon or
//! without one. A daemon that runs is told to read its secrets anew.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;

use super::prompt::ask_hidden;
use super::{CONFIGURATION, Failed, Shared, UNWELL, load, output};
use crate::clock::{Clock, SystemClock};
use crate::config::Loaded;
use crate::control::{Client, Request};
use crate::secrets::vault::{self, Put, Vault, VaultError};
use crate::secrets::{SecretError, SecretName, SecretReference, SecretString, read_value};

/// Keep secrets in the vault, which is encrypted.
///
/// A configuration refers to one as `{ secret = "NAME" }`. Values come from a prompt or from standard input, never from an
/// argument, which others could see. What changes is used at once by a daemon that runs.
#[derive(Debug, Args)]
#[command(after_help = "\
A first secret:
  gristmill secret key /etc/gristmill/vault.key      make the vault's key
  # [vault]
  # key = { file = \"/etc/gristmill/vault.key\" }
  gristmill secret set acme-secret-access-key        asks for the value
  # secret_access_key = { secret = \"acme-secret-access-key\" }")]
pub struct Secret {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the vault's key: a file that its owner alone can read, and that is not there yet.
    ///
    /// It is an age identity, as `age-keygen` makes them. Where there is no vault yet, an empty one is made for it. Without
    /// the key nothing in the vault can be read: keep a copy where the vault is not.
    #[command(after_help = "\
As a systemd credential:
  gristmill secret key vault.key
  systemd-creds encrypt --name=vault-key vault.key /etc/credstore.encrypted/vault-key
  # [vault]
  # key = { credential = \"vault-key\" }
and in the unit (systemctl edit gristmill):
  LoadCredentialEncrypted=vault-key:/etc/credstore.encrypted/vault-key")]
    Key {
        /// The file.
        file: PathBuf,
    },
    /// Store a secret under a name that is not there yet.
    Set(Value),
    /// Replace a secret that is there. What is under way goes on; the next request uses the new value.
    #[command(after_help = "\
Both halves of a key pair at one moment, with a daemon that runs:
  gristmill secret rotate acme-access-key-id --at-reload
  gristmill secret rotate acme-secret-access-key")]
    Rotate(Value),
    /// List the names, when each value was stored, and where the configuration refers to it. Never a value.
    List,
    /// Forget a secret. Refused while the configuration refers to it.
    Remove {
        /// Its name.
        name: SecretName,
        /// Even while the configuration refers to it.
        #[arg(long)]
        force: bool,
    },
    /// Encrypt the vault to a new key.
    ///
    /// A key in a file is replaced by a new one in the same place; a crash at any moment leaves a key that opens the vault.
    /// Whoever has the old key and a copy of the old vault can still read that copy: if the key is known to others, rotate
    /// the secrets as well.
    #[command(after_help = "\
A key that is a systemd credential is replaced by hand, and the daemon goes on meanwhile:
  gristmill secret key new.key
  systemd-run --pipe --wait \\
    -p LoadCredentialEncrypted=vault-key:/etc/credstore.encrypted/vault-key \\
    gristmill secret rekey --to $PWD/new.key         the vault is now encrypted to both keys
  systemd-creds encrypt --name=vault-key new.key /etc/credstore.encrypted/vault-key
  systemctl restart gristmill
and the `systemd-run` once more, which leaves the new key alone; then remove new.key.")]
    Rekey {
        /// Encrypt the vault to the key that is configured and to the one in this file; to that alone where they are the
        /// same.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct Value {
    /// Its name: lower-case letters, digits, `_`, `-` and `.`.
    name: SecretName,
    /// Leave a daemon that runs with the value that it has, until it reads its secrets anew: at a reload, or at the next
    /// change of a secret.
    #[arg(long)]
    at_reload: bool,
}

impl From<VaultError> for Failed {
    fn from(error: VaultError) -> Self {
        Self::of(UNWELL, &error).hint(error.hint())
    }
}

impl From<SecretError> for Failed {
    fn from(error: SecretError) -> Self {
        Self::of(UNWELL, &error).hint(error.hint())
    }
}

impl Secret {
    pub fn run(self, shared: &Shared) -> Result<(), Failed> {
        let loaded = load(&shared.config)?;
        match self.command {
            Command::Key { file } => make_key(shared, &loaded, file),
            Command::Set(value) => store(shared, &loaded, value, Put::New),
            Command::Rotate(value) => store(shared, &loaded, value, Put::Replacement),
            Command::List => list(shared, &loaded),
            Command::Remove { name, force } => remove(shared, &loaded, &name, force),
            Command::Rekey { to } => rekey(shared, &loaded, to),
        }
    }
}

fn with_vault<T>(loaded: &Loaded, act: impl FnOnce(&Vault) -> Result<T, VaultError>) -> Result<T, Failed> {
    let secrets = loaded.config.secrets();
    let Some(vault) = secrets.vault() else {
        let hint = "make a key with `gristmill secret key FILE`, and name it: [vault] key = { file = \"FILE\" }";
        let message = "the configuration has no vault, or one with a problem of its own";
        return Err(Failed::new(CONFIGURATION, message).hint(Some(hint.to_owned())));
    };
    Ok(act(vault)?)
}

fn make_key(shared: &Shared, loaded: &Loaded, file: PathBuf) -> Result<(), Failed> {
    let public = vault::make_key(&file, &loaded.config.daemon.state_dir, SystemClock.now())?;
    match shared.json {
        true => output::print_json(&json!({ "file": file, "public_key": public })),
        false => output::print(format!("`{}` is a key; its public half is {public}", file.display())),
    }
    Ok(())
}

fn store(shared: &Shared, loaded: &Loaded, value: Value, put: Put) -> Result<(), Failed> {
    let Value { name, at_reload } = value;
    // Nobody types a secret for nothing.
    with_vault(loaded, |vault| vault.may_put(&name, put))?;
    let secret = ask_for(&name)?;
    let now = SystemClock.now();
    with_vault(loaded, |vault| vault.put(&name, &secret, put, now))?;
    if !at_reload {
        tell_daemon(loaded, &format!("`{name}` is stored"))?;
    }
    match (shared.json, put) {
        (true, _) => output::print_json(&json!({ "secret": name.as_str(), "set": now })),
        (false, Put::New) => output::print(format!("`{name}` is stored")),
        (false, Put::Replacement) => output::print(format!("`{name}` is replaced")),
    }
    Ok(())
}

fn ask_for(name: &SecretName) -> Result<SecretString, Failed> {
    let reference = SecretReference::Vault(name.clone());
    if !io::stdin().is_terminal() {
        return Ok(read_value(io::stdin().lock(), &reference)?);
    }
    match ask_hidden(&format!("value of {name}: ")) {
        Ok(Some(typed)) => Ok(read_value(typed.as_slice(), &reference)?),
        Ok(None) => Err(Failed::new(UNWELL, "given up; nothing is stored")),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            let hint = format!("give a value of several lines by standard input: gristmill secret set {name} < FILE");
            Err(Failed::of(UNWELL, &error).hint(Some(hint)))
        }
        Err(error) => Err(error.into()),
    }
}

fn list(shared: &Shared, loaded: &Loaded) -> Result<(), Failed> {
    let stored = with_vault(loaded, Vault::list)?;
    let references = |name: &SecretName| loaded.vault_references.get(name).map(Vec::as_slice).unwrap_or_default();
    let absent = loaded.vault_references.keys().filter(|name| stored.iter().all(|(there, _)| there != *name));
    let absent: Vec<_> = absent.map(|name| (name.clone(), None)).collect();
    let rows: Vec<_> = stored.iter().map(|(name, set)| (name.clone(), Some(*set))).chain(absent).collect();
    if shared.json {
        for (name, set) in rows {
            output::print_json(&json!({ "secret": name.as_str(), "set": set, "references": references(&name) }));
        }
        return Ok(());
    }
    let row = |(name, set): &(SecretName, Option<Timestamp>)| {
        let set = set.map_or_else(|| "is missing".to_owned(), |set| format!("{set:.0}"));
        vec![name.to_string(), set, references(name).join(", ")]
    };
    match rows.as_slice() {
        [] => output::print("the vault is empty"),
        rows => {
            let rows: Vec<_> = rows.iter().map(row).collect();
            output::print(output::table(&["secret", "set", "referred to by"], &rows));
        }
    }
    Ok(())
}

fn remove(shared: &Shared, loaded: &Loaded, name: &SecretName, force: bool) -> Result<(), Failed> {
    if let Some(references) = loaded.vault_references.get(name).filter(|_| !force) {
        let message = format!("the configuration refers to `{name}`: {}", references.join(", "));
        return Err(Failed::new(UNWELL, message).hint(Some("take the references out first, or add --force".to_owned())));
    }
    with_vault(loaded, |vault| vault.remove(name))?;
    match shared.json {
        true => output::print_json(&json!({ "secret": name.as_str(), "removed": true })),
        false => output::print(format!("`{name}` is removed")),
    }
    Ok(())
}

fn rekey(shared: &Shared, loaded: &Loaded, to: Option<PathBuf>) -> Result<(), Failed> {
    let keys = with_vault(loaded, |vault| match &to {
        None => Ok(vec![vault.rekey(SystemClock.now())?]),
        Some(file) => vault.rekey_to(file),
    })?;
    match shared.json {
        true => output::print_json(&json!({ "public_keys": keys })),
        false => output::print(format!("the vault is encrypted to {}", keys.join(" and "))),
    }
    Ok(())
}

/// What is done stays done, also where the daemon cannot be told.
fn tell_daemon(loaded: &Loaded, done: &str) -> Result<(), Failed> {
    let told = match Client::connect(&loaded.config.daemon.runtime_dir) {
        Ok(Some(client)) => client.ask(&Request::ReadSecrets, |_| {}).map(drop),
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    told.map_err(|error| {
        let message = format!("{done}, but the daemon was not told: {}", crate::events::Chain(&error));
        Failed::new(UNWELL, message).hint(Some("systemctl reload gristmill".to_owned()))
    })
}
