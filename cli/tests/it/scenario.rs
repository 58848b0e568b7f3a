//! `visit scenario`, as a program of continuous integration runs it.

use std::{
    fs,
    path::PathBuf,
    process::{Output, Stdio},
};

use lab::Lab;
use serde_json::Value;

use crate::peer;

const GOOD: &str = r#"
[[scenario]]
name = "{host} does not run"
about = "The other one is reached."
hosts = ["app1", "app2"]
stopped = ["{host}"]
[[scenario.visit]]
args = ["www.example.local"]
exit = 0
verdict = "Reached"
journey = { observers = [{ host = "{host}", said = "silent" }] }

[[scenario]]
name = "www moves"
about = "The authority has another address, and the resolver still the old one."
[[scenario.visit]]
args = ["-4", "app1.example.local"]
exit = 0
journey = { outcome = { host = "app1" } }
[[scenario.visit]]
records = { "example.local." = ["app1 300 IN A 10.78.2.82"] }
args = ["-4", "app1.example.local"]
exit = 0
journey = { outcome = { host = "app1" } }

[[scenario]]
name = "needs a network"
about = "It is skipped on loopback."
faults = ["wire:loss"]
[[scenario.visit]]
args = ["www.example.local"]
exit = 6
"#;

const BAD: &str = r#"
about = "It expects what does not come."
[[visit]]
args = ["missing.example.local"]
exit = 0
verdict = "Reached app1"
"#;

struct Run {
    dir: tempfile::TempDir,
}

impl Run {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        Self { dir }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap()
    }

    fn run(&self, args: &[&str], code: i32) -> String {
        let mut program = peer::program();
        program.arg("scenario").args(args).current_dir(self.dir.path()).stdin(Stdio::null());
        if !args.contains(&"--world") {
            program.args(["--lab", "loopback"]);
        }
        let Output { status, stdout, stderr } = program.env_remove("VISIT_WORLD").output().unwrap();
        let said = [stdout, stderr].map(|text| String::from_utf8(text).unwrap()).concat();
        assert_eq!(status.code(), Some(code), "{args:?}: {said}");
        said.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn as_expected() {
    let run = Run::new(&[("good.toml", GOOD)]);
    let files = ["good.toml", "--junit", "a.xml", "--json", "a.json", "--report", "a.md"];
    let said = run.run(&files, 0);
    assert!(said.contains("4 scenarios: 3 as expected, 1 skipped, in"), "{said}");
    assert!(said.contains("· needs a network skipped: wire:loss needs a network of the lab's own"), "{said}");
    let xml = run.text("a.xml");
    assert!(xml.contains(r#"<testsuites name="visit scenario" tests="4" failures="0" errors="0""#), "{xml}");
    assert_eq!(xml.matches("<skipped message=").count(), 1, "{xml}");
    assert!(xml.contains("<testcase name=\"www moves\" classname=\"loopback\"") && xml.contains("✔ Reached"), "{xml}");
    let records: Vec<Value> = serde_json::from_str(&run.text("a.json")).unwrap();
    assert_eq!(records.iter().filter(|record| record["ok"] == true).count(), 5);
    assert_eq!(records[2]["stages"][0], "url");
    assert!(records.iter().all(|record| record.get("journey").is_none()));
    assert!(records[4]["skipped"].as_str().is_some_and(|why| why.contains("network")), "{}", records[4]);
    assert!(run.text("a.md").contains(
        "of 4 scenarios, played each in a lab of its own on loopback, and `visit scenario good.toml --report a.md`"
    ));
}

#[test]
fn not_as_expected() {
    let run = Run::new(&[("bad.toml", BAD), ("good.toml", GOOD)]);
    let said = run.run(&[".", "--junit", "a.xml", "--jobs", "2"], 1);
    for words in [
        "✘ bad",
        "exit code expected 0 seen 6: ",
        "verdict expected …Reached app1… seen ",
        "to see it: VISIT_LAB=loopback visit missing.example.local",
        "3 as expected, 1 not as expected, 1 skipped",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(run.text("a.xml").contains("<failure message=\"exit code: expected 0, seen 6"), "{}", run.text("a.xml"));
    let said = run.run(&["bad.toml", "good.toml", "--only", "www"], 0);
    assert!(said.contains("1 scenario: 1 as expected"), "{said}");
}

#[test]
fn what_cannot_be_read() {
    let misspelt = BAD.replace("verdict", "verdikt");
    let run =
        Run::new(&[("bad.toml", &misspelt), ("option.toml", &BAD.replace("\"missing", "\"--nonsense\", \"missing"))]);
    let check = |args: &[&str], words: &str| {
        let said = run.run(args, 2);
        assert!(said.contains(words), "{args:?}: {said}");
    };
    check(&["bad.toml"], "bad.toml: TOML parse error at line 6");
    check(&["option.toml"], "visit 1: error: unexpected argument '--nonsense'");
    check(&["no.toml"], "cannot read no.toml");
    check(&["--only", "nothing of that name"], "there are: the name, the connection, the page");
}

#[test]
fn those_inside_the_program() {
    let run = Run::new(&[]);
    let said = run.run(&["--list"], 0);
    assert!(said.contains("the cable of app1 is out") && said.contains("wire:cut-link,at=app1; 1 visit"), "{said}");
    // All of them are played by the package e2e, in every way; here it is that they are found.
    let said = run.run(&["--only", "app1:tls-"], 0);
    assert!(said.contains("4 scenarios: 4 as expected"), "{said}");
}

#[test]
fn in_a_lab_that_runs() {
    let lab = Lab::builder().data_dir(None).start().unwrap();
    let run = Run::new(&[("good.toml", GOOD), ("slow.toml", SLOW)]);
    fs::write(run.file("book.json"), serde_json::to_vec(lab.book()).unwrap()).unwrap();
    let said = run.run(&["--world", "book.json", "good.toml", "slow.toml"], 0);
    assert!(said.contains("5 scenarios: 1 as expected, 4 skipped"), "{said}");
    assert!(said.contains("www moves skipped: it changes zones"), "{said}");
    assert!(said.contains("skipped: it is for a lab in which app1 is stopped, and app1 runs"), "{said}");
    assert!(lab.faults().is_empty());
    let _fault = lab.fault("tld:slow=1ms").unwrap();
    let said = run.run(&["--world", "book.json", "slow.toml"], 0);
    assert!(said.contains("faults are in force already, and scenarios will meet them: tld:slow=1ms at tld"), "{said}");
    run.run(&["--world", "book.json", "--jobs", "2", "slow.toml"], 2);
}

#[test]
fn where_a_host_is_stopped_what_needs_it_stopped_is_played() {
    let mut lab = Lab::builder().data_dir(None).start().unwrap();
    lab.stop("app1").unwrap();
    let run = Run::new(&[("good.toml", GOOD)]);
    fs::write(run.file("book.json"), serde_json::to_vec(lab.book()).unwrap()).unwrap();
    let args = ["--world", "book.json", "--only", "app1 does not run", "--json", "a.json", "--journeys", "good.toml"];
    let said = run.run(&args, 0);
    assert!(said.contains("1 scenario: 1 as expected"), "{said}");
    let records: Vec<Value> = serde_json::from_str(&run.text("a.json")).unwrap();
    assert_eq!(records[0]["journey"]["outcome"]["host"], "app2", "{}", records[0]);
}

const SLOW: &str = r#"
about = "The second visit finds the cache as old as it is said to be."
faults = ["auth:slow=1ms"]
[[visit]]
args = ["www.example.local"]
exit = 0
screen = ["faults set for this visit: auth:slow=1ms"]
[[visit]]
wait = "61s"
clear = true
args = ["www.example.local"]
exit = 0
"#;
