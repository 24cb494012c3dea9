//! `gristmill users`: loading the users that account fields mean, and looking at those there are.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::accounts::{Form, Place, Store, go_on, importing, output_to, written_to_the_end};
use super::output::{Paint, printable};
use super::{BUG, Failed, Shared, UNWELL, load, output};
use crate::destination::accounts::Wanted;
use crate::object::IntegrationName;
use crate::users::{self, ImportedUsers};

/// Load the users that account fields mean, and look at those there are.
#[derive(Debug, Args)]
pub struct Users {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Load users from a CSV, Excel or NDJSON file of this machine.
    ///
    /// The file is read by the identifier and the fields of an integration, into its destination and tenant: one identifier
    /// with `match = "id"`, and the fields `email` and `name`, or one of them. Users that are there are updated, others are
    /// added; a blank cell keeps what was known, and nobody is taken away. Rows that do not read are refused alone, into a
    /// reject file. The daemon may run.
    #[command(after_help = "\
With `identifiers = [{ column = \"User ID\", match = \"id\" }]`, and
`fields = [{ column = \"Mail\", field = \"email\", type = \"email\" }, { column = \"Name\", field = \"name\", type = \"text\" }]`:
  gristmill users import staff.csv --integration acme-users
  gristmill replay acme-accounts --unmatched

An integration that is there for this alone has `enabled = false`.")]
    Import {
        /// The file.
        file: PathBuf,
        /// The integration whose identifier and fields say what the columns are.
        #[arg(long, value_name = "NAME")]
        integration: IntegrationName,
    },
    /// Show the users whose id is this text, or whose address or name contains it.
    #[command(after_help = "\
  gristmill users find jo@acme.example")]
    Find {
        /// An id, or a part of an address or a name. The letters A to Z may be small or capital.
        text: String,
        #[command(flatten)]
        place: Place,
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Write all users: as CSV with the columns `id`, `email` and `name`, or as lines of JSON.
    ///
    /// Cells are written exactly as they are, also those that begin with `=`, `+`, `-` or `@` and that a spreadsheet may
    /// take for a formula.
    #[command(after_help = "\
  gristmill users export users.csv")]
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

impl Users {
    pub fn run(self, shared: &Shared) -> Result<(), Failed> {
        match self.command {
            Command::Import { file, integration } => import(shared, file, &integration),
            Command::Find { text, place, limit } => find(shared, &text, &place, limit),
            Command::Export { file, format, place } => export(shared, file, format, &place),
        }
    }
}

fn import(shared: &Shared, file: PathBuf, integration: &IntegrationName) -> Result<(), Failed> {
    let imported = importing(shared, integration, |import, oversight| users::import(&import, &file, oversight))?;
    if shared.json {
        output::print_json(&serde_json::to_value(&imported).map_err(|error| Failed::of(BUG, &error))?);
    } else {
        show(&imported);
    }
    match imported.rejected {
        0 => Ok(()),
        rejected => Err(Failed::new(UNWELL, format!("{rejected} rows were rejected"))
            .hint(Some("mend them in the reject file and import that".to_owned()))),
    }
}

fn show(imported: &ImportedUsers) {
    let ImportedUsers { read, rejected, users, .. } = imported;
    output::print(format!("rows: {read} read, {rejected} rejected"));
    output::print(format!(
        "users: {} created, {} updated, {} unchanged",
        users.created, users.updated, users.unchanged
    ));
    for path in &imported.reject_files {
        output::print(format!("rejects: {}", printable(&path.display().to_string())));
    }
}

fn find(shared: &Shared, text: &str, place: &Place, limit: usize) -> Result<(), Failed> {
    let config = load(&shared.config)?.config;
    let store = Store::open(&config, place)?;
    let paint = Paint::of(&io::stdout());
    let (mut left, mut shown) = (limit, 0_usize);
    store.visit_users(Wanted::Like(text), &mut |user| {
        let Some(fewer) = left.checked_sub(1) else {
            eprintln!("and more: `--limit` shows them");
            return ControlFlow::Break(());
        };
        (left, shown) = (fewer, shown + 1);
        if shared.json {
            output::print_json(&json!(user));
            return ControlFlow::Continue(());
        }
        output::print(paint.bold(&printable(&user.id)));
        for (what, text) in [("email", &user.email), ("name", &user.name)] {
            if let Some(text) = text {
                output::print(format!("  {what}: {}", printable(text)));
            }
        }
        ControlFlow::Continue(())
    })?;
    match shown {
        0 => Err(Failed::new(UNWELL, format!("no user is known by `{}`", printable(text)))),
        _ => Ok(()),
    }
}

fn export(shared: &Shared, file: Option<PathBuf>, format: Option<Form>, place: &Place) -> Result<(), Failed> {
    let config = load(&shared.config)?.config;
    let store = Store::open(&config, place)?;
    let format = format.unwrap_or(if shared.json { Form::Ndjson } else { Form::Csv });
    let mut out = output_to(file.as_deref())?;
    let mut error = None;
    let written = match format {
        Form::Csv => {
            let mut table = csv::Writer::from_writer(&mut out);
            let mut row = |cells: [&str; 3]| go_on(table.write_record(cells).map_err(io::Error::from), &mut error);
            if row(["id", "email", "name"]).is_continue() {
                store.visit_users(Wanted::All, &mut |user| {
                    row([&user.id, user.email.as_deref().unwrap_or_default(), user.name.as_deref().unwrap_or_default()])
                })?;
            }
            table.flush()
        }
        Form::Ndjson => {
            store.visit_users(Wanted::All, &mut |user| go_on(writeln!(out, "{}", json!(user)), &mut error))?;
            Ok(())
        }
    };
    written_to_the_end(error.map_or(written, Err).and_then(|()| out.flush()))
}
