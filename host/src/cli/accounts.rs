//! `gristmill accounts`: loading the accounts to match against, and looking at those there are.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::output::{Paint, printable};
use super::{BUG, Failed, Shared, UNWELL, load, output};
use crate::accounts::{Import, ImportError, Imported};
use crate::config::Config;
use crate::daemon::destination_for_reading;
use crate::destination::accounts::{AccountColumns, AccountRecord, AccountVisitor, KEY_KINDS, Wanted};
use crate::destination::users::UserVisitor;
use crate::destination::{Destination, DestinationError};
use crate::ingest::Failure;
use crate::object::{DestinationName, IntegrationName, TenantName};
use crate::oversight::Oversight;

/// Load the accounts that rows are matched with, and look at those there are.
#[derive(Debug, Args)]
pub struct Accounts {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Load accounts from a CSV, Excel or NDJSON file of this machine.
    ///
    /// The file is read by the identifiers and fields of an integration, into its destination and tenant. Accounts that
    /// are there are updated, others are created, each known by every identifier that its row has; usage is left out.
    /// In a file that ends in `.ndjson` or `.jsonl` each line is a JSON object, whose keys are the columns. The same bytes
    /// are loaded once. Rows that do not read are refused alone, into a reject file. The daemon may run.
    #[command(after_help = "\
With `identifiers = [{ column = \"Id\", match = \"crm_id\" }, { column = \"Domain\", match = \"domain\" }]`, and fields:
  gristmill accounts import crm-export.csv --integration acme-accounts
  gristmill replay acme-usage --unmatched

An integration that is there for this alone has `enabled = false`.")]
    Import {
        /// The file.
        file: PathBuf,
        /// The integration whose identifiers and fields say what the columns are.
        #[arg(long, value_name = "NAME")]
        integration: IntegrationName,
        /// Load it once more, in the place of the time before: after the mapping was mended, say.
        #[arg(long)]
        again: bool,
    },
    /// Show the accounts whose CRM id, domain or name is this text, or whose name contains it.
    ///
    /// In names, capital letters, accents and punctuation do not count.
    #[command(after_help = "\
  gristmill accounts find 0015e00000AbCdE
  gristmill accounts find \"müller gmbh\"")]
    Find {
        /// A CRM id, a domain, a name, or a part of a name.
        text: String,
        #[command(flatten)]
        place: Place,
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Write all accounts with their keys and the values of their fields as they are now.
    ///
    /// As CSV an account is a row: `crm_id`, `domain` and `name`, then its fields. Further keys of a kind stand in
    /// `domain_2` and so on; a field that is called like such a column stands as `field_name`. Items of a list have a
    /// comma between them. Cells are written exactly as they are, also those that begin with `=`, `+`, `-` or `@` and
    /// that a spreadsheet may take for a formula: what is exported has to come back as what it was.
    #[command(after_help = "\
  gristmill accounts export accounts.csv
  gristmill accounts export --format ndjson | jq 'select(.fields.stage == \"won\")'

`accounts import` reads the CSV back with an integration that maps these columns.")]
    Export {
        /// Where to; standard output if none.
        file: Option<PathBuf>,
        /// The form: `csv`, or `ndjson` for lines of JSON.
        #[arg(long, value_enum)]
        format: Option<Form>,
        #[command(flatten)]
        place: Place,
    },
}

/// Where accounts are looked for.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// Whose accounts; needed where there are several tenants.
    #[arg(long)]
    tenant: Option<TenantName>,
    /// Where they are; needed where the tenant's are in several destinations.
    #[arg(long)]
    destination: Option<DestinationName>,
}

/// A form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// A table.
    Csv,
    /// One JSON object an account.
    Ndjson,
}

impl Accounts {
    pub fn run(self, shared: &Shared) -> Result<(), Failed> {
        match self.command {
            Command::Import { file, integration, again } => import(shared, file, &integration, again),
            Command::Find { text, place, limit } => find(shared, &text, &place, limit),
            Command::Export { file, format, place } => export(shared, file, format, &place),
        }
    }
}

fn import(shared: &Shared, file: PathBuf, integration: &IntegrationName, again: bool) -> Result<(), Failed> {
    let imported = importing(shared, integration, |import, oversight| import.run(&file, again, oversight))?;
    if shared.json {
        output::print_json(&serde_json::to_value(&imported).map_err(|error| Failed::of(BUG, &error))?);
    } else {
        show(&imported, again);
    }
    match imported.rejected > 0 && !imported.already {
        true => Err(Failed::new(UNWELL, format!("{} rows were rejected", imported.rejected))
            .hint(Some("mend them in the reject file and import that".to_owned()))),
        false => Ok(()),
    }
}

/// Runs a load on a thread of its own, while this one draws how far it is.
pub(super) fn importing<T: Send>(
    shared: &Shared,
    integration: &IntegrationName,
    run: impl FnOnce(Import, &Oversight) -> Result<T, ImportError> + Send,
) -> Result<T, Failed> {
    let config = load(&shared.config)?.config;
    let bar = super::draws_progress(shared).then(|| super::run::spinner("import"));
    let oversight = Oversight::default();
    let imported = std::thread::scope(|scope| {
        let work = scope.spawn(|| run(Import::prepare(&config, integration)?, &oversight));
        while let Some(bar) = bar.as_ref().filter(|_| !work.is_finished()) {
            bar.set_position(oversight.progress.rows());
            std::thread::sleep(Duration::from_millis(100));
        }
        work.join().unwrap_or_else(|_| Err(Failure::Panicked.into()))
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    imported.map_err(|error| Failed::of(UNWELL, &error).hint(error.hint()))
}

fn show(imported: &Imported, again: bool) {
    let file = printable(&imported.file.display().to_string());
    if imported.already && !again {
        output::print(format!("{file} is there already: nothing was loaded (`--again` loads it once more)"));
        return;
    }
    let Imported { read, created, updated, unchanged, rejected, unmatched, ambiguous, .. } = imported;
    output::print(format!("rows: {read} read, {rejected} rejected"));
    output::print(format!("accounts: {created} created, {updated} updated, {unchanged} unchanged"));
    if unmatched + ambiguous > 0 {
        output::print(format!("rows left out: {unmatched} without an account, {ambiguous} with several"));
    }
    for path in &imported.reject_files {
        output::print(format!("rejects: {}", printable(&path.display().to_string())));
    }
    for integration in &imported.to_replay {
        output::print(format!(
            "files with rows that matched no account before: gristmill replay {integration} --unmatched"
        ));
    }
}

fn find(shared: &Shared, text: &str, place: &Place, limit: usize) -> Result<(), Failed> {
    let config = load(&shared.config)?.config;
    let mut found = Found { columns: None, as_json: shared.json, left: limit, shown: 0 };
    let store = Store::open(&config, place)?;
    store.visit(Wanted::Like(text), &mut found)?;
    match found.shown {
        0 => Err(Failed::new(UNWELL, format!("no account is known by `{}`", printable(text)))),
        _ => Ok(()),
    }
}

fn export(shared: &Shared, file: Option<PathBuf>, format: Option<Form>, place: &Place) -> Result<(), Failed> {
    let config = load(&shared.config)?.config;
    let store = Store::open(&config, place)?;
    let format = format.unwrap_or(if shared.json { Form::Ndjson } else { Form::Csv });
    let mut out = output_to(file.as_deref())?;
    let written = match format {
        Form::Csv => {
            let mut table =
                Table { out: csv::Writer::from_writer(&mut out), cells: Vec::new(), keys: [0; 3], error: None };
            store.visit(Wanted::All, &mut table)?;
            let flushed = table.out.flush();
            table.error.map_or(flushed, Err)
        }
        Form::Ndjson => {
            let mut lines = Lines { out: &mut out, columns: None, error: None };
            store.visit(Wanted::All, &mut lines)?;
            lines.error.map_or(Ok(()), Err)
        }
    };
    written_to_the_end(written.and_then(|()| out.flush()))
}

/// A new file, or standard output.
pub(super) fn output_to(file: Option<&Path>) -> Result<BufWriter<Box<dyn Write>>, Failed> {
    let out: Box<dyn Write> = match file {
        Some(path) => Box::new(
            File::create_new(path)
                .map_err(|error| Failed::new(UNWELL, format!("cannot create `{}`: {error}", path.display())))?,
        ),
        None => Box::new(io::stdout()),
    };
    Ok(BufWriter::new(out))
}

/// How an export ended.
pub(super) fn written_to_the_end(written: io::Result<()>) -> Result<(), Failed> {
    match written {
        // Whoever reads us may stop reading (`| head`).
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// The accounts and users of one tenant in one destination.
pub(super) struct Store {
    destination: Arc<dyn Destination>,
    tenant: TenantName,
    name: DestinationName,
    /// What the destination would keep beside its store.
    _scratch: tempfile::TempDir,
}

impl Store {
    pub(super) fn open(config: &Config, place: &Place) -> Result<Self, Failed> {
        let (tenant, name) = choose(config, place)?;
        let scratch = tempfile::tempdir()?;
        let failed = |error: DestinationError| Failed::of(UNWELL, &error).hint(error.hint().map(str::to_owned));
        let destination = destination_for_reading(config, &name, scratch.path());
        let missing = || Failed::new(UNWELL, format!("there is no destination `{name}`"));
        let destination = destination.ok_or_else(missing)?.map_err(failed)?;
        Ok(Self { destination, tenant, name, _scratch: scratch })
    }

    fn visit(&self, wanted: Wanted<'_>, visitor: &mut dyn AccountVisitor) -> Result<(), Failed> {
        self.destination.visit_accounts(&self.tenant, wanted, visitor).map_err(|error| self.failed(&error))
    }

    pub(super) fn visit_users(&self, wanted: Wanted<'_>, visitor: &mut UserVisitor<'_>) -> Result<(), Failed> {
        self.destination.visit_users(&self.tenant, wanted, visitor).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &DestinationError) -> Failed {
        let hint = match error {
            DestinationError::CannotTell => {
                Some(format!("`{}` passes records on; name one that keeps accounts", self.name))
            }
            DestinationError::Sqlite { .. } | DestinationError::Io { .. } => {
                Some("the account store belongs to the daemon's user; run this as that user or as root".to_owned())
            }
            error => error.hint().map(str::to_owned),
        };
        Failed::of(UNWELL, error).hint(hint)
    }
}

/// The one place that is meant: where integrations put accounts, and as far as it was said.
fn choose(config: &Config, place: &Place) -> Result<(TenantName, DestinationName), Failed> {
    let integrations = config.integrations.values().chain(config.switched_off.values());
    let mut places: Vec<_> = integrations
        .flat_map(|settings| settings.destinations.iter().map(|name| (settings.tenant.clone(), name.clone())))
        .filter(|(tenant, _)| place.tenant.as_ref().is_none_or(|wanted| wanted == tenant))
        .filter(|(_, name)| match &place.destination {
            Some(wanted) => wanted == name,
            None => config.destinations.get(name).is_some_and(|found| found.kind.can_match()),
        })
        .collect();
    places.sort();
    places.dedup();
    match places.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(Failed::new(UNWELL, "no integration keeps accounts there")
            .hint(Some("gristmill check shows what is configured".to_owned()))),
        several => {
            let listed: Vec<String> =
                several.iter().map(|(tenant, name)| format!("--tenant {tenant} --destination {name}")).collect();
            Err(Failed::new(UNWELL, "accounts are in several places")
                .hint(Some(format!("say which: {}", listed.join(", or ")))))
        }
    }
}

/// Shows accounts to a person, or as lines of JSON.
struct Found {
    columns: Option<AccountColumns>,
    as_json: bool,
    left: usize,
    shown: usize,
}

impl AccountVisitor for Found {
    fn columns(&mut self, columns: &AccountColumns) -> ControlFlow<()> {
        self.columns = Some(columns.clone());
        ControlFlow::Continue(())
    }

    fn account(&mut self, account: &AccountRecord) -> ControlFlow<()> {
        let Some(left) = self.left.checked_sub(1) else {
            eprintln!("and more: `--limit` shows them");
            return ControlFlow::Break(());
        };
        (self.left, self.shown) = (left, self.shown + 1);
        let fields = self.columns.as_ref().map(|columns| columns.fields.as_slice()).unwrap_or_default();
        if self.as_json {
            output::print_json(&as_json(account, fields));
            return ControlFlow::Continue(());
        }
        let paint = Paint::of(&io::stdout());
        output::print(paint.bold(&format!("account {}, created {}", account.id, account.created_at)));
        for (kind, keys) in KEY_KINDS.iter().zip(&account.keys).filter(|(_, keys)| !keys.is_empty()) {
            output::print(format!("  {kind}: {}", printable(&keys.join(", "))));
        }
        for (place, value) in &account.values {
            let field = fields.get(*place).map(String::as_str).unwrap_or_default();
            output::print(format!("  {}: {}", printable(field), printable(&cell(value))));
        }
        ControlFlow::Continue(())
    }
}

fn as_json(account: &AccountRecord, fields: &[String]) -> Value {
    let mut object = Map::new();
    object.insert("account_id".to_owned(), account.id.into());
    object.insert("created_at".to_owned(), account.created_at.clone().into());
    for (kind, keys) in KEY_KINDS.iter().zip(&account.keys) {
        object.insert((*kind).to_owned(), json!(keys));
    }
    let values = account.values.iter().filter_map(|(place, value)| Some((fields.get(*place)?.clone(), value.clone())));
    object.insert("fields".to_owned(), Value::Object(values.collect()));
    Value::Object(object)
}

/// A value as the text of a cell.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// Writes accounts as lines of JSON.
struct Lines<W> {
    out: W,
    columns: Option<AccountColumns>,
    error: Option<io::Error>,
}

impl<W: Write> AccountVisitor for Lines<W> {
    fn columns(&mut self, columns: &AccountColumns) -> ControlFlow<()> {
        self.columns = Some(columns.clone());
        ControlFlow::Continue(())
    }

    fn account(&mut self, account: &AccountRecord) -> ControlFlow<()> {
        let fields = self.columns.as_ref().map(|columns| columns.fields.as_slice()).unwrap_or_default();
        go_on(writeln!(self.out, "{}", as_json(account, fields)), &mut self.error)
    }
}

/// Writes accounts as CSV.
struct Table<W: Write> {
    out: csv::Writer<W>,
    /// The cells of the row in hand; kept for its memory.
    cells: Vec<String>,
    /// How many columns each kind of key has.
    keys: [usize; KEY_KINDS.len()],
    error: Option<io::Error>,
}

impl<W: Write> AccountVisitor for Table<W> {
    fn columns(&mut self, columns: &AccountColumns) -> ControlFlow<()> {
        // There is a column for each kind, so that a mapping of these columns fits every export.
        self.keys = columns.keys.map(|most| most.max(1));
        let header = header(self.keys, &columns.fields);
        self.cells.resize(header.len(), String::new());
        go_on(self.out.write_record(&header).map_err(io::Error::from), &mut self.error)
    }

    fn account(&mut self, account: &AccountRecord) -> ControlFlow<()> {
        self.cells.iter_mut().for_each(String::clear);
        let mut first = 0;
        for (most, keys) in self.keys.iter().zip(&account.keys) {
            for (cell, key) in self.cells.iter_mut().skip(first).take(*most).zip(keys) {
                cell.push_str(key);
            }
            first += most;
        }
        for (place, value) in &account.values {
            if let Some(found) = self.cells.get_mut(first + place) {
                *found = cell(value);
            }
        }
        go_on(self.out.write_record(&self.cells).map_err(io::Error::from), &mut self.error)
    }
}

/// The names of the columns, no two alike.
fn header(keys: [usize; KEY_KINDS.len()], fields: &[String]) -> Vec<String> {
    let mut header = Vec::new();
    for (kind, most) in KEY_KINDS.iter().zip(keys) {
        header
            .extend((1..=most).map(|number| if number == 1 { (*kind).to_owned() } else { format!("{kind}_{number}") }));
    }
    for field in fields {
        let mut name = field.clone();
        while header.contains(&name) || (name != *field && fields.contains(&name)) {
            name.insert_str(0, "field_");
        }
        header.push(name);
    }
    header
}

pub(super) fn go_on(written: io::Result<()>, error: &mut Option<io::Error>) -> ControlFlow<()> {
    match written {
        Ok(()) => ControlFlow::Continue(()),
        Err(failed) => {
            *error = Some(failed);
            ControlFlow::Break(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_columns_of_an_export_are_called_the_same() {
        let fields = ["field_name".to_owned(), "name".to_owned(), "stage".to_owned()];
        assert_eq!(
            header([1, 2, 1], &fields),
            ["crm_id", "domain", "domain_2", "name", "field_name", "field_field_name", "stage"]
        );
    }
}
