//! In which order the servers of a zone are asked one question (the SLIST of RFC 1034 §5.3.2). Pure.

use std::{collections::VecDeque, net::IpAddr};

use hickory_proto::rr::Name;

use crate::{
    delegations::{Server, Zone},
    limits::{MAX_LOOK_UPS, MAX_SERVERS},
    reach::Reach,
};

/// Servers still to be asked, and name servers whose addresses are still to be looked up.
#[derive(Debug)]
pub(crate) struct Slist {
    ready: VecDeque<(Name, IpAddr)>,
    missing: VecDeque<Name>,
    seen: Vec<IpAddr>,
    asked: usize,
    looked_up: usize,
}

impl Slist {
    /// Each server's addresses in turn, IPv4 before IPv6, those that are `avoided` last. Name servers without an address
    /// are looked up when these were asked in vain (RFC 1034 §5.3.3); then those outside the zone whose address only
    /// the parent told, as that may be wrong.
    pub(crate) fn new(zone: &Zone, reach: Reach, avoided: impl Fn(IpAddr) -> bool) -> Self {
        let servers: Vec<Server> = reach_of(&zone.servers, reach);
        let rounds = servers.iter().map(|server| server.addresses.len()).max().unwrap_or_default();
        let mut all: Vec<(Name, IpAddr)> = Vec::new();
        for round in 0..rounds {
            for server in &servers {
                let address = server.addresses.get(round).map(|ip| (server.name.clone(), *ip));
                all.extend(address.filter(|(_, ip)| !all.iter().any(|(_, known)| known == ip)));
            }
        }
        let (bad, good): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, ip)| avoided(*ip));
        let seen = good.iter().chain(&bad).map(|(_, ip)| *ip).collect();
        let is_outside = |server: &&Server| !zone.name.zone_of(&server.name);
        let (without, with): (Vec<&Server>, Vec<&Server>) =
            servers.iter().partition(|server| server.addresses.is_empty());
        let (outside, inside): (Vec<&Server>, Vec<&Server>) = without.into_iter().partition(is_outside);
        let told = with.into_iter().filter(is_outside);
        let missing = outside.into_iter().chain(inside).chain(told).map(|server| server.name.clone()).collect();
        Self { ready: good.into_iter().chain(bad).collect(), missing, seen, asked: 0, looked_up: 0 }
    }

    /// The next server to ask.
    pub(crate) fn next_server(&mut self) -> Option<(Name, IpAddr)> {
        if self.asked >= MAX_SERVERS {
            return None;
        }
        let next = self.ready.pop_front()?;
        self.asked += 1;
        Some(next)
    }

    /// The next name server to look up.
    pub(crate) fn next_look_up(&mut self) -> Option<Name> {
        if self.looked_up >= MAX_LOOK_UPS || self.asked >= MAX_SERVERS {
            return None;
        }
        let next = self.missing.pop_front()?;
        self.looked_up += 1;
        Some(next)
    }

    /// A look-up found these addresses; those that are known already are left out.
    pub(crate) fn found(&mut self, name: &Name, addresses: &[IpAddr]) {
        for ip in addresses {
            if !self.seen.contains(ip) {
                self.seen.push(*ip);
                self.ready.push_back((name.clone(), *ip));
            }
        }
    }

    /// This server is to be asked once more, after the others.
    pub(crate) fn again(&mut self, name: Name, ip: IpAddr) {
        self.ready.push_back((name, ip));
    }

    /// Whether there is anything left to do.
    pub(crate) fn is_over(&self) -> bool {
        self.asked >= MAX_SERVERS
            || (self.ready.is_empty() && (self.missing.is_empty() || self.looked_up >= MAX_LOOK_UPS))
    }
}

/// The servers with the addresses that can be asked, IPv4 first; all addresses where that would be none at all, so that
/// the failure names them.
fn reach_of(servers: &[Server], reach: Reach) -> Vec<Server> {
    let is_any = servers.iter().flat_map(|server| &server.addresses).any(|ip| reach.reaches(*ip));
    let of = |server: &Server| {
        let mut addresses = server.addresses.clone();
        addresses.retain(|ip| !is_any || reach.reaches(*ip));
        addresses.sort_by_key(IpAddr::is_ipv6);
        Server { name: server.name.clone(), addresses }
    };
    servers.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn zone(servers: &[(&str, &[&str])]) -> Zone {
        let server = |(owner, addresses): &(&str, &[&str])| Server {
            name: name(owner),
            addresses: addresses.iter().map(|ip| ip.parse().unwrap()).collect(),
        };
        Zone { name: name("a.test."), servers: servers.iter().map(server).collect(), remembered: false }
    }

    fn order(slist: &mut Slist) -> Vec<String> {
        let mut told = Vec::new();
        loop {
            if let Some((_, ip)) = slist.next_server() {
                told.push(ip.to_string());
            } else if let Some(name) = slist.next_look_up() {
                told.push(name.to_string());
            } else {
                assert!(slist.is_over());
                return told;
            }
        }
    }

    #[test]
    fn known_addresses_first_then_what_must_be_looked_up() {
        let zone = zone(&[
            ("ns.a.test.", &["fd10::1", "10.0.0.1"]),
            ("in.a.test.", &[]),
            ("out.b.test.", &[]),
            ("far.b.test.", &["10.0.0.2"]),
        ]);
        let both = Reach { v6: true };
        let looked_up = ["out.b.test.", "in.a.test.", "far.b.test."];
        let check = |reach, avoided: &str, servers: &[&str]| {
            let avoided: Option<IpAddr> = avoided.parse().ok();
            let mut slist = Slist::new(&zone, reach, |ip| Some(ip) == avoided);
            assert_eq!(order(&mut slist), [servers, &looked_up[..]].concat());
        };
        check(both, "", &["10.0.0.1", "10.0.0.2", "fd10::1"]);
        check(both, "10.0.0.1", &["10.0.0.2", "fd10::1", "10.0.0.1"]);
        check(Reach { v6: false }, "", &["10.0.0.1", "10.0.0.2"]);
    }

    #[test]
    fn addresses_that_cannot_be_reached_are_kept_where_there_are_no_others() {
        let mut slist = Slist::new(&zone(&[("ns.a.test.", &["fd10::1"])]), Reach { v6: false }, |_| false);
        assert_eq!(order(&mut slist), ["fd10::1"]);
    }

    #[test]
    fn a_referral_to_a_thousand_names_is_followed_a_few_times() {
        let names: Vec<String> = (0..1_000).map(|n| format!("ns{n}.victim.test.")).collect();
        let servers: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), &[][..])).collect();
        let mut slist = Slist::new(&zone(&servers), Reach { v6: true }, |_| false);
        assert_eq!(order(&mut slist).len(), MAX_LOOK_UPS);
        let addresses: Vec<String> = (0..250).map(|n| format!("10.0.0.{n}")).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let mut slist = Slist::new(&zone(&[("ns.a.test.", &addresses)]), Reach { v6: true }, |_| false);
        assert_eq!(order(&mut slist).len(), MAX_SERVERS);
    }

    #[test]
    fn found_addresses_are_asked_once() {
        let mut slist =
            Slist::new(&zone(&[("out.b.test.", &[]), ("ns.a.test.", &["10.0.0.1"])]), Reach { v6: true }, |_| false);
        assert_eq!(slist.next_server(), Some((name("ns.a.test."), [10, 0, 0, 1].into())));
        assert_eq!((slist.next_server(), slist.next_look_up()), (None, Some(name("out.b.test."))));
        slist.found(&name("out.b.test."), &[[10, 0, 0, 1].into(), [10, 0, 0, 2].into()]);
        slist.again(name("ns.a.test."), [10, 0, 0, 1].into());
        assert_eq!(order(&mut slist), ["10.0.0.2", "10.0.0.1"]);
    }
}
