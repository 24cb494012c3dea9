//! The shipped unit under a real systemd, booted in namespaces by `tests/systemd/boot`.
//!
//! It needs root, namespaces, overlayfs and systemd's own programs. Where one is missing the test fails and says which.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::channel;

use gristmill_tests::process::{BUCKET, Bed, DEADLINE, SECRET, binary, lines_of_json, until};
use serde_json::Value;
use tempfile::TempDir;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).trim().to_owned()
}

/// A booted machine; it ends when this is dropped, or with this process.
struct Machine {
    boot: Child,
    pid: String,
    directory: TempDir,
}

impl Machine {
    /// Boots over the files that `furnish` lays into a directory that stands for `/`.
    fn boot(furnish: impl FnOnce(&Path)) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test boots a systemd in namespaces, for which it must be root"
        );
        for program in
            ["unshare", "nsenter", "setsid", "systemctl", "systemd-creds", "systemd-sysusers", "systemd-analyze"]
        {
            let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap();
            assert!(found.status.success(), "`{program}` is missing: apt-get install systemd util-linux");
        }
        let directory = tempfile::tempdir().unwrap();
        let files = directory.path().join("files");
        fs::create_dir(&files).unwrap();
        // The overlay's root takes the mode of this one.
        fs::set_permissions(&files, fs::Permissions::from_mode(0o755)).unwrap();
        furnish(&files);
        let mut boot = Command::new("bash")
            .arg(repository().join("tests/systemd/boot"))
            .arg(directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = boot.stdout.take().unwrap();
        let (line_read, line) = channel();
        std::thread::spawn(move || line_read.send(BufReader::new(stdout).lines().next()));
        let pid = match line.recv_timeout(2 * DEADLINE) {
            Ok(Some(Ok(pid))) => pid,
            _ => {
                let _ = boot.kill();
                let said = text(&boot.wait_with_output().unwrap().stderr);
                panic!("no systemd could be booted on this machine:\n{said}")
            }
        };
        Self { boot, pid, directory }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", self.pid)).args(["--all", "--"]).args(arguments);
        command
    }

    /// Runs a command inside, whatever comes of it.
    fn try_run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command inside that must succeed; gives what it prints.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let output = self.try_run(arguments);
        if !output.status.success() {
            let journal = text(&self.try_run(&["journalctl", "--no-pager", "--lines=60"]).stdout);
            let console = fs::read_to_string(self.directory.path().join("console")).unwrap_or_default();
            panic!("{arguments:?}: {}\n{}\n{journal}\n{console}", text(&output.stdout), text(&output.stderr));
        }
        text(&output.stdout)
    }

    /// Runs a command inside that reads its standard input.
    #[track_caller]
    fn run_with(&self, arguments: &[&str], input: &[u8]) {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let ended = child.wait_with_output().unwrap();
        assert!(ended.status.success(), "{arguments:?}: {}", text(&ended.stderr));
    }

    /// A property of the unit.
    #[track_caller]
    fn property(&self, name: &str) -> String {
        self.run(&["systemctl", "show", "--value", &format!("--property={name}"), "gristmill.service"])
    }

    /// What the daemon logged to the journal under this event.
    fn events(&self, event: &str) -> Vec<Value> {
        let found = self.try_run(&["journalctl", "--no-pager", "--output=json", &format!("F_EVENT={event}")]);
        lines_of_json(&found.stdout)
    }

    /// How many objects the ledger calls completed, asked over the socket.
    fn completed(&self) -> usize {
        let listed = self.try_run(&["gristmill", "ledger", "list", "--state", "completed", "--json"]);
        lines_of_json(&listed.stdout).len()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Its standard input closes, and the script ends what it began.
        drop(self.boot.stdin.take());
        let _ = self.boot.wait();
    }
}

fn lay(files: &Path, place: &str, content: impl AsRef<[u8]>) {
    let path = files.join(place);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
}

fn config(bed: &Bed, integrations: &[&str]) -> String {
    let mut text = format!(
        "[daemon]\npoll_interval = \"1s\"\nmin_free = \"1MiB\"\n[connections.acme]\nendpoint_url = \"{}\"\n\
         access_key = {{ access_key_id = \"loopback\", secret_access_key = {{ credential = \"acme-secret\" }} }}\n",
        bed.server.endpoint()
    );
    for name in integrations {
        text += &format!(
            "[integrations.{name}]\nconnection = \"acme\"\nbucket = \"{BUCKET}\"\nprefix = \"{name}/\"\n\
             matching = {{ on_no_match = \"create\" }}\nidentifiers = [{{ column = \"Account\", match = \"crm_id\" }}]\n\
             fields = [{{ column = \"Name\", field = \"name\", type = \"text\" }}]\n"
        );
    }
    text
}

/// What an operator would put there with `systemctl edit`, with times that suit a test.
const DROP_IN: &str = "\
[Service]
LoadCredentialEncrypted=acme-secret:/etc/credstore.encrypted/acme-secret
WatchdogSec=3s
TimeoutAbortSec=3s
RestartSec=100ms
";

/// A machine with the unit as it is shipped, more lines for it, and a configuration.
fn installed(drop_in: &str, config: &str) -> Machine {
    let machine = Machine::boot(|files| {
        let dist = repository().join("host/dist");
        lay(files, "usr/bin/gristmill", b"");
        fs::copy(binary(), files.join("usr/bin/gristmill")).unwrap();
        lay(files, "etc/systemd/system/gristmill.service", fs::read(dist.join("gristmill.service")).unwrap());
        lay(files, "usr/lib/sysusers.d/gristmill.conf", fs::read(dist.join("gristmill.sysusers")).unwrap());
        lay(files, "etc/systemd/system/gristmill.service.d/test.conf", drop_in);
        lay(files, "etc/gristmill/gristmill.toml", config);
    });
    machine.run(&["systemd-sysusers"]);
    machine.run(&["mkdir", "--parents", "--mode=700", "/etc/credstore.encrypted"]);
    machine
}

/// R14: root stores secrets where the key cannot be read, and the service reads them.
#[test]
fn the_vault_has_its_key_from_a_credential_which_is_replaced_while_the_service_works() {
    const OTHER: &str = "another-secret-of-loopback";
    let bed = Bed::new();
    let put = |key: &str| drop(bed.server.put(BUCKET, key, format!("Account,Name\n{key},Ann\n")).unwrap());
    let in_vault = config(&bed, &["first"]).replace("credential = \"acme-secret\"", "secret = \"acme\"");
    let credential = "vault-key:/etc/credstore.encrypted/vault-key";
    let drop_in = format!("[Service]\nLoadCredentialEncrypted={credential}\n");
    let machine = installed(&drop_in, &format!("{in_vault}[vault]\nkey = {{ credential = \"vault-key\" }}\n"));
    let seal = |key: &str| {
        let encrypt = ["systemd-creds", "encrypt", "--with-key=host", "--name=vault-key"];
        machine.run(&[&encrypt[..], &[key, "/etc/credstore.encrypted/vault-key"]].concat());
    };
    machine.run(&["gristmill", "secret", "key", "/root/vault.key"]);
    seal("/root/vault.key");
    machine.run(&["rm", "/root/vault.key"]);
    machine.run_with(&["gristmill", "secret", "set", "acme"], SECRET.as_bytes());
    let checked = machine.run(&["gristmill", "check"]);
    assert!(checked.contains("connections.acme: not checked: cannot read secret `acme` of the vault"), "{checked}");
    put("first/a.csv");
    machine.run(&["systemctl", "start", "gristmill.service"]);
    until("a file is taken with the secret of the vault", || (machine.completed() == 1).then_some(()));

    let owner = || machine.run(&["stat", "--format=%u %a", "/var/lib/private/gristmill/vault.json"]);
    let service = owner();
    assert!(!service.starts_with("0 ") && service.ends_with(" 600"), "{service}");
    bed.server.issuer().replace_keys("loopback", OTHER);
    machine.run_with(&["gristmill", "secret", "rotate", "acme"], OTHER.as_bytes());
    assert_eq!(owner(), service, "what root writes belongs to the service");
    put("first/b.csv");
    until("a file is taken with the new secret", || (machine.completed() == 2).then_some(()));

    machine.run(&["gristmill", "secret", "key", "/root/new.key"]);
    let property = format!("LoadCredentialEncrypted={credential}");
    let rekey =
        ["systemd-run", "--pipe", "--wait", "-p", &property, "gristmill", "secret", "rekey", "--to", "/root/new.key"];
    assert!(machine.run(&rekey).contains(" and age1"), "the vault is encrypted to both keys");
    seal("/root/new.key");
    machine.run(&["systemctl", "restart", "gristmill.service"]);
    assert!(!machine.run(&rekey).contains(" and "), "the vault is encrypted to the new key alone");
    machine.run(&["systemctl", "restart", "gristmill.service"]);
    put("first/c.csv");
    until("a file is taken with the new key", || (machine.completed() == 3).then_some(()));
    let journal = machine.run(&["journalctl", "--no-pager"]);
    assert!(!journal.contains(SECRET) && !journal.contains(OTHER) && !journal.contains("AGE-SECRET-KEY"), "{journal}");
}

#[test]
fn the_unit_starts_reloads_is_restarted_when_it_hangs_and_stops() {
    let bed = Bed::new();
    bed.server.put(BUCKET, "first/a.csv", "Account,Name\nA,Ann\n").unwrap();
    let machine = installed(DROP_IN, &config(&bed, &["first"]));
    let encrypt = ["systemd-creds", "encrypt", "--with-key=host", "--name=acme-secret", "-"];
    machine.run_with(&[&encrypt[..], &["/etc/credstore.encrypted/acme-secret"]].concat(), SECRET.as_bytes());
    let sealed = machine.try_run(&["cat", "/etc/credstore.encrypted/acme-secret"]).stdout;
    assert!(!text(&sealed).contains(SECRET), "the credential is encrypted at rest");

    // The unit as it is shipped, without the test's own lines.
    let unit = "/etc/systemd/system/gristmill.service";
    let verified = machine.try_run(&["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit]);
    assert!(verified.status.success() && verified.stderr.is_empty(), "{}", text(&verified.stderr));
    let secure =
        machine.try_run(&["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", unit]);
    assert!(secure.status.success(), "exposure above 2.0: {}", text(&secure.stdout));
    println!("{}", text(&secure.stdout).lines().last().unwrap_or_default());

    // Type=notify: the start returns once the daemon has said that it is ready.
    machine.run(&["systemctl", "start", "gristmill.service"]);
    assert_eq!(machine.property("ActiveState"), "active");
    assert_eq!(machine.property("StatusText"), "watching 1 integrations");
    until("a file is taken with the decrypted credential", || (machine.completed() == 1).then_some(()));
    assert_eq!(machine.run(&["stat", "--format=%a %G", "/run/gristmill/control.sock"]), "660 gristmill");
    assert_ne!(machine.run(&["stat", "--format=%u", "/run/gristmill/control.sock"]), "0", "it does not run as root");
    assert_eq!(machine.events("daemon_started").len(), 1);
    // No core file, which would hold secrets: neither by the unit nor by what the process itself is allowed.
    assert_eq!(machine.property("LimitCORE"), "0");
    let limits = machine.run(&["cat", &format!("/proc/{}/limits", machine.property("MainPID"))]);
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");

    lay(machine.directory.path(), "new.toml", config(&bed, &["first", "second"]));
    let new = fs::read(machine.directory.path().join("new.toml")).unwrap();
    machine.run_with(&["tee", "--output-error=exit", "/etc/gristmill/gristmill.toml"], &new);
    bed.server.put(BUCKET, "second/b.csv", "Account,Name\nB,Bea\n").unwrap();
    let before = machine.property("MainPID");
    machine.run(&["systemctl", "reload", "gristmill.service"]);
    until("the new integration takes its file", || (machine.completed() == 2).then_some(()));
    machine.run_with(&["tee", "--output-error=exit", "/etc/gristmill/gristmill.toml"], b"[daemon]\nnonsense = 1\n");
    machine.run(&["systemctl", "reload", "gristmill.service"]);
    until("the bad one is refused", || (!machine.events("config_refused").is_empty()).then_some(()));
    assert_eq!((machine.property("ActiveState").as_str(), machine.property("MainPID")), ("active", before.clone()));
    machine.run_with(&["tee", "--output-error=exit", "/etc/gristmill/gristmill.toml"], &new);

    machine.run(&["kill", "-STOP", &before]);
    until("the watchdog has it restarted", || {
        (machine.property("NRestarts") == "1" && machine.property("ActiveState") == "active").then_some(())
    });
    assert_ne!(machine.property("MainPID"), before);
    let journal = machine.run(&["journalctl", "--no-pager", "--unit=gristmill.service"]);
    assert!(journal.contains("Watchdog timeout"), "it was the watchdog that ended it: {journal}");
    bed.server.put(BUCKET, "first/c.csv", "Account,Name\nC,Cem\n").unwrap();
    until("it works again", || (machine.completed() == 3).then_some(()));

    machine.run(&["systemctl", "stop", "gristmill.service"]);
    assert_eq!(machine.property("ActiveState"), "inactive");
    assert_eq!((machine.property("Result").as_str(), machine.property("ExecMainStatus").as_str()), ("success", "0"));
    assert_eq!(machine.events("daemon_stopping").len(), 1);
    assert!(!machine.run(&["journalctl", "--no-pager"]).contains(SECRET));
}
