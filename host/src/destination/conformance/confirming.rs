//! What every destination promises, whether it matches accounts or hands over what it is given: asked through the trait
//! alone.

use super::*;

fn file() -> File {
    let accounts =
        Accounts::by_crm_id(vec![plain("stage")]).row(&["1"], vec![text("won")]).row(&["2"], vec![text("lost")]);
    let usage = Usage::of(vec![series("mau", Aggregate::Sum, Repeat::Replace)]).row("1", 5, 0, vec![Some(7)]);
    File::new("a.csv").accounts(accounts).usage(usage)
}

fn confirmed(destination: &dyn Destination, file: &File) -> Option<Summary> {
    destination.confirmed(&TenantName::default(), &file.delivery().identity).unwrap()
}

/// I3, R1
pub(super) fn an_identity_is_confirmed_once_whatever_it_brings_later(kind: Kind) {
    let bed = Bed::new(kind);
    assert_eq!(confirmed(&*bed.destination, &file()), None);
    let rows = RowCounts { read: 3, rejected: 1 };
    let first = bed.stage(&file()).merge(rows).unwrap();
    assert_eq!((first.rows, first.content), (rows, file().delivery().content));
    assert_eq!(first.merged.usage_values, 1);
    let other = file().accounts(Accounts::by_crm_id(vec![plain("stage")]).row(&["3"], vec![text("new")]));
    assert_eq!(bed.stage(&other).merge(RowCounts::default()).unwrap(), first);
    assert_eq!(confirmed(&*bed.destination, &file()), Some(first));
}

/// I3
pub(super) fn a_last_confirmation_is_known_to_whoever_opens_the_place_next(kind: Kind) {
    let bed = Bed::new(kind);
    let summary = bed.stage(&file()).merge(RowCounts { read: 2, rejected: 0 }).unwrap();
    assert_eq!(confirmed(&*bed.open_again().unwrap(), &file()), Some(summary));
}

/// I3: a run that ends between staging and merging leaves nothing, and the next one begins anew.
pub(super) fn a_staging_that_was_dropped_leaves_nothing(kind: Kind) {
    let bed = Bed::new(kind);
    drop(bed.stage(&file()));
    assert!(bed.is_untouched());
    // What a crash leaves is not even dropped. A directory that is staged in stays locked as long as its process lives.
    if kind.can_match() {
        std::mem::forget(bed.stage(&file()));
    }
    let again = bed.open_again().unwrap();
    assert_eq!(confirmed(&*again, &file()), None);
    let fresh = Bed::new(kind);
    let merged = Bed { destination: again, ..bed }.stage(&file()).merge(RowCounts::default()).unwrap();
    assert_eq!(merged, fresh.stage(&file()).merge(RowCounts::default()).unwrap());
}

pub(super) fn a_preview_leaves_nothing(kind: Kind) {
    let bed = Bed::new(kind);
    let preview = bed.preview(&file());
    assert!(bed.is_untouched());
    assert_eq!((preview.accounts.len(), preview.usage.len()), (2, 1));
    assert_eq!(confirmed(&*bed.destination, &file()), None);
    assert_eq!(bed.merge(&file()).unwrap(), preview.merged);
}

/// R1
pub(super) fn a_replay_is_an_identity_of_its_own(kind: Kind) {
    let bed = Bed::new(kind);
    bed.merge(&file()).unwrap();
    let replay = file().generation(1);
    assert_eq!(confirmed(&*bed.destination, &replay), None);
    bed.merge(&replay).unwrap();
    assert!(confirmed(&*bed.destination, &replay).is_some());
    let other = File { integration: "web", ..file() };
    assert_eq!(confirmed(&*bed.destination, &other), None);
}

/// R18: where confirmed files may be taken away, nobody says what was never there.
pub(super) fn what_was_never_confirmed_is_told_apart(kind: Kind) {
    let bed = Bed::new(kind);
    let unconfirmed = |files: &[File]| {
        let identities: Vec<_> = files.iter().map(|file| file.delivery().identity).collect();
        bed.destination.unconfirmed(&TenantName::default(), &identities).unwrap()
    };
    let matching = kind.can_match();
    let all = || [file(), file().generation(1), File { integration: "web", ..file() }];
    assert_eq!(unconfirmed(&all()), matching.then(|| vec![0, 1, 2]));
    bed.merge(&file().generation(1)).unwrap();
    assert_eq!(unconfirmed(&all()), matching.then(|| vec![0, 2]));
    assert_eq!(unconfirmed(&[]), matching.then(Vec::new));
    let other = bed.destination.unconfirmed(&"other".parse().unwrap(), &[file().generation(1).delivery().identity]);
    assert_eq!(other.unwrap(), matching.then(|| vec![0]));
}

/// R13
pub(super) fn tenants_are_kept_apart(kind: Kind) {
    let bed = Bed::new(kind);
    bed.merge(&file()).unwrap();
    let tenant: TenantName = "other".parse().unwrap();
    let identity = file().delivery().identity;
    assert_eq!(bed.destination.confirmed(&tenant, &identity).unwrap(), None);
    let accounts = Accounts::by_crm_id(vec![plain("stage")]).row(&["1"], vec![text("won")]);
    let mut staging = bed.destination.stage(Delivery { tenant: tenant.clone(), ..file().delivery() }).unwrap();
    staging.open_table(Some(&accounts.layout()), None).unwrap();
    staging.accounts(&accounts.batch(), &[]).unwrap();
    let summary = staging.merge(RowCounts { read: 1, rejected: 0 }).unwrap();
    assert_eq!(bed.destination.confirmed(&tenant, &identity).unwrap(), Some(summary));
    assert_eq!(confirmed(&*bed.destination, &file()).unwrap().rows, RowCounts::default());
}
