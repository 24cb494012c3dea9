//! `gristmill connection rotate`: another pair of keys, both halves at once, tried before it takes the old one's place.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::add::{id_value, reference, value_of};
use super::candidate::try_it;
use super::questions::{Questions, secret_line};
use super::show::targets_of;
use super::{not_edited, parse_target, reload, taken};
use crate::cli::{Failed, Shared, UNWELL, USAGE, load, output};
use crate::config::edit::Edit;
use crate::config::{AccessKeyId, Auth, Config, Connection, KeyPair};
use crate::control::Target;
use crate::object::ConnectionKey;
use crate::replace::{Next, ReplaceError};
use crate::secrets::{ExposeSecret, SecretReference, SecretString};

/// Give a connection another pair of keys.
///
/// Where the secret access key stands in a file, the new pair is asked for on a terminal, or read from standard input: the
/// access key id on the first line, the secret access key on the second, and a session token on the third where the
/// connection has one. It is tried, and then the files get their new content. Where it stands elsewhere, put the new pair
/// beside the old one, under other names, and say here where that is.
///
/// A download that is under way goes on; the next request of a running daemon is sent with the new pair.
#[derive(Debug, Args)]
#[command(after_help = "\
  gristmill connection rotate acme < new-pair
  gristmill connection rotate acme --access-key-id AKIAIOSFODNN7EXAMPLE --secret-access-key credential:acme-key-2")]
pub(super) struct Rotate {
    /// The connection.
    connection: ConnectionKey,
    /// Where to try it as well, as s3://BUCKET/PREFIX.
    #[arg(value_parser = parse_target)]
    target: Option<Target>,
    /// The new access key id, or where it stands.
    #[arg(long, value_name = "ID")]
    access_key_id: Option<String>,
    /// Where the new secret access key stands.
    #[arg(long, value_name = "PLACE")]
    secret_access_key: Option<String>,
    /// Where the new session token stands.
    #[arg(long, value_name = "PLACE")]
    session_token: Option<String>,
    /// Take the new pair without trying it.
    #[arg(long)]
    no_test: bool,
}

/// A new pair, as a person gave it.
struct NewPair {
    id: String,
    secret: SecretString,
    session_token: Option<SecretString>,
}

impl Rotate {
    pub(super) fn run(self, shared: &Shared) -> Result<(), Failed> {
        let key = &self.connection;
        let config = load(&shared.config)?.config;
        let Some(connection) = config.connections.get(key) else {
            return Err(Failed::new(UNWELL, format!("there is no connection `{key}`, or it is not in order"))
                .hint(Some("gristmill connection list".to_owned())));
        };
        let (Some(pair), Some(place)) = (connection.key_pair(), place_of(connection)) else {
            let message = format!("`{key}` has no pair of keys: it takes whatever the AWS SDK finds");
            return Err(Failed::new(UNWELL, message));
        };
        let mut targets = targets_of(&config, key);
        targets.extend(self.target.clone().filter(|target| !targets.contains(target)));
        let mut edit = Edit::open(&shared.config).map_err(|error| not_edited(&error))?;
        let files = match (&self.access_key_id, &self.secret_access_key) {
            (Some(id), Some(secret)) => {
                self.point(&mut edit, place, pair, (id, secret))?;
                Vec::new()
            }
            (None, None) if self.session_token.is_none() => {
                let files = Files::of(key, pair)?;
                let sharers = sharers(&config, connection, pair)?;
                files.beside(&mut edit, &sharers)?
            }
            _ => return Err(Failed::new(USAGE, "a pair of keys has two halves, and both are expected")),
        };
        edit.checked().map_err(|error| not_edited(&error))?;
        let mut tested = None;
        if !self.no_test {
            // The files' new contents are tried where they are.
            let mut trial = edit.clone();
            let mut table = trial.table("connections", key.as_str()).map_err(|error| not_edited(&error))?;
            for file in &files {
                let (path, aside) = (format!("{place}.{}.file", file.part), file.next.path().display().to_string());
                table.set(&path, aside).map_err(|error| not_edited(&error))?;
            }
            tested = Some(try_it(shared, &config, key, trial.alone("connections", key.as_str()), targets)?);
        }
        let written = replace(files, edit)?;
        let reloaded = reload(&config)?;
        if shared.json {
            output::print_json(&json!({ "connection": key, "files": written, "tested": tested, "reloaded": reloaded }));
            return Ok(());
        }
        let names: Vec<String> = written.iter().map(|file| format!("`{}`", file.display())).collect();
        output::print(format!("`{key}` has its new pair of keys in {}{}", names.join(" and "), taken(reloaded)));
        Ok(())
    }

    /// Has the table say where the new pair stands.
    fn point(&self, edit: &mut Edit, place: &str, pair: &KeyPair, (id, secret): (&str, &str)) -> Result<(), Failed> {
        let usage = |option: &'static str| move |why: String| Failed::new(USAGE, format!("`{option}`: {why}"));
        let token = self.session_token.as_deref().map(reference).transpose().map_err(usage("--session-token"))?;
        let secret = reference(secret).map_err(usage("--secret-access-key"))?;
        let id = id_value(id).map_err(usage("--access-key-id"))?;
        let mut table = edit.table("connections", self.connection.as_str()).map_err(|error| not_edited(&error))?;
        let set = table.set(&format!("{place}.access_key_id"), id).and_then(|()| {
            table.set(&format!("{place}.secret_access_key"), value_of(&secret))?;
            let path = format!("{place}.session_token");
            match &token {
                Some(token) => table.set(&path, value_of(token)),
                // The old one belongs to the old pair.
                None if pair.session_token.is_some() => table.unset(&path).map(drop),
                None => Ok(()),
            }
        });
        set.map_err(|error| not_edited(&error))
    }
}

/// Has every part of the pair take its place. A pair that is half replaced does harm only to whoever reads it anew, and is
/// made whole by doing the same again.
fn replace(files: Vec<NextPart>, edit: Edit) -> Result<Vec<PathBuf>, Failed> {
    let mut written: Vec<PathBuf> = Vec::new();
    let again = |begun: bool, failed: Failed| match begun {
        true => failed.hint(Some("one half is replaced already: do it again, with the same pair".to_owned())),
        false => failed,
    };
    for file in files {
        let placed = file.next.take_place().map_err(|error| again(!written.is_empty(), Failed::of(UNWELL, &error)))?;
        written.push(placed);
    }
    written.extend(edit.write().map_err(|error| again(!written.is_empty(), not_edited(&error)))?);
    Ok(written)
}

/// The table of a connection's pair of keys.
fn place_of(connection: &Connection) -> Option<&'static str> {
    match connection.auth {
        Auth::AccessKey(_) => Some("access_key"),
        Auth::AccessGrants(_) => Some("access_grants.access_key"),
        Auth::AssumeRole(_) => Some("assume_role.access_key"),
        Auth::DefaultChain => None,
    }
}

/// A connection that has the pair, and the table in which it has it.
type Sharer<'a> = (&'a ConnectionKey, &'static str);

/// Every connection that has this pair. One that has a file of it in another pair would be left with two halves that do not
/// belong together.
fn sharers<'a>(config: &'a Config, connection: &Connection, pair: &KeyPair) -> Result<Vec<Sharer<'a>>, Failed> {
    let mut sharers = Vec::new();
    for (key, other) in &config.connections {
        match (other.key_pair(), place_of(other)) {
            (Some(same), Some(place)) if same == pair => sharers.push((key, place)),
            _ => {
                if let Some(shared) =
                    other.secrets().find(|reference| connection.secrets().any(|own| own == *reference))
                {
                    return Err(Failed::new(
                        UNWELL,
                        format!("{shared} is a half of the pair of `{key}`, too, which is another"),
                    )
                    .hint(Some("give one of the two a file of its own".to_owned())));
                }
            }
        }
    }
    Ok(sharers)
}

/// The files in which a pair of keys stands.
struct Files {
    /// None where the id stands in the configuration.
    id: Option<PathBuf>,
    secret: PathBuf,
    session_token: Option<PathBuf>,
}

/// What a file with a part of the pair is to have in it.
struct NextPart {
    /// The key in the table of the pair.
    part: &'static str,
    next: Next,
}

impl Files {
    /// Those of a pair, all of whose secrets stand in files; else what to do instead.
    fn of(key: &ConnectionKey, pair: &KeyPair) -> Result<Self, Failed> {
        let id = match &pair.access_key_id {
            AccessKeyId::Text(_) => None,
            AccessKeyId::Reference(reference) => Some(reference),
        };
        Ok(Self {
            id: id.map(|reference| file_of(key, reference)).transpose()?,
            secret: file_of(key, &pair.secret_access_key)?,
            session_token: pair.session_token.as_ref().map(|reference| file_of(key, reference)).transpose()?,
        })
    }

    /// Reads the new pair and writes it beside the old one, in this order: the secrets, then the id.
    fn beside(self, edit: &mut Edit, sharers: &[Sharer<'_>]) -> Result<Vec<NextPart>, Failed> {
        let pair = NewPair::read(self.session_token.is_some())?;
        let not_written = |error: ReplaceError| Failed::of(UNWELL, &error);
        let next = |part: &'static str, file: &PathBuf, value: &str| {
            let next = Next::secret_beside(file, value.as_bytes()).map_err(not_written)?;
            Ok::<_, Failed>(NextPart { part, next })
        };
        let mut parts = vec![next("secret_access_key", &self.secret, pair.secret.expose_secret())?];
        if let (Some(file), Some(token)) = (&self.session_token, &pair.session_token) {
            parts.push(next("session_token", file, token.expose_secret())?);
        }
        match &self.id {
            Some(file) => parts.push(next("access_key_id", file, &pair.id)?),
            None => {
                for (key, place) in sharers {
                    let table = edit.table("connections", key.as_str());
                    let set =
                        table.and_then(|mut table| table.set(&format!("{place}.access_key_id"), pair.id.as_str()));
                    set.map_err(|error| not_edited(&error))?;
                }
            }
        }
        Ok(parts)
    }
}

/// The file that a secret stands in. What stands elsewhere cannot be changed from here, and how it can is said.
fn file_of(key: &ConnectionKey, reference: &SecretReference) -> Result<PathBuf, Failed> {
    let point = format!("gristmill connection rotate {key} --access-key-id ID --secret-access-key");
    let elsewhere = |how: String| {
        let message = format!("`{key}`: {reference} cannot be changed while the service runs");
        let hint = format!("{how}; or put the new pair beside the old one, restart, and point to it: {point} PLACE");
        Err(Failed::new(UNWELL, message).hint(Some(hint)))
    };
    match reference {
        SecretReference::File(path) => Ok(path.clone()),
        SecretReference::Remote(_) => {
            let hint = format!(
                "replace the pair at the service; it is read by a reload, and after five minutes by whoever reads it anew. Or have \
                 another tried and taken: {point} PLACE"
            );
            Err(Failed::new(UNWELL, format!("`{key}`: {reference} is kept by a service")).hint(Some(hint)))
        }
        SecretReference::Vault(name) => {
            let hint = format!(
                "store the new one under another name, `gristmill secret set NAME`, then have it tried and taken: {point} \
                 secret:NAME; `gristmill secret rotate {name}` replaces it untried"
            );
            Err(Failed::new(UNWELL, format!("`{key}`: {reference} stands in the vault")).hint(Some(hint)))
        }
        SecretReference::Credential(name) => elsewhere(format!(
            "encrypt the new one with `systemd-creds encrypt --name={name} - /etc/credstore.encrypted/{name}`, the other half \
             likewise, then `systemctl restart gristmill`"
        )),
        SecretReference::Environment(name) => elsewhere(format!(
            "set `{name}`, and the other half, where the unit has it from (`EnvironmentFile=`), then \
             `systemctl restart gristmill`"
        )),
    }
}

impl NewPair {
    fn read(has_token: bool) -> Result<Self, Failed> {
        let (id, secret, session_token) = match Questions::at_terminal() {
            Some(mut questions) => (
                questions.text("The new access key id")?,
                questions.secret("The new secret access key")?,
                has_token.then(|| questions.secret("The new session token")).transpose()?,
            ),
            None => {
                let mut input = std::io::stdin().lock();
                let id = secret_line(&mut input)?.expose_secret().trim().to_owned();
                let secret = secret_line(&mut input)?;
                (id, secret, has_token.then(|| secret_line(&mut input)).transpose()?)
            }
        };
        let lacks = |secret: &SecretString| secret.expose_secret().is_empty();
        if id.is_empty() || lacks(&secret) || session_token.as_ref().is_some_and(lacks) {
            let lines = if has_token {
                "three lines are expected: the access key id, the secret access key and the session token"
            } else {
                "two lines are expected: the access key id and the secret access key"
            };
            return Err(Failed::new(USAGE, lines));
        }
        Ok(Self { id, secret, session_token })
    }
}
