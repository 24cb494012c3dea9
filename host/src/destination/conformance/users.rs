//! Users: kept, told of, and found for the fields that mean one.

use std::ops::ControlFlow;

use super::*;
use crate::destination::users::{User, UsersMerged};

/// The users in `id|email|name` form, a blank for nothing.
fn users(users: &[&str]) -> Vec<User> {
    let part = |part: &str| (!part.is_empty()).then(|| part.to_owned());
    let user = |text: &&str| {
        let parts: Vec<&str> = text.split('|').collect();
        User { id: parts[0].to_owned(), email: part(parts[1]), name: part(parts[2]) }
    };
    users.iter().map(user).collect()
}

fn bring(bed: &Bed, brought: &[&str]) -> (u64, u64, u64) {
    let merged = bed.destination.merge_users(&TenantName::default(), &users(brought)).unwrap();
    let UsersMerged { created, updated, unchanged } = merged;
    (created, updated, unchanged)
}

fn told(bed: &Bed, tenant: &str, wanted: Wanted<'_>) -> Vec<String> {
    let mut told = Vec::new();
    let mut listen = |user: &User| {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        told.push(format!("{}|{}|{}", user.id, text(&user.email), text(&user.name)));
        ControlFlow::Continue(())
    };
    bed.destination.visit_users(&tenant.parse().unwrap(), wanted, &mut listen).unwrap();
    told
}

/// R3, R13
pub(super) fn users_are_kept_by_their_ids_and_told_of(kind: Kind) {
    let bed = Bed::new(kind);
    assert_eq!(told(&bed, "default", Wanted::All), [""; 0]);
    assert_eq!(bring(&bed, &["u2|jo@acme.example|Jo Doe", "u1|Ann@acme.example|", "U1||Other"]), (3, 0, 0));
    // What is blank keeps what was known, and who is left out stays.
    assert_eq!(bring(&bed, &["u1||Ann Lee", "u2|jo@acme.example|", "u3||"]), (1, 1, 1));
    let all = ["U1||Other", "u1|Ann@acme.example|Ann Lee", "u2|jo@acme.example|Jo Doe", "u3||"];
    assert_eq!(told(&bed, "default", Wanted::All), all);
    assert_eq!(told(&bed, "other", Wanted::All), [""; 0]);
    let cases: [(&str, &[&str]); 6] = [
        ("u1", &all[1..2]),
        (" ACME.example ", &all[1..3]),
        ("doe", &all[2..3]),
        ("u", &[]),
        ("%", &[]),
        ("nobody", &[]),
    ];
    for (text, expected) in cases {
        assert_eq!(told(&bed, "default", Wanted::Like(text)), expected, "{text}");
    }
    let many: Vec<String> = (0..2_500).map(|number| format!("v{number:04}||")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(bring(&bed, &many), (2_500, 0, 0));
    assert_eq!(told(&bed, "default", Wanted::All).len(), 2_504);
    let mut heard = 0;
    let mut listen = |_: &User| {
        heard += 1;
        if heard == 1_700 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    bed.destination.visit_users(&TenantName::default(), Wanted::All, &mut listen).unwrap();
    assert_eq!(heard, 1_700);
}

/// An account field whose texts tell users by this.
fn owner(name: &str, by: UserKey) -> OutputField {
    OutputField { semantic: Semantic::User(by), ..plain(name) }
}

pub(super) fn a_field_that_means_a_user_holds_its_id(kind: Kind) {
    let bed = Bed::new(kind);
    bring(&bed, &["u1|ann@acme.example|Ann Lee", "u2|jo@acme.example|Jo Doe", "u3|jo@beta.example|Jo Doe"]);
    let fields = vec![owner("by_email", UserKey::Email), owner("by_id", UserKey::Id), owner("by_name", UserKey::Name)];
    let row = |accounts: Accounts, crm_id: &str, cells: [Cell; 3]| accounts.row(&[crm_id], cells.to_vec());
    let accounts =
        row(Accounts::by_crm_id(fields.clone()), "1", [text("ANN@acme.example"), text("u2"), text("ann lee")]);
    // Nobody, somebody else in capital letters, and two of one name.
    let accounts = row(accounts, "2", [text("who@acme.example"), text("U1"), text("Jo Doe")]);
    let file = File::new("a.csv").accounts(accounts);
    let preview = bed.preview(&file);
    assert_eq!(preview.accounts[0]["fields"], serde_json::json!({"by_email": "u1", "by_id": "u2", "by_name": "u1"}));
    assert_eq!(preview.accounts[1]["fields"], serde_json::json!({}));
    let merged = bed.merge(&file).unwrap();
    assert_eq!((merged.created, merged.unknown_users), (2, 3));
    assert_eq!(merged.unknown_user_examples, ["who@acme.example", "U1", "Jo Doe"]);
    assert_eq!(preview.merged, merged);
    assert_eq!(bed.fields(), ["1|by_email|u1", "1|by_id|u2", "1|by_name|u1"]);

    // Nobody changes nothing, and a clear still erases.
    let accounts = row(Accounts::by_crm_id(fields.clone()), "1", [text("who@acme.example"), Cell::Clear, Cell::Keep]);
    let merged = bed.merge(&File::new("b.csv").at(2_000).accounts(accounts)).unwrap();
    assert_eq!((merged.updated, merged.unknown_users), (1, 1));
    assert_eq!(bed.fields(), ["1|by_email|u1", "1|by_name|u1"]);

    // Once users came, a replay brings them.
    bring(&bed, &["u4|who@acme.example|"]);
    let merged = bed.merge(&file.generation(1)).unwrap();
    assert_eq!(merged.unknown_user_examples, ["U1", "Jo Doe"]);
    assert_eq!(bed.fields(), ["1|by_email|u1", "1|by_name|u1", "2|by_email|u4"]);
}

pub(super) fn usage_tells_which_of_the_users_it_is_of(kind: Kind) {
    let bed = Bed::new(kind);
    let usage = Usage::of(vec![series("mau", Aggregate::Sum, Repeat::Replace)])
        .by_email()
        .user_row("1", "Ann@acme.example", 5, 0, vec![Some(4)])
        .user_row("1", "who@acme.example", 5, 0, vec![Some(3)]);
    let accounts = Accounts::by_crm_id(vec![plain("stage")]).row(&["1"], vec![text("won")]);
    bed.merge(&File::new("a.csv").accounts(accounts).usage(usage)).unwrap();
    // Users may come later.
    bring(&bed, &["u1|ann@acme.example|Ann Lee"]);
    let sql = "SELECT coalesce(user_id, '-'), value FROM usage_records ORDER BY 1 DESC";
    let mut found = bed.rows(sql);
    found.sort();
    assert_eq!(found, ["-|3", "u1|4"]);
}
