//! What is true of containers alone: who may capture there, who may not, and what is said then.

use std::process::{Command, Output};

use e2e::way::Stage;
use journey::{Journey, capture::Captured};
use libtest_mimic::{Failed, Trial};
use packets::flow::{Ending, Flows, Side};

/// A test; what is wrong, where something is.
type Test = fn() -> Result<(), String>;

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    let tests: [(&str, Test); 3] = [
        ("compose::captures_its_own_interface", captures),
        ("compose::without_the_right_to_capture", refused),
        ("compose::no_namespaces_in_a_container", no_namespaces),
    ];
    tests.into_iter().map(|(name, test)| Trial::test(name, move || test().map_err(Failed::from))).collect()
}

/// The container that has the right to sees a connection from its SYN to its last FIN, and each frame once.
fn captures() -> Result<(), String> {
    let stage = Stage::containers();
    let journey = journey(&stage.visit(&["--json", "--packets", "http://www.example.local/"])?)?;
    let capture = journey.capture.frames().ok_or_else(|| format!("{:?}", journey.capture))?;
    let endings: Vec<Ending> = Flows::follow(capture).flows.iter().map(packets::flow::Flow::ending).collect();
    expect(endings == [Ending::Closed { first: Some(Side::Client) }], &endings)?;
    expect((capture.lost, &capture.cut) == (0, &None), &capture.cut)?;
    expect(capture.frames.iter().any(|frame| frame.unfilled_checksum == Some(true)), &"every checksum is filled in")?;

    // The certificate of the lab's authority can be read there, and a file comes out of it.
    let output = stage.visit(&["--pcap", "-", "https://www.example.local/"])?;
    let screen = String::from_utf8_lossy(&output.stderr).into_owned();
    let begins = output.stdout.get(..4) == Some(&[0x0a, 0x0d, 0x0d, 0x0a]);
    expect(output.status.success() && begins, &screen)?;
    expect(screen.contains("are not filled in"), &screen)
}

/// A container without that right says what was refused, and what helps; the visit goes on.
fn refused() -> Result<(), String> {
    let journey = journey(&docker(&["--cap-drop", "ALL"], &["--json", "--packets", "http://127.0.0.1:1/"])?)?;
    let Captured::NotObservable { why, how } = &journey.capture else { return Err(format!("{:?}", journey.capture)) };
    expect(why.contains("opening a packet socket") && why.contains("EPERM"), why)?;
    expect(how.as_ref().is_some_and(|how| how.contains("--cap-add NET_RAW")), how)?;
    expect(journey.exit_code == 7, &journey.outcome)
}

/// The engine lets nobody have namespaces of their own, so the lab in a container is on loopback, and says why.
fn no_namespaces() -> Result<(), String> {
    let output = docker(&[], &["--lab", "http://www.example.local/"])?;
    let screen = String::from_utf8_lossy(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    expect(output.status.success() && screen.contains("unshare"), &screen)
}

fn docker(options: &[&str], args: &[&str]) -> Result<Output, String> {
    let mut command = Command::new("docker");
    command.args(["run", "--rm", "--network", "none"]).args(options).arg("visit:latest").args(args);
    command.output().map_err(|error| format!("{command:?}: {error}"))
}

fn journey(output: &Output) -> Result<Journey, String> {
    serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("no journey: {error}\n{}", String::from_utf8_lossy(&output.stderr)))
}

fn expect(is_so: bool, seen: &impl std::fmt::Debug) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(format!("{seen:#?}")) }
}
