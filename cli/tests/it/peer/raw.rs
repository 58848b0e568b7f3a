//! Throw-away servers that speak no HTTP, and visits to them with a choice of stdin.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::{Child, Command, Stdio},
    thread,
};

use serde_json::Value;

/// A server that leaves each connection to `talk`, one after the other; it serves until the test process ends.
pub(crate) fn stream(talk: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    thread::spawn(move || listener.incoming().flatten().for_each(talk));
    url
}

/// A server that leaves each datagram to `answer`; it serves until the test process ends.
pub(crate) fn datagram(answer: impl Fn(&UdpSocket, &[u8], SocketAddr) + Send + 'static) -> String {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("udp://{}", socket.local_addr().unwrap());
    thread::spawn(move || {
        let mut buffer = vec![0; 65_535];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            answer(&socket, &buffer[..length], peer);
        }
    });
    url
}

/// Makes the close of this connection a reset.
pub(crate) fn reset(stream: &TcpStream) {
    socket2::SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
}

/// `visit` in an environment that says nothing, with this stdin; its output goes into pipes.
pub(crate) fn spawn(args: &[&str], stdin: impl Into<Stdio>) -> Child {
    super::program().args(args).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Sends a signal to a process.
pub(crate) fn signal(process: &Child, signal: &str) {
    assert!(
        Command::new("sh")
            .args(["-c", "kill \"$@\"", "kill", signal, &process.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
}

/// The exit code and the journey of a visit that was told `--json`.
pub(crate) fn journey_of(process: Child) -> (i32, Value) {
    let output = process.wait_with_output().unwrap();
    let journey = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), journey)
}

/// The stage of that name, of the first hop.
pub(crate) fn stage<'a>(journey: &'a Value, name: &str) -> &'a Value {
    let stages = journey["hops"][0]["stages"].as_array().unwrap();
    stages.iter().find(|stage| stage["name"] == name).unwrap_or_else(|| panic!("no {name}: {journey:#}"))
}

/// The calls of a stage as they are written: `send(5 bytes) = 5 bytes`.
pub(crate) fn calls(journey: &Value, name: &str) -> Vec<String> {
    let calls = stage(journey, name)["calls"].as_array().cloned().unwrap_or_default();
    let text = |call: &Value, member: &str| call[member].as_str().unwrap().to_owned();
    calls.iter().map(|c| format!("{}({}) = {}", text(c, "name"), text(c, "with"), text(c, "gave"))).collect()
}

/// Every stage with times begins when the one before has ended, the last of them ends the visit, and no call was made
/// before its stage began or before the call before it.
pub(crate) fn check_order(journey: &Value) {
    let (mut end, mut called) = (0, 0);
    for stage in journey["hops"][0]["stages"].as_array().unwrap() {
        for call in stage["calls"].as_array().into_iter().flatten() {
            let at = call["at_us"].as_u64().unwrap();
            assert!(at >= called, "{} was made before the call before it: {journey:#}", call["name"]);
            called = at;
        }
        let Some(start) = stage["start_us"].as_u64() else { continue };
        assert!(start >= end, "{} begins before the stage before it has ended: {journey:#}", stage["name"]);
        let duration = stage["duration_us"].as_u64();
        end = start + duration.unwrap_or(0);
    }
    assert_eq!(journey["total_us"].as_u64(), Some(end), "{journey:#}");
}
