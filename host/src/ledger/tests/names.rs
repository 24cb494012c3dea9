//! An integration under another name (R17).

use super::*;

fn name(text: &str) -> IntegrationName {
    text.parse().unwrap()
}

/// R17
#[tokio::test]
async fn an_integration_has_under_another_name_what_it_had() {
    let bench = Bench::new();
    let (from, to) = (bench.integration.clone(), name("customers"));
    bench.complete(object("k", "e", 1), 1).await;
    bench.complete(object("other", "e", 1), 2).await;
    let backfill = |control: &mut Control| control.backfill = Some(Backfill::All);
    bench.ledger.change_control(&from, backfill).await.unwrap();
    let pause = Pause { reason: "paused by hand".to_owned(), since: at(9) };
    let paused = Some(pause.clone());
    bench.ledger.change_control(&to, move |control| control.paused = paused).await.unwrap();

    assert_eq!(bench.ledger.rename(&from, &to).await.unwrap(), Renamed::Done);
    assert_eq!(bench.ledger.rename(&from, &to).await.unwrap(), Renamed::Already);
    let listed = vec![object("k", "e", 1), object("other", "e", 1)];
    let admitted = bench.ledger.admit(&to, listed, &policy(HOUR)).await.unwrap();
    assert_eq!((admitted.work.len(), admitted.known.completed), (0, 2));
    let shown = bench.ledger.show(&to, &"k".parse().unwrap()).await.unwrap();
    assert_eq!(shown[0].identity().integration, to);
    let control = bench.ledger.control(&to).await.unwrap();
    assert_eq!((&control.former_names, &control.to_follow), (&vec![from.clone()], &vec![from.clone()]));
    assert_eq!((control.backfill, control.paused), (Some(Backfill::All), Some(pause)));

    // The former name is nobody's, and free for another.
    assert_eq!(bench.ledger.control(&from).await.unwrap(), Control::default());
    assert!(bench.ledger.overview(&from).await.unwrap().counts.is_empty());
    assert_eq!(bench.take(object("k", "e", 1)).await.identity().integration, from);
    assert_eq!(bench.ledger.rename(&from, &to).await.unwrap(), Renamed::Already, "it was done, and is done once");
}

/// R17: destinations that have not followed to the second name follow to the third.
#[tokio::test]
async fn every_former_name_is_kept_until_the_destinations_have_followed() {
    let bench = Bench::new();
    let (first, second, third) = (bench.integration.clone(), name("second"), name("third"));
    bench.complete(object("k", "e", 1), 1).await;
    bench.ledger.rename(&first, &second).await.unwrap();
    bench.ledger.rename(&second, &third).await.unwrap();
    let control = bench.ledger.control(&third).await.unwrap();
    assert_eq!(control.to_follow, [first.clone(), second.clone()]);
    let followed = control.to_follow.clone();
    let control = bench.ledger.change_control(&third, move |control| control.followed(&followed)).await.unwrap();
    assert_eq!((control.to_follow.len(), &control.former_names), (0, &vec![first.clone(), second.clone()]));
    // And back again.
    assert_eq!(bench.ledger.rename(&third, &first).await.unwrap(), Renamed::Done);
    let control = bench.ledger.control(&first).await.unwrap();
    assert_eq!((control.former_names, control.to_follow), (vec![second, third.clone()], vec![third]));
}

/// R17
#[tokio::test]
async fn a_former_name_that_cannot_be_meant_changes_nothing() {
    let bench = Bench::new();
    let (from, to) = (bench.integration.clone(), name("customers"));
    assert_eq!(bench.ledger.rename(&from, &to).await.unwrap(), Renamed::Already, "there is nothing to lose yet");
    bench.complete(object("k", "e", 1), 1).await;
    assert_eq!(bench.ledger.rename(&name("acounts"), &to).await.unwrap(), Renamed::Unknown);
    bench.ledger.admit(&to, vec![object("k", "e", 1)], &policy(HOUR)).await.unwrap();
    let before = bench.exported();
    assert_eq!(bench.ledger.rename(&from, &to).await.unwrap(), Renamed::BothKnown);
    assert_eq!(bench.exported(), before);
}

fn key(text: &str) -> ConnectionKey {
    text.parse().unwrap()
}

fn over(connection: &str, name: &str) -> Object {
    Object { connection: key(connection), ..object(name, "e", 1) }
}

fn place(connection: &str) -> Place {
    let (bucket, prefix) = ("exports".parse().unwrap(), String::new());
    Place { server: "Amazon".to_owned(), connection: key(connection), bucket, prefix }
}

/// R17: what is recorded keeps its key, and is asked for by it.
#[tokio::test]
async fn what_was_taken_over_a_connection_is_recorded_under_its_first_key() {
    let bench = Bench::new();
    let name = bench.integration.clone();
    bench.complete(object("k", "e", 1), 1).await;
    let rename = async |from: &str, to: &str| {
        let done = bench.ledger.rename_connection(&name, &key(from), &key(to)).await.unwrap();
        (done, bench.ledger.control(&name).await.unwrap().recorded(&key(to)).to_string())
    };
    assert_eq!(rename("other", "main").await, (false, "main".to_owned()), "nothing was taken over it");
    assert_eq!(rename("acme", "main").await, (true, "acme".to_owned()));
    assert_eq!(rename("acme", "main").await, (false, "acme".to_owned()), "it is done once");
    bench.ledger.change_control(&name, |control| control.place = Some(place("acme"))).await.unwrap();
    assert_eq!(rename("main", "third").await, (true, "acme".to_owned()));
    assert_eq!(bench.ledger.control(&name).await.unwrap().recorded_as.len(), 1, "a key that is free is free");
    assert_eq!(rename("third", "acme").await, (true, "acme".to_owned()));
    assert!(bench.ledger.control(&name).await.unwrap().recorded_as.is_empty());
    assert_eq!(rename("third", "acme").await, (false, "acme".to_owned()));
}

/// R17: an integration that has gone to another connection since is not taken back.
#[tokio::test]
async fn a_renamed_connection_that_an_integration_has_left_changes_nothing() {
    let bench = Bench::new();
    let name = bench.integration.clone();
    bench.complete(object("k", "e", 1), 1).await;
    bench.complete(over("main", "k"), 2).await;
    assert!(!bench.ledger.rename_connection(&name, &key("acme"), &key("main")).await.unwrap(), "it has both");
    bench.ledger.change_control(&name, |control| control.place = Some(place("main"))).await.unwrap();
    assert!(!bench.ledger.rename_connection(&name, &key("acme"), &key("main")).await.unwrap());
    bench.ledger.change_control(&name, |control| control.place = Some(place("acme"))).await.unwrap();
    assert!(bench.ledger.rename_connection(&name, &key("acme"), &key("main")).await.unwrap());
}
