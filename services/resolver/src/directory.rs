//! What delegations have told about name servers: the name behind an address, and the zones it is to answer for.
//!
//! hickory asks addresses and does not say on whose behalf. The names are for people who read why an answer could not be
//! had; the zones tell a referral that leads on from one that leads back (a lame delegation).

use std::{
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hickory_proto::{
    op::Message,
    rr::{Name, RData, Record},
};

use crate::{bounded::Bounded, hints::Root};

/// More zones than this are not remembered of one server; the oldest goes.
const MAX_ZONES: usize = 16;

/// Name servers by address.
#[derive(Debug)]
pub(crate) struct Directory {
    // A std mutex: it is held for a few look-ups, never across an await.
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    servers: Bounded<IpAddr, Server>,
    /// The zones that a name was said to serve, until an address for it comes by.
    targets: Bounded<Name, Vec<Name>>,
    /// When the time to live of the first delegation is over.
    first_end: Option<Instant>,
}

#[derive(Debug)]
struct Server {
    roles: Vec<Role>,
    failed: Option<(Instant, String)>,
}

/// What an address is there for; one address may have many names.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Role {
    zone: Name,
    name: Name,
}

impl Server {
    /// On whose behalf this server is asked for this name: the closest zone above it that it is to answer for.
    fn role_for(&self, name: &Name) -> Option<&Role> {
        let above = self.roles.iter().filter(|role| role.zone.zone_of(name));
        above.max_by_key(|role| role.zone.num_labels())
    }
}

impl Directory {
    pub(crate) fn new(roots: &[Root], bound: usize) -> Self {
        let mut inner = Inner { servers: Bounded::new(bound), targets: Bounded::new(bound), first_end: None };
        for root in roots {
            inner.note(root.ip, Role { zone: Name::root(), name: root.name.clone() });
        }
        Self { inner: Mutex::new(inner) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the time to live of a delegation has ended that nobody has forgotten since.
    pub(crate) fn has_ended(&self, now: Instant) -> bool {
        self.inner().first_end.is_some_and(|end| end <= now)
    }

    /// Whoever believed the delegations that had ended then believes none of them any more.
    pub(crate) fn forgotten(&self, now: Instant) {
        self.inner().first_end.take_if(|end| *end <= now);
    }

    /// Reads the delegations and addresses in a reply.
    pub(crate) fn learn(&self, reply: &Message, now: Instant) {
        let mut inner = self.inner();
        if reply.all_sections().any(|record| matches!(record.data, RData::NS(_))) {
            let shortest = reply.all_sections().map(|record| record.ttl).min().unwrap_or_default();
            let end = now + Duration::from_secs(shortest.into());
            inner.first_end = Some(inner.first_end.map_or(end, |first| first.min(end)));
        }
        for record in reply.authorities.iter().chain(&reply.answers) {
            if let RData::NS(target) = &record.data {
                match inner.targets.find(&target.0) {
                    Some(zones) => remember(zones, record.name.clone()),
                    None => inner.targets.insert(target.0.clone(), vec![record.name.clone()]),
                }
            }
        }
        for record in reply.additionals.iter().chain(&reply.answers) {
            let Some(ip) = address(record) else { continue };
            for zone in inner.targets.find(&record.name).cloned().unwrap_or_default() {
                inner.note(ip, Role { zone, name: record.name.clone() });
            }
        }
    }

    /// The zone on whose behalf this server is asked for this name, and the name it has there.
    pub(crate) fn role_for(&self, ip: IpAddr, name: &Name) -> Option<(Name, Name)> {
        let mut inner = self.inner();
        let role = inner.servers.find(&ip)?.role_for(name)?;
        Some((role.zone.clone(), role.name.clone()))
    }

    /// The widest zone above this name that this server was ever said to serve: what it has a say in. hickory may ask it on
    /// behalf of any of its zones, and leaves out what is outside that one.
    pub(crate) fn has_a_say_in(&self, ip: IpAddr, name: &Name) -> Option<Name> {
        let mut inner = self.inner();
        let above = inner.servers.find(&ip)?.roles.iter().filter(|role| role.zone.zone_of(name));
        above.min_by_key(|role| role.zone.num_labels()).map(|role| role.zone.clone())
    }

    /// Remembers that this server has just been asked in vain.
    pub(crate) fn failed(&self, ip: IpAddr, why: &str, now: Instant) {
        if let Some(server) = self.inner().servers.find(&ip) {
            server.failed = Some((now, why.to_owned()));
        }
    }

    /// Servers for zones above this name that were asked in vain since then. For a client whose walk went along with
    /// another's: hickory asks once for both, and only the other was told what went wrong.
    pub(crate) fn failures(&self, name: &Name, since: Instant) -> Vec<(IpAddr, Name, String)> {
        let inner = self.inner();
        let recent = inner.servers.iter().filter_map(|(ip, server)| {
            let (at, why) = server.failed.as_ref()?;
            let role = server.role_for(name).filter(|_| *at >= since)?;
            Some((*at, *ip, role.name.clone(), why.clone()))
        });
        let mut recent: Vec<_> = recent.collect();
        recent.sort_by_key(|(at, ip, ..)| (*at, *ip));
        recent.into_iter().map(|(_, ip, name, why)| (ip, name, why)).collect()
    }
}

impl Inner {
    fn note(&mut self, ip: IpAddr, role: Role) {
        match self.servers.find(&ip) {
            Some(server) => remember(&mut server.roles, role),
            None => self.servers.insert(ip, Server { roles: vec![role], failed: None }),
        }
    }
}

/// Keeps the latest [`MAX_ZONES`], each once.
fn remember<T: PartialEq>(known: &mut Vec<T>, new: T) {
    if known.contains(&new) {
        return;
    }
    if known.len() == MAX_ZONES {
        known.remove(0);
    }
    known.push(new);
}

fn address(record: &Record) -> Option<IpAddr> {
    match &record.data {
        RData::A(ip) => Some(ip.0.into()),
        RData::AAAA(ip) => Some(ip.0.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::{A, NS};

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn delegation(zone: &str, target: &str, ip: [u8; 4]) -> Message {
        let mut message = Message::query().into_response();
        message.authorities.push(Record::from_rdata(name(zone), 60, RData::NS(NS(name(target)))));
        message.additionals.push(Record::from_rdata(name(target), 60, RData::A(A(ip.into()))));
        message
    }

    #[test]
    fn one_address_with_several_names() {
        let ip: IpAddr = [10, 0, 0, 1].into();
        let directory = Directory::new(&[Root { name: name("ns.root."), ip }], 8);
        let now = Instant::now();
        directory.learn(&delegation("a.test.", "ns.a.test.", [10, 0, 0, 1]), now);
        directory.learn(&delegation("b.test.", "ns.b.test.", [10, 0, 0, 1]), now + Duration::from_secs(30));
        let at = |seconds| now + Duration::from_secs(seconds);
        assert_eq!([59, 60, 61].map(|seconds| directory.has_ended(at(seconds))), [false, true, true]);
        directory.forgotten(at(59));
        assert!(directory.has_ended(at(60)));
        directory.forgotten(at(60));
        assert!(!directory.has_ended(at(61)));
        let check = |asked: &str, expected: (&str, &str)| {
            let (zone, server) = directory.role_for(ip, &name(asked)).unwrap();
            assert_eq!((zone, server), (name(expected.0), name(expected.1)), "{asked}");
        };
        check("w.a.test.", ("a.test.", "ns.a.test."));
        check("B.test.", ("b.test.", "ns.b.test."));
        check("test.", (".", "ns.root."));
        assert_eq!(directory.has_a_say_in(ip, &name("w.a.test.")), Some(Name::root()));
        assert_eq!(directory.role_for([10, 0, 0, 2].into(), &name("a.test.")), None);
    }

    #[test]
    fn recent_failures_of_a_names_servers() {
        let (ip, other) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let directory = Directory::new(&[], 8);
        directory.learn(&delegation("a.test.", "ns.a.test.", [10, 0, 0, 1]), Instant::now());
        directory.learn(&delegation("b.test.", "ns.b.test.", [10, 0, 0, 2]), Instant::now());
        let before = Instant::now();
        directory.failed(ip, "silent", Instant::now());
        directory.failed(other, "silent", Instant::now());
        let expected = vec![(ip, name("ns.a.test."), "silent".to_owned())];
        assert_eq!(directory.failures(&name("w.a.test."), before), expected);
        assert_eq!(directory.failures(&name("w.a.test."), Instant::now()), []);
    }
}
