//! Which servers a zone has, and for how long that is known. Pure: the time comes in as an argument.
//!
//! The parent's NS records lead to a zone; the zone's own ones, from its authority, rank above them (RFC 2181 §5.4.1).
//! Both are kept: where the zone's own lead nowhere, the parent's are asked. The zone's own never outlive the parent's,
//! or a zone that was taken away would stay reachable by what it says of itself (ghost domains).

use std::{
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hickory_proto::rr::Name;

use crate::{
    bounded::Bounded,
    hints::Root,
    minimise::labels,
    reading::{NameServer, NsSet},
};

/// For how long a server that failed is asked after the others.
const AVOIDED: Duration = Duration::from_secs(15);

/// A zone and whom to ask for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Zone {
    pub(crate) name: Name,
    /// In the order in which they are asked.
    pub(crate) servers: Vec<Server>,
    /// Whether it was known before.
    pub(crate) remembered: bool,
}

/// A name server, and its addresses as far as they are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) name: Name,
    pub(crate) addresses: Vec<IpAddr>,
}

/// Zones by name, and what is remembered of servers.
#[derive(Debug)]
pub(crate) struct Delegations {
    // A std mutex: it is held for a few look-ups, never across an await.
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    zones: Bounded<Name, Entry>,
    root: Entry,
    servers: Bounded<IpAddr, Past>,
}

#[derive(Clone, Debug)]
struct Entry {
    parent: Kept,
    own: Option<Kept>,
    /// Which server is asked first; the next time it is the next one.
    turn: usize,
}

#[derive(Clone, Debug)]
struct Kept {
    until: Option<Instant>,
    servers: Vec<KeptServer>,
}

/// A server, and its addresses with the time at which each is forgotten.
type KeptServer = (Name, Vec<(IpAddr, Option<Instant>)>);

/// What is remembered of a server.
#[derive(Clone, Copy, Debug, Default)]
struct Past {
    failed: Option<Instant>,
    without_edns: bool,
}

impl Delegations {
    /// Begins at these roots.
    pub(crate) fn new(roots: &[Root], bound: usize) -> Self {
        let mut servers: Vec<KeptServer> = Vec::new();
        for root in roots {
            match servers.iter_mut().find(|(name, _)| *name == root.name) {
                Some((_, addresses)) => addresses.push((root.ip, None)),
                None => servers.push((root.name.clone(), vec![(root.ip, None)])),
            }
        }
        let root = Entry { parent: Kept { until: None, servers }, own: None, turn: 0 };
        let inner = Inner { zones: Bounded::new(bound), root, servers: Bounded::new(bound) };
        Self { inner: Mutex::new(inner) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The closest zone at or above this name whose servers are known; `strictly` above it for a type that the parent
    /// zone holds (DS, RFC 4035 §3.1.4.1).
    pub(crate) fn closest(&self, name: &Name, strictly: bool, now: Instant) -> Zone {
        let mut inner = self.inner();
        let count = labels(name);
        for kept in (1..=count.saturating_sub(usize::from(strictly))).rev() {
            let zone = name.trim_to(kept);
            if let Some(entry) = inner.zones.find(&zone)
                && let Some(zone) = entry.zone(&zone, now)
            {
                return zone;
            }
        }
        inner.root.zone(&Name::root(), now).unwrap_or_else(|| Zone {
            name: Name::root(),
            servers: Vec::new(),
            remembered: true,
        })
    }

    /// The servers of a zone, as a server of the zone `above` tells; they are not known for longer than that one's are.
    pub(crate) fn learn(&self, zone: &Name, above: &Name, set: &NsSet, now: Instant) -> Zone {
        let mut inner = self.inner();
        let mut parent = Kept::new(set, now);
        let ends = if above.is_root() { None } else { inner.zones.find(above).and_then(|entry| entry.parent.until) };
        parent.until = parent.until.map(|until| ends.map_or(until, |ends| until.min(ends)));
        let before = inner.zones.find(zone).map(|entry| (entry.turn, entry.own.take()));
        let (turn, own) = before.unwrap_or_default();
        let own = own.filter(|own| own.until.is_some_and(|until| until > now));
        let mut entry = Entry { parent, own, turn };
        let found = entry.at_once(zone, now);
        inner.zones.insert(zone.clone(), entry);
        found
    }

    /// The servers of a zone, as it says itself.
    pub(crate) fn learn_own(&self, zone: &Name, set: &NsSet, now: Instant) {
        let mut inner = self.inner();
        let entry = if zone.is_root() { Some(&mut inner.root) } else { inner.zones.find(zone) };
        if let Some(entry) = entry {
            let mut own = Kept::new(set, now);
            own.until = match (own.until, entry.parent.until) {
                (Some(own), Some(parent)) => Some(own.min(parent)),
                (own, parent) => own.or(parent),
            };
            entry.own = Some(own);
        }
    }

    /// The addresses that the parents of the zones above this name server told of it. Its own zone's word ranks above
    /// them, and where that leads nowhere, they are left to try.
    pub(crate) fn glue_of(&self, server: &Name, now: Instant) -> Vec<IpAddr> {
        let mut inner = self.inner();
        let mut found = Vec::new();
        for count in (1..=labels(server)).rev() {
            let Some(entry) = inner.zones.find(&server.trim_to(count)) else { continue };
            if entry.parent.until.is_none_or(|until| until > now) {
                let of_it = entry.parent.servers.iter().filter(|(name, _)| name == server);
                merge(&mut found, of_it.flat_map(|(_, addresses)| addresses).map(|(ip, _)| *ip));
            }
        }
        found
    }

    /// Forgets the servers of a zone.
    pub(crate) fn forget(&self, zone: &Name) {
        self.inner().zones.remove(zone);
    }

    /// This server was asked in vain.
    pub(crate) fn failed(&self, ip: IpAddr, now: Instant) {
        self.inner().past(ip, |past| past.failed = Some(now));
    }

    /// Whether others are asked before this server.
    pub(crate) fn is_avoided(&self, ip: IpAddr, now: Instant) -> bool {
        let failed = self.inner().servers.find(&ip).and_then(|past| past.failed);
        failed.is_some_and(|at| now.saturating_duration_since(at) < AVOIDED)
    }

    /// This server answers only what comes without EDNS.
    pub(crate) fn is_without_edns(&self, ip: IpAddr) {
        self.inner().past(ip, |past| past.without_edns = true);
    }

    /// Whether this server is known to answer only what comes without EDNS.
    pub(crate) fn knows_no_edns(&self, ip: IpAddr) -> bool {
        self.inner().servers.find(&ip).is_some_and(|past| past.without_edns)
    }
}

impl Inner {
    fn past(&mut self, ip: IpAddr, change: impl FnOnce(&mut Past)) {
        let mut past = self.servers.find(&ip).copied().unwrap_or_default();
        change(&mut past);
        self.servers.insert(ip, past);
    }
}

impl Entry {
    /// The zone, where its servers are still known and can be reached by what is known.
    fn zone(&mut self, name: &Name, now: Instant) -> Option<Zone> {
        if self.parent.until.is_some_and(|until| until <= now) {
            return None;
        }
        let servers = self.servers(now);
        // Names within the zone are of no use without an address: their addresses are asked of themselves.
        let leads_on = servers.iter().any(|server| !server.addresses.is_empty() || !name.zone_of(&server.name));
        leads_on.then(|| Zone { name: name.clone(), servers: self.in_turn(servers), remembered: true })
    }

    /// The zone as it was just told, however short it lives.
    fn at_once(&mut self, name: &Name, now: Instant) -> Zone {
        let mut servers = self.servers(now);
        // A time to live of 0 holds for the look-up in progress.
        for (told, addresses) in &self.parent.servers {
            if let Some(server) = servers.iter_mut().find(|server| server.name == *told) {
                merge(&mut server.addresses, addresses.iter().map(|(ip, _)| *ip));
            }
        }
        Zone { name: name.clone(), servers: self.in_turn(servers), remembered: false }
    }

    fn servers(&self, now: Instant) -> Vec<Server> {
        let mut servers: Vec<Server> = Vec::new();
        let own = self.own.as_ref().filter(|own| own.until.is_none_or(|until| until > now));
        for (name, addresses) in own.into_iter().chain([&self.parent]).flat_map(|kept| &kept.servers) {
            let alive = addresses.iter().filter(|(_, until)| until.is_none_or(|until| until > now)).map(|(ip, _)| *ip);
            match servers.iter_mut().find(|server| server.name == *name) {
                Some(server) => merge(&mut server.addresses, alive),
                None => servers.push(Server { name: name.clone(), addresses: alive.collect() }),
            }
        }
        servers
    }

    /// Servers take turns, so that none has all the load, and each is seen before long.
    fn in_turn(&mut self, mut servers: Vec<Server>) -> Vec<Server> {
        if !servers.is_empty() {
            let first = self.turn % servers.len();
            servers.rotate_left(first);
        }
        self.turn = self.turn.wrapping_add(1);
        servers
    }
}

impl Kept {
    fn new(set: &NsSet, now: Instant) -> Self {
        let until = |ttl: u32| now + Duration::from_secs(ttl.into());
        let servers = set.servers.iter().map(|NameServer { name, glue }| {
            (name.clone(), glue.iter().map(|(ip, ttl)| (*ip, Some(until(*ttl)))).collect())
        });
        Self { until: Some(until(set.ttl)), servers: servers.collect() }
    }
}

fn merge(known: &mut Vec<IpAddr>, more: impl Iterator<Item = IpAddr>) {
    for ip in more {
        if !known.contains(&ip) {
            known.push(ip);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn ip(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    fn set(ttl: u32, servers: &[(&str, &[(u8, u32)])]) -> NsSet {
        let server = |(owner, glue): &(&str, &[(u8, u32)])| NameServer {
            name: name(owner),
            glue: glue.iter().map(|(last, ttl)| (ip(*last), *ttl)).collect(),
        };
        NsSet { ttl, servers: servers.iter().map(server).collect() }
    }

    fn shown(zone: &Zone) -> String {
        let server = |server: &Server| {
            let addresses: Vec<String> = server.addresses.iter().map(ToString::to_string).collect();
            format!("{}={}", server.name, addresses.join(","))
        };
        let servers: Vec<String> = zone.servers.iter().map(server).collect();
        format!("{} {}", zone.name, servers.join(" "))
    }

    fn delegations() -> (Delegations, Instant) {
        (Delegations::new(&[Root { name: name("ns.root."), ip: ip(1) }], 64), Instant::now())
    }

    #[test]
    fn the_closest_zone_that_is_still_known() {
        let (delegations, now) = delegations();
        let (at, root) = (|seconds| now + Duration::from_secs(seconds), Name::root());
        delegations.learn(&name("test."), &root, &set(600, &[("ns.test.", &[(2, 600)])]), now);
        delegations.learn(&name("a.test."), &root, &set(60, &[("ns.a.test.", &[(3, 30)]), ("ns.b.", &[])]), now);
        delegations.learn(&name("c.test."), &root, &set(60, &[("ns.c.test.", &[(4, 30)])]), now);
        let closest = |asked: &str, strictly, seconds| shown(&delegations.closest(&name(asked), strictly, at(seconds)));
        assert_eq!(closest("www.A.test.", false, 1), "A.test. ns.b.= ns.a.test.=10.0.0.3");
        assert_eq!(closest("a.test.", true, 1), "test. ns.test.=10.0.0.2");
        // The glue is over; the server without glue can be looked up, the one within its zone cannot.
        assert_eq!(closest("www.a.test.", false, 31), "a.test. ns.a.test.= ns.b.=");
        assert_eq!(closest("www.c.test.", false, 31), "test. ns.test.=10.0.0.2");
        assert_eq!(closest("www.a.test.", false, 61), "test. ns.test.=10.0.0.2");
        assert_eq!(closest("www.a.test.", false, 601), ". ns.root.=10.0.0.1");
        delegations.forget(&name("test."));
        assert_eq!(closest("test.", false, 1), ". ns.root.=10.0.0.1");
    }

    #[test]
    fn the_zones_own_servers_go_first_and_the_parents_stay() {
        let (delegations, now) = delegations();
        let zone = name("a.test.");
        delegations.learn(&zone, &Name::root(), &set(60, &[("ns1.a.test.", &[(3, 600)])]), now);
        delegations.learn_own(&zone, &set(600, &[("ns2.a.test.", &[(4, 600)])]), now);
        let found = |seconds| shown(&delegations.closest(&zone, false, now + Duration::from_secs(seconds)));
        assert_eq!(found(1), "a.test. ns1.a.test.=10.0.0.3 ns2.a.test.=10.0.0.4");
        assert_eq!(found(1), "a.test. ns2.a.test.=10.0.0.4 ns1.a.test.=10.0.0.3");
        assert_eq!(found(61), ". ns.root.=10.0.0.1", "what a zone says of itself outlives its delegation");
    }

    #[test]
    fn a_delegation_ends_with_the_one_above_it() {
        let (delegations, now) = delegations();
        delegations.learn(&name("test."), &Name::root(), &set(5, &[("ns.test.", &[(2, 5)])]), now);
        delegations.learn(&name("a.test."), &name("test."), &set(3_600, &[("ns.a.test.", &[(3, 3_600)])]), now);
        let found = |seconds| delegations.closest(&name("a.test."), false, now + Duration::from_secs(seconds)).name;
        assert_eq!((found(4), found(6)), (name("a.test."), Name::root()));
    }

    #[test]
    fn a_delegation_without_time_to_live_holds_once() {
        let (delegations, now) = delegations();
        let zone = delegations.learn(&name("a.test."), &Name::root(), &set(0, &[("ns.a.test.", &[(3, 0)])]), now);
        assert_eq!((shown(&zone), zone.remembered), ("a.test. ns.a.test.=10.0.0.3".to_owned(), false));
        assert_eq!(delegations.closest(&name("a.test."), false, now).name, Name::root());
    }

    #[test]
    fn what_is_remembered_of_servers() {
        let (delegations, now) = delegations();
        delegations.failed(ip(3), now);
        assert!(delegations.is_avoided(ip(3), now) && !delegations.is_avoided(ip(4), now));
        assert!(!delegations.is_avoided(ip(3), now + AVOIDED));
        delegations.is_without_edns(ip(3));
        assert!(delegations.knows_no_edns(ip(3)) && !delegations.knows_no_edns(ip(4)));
    }
}
