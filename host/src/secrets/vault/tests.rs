use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::secrets::SecretError;

const CANARY: &str = "wJalrXUtnFEMI/K7MDENG";

/// A state directory and a key file outside it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        make_key(&place.key(), &place.state(), now()).unwrap();
        place
    }

    fn key(&self) -> PathBuf {
        self.0.path().join("vault.key")
    }

    fn state(&self) -> PathBuf {
        self.0.path().join("state")
    }

    fn file(&self) -> PathBuf {
        self.state().join("vault.json")
    }

    fn vault(&self) -> Vault {
        Vault::new(self.state(), KeyPlace::File(self.key()), None)
    }

    /// The same vault where its key is a credential that this process cannot see.
    fn vault_outside(&self) -> Vault {
        Vault::new(self.state(), KeyPlace::Credential("vault-key".parse().unwrap()), None)
    }
}

fn now() -> Timestamp {
    "2026-11-23T09:00:00Z".parse().unwrap()
}

fn name(text: &str) -> SecretName {
    text.parse().unwrap()
}

fn put(vault: &Vault, secret: &str, value: &str) {
    vault.put(&name(secret), &SecretString::from(value), Put::New, now()).unwrap();
}

fn value(vault: &Vault, secret: &str) -> String {
    vault.get(&name(secret)).unwrap().expose_secret().to_owned()
}

fn names(vault: &Vault) -> Vec<String> {
    vault.list().unwrap().into_iter().map(|(name, _)| name.to_string()).collect()
}

#[test]
fn what_was_stored_is_read_and_stands_nowhere_in_the_file() {
    let place = Place::new();
    let vault = place.vault();
    put(&vault, "acme", CANARY);
    put(&vault, "long", &"x".repeat(MAX_BYTES));
    assert_eq!(value(&vault, "acme"), CANARY);
    assert_eq!(value(&vault, "long").len(), MAX_BYTES);
    assert_eq!(names(&vault), ["acme", "long"]);
    let text = fs::read_to_string(place.file()).unwrap();
    assert!(!text.contains(CANARY) && !text.contains("xxxx") && !text.contains("AGE-SECRET-KEY"));
    assert_eq!(fs::metadata(place.file()).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn a_secret_is_replaced_only_where_that_was_asked_for() {
    let place = Place::new();
    let vault = place.vault();
    let replace = |value: &str, put| vault.put(&name("acme"), &SecretString::from(value), put, now());
    assert!(matches!(replace("one", Put::Replacement), Err(VaultError::Missing { .. })));
    replace("one", Put::New).unwrap();
    assert!(matches!(replace("two", Put::New), Err(VaultError::Taken { .. })));
    assert_eq!(value(&vault, "acme"), "one");
    replace("two", Put::Replacement).unwrap();
    assert_eq!(value(&vault, "acme"), "two");
    vault.remove(&name("acme")).unwrap();
    assert!(matches!(vault.get(&name("acme")), Err(VaultError::Missing { .. })));
    assert!(matches!(vault.remove(&name("acme")), Err(VaultError::Missing { .. })));
}

#[test]
fn a_vault_that_is_not_there_yet_is_made_for_the_configured_key() {
    let place = Place::new();
    fs::remove_file(place.file()).unwrap();
    assert_eq!(names(&place.vault()), [""; 0]);
    put(&place.vault(), "acme", CANARY);
    assert_eq!(value(&place.vault(), "acme"), CANARY);
}

/// R14
#[test]
fn a_secret_can_be_stored_where_the_key_cannot_be_read() {
    let place = Place::new();
    put(&place.vault_outside(), "acme", CANARY);
    assert_eq!(value(&place.vault(), "acme"), CANARY);
    let error = place.vault_outside().get(&name("acme")).unwrap_err();
    assert!(error.is_not_checked(), "{error}");
    let inside = Vault { credentials_directory: Some(place.0.path().into()), ..place.vault_outside() };
    fs::rename(place.key(), place.0.path().join("vault-key")).unwrap();
    assert_eq!(value(&inside, "acme"), CANARY);
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let place = Place::new();
    put(&place.vault(), "acme", CANARY);
    for mode in [0o640, 0o604, 0o660, 0o602] {
        fs::set_permissions(place.key(), fs::Permissions::from_mode(mode)).unwrap();
        let error = place.vault().get(&name("acme")).unwrap_err();
        assert!(matches!(error, VaultError::Exposed { mode: found, .. } if found == mode), "{error}");
        assert!(place.vault().put(&name("b"), &SecretString::from("x"), Put::New, now()).is_err());
    }
    fs::remove_file(place.key()).unwrap();
    fs::create_dir(place.key()).unwrap();
    let error = place.vault().get(&name("acme")).unwrap_err();
    let VaultError::Key(source) = error else { panic!("{error}") };
    assert!(matches!(*source, SecretError::NotAFile { .. }), "{source}");
}

#[test]
fn what_is_no_key_is_refused_and_not_repeated() {
    let place = Place::new();
    let key = fs::read_to_string(place.key()).unwrap();
    assert!(
        key.starts_with("# created: 2026-11-23T09:00:00Z\n# public key: age1"),
        "the secret half stays out of this"
    );
    let two = format!("{key}{key}");
    for text in [CANARY, "# nothing but a remark", &two] {
        fs::write(place.key(), text).unwrap();
        let error = place.vault().put(&name("acme"), &SecretString::from("x"), Put::New, now()).unwrap_err();
        assert!(matches!(error, VaultError::NotAKey { .. }), "{error}");
        assert!(!format!("{error} {error:?}").contains(CANARY));
    }
}

#[test]
fn another_key_opens_nothing_and_stores_nothing() {
    let place = Place::new();
    put(&place.vault(), "acme", CANARY);
    let other = place.0.path().join("other.key");
    make_key(&other, &place.state(), now()).unwrap();
    let vault = Vault::new(place.state(), KeyPlace::File(other), None);
    assert!(matches!(vault.get(&name("acme")), Err(VaultError::OtherKey)));
    let stored = vault.put(&name("other"), &SecretString::from("x"), Put::New, now());
    assert!(matches!(stored, Err(VaultError::OtherKey)));
    assert_eq!(value(&place.vault(), "acme"), CANARY, "making a key leaves a vault that is there alone");
}

#[test]
fn a_key_is_never_written_over() {
    let place = Place::new();
    let key = fs::read(place.key()).unwrap();
    assert!(make_key(&place.key(), &place.state(), now()).is_err());
    assert_eq!(fs::read(place.key()).unwrap(), key);
    assert_eq!(fs::metadata(place.key()).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn a_value_cannot_be_passed_off_as_another() {
    let place = Place::new();
    put(&place.vault(), "acme", CANARY);
    put(&place.vault(), "other", "x");
    let text = fs::read_to_string(place.file()).unwrap();
    let mut contents: Contents = serde_json::from_str(&text).unwrap();
    let moved = contents.secrets.remove("acme").unwrap();
    contents.secrets.insert("other".to_owned(), moved);
    fs::write(place.file(), serde_json::to_vec(&contents).unwrap()).unwrap();
    assert!(matches!(place.vault().get(&name("other")), Err(VaultError::Damaged { .. })));
}

#[test]
fn a_file_that_is_no_vault_is_left_alone() {
    let place = Place::new();
    let newer = r#"{ "format": "gristmill-vault", "version": 2, "more": true }"#;
    for text in ["", "{}", "not JSON", r#"{ "format": "other", "version": 1 }"#, newer] {
        fs::write(place.file(), text).unwrap();
        let error = place.vault().put(&name("acme"), &SecretString::from("x"), Put::New, now()).unwrap_err();
        assert_eq!(matches!(error, VaultError::Newer { found: 2 }), text == newer, "{error}");
        assert!(matches!(error, VaultError::Newer { .. } | VaultError::NotAVault { .. }), "{error}");
        assert_eq!(fs::read_to_string(place.file()).unwrap(), text);
    }
}

/// Else they could have the next secret encrypted to a key of their own, too.
#[test]
fn a_vault_that_others_may_write_is_refused() {
    let place = Place::new();
    put(&place.vault(), "acme", CANARY);
    for mode in [0o620, 0o602, 0o666] {
        fs::set_permissions(place.file(), fs::Permissions::from_mode(mode)).unwrap();
        for error in [
            place.vault().get(&name("acme")).unwrap_err(),
            place.vault().put(&name("b"), &SecretString::from("x"), Put::New, now()).unwrap_err(),
        ] {
            assert!(matches!(error, VaultError::Writable { mode: found, .. } if found == mode), "{error}");
            assert!(error.hint().unwrap().contains("chmod 600"));
        }
    }
    fs::set_permissions(place.file(), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(value(&place.vault(), "acme"), CANARY);
}

#[test]
fn a_pipe_is_no_vault_and_a_dangling_link_is_replaced() {
    let place = Place::new();
    fs::remove_file(place.file()).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, place.file(), rustix::fs::Mode::RUSR).unwrap();
    assert!(matches!(place.vault().list().unwrap_err(), VaultError::NotAVault { .. }));
    fs::remove_file(place.file()).unwrap();
    std::os::unix::fs::symlink("nowhere", place.file()).unwrap();
    assert_eq!(names(&place.vault()), Vec::<String>::new());
    put(&place.vault(), "acme", CANARY);
    assert!(fs::symlink_metadata(place.file()).unwrap().is_file(), "the link's place is taken, and nothing follows it");
    assert_eq!(value(&place.vault(), "acme"), CANARY);
}

#[test]
fn what_would_be_too_large_to_be_read_is_not_written() {
    let place = Place::new();
    put(&place.vault(), "acme", CANARY);
    let mut contents = place.vault().load().unwrap().unwrap();
    contents.secrets.insert("more".to_owned(), Sealed { set: now(), age: "x".repeat(LARGEST as usize) });
    assert!(matches!(place.vault().write(&contents), Err(VaultError::Full)));
    assert_eq!(value(&place.vault(), "acme"), CANARY);
}

#[test]
fn a_new_key_takes_the_place_of_the_old_one() {
    let place = Place::new();
    put(&place.vault(), "acme", CANARY);
    let old = place.0.path().join("old.key");
    fs::copy(place.key(), &old).unwrap();
    let public = place.vault().rekey(now()).unwrap();
    assert!(fs::read_to_string(place.key()).unwrap().contains(&public));
    assert_eq!(fs::metadata(place.key()).unwrap().mode() & 0o777, 0o600);
    assert_eq!(value(&place.vault(), "acme"), CANARY);
    let vault = Vault::new(place.state(), KeyPlace::File(old), None);
    assert!(matches!(vault.get(&name("acme")), Err(VaultError::OtherKey)));
}

#[test]
fn between_two_keys_both_open_the_vault() {
    let place = Place::new();
    put(&place.vault(), "acme", CANARY);
    let new = place.0.path().join("new.key");
    make_key(&new, &place.state(), now()).unwrap();
    assert_eq!(place.vault().rekey_to(&new).unwrap().len(), 2);
    let after = Vault::new(place.state(), KeyPlace::File(new.clone()), None);
    assert_eq!((value(&place.vault(), "acme"), value(&after, "acme")), (CANARY.to_owned(), CANARY.to_owned()));
    put(&after, "more", "x");
    assert_eq!(value(&place.vault(), "more"), "x", "what is stored meanwhile is encrypted to both");
    assert_eq!(after.rekey_to(&new).unwrap().len(), 1);
    assert!(matches!(place.vault().get(&name("acme")), Err(VaultError::OtherKey)));
    assert_eq!(value(&after, "acme"), CANARY);
}

/// Every state that a crash of `rekey` can leave: before each rename there is the file aside, whole or cut off.
#[test]
fn the_key_in_its_place_opens_the_vault_wherever_a_new_key_was_cut_short() {
    let place = Place::new();
    put(&place.vault(), "acme", CANARY);
    let steps = |place: &Place| (fs::read(place.file()).unwrap(), fs::read(place.key()).unwrap());
    let (vault_old, key_old) = steps(&place);
    let new = Identity::generate();
    let old = place.vault().identity().unwrap();
    place.vault().encrypt_to(&old, &[old.to_public(), new.to_public()]).unwrap();
    let (vault_both, _) = steps(&place);
    let key_new = key_text(&new, now()).to_vec();
    place.vault().encrypt_to(&old, &[new.to_public()]).unwrap();
    let (vault_new, _) = steps(&place);
    let states = [(&vault_old, &key_old), (&vault_both, &key_old), (&vault_both, &key_new), (&vault_new, &key_new)];
    for (vault, key) in states {
        for aside in [&vault_new[..0], &vault_new[..vault_new.len() / 2], &vault_new] {
            fs::write(place.file(), vault).unwrap();
            fs::write(place.key(), key).unwrap();
            fs::write(place.state().join("vault.json.new"), aside).unwrap();
            assert_eq!(value(&place.vault(), "acme"), CANARY);
            place.vault().rekey(now()).unwrap();
            assert_eq!(value(&place.vault(), "acme"), CANARY);
        }
    }
    let left = place.state().read_dir().unwrap().count();
    assert_eq!(left, 1, "nothing is left beside the vault");
}

#[test]
fn writers_wait_for_each_other() {
    let place = Place::new();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let vault = place.vault();
            scope.spawn(move || put(&vault, &format!("secret-{number}"), "x"));
        }
    });
    assert_eq!(names(&place.vault()).len(), 8);
}
