//! What another component would make of the files that a mapper took last, beside a daemon and without one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use gristmill_loopback_s3::{Config, Server};
use gristmill_tests::daemon::{Bed, Ran};
use gristmill_tests::guests::Guest;
use serde_json::{Value, json};

const BUCKET: &str = "exports";

/// Differs from the well-behaved one in two things: in the first row of a file `n` is 8, and the second row is rejected.
const OTHER: &str = r#"
;;@module
  (data (i32.const 896) "\00\00\00\00" "\00\00\00\00" "\01\00\00\00" "\00\00\00\00\06\00\00\00" "closed\00\00")
  (data (i32.const 928) "\00\00\00\00\15\00\00\00" "the account is closed")
;;@map-batch
    (i64.store (local.get $values) (i64.const 8))
    (if (i32.gt_u (local.get $rows) (i32.const 1))
      (then
        (i32.store (i32.const 896) (i32.add (local.get $first) (i32.const 1)))
        (i64.store (i32.const 540) (i64.const 0x100000380))
        (i64.store (i32.const 548) (i64.const 0x100000384))
        (i64.store (i32.const 556) (i64.const 0x100000388))
        (i64.store (i32.const 564) (i64.const 0x20000038c))
        (i64.store (i32.const 572) (i64.const 0x600000394))
        (i64.store (i32.const 580) (i64.const 0x2000003a0))
        (i64.store (i32.const 588) (i64.const 0x15000003a8))))
;;@finish
    (i64.store (i32.const 540) (i64.const 0))
    (i64.store (i32.const 548) (i64.const 0))
    (i64.store (i32.const 556) (i64.const 0))
    (i64.store (i32.const 564) (i64.const 0x100000280))
    (i64.store (i32.const 572) (i64.const 0))
    (i64.store (i32.const 580) (i64.const 0x100000280))
    (i64.store (i32.const 588) (i64.const 0))
"#;

fn integration(name: &str, more: &str) -> String {
    format!(
        "[integrations.{name}]\nconnection = \"main\"\nbucket = \"{BUCKET}\"\nprefix = \"{name}/\"\npoll_interval = \"1h\"\n\
         matching = {{ on_no_match = \"create\" }}\n{more}[integrations.{name}.mapper]\nfield_mapping = \"own\"\n"
    )
}

/// What must not have changed: the store, the ledger, the reject files, and what the mappers took. That the mapper was
/// loaded once more is no secret.
fn everything(bed: &Bed) -> (Vec<String>, Vec<Value>, Vec<String>, Value) {
    let mut mappers = bed.command(["status", "--json"]).values[0]["mappers"].clone();
    mappers.as_array_mut().unwrap().iter_mut().for_each(|mapper| drop(mapper["cache_hits"].take()));
    (bed.content(), bed.ledger("plans"), bed.files("state/rejects"), mappers)
}

fn shadow(bed: &Bed, component: &Path, more: &[&str]) -> Ran {
    let component = component.display().to_string();
    let arguments = ["mapper", "shadow", "own", component.as_str()];
    bed.command(arguments.iter().chain(more))
}

/// The lines of an answer that are not about time and memory.
fn said(ran: &Ran) -> Vec<&str> {
    ran.output.lines().filter(|line| !line.starts_with("  processor time and memory: ")).collect()
}

/// The document without what differs from run to run.
fn document(ran: &Ran) -> Value {
    let mut document = ran.values[0].clone();
    for object in document["objects"].as_array_mut().unwrap() {
        for side in ["current", "new"] {
            if let Some(side) = object.pointer_mut(&format!("/found/compared/{side}")) {
                assert!(side["processor_seconds"].take().as_f64().unwrap() > 0.0);
                assert!(side["peak_memory"].take().as_u64().unwrap() > 0);
            }
        }
    }
    document
}

#[test]
fn what_another_component_makes_of_the_last_files_is_shown_and_nothing_is_written() {
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
    let directory = bed.path("");
    let [own, other] = [("own", ""), ("other", OTHER)].map(|(name, lines)| Guest::of(name, lines, &directory));
    let parts = own.table("own") + &integration("plans", "") + &integration("more", "");
    bed.configure(&parts);
    for (key, text) in [("a", "id\n1\n2\n3\n"), ("b", "id\n4\n"), ("c", "id\n5\n6\n")] {
        server.put(BUCKET, &format!("plans/{key}.csv"), text).unwrap();
    }
    let daemon = bed.start();
    daemon.wait_for("the files", |line| line["event"] == "pass_finished" && line["succeeded"] == 3);
    daemon.wait_for("nothing", |line| line["event"] == "pass_finished" && line["integration"] == "more");
    let before = everything(&bed);

    let same = shadow(&bed, &own.path, &[]);
    assert_eq!(same.code, 0, "{same:?}");
    assert!(same.output.contains("\nfiles: 3 the same, 0 different, 0 skipped, 0 not looked at\n"), "{same:?}");
    let last = shadow(&bed, &own.path, &["--last", "1", "--integration", "plans"]);
    assert!(last.output.contains("\nfiles: 1 the same, 0 different,"), "{last:?}");
    let none = shadow(&bed, &own.path, &["--integration", "more"]);
    assert_eq!((none.code, none.output.lines().next()), (1, Some("no file of this mapper is completed")), "{none:?}");

    let other_told = shadow(&bed, &other.path, &["--json"]);
    assert_eq!(other_told.code, 1, "{other_told:?}");
    assert!(other_told.errors.contains("the new component does not make the same of every file"), "{other_told:?}");
    let beside = document(&other_told);
    assert_eq!(beside["files"], json!({ "same": 0, "different": 3, "skipped": 0, "failed": 0 }));
    assert_eq!((&beside["current"], &beside["new"]), (&own.sha256.as_str().into(), &other.sha256.as_str().into()));

    server.put(BUCKET, "plans/c.csv", "id\n7\n").unwrap();
    server.delete(BUCKET, "plans/b.csv").unwrap();
    let changed = shadow(&bed, &other.path, &[]);
    let completed = |key: &str| {
        let at: jiff::Timestamp =
            bed.entry("plans", &format!("plans/{key}.csv"))["changed"].as_str().unwrap().parse().unwrap();
        format!("plans/{key}.csv (plans, completed {})", at.round(jiff::Unit::Second).unwrap())
    };
    let mut lines = said(&changed);
    lines.sort_by_key(|line| [completed("b"), completed("c")].iter().position(|head| line.starts_with(head)));
    let mut expected = vec![
        format!("{}: different", completed("a")),
        "  account records: 0 added, 1 removed, 1 changed, 1 the same".to_owned(),
        "  ~ line 2: {\"account\":[{\"crm_id\":\"1\"}]}".to_owned(),
        "      n: 7 → 8".to_owned(),
        "  - line 3: {\"account\":[{\"crm_id\":\"2\"}],\"fields\":{\"n\":7}}".to_owned(),
        "  1 row rejected by the new component alone".to_owned(),
        "    line 3: `closed`, column `id`, value `2`: the account is closed".to_owned(),
        "files: 0 the same, 1 different, 2 skipped, 0 not looked at".to_owned(),
        format!("current: {}, new: {}", own.sha256, other.sha256),
        format!("{}: skipped, deleted since it was taken", completed("b")),
        format!("{}: skipped, replaced since it was taken", completed("c")),
    ];
    expected.sort_by_key(|line| line.contains(": skipped, "));
    assert_eq!((lines, changed.code), (expected.iter().map(String::as_str).collect(), 1), "{changed:?}");
    assert_eq!(everything(&bed), before, "nothing was written");
    let beside = document(&shadow(&bed, &other.path, &["--json"]));

    assert_eq!(daemon.stop(), 0);
    let alone = document(&shadow(&bed, &other.path, &["--json"]));
    assert_eq!(alone, beside, "without a daemon it is the same");
    assert_eq!((bed.content(), bed.ledger("plans"), bed.files("state/rejects")), (before.0, before.1, before.2));
    assert_eq!(bed.files("state/spool"), ["lock"], "no copy is left");
}

#[test]
fn a_component_that_fails_or_cannot_be_the_mapper_is_told_apart() {
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
    let frozen = Path::new(env!("CARGO_MANIFEST_DIR")).join("frozen/0.1.0");
    let key = fs::read_to_string(frozen.join("mapper.pub")).unwrap().lines().nth(1).unwrap().to_owned();
    let directory = bed.path("");
    let [own, other, trap] = [("own", ""), ("other", OTHER), ("trap", "")].map(|(name, lines)| match name {
        "trap" => Guest::write(name, &directory),
        _ => Guest::of(name, lines, &directory),
    });
    bed.configure(&(own.table("own") + &integration("plans", "max_rejects = 0\n")));
    server.put(BUCKET, "plans/a.csv", "id\n1\n2\n").unwrap();
    assert_eq!(bed.once().counts("plans"), [1, 0, 1, 0, 0, 0]);

    let trapped = shadow(&bed, &trap.path, &[]);
    assert_eq!(trapped.code, 1, "{trapped:?}");
    assert!(trapped.output.contains("  new: the file fails: mapper `own` failed"), "{trapped:?}");
    let refused = shadow(&bed, &other.path, &[]);
    assert!(refused.output.contains("  new: the file fails: 1 of 2 rows were rejected, and "), "{refused:?}");
    assert!(refused.output.contains("1 removed, 1 changed, 0 the same"), "what it would make is shown: {refused:?}");

    fs::write(bed.path("none.wasm"), "no component").unwrap();
    let none = shadow(&bed, &bed.path("none.wasm"), &[]);
    assert!(
        none.errors.contains("the component cannot become the mapper `own`: not a WebAssembly component"),
        "{none:?}"
    );
    let unknown = bed.command(["mapper", "shadow", "others", other.path.to_str().unwrap()]);
    assert!(unknown.errors.contains("there is no mapper `others`"), "{unknown:?}");
    assert!(unknown.errors.contains("hint: configured: own"), "{unknown:?}");

    // Where the mapper is signed, so is whatever is to take its place.
    let signed = format!(
        "[mappers.own]\npath = \"{}\"\nsha256 = \"{}\"\nsigned_by = [\"{key}\"]\n",
        frozen.join("mapper.wasm").display(),
        sha256(&frozen.join("mapper.wasm"))
    );
    bed.configure(&(signed + &integration("plans", "")));
    let unsigned = shadow(&bed, &own.path, &[]);
    assert_eq!(unsigned.code, 1, "{unsigned:?}");
    assert!(unsigned.errors.contains("own.wasm.minisig` does not count: there is none"), "{unsigned:?}");
    assert!(unsigned.errors.contains("hint: sign the component with one of the keys in `signed_by`"), "{unsigned:?}");
    let signature = frozen.join("mapper.wasm.minisig").display().to_string();
    let others = shadow(&bed, &own.path, &["--signature", &signature]);
    assert!(others.errors.contains("it is of another file, or was changed"), "{others:?}");
    let theirs = shadow(&bed, &frozen.join("mapper.wasm"), &[]);
    assert!(theirs.output.contains("files: 1 the same"), "both refuse the file: {theirs:?}");
}

#[test]
fn usage_is_compared_and_a_component_that_makes_none_is_refused() {
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
    let frozen = Path::new(env!("CARGO_MANIFEST_DIR")).join("frozen/0.1.0");
    let component = frozen.join("mapper.wasm");
    let fields_alone = Guest::of("other", OTHER, &bed.path(""));
    let table = format!("[mappers.own]\npath = \"{}\"\nsha256 = \"{}\"\n", component.display(), sha256(&component));
    bed.configure(&(table + &integration("plans", "") + "product_usage = \"own\"\n"));
    server.put(BUCKET, "plans/a.csv", fs::read(frozen.join("sample.csv")).unwrap()).unwrap();
    assert_eq!(bed.once().counts("plans")[3], 1, "taken, with rejects");

    let same = shadow(&bed, &component, &["--json"]);
    let found = &document(&same)["objects"][0]["found"]["compared"];
    assert_eq!((same.code, &found["same"]), (0, &true.into()), "{same:?}");
    assert_eq!(found["current"]["rows"], json!({ "read": 5, "rejected": 2 }));
    assert_eq!((&found["accounts"]["unchanged"], &found["usage"]["unchanged"]), (&3.into(), &3.into()));
    let refused = shadow(&bed, &fields_alone.path, &[]);
    assert_eq!(refused.code, 1, "{refused:?}");
    let why = "plans: refused: the new component does not fit: mapper `own` cannot be loaded: the mapper has no product usage";
    assert!(refused.output.starts_with(why), "{refused:?}");
}

fn sha256(path: &Path) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(fs::read(path).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect()
}
