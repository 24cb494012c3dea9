use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

const CANARY: &str = "wJalrXUtnFEMI/K7MDENG";

fn written(directory: &Path, name: &str, bytes: &[u8]) -> SecretReference {
    let path = directory.join(name);
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    SecretReference::File(path)
}

fn check_value(bytes: &[u8], value: &str) {
    let directory = tempfile::tempdir().unwrap();
    let reference = written(directory.path(), "secret", bytes);
    let resolved = Secrets::new(None).resolve(&reference).unwrap();
    assert_eq!(resolved.value.expose_secret(), value);
    assert_eq!(resolved.warning, None);
}

fn check_error(bytes: &[u8], message: &str) {
    let directory = tempfile::tempdir().unwrap();
    let reference = written(directory.path(), "secret", bytes);
    let error = Secrets::new(None).resolve(&reference).unwrap_err();
    assert_eq!(error.to_string(), format!("{reference} {message}"));
}

#[test]
fn one_line_end_is_taken_off() {
    check_value(b"abc", "abc");
    check_value(b"abc\n", "abc");
    check_value(b"abc\r\n", "abc");
    check_value(b"abc\n\n", "abc\n");
    check_value(b" abc ", " abc ");
}

#[test]
fn what_cannot_be_a_secret_is_refused() {
    check_error(b"", "is empty");
    check_error(b"\n", "is empty");
    check_error(b"\xff\xfe", "is not UTF-8");
    check_error(&vec![b'x'; MAX_BYTES + 1], "has more than 65536 bytes");
    check_value(&vec![b'x'; MAX_BYTES], &"x".repeat(MAX_BYTES));
}

#[test]
fn a_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let reference = SecretReference::File(directory.path().into());
    assert!(matches!(Secrets::new(None).resolve(&reference), Err(SecretError::NotAFile { .. })));
}

#[test]
fn a_file_that_others_can_read_is_read_with_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let reference = written(directory.path(), "secret", CANARY.as_bytes());
    fs::set_permissions(directory.path().join("secret"), fs::Permissions::from_mode(0o644)).unwrap();
    let warning = Secrets::new(None).resolve(&reference).unwrap().warning.unwrap();
    assert_eq!(warning, SecretWarning::ReadableByOthers { reference, mode: 0o644 });
    assert!(warning.to_string().ends_with("(mode 644)"), "{warning}");
}

#[test]
fn a_credential_is_read_from_the_credentials_directory() {
    let directory = tempfile::tempdir().unwrap();
    written(directory.path(), "acme", CANARY.as_bytes());
    let secrets = Secrets::new(Some(directory.path().into()));
    let there = SecretReference::Credential("acme".parse().unwrap());
    assert_eq!(secrets.resolve(&there).unwrap().value.expose_secret(), CANARY);
    let absent = SecretReference::Credential("other".parse().unwrap());
    assert!(matches!(secrets.resolve(&absent), Err(SecretError::Missing { .. })));
}

/// R14
#[test]
fn a_credential_outside_the_unit_is_not_checked() {
    let reference = SecretReference::Credential("acme".parse().unwrap());
    let error = Secrets::new(None).resolve(&reference).unwrap_err();
    assert!(error.is_not_checked());
    assert_eq!(
        error.to_string(),
        "credential `acme` can be read only inside the unit: `$CREDENTIALS_DIRECTORY` is not set"
    );
}

#[test]
fn an_environment_variable_is_read_with_a_warning() {
    let secrets = Secrets::new(None);
    let there = SecretReference::Environment("PATH".parse().unwrap());
    let resolved = secrets.resolve(&there).unwrap();
    assert_eq!(resolved.value.expose_secret(), std::env::var("PATH").unwrap());
    assert!(resolved.warning.unwrap().to_string().starts_with("environment variable `PATH` is shown to whoever"));
    let absent = SecretReference::Environment("GRISTMILL_NOT_SET".parse().unwrap());
    assert!(matches!(secrets.resolve(&absent), Err(SecretError::Missing { .. })));
}

#[test]
fn a_name_cannot_lead_out_of_the_credentials_directory_and_is_not_repeated() {
    for text in ["", ".", "..", "../shadow", "a/b", ".hidden", "a\0b"] {
        assert_eq!(text.parse::<CredentialName>(), Err(CredentialNameError), "{text}");
    }
    assert!(!CANARY.parse::<CredentialName>().unwrap_err().to_string().contains(CANARY));
    for text in ["", "1A", "A-B", "A=B"] {
        assert_eq!(text.parse::<VariableName>(), Err(VariableNameError), "{text}");
    }
}

#[test]
fn debug_does_not_show_the_value() {
    let directory = tempfile::tempdir().unwrap();
    let reference = written(directory.path(), "secret", CANARY.as_bytes());
    let resolved = Secrets::new(None).resolve(&reference).unwrap();
    assert!(!format!("{resolved:?}").contains(CANARY));
}
