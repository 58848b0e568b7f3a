//! The `route` stage: who a packet is handed to, and the AND of addresses and mask that tells it.

use std::net::IpAddr;

use journey::{
    Hop, StageName, StageState,
    stage::{
        Did, Next, Own, Route, Stage, Way,
        route::{mask, network},
    },
};

use super::{
    page::{Ink, Page, Piece, dim, piece, plain},
    screen::INDENT,
};

/// Columns of a row's label, and of an IPv4 address behind it.
const LABEL: usize = 8;
const ADDRESS: usize = 17;
/// Columns of an address in bits, or in groups of hexadecimal digits, with the line between network and host.
const BITS: usize = 41;

/// The way to the server, in one line.
pub(super) fn summary(hop: &Hop, stage: &Stage, route: &Route) -> Vec<Piece> {
    match (stage.state, taken(hop, route)) {
        (StageState::Done, Some(way)) => sentence(way),
        _ => vec![dim(stage.note.as_deref().unwrap_or_default())],
    }
}

/// The addresses that there is no way to; with `verbose` the other ways as well, and with `binary` how the network is told.
pub(super) fn details(page: &mut Page, hop: &Hop, stage: &Stage, route: &Route, verbose: bool, binary: bool) {
    let Some(taken) = taken(hop, route) else { return };
    let indent = || plain(" ".repeat(INDENT));
    if verbose {
        link(page, taken);
    }
    if binary {
        and(page, taken);
    }
    for way in route.ways.iter().filter(|way| !std::ptr::eq(*way, taken)) {
        // Where there is none to any of them, the failure has said so.
        let is_news = !way.leads_somewhere() && stage.state == StageState::Done;
        if !verbose && !is_news {
            continue;
        }
        let mut line = vec![indent()];
        line.extend(sentence(way));
        page.line(INDENT + 2, &line);
        if verbose {
            link(page, way);
        }
        // The bits of one address of a family show all there is to see.
        let is_first = !route.ways.iter().take_while(|other| *other != way).any(|other| alike(other, way));
        if binary && is_first && !alike(taken, way) {
            and(page, way);
        }
    }
}

fn alike(one: &Way, other: &Way) -> bool {
    one.server.to_canonical().is_ipv4() == other.server.to_canonical().is_ipv4()
}

/// The way that was taken, or would have been: that to the server that answered, else the first that there is.
fn taken<'a>(hop: &Hop, route: &'a Route) -> Option<&'a Way> {
    let connected = match hop.stage(StageName::Connect).map(|stage| &stage.did) {
        Some(Did::Connect(connect)) => connect.connected().map(|attempt| attempt.server.ip()),
        _ => None,
    };
    let ways = || route.ways.iter();
    let to_server = ways().find(|way| Some(way.server) == connected);
    to_server.or_else(|| ways().find(|way| way.leads_somewhere())).or_else(|| route.ways.first())
}

fn sentence(way: &Way) -> Vec<Piece> {
    let by = way.interface.as_ref().map_or_else(String::new, |interface| format!(" by {interface}"));
    let mut line = vec![plain(way.server.to_string())];
    if let (IpAddr::V6(_), v4 @ IpAddr::V4(_)) = (way.server, way.server.to_canonical()) {
        line.push(plain(format!(", which is IPv4 {v4},")));
    }
    line.extend(way.host.as_ref().map(|host| piece(Ink::Host, format!(" {host}"))));
    let network = way.own.map(Own::written_network).unwrap_or_default();
    match (&way.next, way.is_in_own_network()) {
        (Next::ThisMachine, _) => {
            let on = way.interface.as_ref().map_or_else(String::new, |interface| format!(", on {interface}"));
            line.push(plain(format!(" is this machine's own: it stays here{on}")));
        }
        (Next::Nowhere { why }, _) => line.push(dim(format!(": {why}"))),
        (Next::Neighbour, Some(true)) => line.push(plain(format!(" is in {network}: straight to it{by}"))),
        (Next::Neighbour, Some(false)) => {
            line.push(plain(format!(
                " is not in {network}, but the routing table has it on the link: straight to it{by}"
            )));
        }
        (Next::Neighbour, None) => line.push(plain(format!(" is on the link: straight to it{by}"))),
        (Next::Gateway { ip, host }, is_in) => {
            line.push(plain(match is_in {
                Some(false) => format!(" is not in {network}: to the gateway {ip}"),
                Some(true) => {
                    format!(" is in {network}, but the routing table has a more specific route: to the gateway {ip}")
                }
                None => format!(": to the gateway {ip}"),
            }));
            line.extend(host.as_ref().map(|host| piece(Ink::Host, format!(" {host}"))));
            line.push(plain(by));
        }
    }
    line
}

/// What is known of the interface.
fn link(page: &mut Page, way: &Way) {
    let Some(interface) = &way.interface else { return };
    let mut parts = vec![interface.clone()];
    parts.extend(way.mac.map(|mac| mac.to_string()));
    parts.extend(way.mtu.map(|mtu| format!("mtu {mtu}")));
    match (way.own, way.source) {
        (Some(own), _) => parts.push(format!("from {own}")),
        (None, Some(source)) => parts.push(format!("from {source}, an address of another interface")),
        (None, None) => {}
    }
    page.line(INDENT + 2, &[dim(format!("{:INDENT$}{}", "", parts.join(" · ")))]);
}

/// Own address and target, each with the mask laid over it: what is left of both is the same network, or is not.
fn and(page: &mut Page, way: &Way) {
    let (Some(own), server) = (way.own, way.server.to_canonical()) else { return };
    if own.ip.is_ipv4() != server.is_ipv4() || matches!(way.next, Next::ThisMachine | Next::Nowhere { .. }) {
        return;
    }
    let (here, there) = (own.network(), network(server, own.prefix()));
    let is_wide = page.style().width >= INDENT + LABEL + ADDRESS + BITS;
    let mut row = |label: &str, ip: IpAddr| page.line(INDENT + LABEL, &row(label, ip, own.prefix(), is_wide));
    row("you", own.ip);
    row("mask", mask(own.ip, own.prefix()));
    row("AND", here);
    row("target", server);
    row("AND", there);
    if is_wide {
        differing(page, here, there, own.prefix());
    }
    let (ink, text) = if here == there {
        (Ink::Good, format!("both are {}: the same network, no gateway is needed", own.written_network()))
    } else {
        (Ink::Plain, format!("not the same network ({here}, {there}): only a gateway leads there"))
    };
    if own.ip.is_ipv6() && own.prefix() % 4 > 0 && is_wide {
        let bits = own.prefix() % 4;
        let text = format!("{:INDENT$}of the last digit in front of │ the first {} the network's", "", bits_are(bits));
        page.line(INDENT + 2, &[dim(text)]);
    }
    // What the routing table has besides goes before it.
    let differs = matches!(way.next, Next::Neighbour) != (here == there);
    let besides = if differs { "; the routing table says otherwise, and it decides" } else { "" };
    page.line(INDENT + 2, &[plain(" ".repeat(INDENT)), piece(ink, text), plain(besides)]);
}

fn bits_are(count: u8) -> String {
    if count == 1 { "bit is".to_owned() } else { format!("{count} bits are") }
}

fn row(label: &str, ip: IpAddr, prefix: u8, is_wide: bool) -> Vec<Piece> {
    let label = dim(format!("{:INDENT$}{label:LABEL$}", ""));
    if !is_wide {
        return vec![label, plain(ip.to_string())];
    }
    let (digits, cut) = digits(ip, prefix);
    let (network, host) = digits.split_at(cut);
    let mut line = vec![label];
    // In groups an IPv6 address is at its full length already.
    if ip.is_ipv4() {
        line.push(plain(format!("{:ADDRESS$}", ip.to_string())));
    }
    line.extend([piece(Ink::Bold, network), dim("│"), dim(host)]);
    line
}

/// A mark under every digit in which two networks differ.
fn differing(page: &mut Page, here: IpAddr, there: IpAddr, prefix: u8) {
    let ((here, cut), (there, _)) = (digits(here, prefix), digits(there, prefix));
    let marks: String = here.chars().zip(there.chars()).map(|(a, b)| if a == b { ' ' } else { '^' }).collect();
    let marks = marks.trim_end();
    if marks.is_empty() {
        return;
    }
    let is_v4 = here.contains('.');
    let column = INDENT + LABEL + if is_v4 { ADDRESS } else { 0 };
    // The digit that is split stands before the line, so no mark stands behind it.
    debug_assert!(marks.len() <= cut);
    page.line(0, &[plain(" ".repeat(column)), piece(Ink::Warn, marks)]);
}

/// An address in bits (IPv4), or in all of its hexadecimal digits (IPv6); and how many characters of that are the
/// network's. A hexadecimal digit of which only some bits are counts as the network's.
fn digits(ip: IpAddr, prefix: u8) -> (String, usize) {
    let prefix = usize::from(prefix);
    let (text, per_group, digits) = match ip {
        IpAddr::V4(ip) => (ip.octets().map(|octet| format!("{octet:08b}")).join("."), 8, prefix),
        IpAddr::V6(ip) => (ip.segments().map(|group| format!("{group:04x}")).join(":"), 4, prefix.div_ceil(4)),
    };
    // The point behind a whole group belongs to it.
    let cut = digits + digits / per_group;
    let cut = cut.min(text.len());
    (text, cut)
}

#[cfg(test)]
mod tests {
    use super::{super::Style, *};

    #[test]
    fn where_the_network_ends() {
        let check = |ip: &str, prefix, network: &str, host: &str| {
            let (text, cut) = digits(ip.parse().unwrap(), prefix);
            assert_eq!(text.split_at(cut), (network, host), "{ip}/{prefix}");
        };
        check("10.78.1.100", 24, "00001010.01001110.00000001.", "01100100");
        check("10.78.1.100", 20, "00001010.01001110.0000", "0001.01100100");
        check("10.78.1.100", 0, "", "00001010.01001110.00000001.01100100");
        check("10.78.1.100", 32, "00001010.01001110.00000001.01100100", "");
        check("fd10:78:1ab::2:81", 64, "fd10:0078:01ab:0000:", "0000:0000:0002:0081");
        check("fd10:78:1ab::2:81", 56, "fd10:0078:01ab:00", "00:0000:0000:0002:0081");
        check("fd10:78:1ab::2:81", 57, "fd10:0078:01ab:000", "0:0000:0000:0002:0081");
        check("fd10:78:1ab::2:81", 128, "fd10:0078:01ab:0000:0000:0000:0002:0081", "");
    }

    fn way(server: &str, own: Option<&str>, next: Next) -> Way {
        let leads = !matches!(next, Next::Nowhere { .. });
        Way {
            server: server.parse().unwrap(),
            host: Some("app1".to_owned()),
            interface: leads.then(|| "eth0".to_owned()),
            mac: leads.then(|| "02:0a:4e:01:00:64".parse().unwrap()),
            mtu: leads.then_some(1500),
            source: own.map(|own| own.parse::<Own>().unwrap().ip),
            own: own.map(|own| own.parse().unwrap()),
            next,
        }
    }

    fn gateway(ip: &str) -> Next {
        Next::Gateway { ip: ip.parse().unwrap(), host: Some("router".to_owned()) }
    }

    fn drawn(ways: Vec<Way>, style: &Style, verbose: bool, binary: bool) -> String {
        let route = Route { ways };
        let did = Did::Route(route.clone());
        let failure = None;
        let stage = Stage { state: StageState::Done, did, failure, ..Stage::not_reached(StageName::Route) };
        let hop = Hop { url: String::new(), stages: vec![stage.clone()], notes: Vec::new() };
        let mut page = Page::new(style);
        page.line(4, &summary(&hop, &stage, &route));
        details(&mut page, &hop, &stage, &route, verbose, binary);
        let text = page.into_text();
        for line in text.lines().filter(|_| !style.color) {
            assert!(line.chars().count() <= style.width && line.trim_end() == line, "{line:?}");
        }
        text
    }

    const WIDE: Style = Style { color: false, unicode: true, width: 80 };

    #[test]
    fn in_one_line() {
        let check = |way: Way, expected: &str| {
            let style = Style { width: 200, ..WIDE };
            assert_eq!(drawn(vec![way], &style, false, false).trim_end(), expected);
        };
        let own = Some("10.78.1.100/24");
        let far = "10.78.2.81 app1 is not in 10.78.1.0/24";
        check(way("10.78.2.81", own, gateway("10.78.1.1")), &format!("{far}: to the gateway 10.78.1.1 router by eth0"));
        check(
            way("10.78.2.81", own, Next::Neighbour),
            &format!("{far}, but the routing table has it on the link: straight to it by eth0"),
        );
        check(way("10.78.1.53", own, Next::Neighbour), "10.78.1.53 app1 is in 10.78.1.0/24: straight to it by eth0");
        check(
            way("10.78.1.53", own, gateway("10.78.1.1")),
            "10.78.1.53 app1 is in 10.78.1.0/24, but the routing table has a more specific route: to the gateway 10.78.1.1 \
             router by eth0",
        );
        check(way("10.78.1.53", None, Next::Neighbour), "10.78.1.53 app1 is on the link: straight to it by eth0");
        check(way("::1", None, Next::ThisMachine), "::1 app1 is this machine's own: it stays here, on eth0");
        check(way("10.9.9.9", None, gateway("fe80::1")), "10.9.9.9 app1: to the gateway fe80::1 router by eth0");
    }

    #[test]
    fn in_bits() {
        let own = Some("10.78.1.100/24");
        let ways = || {
            vec![
                way("10.78.2.81", own, gateway("10.78.1.1")),
                way("fd10:78:1ab::2:81", Some("fd10:78:1ab::1:100/64"), Next::Neighbour),
                way("10.78.1.7", Some("10.78.1.100/22"), Next::Neighbour),
                way("2001:db8::1", None, Next::Nowhere { why: "no route (ENETUNREACH)".to_owned() }),
            ]
        };
        insta::assert_snapshot!("route", drawn(ways(), &WIDE, false, false));
        insta::assert_snapshot!("route_bits", drawn(ways(), &WIDE, true, true));
        let coloured = drawn(ways(), &Style { color: true, ..WIDE }, false, true);
        insta::assert_snapshot!("route_bits_colour", coloured.replace('\x1b', "<ESC>"));
        let ascii = drawn(ways(), &Style { unicode: false, ..WIDE }, true, true);
        assert!(ascii.is_ascii(), "{ascii}");
        insta::assert_snapshot!("route_bits_ascii", ascii);
        insta::assert_snapshot!("route_bits_narrow", drawn(ways(), &Style { width: 40, ..WIDE }, true, true));
        let odd = vec![
            way("10.78.1.200", Some("10.78.1.100/26"), gateway("10.78.1.65")),
            way("2001:db8:0:7::1", Some("2001:db8::5/62"), gateway("fe80::1")),
        ];
        insta::assert_snapshot!("route_bits_odd", drawn(odd, &WIDE, true, true));
    }
}
