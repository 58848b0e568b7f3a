//! Where the kernel refuses namespaces: the lab falls back to loopback, and says so.

use std::process::{Command, Output};

use crate::peer;

/// `visit` on a machine that allows no user namespaces, by somebody without rights.
fn refused(args: &[&str]) -> Output {
    inside(
        "ip link set lo up && echo 0 > /proc/sys/user/max_user_namespaces && \
         exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all \"$0\" \"$@\"",
        args,
    )
}

/// `visit` as root of a user namespace and of a network of its own, behind this script.
fn inside(script: &str, args: &[&str]) -> Output {
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--net", "--mount", "sh", "-c", script]).arg(env!("CARGO_BIN_EXE_visit"));
    let data = concat!(env!("CARGO_TARGET_TMPDIR"), "/data");
    let command = command.args(args).env("LANG", "C.UTF-8").env("VISIT_DATA", data);
    command.env_remove("VISIT_LAB").env_remove("VISIT_WORLD").env_remove("VISIT_RESOLVER");
    command.output().expect("`unshare` and `setpriv` start: they are in the package util-linux")
}

/// Without the places where lines were broken.
fn flat(text: &[u8]) -> String {
    String::from_utf8_lossy(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

const WHY: &str = "unshare(CLONE_NEWUSER): No space left on device (ENOSPC); user.max_user_namespaces allows no more user \
                   namespaces";

#[needs::tools(ip, unshare, setpriv)]
#[test]
fn the_lab_is_on_loopback_and_says_why() {
    let output = refused(&["--packets", "www.example.local"]);
    let screen = flat(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{screen}{}", flat(&output.stderr));
    assert!(screen.contains("sockets on loopback stand in for its addresses"), "{screen}");
    assert!(screen.contains(&format!("it could have no network of its own ({WHY}); `visit doctor` says")), "{screen}");
    assert!(screen.contains("there is no link to capture on"), "{screen}");
    assert!(screen.contains("Reached app1"), "{screen}");

    let output = refused(&["--json", "www.example.local"]);
    let journey: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(journey["place"]["network"]["kind"], "loopback");
    assert_eq!(journey["place"]["network"]["why"], WHY);
    assert_eq!(journey["capture"]["state"], "not_observable");
    assert!(journey["capture"]["how"].as_str().unwrap().contains("sysctl user.max_user_namespaces"), "{journey:#}");
}

#[needs::tools(ip, unshare)]
#[test]
fn what_is_refused_later_is_told_as_well() {
    // As in a container: namespaces, and no writing to /proc/sys.
    let read_only = "ip link set lo up && mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && \
                     exec \"$0\" \"$@\"";
    let output = inside(read_only, &["www.example.local"]);
    let screen = flat(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{screen}{}", flat(&output.stderr));
    assert!(screen.contains("(write to /proc/sys/net/ipv4/ip_forward: Read-only file system (EROFS)"), "{screen}");
    let output = inside(read_only, &["--lab=wire", "www.example.local"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(flat(&output.stderr).contains("ip_forward: Read-only"), "{}", flat(&output.stderr));
    let output = inside(read_only, &["doctor"]);
    assert!(flat(&output.stdout).contains("✘ namespaces write to /proc/sys/net/ipv4/ip_forward"), "{output:?}");
    // What the probe does not see: too few namespaces for all hosts.
    let few = "ip link set lo up && echo 5 > /proc/sys/user/max_net_namespaces && exec \"$0\" \"$@\"";
    let screen = flat(&inside(few, &["www.example.local"]).stdout);
    assert!(screen.contains("it could have no network of its own (host "), "{screen}");
    assert!(screen.contains("Reached app1"), "{screen}");
}

#[needs::tools(python3, ip, unshare)]
#[test]
fn whoever_ignores_its_children_has_the_network_too() {
    // A shell's `trap` does not do it: what it ignores, the kernel does not for the program that it becomes.
    let ignoring = "ip link set lo up && exec python3 -c 'import os, signal, sys\n\
                    signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n\
                    os.execv(sys.argv[1], sys.argv[1:])' \"$0\" \"$@\"";
    let output = inside(ignoring, &["www.example.local"]);
    let screen = flat(&output.stdout);
    assert!(screen.contains("its own network, 2 segments and a router"), "{screen}{}", flat(&output.stderr));
    let said = flat(&inside(ignoring, &["doctor"]).stdout);
    assert!(said.contains("✔ namespaces") && !said.contains("did not end within"), "{said}");
}

#[needs::tools(ip, unshare, setpriv)]
#[test]
fn what_needs_the_network_is_refused_with_the_reason() {
    let check = |args: &[&str], expected: &str| {
        let output = refused(args);
        let said = flat(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(expected) && said.contains("ENOSPC"), "{args:?}: {said}");
    };
    check(&["--lab=wire", "www.example.local"], "cannot have a network of its own here");
    check(
        &["--fault", "wire:loss", "www.example.local"],
        "wire:loss disturbs the lab's own network, and the lab has none",
    );
    check(&["--pcap", "-", "www.example.local"], "there are no frames for --pcap -");
    check(&["lab", "serve", "--wire"], "cannot have a network of its own here");
}

#[test]
fn what_is_asked_for_wrongly() {
    let check = |args: &[&str], expected: &str| {
        let output = peer::program().args(args).env_remove("VISIT_LAB").output().unwrap();
        let said = flat(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(expected), "{args:?}: {said}");
    };
    check(&["--lab=loopback", "--fault", "wire:loss", "www.example.local"], "the lab has none: it is on loopback here");
    check(&["--fault", "wire:loss", "http://127.0.0.1:1/"], "is visited elsewhere");
    check(&["--fault", "tldx:drop", "www.example.local"], "there is no host \"tldx\"; places: app1, app2, auth1");
    check(
        &["--fault", "app1:servfail", "www.example.local"],
        "an application server; faults there: refused, blackhole",
    );
    check(&["--fault", "auth1:servfial", "www.example.local"], "faults of name servers: nxdomain, nodata, servfail");
    check(&["--lab=docker", "www.example.local"], "auto, wire, loopback");
    check(&["--packets", "-n", "3", "www.example.local"], "cannot be used with");
    check(&["--pcap", "a", "http://127.0.0.1:1/", "http://127.0.0.1:2/"], "one visit, and 2 URLs");
    check(&["--pcap", "-", "--json", "http://127.0.0.1:1/"], "so does another option");
    check(&["--pcap-keys", "http://127.0.0.1:1/"], "--pcap <FILE>");
    let book = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(book.path(), r#"{"v4":"10.78.0.0/16","v6":"fd10:78:1ab::/64","names":[],"hosts":[],"closed":null}"#)
        .unwrap();
    let book = book.path().to_str().unwrap();
    check(&["--lab=loopback", "--world", book, "www.example.local"], "describes one that runs elsewhere");
    let output = peer::program().arg("www.example.local").env("VISIT_LAB", "wires").output().unwrap();
    assert!(flat(&output.stderr).contains("VISIT_LAB=wires is no way to run the lab"), "{}", flat(&output.stderr));
}
