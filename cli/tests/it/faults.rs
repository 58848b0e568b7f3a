//! Faults of a lab that runs: for a visit, and by hand. What a fault does is its host's matter; here it is whether it is in force.

use std::{
    process::{Child, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use lab::{InForce, Lab};
use serde_json::Value;

use crate::peer;

struct Running {
    lab: Lab,
    book: tempfile::NamedTempFile,
}

/// A visit under way; it ends with this.
struct Waiting(Child);

impl Waiting {
    /// Sends it a signal, and waits for its end.
    fn end(&mut self, signal: &str) -> Option<i32> {
        let pid = self.0.id().to_string();
        assert!(
            std::process::Command::new("sh")
                .args(["-c", "kill \"$@\"", "kill", signal, &pid])
                .status()
                .unwrap()
                .success()
        );
        self.0.wait().unwrap().code()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn running() -> Running {
    let lab = Lab::builder().data_dir(None).start().unwrap();
    let book = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(book.path(), serde_json::to_vec(lab.book()).unwrap()).unwrap();
    Running { lab, book }
}

impl Running {
    fn program(&self, args: &[&str]) -> std::process::Command {
        let mut program = peer::program();
        program.args(args).env("VISIT_WORLD", self.book.path()).env_remove("VISIT_LAB").stdin(Stdio::null());
        program
    }

    fn run(&self, args: &[&str], code: i32) -> (String, String) {
        let Output { status, stdout, stderr } = self.program(args).output().unwrap();
        let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
        assert_eq!(status.code(), Some(code), "{args:?}: {stdout}{stderr}");
        (stdout, stderr.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// A visit that waits until somebody ends it, once its fault is in force.
    fn waiting(&self) -> (Waiting, Vec<InForce>) {
        let args = ["--fault", "tld:slow=1ms", "-4", "http://app1.example.local:81/"];
        let child = Waiting(self.program(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let faults = self.lab.faults();
            if !faults.is_empty() {
                return (child, faults);
            }
            assert!(Instant::now() < end, "the fault is not in force");
            std::thread::yield_now();
        }
    }
}

#[test]
fn set_for_a_visit_and_ended_with_it() {
    let running = running();
    let changes = Arc::new(AtomicUsize::new(0));
    for host in ["auth1", "auth2"] {
        let changes = Arc::clone(&changes);
        running.lab.signals(host).unwrap().faults.on_change(move || {
            changes.fetch_add(1, Ordering::Relaxed);
        });
    }
    let visit = ["--fault", "auth:slow=1ms", "--fault", "resolver:slow=1ms", "www.example.local"];
    let (screen, _) = running.run(&visit, 0);
    assert!(screen.contains("faults set for this visit: auth:slow=1ms; resolver:slow=1ms"), "{screen}");
    assert_eq!((changes.load(Ordering::Relaxed), running.lab.faults()), (4, Vec::new()), "added and ended at both");
    // After a failure too.
    let (json, _) = running.run(&["--json", "--fault", "auth1:slow=1ms", "missing.example.local"], 6);
    let journey: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(journey["faults"], serde_json::json!(["auth1:slow=1ms"]));
    assert!(running.lab.faults().is_empty());
}

#[test]
fn ended_after_an_interrupt_and_by_itself_where_nobody_ends_it() {
    let running = running();
    let (mut child, _) = running.waiting();
    assert_eq!(child.end("-INT"), Some(130));
    assert!(running.lab.faults().is_empty());
    let (mut child, faults) = running.waiting();
    assert_eq!(child.end("-KILL"), None);
    assert!(faults.iter().all(|one| one.fault.left_ms.is_some_and(|left| left <= 30_000)), "{faults:?}");
}

#[test]
fn what_cannot_be_is_said_before_anything_starts() {
    let running = running();
    let check = |fault: &str, words: &str| {
        let (_, said) = running.run(&["--fault", fault, "www.example.local"], 2);
        assert!(said.contains(words), "{fault}: {said}");
        let (_, said) = running.run(&["lab", "fault", "add", fault], 2);
        assert!(said.contains(words), "{fault}: {said}");
    };
    check("auth3:drop", "there is no host \"auth3\"; places: app1, app2, auth1, auth2, resolver, root, tld, wire");
    check("app1:servfail", "faults there: refused, blackhole");
    check("wire:loss", "the lab has none: it is on loopback");
    assert!(running.lab.faults().is_empty());
}

#[test]
fn by_hand() {
    let running = running();
    let (added, _) = running.run(&["lab", "fault", "add", "auth:slow=1ms", "--for", "60s"], 0);
    assert!(added.contains("auth1/1, auth2/1 (they end by themselves in 60 s)"), "{added}");
    let (list, _) = running.run(&["lab", "fault", "list"], 0);
    assert!(list.starts_with("host") && list.contains("auth:slow=1ms") && list.contains("ends in"), "{list}");
    let (json, _) = running.run(&["lab", "fault", "list", "--json"], 0);
    let rows: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&rows[1]["host"], &rows[1]["id"]), (&Value::from("auth2"), &Value::from(1)));
    let (_, said) = running.run(&["lab", "fault", "clear", "auth1/9"], 2);
    assert!(said.contains("there is no fault \"auth1/9\"; in force: auth1/1, auth2/1"), "{said}");
    running.run(&["lab", "fault", "clear", "auth1/1"], 0);
    assert_eq!(running.lab.faults().len(), 1);
    running.run(&["lab", "fault", "clear"], 0);
    assert!(running.lab.faults().is_empty());
}

#[test]
fn by_hand_a_lab_has_to_be_named() {
    let output = peer::program().args(["lab", "fault", "list"]).env_remove("VISIT_WORLD").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && said.contains("VISIT_WORLD=FILE or --world FILE"), "{said}");
}
