//! Objects in another place (R17).

use super::*;

/// From one bucket and prefix to another.
pub(super) fn relocation(from: [&str; 2], to: [&str; 2]) -> Relocation {
    let site = |[bucket, prefix]: [&str; 2]| Site {
        connection: "acme".parse().unwrap(),
        bucket: bucket.parse().unwrap(),
        prefix: prefix.to_owned(),
    };
    Relocation { from: site(from), to: site(to) }
}

/// Each step twice, as after a crash.
pub(super) fn relocate(bed: &Bed, integration: &str, relocation: &Relocation) -> Result<(), DestinationError> {
    let step =
        |step: &Relocation| bed.destination.relocate(&TenantName::default(), &integration.parse().unwrap(), step);
    relocation.steps().iter().try_for_each(|one| step(one).and_then(|()| step(one)))
}

fn file(bucket: &'static str, key: &str) -> File {
    let plans = Accounts::by_crm_id(vec![plain("plan")]);
    File { bucket, ..File::new(key).accounts(plans.row(&["1"], vec![text("basic")])) }
}

/// R17
pub(super) fn what_was_confirmed_is_confirmed_in_another_place(kind: Kind) {
    let cases = [
        (["exports", "daily/"], ["imports", ""], ["imports", "a.csv"]),
        (["exports", ""], ["exports", "daily/"], ["exports", "daily/daily/a.csv"]),
        (["exports", "daily/"], ["exports", ""], ["exports", "a.csv"]),
    ];
    for (from, to, [bucket, key]) in cases {
        let bed = Bed::new(kind);
        let move_all = relocation(from, to);
        assert!(relocate(&bed, "crm", &move_all).is_ok() && bed.is_untouched());
        let aside = File { integration: "support", ..file("exports", "daily/a.csv") };
        for file in [&file("exports", "daily/a.csv"), &file("exports", "daily/a.csv").generation(1), &aside] {
            bed.merge(file).unwrap();
        }
        relocate(&bed, "crm", &move_all).unwrap();
        let there = file(bucket, key).generation(1);
        for destination in [&bed.destination, &bed.open_again().unwrap()] {
            let is_confirmed = |file: &File| {
                let confirmed = destination.confirmed(&TenantName::default(), &file.delivery().identity);
                confirmed.unwrap().is_some()
            };
            let before = file("exports", "daily/a.csv");
            assert_eq!([&there, &before, &aside].map(is_confirmed), [true, false, true], "{from:?} to {to:?}");
            let Delivery { tenant, identity, object, .. } = there.delivery();
            let taken = destination.taken(&tenant, &identity.integration, &identity.dedup_key).unwrap().unwrap();
            assert_eq!(taken.object, object);
        }
        // Nothing is left that could be taken for another file of the former place.
        bed.merge(&file("exports", "daily/b.csv")).unwrap();
    }
}

/// R17
pub(super) fn an_object_takes_no_other_ones_place(kind: Kind) {
    let bed = Bed::new(kind);
    for file in [file("exports", "a.csv"), file("imports", "a.csv")] {
        bed.merge(&file).unwrap();
    }
    let refused = relocate(&bed, "crm", &relocation(["exports", ""], ["imports", ""]));
    assert!(matches!(refused, Err(DestinationError::BothPlaces { .. })), "{refused:?}");
    for file in [file("exports", "a.csv"), file("imports", "a.csv")] {
        let confirmed = bed.destination.confirmed(&TenantName::default(), &file.delivery().identity);
        assert!(confirmed.unwrap().is_some());
    }
}
