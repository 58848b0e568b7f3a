//! The `route` stage: for every address that will be tried, which way its packets would take. The kernel is asked for it
//! (`ip route get` does the same), and no packet is sent.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use journey::{
    Evidence, Reason, Stage, StageName, StageState,
    stage::{self, Address, Did, Failure, Next, Own, Way},
};
use netlab::kernel::{RouteKind, Routed, Routes};
use world::{Protocol, Route};

use super::{Probe, observed};

/// What makes the lab's addresses ones that packets are routed to.
const HOW: &str = "--lab=wire";

/// Asks for the ways to these addresses, in the order in which they are tried.
pub fn find(probe: &Probe<'_>, protocol: Protocol, addresses: &[Address], port: u16) -> Stage {
    let start_us = probe.clock.us();
    let is_stood_in_for = |address: &&Address| {
        let to = SocketAddr::new(address.ip, port);
        probe.book.is_some_and(|book| book.route(protocol, to) != Route::Direct)
    };
    let (stood_in_for, real): (Vec<&Address>, Vec<_>) = addresses.iter().partition(is_stood_in_for);
    let stand_ins = || "sockets on loopback stand in for the lab's addresses, so nothing is routed".to_owned();
    if real.is_empty() {
        return unseen(stand_ins(), Some(HOW));
    }
    let ask = || {
        let mut routes = Routes::open()?;
        real.iter().map(|address| way(probe, &mut routes, address)).collect::<io::Result<Vec<Way>>>()
    };
    let ways = match ask() {
        Ok(ways) => ways,
        Err(error) => {
            return unseen(format!("this machine's kernel does not tell its routes (netlink): {error}"), None);
        }
    };
    let failure = no_way(&ways);
    let state = if failure.is_some() { StageState::Failed } else { StageState::Done };
    let did = Did::Route(stage::Route { ways });
    Stage {
        evidence: Evidence::Kernel,
        note: (!stood_in_for.is_empty()).then(stand_ins),
        ..observed(state, did, start_us, probe.clock.us(), failure)
    }
}

/// A stage that had nothing to ask, or nobody.
fn unseen(why: String, how: Option<&str>) -> Stage {
    let note = how.map_or_else(|| why.clone(), |how| format!("{why}; with {how} it is"));
    let evidence = Evidence::NotObservable { why, how: how.map(str::to_owned) };
    Stage { evidence, ..Stage::skipped(StageName::Route, &note) }
}

fn way(probe: &Probe<'_>, routes: &mut Routes, address: &Address) -> io::Result<Way> {
    let nowhere = Way {
        server: address.ip,
        host: address.host.clone(),
        interface: None,
        mac: None,
        mtu: None,
        source: None,
        own: None,
        next: Next::Neighbour,
    };
    let route = match routes.to(destination(address.ip))? {
        Routed::Way(route) => *route,
        Routed::Nowhere(why) => return Ok(Way { next: Next::Nowhere { why: why.to_string() }, ..nowhere }),
    };
    Ok(Way {
        interface: Some(route.interface.name),
        mac: route.interface.mac,
        mtu: Some(route.interface.mtu),
        source: route.source,
        own: route.own.and_then(|own| Own::new(own.addr(), own.prefix_len())),
        next: match (route.kind, route.gateway) {
            (RouteKind::Local, _) => Next::ThisMachine,
            (_, Some(ip)) => Next::Gateway { ip, host: gateway(probe, ip) },
            (_, None) => Next::Neighbour,
        },
        ..nowhere
    })
}

/// Where packets for an address really go: those for an IPv4-mapped address go over IPv4 (RFC 4291 §2.5.5.2), and
/// connect(2) takes the unspecified address for this machine itself.
fn destination(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

/// The host that has a gateway's address. The book has those that serve; a router only passes on.
fn gateway(probe: &Probe<'_>, ip: IpAddr) -> Option<String> {
    let has_it = |address: &String| address.parse::<Own>().is_ok_and(|own| own.ip == ip);
    probe.host_of(ip).or_else(|| {
        let mut ports = probe.net?.links().iter().flat_map(|link| &link.ports);
        ports.find(|port| port.addresses.iter().any(has_it)).map(|port| port.host.clone())
    })
}

/// Why the visit ends here, where there is a way to none of the addresses.
fn no_way(ways: &[Way]) -> Option<Failure> {
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for way in ways {
        let Next::Nowhere { why } = &way.next else { return None };
        match reasons.iter_mut().find(|(other, _)| *other == why) {
            Some((_, servers)) => servers.push(way.server.to_string()),
            None => reasons.push((why, vec![way.server.to_string()])),
        }
    }
    let each: Vec<String> = reasons.iter().map(|(why, servers)| format!("{why} for {}", servers.join(", "))).collect();
    (!each.is_empty()).then(|| Failure {
        reason: Reason::Unreachable,
        what: format!("this machine's routing table has {}", each.join("; and ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_for_mapped_and_unspecified_addresses_go_elsewhere() {
        for (ip, expected) in [
            ("::ffff:127.0.0.1", "127.0.0.1"),
            ("::ffff:0.0.0.0", "127.0.0.1"),
            ("0.0.0.0", "127.0.0.1"),
            ("::", "::1"),
            // The deprecated IPv4-compatible form and NAT64 are IPv6.
            ("::192.0.2.1", "::192.0.2.1"),
            ("64:ff9b::192.0.2.1", "64:ff9b::192.0.2.1"),
        ] {
            assert_eq!(destination(ip.parse().unwrap()), expected.parse::<IpAddr>().unwrap(), "{ip}");
        }
    }

    #[test]
    fn it_fails_where_no_address_has_a_way() {
        let check = |ways: &[(&str, Option<&str>)], expected: Option<&str>| {
            let way = |(server, why): &(&str, Option<&str>)| Way {
                server: server.parse().unwrap(),
                host: None,
                interface: None,
                mac: None,
                mtu: None,
                source: None,
                own: None,
                next: why.map_or(Next::Neighbour, |why| Next::Nowhere { why: why.to_owned() }),
            };
            let ways: Vec<Way> = ways.iter().map(way).collect();
            assert_eq!(no_way(&ways).map(|failure| failure.what).as_deref(), expected);
        };
        check(&[], None);
        check(&[("10.0.0.1", None)], None);
        check(&[("10.0.0.1", Some("no route")), ("10.0.0.2", None)], None);
        check(&[("10.0.0.1", Some("no route"))], Some("this machine's routing table has no route for 10.0.0.1"));
        check(
            &[("10.0.0.1", Some("no route")), ("10.9.0.1", Some("a ban")), ("10.0.0.2", Some("no route"))],
            Some("this machine's routing table has no route for 10.0.0.1, 10.0.0.2; and a ban for 10.9.0.1"),
        );
    }
}
