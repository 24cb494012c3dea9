//! Users loaded from a file of this machine, told of, and meant by account fields.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use gristmill_loopback_s3::{Config, Server};
use gristmill_tests::daemon::{Bed, Ran};

const BUCKET: &str = "exports";

/// A list of users, and an integration whose accounts have an owner.
const CONFIG: &str = r#"
[integrations.staff]
enabled = false
connection = "main"
bucket = "exports"
identifiers = [{ column = "User", match = "id" }]
fields = [
  { column = "Mail", field = "email", type = "email", transforms = ["lower"] },
  { column = "Name", field = "name", type = "text" },
]

[integrations.owners]
connection = "main"
bucket = "exports"
prefix = "owners/"
identifiers = [{ column = "Id", match = "crm_id" }]
fields = [{ column = "Owner", field = "owner", type = "lookup_user" }]
matching = { on_no_match = "create" }
"#;

const STAFF: &str = "User,Mail,Name\nu1,ANN@acme.example,Ann Lee\nu2,jo@acme.example,\"Doe, Jo\"\n";

fn ground() -> (Server, Bed) {
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
    bed.configure(CONFIG);
    (server, bed)
}

fn import(bed: &Bed, name: &str, text: &str, integration: &str) -> Ran {
    let path = bed.path(name);
    fs::write(&path, text).unwrap();
    bed.command(["users", "import", path.to_str().unwrap(), "--integration", integration])
}

#[test]
fn users_are_loaded_found_and_exported() {
    let (_server, bed) = ground();
    assert_eq!(bed.command(["users", "find", "ann"]).code, 1);
    let loaded = import(&bed, "staff.csv", STAFF, "staff");
    assert_eq!(
        (loaded.code, loaded.output.as_str()),
        (0, "rows: 2 read, 0 rejected\nusers: 2 created, 0 updated, 0 unchanged\n"),
        "{loaded:?}"
    );
    // The last row of an id counts, what is blank keeps what was known, and a row that does not read is refused alone.
    let lines = "{\"User\": \"u2\", \"Name\": \"Jo\"}\n{\"User\": \"u2\", \"Name\": \"Jo Doe\"}\n\
                 {\"User\": \"u3\", \"Mail\": \"nonsense\"}\n";
    let more = import(&bed, "more.ndjson", lines, "staff");
    assert_eq!(more.code, 1, "{more:?}");
    assert!(
        more.output.starts_with("rows: 3 read, 1 rejected\nusers: 0 created, 1 updated, 0 unchanged\nrejects: "),
        "{more:?}"
    );

    let found = bed.command(["users", "find", "DOE"]);
    assert_eq!((found.code, found.output.as_str()), (0, "u2\n  email: jo@acme.example\n  name: Jo Doe\n"), "{found:?}");
    let exported = bed.command(["users", "export"]);
    assert_eq!(
        exported.output, "id,email,name\nu1,ann@acme.example,Ann Lee\nu2,jo@acme.example,Jo Doe\n",
        "{exported:?}"
    );
    let exported = bed.command(["users", "export", "--format", "ndjson"]);
    assert_eq!(exported.values[0], serde_json::json!({"id": "u1", "email": "ann@acme.example", "name": "Ann Lee"}));
}

#[test]
fn a_list_of_something_else_is_refused() {
    let (_server, bed) = ground();
    let refused = import(&bed, "owners.csv", "Id,Owner\n1,a@acme.example\n", "owners");
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.errors.contains("the mapping brings other identifiers than one with `match = \"id\"`"),
        "{refused:?}"
    );
    assert!(refused.errors.contains("hint: name an integration with one identifier"), "{refused:?}");
}

/// R7
#[test]
fn an_owner_whom_nobody_knew_is_taken_once_the_user_is_loaded() {
    let (server, bed) = ground();
    assert_eq!(import(&bed, "staff.csv", STAFF, "staff").code, 0);
    let rows = "Id,Owner\n001,Ann@acme.example\n002,new@acme.example\n";
    server.put(BUCKET, "owners/a.csv", rows).unwrap();
    let path = bed.path("dry.csv");
    fs::write(&path, rows).unwrap();
    let dry = bed.command(["test", "owners", path.to_str().unwrap()]);
    assert!(dry.output.contains("values that tell of no user: 1, the first is `new@acme.example`"), "{dry:?}");

    assert_eq!(bed.once().counts("owners"), [1, 0, 1, 0, 0, 0]);
    let owners = "SELECT crm_id, value FROM account_field_values WHERE field = 'owner' ORDER BY 1";
    assert_eq!(bed.rows(owners), ["001|u1"]);
    assert_eq!(bed.entry("owners", "owners/a.csv")["summary"]["merged"]["unknown_users"], 1);

    assert_eq!(import(&bed, "new.csv", "User,Mail,Name\nu9,new@acme.example,New\n", "staff").code, 0);
    let asked = bed.command(["replay", "owners", "--unmatched", "--json"]);
    assert_eq!((asked.code, &asked.values[0]["keys"]), (0, &1.into()), "{asked:?}");
    assert_eq!(bed.once().code, 0);
    assert_eq!(bed.rows(owners), ["001|u1", "002|u9"]);
    let asked = bed.command(["replay", "owners", "--unmatched"]);
    assert_eq!(asked.code, 0, "{asked:?}");
}
