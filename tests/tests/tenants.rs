//! A tenant whose mapper takes all that it may has its own part of the places and of the processors, and no more.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::time::{Duration, Instant};

use gristmill::decode::BATCH_ROWS;
use gristmill_loopback_s3::{Config, Server};
use gristmill_tests::daemon::{Bed, Daemon};
use gristmill_tests::guests::{Guest, TURNS};
use rustix::process::Signal;
use serde_json::Value;

const BUCKET: &str = "exports";

fn integration(tenant: &str, more: &str) -> String {
    format!(
        "[integrations.{tenant}]\ntenant = \"{tenant}\"\nconnection = \"main\"\nbucket = \"{BUCKET}\"\nprefix = \"{tenant}/\"\n\
         poll_interval = \"1h\"\nmatching = {{ on_no_match = \"create\" }}\n{more}\n"
    )
}

/// What `status` says of a tenant.
fn tenant(bed: &Bed, name: &str) -> Value {
    let status = bed.command(["status", "--json"]);
    let tenants = status.values[0]["tenants"].as_array().unwrap();
    tenants.iter().find(|one| one["tenant"] == name).unwrap_or_else(|| panic!("{status:?}")).clone()
}

/// Looks again and again at what `status` says of a tenant, until it is so.
fn until(bed: &Bed, name: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let said = tenant(bed, name);
        if is_so(&said) {
            return said;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "{said}");
    }
}

/// The priorities of the daemon's threads that map a file, 19 the lowest.
fn priorities_of_mapping(daemon: &Daemon) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", daemon.id())).unwrap();
    // A thread may end meanwhile.
    let stats = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("stat")).ok());
    let mapping = stats.filter(|stat| stat.contains("(map)"));
    mapping.filter_map(|stat| stat.rsplit(") ").next()?.split(' ').nth(16).map(str::to_owned)).collect()
}

/// R13
#[test]
fn a_tenant_at_its_worst_leaves_another_its_places_and_the_processors() {
    let server = Server::start(Config::with_bucket(BUCKET)).unwrap();
    let bed = Bed::new(&server.endpoint(), "loopback", "loopback-secret");
    let guest = Guest::write_turning("at-its-worst", 2 * TURNS, bed.path("").as_path());
    let mapped = "identifiers = [{ column = \"Account ID\", match = \"crm_id\" }]\n\
                  fields = [{ column = \"Name\", field = \"name\", type = \"text\" }]";
    let parts = [
        guest.table("worst"),
        integration("greedy", "mapper = { field_mapping = \"worst\" }"),
        integration("modest", mapped),
    ]
    .concat();
    bed.configure(&parts);
    let daemon = bed.start();
    for name in ["greedy", "modest"] {
        daemon.wait_for("a first pass", |line| line["event"] == "pass_finished" && line["integration"] == name);
    }
    assert_eq!(tenant(&bed, "greedy")["files_at_once"], 2, "half of the four places");

    // More files than there are places, none of which ends within minutes.
    let rows = (0..100 * BATCH_ROWS).map(|row| format!("G{row}\n"));
    let long = std::iter::once("Account ID\n".to_owned()).chain(rows).collect::<String>();
    for file in 0..6 {
        server.put(BUCKET, &format!("greedy/{file}.csv"), long.clone()).unwrap();
    }
    assert_eq!(bed.command(["poll", "greedy"]).code, 0);
    // A place is waited for a moment even where it is free.
    let greedy = until(&bed, "greedy", |greedy| greedy["waits_for_a_place"] == true && greedy["files_at_work"] == 2);
    assert_eq!((&greedy["files_at_work"], &greedy["mapper_memory_at_work"]), (&2.into(), &(128 << 20).into()));
    until(&bed, "greedy", |greedy| greedy["stands_back"] == true);

    server.put(BUCKET, "modest/a.csv", "Account ID,Name\n1,one\n").unwrap();
    assert_eq!(bed.command(["poll", "modest"]).code, 0);
    daemon.wait_for("the modest file", |line| line["event"] == "object_completed" && line["integration"] == "modest");
    let modest = until(&bed, "modest", |modest| modest["files_at_work"] == 0);
    assert_eq!(modest["stands_back"], false, "{modest}");
    let greedy = tenant(&bed, "greedy");
    assert_eq!((&greedy["files_at_work"], &greedy["waits_for_a_place"]), (&2.into(), &true.into()), "{greedy}");
    let began = Instant::now();
    while priorities_of_mapping(&daemon) != ["19", "19"] {
        assert!(began.elapsed() < Duration::from_secs(120), "{:?}", priorities_of_mapping(&daemon));
    }

    // What an operator writes holds for whoever is at work already.
    bed.configure(&format!("{parts}[tenants.greedy]\nfiles_at_once = 4\nmapper_memory = \"192MiB\"\n"));
    daemon.signal(Signal::HUP);
    daemon.wait_for("the reload", |line| line["event"] == "config_reloaded");
    let greedy = until(&bed, "greedy", |greedy| greedy["files_at_work"] == 3);
    assert_eq!((&greedy["files_at_once"], &greedy["waits_for_a_place"]), (&4.into(), &true.into()), "{greedy}");
}
