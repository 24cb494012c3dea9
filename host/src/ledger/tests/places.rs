//! An integration whose objects are in another place (R17).

use super::*;
use crate::object::Relocation;

fn place(bucket: &str, prefix: &str) -> Place {
    Place {
        server: "http://127.0.0.1:9000".to_owned(),
        connection: "acme".parse().unwrap(),
        bucket: bucket.parse().unwrap(),
        prefix: prefix.to_owned(),
    }
}

fn at_place(place: &Place, key: &str, etag: &str, second: i64) -> Object {
    let bucket = place.bucket.clone();
    Object { bucket, ..object(&format!("{}{key}", place.prefix), etag, second) }
}

impl Bench {
    async fn looks_in(&self, place: &Place) {
        let place = place.clone();
        self.ledger.change_control(&self.integration, |control| control.place = Some(place)).await.unwrap();
    }

    async fn relocate(&self, from: &Place, to: &Place) -> Relocated {
        self.ledger.relocate(&self.integration, &from.site(), to).await.unwrap()
    }

    /// The lines of objects, without the integration's own, in an order that no number of a source decides.
    fn objects(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.exported().lines().skip(1).map(str::to_owned).collect();
        lines.retain(|line| line.starts_with("{\"object\""));
        lines.sort();
        lines
    }
}

/// A history in one place: objects completed, changed, gone back, left out, failed, asked for again and gone.
async fn history(bench: &Bench, place: &Place) {
    bench.looks_in(place).await;
    let here = |key: &str, etag: &str, second| at_place(place, key, etag, second);
    bench.complete(here("k", "e1", 1), 1).await;
    bench.complete(here("k", "e2", 2), 2).await;
    // Back to what it had first.
    assert_eq!(bench.list(here("k", "e1", 1), &policy(HOUR)).await.reverted.len(), 1);
    bench.complete(here("k\u{1}", "e1", 1), 3).await;
    let same = bench.take(here("k\u{1}", "e2", 3)).await;
    let of = here("k\u{1}", "e1", 1).dedup_key();
    let reason = SkipReason::SameContent { of };
    bench.ledger.record(&same, skipped(reason), Facts::at(at(HOUR))).await.unwrap();
    let failing = bench.take(here("daily/k", "e1", 1)).await;
    bench.ledger.record(&failing, failed(1, HOUR), Facts::at(at(HOUR))).await.unwrap();
    bench.complete(here("daily/daily/k", "e1", 1), 4).await;
    let key = here("daily/daily/k", "e1", 1).key;
    bench.ledger.ask_again(&bench.integration, Selector::Key(key), Again::Listed, at(HOUR)).await.unwrap();
    let stretch = Stretch { after: None, until: None, keys: vec![here("k", "e1", 1).key] };
    bench.ledger.count(&bench.integration, place, stretch, at(HOUR)).await.unwrap();
}

/// R17, I2: afterwards the ledger is as if everything had been there from the start.
#[tokio::test]
async fn what_was_taken_in_one_place_is_taken_in_another() {
    let places = [
        (place("exports", ""), place("imports", "")),
        (place("exports", "daily/"), place("imports", "acme/daily/")),
        (place("exports", ""), place("exports", "daily/")),
        (place("exports", "daily/"), place("exports", "")),
        (place("exports", "daily/"), place("exports", "weekly/")),
    ];
    for (from, to) in places {
        let (bench, never_moved) = (Bench::new(), Bench::new());
        history(&bench, &from).await;
        history(&never_moved, &to).await;
        assert_eq!(bench.relocate(&from, &to).await, Relocated::Done);
        assert_eq!(bench.objects(), never_moved.objects(), "{from} to {to}");
        let control = bench.ledger.control(&bench.integration).await.unwrap();
        let relocation = Relocation { from: from.site(), to: to.site() };
        assert_eq!((control.place, &control.to_move), (Some(to.clone()), &relocation.steps()));
        assert_eq!(control.moves, [relocation]);
        assert_eq!(bench.relocate(&from, &to).await, Relocated::Already);

        // What comes next is the same as well.
        for bench in [&bench, &never_moved] {
            let admitted = bench.list(at_place(&to, "k", "e2", 2), &policy(HOUR)).await;
            assert_eq!(admitted.known.completed, 1);
            assert_eq!(bench.take(at_place(&to, "k", "e3", 2)).await.as_of().arrival, 3);
            let year = at(HOUR + 1);
            assert_eq!(bench.ledger.forget_gone(&bench.integration, &to, year, 100).await.unwrap(), 3);
        }
        assert_eq!(bench.objects(), never_moved.objects(), "{from} to {to}");
    }
}

/// R17: what the integration took elsewhere, as with a longer prefix, has not been moved.
#[tokio::test]
async fn what_was_taken_aside_stays_there() {
    let bench = Bench::new();
    let (from, to) = (place("exports", "daily/"), place("imports", ""));
    bench.complete(object("weekly/k", "e", 1), 1).await;
    bench.complete(object("daily/k", "e", 1), 2).await;
    bench.looks_in(&from).await;
    assert_eq!(bench.relocate(&from, &to).await, Relocated::Done);
    assert_eq!(bench.state("weekly/k", "e").await, Some(State::Completed));
    assert_eq!(bench.list(at_place(&to, "k", "e", 1), &policy(HOUR)).await.known.completed, 1);
    assert_eq!(bench.list(object("daily/k", "e", 1), &policy(HOUR)).await.work.len(), 1);
}

/// R17: destinations that have not followed to the second place follow to the third, and back.
#[tokio::test]
async fn every_step_is_kept_until_the_destinations_have_taken_it() {
    let bench = Bench::new();
    let (first, second) = (place("exports", ""), place("imports", ""));
    bench.complete(object("k", "e", 1), 1).await;
    bench.looks_in(&first).await;
    for (from, to) in [(&first, &second), (&second, &first), (&first, &second)] {
        assert_eq!(bench.relocate(from, to).await, Relocated::Done);
    }
    let control = bench.ledger.control(&bench.integration).await.unwrap();
    assert_eq!((control.moves.len(), control.to_move.len()), (3, 3));
    let taken = control.to_move.clone();
    let control = bench.ledger.change_control(&bench.integration, move |control| control.moved(&taken)).await.unwrap();
    assert_eq!((control.moves.len(), control.to_move.len()), (3, 0));
    assert_eq!(bench.list(at_place(&second, "k", "e", 1), &policy(HOUR)).await.known.completed, 1);
}

/// R17
#[tokio::test]
async fn a_former_place_that_cannot_be_meant_changes_nothing() {
    let bench = Bench::new();
    let (from, to) = (place("exports", ""), place("imports", ""));
    assert_eq!(bench.relocate(&from, &to).await, Relocated::Already, "there is nothing to lose yet");
    bench.complete(object("k", "e", 1), 1).await;
    bench.looks_in(&from).await;
    let before = bench.exported();
    let elsewhere = bench.relocate(&place("exprots", ""), &to).await;
    assert_eq!(elsewhere, Relocated::Elsewhere(Box::new(from.clone())));
    assert_eq!(bench.exported(), before);
    // Of two files with one key nobody could tell which was taken.
    bench.complete(at_place(&to, "k", "e", 1), 1).await;
    let before = bench.exported();
    assert_eq!(bench.relocate(&from, &to).await, Relocated::BothKnown);
    assert_eq!(bench.exported(), before);
}

/// R17: a ledger in which no place was noted yet.
#[tokio::test]
async fn a_former_place_that_has_objects_need_not_have_been_noted() {
    let bench = Bench::new();
    bench.complete(object("k", "e", 1), 1).await;
    let to = place("imports", "");
    assert_eq!(bench.relocate(&place("exports", ""), &to).await, Relocated::Done);
    assert_eq!(bench.list(at_place(&to, "k", "e", 1), &policy(HOUR)).await.known.completed, 1);
}
