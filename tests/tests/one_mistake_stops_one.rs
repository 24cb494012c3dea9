//! A hostile mapper or workbook fails its own file, and names itself; the others' files complete and the daemon lives.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Cursor, Write};
use std::path::Path;

use gristmill_loopback_s3::{Config, Server};
use gristmill_tests::daemon::Bed;
use gristmill_tests::guests::Guest;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const BUCKET: &str = "exports";

fn plain(name: &str, prefix: &str) -> String {
    format!(
        "[integrations.{name}]\nconnection = \"main\"\nbucket = \"{BUCKET}\"\nprefix = \"{prefix}\"\npoll_interval = \"1s\"\n\
         matching = {{ on_no_match = \"create\" }}\nidentifiers = [{{ column = \"Account ID\", match = \"crm_id\" }}]\n\
         fields = [{{ column = \"Name\", field = \"name\", type = \"text\", optional = true }}]\n"
    )
}

fn custom(name: &str, mapper: &str) -> String {
    format!("{}[integrations.{name}.mapper]\nfield_mapping = \"{mapper}\"\n", custom_base(name))
}

fn custom_base(name: &str) -> String {
    format!(
        "[integrations.{name}]\nconnection = \"main\"\nbucket = \"{BUCKET}\"\nprefix = \"{name}/\"\npoll_interval = \"1s\"\n\
         matching = {{ on_no_match = \"create\" }}\n"
    )
}

/// An xlsx workbook with this sheet and these shared strings.
fn workbook(sheet: &[u8], shared_strings: &str) -> Vec<u8> {
    let relationships = "http://schemas.openxmlformats.org/package/2006/relationships";
    let office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let links = |kind: &str, target: &str| {
        format!(
            r#"<Relationships xmlns="{relationships}"><Relationship Id="r1" Type="{office}/{kind}" Target="{target}"/></Relationships>"#
        )
    };
    let book = format!(
        r#"<workbook xmlns:r="{office}"><sheets><sheet name="data" sheetId="1" r:id="r1"/></sheets></workbook>"#
    );
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let mut part = |name: &str, body: &[u8]| {
        archive.start_file(name, SimpleFileOptions::default()).unwrap();
        archive.write_all(body).unwrap();
    };
    part("_rels/.rels", links("officeDocument", "xl/workbook.xml").as_bytes());
    part("xl/workbook.xml", book.as_bytes());
    part("xl/_rels/workbook.xml.rels", links("worksheet", "worksheets/s1.xml").as_bytes());
    part("xl/worksheets/s1.xml", sheet);
    part("xl/sharedStrings.xml", shared_strings.as_bytes());
    archive.finish().unwrap().into_inner()
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("decode").join(name)).unwrap()
}

/// The most memory that a process ever had, in bytes.
fn peak_memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
fn hostile_mappers_fail_their_own_file_and_are_named() {
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
    let [looping, trapping] = ["loop-in-map-batch", "trap"].map(|threat| Guest::write(threat, bed.path("").as_path()));
    let missing = "[mappers.changed]\npath = \"trap.wasm\"\nsha256 = \
                   \"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"\n";
    let parts = [
        looping.table("looper"),
        trapping.table("trapper"),
        missing.to_owned(),
        custom("loops", "looper"),
        custom("traps", "trapper"),
        custom("pinned", "changed"),
        plain("good", "good/"),
    ];
    bed.configure(&parts.concat());
    for prefix in ["loops", "traps", "pinned", "good"] {
        server.put(BUCKET, &format!("{prefix}/a.csv"), "Account ID,Name\n1,one\n2,two\n").unwrap();
    }
    let daemon = bed.start();
    let failed = |name: &'static str| {
        let line =
            daemon.wait_for("a failed object", |line| line["event"] == "object_failed" && line["integration"] == name);
        assert_eq!(line["class"], "mapper", "{line}");
        line["error"].as_str().unwrap().to_owned()
    };
    let (loops, traps) = (failed("loops"), failed("traps"));
    assert!(loops.starts_with("mapper `looper` failed: ") && loops.contains("processor time"), "{loops}");
    assert!(traps.starts_with("mapper `trapper` failed: ") && traps.contains("unreachable"), "{traps}");
    daemon.wait_for("the good file", |line| line["event"] == "object_completed" && line["integration"] == "good");
    // Other bytes than the pinned ones never run; that is its integration's trouble alone (R15).
    let disabled = daemon.wait_for("the mapper with other bytes", |line| line["event"] == "part_disabled");
    assert_eq!(disabled["part"], "integrations.pinned");
    // Those who live go on living.
    server.put(BUCKET, "good/b.csv", "Account ID,Name\n3,three\n").unwrap();
    daemon.wait_for("another good file", |line| line["object"] == "s3://exports/good/b.csv");

    let status = bed.command(["status", "--json"]);
    assert_eq!(status.code, 1, "{status:?}");
    let activity = |name: &str| {
        let integrations = status.values[0]["integrations"].as_array().unwrap();
        let found = integrations.iter().find(|one| one["integration"] == name).unwrap();
        (found["activity"].as_str().unwrap().to_owned(), found["objects"].clone())
    };
    assert_eq!(status.values[0]["integrations"][0]["integration"], "pinned", "the unhealthy come first: {status:?}");
    assert_eq!(activity("pinned").0, "disabled");
    assert_eq!(activity("loops").1["quarantined"], 1);
    assert_eq!(activity("traps").1["quarantined"], 1);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(bed.rows("SELECT crm_id FROM account_overview ORDER BY 1"), ["1", "2", "3"]);
    let explained = bed.command(["explain", "traps", "traps/a.csv"]);
    assert!(explained.output.starts_with("quarantined: mapper `trapper` failed: "), "{explained:?}");
}

#[test]
fn a_row_that_a_mapper_fails_on_is_named_and_left_out_where_that_is_wanted() {
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
    let picky = Guest::write("trap-on-a-row", bed.path("").as_path());
    let lenient = custom("lenient", "picky") + "on_failure = \"reject_row\"\n";
    bed.configure(&[picky.table("picky"), custom("strict", "picky"), lenient].concat());
    let row = |row: u32| if [1_500, 2_598].contains(&row) { format!("{row}!,\n") } else { format!("{row},\n") };
    let file = (0..3_000).fold("Account ID,Name\n".to_owned(), |file, number| file + &row(number));
    for prefix in ["strict", "lenient"] {
        server.put(BUCKET, &format!("{prefix}/a.csv"), file.clone()).unwrap();
    }
    let ran = bed.once();
    assert_eq!(ran.counts("strict"), [1, 0, 0, 0, 0, 1]);
    let message = bed.entry("strict", "strict/a.csv")["failure"]["message"].as_str().unwrap().to_owned();
    assert!(
        message.starts_with("mapper `picky` failed at line 1502: ") && message.contains("unreachable"),
        "{message}"
    );

    assert_eq!(ran.counts("lenient"), [1, 0, 0, 1, 0, 0], "{ran:?}");
    assert_eq!(ran.events("mapper_row_left_out").len(), 2);
    assert_eq!(bed.rows("SELECT count(*), min(crm_id), max(length(crm_id)) FROM account_overview"), ["2998|0|4"]);
    let rejects = bed.files("state").into_iter().find(|file| file.ends_with("rejects.csv")).unwrap();
    let rejects = std::fs::read_to_string(bed.state().join(&rejects)).unwrap();
    let rejected: Vec<_> = rejects.lines().skip(1).collect();
    assert_eq!(rejected.len(), 2, "{rejects}");
    for (line, begins) in rejected.iter().zip(["1500!,,1502,", "2598!,,2600,"]) {
        assert!(line.starts_with(begins) && line.contains(",mapper-trap,mapper `picky` failed here"), "{line}");
    }
}

#[test]
fn a_mapper_that_fails_on_file_after_file_is_kept_from_the_others_until_it_is_mended() {
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
    let directory = bed.path("");
    let [broken, mended] = ["trap", "trap-on-a-row"].map(|threat| Guest::write(threat, directory.as_path()));
    let others = [plain("good", "good/"), custom("traps", "trapper")].concat();
    bed.configure_daemon("files_at_once = 1", &[broken.table("trapper"), others.clone()].concat());
    for file in 0..8 {
        server.put(BUCKET, &format!("traps/{file}.csv"), format!("Account ID,Name\n{file},one\n")).unwrap();
    }
    server.put(BUCKET, "good/a.csv", "Account ID,Name\ngood,two\n").unwrap();
    let daemon = bed.start();
    let failed = daemon.wait_for("the pass to end", |line| line["event"] == "pass_failed");
    let error = failed["error"].as_str().unwrap();
    assert!(error.starts_with("mapper `trapper` failed on 3 files in a row: one is tried after "), "{failed}");
    daemon.wait_for("the good file", |line| line["event"] == "object_completed" && line["integration"] == "good");
    let quarantined = || bed.ledger("traps").iter().filter(|entry| entry["state"]["quarantined"].is_object()).count();
    assert_eq!(quarantined(), 3, "the others stay new");
    let all = bed.command(["status", "--json"]).values[0].clone();
    let status = &all["integrations"][0];
    assert_eq!(
        (status["integration"].as_str(), status["activity"].as_str()),
        (Some("traps"), Some("failing")),
        "{status}"
    );
    assert!(
        status["reason"].as_str().unwrap().contains("3 files in a row") && !status["next_pass_at"].is_null(),
        "{status}"
    );
    let trapper = all["mappers"].as_array().unwrap().iter().find(|mapper| mapper["mapper"] == "trapper").unwrap();
    assert_eq!((&trapper["failures"]["mapper-trap"], &trapper["rows"]), (&3.into(), &3.into()), "{trapper}");
    assert!(
        trapper["compile_seconds"].as_f64().unwrap() > 0.0 && trapper["peak_memory"].as_u64().unwrap() > 0,
        "{trapper}"
    );
    let kept_back = &all["kept_back"][0];
    assert_eq!((&kept_back["tenant"], &kept_back["files"]), (&"default".into(), &3.into()), "{all}");
    assert_eq!(kept_back["sha256"], trapper["sha256"]);
    let shown = bed.command(["status"]).output;
    assert!(
        shown.contains("failed mapper trapper: 3 mapper-trap\n  kept from the files of tenant `default` until "),
        "{shown}"
    );
    // Whoever asks has one more tried, and one only.
    assert_eq!(bed.command(["poll", "traps"]).code, 0);
    daemon
        .wait_for("another try", |line| line["error"].as_str().is_some_and(|error| error.contains("4 files in a row")));
    assert_eq!(quarantined(), 4);

    // Another component starts without a record, and gets those that failed as well.
    bed.configure_daemon("files_at_once = 1", &[mended.table("trapper"), others].concat());
    daemon.signal(rustix::process::Signal::HUP);
    let last = |line: &serde_json::Value| line["event"] == "pass_finished" && line["integration"] == "traps";
    daemon.wait_for("a pass with the other component", |line| last(line) && line["succeeded"] == 8);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(bed.rows("SELECT count(*) FROM account_overview"), ["9"]);
}

#[test]
fn workbook_bombs_fail_as_files_and_leave_the_daemon_alone() {
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
    // Small caps, so that the bombs can be small as well.
    let caps = "limits = { unpacked_size = \"16MiB\", workbook_memory = \"128MiB\" }\n";
    bed.configure(&[plain("bombs", "bombs/"), caps.to_owned(), plain("good", "good/")].concat());
    let declared = r#"<sst count="1000000000000" uniqueCount="1000000000000"><si><t>a</t></si></sst>"#;
    let declares = workbook(b"<worksheet><sheetData></sheetData></worksheet>", declared);
    assert!(declares.len() < 5 << 10);
    let unpacks = workbook(&vec![b' '; 32 << 20], "<sst></sst>");
    assert!(unpacks.len() < 1 << 20);
    server.put(BUCKET, "bombs/declares.xlsx", declares).unwrap();
    server.put(BUCKET, "bombs/unpacks.xlsx", unpacks).unwrap();
    server.put(BUCKET, "bombs/corners.xls", fixture("corners.xls")).unwrap();
    server.put(BUCKET, "bombs/encrypted.xlsx", fixture("encrypted.xlsx")).unwrap();
    server.put(BUCKET, "bombs/fine.xlsx", fixture("accounts.xlsx")).unwrap();
    server.put(BUCKET, "good/a.csv", "Account ID\n1\n").unwrap();
    let daemon = bed.start();
    let reason = |key: &str| {
        let object = format!("s3://exports/bombs/{key}");
        let line = daemon.wait_for(&object, |line| line["event"] == "object_failed" && line["object"] == object);
        assert_eq!(line["class"], "content", "{line}");
        line["error"].as_str().unwrap().to_owned()
    };
    let memory = "the workbook could not be decoded: the worker needed more memory than it may have (128 MiB)";
    assert_eq!(reason("declares.xlsx"), memory);
    assert_eq!(reason("corners.xls"), memory);
    let unpacked = reason("unpacks.xlsx");
    assert!(unpacked.starts_with("the workbook unpacks to 33555074 bytes"), "{unpacked}");
    assert!(unpacked.ends_with("more than 16 MiB is not taken"), "{unpacked}");
    assert_eq!(reason("encrypted.xlsx"), "the workbook is encrypted");
    daemon.wait_for("the good file", |line| line["event"] == "object_completed" && line["integration"] == "good");
    daemon.wait_for("the good workbook", |line| {
        line["event"] == "object_completed" && line["object"] == "s3://exports/bombs/fine.xlsx"
    });
    assert!(peak_memory(daemon.id()) < 300 << 20, "{}", peak_memory(daemon.id()));
    assert_eq!(daemon.stop(), 0);
    let states = bed.ledger("bombs").into_iter().filter(|entry| entry["state"]["quarantined"].is_object()).count();
    assert_eq!(states, 4);
}
