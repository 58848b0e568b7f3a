//! What the authority issues, as others judge it: webpki, which `visit` uses, and OpenSSL, which curl and dig do.

use std::{
    fs,
    net::IpAddr,
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ca::{Authority, Scope};
use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, UnixTime},
};

fn scope() -> Scope {
    let networks = ["10.78.0.0/16", "fd10:78:1ab::/64"].map(|net| net.parse().unwrap());
    Scope::new(["example.local", "example.test"], networks)
}

/// Whether webpki takes the certificate for that name, with this authority as the only one that is trusted.
fn webpki(authority: &Authority, leaf: &CertificateDer<'_>, name: &str, now: SystemTime) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate_der().clone()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let now = UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap());
    let name = ServerName::try_from(name.to_owned()).unwrap();
    verifier.verify_server_cert(leaf, &[], &name, &[], now).map(drop)
}

/// What OpenSSL says of it; empty where it has nothing against it.
fn openssl(dir: &Path, leaf: &CertificateDer<'_>, name: &str) -> String {
    let file = dir.join("leaf.der");
    fs::write(&file, leaf).unwrap();
    let of = if name.parse::<IpAddr>().is_ok() { "-verify_ip" } else { "-verify_hostname" };
    let output = Command::new("openssl")
        .args(["verify", "-x509_strict", "-purpose", "sslserver", of, name, "-CAfile"])
        .args([&dir.join("lab-ca.pem"), &file])
        .output()
        .unwrap_or_else(|error| panic!("this test needs openssl, which does not run: {error}"));
    if output.status.success() { String::new() } else { String::from_utf8_lossy(&output.stderr).into_owned() }
}

#[needs::tools(openssl)]
#[test]
fn what_is_issued_is_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let authority = Authority::open(dir.path(), &scope(), now).unwrap();
    let names = ["example.local", "*.example.local", "localhost"].map(str::to_owned);
    let addresses = ["10.78.2.81", "fd10:78:1ab::2:81", "127.0.0.1", "::1"].map(|ip| ip.parse().unwrap());
    let issued = authority.issue(&names, &addresses, now).unwrap();
    let leaf = &issued.cert[0];
    for name in ["example.local", "www.example.local", "localhost", "10.78.2.81", "::1"] {
        webpki(&authority, leaf, name, now).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(openssl(dir.path(), leaf, name), "", "{name}");
    }
    for name in ["a.b.example.local", "example.test", "10.78.2.82"] {
        assert!(webpki(&authority, leaf, name, now).is_err(), "{name}");
        assert!(openssl(dir.path(), leaf, name).contains("mismatch"), "{name}");
    }
    let day = Duration::from_secs(24 * 60 * 60);
    let check = |at, is_valid| assert_eq!(webpki(&authority, leaf, "localhost", at).is_ok(), is_valid, "{at:?}");
    check(now - Duration::from_secs(59 * 60), true);
    check(now - Duration::from_secs(61 * 60), false);
    check(now + 396 * day, true);
    check(now + 397 * day, false);
    // It ends with its authority, which would be replaced long before.
    let late = now + 3_500 * day;
    let leaf = &authority.issue(&names, &[], late).unwrap().cert[0];
    assert!(webpki(&authority, leaf, "localhost", now + 3_651 * day).is_ok());
    assert!(webpki(&authority, leaf, "localhost", now + 3_653 * day).is_err());
}

#[test]
fn every_key_is_its_own() {
    let authority = Authority::in_memory(&scope(), SystemTime::now()).unwrap();
    let issue = || authority.issue(&["localhost".to_owned()], &[], SystemTime::now()).unwrap().cert[0].clone();
    assert_ne!(issue(), issue());
}

#[needs::tools(openssl)]
#[test]
fn a_stolen_key_is_good_for_the_lab_alone() {
    let dir = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let authority = Authority::open(dir.path(), &scope(), now).unwrap();
    let key = KeyPair::from_pem(&fs::read_to_string(dir.path().join("lab-ca.key")).unwrap()).unwrap();
    let issuer = Issuer::from_ca_cert_der(authority.certificate_der(), key).unwrap();
    let forge = |name: &str| {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.use_authority_key_identifier_extension = true;
        params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().clone()
    };
    for name in ["www.baidu.com", "local", "192.0.2.1", "2001:db8::1"] {
        assert!(authority.issue(&[name.to_owned()], &[], now).is_err(), "{name}");
        let forged = forge(name);
        let error = webpki(&authority, &forged, name, now).unwrap_err().to_string();
        assert!(error.contains("NameConstraintViolation"), "{name}: {error}");
        let error = openssl(dir.path(), &forged, name);
        assert!(error.contains("permitted subtree violation"), "{name}: {error}");
    }
    // So it is the name that is at fault.
    assert!(webpki(&authority, &forge("a.example.local"), "a.example.local", now).is_ok());
    assert_eq!(openssl(dir.path(), &forge("a.example.local"), "a.example.local"), "");
}

#[needs::tools(openssl)]
#[test]
fn what_something_is_wrong_with() {
    let dir = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let authority = Authority::open(dir.path(), &scope(), now).unwrap();
    let day = Duration::from_secs(24 * 60 * 60);
    let names = ["www.example.local".to_owned()];
    let expired = authority.issue_valid(&names, &[], now - 91 * day..now - day).unwrap();
    let error = webpki(&authority, &expired.cert[0], &names[0], now).unwrap_err().to_string();
    assert!(error.contains("expired"), "{error}");
    assert!(openssl(dir.path(), &expired.cert[0], &names[0]).contains("certificate has expired"));
    assert!(webpki(&authority, &expired.cert[0], &names[0], now - 2 * day).is_ok(), "nothing else is wrong with it");
    let strange = Authority::stranger(&scope(), now).unwrap();
    let unknown = strange.issue(&names, &[], now).unwrap();
    let error = webpki(&authority, &unknown.cert[0], &names[0], now).unwrap_err().to_string();
    assert!(error.contains("UnknownIssuer"), "{error}");
    assert!(openssl(dir.path(), &unknown.cert[0], &names[0]).contains("unable to get local issuer certificate"));
    assert!(webpki(&strange, &unknown.cert[0], &names[0], now).is_ok(), "nothing else is wrong with it");
}
