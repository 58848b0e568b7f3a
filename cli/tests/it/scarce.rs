//! A machine that is short of something: disks that are full, outputs that are closed, few descriptors, little memory.

use std::process::{Command, Output, Stdio};

use crate::peer::{End, Server, program, run};

/// Runs `visit` in a shell: `"$0"` is the program, `"$1"` a URL that answers, `"$2"` a kept journey.
fn shell(script: &str, url: &str, kept: &str) -> Output {
    let visit = program();
    let mut shell = Command::new("sh");
    for (name, value) in visit.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.args(["-c", script]).arg(visit.get_program()).args([url, kept]).stdin(Stdio::null()).output().unwrap()
}

fn scene() -> (String, tempfile::TempDir, String) {
    let server = Server::start(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec(), End::WhenPeerCloses);
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept.json").display().to_string();
    assert_eq!(run(&["-s", "--save", &kept, &server.url("/")]).status.code(), Some(0));
    (server.url("/"), folder, kept)
}

#[test]
fn a_full_disk_exits_23_without_a_panic() {
    let (url, _folder, kept) = scene();
    for (what, code) in [
        ("\"$1\"", 23),
        ("--json \"$1\"", 23),
        ("-n 2 \"$1\"", 23),
        ("-o - \"$1\"", 23),
        ("-s -o - \"$1\"", 23),
        ("-s -o /dev/full \"$1\"", 23),
        ("-s --save /dev/full \"$1\"", 23),
        ("show \"$2\"", 23),
        ("show --json \"$2\"", 23),
        ("--compare \"$2\" \"$2\"", 23),
        ("doctor", 23),
        ("scenario --list", 23),
        ("lab ready --help", 23),
        ("--help", 23),
        ("-h", 23),
        ("--version", 23),
        ("show /none", 2),
        ("--no-such-option", 2),
    ] {
        let output = shell(&format!("\"$0\" {what} >/dev/full"), &url, &kept);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{what}: {said}");
        let is_silent = what.starts_with("-s -o");
        assert!(said.is_empty() == is_silent && !said.contains("panicked"), "{what}: {said}");
        // Nobody can be told, and the code is the same.
        let output = shell(&format!("\"$0\" {what} >/dev/full 2>&1"), &url, &kept);
        assert_eq!(output.status.code(), Some(code), "{what}, and stderr");
    }
    // Where only stderr is full, a visit ends as it would.
    for (what, code) in [("\"$1\"", 0), ("-s -o - \"$1\"", 0), ("http://127.0.0.1:0/", 3), ("show /none", 2)] {
        let output = shell(&format!("\"$0\" {what} 2>/dev/full"), &url, &kept);
        assert_eq!(output.status.code(), Some(code), "{what}, stderr");
    }
}

#[test]
fn closed_outputs_are_no_panic() {
    let (url, _folder, kept) = scene();
    for what in
        ["\"$1\"", "--json \"$1\"", "-o - \"$1\"", "show \"$2\"", "show /none", "--help", "--version", "-x", "doctor"]
    {
        for closed in [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"] {
            let output = shell(&format!("\"$0\" {what} {closed}"), &url, &kept);
            let code = output.status.code();
            assert!(matches!(code, Some(0 | 2 | 23)), "{what} {closed}: {code:?}");
            let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            assert!(!said.contains("panicked"), "{what} {closed}: {said}");
        }
    }
}

#[test]
fn few_descriptors_are_told_with_their_number() {
    let (url, _folder, kept) = scene();
    for count in 6..=9 {
        for what in ["\"$1\"", "-o - \"$1\"", "--lab http://www.example.local/", "lab serve"] {
            let output = shell(&format!("ulimit -n {count}; \"$0\" {what}"), &url, &kept);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{count}: {what}: {said}");
            assert!(said.contains("ulimit -") && said.contains(&count.to_string()), "{count}: {what}: {said}");
        }
        for what in ["show \"$2\"", "scenario --list", "--help", "--version", "doctor"] {
            let output = shell(&format!("ulimit -n {count}; \"$0\" {what}"), &url, &kept);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(matches!(output.status.code(), Some(0 | 1)), "{count}: {what}: {said}");
            assert!(!said.contains("panicked"), "{count}: {what}: {said}");
        }
    }
    let output = shell("ulimit -n 12; \"$0\" \"$1\"", &url, &kept);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_small_address_space_is_told_before_a_lab_starts() {
    let (url, _folder, kept) = scene();
    let output = shell("ulimit -v 300000; \"$0\" --lab http://www.example.local/", &url, &kept);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("ulimit -v"), "{said}");
    let output = shell("ulimit -v 300000; \"$0\" \"$1\"", &url, &kept);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}
