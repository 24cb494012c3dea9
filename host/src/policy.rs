//! The least that must be allowed for a connection to work, as the documents that AWS takes.
//!
//! It knows the permissions that the requests of [`source`](crate::source) need, and contacts nobody. A document names
//! buckets and prefixes, and nothing beyond what integrations read: no write, no delete (I7).

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

use crate::config::{AccessGrants, AssumeRole, Auth, Connection};
use crate::object::BucketName;

/// A document, and where it belongs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Policy {
    /// Whose it is, in words.
    pub of: String,
    /// The document.
    pub document: Value,
}

/// What an integration reads: a bucket and a prefix.
pub type Target = (BucketName, String);

/// Everything that must be allowed for a connection to read these.
pub fn of(connection: &Connection, targets: &BTreeSet<Target>) -> Vec<Policy> {
    let place = Place::of(connection);
    let read = |whose: String| Policy { of: whose, document: document(place.read(connection, targets)) };
    match &connection.auth {
        Auth::AccessKey(_) => vec![read("the user whose keys these are".to_owned())],
        Auth::DefaultChain => vec![read("the identity of this machine, which the AWS SDK finds".to_owned())],
        Auth::AssumeRole(role) => vec![
            Policy { of: "the identity that assumes the role".to_owned(), document: document(vec![assume(role)]) },
            Policy {
                of: format!("the trust policy of {}, with that identity as its principal", role.role_arn),
                document: document(vec![trust(role)]),
            },
            read(role.role_arn.clone()),
        ],
        Auth::AccessGrants(grants) => vec![
            Policy { of: "the identity that asks for grants".to_owned(), document: document(vec![place.ask(grants)]) },
            Policy {
                of: "the trust policy of the role that the granted location is registered with".to_owned(),
                document: document(vec![place.serve(grants)]),
            },
            read("the role that the granted location is registered with".to_owned()),
        ],
    }
}

/// The grants that must be there, as scopes, for a connection by S3 Access Grants to read these.
pub fn grants(connection: &Connection, targets: &BTreeSet<Target>) -> Vec<String> {
    match &connection.auth {
        Auth::AccessGrants(_) => targets.iter().map(|(bucket, prefix)| format!("s3://{bucket}/{prefix}*")).collect(),
        Auth::AccessKey(_) | Auth::AssumeRole(_) | Auth::DefaultChain => Vec::new(),
    }
}

fn document(statements: Vec<Value>) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}

fn assume(role: &AssumeRole) -> Value {
    json!({ "Sid": "AssumeTheRole", "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role.role_arn })
}

/// Who the caller is cannot be known from here, so the principal stands there to be replaced.
fn trust(role: &AssumeRole) -> Value {
    let partition = role.role_arn.split(':').nth(1).unwrap_or("aws");
    let mut statement = json!({
        "Sid": "BeAssumed",
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": { "AWS": format!("arn:{partition}:iam::ACCOUNT:role/OR-USER-THAT-ASSUMES-IT") },
    });
    if let (Some(statement), Some(external_id)) = (statement.as_object_mut(), &role.external_id) {
        statement.insert("Condition".to_owned(), json!({ "StringEquals": { "sts:ExternalId": external_id } }));
    }
    statement
}

/// What Amazon calls things in a region.
struct Place<'a> {
    region: &'a str,
    partition: &'static str,
    domain: &'static str,
}

impl<'a> Place<'a> {
    fn of(connection: &'a Connection) -> Self {
        let region = connection.region.as_str();
        let (partition, domain) = match region {
            _ if region.starts_with("cn-") => ("aws-cn", "amazonaws.com.cn"),
            _ if region.starts_with("us-gov-") => ("aws-us-gov", "amazonaws.com"),
            _ => ("aws", "amazonaws.com"),
        };
        Self { region, partition, domain }
    }

    fn ask(&self, grants: &AccessGrants) -> Value {
        json!({
            "Sid": "AskForGrants",
            "Effect": "Allow",
            "Action": ["s3:GetDataAccess", "s3:ListCallerAccessGrants"],
            "Resource": self.instance(grants),
        })
    }

    fn serve(&self, grants: &AccessGrants) -> Value {
        json!({
            "Sid": "ServeGrants",
            "Effect": "Allow",
            "Action": ["sts:AssumeRole", "sts:SetSourceIdentity"],
            "Principal": { "Service": "access-grants.s3.amazonaws.com" },
            "Condition": {
                "StringEquals": { "aws:SourceAccount": grants.account_id, "aws:SourceArn": self.instance(grants) },
            },
        })
    }

    fn instance(&self, grants: &AccessGrants) -> String {
        format!("arn:{}:s3:{}:{}:access-grants/default", self.partition, self.region, grants.account_id)
    }

    /// To list, read and decrypt.
    fn read(&self, connection: &Connection, targets: &BTreeSet<Target>) -> Vec<Value> {
        let mut buckets: BTreeMap<&BucketName, BTreeSet<String>> = BTreeMap::new();
        for (bucket, prefix) in targets {
            buckets.entry(bucket).or_default().insert(format!("{}*", literal(prefix)));
        }
        let mut statements = Vec::new();
        let (mut objects, mut encrypted) = (Vec::new(), Vec::new());
        for (number, (bucket, patterns)) in buckets.iter().enumerate() {
            let arn = format!("arn:{}:s3:::{bucket}", self.partition);
            let mut statement = json!({
                "Sid": format!("List{}", number + 1), "Effect": "Allow", "Action": "s3:ListBucket", "Resource": arn,
            });
            // A listing of the whole bucket names no prefix.
            if let Some(statement) = statement.as_object_mut().filter(|_| !patterns.contains("*")) {
                statement.insert("Condition".to_owned(), json!({ "StringLike": { "s3:prefix": patterns } }));
            }
            statements.push(statement);
            let below: Vec<String> = match patterns.contains("*") {
                true => vec![format!("{arn}/*")],
                false => patterns.iter().map(|pattern| format!("{arn}/{pattern}")).collect(),
            };
            encrypted.extend(below.iter().cloned());
            encrypted.push(arn);
            objects.extend(below);
        }
        statements.push(json!({ "Sid": "Read", "Effect": "Allow", "Action": "s3:GetObject", "Resource": objects }));
        // Servers other than Amazon's have no KMS of Amazon's.
        if connection.endpoint_url.is_none() {
            statements.push(json!({
                "Sid": "DecryptWhatKmsEncrypts",
                "Effect": "Allow",
                "Action": "kms:Decrypt",
                "Resource": format!("arn:{}:kms:{}:*:key/*", self.partition, self.region),
                "Condition": {
                    "StringEquals": { "kms:ViaService": format!("s3.{}.{}", self.region, self.domain) },
                    "StringLike": { "kms:EncryptionContext:aws:s3:arn": encrypted },
                },
            }));
        }
        statements
    }
}

/// A text in which nothing is a pattern or a variable.
fn literal(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut literal, character| {
        match character {
            '*' | '?' | '$' => literal.extend(['$', '{', character, '}']),
            plain => literal.push(plain),
        }
        literal
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Addressing, BaseIdentity};

    fn connection(region: &str, auth: Auth) -> Connection {
        let (name, region) = ("acme".to_owned(), region.to_owned());
        Connection {
            name,
            region,
            endpoint_url: None,
            renamed_from: None,
            addressing: Addressing::VirtualHost,
            tenant: None,
            auth,
        }
    }

    fn targets(targets: &[(&str, &str)]) -> BTreeSet<Target> {
        targets.iter().map(|(bucket, prefix)| (bucket.parse().unwrap(), (*prefix).to_owned())).collect()
    }

    #[test]
    fn reading_is_allowed_below_the_prefixes_alone() {
        let connection = connection("eu-central-1", Auth::DefaultChain);
        let policies = of(&connection, &targets(&[("exports", "daily/"), ("exports", "50%$/*"), ("other", "")]));
        assert_eq!(policies.len(), 1);
        let expected = json!({ "Version": "2012-10-17", "Statement": [
            {
                "Sid": "List1", "Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::exports",
                "Condition": { "StringLike": { "s3:prefix": ["50%${$}/${*}*", "daily/*"] } },
            },
            { "Sid": "List2", "Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::other" },
            { "Sid": "Read", "Effect": "Allow", "Action": "s3:GetObject", "Resource": [
                "arn:aws:s3:::exports/50%${$}/${*}*", "arn:aws:s3:::exports/daily/*", "arn:aws:s3:::other/*",
            ] },
            {
                "Sid": "DecryptWhatKmsEncrypts", "Effect": "Allow", "Action": "kms:Decrypt",
                "Resource": "arn:aws:kms:eu-central-1:*:key/*",
                "Condition": {
                    "StringEquals": { "kms:ViaService": "s3.eu-central-1.amazonaws.com" },
                    "StringLike": { "kms:EncryptionContext:aws:s3:arn": [
                        "arn:aws:s3:::exports/50%${$}/${*}*", "arn:aws:s3:::exports/daily/*", "arn:aws:s3:::exports",
                        "arn:aws:s3:::other/*", "arn:aws:s3:::other",
                    ] },
                },
            },
        ] });
        assert_eq!(policies[0].document, expected, "{:#}", policies[0].document);
        assert_eq!(grants(&connection, &targets(&[("exports", "daily/")])), Vec::<String>::new());
    }

    /// I7
    #[test]
    fn nothing_but_reading_is_ever_allowed() {
        let role = AssumeRole {
            role_arn: "arn:aws-us-gov:iam::123456789012:role/reader".to_owned(),
            external_id: Some("acme".to_owned()),
            session_name: "gristmill".to_owned(),
            duration: std::time::Duration::from_secs(900),
            endpoint_url: None,
            base: BaseIdentity::DefaultChain,
        };
        let grants = AccessGrants {
            account_id: "123456789012".to_owned(),
            duration: std::time::Duration::from_secs(900),
            endpoint_url: None,
            base: BaseIdentity::DefaultChain,
        };
        let known = [
            "s3:ListBucket",
            "s3:GetObject",
            "kms:Decrypt",
            "sts:AssumeRole",
            "sts:SetSourceIdentity",
            "s3:GetDataAccess",
            "s3:ListCallerAccessGrants",
        ];
        for auth in [Auth::DefaultChain, Auth::AssumeRole(role), Auth::AccessGrants(grants)] {
            for policy in of(&connection("us-gov-west-1", auth), &targets(&[("exports", "")])) {
                let statements = policy.document["Statement"].as_array().unwrap();
                for action in statements.iter().map(|statement| &statement["Action"]) {
                    let named = action.as_array().cloned().unwrap_or_else(|| vec![action.clone()]);
                    assert!(named.iter().all(|action| known.contains(&action.as_str().unwrap())), "{named:?}");
                }
                let text = policy.document.to_string();
                assert!(!text.contains("arn:aws:") && !text.contains("\"*\""), "{text}");
            }
        }
    }

    #[test]
    fn a_role_needs_three_policies_and_its_external_id_stands_in_one() {
        let role = AssumeRole {
            role_arn: "arn:aws:iam::123456789012:role/reader".to_owned(),
            external_id: Some("acme-7f3a".to_owned()),
            session_name: "gristmill".to_owned(),
            duration: std::time::Duration::from_secs(900),
            endpoint_url: None,
            base: BaseIdentity::DefaultChain,
        };
        let policies = of(&connection("eu-central-1", Auth::AssumeRole(role)), &targets(&[("exports", "")]));
        let [assume, trust, read] = policies.as_slice() else { panic!("{policies:?}") };
        assert_eq!(assume.document["Statement"][0]["Resource"], "arn:aws:iam::123456789012:role/reader");
        assert_eq!(trust.document["Statement"][0]["Condition"]["StringEquals"]["sts:ExternalId"], "acme-7f3a");
        assert_eq!(read.document["Statement"][0]["Resource"], "arn:aws:s3:::exports");
    }

    #[test]
    fn grants_are_named_with_the_instance_that_must_be_asked() {
        let settings = AccessGrants {
            account_id: "123456789012".to_owned(),
            duration: std::time::Duration::from_secs(900),
            endpoint_url: None,
            base: BaseIdentity::DefaultChain,
        };
        let connection = connection("eu-central-1", Auth::AccessGrants(settings));
        let targets = targets(&[("exports", "daily/"), ("exports", "weekly/")]);
        let policies = of(&connection, &targets);
        let instance = "arn:aws:s3:eu-central-1:123456789012:access-grants/default";
        assert_eq!(policies[0].document["Statement"][0]["Resource"], instance);
        assert_eq!(policies[1].document["Statement"][0]["Condition"]["StringEquals"]["aws:SourceArn"], instance);
        assert_eq!(grants(&connection, &targets), ["s3://exports/daily/*", "s3://exports/weekly/*"]);
    }
}
