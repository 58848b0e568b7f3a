//! Visits that are kept, and shown again without a network: the same bytes.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use crate::peer::{ClosedPort, End, Server, run};
use serde_json::Value;

use crate::peer;

/// A folder with a file in it that is not there yet.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A visit that is kept, and what `show` makes of the file, with the same options for how it looks.
fn check(look: &[&str], visit: &[&str]) {
    let folder = Folder::new();
    let file = folder.file("kept.json");
    let visited = run(&[look, &["--save", &file], visit].concat());
    let shown = run(&[&["show", &file], look].concat());
    assert_eq!(text(&visited.stdout), text(&shown.stdout), "{look:?} {visit:?}");
    assert!(!shown.stdout.is_empty(), "{look:?} {visit:?}");
    assert_eq!((shown.status.code(), text(&shown.stderr)), (Some(0), ""), "{look:?} {visit:?}");
    // Whatever was looked at, the file is the journey.
    let json = run(&["show", &file, "--json"]);
    assert_eq!(text(&json.stdout), fs::read_to_string(&file).unwrap(), "{look:?} {visit:?}");
}

#[test]
fn shown_again_it_is_the_same() {
    let closed = ClosedPort::new();
    let cut = Server::start(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n\x1b[2Jcut".to_vec(), End::Close);
    let moved = Server::start(b"HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n".to_vec(), End::Close);
    let visits: [&[&str]; 6] = [
        &["www.example.local"],
        &["missing.example.local"],
        &["http://a b/"],
        &[&closed.url()],
        &[&cut.url("/?token=secret")],
        &["-L", "--max-redirs", "2", &moved.url("/")],
    ];
    let looks: [&[&str]; 5] = [&[], &["-v"], &["-i"], &["--color", "always", "-v", "-i"], &["--json"]];
    for look in looks {
        for visit in visits {
            check(look, visit);
        }
    }
    check(&[], &["-n", "3", "www.example.local"]);
    check(&["-v", "--color", "always"], &["-n", "2", &closed.url()]);
    check(&["--json"], &["-n", "2", "www.example.local"]);
}

/// `visit show -` with this text on stdin.
fn show_stdin(text: &[u8], more: &[&str]) -> Output {
    let mut process = peer::program()
        .args(["show", "-"])
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may have seen enough before it has all.
    let _ = process.stdin.take().unwrap().write_all(text);
    process.wait_with_output().unwrap()
}

fn saved(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journeys").join(name)
}

#[test]
fn from_stdin() {
    let file = saved("reached.json");
    let shown = show_stdin(&fs::read(&file).unwrap(), &[]);
    assert_eq!(text(&shown.stdout), text(&run(&["show", file.to_str().unwrap()]).stdout));
    assert_eq!(show_stdin(b"", &[]).status.code(), Some(2));
}

#[test]
fn a_journey_of_version_1_is_read() {
    let file = saved("v1/reached.json");
    let shown = run(&["show", file.to_str().unwrap()]);
    assert_eq!(shown.status.code(), Some(0), "{}", text(&shown.stderr));
    let screen = text(&shown.stdout);
    assert!(screen.contains("✔ Reached app1: 200 OK."), "{screen}");
    let json: Value = serde_json::from_slice(&run(&["show", "--json", file.to_str().unwrap()]).stdout).unwrap();
    // It is written as the version that has the shape in which it is written.
    assert_eq!((&json["schema_version"], &json["engine"]), (&journey::SCHEMA_VERSION.into(), &"visit".into()));
}

#[test]
fn what_cannot_be_shown_is_refused_with_words() {
    let folder = Folder::new();
    let check = |content: &[u8], words: &str| {
        let file = folder.file("x.json");
        fs::write(&file, content).unwrap();
        for shown in [run(&["show", &file]), show_stdin(content, &[]), run(&["--compare", &file, &file])] {
            let said = text(&shown.stderr);
            assert_eq!((shown.status.code(), text(&shown.stdout)), (Some(2), ""), "{said}");
            assert!(said.contains(words) && said.lines().count() == 1, "{words:?} is not in {said:?}");
            assert!(said.contains(&file) || said.contains("stdin"), "{said:?}");
        }
    };
    check(b"", "no journey: it does not begin with {");
    check(b"\x89PNG\r\n", "no journey: it does not begin with {");
    check(b"[1]", "no journey: it does not begin with {");
    check(b"{\"a\": \xff}", "it is no UTF-8");
    check(b"{\"schema_version\": 2", "it is no JSON: EOF");
    check(b"{\"name\": \"visit\"}", "it has no schema_version");
    check(b"{\"schema_version\": 99}", "this program knows those up to");
    check(b"{\"schema_version\": 2, \"url\": \"\x1b]0;x\"}", "control character");
    check(&vec![b'{'; 1 << 20], "it is no JSON");
    let check_file = |file: &str, words: &str| {
        let shown = run(&["show", file]);
        let said = text(&shown.stderr);
        assert_eq!(shown.status.code(), Some(2), "{said}");
        assert!(said.contains(words), "{words:?} is not in {said:?}");
    };
    check_file("/nowhere/x.json", "cannot read /nowhere/x.json: No such file");
    check_file("/", "cannot read /: Is a directory");
    // Whoever reads this to its end never ends.
    check_file("/dev/zero", "/dev/zero: it is no journey");
    // A file of 8 GiB that takes no room.
    let huge = folder.file("huge.json");
    let file = fs::File::create(&huge).unwrap();
    (&file).write_all(b"{").unwrap();
    file.set_len(8 << 30).unwrap();
    check_file(&huge, "it is longer than 1 GiB");
}

#[test]
fn what_cannot_be_kept_is_said_after_the_visit() {
    let output = run(&["--save", "/nowhere/kept.json", "missing.example.local"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(23), "{said}");
    assert!(said.contains("cannot write /nowhere/kept.json (--save): No such file"), "{said}");
    assert!(text(&output.stdout).contains("there is no name missing.example.local"));
}

#[test]
fn an_older_file_stays_until_the_new_one_is_whole() {
    let folder = Folder::new();
    let file = folder.file("kept.json");
    fs::write(&file, "old").unwrap();
    assert_eq!(run(&["--save", &file, "http://a b/"]).status.code(), Some(3));
    assert!(fs::read_to_string(&file).unwrap().contains("url_malformed"));
    let names: Vec<_> = fs::read_dir(folder.0.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["kept.json"]);
}

#[test]
fn it_is_kept_also_where_nobody_looks() {
    let folder = Folder::new();
    let file = folder.file("kept.json");
    let mut process = peer::program()
        .args(["--save", &file, "http://a b/"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(process.stdout.take());
    assert_eq!(process.wait().unwrap().code(), Some(3));
    assert!(Path::new(&file).exists());
}

#[test]
fn contradictions_are_wrong_usage() {
    let check = |args: &[&str], words: &str| {
        let output = run(args);
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""), "{args:?}: {said}");
        assert!(said.contains(words), "{args:?}: {said}");
    };
    check(&["--save", "/nowhere/x", "a.test", "b.test"], "save one at a time");
    check(&["--json", "-o", "-", "www.example.local"], "-o - and --json both write to stdout");
}

#[test]
fn silence() {
    let output = run(&["-s", "missing.example.local"]);
    assert_eq!((output.status.code(), text(&output.stdout), text(&output.stderr)), (Some(6), "", ""));
    let output = run(&["-s", "--json", "missing.example.local"]);
    let journey: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &journey["exit_code"]), (Some(6), &6.into()));
    let output = run(&["-s", "-n", "2", "http://a b/"]);
    assert_eq!((output.status.code(), text(&output.stdout), text(&output.stderr)), (Some(3), "", ""));
}

#[test]
fn the_screen_goes_to_stderr_where_the_content_goes_to_stdout() {
    let output = run(&["-o", "-", "missing.example.local"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(6), ""));
    assert!(text(&output.stderr).contains("there is no name missing.example.local"), "{output:?}");
    let output = run(&["-s", "-o", "-", "missing.example.local"]);
    assert_eq!((output.status.code(), text(&output.stdout), text(&output.stderr)), (Some(6), "", ""));
}
