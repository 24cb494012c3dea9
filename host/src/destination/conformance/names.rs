//! An integration under another name (R17).

use super::*;

pub(super) fn rename(bed: &Bed, from: &str, to: &str) -> Result<(), DestinationError> {
    bed.destination.rename(&TenantName::default(), &from.parse().unwrap(), &to.parse().unwrap())
}

/// R17
pub(super) fn what_was_confirmed_is_confirmed_under_another_name(kind: Kind) {
    let bed = Bed::new(kind);
    assert!(rename(&bed, "crm", "sales").is_ok() && bed.is_untouched());
    let plans = Accounts::by_crm_id(vec![plain("plan")]);
    let file = File::new("a.csv").accounts(plans.row(&["1"], vec![text("basic")]));
    bed.merge(&file).unwrap();
    let other = File { integration: "support", ..file.clone() };
    bed.merge(&other).unwrap();
    // However often.
    for _ in 0..2 {
        rename(&bed, "crm", "sales").unwrap();
    }
    let renamed = File { integration: "sales", ..file.clone() };
    for destination in [&bed.destination, &bed.open_again().unwrap()] {
        let is_confirmed = |file: &File| {
            let confirmed = destination.confirmed(&TenantName::default(), &file.delivery().identity);
            confirmed.unwrap().is_some()
        };
        assert_eq!([&renamed, &file, &other].map(is_confirmed), [true, false, true]);
    }
    // The former name is free for another integration, and taken then.
    bed.merge(&file).unwrap();
    assert!(matches!(rename(&bed, "crm", "sales"), Err(DestinationError::BothNames { .. })));
    let confirmed = bed.destination.confirmed(&TenantName::default(), &file.delivery().identity);
    assert!(confirmed.unwrap().is_some());
}
