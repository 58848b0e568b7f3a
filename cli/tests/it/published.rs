//! The lab for others: at fixed sockets, with its address book in a file, and a command that waits for it.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use crate::peer::run;
use serde_json::Value;

use crate::peer;

/// A process that ends with its test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn read(book: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(book).unwrap()).unwrap()
}

/// Where a service is published, over UDP and over TCP.
fn published(book: &Value, host: &str, service: &str) -> Vec<String> {
    let hosts = book["hosts"].as_array().unwrap();
    let host = hosts.iter().find(|known| known["name"] == host).unwrap();
    let all = host["published"].as_array().into_iter().flatten().filter(|one| one["name"] == service);
    all.map(|one| one["socket"].as_str().unwrap().to_owned()).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[needs::tools(dig, curl)]
#[test]
fn dig_and_curl_reach_what_is_published() {
    let folder = tempfile::tempdir().unwrap();
    let book = folder.path().join("book.json");
    let file = book.to_str().unwrap();
    // Who waits may do so before there is anything to wait for.
    let waits = peer::program()
        .args(["lab", "ready", "--wait", "30", "--world", file])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut serve = peer::program();
    serve.args(["lab", "serve", "--book", file, "--publish", "resolver/dns=127.0.0.1:0"]);
    serve.args(["--publish", "app2/http=127.0.0.1:0", "--without", "auth2"]);
    let mut lab = Ends(serve.stdout(Stdio::piped()).spawn().unwrap());
    let waited = waits.wait_with_output().unwrap();
    assert_eq!((waited.status.code(), said(&waited).as_str()), (Some(0), "ready: 6 hosts\n"), "{waited:?}");

    let told = read(&book);
    let dns = published(&told, "resolver", "dns");
    assert!(dns.len() == 2 && dns[0] == dns[1], "{dns:?}");
    let port = dns[0].rsplit_once(':').unwrap().1;
    for transport in ["+notcp", "+tcp"] {
        let dig =
            Command::new("dig").args(["@127.0.0.1", "-p", port, "+short", transport, "www.example.test"]).output();
        let dig = dig.expect("dig is needed: apt-get install bind9-dnsutils");
        assert_eq!(said(&dig), "10.78.2.81\n10.78.2.82\n", "{transport}");
    }
    let http = &published(&told, "app2", "http")[0];
    // As the screen says it: the name is the lab's, and where to go is told.
    let to = format!("::{http}");
    let curl = Command::new("curl")
        .args(["-sS", "--noproxy", "*", "--connect-to", &to, "http://app2.example.test/json"])
        .output()
        .expect("curl is needed: apt-get install curl");
    assert!(said(&curl).contains("app2"), "{curl:?}");
    let screen: Vec<String> = BufReader::new(lab.0.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .take_while(|line| !line.contains("lab ready"))
        .collect();
    let screen = screen.join(" ");
    for words in [
        &*format!("published at {}", dns[0]),
        &format!("dig @127.0.0.1 -p {port} www.example.test"),
        &format!("curl --connect-to ::{http} http://app2.example.test/"),
    ] {
        assert!(screen.contains(words), "{words}: {screen}");
    }
    // What the world's own addresses have is as ever: a visit in that lab.
    let visit = run(&["--world", file, "app2.example.local"]);
    assert!(visit.status.success(), "{visit:?}");

    let sent =
        Command::new("sh").args(["-c", "kill \"$@\"", "kill", "-TERM", &lab.0.id().to_string()]).status().unwrap();
    assert!(sent.success() && lab.0.wait().unwrap().success());
    assert!(!book.exists());
    let ready = run(&["lab", "ready", "--world", file]);
    let words = String::from_utf8_lossy(&ready.stderr);
    assert!(ready.status.code() == Some(1) && words.contains("not ready: cannot read"), "{words}");
}

#[test]
fn who_does_not_answer_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let book = folder.path().join("book.json");
    let mut serve = peer::program();
    serve.args(["lab", "serve", "--json"]);
    let mut lab = Ends(serve.stdout(Stdio::piped()).spawn().unwrap());
    let out = BufReader::new(lab.0.stdout.take().unwrap());
    let told: Value = serde_json::Deserializer::from_reader(out).into_iter().next().unwrap().unwrap();
    std::fs::write(&book, told.to_string()).unwrap();
    drop(lab);
    let ready = run(&["lab", "ready", "--world", book.to_str().unwrap()]);
    let words = String::from_utf8_lossy(&ready.stderr);
    assert!(ready.status.code() == Some(1) && words.starts_with("visit: not ready: app1 (its admin port"), "{words}");
}

#[test]
fn what_cannot_be_published_is_refused_with_words() {
    let check = |args: &[&str], words: &str| {
        let output = run(&[&["lab", "serve"], args].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(words), "{args:?}: {said}");
    };
    check(&["--publish", "app9/http=127.0.0.1:0"], "this lab runs no host \"app9\"; hosts: app1, app2");
    check(&["--publish", "app1/dns=127.0.0.1:0"], "app1 has no service \"dns\"; services: echo, http");
    check(&["--publish", "app1/http"], "an address, or HOST/SERVICE=ADDRESS:PORT");
    check(&["--publish", "192.0.2.1"], "192.0.2.1 is no address of this machine");
    check(&["--publish", "--wire"], "cannot be used with");
}
