//! Who a client is and whom it trusts, made for a test: JWTs of an operator, and certificates of an authority.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

/// A user of an operator's account, as a credentials file, and the server's configuration that knows it.
pub struct Operator {
    /// For the server.
    pub config: String,
    /// The text of the credentials file.
    pub credentials: String,
    /// What is secret in it.
    pub seed: String,
}

impl Operator {
    /// Makes one with an account that may use JetStream, and a user of it.
    pub fn create() -> Self {
        Self::with_payload(-1)
    }

    /// The same, with a user whose messages may be no larger than so many bytes.
    pub fn with_payload(bytes: i64) -> Self {
        let (operator, system) = (KeyPair::new_operator(), KeyPair::new_account());
        let (account, user) = (KeyPair::new_account(), KeyPair::new_user());
        let limits = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
        });
        let mut jetstream = limits.clone();
        for limit in ["mem_storage", "disk_storage", "streams", "consumer"] {
            jetstream[limit] = json!(-1);
        }
        let own = jwt(&operator, &operator, json!({"type": "operator", "version": 2}));
        let accounts = [(&system, limits), (&account, jetstream)].map(|(account, limits)| {
            let signed = jwt(&operator, account, json!({"type": "account", "version": 2, "limits": limits}));
            format!("{}: \"{signed}\"", account.public_key())
        });
        let member = jwt(
            &account,
            &user,
            json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": bytes, "pub": {}, "sub": {}}),
        );
        let seed = user.seed().expect("a seed");
        Self {
            config: format!(
                "operator: \"{own}\"\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{ {} }}",
                system.public_key(),
                accounts.join("\n")
            ),
            credentials: format!(
                "-----BEGIN NATS USER JWT-----\n{member}\n------END NATS USER JWT------\n\n\
                 -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
            ),
            seed,
        }
    }
}

/// What `issuer` says of `subject`, signed.
fn jwt(issuer: &KeyPair, subject: &KeyPair, claims: Json) -> String {
    let encoded = |value: Json| URL_SAFE_NO_PAD.encode(value.to_string());
    let body = encoded(json!({
        "jti": uuid::Uuid::new_v4().to_string(),
        "iat": chrono::Utc::now().timestamp(),
        "iss": issuer.public_key(),
        "sub": subject.public_key(),
        "name": "test",
        "nats": claims,
    }));
    let signed = format!("{}.{body}", encoded(json!({"typ": "JWT", "alg": "ed25519-nkey"})));
    let signature = URL_SAFE_NO_PAD.encode(issuer.sign(signed.as_bytes()).expect("a signature"));
    format!("{signed}.{signature}")
}

/// A certificate authority with a server's and a client's certificate, as files.
pub struct Authority {
    folder: TempDir,
}

impl Authority {
    /// Makes one.
    pub fn create() -> Self {
        let authority = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        let key = || rcgen::KeyPair::generate().expect("a key");
        let mut root = CertificateParams::new(Vec::new()).expect("parameters");
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(root, key()).expect("a root certificate");
        authority.write("ca.pem", &issuer.pem());
        for (name, host) in [("server", "127.0.0.1"), ("client", "client")] {
            let key = key();
            let leaf = CertificateParams::new(vec![host.to_owned()]).expect("parameters");
            let certificate = leaf.signed_by(&key, &issuer).expect("a certificate");
            authority.write(&format!("{name}.pem"), &certificate.pem());
            authority.write(&format!("{name}.key"), &key.serialize_pem());
        }
        authority
    }

    /// The file of the root certificate (`ca.pem`), of a certificate (`server.pem`, `client.pem`) or of its key.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The server's `tls` block, with `more` in it.
    pub fn config(&self, more: &str) -> String {
        let [certificate, key, root] = ["server.pem", "server.key", "ca.pem"].map(|name| self.file(name));
        format!("tls {{ cert_file: {certificate:?}, key_file: {key:?}, ca_file: {root:?}, {more} }}")
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.file(name), text).expect("a file");
    }
}
