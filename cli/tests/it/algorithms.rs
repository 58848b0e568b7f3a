//! Keys and signatures in certificates that OpenSSL made: those that browsers accept, and what is said of the others.

use std::{path::Path, process::Command};

use crate::peer::visit;
use crate::pki::{Files, python_https};
use serde_json::Value;
use tempfile::TempDir;

/// A folder in which OpenSSL makes certificates.
struct Openssl {
    folder: TempDir,
}

/// How a key is made: arguments of `openssl genpkey`.
type Key = &'static [&'static str];

const P256: Key = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
const P384: Key = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"];
const P521: Key = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"];
const ED25519: Key = &["-algorithm", "ED25519"];
const RSA2048: Key = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
const RSA4096: Key = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:4096"];
const RSA1024: Key = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"];

/// Signed as RFC 4055 §3.1 has it: the salt as long as the hash.
const PSS: [&str; 4] = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:-1"];

const CA: &str = "basicConstraints=critical,CA:TRUE";
const SERVER: &str = "basicConstraints=CA:FALSE\nsubjectAltName=DNS:localhost";

impl Openssl {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn at(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn run(&self, args: &[&str]) {
        let output = Command::new("openssl")
            .args(args)
            .current_dir(self.folder.path())
            .output()
            .expect("openssl is needed: apt-get install openssl");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A certificate `name.pem` with a key `name.key`, issued by another or by itself.
    fn issue(&self, name: &str, key: Key, by: Option<&str>, extensions: Option<&str>, signed: &[&str]) {
        let (key_file, request, file) = (format!("{name}.key"), format!("{name}.csr"), format!("{name}.pem"));
        self.run(&[&["genpkey", "-out", &key_file], key].concat());
        self.run(&["req", "-new", "-key", &key_file, "-subj", &format!("/CN={name}"), "-out", &request]);
        let (ca, ca_key) = (format!("{}.pem", by.unwrap_or_default()), format!("{}.key", by.unwrap_or_default()));
        let issuer: &[&str] =
            if by.is_some() { &["-CA", &ca, "-CAkey", &ca_key, "-CAcreateserial"] } else { &["-signkey", &key_file] };
        let text = format!("{name}.ext");
        let extended: &[&str] = if extensions.is_some() { &["-extfile", &text] } else { &[] };
        std::fs::write(self.at(&text), extensions.unwrap_or_default()).unwrap();
        self.run(
            &[&["x509", "-req", "-in", &request, "-days", "30", "-out", &file], issuer, extended, signed].concat(),
        );
    }

    /// Visits a server with this certificate; `setup` is about Python's context.
    fn visit(&self, name: &str, setup: &str, args: &[&str]) -> (i32, Value) {
        let path = |name: String| Path::new(&self.at(&name)).to_owned();
        let files = Files { chain: path(format!("{name}.pem")), key: path(format!("{name}.key")) };
        let server = python_https(&files, setup);
        visit(&[args, &[&format!("https://localhost:{}/", server.port)]].concat())
    }
}

fn tls(journey: &Value) -> &Value {
    journey["hops"][0]["stages"].as_array().unwrap().iter().find(|stage| stage["name"] == "tls").unwrap()
}

const VERSIONS: [(&str, &str); 2] = [
    ("TLS 1.2", "c.maximum_version = ssl.TLSVersion.TLSv1_2"),
    ("TLS 1.3", "c.minimum_version = ssl.TLSVersion.TLSv1_3"),
];

#[needs::tools(python3, openssl)]
#[test]
fn what_browsers_accept_is_accepted_in_both_versions() {
    let pss = |hash: &'static str| [&[hash][..], &PSS].concat();
    // The CA's key and how it signs; the server's key; what is shown of both.
    let cases: Vec<(Key, Vec<&str>, Key, &str, &str)> = vec![
        (P521, vec!["-sha512"], P521, "ECDSA P-521", "ECDSA with SHA-512"),
        (P384, vec!["-sha512"], P384, "ECDSA P-384", "ECDSA with SHA-512"),
        (P256, vec!["-sha512"], P256, "ECDSA P-256", "ECDSA with SHA-512"),
        (P521, vec!["-sha256"], P256, "ECDSA P-256", "ECDSA with SHA-256"),
        (RSA4096, pss("-sha256"), RSA2048, "RSA 2048", "RSA-PSS"),
        (RSA2048, pss("-sha512"), RSA4096, "RSA 4096", "RSA-PSS"),
        (ED25519, vec![], ED25519, "Ed25519", "Ed25519"),
    ];
    for (ca_key, signed, key, key_name, signature) in cases {
        let openssl = Openssl::new();
        openssl.issue("root", ca_key, None, Some(CA), &signed);
        openssl.issue("server", key, Some("root"), Some(SERVER), &signed);
        for (version, setup) in VERSIONS {
            let (code, journey) = openssl.visit("server", setup, &["--cacert", &openssl.at("root.pem")]);
            let tls = tls(&journey);
            let own = &tls["chain"][0];
            assert_eq!(code, 0, "{key_name} {signature} {version}: {:#}", journey["outcome"]);
            assert_eq!((&tls["version"], &tls["verified"]["result"]), (&version.into(), &"yes".into()));
            assert_eq!((&own["key"], &own["signature"]), (&key_name.into(), &signature.into()), "{version}");
        }
    }
}

/// What is said where a certificate is refused, and that `-k` lets it in all the same.
#[track_caller]
fn refused(openssl: &Openssl, reason: &str, words: &[&str]) {
    let root = openssl.at("root.pem");
    let (code, journey) = openssl.visit("server", "", &["--cacert", &root]);
    let outcome = &journey["outcome"];
    assert_eq!((code, &outcome["reason"]), (60, &reason.into()), "{outcome:#}");
    let verdict = outcome["verdict"].as_str().unwrap();
    for word in words {
        assert!(verdict.contains(word), "{word:?} is not in {verdict:?}");
    }
    for (version, setup) in VERSIONS {
        let (code, journey) = openssl.visit("server", setup, &["-k", "--cacert", &root]);
        assert_eq!(code, 0, "-k, {version}: {:#}", journey["outcome"]);
        assert_eq!(tls(&journey)["verified"]["result"], "ignored");
    }
}

#[needs::tools(python3, openssl)]
#[test]
fn a_version_1_certificate_is_named_and_insecure_accepts_it() {
    let openssl = Openssl::new();
    openssl.issue("root", P256, None, Some(CA), &[]);
    openssl.issue("server", P256, None, None, &[]);
    let words =
        ["self-signed", "it is an X.509 version 1 certificate; version 3 is required", "it has no subjectAltName"];
    refused(&openssl, "certificate_untrusted", &words);
}

#[needs::tools(python3, openssl)]
#[test]
fn sha_1_is_named() {
    let openssl = Openssl::new();
    openssl.issue("root", RSA2048, None, Some(CA), &[]);
    openssl.issue("server", P256, Some("root"), Some(SERVER), &["-sha1"]);
    let words = ["the certificate of localhost is signed with RSA with SHA-1, which is not accepted"];
    refused(&openssl, "certificate_refused", &words);
}

#[needs::tools(python3, openssl)]
#[test]
fn a_short_rsa_key_is_named() {
    let openssl = Openssl::new();
    openssl.issue("root", P256, None, Some(CA), &[]);
    openssl.issue("server", RSA1024, Some("root"), Some(SERVER), &[]);
    refused(&openssl, "certificate_refused", &["has an RSA key of 1024 bits; 2048 to 8192 are accepted"]);
    // The CA's is short.
    let openssl = Openssl::new();
    openssl.issue("root", RSA1024, None, Some(CA), &[]);
    openssl.issue("server", P256, Some("root"), Some(SERVER), &[]);
    refused(&openssl, "certificate_refused", &["the trusted certificate CN=root has an RSA key of 1024 bits"]);
}

#[needs::tools(python3, openssl)]
#[test]
fn an_unknown_critical_extension_is_named_and_insecure_accepts_it() {
    let openssl = Openssl::new();
    openssl.issue("root", P256, None, Some(CA), &[]);
    let extensions = format!("{SERVER}\n1.2.3.4.5=critical,DER:05:00");
    openssl.issue("server", P256, Some("root"), Some(&extensions), &[]);
    refused(&openssl, "certificate_refused", &["has a critical extension that is not supported: 1.2.3.4.5"]);
}
