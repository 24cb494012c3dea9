//! What was completed under another mapping stays as it is until a person asks (R6).

use gristmill_loopback_s3::{Config, Server};
use gristmill_tests::daemon::Bed;

const BUCKET: &str = "exports";

fn integration(field: &str) -> String {
    format!(
        "[integrations.daily]\nconnection = \"main\"\nbucket = \"{BUCKET}\"\nmatching = {{ on_no_match = \"create\" }}\n\
         identifiers = [{{ column = \"id\", match = \"crm_id\" }}]\n\
         fields = [{{ column = \"stage\", field = \"{field}\", type = \"text\" }}]\n"
    )
}

/// R6
#[test]
fn stale_objects_are_shown_and_taken_again_only_when_asked_for() {
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
    bed.configure(&integration("stage"));
    server.put(BUCKET, "a.csv", "id,stage\n1,won\n").unwrap();
    server.put(BUCKET, "b.csv", "id,stage\n2,lost\n").unwrap();
    assert_eq!(bed.once().counts("daily"), [2, 0, 2, 0, 0, 0]);
    let shown = bed.command(["replay", "daily", "--stale", "--dry-run"]);
    assert_eq!((shown.code, shown.output.as_str()), (0, "every completed object was made by today's mapping\n"));
    assert_eq!(bed.command(["replay", "daily", "--stale"]).code, 1, "nothing is stale");

    bed.configure(&integration("phase"));
    server.put(BUCKET, "c.csv", "id,stage\n3,open\n").unwrap();
    assert_eq!(bed.once().counts("daily"), [3, 2, 1, 0, 0, 0], "nothing is reprocessed by itself");
    let stale = bed.command(["ledger", "list", "daily", "--stale", "--json"]);
    let keys: Vec<&str> = stale.values.iter().filter_map(|entry| entry["object"]["key"].as_str()).collect();
    assert_eq!(keys, ["a.csv", "b.csv"]);

    let before = (bed.content(), bed.ledger("daily"));
    let shown = bed.command(["replay", "daily", "--stale", "--dry-run"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(shown.output.contains("accounts: 0 created, 1 updated, 0 unchanged"), "{shown:?}");
    let last = shown.output.lines().last().unwrap();
    assert_eq!(last, "2 completed objects were made by another mapping than today's; nothing was written");
    assert_eq!((bed.content(), bed.ledger("daily")), before, "a dry run writes nothing");

    let asked = bed.command(["replay", "daily", "--stale"]);
    assert!(asked.output.starts_with("again: a.csv\nagain: b.csv\n"), "{asked:?}");
    assert_eq!(bed.once().counts("daily"), [3, 1, 2, 0, 0, 0]);
    assert_eq!(bed.command(["ledger", "list", "daily", "--stale", "--json"]).values, Vec::<serde_json::Value>::new());
    let fields = bed.rows("SELECT crm_id, field, value FROM account_field_values ORDER BY 1, 2");
    assert!(fields.contains(&"1|phase|won".to_owned()), "{fields:?}");
}
