//! A budget of LIST requests has passes follow each other more slowly, and keeps nobody waiting who asks.

use gristmill_loopback_s3::Operation;
use gristmill_tests::process::{BUCKET, Bed, until};
use serde_json::json;

#[test]
fn passes_wait_until_their_requests_are_paid_for_and_a_person_does_not() {
    let bed = Bed::new();
    bed.server.put(BUCKET, "a.csv", "Account,Name\nA,Ann\n").unwrap();
    // One request an hour.
    let integration = format!(
        "[integrations.one]\nconnection = \"acme\"\nbucket = \"{BUCKET}\"\npoll_interval = \"1s\"\nlist_budget = 720\n\
         matching = {{ on_no_match = \"create\" }}\nidentifiers = [{{ column = \"Account\", match = \"crm_id\" }}]\n\
         fields = [{{ column = \"Name\", field = \"name\", type = \"text\" }}]\n"
    );
    bed.configure("", &integration);
    let mut daemon = bed.run();
    let pass = daemon.event_of("pass_finished", "integration", "one");
    assert_eq!(pass["succeeded"], json!(1), "{pass}");
    until("it says what it waits for", || {
        let status = String::from_utf8(bed.gristmill(&["status"]).stdout).unwrap();
        status.contains("why: its `list_budget` is spent until the next pass").then_some(())
    });
    let listed = bed.server.faults().seen(Operation::ListObjectsV2);
    bed.server.put(BUCKET, "b.csv", "Account,Name\nB,Ben\n").unwrap();
    assert!(bed.gristmill(&["poll", "one"]).status.success());
    let pass = daemon.event_of("pass_finished", "integration", "one");
    assert_eq!((&pass["listed"], &pass["succeeded"]), (&json!(2), &json!(1)), "{pass}");
    assert_eq!(bed.server.faults().seen(Operation::ListObjectsV2), listed + 1, "nobody else has listed");
}
