//! What tests need that send packets: a network of their own.

use std::process::Command;

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkFlags, LinkMessage},
};

use crate::kernel::netlink::Netlink;

/// Says to the test that it is in its own network.
const ALONE: &str = "WIRE_TEST_ALONE";

/// Runs the test of that path in a process of its own, in a network namespace where only `lo` is, and is up. There it may
/// send what it likes, and hears nobody else. A user namespace cannot be entered by a program that has several threads, as
/// a test has; so `unshare` (util-linux) starts it anew.
pub(crate) fn alone(path: &str, test: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some() {
        lo_up();
        return test();
    }
    let program = std::env::current_exe().expect("a test knows its program");
    let output = Command::new("unshare")
        .args(["--map-root-user", "--net"])
        .arg(program)
        .args(["--exact", path, "--nocapture"])
        .env(ALONE, "1")
        .output()
        .expect("`unshare` starts: it is in the package util-linux");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.contains("1 passed"), "in a network of its own: {said}");
}

fn lo_up() {
    let mut link = LinkMessage::default();
    link.header.index = 1;
    (link.header.flags, link.header.change_mask) = (LinkFlags::Up, LinkFlags::Up);
    let mut netlink = Netlink::route().expect("a netlink socket");
    netlink.act(RouteNetlinkMessage::SetLink(link), 0).expect("lo goes up");
}
