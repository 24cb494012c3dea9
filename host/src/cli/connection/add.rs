//! `gristmill connection add`.

use std::io::{BufRead, Write};
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::candidate::try_it;
use super::fields::Mode;
use super::questions::Questions;
use super::{not_edited, parse_target, reload, taken};
use crate::cli::{Failed, Shared, USAGE, load, output};
use crate::config::edit::Edit;
use crate::control::Target;
use crate::object::ConnectionKey;
use crate::secrets::SecretReference;

/// Add a connection.
///
/// It is tried before it is written: where it is told to look, else by listing the buckets that it sees. On a terminal it
/// asks for what the options leave open. A secret is never an option, only where it stands: `secret:NAME` (the vault), `credential:NAME` (a systemd
/// credential), `file:/PATH` or `env:NAME`.
#[derive(Debug, Args)]
#[command(after_help = "\
  gristmill connection add acme s3://acme-exports/daily/ --region eu-central-1 --auth access_key \\
    --access-key-id AKIAIOSFODNN7EXAMPLE --secret-access-key file:/etc/gristmill/acme.key
  gristmill connection add lab --endpoint-url http://127.0.0.1:9000 --auth default_chain --no-test")]
pub(super) struct Add {
    /// Its key: letters, digits, `_` and `-`.
    connection: ConnectionKey,
    /// Where to try it, as s3://BUCKET/PREFIX.
    #[arg(value_parser = parse_target)]
    target: Option<Target>,
    /// A name for people.
    #[arg(long)]
    name: Option<String>,
    /// The buckets' region.
    #[arg(long)]
    region: Option<String>,
    /// The address of an S3-compatible server.
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,
    /// Put the bucket into the path and not into the host name; `=false` for the host name.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOLEAN")]
    force_path_style: Option<bool>,
    /// The only tenant whose integrations may use it.
    #[arg(long)]
    tenant: Option<String>,
    /// How it gets its credentials.
    #[arg(long)]
    auth: Option<Mode>,
    /// The access key id, or where it stands. For `access_grants` and `assume_role`, of the identity that asks for them.
    #[arg(long, value_name = "ID")]
    access_key_id: Option<String>,
    /// Where the secret access key stands.
    #[arg(long, value_name = "PLACE")]
    secret_access_key: Option<String>,
    /// Where the session token of temporary keys stands.
    #[arg(long, value_name = "PLACE")]
    session_token: Option<String>,
    /// For `access_grants`: the account of the instance.
    #[arg(long, value_name = "NUMBER")]
    account_id: Option<String>,
    /// For `assume_role`: the role.
    #[arg(long, value_name = "ARN")]
    role_arn: Option<String>,
    /// For `assume_role`: the external id.
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// For `assume_role`: the name that the role's account sees.
    #[arg(long, value_name = "NAME")]
    session_name: Option<String>,
    /// For `access_grants` and `assume_role`: how long credentials are good.
    #[arg(long)]
    duration: Option<String>,
    /// For `access_grants` and `assume_role`: the address of S3 Control, or of STS.
    #[arg(long, value_name = "URL")]
    auth_endpoint_url: Option<String>,
    /// The file that it goes into, such as conf.d/acme.toml; the main file if none.
    #[arg(long)]
    file: Option<PathBuf>,
    /// Write it without trying it.
    #[arg(long)]
    no_test: bool,
}

impl Add {
    pub(super) fn run(mut self, shared: &Shared) -> Result<(), Failed> {
        let config = load(&shared.config)?.config;
        let mut edit = Edit::open(&shared.config).map_err(|error| not_edited(&error))?;
        if let (Some(mut questions), false) = (Questions::at_terminal(), self.is_complete()) {
            self.complete(&mut questions)?;
        }
        let text = self.table()?;
        let key = &self.connection;
        let inserted = edit.insert(self.file.as_deref(), "connections", key.as_str(), &text);
        let file = inserted.map_err(|error| not_edited(&error))?;
        edit.checked().map_err(|error| not_edited(&error))?;
        let tested = match self.no_test {
            true => None,
            false => {
                let alone = edit.alone("connections", key.as_str());
                Some(try_it(shared, &config, key, alone, self.target.into_iter().collect())?)
            }
        };
        edit.write().map_err(|error| not_edited(&error))?;
        let reloaded = reload(&config)?;
        match shared.json {
            true => output::print_json(&json!({
                "connection": key, "file": file, "tested": tested, "reloaded": reloaded,
            })),
            false => output::print(format!("`{key}` stands in `{}`{}", file.display(), taken(reloaded))),
        }
        Ok(())
    }

    /// Whether nothing is left open that is required.
    fn is_complete(&self) -> bool {
        let pair = self.access_key_id.is_some() && self.secret_access_key.is_some();
        let own = match self.auth {
            None => false,
            Some(Mode::AccessKey) => pair,
            Some(Mode::AccessGrants) => self.account_id.is_some(),
            Some(Mode::AssumeRole) => self.role_arn.is_some(),
            Some(Mode::DefaultChain) => true,
        };
        let has_halves = self.access_key_id.is_some() == self.secret_access_key.is_some();
        own && has_halves && (self.region.is_some() || self.endpoint_url.is_some())
    }

    /// Asks for what is left open.
    fn complete<R: BufRead, W: Write>(&mut self, questions: &mut Questions<R, W>) -> Result<(), Failed> {
        if self.name.is_none() {
            self.name = questions.optional("A name for people (empty for the key)")?;
        }
        if self.endpoint_url.is_none() && self.region.is_none() {
            self.endpoint_url =
                questions.optional("The address of an S3-compatible server (empty for Amazon's own)")?;
        }
        if self.region.is_none() {
            self.region = match &self.endpoint_url {
                Some(_) => questions.optional("Its region (empty for us-east-1)")?,
                None => Some(questions.text("The region of the buckets, such as eu-central-1")?),
            };
        }
        let mode = match self.auth {
            Some(mode) => mode,
            None => questions.ask(
                "How it gets its credentials (access_key, access_grants, assume_role or default_chain)",
                |line| {
                    Mode::ALL.into_iter().find(|mode| mode.table() == line).ok_or_else(|| "one of the four".to_owned())
                },
            )?,
        };
        self.auth = Some(mode);
        match mode {
            Mode::AccessKey if self.access_key_id.is_none() => {
                self.access_key_id = Some(questions.text("The access key id, or where it stands")?);
            }
            Mode::AccessGrants if self.account_id.is_none() => {
                self.account_id = Some(questions.text("The account of the S3 Access Grants instance")?);
            }
            Mode::AssumeRole => {
                if self.role_arn.is_none() {
                    self.role_arn = Some(questions.text("The role, as arn:aws:iam::ACCOUNT:role/NAME")?);
                }
                if self.external_id.is_none() {
                    self.external_id = questions.optional("The external id (empty for none)")?;
                }
            }
            Mode::AccessKey | Mode::AccessGrants | Mode::DefaultChain => {}
        }
        if matches!(mode, Mode::AccessGrants | Mode::AssumeRole) && self.access_key_id.is_none() {
            self.access_key_id =
                questions.optional("The access key id of the identity that asks (empty for what the AWS SDK finds)")?;
        }
        if self.access_key_id.is_some() && self.secret_access_key.is_none() {
            let question = "Where its secret access key stands (credential:NAME, secret:NAME, file:/PATH or env:NAME)";
            let stands = questions.ask(question, |line| reference(line).map(|_| line.to_owned()))?;
            self.secret_access_key = Some(stands);
        }
        if self.target.is_none() && !self.no_test {
            let question = "Where to try it, as s3://BUCKET/PREFIX (empty: whether it sees buckets)";
            self.target = questions.ask(question, |line| match line {
                "" => Ok(None),
                line => parse_target(line).map(Some),
            })?;
        }
        Ok(())
    }

    /// Its table, as a text.
    fn table(&self) -> Result<String, Failed> {
        let usage = |message: String| Failed::new(USAGE, message);
        let Some(mode) = self.auth else {
            return Err(usage("it is not said how it gets its credentials".to_owned())
                .hint(Some("--auth access_key, access_grants, assume_role or default_chain".to_owned())));
        };
        self.refuse_other_modes(mode)?;
        let mut text = format!("[connections.{}]\n", self.connection);
        let mut line = |key: &str, value: Option<&String>| {
            text.extend(value.map(|value| format!("{key} = {}\n", toml_edit::Value::from(value.as_str()))));
        };
        line("name", self.name.as_ref());
        line("region", self.region.as_ref());
        line("endpoint_url", self.endpoint_url.as_ref());
        line("tenant", self.tenant.as_ref());
        text.extend(self.force_path_style.map(|forced| format!("force_path_style = {forced}\n")));
        let own = match mode {
            Mode::DefaultChain => {
                text.push_str("default_chain = {}\n");
                return Ok(text);
            }
            Mode::AccessKey => String::new(),
            Mode::AccessGrants | Mode::AssumeRole => {
                text.push_str(&format!("\n[connections.{}.{}]\n", self.connection, mode.table()));
                let mut line = |key: &str, value: Option<&String>| {
                    text.extend(value.map(|value| format!("{key} = {}\n", toml_edit::Value::from(value.as_str()))));
                };
                line("account_id", self.account_id.as_ref());
                line("role_arn", self.role_arn.as_ref());
                line("external_id", self.external_id.as_ref());
                line("session_name", self.session_name.as_ref());
                line("duration", self.duration.as_ref());
                line("endpoint_url", self.auth_endpoint_url.as_ref());
                format!("{}.", mode.table())
            }
        };
        let parts = [&self.access_key_id, &self.secret_access_key, &self.session_token];
        if mode == Mode::AccessKey || parts.iter().any(|part| part.is_some()) {
            text.push_str(&format!("\n[connections.{}.{own}access_key]\n", self.connection));
            if let Some(id) = &self.access_key_id {
                text.push_str(&format!("access_key_id = {}\n", id_value(id).map_err(usage)?));
            }
            for (key, part) in [("secret_access_key", &self.secret_access_key), ("session_token", &self.session_token)]
            {
                if let Some(part) = part {
                    let reference =
                        reference(part).map_err(|why| usage(format!("`--{}`: {why}", key.replace('_', "-"))))?;
                    text.push_str(&format!("{key} = {}\n", value_of(&reference)));
                }
            }
        }
        Ok(text)
    }

    /// What is said of one way to credentials means nothing for another.
    fn refuse_other_modes(&self, mode: Mode) -> Result<(), Failed> {
        use Mode::{AccessGrants, AccessKey, AssumeRole};
        let said = [
            ("--access-key-id", &self.access_key_id, [AccessKey, AccessGrants, AssumeRole].as_slice()),
            ("--secret-access-key", &self.secret_access_key, &[AccessKey, AccessGrants, AssumeRole]),
            ("--session-token", &self.session_token, &[AccessKey, AccessGrants, AssumeRole]),
            ("--account-id", &self.account_id, &[AccessGrants]),
            ("--role-arn", &self.role_arn, &[AssumeRole]),
            ("--external-id", &self.external_id, &[AssumeRole]),
            ("--session-name", &self.session_name, &[AssumeRole]),
            ("--duration", &self.duration, &[AccessGrants, AssumeRole]),
            ("--auth-endpoint-url", &self.auth_endpoint_url, &[AccessGrants, AssumeRole]),
        ];
        match said.iter().find(|(_, value, modes)| value.is_some() && !modes.contains(&mode)) {
            Some((option, ..)) => {
                Err(Failed::new(USAGE, format!("`{option}` means nothing with `--auth {}`", mode.table())))
            }
            None => Ok(()),
        }
    }
}

/// Reads where a secret stands. The text is not repeated: it may be the secret itself.
pub(super) fn reference(text: &str) -> Result<SecretReference, String> {
    text.parse().map_err(|error: crate::secrets::SpellingError| error.to_string())
}

/// An access key id as it stands in the file: the id, or where it stands.
pub(super) fn id_value(text: &str) -> Result<toml_edit::Value, String> {
    match text.contains(':') {
        true => reference(text).map(|reference| value_of(&reference)),
        false => Ok(text.into()),
    }
}

/// A reference as it stands in the file.
pub(super) fn value_of(reference: &SecretReference) -> toml_edit::Value {
    let mut table = toml_edit::InlineTable::new();
    if let Some((key, place)) = reference.key_and_place() {
        table.insert(key, place.into());
    }
    table.into()
}

#[cfg(test)]
mod tests {
    use clap::{Parser, error::ErrorKind};

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        add: Add,
    }

    fn add(options: &str) -> Add {
        Line::try_parse_from(["add"].into_iter().chain(options.split(' '))).unwrap().add
    }

    fn answered(mut add: Add, answers: &str) -> (Add, String) {
        let mut said = Vec::new();
        add.complete(&mut Questions::of(answers.as_bytes(), &mut said)).unwrap();
        (add, String::from_utf8(said).unwrap())
    }

    #[test]
    fn options_become_a_table() {
        let full = add("acme --region eu-central-1 --tenant t --auth assume_role --role-arn arn:aws:iam::1:role/r \
                        --external-id x-1 --access-key-id credential:acme-id --secret-access-key file:/k --force-path-style");
        assert!(full.is_complete());
        assert_eq!(
            full.table().unwrap(),
            "[connections.acme]\nregion = \"eu-central-1\"\ntenant = \"t\"\nforce_path_style = true\n\n\
             [connections.acme.assume_role]\nrole_arn = \"arn:aws:iam::1:role/r\"\nexternal_id = \"x-1\"\n\n\
             [connections.acme.assume_role.access_key]\naccess_key_id = { credential = \"acme-id\" }\n\
             secret_access_key = { file = \"/k\" }\n"
        );
        let chain = add("acme --endpoint-url http://127.0.0.1:1 --auth default_chain --force-path-style=false");
        assert_eq!(
            chain.table().unwrap(),
            "[connections.acme]\nendpoint_url = \"http://127.0.0.1:1\"\nforce_path_style = false\ndefault_chain = {}\n"
        );
    }

    #[test]
    fn questions_are_asked_of_what_is_open_until_the_answers_will_do() {
        let answers = "Acme\n\neu-central-1\nkeys\naccess_key\nAKIA1\nwJalr\nfile:/k\nexports\ns3://exports/daily/\n";
        let (add, said) = answered(add("acme"), answers);
        assert_eq!(
            add.table().unwrap(),
            "[connections.acme]\nname = \"Acme\"\nregion = \"eu-central-1\"\n\n[connections.acme.access_key]\n\
             access_key_id = \"AKIA1\"\nsecret_access_key = { file = \"/k\" }\n"
        );
        assert_eq!(add.target.unwrap().prefix, "daily/");
        assert!(said.contains("one of the four") && !said.contains("wJalr"), "{said}");
    }

    #[test]
    fn a_role_is_asked_for_with_whoever_assumes_it() {
        let (add, _) = answered(
            add("acme --region r-1 --auth assume_role --no-test --name A"),
            "arn:aws:iam::1:role/r\n\ncredential:acme-id\nenv:KEY\n",
        );
        assert_eq!(
            add.table().unwrap(),
            "[connections.acme]\nname = \"A\"\nregion = \"r-1\"\n\n[connections.acme.assume_role]\n\
             role_arn = \"arn:aws:iam::1:role/r\"\n\n[connections.acme.assume_role.access_key]\n\
             access_key_id = { credential = \"acme-id\" }\nsecret_access_key = { env = \"KEY\" }\n"
        );
        let mut ended = Vec::new();
        let mut questions = Questions::of(&b"Acme\n"[..], &mut ended);
        assert!(add_of_key().complete(&mut questions).is_err(), "no answer is no answer");
    }

    fn add_of_key() -> Add {
        add("acme")
    }

    #[test]
    fn what_cannot_be_meant_is_refused_and_a_secret_is_not_repeated() {
        let refused = |options: &str| add(options).table().unwrap_err().message;
        assert!(refused("a --region r-1").contains("how it gets its credentials"));
        assert!(refused("a --auth default_chain --role-arn r").contains("`--role-arn` means nothing"));
        let secret = refused("a --auth access_key --access-key-id ID --secret-access-key wJalrXUtnFEMI");
        assert!(secret.starts_with("`--secret-access-key`: ") && !secret.contains("wJalr"), "{secret}");
        let wrong = Line::try_parse_from(["add", "a", "--auth", "key"]).unwrap_err();
        assert_eq!(wrong.kind(), ErrorKind::InvalidValue);
    }
}
