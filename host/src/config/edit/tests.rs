use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;

const MAIN: &str = "# The first line.\n[connections.c]\nregion = \"eu-central-1\" # here\ndefault_chain = {}\n";
const INTEGRATION: &str = "
# What comes first.
[integrations.first]   # and its remark
connection = \"c\"
bucket     = \"b\"   # aligned
identifiers = [
  { column = \"Id\", match = \"crm_id\" },   # of several lines
]

# A remark between.

[[integrations.first.fields]]
column = \"A\"
field = \"a\"
type = \"text\"

# What comes second.
[integrations.second]
enabled = false
connection = \"c\"
bucket = \"b\"
[integrations.first.csv]
delimiter = ';'
# The last line.
";

fn configured(parts: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("conf.d")).unwrap();
    for (name, text) in parts {
        fs::write(directory.path().join(name), text).unwrap();
    }
    let main = directory.path().join("gristmill.toml");
    (directory, main)
}

fn rename(config: &Path, from: &str, to: &str) -> Result<Vec<PathBuf>, EditError> {
    let mut edit = Edit::open(config)?;
    let mut table = edit.table("integrations", from)?;
    table.rename(to)?;
    table.set("renamed_from", from)?;
    edit.write()
}

#[test]
fn a_table_gets_another_name_and_all_else_stays_as_it_was() {
    let expected = INTEGRATION
        .replace("integrations.first", "integrations.other")
        .replace("of several lines\n]\n", "of several lines\n]\nrenamed_from = \"first\"\n");
    for file in ["gristmill.toml", "conf.d/acme.toml"] {
        let (main, more) =
            if file == "gristmill.toml" { (MAIN.to_owned() + INTEGRATION, "") } else { (MAIN.to_owned(), INTEGRATION) };
        let (directory, config) = configured(&[("gristmill.toml", &main), ("conf.d/acme.toml", more)]);
        let path = directory.path().join(file);
        fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        rename(&config, "first", "other").unwrap();
        let found = fs::read_to_string(&path).unwrap();
        assert_eq!(found.strip_prefix(MAIN).unwrap_or(&found), expected);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        // And once more: there is one former name, the last.
        rename(&config, "other", "third").unwrap();
        let found = fs::read_to_string(&path).unwrap();
        assert!(found.contains("renamed_from = \"other\"\n") && !found.contains("\"first\""), "{found}");
        let left =
            directory.path().read_dir().unwrap().count() + directory.path().join("conf.d").read_dir().unwrap().count();
        assert_eq!(left, 3, "nothing is left beside the files");
    }
}

#[test]
fn a_former_name_that_stands_there_is_replaced_with_its_remark_kept() {
    let standing = INTEGRATION.replace("bucket     =", "renamed_from = \"zero\" # for the backup\nbucket     =");
    let (directory, config) = configured(&[("gristmill.toml", &(MAIN.to_owned() + &standing))]);
    rename(&config, "first", "other").unwrap();
    let found = fs::read_to_string(directory.path().join("gristmill.toml")).unwrap();
    assert!(found.contains("renamed_from = \"first\" # for the backup\n"), "{found}");
}

#[test]
fn what_would_not_be_in_order_leaves_the_file_as_it_is() {
    let text = MAIN.to_owned() + INTEGRATION;
    let (directory, config) = configured(&[("gristmill.toml", &text)]);
    let refused = |from: &str, to: &str| rename(&config, from, to).unwrap_err().to_string();
    assert!(refused("first", "no name").contains("not allowed"));
    assert!(refused("first", "second").ends_with("has a table `[integrations.second]` already"));
    assert!(refused("zero", "other").starts_with("no file of the configuration has a table"));
    let mut edit = Edit::open(&config).unwrap();
    edit.table("integrations", "first").unwrap().set("bucket", "a/b").unwrap();
    assert!(matches!(edit.write(), Err(EditError::Refused(_))));
    assert_eq!(fs::read_to_string(directory.path().join("gristmill.toml")).unwrap(), text);
    fs::write(directory.path().join("conf.d/more.toml"), "[integrations.first]\nmax_rejects = 1\n").unwrap();
    assert!(refused("first", "other").ends_with("stands in several files, or is written as a value"));
}

fn check(change: impl FnOnce(&mut Edit) -> Result<(), EditError>, before: &str, after: &str) {
    let (directory, config) = configured(&[("gristmill.toml", before)]);
    let mut edit = Edit::open(&config).unwrap();
    change(&mut edit).unwrap();
    edit.write().unwrap();
    assert_eq!(fs::read_to_string(directory.path().join("gristmill.toml")).unwrap(), after);
}

const THREE: &str = "\
# The file's own remark.

# A's remark.
[connections.a]
region = \"eu-central-1\" # A's region
# tenant = \"commented out\"

# ---- B and what follows ----

# B's remark.
[connections.b] # B's
region = \"eu-central-1\"
[connections.b.access_key]
access_key_id = \"ID\"
secret_access_key = { file = \"/k\" }
# B's last words.

# What comes last.
[integrations.i]
enabled = false
# The end.
";

#[test]
fn a_table_goes_with_its_own_remarks_alone() {
    let before = THREE.replace("# tenant =", "default_chain = {}\n# tenant =");
    let after = "# The file's own remark.\n\n# ---- B and what follows ----\n\n# B's remark.\n".to_owned()
        + before.split_once("# B's remark.\n").unwrap().1;
    check(|edit| edit.table("connections", "a")?.delete(), &before, &after);
    let b = "# B's remark.\n[connections.b] # B's\nregion = \"eu-central-1\"\n[connections.b.access_key]\n\
             access_key_id = \"ID\"\nsecret_access_key = { file = \"/k\" }\n# B's last words.\n\n";
    check(|edit| edit.table("connections", "b")?.delete(), &before, &before.replace(b, ""));
    let i = "# What comes last.\n[integrations.i]\nenabled = false\n";
    check(|edit| edit.table("integrations", "i")?.delete(), &before, &before.replace(i, ""));
}

#[test]
fn a_new_table_comes_behind_the_last_of_its_kind() {
    let before = THREE.replace("# tenant =", "default_chain = {}\n# tenant =");
    let new = "[connections.c]\nregion = \"eu-west-1\"\ndefault_chain = {}\n";
    let after = before.replace("# What comes last.", &format!("{new}\n# What comes last."));
    check(|edit| edit.insert(None, "connections", "c", new).map(drop), &before, &after);
    let close = before.replace("# B's last words.\n\n# What comes last.\n", "");
    let after = close.replace("[integrations.i]", &format!("\n{new}\n[integrations.i]"));
    check(|edit| edit.insert(None, "connections", "c", new).map(drop), &close, &after);
    let last = "[integrations.j]\nenabled = false\n[[integrations.j.fields]]\ncolumn = \"A\"\n";
    check(|edit| edit.insert(None, "integrations", "j", last).map(drop), &before, &format!("{before}\n{last}"));
    check(|edit| edit.insert(None, "connections", "c", new).map(drop), "", new);
}

#[test]
fn keys_are_set_and_taken_out_where_they_stand() {
    let before = "[connections.a]\nname = \"A\"   # for people\n# above\ntenant = \"t\" # whose\n# below\n\n\
                  [connections.a.access_key]\naccess_key_id = \"ID\"\nsecret_access_key = { file = \"/k\" }\n\
                  [connections.b]\nendpoint_url = \"http://h\"\n\
                  access_key = { access_key_id = \"ID\", secret_access_key = { file = \"/k\" } } # one line\n\
                  [integrations.i]\nenabled = false\n";
    let before = before.replace("name = \"A\"", "endpoint_url = \"http://h\"\nname = \"A\"");
    let set = |section, table: &'static str, path: &'static str, value: &'static str| {
        move |edit: &mut Edit| edit.table(section, table)?.set(path, value)
    };
    check(
        set("connections", "a", "name", "B"),
        &before,
        &before.replace("name = \"A\"   # for", "name = \"B\"   # for"),
    );
    check(
        set("connections", "a", "region", "r-1"),
        &before,
        &before.replace("# whose\n", "# whose\nregion = \"r-1\"\n"),
    );
    check(
        set("connections", "a", "access_key.session_token.file", "/t"),
        &before,
        &before.replacen("\"/k\" }\n", "\"/k\" }\nsession_token.file = \"/t\"\n", 1),
    );
    check(
        set("connections", "b", "access_key.session_token.file", "/t"),
        &before,
        &before.replace("\"/k\" } } #", "\"/k\" }, session_token = { file = \"/t\" } } #"),
    );
    check(
        set("integrations", "i", "csv.delimiter", ";"),
        &before,
        &before.replace("enabled = false\n", "enabled = false\ncsv.delimiter = \";\"\n"),
    );
    let unset = |table: &'static str, path: &'static str| {
        move |edit: &mut Edit| edit.table("connections", table)?.unset(path).map(|was_there| assert!(was_there))
    };
    check(unset("a", "tenant"), &before, &before.replace("tenant = \"t\" # whose\n", ""));
    let inline = before.replace("{ file = \"/k\" } } #", "{ file = \"/k\" }, session_token = { env = \"T\" } } #");
    check(unset("b", "access_key.session_token"), &inline, &before);
    check(
        |edit| edit.table("connections", "a")?.unset("region").map(|was_there| assert!(!was_there)),
        &before,
        &before,
    );
}

#[test]
fn a_table_that_becomes_another_loses_none_of_the_file() {
    let chain = |edit: &mut Edit| {
        let mut table = edit.table("connections", "b")?;
        assert!(table.unset("access_key")?);
        table.set("default_chain", toml_edit::InlineTable::new())
    };
    let before = THREE.replace("# tenant =", "default_chain = {}\n# tenant =");
    let key = "[connections.b.access_key]\naccess_key_id = \"ID\"\nsecret_access_key = { file = \"/k\" }\n\
               # B's last words.\n\n";
    check(chain, &before, &before.replace(key, "default_chain = {}\n"));
}

#[test]
fn references_follow_in_every_file_and_all_files_are_checked_together() {
    let other = "[integrations.far]\nconnection = \"c\" # over there\nbucket = \"b\"\nenabled = false\n";
    let main = MAIN.to_owned() + INTEGRATION;
    let (directory, config) = configured(&[("gristmill.toml", &main), ("conf.d/far.toml", other)]);
    let mut edit = Edit::open(&config).unwrap();
    edit.table("connections", "c").unwrap().rename("d").unwrap();
    assert!(matches!(edit.checked(), Err(EditError::Refused(_))), "an integration in use leads nowhere");
    assert_eq!(edit.repoint("integrations", "connection", ("c", "d")).unwrap(), 3);
    assert_eq!(edit.write().unwrap().len(), 2);
    let found = fs::read_to_string(directory.path().join("conf.d/far.toml")).unwrap();
    assert_eq!(found, other.replace("\"c\" #", "\"d\" #"));
}

#[test]
fn a_new_file_is_made_where_it_would_be_read() {
    let (directory, config) = configured(&[("gristmill.toml", MAIN)]);
    fs::remove_dir(directory.path().join("conf.d")).unwrap();
    let new = "[connections.new]\nregion = \"eu-west-1\"\ndefault_chain = {}\n";
    let insert = |into: &str| {
        let mut edit = Edit::open(&config)?;
        edit.insert(Some(Path::new(into)), "connections", "new", new)?;
        edit.write()
    };
    for elsewhere in ["conf.d/new.conf", "new.toml", "conf.d/.new.toml", "/etc/new.toml"] {
        assert!(matches!(insert(elsewhere), Err(EditError::Elsewhere { .. })), "{elsewhere}");
    }
    let made = directory.path().join("conf.d/new.toml");
    assert_eq!(insert("conf.d/new.toml").unwrap(), std::slice::from_ref(&made));
    assert_eq!(fs::read_to_string(&made).unwrap(), new);
    assert!(matches!(insert("conf.d/new.toml"), Err(EditError::Taken { .. })));
}

#[test]
fn what_another_wrote_meanwhile_is_not_written_over() {
    let (directory, config) = configured(&[("gristmill.toml", MAIN)]);
    let mut edit = Edit::open(&config).unwrap();
    edit.table("connections", "c").unwrap().set("region", "eu-west-1").unwrap();
    let other = format!("{MAIN}# Another's.\n");
    fs::write(directory.path().join("gristmill.toml"), &other).unwrap();
    assert!(matches!(edit.write(), Err(EditError::Changed { .. })));
    assert_eq!(fs::read_to_string(directory.path().join("gristmill.toml")).unwrap(), other);
}
