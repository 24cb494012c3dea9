//! R2: whatever the order in which files come, the store ends up the same, and it is the one that a plain model of
//! the rules makes.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// A small generator of pseudo-random numbers (splitmix64), so that a failure names its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for index in (1..items.len()).rev() {
            items.swap(index, self.below(index as u64 + 1) as usize);
        }
    }
}

const CRM_IDS: [&str; 4] = ["A", "B", "C", "D"];
const TAGS: [&str; 4] = ["p", "q", "r", "s"];
const METRICS: [(&str, Aggregate); 6] = [
    ("avg", Aggregate::Avg),
    ("count", Aggregate::Count),
    ("last", Aggregate::Last),
    ("max", Aggregate::Max),
    ("min", Aggregate::Min),
    ("sum", Aggregate::Sum),
];

fn random_files(random: &mut Random) -> Vec<File> {
    let mut files = Vec::new();
    for integration in ["crm", "web"] {
        for key in ["a.csv", "b.csv", "c.csv"] {
            let mut second = 0;
            for version in 1..=random.below(3) + 1 {
                second = i64::max(second, random.below(4) as i64);
                for generation in 0..=random.below(2) as u32 {
                    let file =
                        File { integration, ..File::new(key).version(version).generation(generation).at(second) };
                    files.push(file.accounts(random_accounts(random)).usage(random_usage(random)));
                }
            }
        }
    }
    files
}

fn random_accounts(random: &mut Random) -> Accounts {
    // Some files use a field in another mode than others do.
    let owner = if random.below(4) == 0 { WriteMode::Overwrite } else { WriteMode::IfEmpty };
    let tags = if random.below(4) == 0 { WriteMode::Overwrite } else { WriteMode::Append };
    let mut accounts = Accounts::by_crm_id(vec![
        plain("stage"),
        field("owner", ValueType::Text, owner),
        field("tags", ValueType::TextList, tags),
    ]);
    for _ in 0..random.below(5) {
        let mut cell = |value: Cell| match random.below(6) {
            0 => Cell::Clear,
            1 | 2 => Cell::Keep,
            _ => value,
        };
        let mut cells = vec![cell(Cell::Keep), cell(Cell::Keep), cell(Cell::Keep)];
        for (index, cell) in cells.iter_mut().enumerate() {
            if *cell == Cell::Keep && random.below(3) > 0 {
                *cell = if index < 2 {
                    text(&random.below(1_000).to_string())
                } else {
                    // In order and without doubles: uniting sorts, and overwriting keeps what it was given.
                    let first = random.below(3) as usize;
                    Cell::List(TAGS[first..=first + random.below(2) as usize].to_vec())
                };
            }
        }
        accounts = accounts.row(&[CRM_IDS[random.below(4) as usize]], cells);
    }
    accounts
}

fn random_usage(random: &mut Random) -> Usage {
    let repeat = if random.below(3) == 0 { Repeat::Replace } else { Repeat::Add };
    let list = METRICS.iter().map(|(name, aggregate)| series(name, *aggregate, repeat)).collect();
    let mut usage = Usage::of(list).by_email();
    for _ in 0..random.below(4) {
        let month = random.below(2) as i32;
        let values = METRICS.iter().map(|_| (random.below(4) > 0).then(|| random.below(100) as i64)).collect();
        let user = ["", "u@x"][random.below(2) as usize];
        usage = usage.user_row(
            CRM_IDS[random.below(3) as usize],
            user,
            month * 31 + random.below(3) as i32,
            month * 31,
            values,
        );
    }
    usage
}

/// What counts of the files, in the order of their writes: of each object its highest generation.
fn counting(files: &[File]) -> Vec<&File> {
    let order = |file: &File| (file.second, file.key.clone(), file.version, file.generation, file.integration);
    let mut latest: BTreeMap<_, &File> = BTreeMap::new();
    for file in files {
        let object = (file.integration, file.key.clone(), file.version);
        let known = latest.entry(object).or_insert(file);
        if known.generation < file.generation {
            *known = file;
        }
    }
    let mut files: Vec<&File> = latest.into_values().collect();
    files.sort_by_key(|file| order(file));
    files
}

/// The fields, by applying each row of each file after the other.
fn model_fields(files: &[&File]) -> Vec<String> {
    let mut values: BTreeMap<(String, String), Cell> = BTreeMap::new();
    for accounts in files.iter().filter_map(|file| file.accounts.as_ref()) {
        for (identifiers, cells) in &accounts.rows {
            for (field, cell) in accounts.fields.iter().zip(cells) {
                let key = (identifiers[0].clone().unwrap(), field.name.clone());
                let stored = values.remove(&key).unwrap_or(Cell::Keep);
                let value = match (cell, field.write_mode, stored) {
                    (Cell::Keep, _, stored) => stored,
                    (Cell::Clear, _, _) => Cell::Keep,
                    (value, WriteMode::Overwrite, _) | (value, _, Cell::Keep) => value.clone(),
                    (_, WriteMode::IfEmpty, stored) => stored,
                    (Cell::List(more), WriteMode::Append, Cell::List(stored)) => {
                        Cell::List(stored.iter().chain(more).copied().collect::<BTreeSet<_>>().into_iter().collect())
                    }
                    (_, WriteMode::Append, stored) => stored,
                };
                values.insert(key, value);
            }
        }
    }
    let shown = values.into_iter().filter_map(|((account, field), cell)| match cell {
        Cell::Text(text) => Some(format!("{account}|{field}|{text}")),
        Cell::List(list) => Some(format!("{account}|{field}|{}", serde_json::to_string(&list).unwrap())),
        Cell::Keep | Cell::Clear | Cell::Number(_) => None,
    });
    shown.collect()
}

/// What one file says of one usage record.
type Contribution<'a> = (&'a File, Repeat, Vec<(i32, usize, i64)>);

/// The usage: each file's values of a record, and which files count for it.
fn model_usage(files: &[&File]) -> Vec<String> {
    let mut records: BTreeMap<(String, String, usize, i32), Vec<Contribution<'_>>> = BTreeMap::new();
    for file in files {
        let Some(usage) = &file.usage else { continue };
        for (position, row) in usage.rows.iter().enumerate() {
            for (metric, value) in row.values.iter().enumerate().filter_map(|(metric, value)| Some((metric, (*value)?)))
            {
                let user = row.user.clone().unwrap_or_else(|| "-".to_owned());
                let record = (row.identifiers[0].clone().unwrap(), user, metric, row.period_start);
                let contributions = records.entry(record).or_default();
                match contributions.last_mut() {
                    Some((last, _, values)) if std::ptr::eq(*last, *file) => values.push((row.date, position, value)),
                    _ => contributions.push((file, usage.series[metric].repeat, vec![(row.date, position, value)])),
                }
            }
        }
    }
    let shown = records.into_iter().map(|((account, user, metric, period_start), contributions)| {
        let base = contributions.iter().rposition(|(_, repeat, _)| *repeat == Repeat::Replace);
        let counted: Vec<_> = contributions
            .iter()
            .enumerate()
            .skip(base.unwrap_or(0))
            .filter(|(index, (file, repeat, _))| {
                let newer = contributions.iter().skip(index + 1);
                *repeat == Repeat::Replace
                    || !newer
                        .into_iter()
                        .any(|(other, _, _)| (other.integration, &other.key) == (file.integration, &file.key))
            })
            .collect();
        let all = || counted.iter().flat_map(|(_, (_, _, values))| values.iter().map(|(_, _, value)| *value));
        let value = match METRICS[metric].1 {
            Aggregate::Sum => all().sum::<i64>().to_string(),
            Aggregate::Count => all().count().to_string(),
            Aggregate::Max => all().max().unwrap().to_string(),
            Aggregate::Min => all().min().unwrap().to_string(),
            Aggregate::Avg => (all().sum::<i64>() as f64 / all().count() as f64).to_string(),
            Aggregate::Last => {
                let each = counted.iter().map(|(index, (_, _, values))| (values.iter().max().unwrap(), index));
                let (last, _) = each.max_by_key(|((date, _, _), index)| (*date, **index)).unwrap();
                last.2.to_string()
            }
        };
        let month = if period_start == 0 { "1970-01-01" } else { "1970-02-01" };
        format!("{account}|{user}|{}|{month}|{value}", METRICS[metric].0)
    });
    shown.collect()
}

/// All of the store by what people know things by.
fn dump(bed: &Bed) -> Vec<String> {
    let mut rows = bed.rows("SELECT kind, value FROM account_keys ORDER BY 1, 2");
    rows.extend(bed.rows("SELECT key, value_type, write_mode, described_by FROM fields ORDER BY 1"));
    rows.extend(bed.rows("SELECT metric, aggregate, repeat, described_by FROM series ORDER BY 1"));
    rows.extend(contributions(bed));
    rows
}

/// What each object contributed, and which of it counts.
fn contributions(bed: &Bed) -> Vec<String> {
    let object = "s.integration || ' ' || i.dedup_key || ' ' || i.generation";
    let account = "(SELECT k.value FROM account_keys k WHERE k.account = c.account)";
    let user = if bed.kind == Kind::Postgres { "user_id" } else { "user" };
    let mut rows = bed.rows(&format!(
        "SELECT f.key, {account}, {object}, c.value FROM account_values c JOIN fields f ON f.id = c.field
         JOIN ingestions i ON i.id = c.ingestion JOIN source_keys s ON s.id = i.source_key ORDER BY 1, 2, 3"
    ));
    rows.extend(bed.rows("SELECT integration, connection, bucket, key FROM source_keys ORDER BY 1, 2, 3, 4"));
    rows.extend(bed.rows("SELECT integration, dedup_key, generation, as_of FROM ingestions ORDER BY 1, 2, 3"));
    rows.extend(bed.rows(&format!(
        "SELECT f.key, {account}, {object}, c.value, clears FROM account_contributions c JOIN fields f ON f.id = c.field
         JOIN ingestions i ON i.id = c.ingestion JOIN source_keys s ON s.id = i.source_key ORDER BY 1, 2, 3"
    )));
    rows.extend(bed.rows(&format!(
        "SELECT m.metric, c.period_start, {account}, u.value, {object}, c.value, samples, last_date, position, adds, counts
         FROM usage_contributions c JOIN series m ON m.id = c.series LEFT JOIN usage_users u ON u.id = c.{user}
         JOIN ingestions i ON i.id = c.ingestion JOIN source_keys s ON s.id = i.source_key ORDER BY 1, 2, 3, 4, 5"
    )));
    rows
}

/// R2, R1, R9
pub(super) fn files_in_any_order_end_in_the_same_store(kind: Kind) {
    for seed in 0..8 {
        let mut random = Random(seed);
        let mut files = random_files(&mut random);
        let model = counting(&files);
        let expected = (model_fields(&model), model_usage(&model));
        let mut first: Option<Vec<String>> = None;
        for round in 0..3 {
            let bed = Bed::new(kind);
            for file in &files {
                match bed.merge(file) {
                    Ok(_) => {}
                    Err(error) => panic!("seed {seed}, round {round}: {error:?}"),
                }
            }
            assert_eq!((bed.fields(), bed.usage()), expected, "seed {seed}, round {round}");
            let dumped = dump(&bed);
            assert_eq!(first.get_or_insert_with(|| dumped.clone()), &dumped, "seed {seed}, round {round}");
            random.shuffle(&mut files);
        }
    }
}

/// R2, R17: at whatever moment the objects get another place.
pub(super) fn files_that_are_moved_in_between_end_in_the_same_store(kind: Kind) {
    for seed in 100..106 {
        let mut random = Random(seed);
        let mut files = random_files(&mut random);
        random.shuffle(&mut files);
        let relocation =
            super::places::relocation(["old", "in/"], [["new", "out/"], ["old", "in/deeper/"]][seed as usize % 2]);
        let at = |site: &Site, file: &File| File {
            bucket: if site.bucket.as_str() == "old" { "old" } else { "new" },
            key: format!("{}{}", site.prefix, file.key),
            ..file.clone()
        };
        let there: Vec<File> = files.iter().map(|file| at(&relocation.to, file)).collect();
        let never_moved = Bed::new(kind);
        there.iter().for_each(|file| drop(never_moved.merge(file).unwrap()));
        let model = counting(&files);
        let moved = random.below(files.len() as u64) as usize;
        let bed = Bed::new(kind);
        files[..moved].iter().for_each(|file| drop(bed.merge(&at(&relocation.from, file)).unwrap()));
        for integration in ["crm", "web"] {
            super::places::relocate(&bed, integration, &relocation).unwrap();
        }
        there[moved..].iter().for_each(|file| drop(bed.merge(file).unwrap()));
        assert_eq!((bed.fields(), bed.usage()), (model_fields(&model), model_usage(&model)), "seed {seed}");
        assert_eq!(contributions(&bed), contributions(&never_moved), "seed {seed}");
    }
}
