//! The server as a program: what it says, its sub-commands, its signals.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::IpAddr,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

use crate::support::{Client, eventually, run, traced};

use crate::support;

/// A world on an address of 127.0.0.0/8 that no other test process has, so that its ports are free.
struct World {
    file: PathBuf,
    ip: IpAddr,
    // What it keeps.
    data: tempfile::TempDir,
}

impl World {
    fn new(number: u8, app: &str) -> Self {
        let [_, b, c, d] = std::process::id().to_be_bytes();
        let ip = IpAddr::from([127, 64 + (b ^ number) % 64, c, d.max(1)]);
        let file = std::env::temp_dir().join(format!("visit-app-{}-{number}.toml", std::process::id()));
        let text = format!(
            "[network]\nv4 = \"127.0.0.0/8\"\nv6 = \"fd10:78:1ab::/48\"\nadmin_port = 9080\n\
             [hosts.app1]\naddresses = [\"{ip}\"]\napp = {{ {app} }}\n"
        );
        fs::write(&file, text).unwrap();
        Self { file, ip, data: tempfile::tempdir().unwrap() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_app"));
        command.args(arguments).arg("--world").arg(&self.file).args(["--host", "app1"]);
        for name in ["VISIT_WORLD", "VISIT_HOST", "VISIT_LAB_NET", "RUST_LOG"] {
            command.env_remove(name);
        }
        command.env("VISIT_DATA", self.data.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program was built")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

/// Ends with the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[needs::tools(curl)]
#[test]
fn from_start_to_sigterm() {
    let world = World::new(1, "http_port = 8000, https_port = 8443, talk_port = 8001, echo_port = 8002");
    assert_eq!(world.run(&["check"]).status.code(), Some(0));
    let sick = world.run(&["healthcheck"]);
    assert_eq!(sick.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&sick.stderr).contains("no answer from http://127."), "{sick:?}");

    let mut running = Running(world.command(&[]).env("NO_COLOR", "1").stderr(Stdio::piped()).spawn().unwrap());
    let mut log = BufReader::new(running.0.stderr.take().unwrap());
    let mut listening = Vec::new();
    while listening.len() < 6 {
        let mut line = String::new();
        assert!(log.read_line(&mut line).unwrap() > 0, "it ended: {listening:?}");
        listening.push(line);
    }
    assert!(listening[0].contains("certificate by the authority in"), "{listening:?}");
    for (socket, port) in [("http", 8000), ("https", 8443), ("talk", 8001), ("echo", 8002), ("admin", 9080)] {
        let said = |line: &String| {
            line.contains(&format!("socket=\"{socket}\"")) && line.contains(&format!("address={}:{port}", world.ip))
        };
        assert!(listening.iter().any(said), "{socket} in {listening:?}");
    }
    eventually("it is healthy", || (world.run(&["healthcheck"]).status.code() == Some(0)).then_some(()));

    let ca = world.data.path().join("lab-ca.pem");
    let url = format!("https://{}:8443/bytes/5", world.ip);
    assert_eq!(run("curl", &["--silent", "--noproxy", "*", "--cacert", ca.to_str().unwrap(), &url]), "ABCDE");

    let mut client = Client::connect((world.ip, 8000).into());
    assert_eq!(client.get("/json").json()["connection"]["server"], format!("{}:8000", world.ip));
    client.send(traced("/delay/60000", support::trace(1)));
    eventually("it is busy", || {
        let events = Client::connect((world.ip, 9080).into()).get("/events").json();
        (events["events"].as_array().unwrap().len() == 2).then_some(())
    });
    run("sh", &["-c", "kill \"$@\"", "kill", "-TERM", &running.0.id().to_string()]);
    assert_eq!(client.response().status, 503);
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("signal=\"SIGTERM\"") && rest.contains("cut_off=0"), "{rest}");
}

#[test]
fn without_a_place_for_an_authority() {
    let world = World::new(5, "http_port = 8000, https_port = 8443, talk_port = 8001, echo_port = 8002");
    let mut command = world.command(&[]);
    let mut running = Running(command.env("VISIT_DATA", "/proc/visit").stderr(Stdio::piped()).spawn().unwrap());
    let (mut line, mut log) = (String::new(), BufReader::new(running.0.stderr.take().unwrap()));
    log.read_line(&mut line).unwrap();
    assert!(line.contains("WARN") && line.contains("VISIT_DATA"), "{line}");
    eventually("it serves all the same", || (world.run(&["healthcheck"]).status.code() == Some(0)).then_some(()));
}

#[test]
fn an_authority_that_is_garbage() {
    let world = World::new(6, "http_port = 8000");
    let file = world.data.path().join("lab-ca.key");
    fs::write(&file, "nonsense").unwrap();
    let output = world.run(&[]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(file.to_str().unwrap()) && said.contains("remove it"), "{said}");
}

#[test]
fn an_address_that_is_taken() {
    let world = World::new(2, "http_port = 8000");
    let _other = std::net::TcpListener::bind((world.ip, 8000)).unwrap();
    let output = world.run(&[]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&format!("app: cannot listen on {}:8000 (tcp) for http", world.ip)), "{said}");
}

#[test]
fn a_configuration_that_makes_no_sense() {
    let refused = |number, app: &str, expected: &str| {
        let output = World::new(number, app).run(&["check"]);
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with("app: ") && said.contains(expected) && said.lines().count() < 8, "{said}");
    };
    refused(3, "connections = 0", "host app1: app.connections = 0: nobody could connect");
    refused(4, "conections = 1", "unknown field `conections`");
}
