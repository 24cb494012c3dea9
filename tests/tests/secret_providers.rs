//! Secrets that services keep, through the built binary: AWS Secrets Manager (Moto), HashiCorp Vault (OpenBao) and
//! Google Cloud Secret Manager (a double; see [`gristmill_tests::services`]).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use gristmill_tests::process::{BUCKET, Bed, Process, SECRET, files_below};
use gristmill_tests::servers::{Program, S3Server};
use gristmill_tests::services::{GoogleServices, OpenBao, keep_in_aws};
use serde_json::{Value, json};

/// The key pair of the bed's server, as the services keep it.
fn key_pair() -> Value {
    json!({ "id": "loopback", "secret": SECRET })
}

/// A bed with one file, and a connection to it whose key pair stands elsewhere.
struct Place {
    bed: Bed,
    environment: Vec<(&'static str, String)>,
}

impl Place {
    fn new(environment: Vec<(&'static str, String)>) -> Self {
        let bed = Bed::new();
        bed.server.put(BUCKET, "daily/a.csv", "Account,Name\nA,Ann\n").unwrap();
        Self { bed, environment }
    }

    /// `part` is a reference to a part of the pair, `PART` its name.
    fn configure(&self, services: &str, part: &str) {
        let [id, secret] = ["id", "secret"].map(|name| part.replace("PART", name));
        let parts = format!(
            "{services}\n[connections.kept]\nendpoint_url = \"{}\"\n\
             access_key = {{ access_key_id = {{ {id} }}, secret_access_key = {{ {secret} }} }}\n\
             [destinations.lines]\nfiles = {{ path = \"lines\" }}\n\
             [integrations.one]\nconnection = \"kept\"\nbucket = \"{BUCKET}\"\npoll_interval = \"1h\"\n\
             destination = \"lines\"\nmatching = {{ on_no_match = \"create\" }}\n\
             identifiers = [{{ column = \"Account\", match = \"crm_id\" }}]\n\
             fields = [{{ column = \"Name\", field = \"name\", type = \"text\" }}]\n",
            self.bed.server.endpoint()
        );
        self.bed.configure("", &parts);
    }

    /// Runs a command; gives its exit code and what it says.
    fn says(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = self.bed.command(arguments);
        let output = command.envs(self.environment.iter().cloned()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    }

    /// A pass takes the file, and the connection proves itself.
    fn check_ingests(&self) {
        let (code, said) = self.says(&["run", "--once"]);
        assert_eq!(code, Some(0), "{said}");
        let written = files_below(&self.bed.state().join("lines"));
        assert!(written.iter().any(|(_, content)| content.windows(5).any(|part| part == b"\"Ann\"")), "{written:?}");
        let (code, said) = self.says(&["connection", "test", "kept"]);
        assert_eq!(code, Some(0), "{said}");
    }

    fn check_refused(&self, why: &str, hint: &str) {
        let (code, said) = self.says(&["connection", "test", "kept"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(why) && said.contains(hint), "{said}");
        assert!(!said.contains(SECRET), "{said}");
    }

    /// R14: nothing is wrong with what only its service knows.
    fn check_not_checked(&self, reference: &str) {
        let (code, said) = self.says(&["check"]);
        assert_eq!(code, Some(0), "{said}");
        let expected = format!("connections.kept: not checked: {reference} is read from its service when it is needed");
        assert!(said.contains(&expected), "{said}");
    }
}

#[tokio::test]
async fn a_key_pair_in_aws_secrets_manager_ingests_a_file() {
    let moto = S3Server::start(Program::Moto).await;
    let place = Place::new(vec![
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "tests".to_owned()),
    ]);
    keep_in_aws(&moto.endpoint(), "CreateSecret", "gristmill/acme", &key_pair().to_string());
    let services =
        format!("[secrets.aws_secrets_manager]\nregion = \"eu-central-1\"\nendpoint_url = \"{}\"\n", moto.endpoint());
    let part = "aws_secrets_manager = { secret = \"gristmill/acme\", key = \"PART\" }";
    place.configure(&services, part);
    place.check_not_checked("key `id` of AWS secret `gristmill/acme`");
    place.check_ingests();

    place.configure(&services, &part.replace("acme", "nobody"));
    place.check_refused("there is no such secret (`ResourceNotFoundException`", "hint: see that name and region");
    place.configure(&services, &part.replace("PART", "PART of it"));
    place.check_refused("cannot take key `id of it` of AWS secret `gristmill/acme`: the secret has no such member", "");
    place.configure(&services, part);
    keep_in_aws(&moto.endpoint(), "DeleteSecret", "gristmill/acme", "");
    place.check_refused("the secret is disabled or deleted (`InvalidRequestException`", "hint: enable or restore it");
    drop(moto);
    place.check_refused("the service cannot be reached", "hint: see that the service's address is right");
}

#[test]
fn a_key_pair_in_hashicorp_vault_ingests_a_file() {
    let vault = OpenBao::start();
    let kv = json!({ "type": "kv", "options": { "version": "2" } });
    vault.root("", "POST", "sys/namespaces/team", &Value::Null);
    vault.root("team", "POST", "sys/mounts/kv/gristmill", &kv);
    vault.root("team", "POST", "kv/gristmill/data/acme", &json!({ "data": key_pair() }));
    vault.root("team", "POST", "kv/gristmill/data/other", &json!({ "data": key_pair() }));
    let policy = "path \"kv/gristmill/data/acme\" { capabilities = [\"read\"] }";
    vault.root("team", "POST", "sys/policies/acl/reader", &json!({ "policy": policy }));
    vault.root("team", "POST", "sys/auth/machines", &json!({ "type": "approle" }));
    vault.root("team", "POST", "auth/machines/role/gristmill", &json!({ "token_policies": "reader" }));
    vault.root("team", "POST", "auth/machines/role/gristmill/role-id", &json!({ "role_id": "the-mill" }));
    let secret_id = json!({ "secret_id": "sEcReT-id-of-the-mill" });
    vault.root("team", "POST", "auth/machines/role/gristmill/custom-secret-id", &secret_id);

    let place = Place::new(Vec::new());
    std::fs::write(place.bed.path("secret-id"), "sEcReT-id-of-the-mill\n").unwrap();
    let server = format!(
        "[secrets.hashicorp_vault]\naddress = \"{}\"\nca_file = \"{}\"\nnamespace = \"team\"\n",
        vault.address(),
        vault.authorities().display()
    );
    let role = format!(
        "{server}app_role = {{ mount = \"machines\", role_id = \"the-mill\", secret_id = {{ file = \"{}\" }} }}\n",
        place.bed.path("secret-id").display()
    );
    let part = "hashicorp_vault = { mount = \"kv/gristmill\", path = \"acme\", field = \"PART\" }";
    place.configure(&role, part);
    place.check_not_checked("field `id` of HashiCorp Vault secret `kv/gristmill/acme`");
    place.check_ingests();

    place.configure(&role, &part.replace("acme", "other"));
    place.check_refused("access denied (status 403)", "a policy allows `read` on `kv/gristmill/data/other`");
    place.configure(&role.replace("the-mill", "nobody"), part);
    place
        .check_refused("the credentials are not accepted (status 400): `invalid role", "the role id and the secret id");
    place.configure(&role.replace("namespace = \"team\"", "namespace = \"nobody\""), part);
    place.check_refused("namespace not found", "the namespace is theirs");
    place.configure(&role.replace(&format!("ca_file = \"{}\"\n", vault.authorities().display()), ""), part);
    place.check_refused("the service cannot be reached: `", "UnknownIssuer");

    let token = vault.root("team", "POST", "auth/token/create", &json!({ "policies": ["reader"] }));
    std::fs::write(place.bed.path("token"), token["auth"]["client_token"].as_str().unwrap()).unwrap();
    let with_token = format!("{server}token = {{ file = \"{}\" }}\n", place.bed.path("token").display());
    place.configure(&with_token, part);
    place.check_ingests();
}

#[test]
fn a_key_pair_in_google_secret_manager_ingests_a_file() {
    let google = GoogleServices::start();
    let version = "projects/acme/secrets/gristmill/versions/latest";
    google.keep(version, Some(&key_pair().to_string()));
    let place = Place::new(vec![("GCE_METADATA_HOST", google.host())]);
    let services = format!("[secrets.google_secret_manager]\nendpoint_url = \"http://{}\"\n", google.host());
    let part = "google_secret_manager = { secret = \"projects/acme/secrets/gristmill\", key = \"PART\" }";
    place.configure(&services, part);
    place.check_not_checked(&format!("key `id` of Google secret `{version}`"));
    assert_eq!(google.asked(), 0);
    place.check_ingests();
    assert_eq!(google.asked(), 2, "one question for both parts, and another for the test of the connection");

    google.keep(version, None);
    place.check_refused("there is no such secret (`NOT_FOUND`, status 404): `Secret Version", "");
    std::fs::write(place.bed.path("account"), "no key").unwrap();
    let account = format!("{services}service_account = {{ file = \"{}\" }}\n", place.bed.path("account").display());
    place.configure(&account, part);
    place.check_refused(
        "the service account's key cannot be used: `it is not such a key`",
        "hint: the file that Google",
    );
}

/// R15
#[test]
fn an_integration_waits_for_a_service_that_is_out_of_order() {
    let google = GoogleServices::start();
    google.keep("projects/acme/secrets/gristmill/versions/3", Some(&key_pair().to_string()));
    google.set_broken(true);
    let place = Place::new(vec![("GCE_METADATA_HOST", google.host())]);
    place.configure(
        &format!("[secrets.google_secret_manager]\nendpoint_url = \"http://{}\"\n", google.host()),
        "google_secret_manager = { secret = \"projects/acme/secrets/gristmill\", version = \"3\", key = \"PART\" }",
    );
    let mut command = place.bed.command(&["run"]);
    command.envs(place.environment.iter().cloned());
    let mut daemon = Process::start(command);
    let disabled = daemon.event("part_disabled");
    assert!(disabled.to_string().contains("the service failed (`UNAVAILABLE`, status 503)"), "{disabled}");
    google.set_broken(false);
    daemon.event("part_enabled");
    daemon.event("pass_finished");
    let written = files_below(&place.bed.state().join("lines"));
    assert!(!written.is_empty());
}
