//! Names that are about the same: a file of misspelt names against a store of as many accounts.

use gristmill::batch::{AccountBatch, AccountLayout, Issues, MatchKey};
use gristmill::destination::sqlite::SqliteDestination;
use gristmill::destination::{Brings, Delivery, Destination, Matching, Merged, NameMatch, OnNoMatch, RowCounts};
use gristmill::object::{AsOf, ContentHash, Generation, Identity, MappingDigest, Object, Share, TenantName};

use crate::bed::Bed;
use crate::figures::{say, say_rate, timed};
use crate::{Result, Scale};

const ACCOUNTS: u64 = 100_000;
const BATCH: u64 = 4_096;

/// Runs the part.
pub fn run(scale: Scale) -> Result<()> {
    let names = scale.of(ACCOUNTS);
    let bed = Bed::new()?;
    let destination = SqliteDestination::open(bed.path("store"), bed.path("staging"))?;
    let create = Matching { on_no_match: OnNoMatch::Create, ..Matching::default() };
    merge(&destination, "accounts.csv", 1, create, names, name)?;
    let share = |share| Share::of(share).ok_or("no share");
    let exact = Matching::default();
    let normalized = Matching { name_match: NameMatch::Normalized, ..exact };
    let name_match = NameMatch::Fuzzy { threshold: share(0.6)?, margin: share(0.05)? };
    let fuzzy = Matching { name_match, ..exact };
    for (what, matching, spell) in [
        ("exact", exact, name as fn(u64) -> String),
        ("normalized", normalized, |number| name(number).to_uppercase()),
        ("fuzzy", fuzzy, misspelt),
    ] {
        let (time, merged) = timed(|| merge(&destination, &format!("{what}.csv"), 2, matching, names, spell))?;
        say_rate(&format!("{names} rows on {names} accounts, {what}"), names, time.as_secs_f64(), "rows");
        let Merged { matched, ambiguous, unmatched, .. } = merged;
        say("", &format!("{matched} matched, {ambiguous} between several, {unmatched} by none"));
    }
    Ok(())
}

/// A name of three words and a legal form, each account's its own.
fn name(number: u64) -> String {
    const FIRST: [&str; 16] = [
        "Northern",
        "Blue",
        "Golden",
        "Atlas",
        "Harbour",
        "Summit",
        "Silver",
        "Pioneer",
        "Crescent",
        "Evergreen",
        "Liberty",
        "Meridian",
        "Falcon",
        "Granite",
        "Sterling",
        "Cobalt",
    ];
    const TRADE: [&str; 16] = [
        "Shipping",
        "Metals",
        "Foods",
        "Optics",
        "Textiles",
        "Software",
        "Timber",
        "Instruments",
        "Logistics",
        "Energy",
        "Robotics",
        "Pharma",
        "Ceramics",
        "Analytics",
        "Motors",
        "Paper",
    ];
    const FORM: [&str; 4] = ["GmbH", "Inc.", "Ltd", "S.A."];
    let syllables = ["ba", "ke", "li", "mo", "nu", "ra", "se", "ti", "vo", "zu"];
    let own: String = number.to_string().bytes().map(|digit| syllables[usize::from(digit - b'0')]).collect();
    let of = |list: &[&'static str], by: u64| list[(number / by) as usize % list.len()];
    format!("{} {own} {} {}", of(&FIRST, 1), of(&TRADE, 16), of(&FORM, 256))
}

/// The same with a letter lost, and without the legal form.
fn misspelt(number: u64) -> String {
    let name = name(number);
    let place = 2 + number as usize % 5;
    let end = name.rfind(' ').unwrap_or(name.len());
    format!("{}{}", &name[..place], &name[place + 1..end])
}

fn merge(
    destination: &SqliteDestination,
    key: &str,
    arrival: u64,
    matching: Matching,
    rows: u64,
    name: impl Fn(u64) -> String,
) -> Result<Merged> {
    let object = Object {
        connection: "bench".parse()?,
        bucket: "exports".parse()?,
        key: key.parse()?,
        etag: "0".parse()?,
        size: 0,
        last_modified: jiff::Timestamp::from_second(arrival as i64)?,
    };
    let generation = Generation(0);
    let mut staging = destination.stage(Delivery {
        identity: Identity { integration: "names".parse()?, dedup_key: object.dedup_key(), generation },
        tenant: TenantName::default(),
        as_of: AsOf { effective_time: object.last_modified, key: object.key.clone(), arrival, generation },
        object,
        mapping: MappingDigest::from_bytes([0; 32]),
        content: ContentHash::from_bytes([0; 32]),
        matching,
        brings: Brings::OWN,
    })?;
    let layout = AccountLayout { wanted: vec![0], identifiers: vec![vec![MatchKey::Name]], fields: Vec::new() };
    staging.open_table(Some(&layout), None)?;
    for first in (0..rows).step_by(BATCH as usize) {
        let numbers = first..rows.min(first + BATCH);
        let batch = AccountBatch {
            rows: numbers.clone().map(|row| row as u32).collect(),
            identifiers: vec![numbers.map(|number| Some(name(number))).collect()],
            fields: Vec::new(),
            issues: Issues::none(),
        };
        staging.accounts(&batch, &[])?;
    }
    Ok(staging.merge(RowCounts::default())?.merged)
}
