//! `visit doctor`: what it says of machines that allow less and less. Each is made of this one, in a process of its own.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::{Command, Stdio},
};

use serde_json::Value;
use session::capacity::Size;
use world::World;

use crate::peer;

/// `visit doctor --json`, run by a shell behind these words.
fn doctor(before: &str) -> Value {
    run(Command::new("sh").args(["-c", &format!("{before} exec \"$0\" doctor --json"), env!("CARGO_BIN_EXE_visit")]))
}

fn run(command: &mut Command) -> Value {
    let output = command.env("LANG", "C.UTF-8").env_remove("DOCKER_HOST").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

fn check(found: &Value, name: &str, state: &str, words: &str) {
    let checks = found["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("{name}: {found:#}"));
    assert_eq!(check["state"], state, "{check:#}");
    assert!(check["found"].as_str().unwrap().contains(words), "{words}: {check:#}");
    // Whatever is missing is said to be had somehow.
    assert_eq!(check["how"].is_null(), state == "yes" || check["how"].is_null() && state == "absent", "{check:#}");
    assert!(!check["means"].as_str().unwrap().is_empty(), "{check:#}");
}

/// After this script in a user namespace and a network of its own, as root of these; run by `runner`, if by any.
fn inside(script: &str, runner: &str) -> Value {
    let script = format!("{script} exec {runner} \"$0\" doctor --json");
    run(Command::new("unshare")
        .args(["--map-root-user", "--net", "--mount", "sh", "-c", &script])
        .arg(env!("CARGO_BIN_EXE_visit")))
}

#[needs::tools(unshare)]
#[test]
fn as_root_of_an_empty_network() {
    let found = inside("", "");
    check(&found, "namespaces", "yes", "with the rights that this program has");
    check(&found, "capture", "yes", "no interface is up");
    check(&found, "ipv6 loopback", "no", "EADDRNOTAVAIL");
    check(&found, "ipv4 route", "no", "no route (ENETUNREACH)");
    check(&found, "ipv6 route", "no", "no route (ENETUNREACH)");
    check(&found, "clock", "yes", "CLOCK_MONOTONIC");
    check(&found, "terminal", "absent", "no terminal");
}

#[needs::tools(ip, unshare)]
#[test]
fn with_a_network() {
    let found = inside(
        "ip link set lo up && ip link add left type veth peer name right && ip link set left up && ip link set right up && \
         ip address add 10.78.1.100/24 dev left && ip route add default via 10.78.1.1 && \
         ip address add fd10::5/64 dev left nodad && ip -6 route add default via fd10::1 dev left &&",
        "",
    );
    check(&found, "capture", "yes", "interfaces: lo, ");
    check(&found, "ipv6 loopback", "yes", "::1");
    check(&found, "ipv4 route", "yes", "by left to the gateway 10.78.1.1, from 10.78.1.100");
    check(&found, "ipv6 route", "yes", "by left to the gateway fd10::1, from fd10::5");
}

#[needs::tools(unshare, setpriv)]
#[test]
fn as_a_user_who_may_nothing() {
    // Without a right of root, and with no user namespaces to have them in.
    let found = inside(
        "echo 0 > /proc/sys/user/max_user_namespaces && mount --bind /dev/null /etc/resolv.conf && \
         export HOME= VISIT_DATA= XDG_DATA_HOME= &&",
        "setpriv --no-new-privs --bounding-set=-all --inh-caps=-all",
    );
    check(&found, "namespaces", "no", "unshare(CLONE_NEWUSER): ");
    check(&found, "namespaces", "no", "user.max_user_namespaces allows no more user namespaces");
    check(&found, "capture", "no", "socket(AF_PACKET): EPERM");
    check(&found, "resolver", "no", "/etc/resolv.conf names no resolver");
    check(&found, "authority", "no", "HOME is not set");
}

#[test]
fn as_an_ordinary_user() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_visit"));
    command.args(["doctor", "--json"]).env("HOME", "/nonexistent").env_remove("VISIT_DATA").env_remove("XDG_DATA_HOME");
    if nix_is_root() {
        command.uid(65_534).gid(65_534);
    }
    let found = run(&mut command);
    // What is allowed is this machine's affair; without rights it is by a user namespace or not at all.
    let namespaces = found["checks"].as_array().unwrap().iter().find(|check| check["check"] == "namespaces").unwrap();
    let words = if namespaces["state"] == "yes" { "in a user namespace" } else { "(E" };
    assert!(namespaces["found"].as_str().unwrap().contains(words), "{namespaces:#}");
    check(&found, "capture", "no", "EPERM");
    check(&found, "authority", "no", "cannot be written to: EACCES");
}

fn nix_is_root() -> bool {
    fs::read_to_string("/proc/self/status").unwrap().lines().any(|line| line.starts_with("Uid:\t0\t0"))
}

#[test]
fn few_files() {
    let found = doctor("ulimit -n 64;");
    check(&found, "open files", "no", "64 at once");
    let checks = found["checks"].as_array().unwrap();
    let files = checks.iter().find(|check| check["check"] == "open files").unwrap();
    assert!(files["means"].as_str().unwrap().starts_with("no lab has room"), "{files:#}");
    assert!(files["how"].as_str().unwrap().starts_with("ulimit -Hn 256"), "{files:#}");
    // A lab raises the soft limit itself.
    check(&doctor("ulimit -n 1024; ulimit -Sn 64;"), "open files", "yes", "64 at once, and up to 1024");
}

/// What it reckons with is what the lab takes.
#[test]
fn a_lab_takes_no_more_files_than_it_says() {
    for (how, clients) in [(&["--wire"][..], 1), (&["--wire", "--clients", "20"], 20), (&[], 0)] {
        let mut lab = peer::program()
            .args([&["lab", "serve", "--json"], how].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = BufReader::new(lab.stdout.take().unwrap()).lines().next();
        let files = fs::read_dir(format!("/proc/{}/fd", lab.id())).map(Iterator::count).unwrap() as u64;
        let _ = lab.kill();
        let _ = lab.wait();
        if begun.is_none() {
            assert!(!how.is_empty(), "the lab on loopback did not start");
            continue;
        }
        let reckoned = Size::of(&World::built_in(), &[], clients, 1).files();
        assert!((reckoned / 2..=reckoned).contains(&files), "{how:?}: {files} files, {reckoned} reckoned");
    }
}

/// A folder with a program `docker` that is this script, and nothing else.
fn with_docker(script: Option<&str>) -> Value {
    let folder = tempfile::tempdir().unwrap();
    if let Some(script) = script {
        let file = folder.path().join("docker");
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    run(Command::new(env!("CARGO_BIN_EXE_visit")).args(["doctor", "--json"]).env("PATH", folder.path()))
}

#[test]
fn containers() {
    let found = with_docker(None);
    check(&found, "docker", "absent", "no program docker");
    assert!(!found.to_string().contains("compose version"), "{found:#}");

    let script = |context: &str, version: &str| {
        format!("case \"$1\" in context) {context};; version) {version};; compose) echo 2.29.1;; esac")
    };
    let found = with_docker(Some(&script("echo unix:///var/run/docker.sock", "echo 20.10.24")));
    check(&found, "docker", "yes", "engine 20.10.24");
    check(&found, "compose", "yes", "docker compose 2.29.1");

    // An old one knows no contexts.
    let found = with_docker(Some(&script("exit 1", "echo 18.09.1")));
    check(&found, "docker", "yes", "engine 18.09.1");

    // One that is elsewhere is not asked.
    let found = with_docker(Some(&script("echo tcp://192.0.2.1:2375", "echo ASKED")));
    check(&found, "docker", "absent", "tcp://192.0.2.1:2375, and is not asked");
    assert!(!found.to_string().contains("ASKED"), "{found:#}");

    let found = with_docker(Some(&script("echo unix:///x", "echo; echo 'Cannot connect to the daemon' >&2; exit 1")));
    check(&found, "docker", "no", "Cannot connect to the daemon");

    let found = with_docker(Some(&script("echo unix:///x", "exec /bin/sleep 60")));
    check(&found, "docker", "no", "did not end within 5 s");
}

#[test]
fn on_a_screen() {
    let output = peer::run(&["doctor"]);
    let screen = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{screen}");
    for word in ["namespaces", "capture", "ipv6 loopback", "open files", "clock", "authority", "resolver", "terminal"] {
        assert!(
            screen.lines().any(|line| line.starts_with(['✔', '✘', '·']) && line.contains(word)),
            "{word}: {screen}"
        );
    }
    // What cannot be written is the one failure.
    let full =
        Command::new(env!("CARGO_BIN_EXE_visit")).arg("doctor").stdout(fs::File::create("/dev/full").unwrap()).status();
    assert_eq!(full.unwrap().code(), Some(23));
}
