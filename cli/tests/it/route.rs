//! The ways of packets, and what the kernel says of a connection, in a network of its own: this machine, a cable, and a
//! router that has the server's address behind it.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
};

use e2e::inside::inside;
use serde_json::{Value, json};

use crate::peer::{run, visit};

/// The router, with an HTTP server on port 80 and a server that says one word on port 8080.
const ROUTER: &str = "\
ip link set lo up && ip address add 10.78.2.81/32 dev lo && echo ready && read line &&
ip address add 10.78.1.1/24 dev right && ip link set right up && exec python3 -c '
import socket, threading
def serve(port, answer):
    listener = socket.create_server((\"10.78.2.81\", port))
    def loop():
        while True:
            client, _ = listener.accept()
            client.recv(4096)
            client.sendall(answer)
            client.recv(4096)
            client.close()
    threading.Thread(target=loop).start()
serve(80, b\"HTTP/1.1 200 OK\\r\\ncontent-length: 3000\\r\\n\\r\\n\" + b\"x\" * 3000)
serve(8080, b\"hello\")
print(\"listening\", flush=True)
'";

struct Router(Child);

impl Drop for Router {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ip(words: &str) {
    let done = Command::new("ip").args(words.split(' ')).status().expect("ip is needed: apt-get install iproute2");
    assert!(done.success(), "ip {words}");
}

/// This machine as 10.78.1.100/24, and the router at the other end of its cable.
fn network() -> Router {
    let mut router = Command::new("unshare")
        .args(["--net", "sh", "-c", ROUTER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(router.stdout.take().unwrap()).lines();
    assert_eq!(said.next().unwrap().unwrap(), "ready");
    ip("link set lo up");
    ip("link add left address 02:0a:4e:01:00:64 type veth peer name right");
    ip(&format!("link set right netns {}", router.id()));
    ip("address add 10.78.1.100/24 dev left");
    ip("link set left up");
    ip("route add default via 10.78.1.1");
    ip("route add unreachable 10.99.0.0/16");
    writeln!(router.stdin.take().unwrap(), "go").unwrap();
    assert_eq!(said.next().unwrap().unwrap(), "listening");
    Router(router)
}

fn stage<'a>(journey: &'a Value, name: &str) -> &'a Value {
    let stages = journey["hops"][0]["stages"].as_array().unwrap();
    stages.iter().find(|stage| stage["name"] == name).unwrap()
}

#[needs::tools(python3, ip, unshare)]
#[test]
fn through_a_gateway() {
    if !inside(module_path!(), "through_a_gateway", &[]) {
        return;
    }
    let _router = network();
    let both = "name.test:80:10.78.2.81,2001:db8::1,10.99.0.1";
    let (code, journey) = visit(&["--resolve", both, "http://name.test/"]);
    assert_eq!(code, 0, "{journey:#}");
    let route = stage(&journey, "route");
    assert_eq!((&route["state"], &route["evidence"]["kind"]), (&json!("done"), &json!("kernel")), "{route:#}");
    // In the order in which they are tried (RFC 6724): those that there is no way to come last.
    let nowhere = |server: &str, why: &str| {
        json!({
            "server": server, "host": null, "interface": null, "mac": null, "mtu": null, "source": null, "own": null,
            "next": {"kind": "nowhere", "why": why},
        })
    };
    let gateway = json!({
        "server": "10.78.2.81", "host": null, "interface": "left", "mac": "02:0a:4e:01:00:64", "mtu": 1500,
        "source": "10.78.1.100", "own": "10.78.1.100/24", "next": {"kind": "gateway", "ip": "10.78.1.1", "host": null},
    });
    let unreachable = nowhere("10.99.0.1", "a route that says unreachable (EHOSTUNREACH)");
    let ways = json!([gateway, nowhere("2001:db8::1", "no route (ENETUNREACH)"), unreachable]);
    assert_eq!(route["ways"], ways, "{route:#}");

    // Segments of 1500 bytes, less 40 of headers and 12 of timestamps.
    let connected = stage(&journey, "connect")["attempts"].as_array().unwrap().last().unwrap();
    let kernel = &connected["kernel"];
    assert_eq!((&kernel["state"], &kernel["snd_mss"]), (&json!("ESTABLISHED"), &json!(1448)), "{connected:#}");
    assert_eq!((&kernel["pmtu"], &kernel["retransmits"]), (&json!(1500), &json!(0)), "{connected:#}");
    assert!(kernel["rtt_us"].as_u64() <= connected["duration_us"].as_u64(), "{connected:#}");
    let (sent, received) = (&stage(&journey, "send")["bytes"], &stage(&journey, "receive")["bytes"]);
    let kernel = &stage(&journey, "close")["kernel"];
    assert_eq!(&kernel["bytes_received"], received, "{kernel:#}");
    assert_eq!(kernel["bytes_acked"].as_u64(), sent.as_u64().map(|bytes| bytes + 1), "the SYN counts one: {kernel:#}");

    let shown = run(&["--resolve", both, "-v", "http://name.test/"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    let flat = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("10.78.2.81 is not in 10.78.1.0/24: to the gateway 10.78.1.1 by left"), "{shown}");
    for line in [
        "    AND     10.78.1.0        00001010.01001110.00000001.│00000000\n",
        "    AND     10.78.2.0        00001010.01001110.00000010.│00000000\n",
        "    2001:db8::1: no route (ENETUNREACH)\n",
        "mss: sent 1448,",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
}

#[needs::tools(python3, ip, unshare)]
#[test]
fn every_scheme_and_engine_asks() {
    if !inside(module_path!(), "every_scheme_and_engine_asks", &[]) {
        return;
    }
    let _router = network();
    let check = |args: &[&str], kind: &str| {
        let (_, journey) = visit(args);
        let route = stage(&journey, "route");
        assert_eq!((&route["state"], &route["ways"][0]["next"]["kind"]), (&json!("done"), &json!(kind)), "{route:#}");
    };
    check(&["http://10.78.1.1/"], "neighbour");
    check(&["http://10.78.1.100/"], "this_machine");
    check(&["tcp://10.78.2.81:8080", "--send", "x"], "gateway");
    check(&["udp://10.78.1.1:9", "--send", "x"], "neighbour");
    check(&["--engine", "reqwest", "http://10.78.2.81/"], "gateway");
    // What reqwest does with its socket is its own.
    let (code, journey) = visit(&["--engine", "reqwest", "http://10.78.2.81/"]);
    assert_eq!((code, &stage(&journey, "connect")["attempts"][0]["kernel"]), (0, &Value::Null), "{journey:#}");
    let (_, journey) = visit(&["tcp://10.78.2.81:8080", "--send", "hello"]);
    assert_eq!(stage(&journey, "close")["kernel"]["bytes_acked"], 6, "{journey:#}");
}

#[needs::tools(python3, ip, unshare)]
#[test]
fn no_way_to_any_of_them() {
    if !inside(module_path!(), "no_way_to_any_of_them", &[]) {
        return;
    }
    let _router = network();
    let resolve = "name.test:80:10.99.0.1,10.99.0.2,2001:db8::1";
    for more in [&["http://name.test/"][..], &["--engine", "reqwest", "http://name.test/"]] {
        let (code, journey) = visit(&[&["--resolve", resolve], more].concat());
        let outcome = &journey["outcome"];
        assert_eq!((code, &outcome["failed_stage"]), (7, &json!("route")), "{outcome:#}");
        let expected = "The route stage failed: this machine's routing table has no route (ENETUNREACH) for 2001:db8::1; \
                        and a route that says unreachable (EHOSTUNREACH) for 10.99.0.1, 10.99.0.2.";
        assert_eq!(outcome["verdict"], expected, "{outcome:#}");
        assert_eq!(stage(&journey, "connect")["state"], "not_reached", "{journey:#}");
    }
    let (code, journey) = visit(&["udp://10.99.0.1:9", "--send", "x"]);
    assert_eq!((code, &journey["outcome"]["failed_stage"]), (7, &json!("route")), "{journey:#}");
}

#[test]
fn in_the_labs_own_network() {
    let (code, journey) = visit(&["--lab=wire", "www.example.local"]);
    assert_eq!(code, 0, "{journey:#}");
    let way = &stage(&journey, "route")["ways"][0];
    assert_eq!((&way["host"], &way["own"]), (&json!("app1"), &json!("10.78.1.100/24")), "{way:#}");
    assert_eq!(way["next"], json!({"kind": "gateway", "ip": "10.78.1.1", "host": "router"}), "{way:#}");
    let (_, journey) = visit(&["--lab=wire", "http://10.78.1.53/"]);
    assert_eq!(stage(&journey, "route")["ways"][0]["next"]["kind"], "neighbour", "{journey:#}");
}

#[test]
fn in_the_lab_on_loopback_nothing_is_routed() {
    let (_, journey) = visit(&["--lab=loopback", "www.example.local"]);
    let route = stage(&journey, "route");
    assert_eq!((&route["state"], &route["ways"]), (&json!("skipped"), &json!([])), "{route:#}");
    assert_eq!(route["evidence"]["how"], "--lab=wire", "{route:#}");
    assert!(route["note"].as_str().unwrap().contains("loopback stand in"), "{route:#}");
}
