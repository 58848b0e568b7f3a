//! The program as it is started: arguments, signals, exit codes, what it says.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
};

use crate::common::{PATIENCE, Query, parsed, received};

use crate::common;

/// An address of this process alone: all of 127.0.0.0/8 is this machine, so no other test can have the port.
fn own_address() -> Ipv4Addr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 83, high, low)
}

fn world(folder: &Path, zone: &str) {
    let address = own_address();
    let world = format!(
        "[network]\nv4 = \"127.0.0.0/8\"\nv6 = \"::1/128\"\nadmin_port = 9080\n[hosts.auth]\naddresses = [\"{address}\"]\n\
         nameserver = {{ port = 5300, zones = {{ \"z.\" = \"z.zone\" }} }}\n"
    );
    fs::write(folder.join("world.toml"), world).unwrap();
    fs::write(folder.join("z.zone"), zone).unwrap();
}

fn zone(serial: u32, address: &str) -> String {
    format!("$TTL 60\n@ SOA ns hm {serial} 1 1 1 1\n@ NS ns\nns A 192.0.2.1\nwww A {address}\n")
}

fn program(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nameserver"));
    command.args(words).arg("--world").arg(folder.join("world.toml")).args(["--host", "auth"]);
    command.env_remove("RUST_LOG").env("NO_COLOR", "1").stdin(Stdio::null()).stderr(Stdio::piped());
    command
}

/// A running program; killed when dropped.
struct Program {
    child: Child,
    said: Receiver<String>,
}

impl Program {
    fn start(folder: &Path) -> Self {
        let mut child = program(folder, &[]).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (tell, said) = channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Self { child, said }
    }

    /// Waits for a line with all of these in it.
    fn says(&self, words: &[&str]) {
        let mut before = Vec::new();
        while let Ok(line) = self.said.recv_timeout(PATIENCE) {
            if words.iter().all(|word| line.contains(word)) {
                return;
            }
            before.push(line);
        }
        panic!("it did not say {words:?} but\n{}", before.join("\n"));
    }

    fn signal(&self, name: &str) {
        let status = Command::new("sh")
            .args(["-c", "kill \"$@\"", "kill", "-s", name, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    fn www(&self) -> String {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect(SocketAddr::new(own_address().into(), 5300)).unwrap();
        socket.send(&Query::new("www.z", 1).bytes()).unwrap();
        parsed(&received(&socket)).answers[0].data.to_string()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn its_life() {
    let folder = tempfile::tempdir().unwrap();
    world(folder.path(), &zone(1, "192.0.2.2"));
    assert!(!program(folder.path(), &["healthcheck"]).status().unwrap().success(), "nobody is there yet");
    assert!(program(folder.path(), &["check"]).status().unwrap().success());

    let mut server = Program::start(folder.path());
    server.says(&["listening", "socket=\"dns\"", "protocol=\"udp\"", ":5300"]);
    server.says(&["listening", "socket=\"admin\"", ":9080"]);
    server.says(&["zone loaded", "zone=\"z.\"", "serial=1", "records=4"]);
    common::eventually(|| program(folder.path(), &["healthcheck"]).status().unwrap().success());
    assert_eq!(server.www(), "192.0.2.2");

    world(folder.path(), &zone(2, "192.0.2.3"));
    server.signal("HUP");
    server.says(&["zone loaded", "serial=2"]);
    common::eventually(|| server.www() == "192.0.2.3");

    world(folder.path(), &zone(3, "192.0.2"));
    server.signal("HUP");
    server.says(&["ERROR", "z.zone:5: A: \"192.0.2\" is not an IPv4 address"]);
    server.says(&["ERROR", "the old ones are still served"]);
    assert_eq!(server.www(), "192.0.2.3");

    server.signal("TERM");
    server.says(&["stopping", "SIGTERM"]);
    server.says(&["stopped", "cut_off=0"]);
    assert!(server.child.wait().unwrap().success());

    let refused = program(folder.path(), &[]).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    let file = folder.path().join("z.zone").display().to_string();
    let expected = format!("nameserver: zone files cannot be used:\n{file}:5: A: \"192.0.2\" is not an IPv4 address\n");
    assert_eq!(said, expected);
}
