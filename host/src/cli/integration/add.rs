//! `gristmill integration add`: from a sample to a table that was tried before it is written.
//!
//! Every question has a flag. At a terminal, what no flag says is asked, with what the sample proposes; without one it is
//! not guessed.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::draft::{Draft, Field, Metric, Usage};
use super::questions::Questions;
use super::sample::SampleFile;
use super::{complaint, reload};
use crate::account_fields::AccountFieldType;
use crate::cli::connection::parse_target;
use crate::cli::output::{printable, text};
use crate::cli::{Failed, Shared, UNWELL, USAGE, ask, load, output, test};
use crate::config::Config;
use crate::config::edit::Edit;
use crate::control::{Request, Target};
use crate::decode::Encoding;
use crate::object::{BucketName, ConnectionKey, IntegrationName, TenantName};
use crate::proposal::{self, IdentifierProposal, Reading, Sample};

/// Rows that are shown of a sample.
const SHOWN_ROWS: usize = 5;
/// Characters that are shown of a cell.
const SHOWN_CELL: usize = 24;

#[derive(Debug, Args)]
pub(super) struct Add {
    /// Its name.
    integration: IntegrationName,
    /// The connection that shows its files. The only one there is, if none is named.
    #[arg(long, value_name = "KEY")]
    connection: Option<ConnectionKey>,
    /// The bucket.
    #[arg(long)]
    bucket: Option<BucketName>,
    /// What the keys begin with. The default is nothing: the whole bucket.
    #[arg(long)]
    prefix: Option<String>,
    /// Whose it is.
    #[arg(long)]
    tenant: Option<TenantName>,
    /// A destination. Any number of times.
    #[arg(long, value_name = "NAME")]
    destination: Vec<String>,
    /// A file on this machine, s3://BUCKET/KEY, or `newest` for the newest file that it would take.
    #[arg(long, value_name = "FILE")]
    sample: Option<String>,
    /// What stands between the cells of its CSV files; `\t` is a tab. The default is what the sample shows.
    #[arg(long, value_parser = parse_delimiter, value_name = "CHARACTER")]
    delimiter: Option<char>,
    /// The encoding of its CSV files. The default is what the sample shows.
    #[arg(long)]
    encoding: Option<Encoding>,
    /// A column that says which account a row is of, and what it is compared with: `Account ID=crm_id`, `Site=domain`,
    /// `Company=name`. They are tried in this order. Any number of times.
    #[arg(long, value_name = "COLUMN=MATCH", value_parser = parse_pair)]
    identifier: Vec<(String, String)>,
    /// A column, the account field that it becomes, and its type: `ARR=arr:currency`. Without a type the sample proposes
    /// one, and with it how numbers and dates are written. Any number of times.
    #[arg(long, value_name = "COLUMN=FIELD[:TYPE]", value_parser = parse_pair)]
    field: Vec<(String, String)>,
    /// Every other column becomes an account field, as the sample proposes.
    #[arg(long)]
    all_fields: bool,
    /// The product whose usage the file holds.
    #[arg(long)]
    product: Option<String>,
    /// The span of time that a row stands for.
    #[arg(long, requires = "product")]
    period: Option<String>,
    /// The column with each row's date, and how dates are written where it is not as the sample shows: `Month=%m/%Y`.
    #[arg(long, value_name = "COLUMN[=FORMAT]", requires = "product")]
    date: Option<String>,
    /// A column with a number, and the metric that it is: `API calls=api_calls:sum`. Any number of times.
    #[arg(long, value_name = "COLUMN=METRIC[:AGGREGATE]", value_parser = parse_pair, requires = "product")]
    metric: Vec<(String, String)>,
    /// What happens to a row that matches no account: `skip`, `create` or `error`. The default is `skip`.
    #[arg(long, value_parser = ["skip", "create", "error"])]
    on_no_match: Option<String>,
    /// The file that gets the table: the main one, or one such as conf.d/acme.toml, which is made where it is missing.
    #[arg(long)]
    file: Option<PathBuf>,
    /// Write it although the sample was not tried, or fails.
    #[arg(long)]
    no_test: bool,
    /// Ask nothing, and write it.
    #[arg(long)]
    yes: bool,
}

fn parse_delimiter(text: &str) -> Result<char, String> {
    let text = if text == "\\t" { "\t" } else { text };
    let mut characters = text.chars();
    characters
        .next()
        .filter(|one| one.is_ascii() && characters.next().is_none())
        .ok_or_else(|| "expected one ASCII character".to_owned())
}

/// The column may have a `=` of its own.
fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.rsplit_once('=') {
        Some((column, meaning)) if !column.is_empty() && !meaning.is_empty() => {
            Ok((column.to_owned(), meaning.to_owned()))
        }
        Some(_) | None => Err("expected COLUMN=MEANING".to_owned()),
    }
}

pub(super) fn add(shared: &Shared, wish: Add) -> Result<(), Failed> {
    let config = load(&shared.config)?.config;
    let at_terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let mut person = (at_terminal && !wish.yes && !shared.json).then(Questions::on_terminal);
    let (draft, sample) = draft(shared, &config, &wish, person.as_mut())?;
    let name = draft.name.as_str();
    let by_hand = || "by hand: put the table into a file of the configuration, and reload the daemon".to_owned();
    let mut edit = Edit::open(&shared.config).map_err(|error| complaint(&error, by_hand))?;
    let file = edit.insert(wish.file.as_deref(), "integrations", name, &draft.text());
    let file = file.map_err(|error| complaint(&error, by_hand))?;
    let checked = edit.checked().map_err(|error| {
        Failed::of(USAGE, &error)
            .hint(Some("nothing was written; say it with other flags, or write the table by hand".to_owned()))
    })?;
    let report = try_sample(shared, &checked, &draft.name, sample.as_ref().filter(|_| !wish.no_test), person.as_mut())?;
    if !shared.json {
        output::print(draft.text().trim_end());
    }
    let may_write = match &mut person {
        Some(person) => person.agree(&format!("Write this to `{}`?", file.display()), true)?,
        None => wish.yes,
    };
    if !may_write {
        return Err(
            Failed::new(USAGE, "nothing was written").hint((!at_terminal).then(|| "--yes writes it".to_owned()))
        );
    }
    edit.write().map_err(|error| complaint(&error, by_hand))?;
    reload(&config.daemon.runtime_dir)?;
    match shared.json {
        true => {
            output::print_json(&json!({ "integration": name, "file": file, "table": draft.text(), "test": report }))
        }
        false => output::print(format!(
            "{name}: written to `{}`; gristmill integration show {name} says what can be done with it",
            file.display()
        )),
    }
    Ok(())
}

/// A dry run of the sample by the configuration as it is to be. At a terminal a person may go on whatever comes of it.
fn try_sample(
    shared: &Shared,
    config: &Config,
    name: &IntegrationName,
    sample: Option<&SampleFile>,
    person: Option<&mut Questions>,
) -> Result<Value, Failed> {
    let Some(sample) = sample else { return Ok(Value::Null) };
    let tried = test::try_local(shared, config.clone(), name, sample.path().to_owned()).and_then(|report| {
        if !shared.json {
            test::show(&report);
            output::print("");
        }
        match text(&report, "would_fail") {
            "" => Ok(report),
            limit => Err(Failed::new(UNWELL, format!("the sample would fail: {limit}"))),
        }
    });
    match (tried, person) {
        (Ok(report), _) => Ok(report),
        (Err(failed), Some(person)) => {
            person.say(&format!("the sample fails: {}", printable(&failed.message)));
            match person.agree("Go on all the same?", false)? {
                true => Ok(Value::Null),
                false => Err(failed),
            }
        }
        (Err(failed), None) => Err(failed.and("nothing was written; --no-test writes it all the same")),
    }
}

/// What the flags say, and what is answered where they say nothing.
fn draft(
    shared: &Shared,
    config: &Config,
    wish: &Add,
    mut person: Option<&mut Questions>,
) -> Result<(Draft, Option<SampleFile>), Failed> {
    let connection = connection(config, wish, person.as_deref_mut())?;
    let bucket = match (&wish.bucket, person.as_deref_mut()) {
        (Some(bucket), _) => bucket.clone(),
        (None, Some(person)) => {
            // What may not be listed is given by hand.
            let seen = ask(shared, Request::ConnectionBuckets { connection: connection.clone() }, |_| {}).ok();
            let seen = seen.as_ref().and_then(|seen| seen.get("buckets")?.as_array());
            let seen: Vec<String> =
                seen.into_iter().flatten().filter_map(|one| Some(one.as_str()?.to_owned())).collect();
            let chosen = person.choose("Which bucket?", &seen)?;
            chosen.parse().map_err(|error| Failed::of(USAGE, &error))?
        }
        (None, None) => return Err(unsaid("the bucket", "--bucket BUCKET")),
    };
    let prefix = match (&wish.prefix, person.as_deref_mut()) {
        (Some(prefix), _) => prefix.clone(),
        (None, Some(person)) => person.ask("What do the keys begin with? Nothing for the whole bucket:", "")?,
        (None, None) => String::new(),
    };
    let target = Target { bucket: bucket.clone(), prefix: prefix.clone() };
    let sample = sample(shared, wish, &connection, &target, person.as_deref_mut())?;
    let empty = Sample::default();
    let table = sample.as_ref().map_or(&empty, |sample| &sample.table);
    if let Some(person) = person.as_deref_mut() {
        show(person, table);
    }
    let identifiers = identifiers(wish, table, person.as_deref_mut())?;
    let usage = usage(wish, table, &identifiers, person.as_deref_mut())?;
    let fields = fields(wish, table, &identifiers, usage.as_ref(), person.as_deref_mut())?;
    let on_no_match = match (&wish.on_no_match, person) {
        (Some(said), _) => Some(said.clone()),
        (None, Some(person)) => {
            let understand = |answer: &str| match answer {
                "skip" | "create" | "error" => Ok(answer.to_owned()),
                _ => Err("`skip`, `create` or `error` is expected".to_owned()),
            };
            Some(person.ask_for(
                "A row that matches no account: skip it, create the account, or fail the file (error)?",
                "skip",
                understand,
            )?)
        }
        (None, None) => None,
    };
    let draft = Draft {
        name: wish.integration.clone(),
        connection,
        bucket,
        prefix,
        tenant: wish.tenant.clone(),
        destinations: wish.destination.clone(),
        delimiter: sample.as_ref().map_or(wish.delimiter, |sample| sample.delimiter),
        encoding: sample.as_ref().map_or(wish.encoding, |sample| sample.encoding),
        on_no_match: on_no_match.filter(|said| said != "skip"),
        identifiers,
        fields,
        usage,
    };
    Ok((draft, sample))
}

fn unsaid(what: &str, flag: &str) -> Failed {
    Failed::new(USAGE, format!("nothing says {what}")).hint(Some(flag.to_owned()))
}

fn connection(config: &Config, wish: &Add, person: Option<&mut Questions>) -> Result<ConnectionKey, Failed> {
    let all: Vec<String> = config.connections.keys().map(ToString::to_string).collect();
    match (&wish.connection, all.as_slice(), person) {
        (Some(connection), _, _) => Ok(connection.clone()),
        (None, [only], _) => only.parse().map_err(|error| Failed::of(USAGE, &error)),
        (None, [], _) => Err(Failed::new(USAGE, "there is no connection yet")),
        (None, _, Some(person)) => {
            person.choose("Which connection?", &all)?.parse().map_err(|error| Failed::of(USAGE, &error))
        }
        (None, _, None) => Err(unsaid("the connection", &format!("--connection KEY, one of {}", all.join(", ")))),
    }
}

fn sample(
    shared: &Shared,
    wish: &Add,
    connection: &ConnectionKey,
    target: &Target,
    person: Option<&mut Questions>,
) -> Result<Option<SampleFile>, Failed> {
    let said = match (&wish.sample, person) {
        (Some(said), _) => said.clone(),
        (None, Some(person)) => {
            // A person who may not list the bucket, or has no file there yet, has one on this machine.
            let newest = newest(shared, connection, target).unwrap_or_else(|failed| {
                person.say(&printable(&failed.message));
                Vec::new()
            });
            person
                .choose("Which file is a sample? One of these, a path on this machine, or s3://BUCKET/KEY:", &newest)?
        }
        (None, None) => String::new(),
    };
    let said = match said.as_str() {
        "" => return Ok(None),
        "newest" => newest(shared, connection, target)?.into_iter().next().ok_or_else(|| {
            Failed::new(
                UNWELL,
                format!("there is no CSV or Excel file in s3://{}/{} yet", target.bucket, target.prefix),
            )
        })?,
        _ => said,
    };
    match said.starts_with("s3://") {
        true => {
            let object = parse_target(&said).map_err(|error| Failed::new(USAGE, error))?;
            SampleFile::fetched(shared, connection, &object, wish.delimiter, wish.encoding).map(Some)
        }
        false => SampleFile::local(Path::new(&said), wish.delimiter, wish.encoding).map(Some),
    }
}

/// The newest files that the integration would take, as s3://BUCKET/KEY.
fn newest(shared: &Shared, connection: &ConnectionKey, target: &Target) -> Result<Vec<String>, Failed> {
    let mut found = Vec::new();
    let request = Request::NewestObjects { connection: connection.clone(), target: target.clone() };
    ask(shared, request, |item| found.push(format!("s3://{}/{}", target.bucket, text(&item, "key"))))?;
    Ok(found)
}

/// The header and the first rows, at most so wide that one can read them.
fn show(person: &mut Questions, table: &Sample) {
    if table.header.is_empty() {
        return;
    }
    let shown = |cell: &String| printable(&cell.chars().take(SHOWN_CELL).collect::<String>());
    let header: Vec<String> = table.header.iter().map(shown).collect();
    let rows: Vec<Vec<String>> =
        table.rows.iter().take(SHOWN_ROWS).map(|row| row.iter().map(shown).collect()).collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    person.say(&output::table(&header, &rows));
}

fn identifiers(wish: &Add, table: &Sample, person: Option<&mut Questions>) -> Result<Vec<IdentifierProposal>, Failed> {
    let proposed = table.identifiers();
    let named = |column: &str, matches: &str| {
        let same = proposed.iter().find(|one| one.column == column && one.matches == matches);
        let normalize = same.map_or(&[][..], |one| one.normalize);
        IdentifierProposal { column: column.to_owned(), matches: matches.to_owned(), normalize }
    };
    if !wish.identifier.is_empty() {
        return Ok(wish.identifier.iter().map(|(column, matches)| named(column, matches)).collect());
    }
    let pairs: Vec<String> = proposed.iter().map(|one| format!("{}={}", one.column, one.matches)).collect();
    let Some(person) = person else {
        let like = pairs.first().map_or("Account ID=crm_id", String::as_str);
        return Err(unsaid("which account a row is of", &format!("--identifier \"{}\"", printable(like))));
    };
    let mut chosen = Vec::new();
    let mut question =
        "Which column says which account a row is of, and by what (crm_id, domain, name, field:KEY)? COLUMN=MATCH:";
    loop {
        let next = pairs.get(chosen.len()).filter(|_| chosen.is_empty()).map_or("", String::as_str);
        let is_first = chosen.is_empty();
        let answer = person.ask_for(question, next, |answer| match (answer, is_first) {
            ("", false) => Ok(None),
            (answer, _) => parse_pair(answer).map(Some),
        })?;
        let Some((column, matches)) = answer else { return Ok(chosen) };
        chosen.push(named(&column, &matches));
        question = "Where that is blank or matches nothing, by which other column? Nothing for none:";
    }
}

fn usage(
    wish: &Add,
    table: &Sample,
    identifiers: &[IdentifierProposal],
    person: Option<&mut Questions>,
) -> Result<Option<Usage>, Failed> {
    let reading = |column: &str| table.header.iter().position(|name| name == column).and_then(|at| table.reading(at));
    let metric = |column: &str, meaning: &str| {
        let (metric, aggregate) =
            meaning.split_once(':').map_or((meaning, None), |(metric, how)| (metric, Some(how.to_owned())));
        let number = reading(column).and_then(|reading| reading.number);
        Metric { column: column.to_owned(), metric: metric.to_owned(), aggregate, number }
    };
    let dated = |said: &str| match parse_pair(said) {
        Ok((column, format)) => (column, Some(format)),
        Err(_) => (said.to_owned(), reading(said).and_then(|reading| reading.format)),
    };
    if let Some(product) = &wish.product {
        if wish.metric.is_empty() {
            return Err(unsaid("what was used of the product", "--metric \"API calls=api_calls:sum\""));
        }
        let period =
            wish.period.clone().ok_or_else(|| unsaid("what span of time a row stands for", "--period monthly"))?;
        let metrics = wish.metric.iter().map(|(column, meaning)| metric(column, meaning)).collect();
        return Ok(Some(Usage { product: product.clone(), period, date: wish.date.as_deref().map(dated), metrics }));
    }
    let Some(person) = person else { return Ok(None) };
    if !person.agree("Does the file say how much of a product was used?", false)? {
        return Ok(None);
    }
    let product = person.ask("Which product?", "Core")?;
    let is_free = |column: &String| !identifiers.iter().any(|one| one.column == *column);
    let free = || table.header.iter().filter(|column| is_free(column));
    let is_date = |column: &&String| {
        reading(column)
            .is_some_and(|reading| matches!(reading.field_type, AccountFieldType::Date | AccountFieldType::Datetime))
    };
    let date = free().find(is_date).map_or("", String::as_str);
    let date = person.ask("Which column has the date? `-` for none:", date)?;
    let date = Some(date).filter(|date| !matches!(date.as_str(), "" | "-"));
    let period = person.ask(
        "Which span of time does a row stand for (single, daily, weekly, monthly, quarterly, yearly)?",
        date.as_deref().map_or("monthly", proposal::period),
    )?;
    let numbers = free().filter(|column| reading(column).is_some_and(|reading| reading.field_type.is_number()));
    let mut metrics = Vec::new();
    for column in numbers {
        let question =
            format!("`{}` as which metric (NAME, or NAME:sum, :last, :max …)? `-` for none:", printable(column));
        // Money is what an account pays, not what it used.
        let is_money = reading(column).is_some_and(|reading| reading.field_type == AccountFieldType::Currency);
        let proposed = if is_money { "-".to_owned() } else { proposal::field_key(column) };
        let answer = person.ask(&question, &proposed)?;
        if answer != "-" {
            metrics.push(metric(column, &answer));
        }
    }
    Ok(Some(Usage { product, period, date: date.as_deref().map(dated), metrics }))
}

fn fields(
    wish: &Add,
    table: &Sample,
    identifiers: &[IdentifierProposal],
    usage: Option<&Usage>,
    person: Option<&mut Questions>,
) -> Result<Vec<Field>, Failed> {
    let reading = |column: &str| table.header.iter().position(|name| name == column).and_then(|at| table.reading(at));
    let field = |column: &str, meaning: &str| -> Result<Field, String> {
        let (field, said) = meaning.split_once(':').map_or((meaning, None), |(field, said)| (field, Some(said)));
        let found = reading(column);
        let reading = match said {
            None => {
                found.ok_or_else(|| format!("the sample shows nothing of `{column}`; say its type: {field}:text"))?
            }
            Some(said) => {
                let known = proposal::TYPES.into_iter().find(|known| known.as_str() == said);
                let field_type = known.ok_or_else(|| {
                    let names = proposal::TYPES.map(AccountFieldType::as_str).join(", ");
                    format!("`{said}` is not one of {names}; other types are written by hand")
                })?;
                // How it is written holds for every number, and for every date.
                let is_alike = |found: &Reading| {
                    found.field_type == field_type || found.field_type.is_number() && field_type.is_number()
                };
                Reading { field_type, ..found.filter(is_alike).unwrap_or(Reading::plain(field_type)) }
            }
        };
        let unit = reading.unit.filter(|_| reading.field_type == AccountFieldType::Currency);
        Ok(Field { column: column.to_owned(), field: field.to_owned(), reading: Reading { unit, ..reading } })
    };
    let said = |(column, meaning): &(String, String)| field(column, meaning).map_err(|wrong| Failed::new(USAGE, wrong));
    let mut fields = wish.field.iter().map(said).collect::<Result<Vec<_>, Failed>>()?;
    let is_used = |column: &str| {
        identifiers.iter().any(|one| one.column == column)
            || wish.field.iter().any(|(said, _)| said == column)
            || usage.is_some_and(|usage| {
                usage.metrics.iter().any(|metric| metric.column == column)
                    || usage.date.as_ref().is_some_and(|(date, _)| date == column)
            })
    };
    let free = table.header.iter().filter(|column| !is_used(column));
    let proposed: Vec<Field> = free.filter_map(|column| field(column, &proposal::field_key(column)).ok()).collect();
    let Some(person) = person.filter(|_| wish.field.is_empty() && !wish.all_fields && !proposed.is_empty()) else {
        if wish.all_fields {
            fields.extend(proposed);
        }
        return Ok(fields);
    };
    for field in &proposed {
        let doubt = field.reading.doubt.as_ref().map(|doubt| format!(" ({doubt})")).unwrap_or_default();
        person.say(&printable(&format!(
            "  {} -> {}:{}{doubt}",
            field.column,
            field.field,
            field.reading.field_type.as_str()
        )));
    }
    if person.agree("Do these columns become account fields, as proposed? `n` to go through them one by one:", true)? {
        return Ok(proposed);
    }
    for one in proposed {
        let meaning = format!("{}:{}", one.field, one.reading.field_type.as_str());
        let question = format!("`{}` as which field (NAME:TYPE)? `-` for none:", printable(&one.column));
        let answer = person.ask_for(&question, &meaning, |answer| match answer {
            "-" => Ok(None),
            answer => field(&one.column, answer).map(Some),
        })?;
        fields.extend(answer);
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An `add` with no flag but the name.
    fn wish() -> Add {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            add: Add,
        }
        clap::Parser::try_parse_from(["add", "acme"]).map(|Line { add }| add).unwrap()
    }

    fn table() -> Sample {
        let header = ["Account ID", "Company", "ARR", "Month", "API calls", "Seats"].map(str::to_owned).to_vec();
        let row = ["A-1", "Acme", "1.200,50 €", "10/2024", "7", "3"].map(str::to_owned).to_vec();
        Sample { header, rows: vec![row] }
    }

    #[test]
    fn what_is_proposed_is_one_key_away() {
        let (wish, table) = (wish(), table());
        // The identifier, no other one; no usage; the fields as proposed.
        let mut person = Questions::answered("\n\n\n\n");
        let identifiers = identifiers(&wish, &table, Some(&mut person)).unwrap();
        let [only] = identifiers.as_slice() else { panic!("{identifiers:?}") };
        assert_eq!((only.column.as_str(), only.matches.as_str()), ("Account ID", "crm_id"));
        let usage = usage(&wish, &table, &identifiers, Some(&mut person)).unwrap();
        assert_eq!(usage, None);
        let fields = fields(&wish, &table, &identifiers, usage.as_ref(), Some(&mut person)).unwrap();
        let named: Vec<_> = fields.iter().map(|field| (field.field.as_str(), field.reading.field_type)).collect();
        assert_eq!(
            named,
            [
                ("company", AccountFieldType::Text),
                ("arr", AccountFieldType::Currency),
                ("month", AccountFieldType::Date),
                ("api_calls", AccountFieldType::Integer),
                ("seats", AccountFieldType::Integer)
            ]
        );
    }

    #[test]
    fn answers_say_what_flags_would() {
        let (wish, table) = (wish(), table());
        let mut person = Questions::answered(
            "Company\nCompany=name\nAccount ID=crm_id\n\n\
             yes\nSuite\n\nmonthly\n\ncalls:sum\n-\n",
        );
        let identifiers = identifiers(&wish, &table, Some(&mut person)).unwrap();
        let named: Vec<_> = identifiers.iter().map(|one| (one.column.as_str(), one.matches.as_str())).collect();
        assert_eq!(named, [("Company", "name"), ("Account ID", "crm_id")]);
        let usage = usage(&wish, &table, &identifiers, Some(&mut person)).unwrap();
        let Some(Usage { product, period, date, metrics }) = &usage else { panic!("{usage:?}") };
        assert_eq!((product.as_str(), period.as_str()), ("Suite", "monthly"));
        assert_eq!(date.as_ref().unwrap(), &("Month".to_owned(), Some("%m/%Y".to_owned())));
        let [calls] = metrics.as_slice() else { panic!("{metrics:?}") };
        assert_eq!((calls.metric.as_str(), calls.aggregate.as_deref()), ("calls", Some("sum")));
        person = Questions::answered("n\nrevenue:money\nrevenue:currency\n-\n");
        let fields = fields(&wish, &table, &identifiers, usage.as_ref(), Some(&mut person)).unwrap();
        let [revenue] = fields.as_slice() else { panic!("{fields:?}") };
        assert_eq!(
            (revenue.field.as_str(), revenue.reading.field_type, revenue.reading.unit),
            ("revenue", AccountFieldType::Currency, Some("EUR"))
        );
    }

    #[test]
    fn a_column_may_have_an_equals_sign_of_its_own() {
        assert_eq!(parse_pair("a=b=arr:currency"), Ok(("a=b".to_owned(), "arr:currency".to_owned())));
        for wrong in ["", "a", "a=", "=a"] {
            assert!(parse_pair(wrong).is_err(), "{wrong}");
        }
    }
}
