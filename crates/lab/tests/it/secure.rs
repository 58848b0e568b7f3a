//! The whole lab over TLS, as outside programs see it that trust its authority alone.

use std::{
    io::Write,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use lab::{Lab, Options};
use world::Protocol;

fn start(data_dir: Option<&Path>) -> Lab {
    let data_dir = data_dir.map(Path::to_owned);
    Lab::start(Options { data_dir, ..Options::default() }).unwrap()
}

/// The socket behind a service's first address.
fn socket(lab: &Lab, host: &str, service: &str) -> SocketAddr {
    lab.book().host(host).unwrap().service(service, Protocol::Tcp).unwrap().socket
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap_or_else(|error| {
        panic!("this test needs {program}, which does not run: {error}");
    });
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {}\n{stdout}{stderr}", output.status);
    stdout.into_owned()
}

#[test]
fn one_authority_for_all_labs_of_a_user() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("visit");
    // Several start at once, as several visits may.
    let books: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| start(Some(&path)).book().clone())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let kept = ca::certificate_of(&path).unwrap();
    assert!(kept.is_some() && books.iter().all(|book| book.ca == kept));
    let alone = start(None);
    assert!(alone.authority().kept_in().is_none() && alone.book().ca.is_some());
    assert_ne!(alone.book().ca, kept);
}

#[test]
fn a_broken_authority_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("lab-ca.key"), "nonsense").unwrap();
    let data_dir = Some(dir.path().to_owned());
    let error = Lab::start(Options { data_dir, ..Options::default() }).unwrap_err().to_string();
    assert!(error.contains("lab-ca.key") && error.contains("remove it"), "{error}");
}

#[needs::tools(curl)]
#[test]
fn curl_visits_both_servers() {
    let lab = start(None);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(lab.book().ca.as_ref().unwrap().as_bytes()).unwrap();
    let https: Vec<_> = lab.book().services("https", Protocol::Tcp).collect();
    assert!(https.len() >= 2);
    for (host, service) in https {
        for name in ["www.example.local", "example.test"] {
            let socket = service.socket;
            let to = format!("{name}:443:{socket}");
            let arguments = ["--silent", "--show-error", "--noproxy", "*", "--cacert", file.path().to_str().unwrap()];
            let url = format!("https://{name}/json");
            let said = run("curl", &[&arguments[..], &["--connect-to", &to, &url]].concat());
            let said: serde_json::Value = serde_json::from_str(&said).unwrap();
            assert_eq!(said["server"]["host"], host.name);
            assert_eq!(said["connection"]["server"], service.address.to_string());
            assert_eq!(said["connection"]["tls"]["server_name"], name);
        }
    }
}

#[needs::tools(dig, curl)]
#[test]
fn dig_asks_the_resolver_over_tls_and_https() {
    let lab = start(None);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(lab.book().ca.as_ref().unwrap().as_bytes()).unwrap();
    let ca = format!("+tls-ca={}", file.path().display());
    // 65101 is the option that carries a visit's id.
    let id = "0123456789abcdef0123456789abcdef";
    let option = format!("+ednsopt=65101:{id}");
    for (service, how, transport) in
        [("dot", "+tls", "tls"), ("doh", "+https", "https"), ("doh", "+https-get", "https")]
    {
        let socket = socket(&lab, "resolver", service);
        let (server, port) = (format!("@{}", socket.ip()), socket.port().to_string());
        for name in ["dns.example.local", "dns.example.test"] {
            let named = format!("+tls-hostname={name}");
            let usual = [&server, "-p", &port, how, &ca, &named, &option, "+tries=1", "+timeout=10"];
            let said = run("dig", &[&usual[..], &["+short", name, "A"]].concat());
            assert_eq!(said, "10.78.1.53\n", "{how} {name}");
        }
        // A name that the certificate does not have.
        let wrong = ["+tls-hostname=www.example.org", "+tries=1", "+timeout=10", "+short", "example.test", "SOA"];
        let said = run("dig", &[&[&server, "-p", &port, how, &ca][..], &wrong].concat());
        assert!(said.contains("hostname mismatch"), "{how}: {said}");
        // Larger than a datagram, and so without a second question.
        let big =
            run("dig", &[&server, "-p", &port, how, &ca, "+tls-hostname=dns.example.test", "big.example.test", "TXT"]);
        assert!(big.contains("status: NOERROR") && big.contains("ANSWER: 6"), "{big}");

        let events = format!("http://{}/events?trace={id}", socket_of_admin(&lab));
        let token = lab.book().token.as_ref().expect("a lab's admin ports ask for one").authorization();
        let token = format!("Authorization: {token}");
        let events = run("curl", &["--silent", "--noproxy", "*", "--header", &token, &events]);
        let said = |kind: &str| {
            let of = |event: &&serde_json::Value| event["kind"] == kind && event["transport"] == transport;
            let events: serde_json::Value = serde_json::from_str(&events).unwrap();
            events["events"].as_array().unwrap().iter().filter(of).count()
        };
        assert!(said("query_received") >= 2 && said("query_received") == said("answer_sent"), "{events}");
    }
}

fn socket_of_admin(lab: &Lab) -> SocketAddr {
    socket(lab, "resolver", "admin")
}
