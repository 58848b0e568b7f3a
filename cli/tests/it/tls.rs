//! The `tls` stage against servers of other makers, with certificates that are right and wrong in every way.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::Path,
    thread,
};

use crate::peer::{run, visit};
use crate::pki::{By, Kind, Pki, nginx, python_https};
use serde_json::Value;

use crate::{peer, pki};

fn stage<'a>(journey: &'a Value, name: &str) -> &'a Value {
    let stages = journey["hops"][0]["stages"].as_array().unwrap();
    stages.iter().find(|stage| stage["name"] == name).unwrap()
}

#[needs::tools(python3, openssl)]
#[test]
fn what_was_agreed_on_and_who_it_is() {
    let pki = Pki::new();
    let files = pki.issue(Kind { by: By::Intermediate, ..Kind::GOOD });
    let server = python_https(&files, "");
    let (code, journey) = visit(&["--cacert", &pki.root(), &format!("https://localhost:{}/", server.port)]);
    assert_eq!(code, 0, "{journey:#}");
    let tls = stage(&journey, "tls");
    for (pointer, expected) in [
        ("/state", "done".into()),
        ("/version", "TLS 1.3".into()),
        ("/cipher_suite", "TLS_AES_256_GCM_SHA384".into()),
        ("/key_exchange", "X25519".into()),
        ("/handshake", "full".into()),
        ("/alpn", Value::Null),
        ("/server_name", "localhost".into()),
        ("/name_sent", true.into()),
        ("/trust/source", pki.root().into()),
        ("/trust/anchors", 1.into()),
        ("/verified/result", "yes".into()),
        ("/chain/0/names/0", "localhost".into()),
        ("/chain/0/key", "ECDSA P-256".into()),
        ("/chain/0/signature", "ECDSA with SHA-256".into()),
        ("/chain/0/is_ca", false.into()),
        ("/chain/1/is_ca", true.into()),
        ("/chain/1/is_self_issued", false.into()),
    ] {
        assert_eq!(tls.pointer(pointer), Some(&expected), "{pointer}: {tls:#}");
    }
    assert!(tls["bytes_in"].as_u64() > Some(500) && tls["bytes_out"].as_u64() > Some(100));
    assert!(tls["chain"][0]["issuer"].as_str().unwrap().contains("test intermediate"));
    // Another program reads the same of the certificate.
    let openssl = std::process::Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-serial", "-in"])
        .arg(&files.chain)
        .output()
        .expect("openssl is needed: apt-get install openssl");
    let printed = String::from_utf8(openssl.stdout).unwrap().to_lowercase().replace(':', "");
    for member in ["sha256", "serial"] {
        let ours = tls["chain"][0][member].as_str().unwrap();
        assert!(printed.contains(ours.trim_start_matches('0')), "{member} {ours}: {printed}");
    }
    // Sizes with TLS are larger than those inside, and the handshake is no part of them.
    let (send, receive) = (stage(&journey, "send"), stage(&journey, "receive"));
    for stage in [send, receive] {
        let (inside, wire) = (stage["bytes"].as_u64().unwrap(), stage["wire_bytes"].as_u64().unwrap());
        assert!(wire > inside && wire < inside + 2_000, "{stage:#}");
    }
}

/// Visits a server with such a certificate; what must come of it.
fn check(kind: Kind, name: &str, code: i32, reason: &str, words: &[&str]) {
    let pki = Pki::new();
    let server = python_https(&pki.issue(kind), "");
    let url = format!("https://{name}:{}/", server.port);
    let (seen, journey) = visit(&["--cacert", &pki.root(), &url]);
    let what = stage(&journey, "tls")["failure"]["what"].as_str().unwrap_or_default().to_owned();
    assert_eq!((seen, &journey["outcome"]["reason"]), (code, &reason.into()), "{kind:?}: {what}");
    assert_eq!(journey["outcome"]["failed_stage"], "tls", "{kind:?}");
    for word in words {
        assert!(what.contains(word), "{kind:?}: {what:?} has no {word:?}");
    }
    // The certificate that was refused is there to be looked at, and so is everything before it.
    assert_eq!(stage(&journey, "tls")["chain"][0]["names"][0], kind.name, "{kind:?}");
    assert_eq!(stage(&journey, "connect")["state"], "done", "{kind:?}");
    assert_eq!(stage(&journey, "send")["state"], "not_reached", "{kind:?}");
    assert!(stage(&journey, "tls")["duration_us"].as_u64().is_some(), "{kind:?}");

    // Whatever the certificate, --insecure visits; and says what is wrong with it, loudly.
    let (seen, journey) = visit(&["-k", "--cacert", &pki.root(), &url]);
    assert_eq!((seen, &journey["outcome"]["reached"]), (0, &true.into()), "{kind:?}");
    let verified = &stage(&journey, "tls")["verified"];
    assert_eq!((&verified["result"], verified["why"].as_str()), (&"ignored".into(), Some(&*what)), "{kind:?}");
    let screen = String::from_utf8(run(&["-k", "--cacert", &pki.root(), &url]).stdout).unwrap();
    assert!(screen.contains("NOT VERIFIED (--insecure)"), "{screen}");
}

#[needs::tools(python3)]
#[test]
fn expired() {
    let kind = Kind { from_days: -30, to_days: -4, ..Kind::GOOD };
    check(kind, "localhost", 60, "certificate_expired", &["the certificate of localhost expired 3 days ago"]);
}

#[needs::tools(python3)]
#[test]
fn not_valid_yet() {
    let kind = Kind { from_days: 5, ..Kind::GOOD };
    check(
        kind,
        "localhost",
        60,
        "certificate_not_yet_valid",
        &["the certificate of localhost becomes valid in 5 days: it is valid from"],
    );
}

#[needs::tools(python3)]
#[test]
fn wrong_name() {
    let kind = Kind { name: "other.test", ..Kind::GOOD };
    check(kind, "localhost", 60, "certificate_wrong_name", &["is for other.test, and not for localhost"]);
    check(Kind::GOOD, "127.0.0.1", 60, "certificate_wrong_name", &["is for localhost, and not for 127.0.0.1"]);
}

#[needs::tools(python3)]
#[test]
fn self_signed() {
    let kind = Kind { by: By::Itself, ..Kind::GOOD };
    check(
        kind,
        "localhost",
        60,
        "certificate_untrusted",
        &["the certificate of localhost is self-signed and not in the trust store ("],
    );
}

#[needs::tools(python3)]
#[test]
fn the_intermediate_is_missing() {
    let kind = Kind { by: By::IntermediateNotSent, ..Kind::GOOD };
    check(
        kind,
        "localhost",
        60,
        "certificate_untrusted",
        &["is issued by CN=test intermediate, which the server did not send and which is not in"],
    );
}

#[needs::tools(python3)]
#[test]
fn nobody_vouches_for_it() {
    let pki = Pki::new();
    let server = python_https(&pki.issue(Kind::GOOD), "");
    let (code, journey) = visit(&[&format!("https://localhost:{}/", server.port)]);
    assert_eq!((code, &journey["outcome"]["reason"]), (60, &"certificate_untrusted".into()));
    let trust = &stage(&journey, "tls")["trust"];
    assert_eq!(trust["source"], "this machine's store", "{trust}");
}

#[needs::tools(python3)]
#[test]
fn other_certificates_can_stand_for_the_store() {
    let pki = Pki::new();
    let server = python_https(&pki.issue(Kind::GOOD), "");
    let output = peer::program()
        .args(["--json", &format!("https://localhost:{}/", server.port)])
        .env("SSL_CERT_FILE", pki.root())
        .output()
        .unwrap();
    let journey: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(journey["outcome"]["reached"], true, "{journey:#}");
    assert_eq!(stage(&journey, "tls")["trust"]["source"], "SSL_CERT_FILE");
}

#[needs::tools(python3)]
#[test]
fn the_two_sides_cannot_agree() {
    let pki = Pki::new();
    let files = pki.issue(Kind::GOOD);
    let check = |setup: &str, words: &[&str]| {
        let server = python_https(&files, setup);
        let (code, journey) = visit(&["--cacert", &pki.root(), &format!("https://localhost:{}/", server.port)]);
        let what = stage(&journey, "tls")["failure"]["what"].as_str().unwrap_or_default();
        assert_eq!((code, &journey["outcome"]["reason"]), (35, &"tls_failed".into()), "{setup}: {what}");
        assert!(words.iter().any(|word| what.contains(word)), "{setup}: {what}");
    };
    check(
        "c.minimum_version = ssl.TLSVersion.TLSv1_2; c.maximum_version = ssl.TLSVersion.TLSv1_2; \
         c.set_ciphers('AES256-GCM-SHA384')",
        &["refused the handshake: handshake_failure (alert 40)"],
    );
}

#[needs::tools(python3)]
#[test]
fn an_older_version_is_named() {
    let pki = Pki::new();
    let server = python_https(&pki.issue(Kind::GOOD), "c.maximum_version = ssl.TLSVersion.TLSv1_2");
    let (code, journey) = visit(&["--cacert", &pki.root(), &format!("https://localhost:{}/", server.port)]);
    let tls = stage(&journey, "tls");
    assert_eq!((code, &tls["version"]), (0, &"TLS 1.2".into()), "{tls:#}");
    assert!(tls["cipher_suite"].as_str().unwrap().starts_with("TLS_ECDHE_ECDSA_WITH_"), "{tls:#}");
}

#[needs::tools(python3)]
#[test]
fn a_client_certificate_is_wanted() {
    let pki = Pki::new();
    let setup = format!("c.verify_mode = ssl.CERT_REQUIRED; c.load_verify_locations({:?})", pki.root());
    let server = python_https(&pki.issue(Kind::GOOD), &setup);
    let (code, journey) = visit(&["--cacert", &pki.root(), &format!("https://localhost:{}/", server.port)]);
    // In TLS 1.3 the server says so after the handshake is over for the client.
    assert_eq!((code, &journey["outcome"]["reason"]), (56, &"tls_failed".into()), "{journey:#}");
    let outcome = &journey["outcome"];
    assert!(outcome["verdict"].as_str().unwrap().contains("certificate_required (alert 116)"), "{outcome:#}");
    assert_eq!(stage(&journey, "tls")["client_certificate_requested"], true);
    assert!(outcome["next"].as_str().unwrap().contains("wants a client certificate"), "{outcome:#}");
    // TLS 1.2 has no alert for it.
    let setup = format!("{setup}; c.maximum_version = ssl.TLSVersion.TLSv1_2");
    let server = python_https(&pki.issue(Kind::GOOD), &setup);
    let (code, journey) = visit(&["--cacert", &pki.root(), &format!("https://localhost:{}/", server.port)]);
    let outcome = &journey["outcome"];
    assert_eq!((code, &outcome["reason"]), (35, &"tls_failed".into()), "{outcome:#}");
    let words = "handshake_failure (alert 40), it asked for a client certificate and got none";
    assert!(outcome["verdict"].as_str().unwrap().contains(words), "{outcome:#}");
}

#[needs::tools(python3)]
#[test]
fn a_client_certificate_that_is_only_offered_to_be_shown_is_no_failure() {
    let pki = Pki::new();
    let setup = format!("c.verify_mode = ssl.CERT_OPTIONAL; c.load_verify_locations({:?})", pki.root());
    let server = python_https(&pki.issue(Kind::GOOD), &setup);
    let (code, journey) = visit(&["--cacert", &pki.root(), &format!("https://localhost:{}/", server.port)]);
    assert_eq!((code, &stage(&journey, "tls")["client_certificate_requested"]), (0, &true.into()), "{journey:#}");
}

/// A server that sends these bytes to whoever connects, and waits for the other side to close.
fn plain(answer: &'static [u8], closes: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut hello = [0; 2048];
            let _ = stream.read(&mut hello);
            let _ = stream.write_all(answer);
            if !closes {
                let _ = stream.read_to_end(&mut Vec::new());
            }
        }
    });
    format!("https://127.0.0.1:{port}/")
}

#[test]
fn it_does_not_speak_tls() {
    let check = |answer, closes, args: &[&str], code, reason: &str, words: &str| {
        let url = plain(answer, closes);
        let (seen, journey) = visit(&[args, &[&url]].concat());
        let outcome = &journey["outcome"];
        assert_eq!((seen, &outcome["reason"]), (code, &reason.into()), "{outcome:#}");
        assert_eq!(outcome["failed_stage"], "tls");
        assert!(outcome["verdict"].as_str().unwrap().contains(words), "{outcome:#}");
    };
    check(b"HTTP/1.1 400 Bad Request\r\n\r\n", false, &[], 35, "not_tls", r#"it sent "HTTP/1.1 400 Bad Request""#);
    check(b"SSH-2.0-OpenSSH_9.2p1\r\n", false, &[], 35, "not_tls", r#"it sent "SSH-2.0-OpenSSH_9.2p1""#);
    check(b"", true, &[], 35, "tls_failed", "closed the connection in the handshake");
    check(b"", false, &["-m", "0.3"], 28, "max_time", "took the connection and said nothing of TLS");
    // The begin of a ServerHello, and no more.
    check(b"\x16\x03\x03\x00\x7a\x02\x00\x00", false, &["-m", "5"], 28, "max_time", "after 8 bytes");
}

#[needs::tools(python3, nginx)]
#[test]
fn http_2_where_the_server_agrees() {
    let pki = Pki::new();
    let files = pki.issue(Kind::GOOD);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("page.txt"), "all that is sent twice is sent once ".repeat(500)).unwrap();
    let lines = format!(
        "listen 127.0.0.1:$PORT ssl http2; ssl_certificate {}; ssl_certificate_key {}; root $FOLDER; gzip on; \
         gzip_types text/plain;",
        files.chain.display(),
        files.key.display()
    );
    let server = nginx(folder.path(), &lines);
    let url = format!("https://localhost:{}/page.txt", server.port);
    let trusted = ["--cacert", &*pki.root()].map(str::to_owned);
    let trusted: Vec<&str> = trusted.iter().map(String::as_str).collect();

    let (code, journey) = visit(&[&trusted[..], &[&url]].concat());
    assert_eq!(code, 0, "{journey:#}");
    let receive = stage(&journey, "receive");
    for (stage_name, pointer, expected) in [
        ("tls", "/alpn", "h2".into()),
        ("send", "/version", "HTTP/2".into()),
        ("send", "/headers/0/name", ":method".into()),
        ("receive", "/version", "HTTP/2".into()),
        ("receive", "/reason_phrase", Value::Null),
        ("receive", "/framing", "end_stream".into()),
        ("receive", "/codings/0", "gzip".into()),
        ("receive", "/decoded_bytes", 18_000.into()),
        ("close", "/first", "you".into()),
        ("close", "/peer", "fin".into()),
    ] {
        assert_eq!(stage(&journey, stage_name).pointer(pointer), Some(&expected), "{stage_name}{pointer}: {journey:#}");
    }
    assert!(receive["content_bytes"].as_u64() < Some(1_000), "{receive:#}");
    // What a request takes are its frames, not the settings that go before them.
    let send = stage(&journey, "send");
    assert!(send["bytes"].as_u64() < Some(150) && send["wire_bytes"].as_u64() > send["bytes"].as_u64(), "{send:#}");

    let (_, journey) = visit(&[&trusted[..], &["--http1.1", &url]].concat());
    assert_eq!(
        (&stage(&journey, "tls")["alpn"], &stage(&journey, "receive")["version"]),
        (&"http/1.1".into(), &"HTTP/1.1".into())
    );

    let plain = python_https(&files, "");
    let (code, journey) = visit(&[&trusted[..], &["--http2", &format!("https://localhost:{}/", plain.port)]].concat());
    assert_eq!((code, &journey["outcome"]["reason"]), (35, &"tls_failed".into()), "{journey:#}");
    let refused = run(&["--http2", "http://localhost/"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--http2 needs an https:// URL"));
}

#[needs::tools(curl, nginx)]
#[test]
fn curl_and_visit_read_the_same() {
    let pki = Pki::new();
    let files = pki.issue(Kind::GOOD);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("page.txt"), "text".repeat(5_000)).unwrap();
    let lines = format!(
        "listen 127.0.0.1:$PORT ssl http2; ssl_certificate {}; ssl_certificate_key {}; root $FOLDER;",
        files.chain.display(),
        files.key.display()
    );
    let server = nginx(folder.path(), &lines);
    let url = format!("https://localhost:{}/page.txt", server.port);
    for version in ["--http1.1", "--http2"] {
        let [ours, theirs] = ["ours", "theirs"].map(|name| folder.path().join(name));
        let output = run(&["--cacert", &pki.root(), version, "-o", &ours.display().to_string(), &url]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        let curl = std::process::Command::new("curl")
            .args(["-s", "--cacert", &pki.root(), version, "-o"])
            .arg(&theirs)
            .args(["-w", "%{http_version} %{size_download} %{remote_ip}", &url])
            .output()
            .expect("curl is needed: apt-get install curl");
        let written = String::from_utf8(curl.stdout).unwrap();
        assert_eq!(fs::read(&ours).unwrap(), fs::read(&theirs).unwrap(), "{version}");
        let expected = if version == "--http2" { "2 20000 127.0.0.1" } else { "1.1 20000 127.0.0.1" };
        assert_eq!(written, expected);
    }
}

#[needs::tools(python3)]
#[test]
fn keys_are_logged_when_asked_for() {
    let pki = Pki::new();
    let server = python_https(&pki.issue(Kind::GOOD), "");
    let log = pki.folder().join("keys");
    let output = peer::program()
        .args(["--cacert", &pki.root(), &format!("https://localhost:{}/", server.port)])
        .env("SSLKEYLOGFILE", &log)
        .output()
        .unwrap();
    let screen = String::from_utf8(output.stdout).unwrap();
    assert!(screen.contains("SSLKEYLOGFILE"), "{screen}");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&log), 0o600);
    let keys = fs::read_to_string(&log).unwrap();
    for label in ["CLIENT_HANDSHAKE_TRAFFIC_SECRET ", "SERVER_TRAFFIC_SECRET_0 "] {
        assert!(keys.contains(label), "{keys}");
    }
}

#[needs::tools(python3)]
#[test]
fn a_file_of_keys_that_others_could_read_is_closed_to_them() {
    let pki = Pki::new();
    let server = python_https(&pki.issue(Kind::GOOD), "");
    let log = pki.folder().join("keys");
    fs::write(&log, "# earlier\n").unwrap();
    fs::set_permissions(&log, fs::Permissions::from_mode(0o644)).unwrap();
    let link = pki.folder().join("link");
    std::os::unix::fs::symlink(&log, &link).unwrap();
    let url = format!("https://localhost:{}/", server.port);
    let output = peer::program().args(["--cacert", &pki.root(), &url]).env("SSLKEYLOGFILE", &link).output().unwrap();
    assert!(output.status.success());
    assert_eq!(fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600);
    let keys = fs::read_to_string(&log).unwrap();
    assert!(keys.starts_with("# earlier\n") && keys.contains("SERVER_TRAFFIC_SECRET_0 "), "{keys}");
}

#[needs::tools(python3)]
#[test]
fn keys_that_cannot_be_written_are_not_said_to_be() {
    let pki = Pki::new();
    let server = python_https(&pki.issue(Kind::GOOD), "");
    for file in ["/no/such/folder/keys", "/dev/full"] {
        let output = peer::program()
            .args(["--cacert", &pki.root(), &format!("https://localhost:{}/", server.port)])
            .env("SSLKEYLOGFILE", file)
            .output()
            .unwrap();
        let screen = String::from_utf8(output.stdout).unwrap();
        let flat = screen.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains("could not be written to the file that SSLKEYLOGFILE names"), "{file}: {screen}");
        assert!(!flat.contains("were written"), "{file}: {screen}");
    }
}

#[needs::tools(nginx)]
#[test]
fn http_2_alone_is_not_given_up_by_a_redirect() {
    let pki = Pki::new();
    let files = pki.issue(Kind::GOOD);
    let folder = tempfile::tempdir().unwrap();
    let lines = format!(
        "listen 127.0.0.1:$PORT ssl http2; ssl_certificate {}; ssl_certificate_key {}; return 302 http://localhost:1/;",
        files.chain.display(),
        files.key.display()
    );
    let server = nginx(folder.path(), &lines);
    let url = format!("https://localhost:{}/", server.port);
    let (code, journey) = visit(&["-L", "--http2", "--cacert", &pki.root(), &url]);
    let outcome = &journey["outcome"];
    assert_eq!((code, &outcome["failed_stage"]), (1, &"url".into()), "{outcome:#}");
    assert!(outcome["verdict"].as_str().unwrap().contains("--http2 asks for HTTP/2 alone"), "{outcome:#}");
}

#[needs::tools(python3, openssl)]
#[test]
fn a_certificate_of_an_authority_is_none_for_a_server() {
    // What `openssl req -x509` makes; trusting it does not make it one.
    let folder = tempfile::tempdir().unwrap();
    let [key, chain] = ["key.pem", "cert.pem"].map(|name| folder.path().join(name));
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "9"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&chain)
        .output()
        .expect("openssl is needed: apt-get install openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let server = python_https(&pki::Files { chain: chain.clone(), key }, "");
    let url = format!("https://localhost:{}/", server.port);
    let (code, journey) = visit(&["--cacert", &chain.display().to_string(), &url]);
    assert_eq!((code, &journey["outcome"]["reason"]), (60, &"certificate_refused".into()), "{:#}", journey["outcome"]);
    assert!(journey["outcome"]["verdict"].as_str().unwrap().contains("CA:FALSE"), "{:#}", journey["outcome"]);
}

#[test]
fn files_that_are_no_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let check = |path: &Path, words: &str| {
        let output = run(&["--cacert", &path.display().to_string(), "https://127.0.0.1:1/"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(words) && said.contains(&path.display().to_string()), "{said}");
    };
    check(&folder.path().join("missing"), "cannot read");
    let text = folder.path().join("text");
    fs::write(&text, "no certificate").unwrap();
    check(&text, "has no certificate in it");
}

/// A server that claims a handshake message of 16 MiB.
#[test]
fn a_handshake_above_the_limit_is_tls() {
    // A ServerHello whose length is above the library's limit, in a record of its own.
    let answer = b"\x16\x03\x03\x00\x08\x02\xff\xff\xff\x03\x03\x00\x00";
    let (code, journey) = visit(&[&plain(answer, false)]);
    let outcome = &journey["outcome"];
    assert_eq!((code, &outcome["reason"]), (35, &"tls_failed".into()), "{outcome:#}");
    assert!(outcome["verdict"].as_str().unwrap().contains("larger than 64 KiB"), "{outcome:#}");
}
