//! The demo: the built daemon on a bucket of real files, told step by step.
//!
//! It owns the story and holds the product to it: what it says is looked up and checked, and the first thing that is not
//! as said ends it with exit code 1. Everything it makes lies in a temporary directory, which `--keep` keeps; the two
//! processes that it starts are ended by their own ids, whatever happens.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::Value;

use crate::demo::page::Page;
use crate::demo::scene::{Scene, Trouble, ensure};

mod page;
mod scene;

/// A loaded machine is given this long for what takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the bucket holds for the daemon to take, by integration.
const TAKEN: [(&str, u64); 3] = [("accounts", 2), ("renewals", 2), ("usage", 3)];

const ACCOUNTS: &str = "\
SELECT crm_id,
       max(value) FILTER (WHERE field = 'name') AS name,
       max(value) FILTER (WHERE field = 'plan') AS plan,
       max(value) FILTER (WHERE field = 'arr') AS arr,
       max(value) FILTER (WHERE field = 'renewal_date') AS renewal,
       max(value) FILTER (WHERE field = 'health') AS health,
       max(value) FILTER (WHERE field = 'discount') AS discount
FROM account_field_values GROUP BY account_id ORDER BY crm_id";

const USAGE: &str = "\
SELECT crm_id,
       max(value) FILTER (WHERE period_start = '2026-08-01') AS august,
       max(value) FILTER (WHERE period_start = '2026-09-01') AS september,
       max(value) FILTER (WHERE period_start = '2026-10-01') AS october
FROM usage_records WHERE metric = 'mau' GROUP BY crm_id ORDER BY crm_id";

const REJECTED: &str = "\
SELECT key, line, column_name AS \"column\", value, code
FROM rejected_rows ORDER BY key, line";

const COUNT: &str = "SELECT count(*) AS accounts FROM account_overview";

const CHANGED: &str = "\
SELECT field, value, key FROM account_field_values
WHERE crm_id = '0014K00008' AND field IN ('arr', 'health', 'plan')
ORDER BY field";

/// Runs the demo; `--keep` leaves its files where they are.
pub fn main() -> ExitCode {
    let keep = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => false,
        [only] if only == "--keep" => true,
        _ => {
            eprintln!("usage: demo [--keep]");
            return ExitCode::from(64);
        }
    };
    let began = Instant::now();
    let page = Page::new();
    let told = Scene::set(page).and_then(|mut scene| {
        let told = tell(&mut scene);
        if told.is_err() {
            scene.show_log();
        }
        scene.end(keep).and(told)
    });
    match told {
        Ok(()) => {
            page.say(&format!("All of this was checked, and took {:.1} s.", began.elapsed().as_secs_f64()));
            ExitCode::SUCCESS
        }
        Err(trouble) => {
            eprintln!("demo: {trouble}");
            ExitCode::FAILURE
        }
    }
}

fn tell(scene: &mut Scene) -> Result<(), Trouble> {
    show_bucket(scene)?;
    try_out(scene)?;
    take_everything(scene)?;
    show_records(scene)?;
    show_rejects(scene)?;
    replace_one(scene)?;
    stop(scene)
}

fn show_bucket(scene: &mut Scene) -> Result<(), Trouble> {
    let page = scene.page;
    page.heading("A bucket");
    page.say(
        "A software company exports what it knows of its customers: accounts as CSV with semicolons and decimal \
         commas, usage as CSV by month, renewals as workbooks. An S3-compatible server on this machine shows the \
         folder as a bucket.",
    );
    let mut rows = Vec::new();
    for (key, size) in scene.files()? {
        let name = key.to_ascii_lowercase();
        let note = match () {
            () if size == 0 => "ignored: empty",
            () if [".csv", ".xlsx", ".xls"].iter().any(|suffix| name.ends_with(suffix)) => "",
            () => "ignored: not CSV or Excel",
        };
        rows.push(vec![key, size.to_string(), note.to_owned()]);
    }
    page.table(&["key", "bytes", ""], &rows);
    scene.serve()
}

fn try_out(scene: &Scene) -> Result<(), Trouble> {
    let page = scene.page;
    page.heading("Before anything runs");
    page.say("The configuration is one TOML file, the secret stands in a file of its own. `check` contacts nobody:");
    page.command(&format!("export GRISTMILL_CONFIG={}", scene.config().display()));
    let checked = scene.gristmill(&["check"])?;
    ensure(checked.contains("3 integrations"), "`check` finds three integrations")?;
    page.say("Can the bucket be listed and read?");
    let tested = scene.gristmill(&["connection", "test", "millbrook", "s3://customer-success/accounts/"])?;
    ensure(!tested.contains("refused"), "the connection can list and read")?;
    page.say("What would a file become? This is a dry run, it writes nothing:");
    let tried = scene.gristmill(&["test", "usage", "bucket/usage/usage-2026-09.csv"])?;
    ensure(tried.contains("1 rejected"), "the dry run finds the row that does not read")?;
    ensure(!scene.store().exists(), "a dry run leaves no store")
}

fn take_everything(scene: &mut Scene) -> Result<(), Trouble> {
    let page = scene.page;
    page.heading("The daemon takes what is there");
    scene.start_daemon()?;
    page.say("It polls each integration and takes every file once. When all are taken:");
    scene.wait("every file is taken", PATIENCE, |status| {
        TAKEN.iter().all(|(name, files)| completed(status, name) == *files && is_waiting(status, name))
    })?;
    let status = scene.gristmill(&["status"])?;
    ensure(status.contains("is running"), "`status` was answered by the daemon")?;
    scene.gristmill(&["ledger", "list"])?;
    Ok(())
}

fn show_records(scene: &Scene) -> Result<(), Trouble> {
    let page = scene.page;
    let store = scene.open_store()?;
    page.heading("Accounts");
    page.say("The store is SQLite, with views to read it by:");
    let accounts = scene.query(&store, ACCOUNTS)?;
    ensure(accounts.len() == 10, "ten accounts were made of the rows that could be read")?;
    ensure(
        accounts.iter().any(|row| row.contains(&"Ember & Söhne".to_owned()) && row.contains(&"96000".to_owned())),
        "the CSV file was read with its decimal commas",
    )?;
    ensure(
        accounts.iter().any(|row| row.contains(&"7.5".to_owned())),
        "a percentage came out of the workbook as it is shown there",
    )?;
    page.heading("Usage");
    let usage = scene.query(&store, USAGE)?;
    ensure(usage.len() == 10, "ten accounts have usage")?;
    ensure(
        usage
            .iter()
            .any(|row| matches!(row.as_slice(), [id, _, refused, ..] if id == "0014K00004" && refused.is_empty())),
        "a row that was refused left no usage",
    )
}

fn show_rejects(scene: &Scene) -> Result<(), Trouble> {
    let page = scene.page;
    let store = scene.open_store()?;
    page.heading("Rejects");
    page.say("A row that does not read is refused alone, with its line, column and value:");
    let rejected = scene.query(&store, REJECTED)?;
    ensure(rejected.len() == 6, "six rows were refused")?;
    page.say(
        "Each file with rejects has a reject file: the original cells, then what is wrong and where the row came from. \
         It opens in a spreadsheet.",
    );
    scene.shell("ls state/rejects/renewals")?;
    let content = scene.shell("cat state/rejects/renewals/*.rejects.csv")?;
    ensure(content.contains("to be agreed"), "the reject file has the original cells")?;
    page.say("And why was, was not, or will a file be taken?");
    let explained = scene.gristmill(&["explain", "accounts", "accounts/NEW-CUSTOMERS.CSV"])?;
    ensure(explained.contains("taken: completed"), "`explain` says that the file was taken")?;
    let explained = scene.gristmill(&["explain", "usage", "usage/usage-2026-07.csv.gz"])?;
    ensure(explained.contains("never taken"), "`explain` says that an archive is never taken")
}

fn replace_one(scene: &mut Scene) -> Result<(), Trouble> {
    let page = scene.page;
    page.heading("One file changes");
    page.say("What the store says of Harrow Media:");
    let store = scene.open_store()?;
    let before = scene.query(&store, CHANGED)?;
    let ingestions = count(&store)?;
    page.say(
        "The CRM exports again: Harrow Media has grown, and the rows that were refused are mended. The file takes the \
         place of the old one in the bucket.",
    );
    let key = "accounts/accounts-2026-10.csv";
    scene.replace(key, |text| {
        text.replace("54.750,00;Growth;30.04.2027;60;45", "72.000,00;Enterprise;30.04.2027;85;71")
            .replace("on request", "39.900,00")
            .replace("31.02.2027", "28.02.2027")
            .replace("\r\n;Kestrel Optics", "\r\n0014K00014;Kestrel Optics")
            .replace("61.200,00;Growth\r\n", "61.200,00;Growth;30.06.2027;55;77;\r\n")
    })?;
    for (integration, _) in TAKEN {
        scene.gristmill(&["poll", integration])?;
    }
    scene.wait("the changed file is taken", PATIENCE, |status| {
        TAKEN.iter().all(|(name, files)| {
            let taken = u64::from(*name == "accounts");
            last_pass(status, name, "known") == Some(files - taken)
                && last_pass(status, name, "succeeded") == Some(taken)
                && is_waiting(status, name)
        })
    })?;
    page.say("Only that file is taken again. The ledger has both of its versions:");
    let shown = scene.gristmill(&["ledger", "show", "accounts", key])?;
    ensure(shown.matches("completed").count() == 2, "the ledger has two versions of the changed file")?;
    ensure(count(&store)? == ingestions + 1, "no other file was taken again")?;
    page.say("Harrow Media has its new values, and the mended rows are four more accounts:");
    let after = scene.query(&store, CHANGED)?;
    ensure(before != after && after.iter().flatten().any(|cell| cell == "72000"), "the account has the new values")?;
    let accounts = scene.query(&store, COUNT)?;
    ensure(accounts == [["14"]], "the four mended rows have become accounts")
}

fn stop(scene: &mut Scene) -> Result<(), Trouble> {
    let page = scene.page;
    page.heading("Stopping");
    page.say("SIGTERM lets files in flight finish.");
    let code = scene.stop_daemon()?;
    ensure(code == Some(0), "the daemon exits with 0")?;
    page.output("exit code 0");
    Ok(())
}

fn integration<'a>(status: &'a Value, name: &str) -> Option<&'a Value> {
    status.get("integrations")?.as_array()?.iter().find(|one| one.get("integration").is_some_and(|is| is == name))
}

fn completed(status: &Value, name: &str) -> u64 {
    let count = |one: &Value| one.get("objects")?.get("completed")?.as_u64();
    integration(status, name).and_then(count).unwrap_or_default()
}

fn last_pass(status: &Value, name: &str, count: &str) -> Option<u64> {
    integration(status, name)?.get("last_pass")?.get(count)?.as_u64()
}

fn is_waiting(status: &Value, name: &str) -> bool {
    let idle = |one: &Value| Some(one.get("activity")? == "waiting" && one.get("last_pass")?.is_object());
    integration(status, name).and_then(idle).unwrap_or_default()
}

fn count(store: &Connection) -> Result<u32, Trouble> {
    Ok(store.query_row("SELECT count(*) FROM ingestion_history", [], |row| row.get(0))?)
}
