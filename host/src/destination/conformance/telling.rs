//! Accounts told of: who they are and what their fields say now.

use std::ops::ControlFlow;

use serde_json::{Value, json};

use super::*;
use crate::destination::accounts::{AccountColumns, AccountRecord};

/// Listens to so many accounts.
struct Listener {
    columns: Vec<AccountColumns>,
    accounts: Vec<AccountRecord>,
    most: usize,
}

impl AccountVisitor for Listener {
    fn columns(&mut self, columns: &AccountColumns) -> ControlFlow<()> {
        self.columns.push(columns.clone());
        if self.most == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn account(&mut self, account: &AccountRecord) -> ControlFlow<()> {
        self.accounts.push(account.clone());
        if self.accounts.len() == self.most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

fn told(bed: &Bed, tenant: &str, wanted: Wanted<'_>, most: usize) -> (AccountColumns, Vec<AccountRecord>) {
    let mut listener = Listener { columns: Vec::new(), accounts: Vec::new(), most };
    bed.destination.visit_accounts(&tenant.parse().unwrap(), wanted, &mut listener).unwrap();
    assert_eq!(listener.columns.len(), 1, "told of the columns once");
    (listener.columns.remove(0), listener.accounts)
}

/// The first CRM id of each account that is found.
fn found(bed: &Bed, text: &str) -> Vec<String> {
    let (_, accounts) = told(bed, "default", Wanted::Like(text), usize::MAX);
    accounts.iter().map(|account| account.keys[0].first().cloned().unwrap_or_default()).collect()
}

/// Accounts known by a CRM id, a domain and a name.
fn known(fields: Vec<OutputField>) -> Accounts {
    Accounts::by(vec![vec![MatchKey::CrmId], vec![MatchKey::Domain], vec![MatchKey::Name]], fields)
}

pub(super) fn accounts_are_told_with_their_keys_and_current_values(kind: Kind) {
    let bed = Bed::new(kind);
    let (columns, accounts) = told(&bed, "default", Wanted::All, usize::MAX);
    assert_eq!((columns, accounts.len()), (AccountColumns { keys: [0; 3], fields: Vec::new() }, 0));

    let fields = vec![
        plain("stage"),
        field("seats", ValueType::Integer, WriteMode::Overwrite),
        field("arr", ValueType::Decimal(2), WriteMode::Overwrite),
        field("tags", ValueType::TextList, WriteMode::Overwrite),
        field("never", ValueType::Integer, WriteMode::Overwrite),
    ];
    let accounts = known(fields.clone())
        .row(
            &["1", "acme.example", "Müller GmbH"],
            vec![text("open"), Cell::Number(7), Cell::Number(120_050), Cell::List(vec!["a", "b"]), Cell::Keep],
        )
        .row(&["2", "", "Beta"], vec![text("lost"), Cell::Keep, Cell::Keep, Cell::Keep, Cell::Keep]);
    bed.merge(&File::new("a.csv").accounts(accounts)).unwrap();
    // A second domain, a newer value, and one that is erased.
    let accounts = known(fields)
        .row(&["1", "acme-two.example", ""], vec![text("won"), Cell::Keep, Cell::Keep, Cell::Keep, Cell::Keep])
        .row(&["2", "", ""], vec![Cell::Clear, Cell::Keep, Cell::Keep, Cell::Keep, Cell::Keep]);
    bed.merge(&File::new("b.csv").at(2_000).accounts(accounts)).unwrap();

    let (columns, accounts) = told(&bed, "default", Wanted::All, usize::MAX);
    let names = ["arr", "never", "seats", "stage", "tags"].map(str::to_owned).to_vec();
    assert_eq!(columns, AccountColumns { keys: [1, 2, 1], fields: names });
    let owned = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
    let keys: Vec<_> = accounts.iter().map(|account| account.keys.clone()).collect();
    let expected = [
        [owned(&["1"]), owned(&["acme-two.example", "acme.example"]), owned(&["Müller GmbH"])],
        [owned(&["2"]), owned(&[]), owned(&["Beta"])],
    ];
    assert_eq!(keys, expected);
    let values: Vec<(usize, Value)> =
        vec![(0, json!("1200.5")), (2, json!(7)), (3, json!("won")), (4, json!(["a", "b"]))];
    assert_eq!([&accounts[0].values, &accounts[1].values], [&values, &Vec::new()]);
    assert!(accounts.iter().all(|account| account.created_at.parse::<Timestamp>().is_ok()), "{accounts:?}");

    // R13
    let (columns, accounts) = told(&bed, "other", Wanted::All, usize::MAX);
    assert_eq!((columns.keys, accounts.len()), ([0; 3], 0));
}

pub(super) fn accounts_are_found_by_a_key_or_a_part_of_a_name(kind: Kind) {
    let bed = Bed::new(kind);
    let accounts = known(vec![plain("stage")])
        .row(&["001", "acme.example", "Müller GmbH"], vec![text("won")])
        .row(&["002", "beta.example", "Beta_1 100%"], vec![text("won")])
        .row(&["003", "gamma.example", "Müller & Sons"], vec![text("won")]);
    bed.merge(&File::new("a.csv").accounts(accounts)).unwrap();
    let cases: [(&str, &[&str]); 9] = [
        ("001", &["001"]),
        (" ACME.example ", &["001"]),
        ("muller", &["001", "003"]),
        ("ller g", &["001"]),
        ("Beta_1 100%", &["002"]),
        // A part of another key is none, and no character stands for others.
        ("02", &[]),
        ("acme", &[]),
        ("%", &[]),
        ("", &[]),
    ];
    for (text, expected) in cases {
        assert_eq!(found(&bed, text), expected, "{text}");
    }
}

pub(super) fn accounts_are_told_in_order_however_many_until_nobody_listens(kind: Kind) {
    const ACCOUNTS: usize = 1_001;
    let bed = Bed::new(kind);
    let accounts = (0..ACCOUNTS).fold(Accounts::by_crm_id(vec![plain("stage")]), |accounts, number| {
        accounts.row(&[&format!("{number:04}")], vec![text("won")])
    });
    bed.merge(&File::new("a.csv").accounts(accounts)).unwrap();
    let (_, all) = told(&bed, "default", Wanted::All, usize::MAX);
    assert_eq!(all.len(), ACCOUNTS);
    assert!(all.windows(2).all(|pair| pair[0].id < pair[1].id));
    assert!(all.iter().all(|account| account.values == [(0, json!("won"))]));
    for most in [0, 1, 500, 750] {
        let (_, some) = told(&bed, "default", Wanted::All, most);
        assert_eq!(some, all[..most]);
    }
}
