//! Faults: disturbances of the world that somebody asked for, as data.
//!
//! | module | what |
//! |---|---|
//! | [`kind`] | the words: which faults there are, at whom, and what each does |
//! | [`mod@write`] | how a fault is written and read: `auth1:slow=300ms,type=A,first=2` |
//! | [`rtype`] | the record types that a fault may be meant for |
//! | [`schedule`] | when: which of the occurrences that a fault is meant for it meets |
//! | [`set`] | the faults that are in force at a host, or in the network |
//! | [`shared`] | the same, shared between who sets them and who applies them |
//!
//! A fault says where (a host, and which zone, name, type, transport or client there), what with how much of it, and when.
//! The services and the switches of a network apply it; nothing here does.
//!
//! ```
//! use world::{World, fault::{Fault, Kind, Place}};
//!
//! let fault: Fault = "auth:servfail,type=A,first=2".parse()?;
//! assert_eq!((fault.kind, fault.when.first), (Kind::ServFail, Some(2)));
//! assert_eq!(fault.place.hosts(&World::built_in()), ["auth1", "auth2"]);
//! fault.check(&World::built_in())?;
//! # Ok::<_, world::fault::FaultError>(())
//! ```

mod fits;
pub mod kind;
pub mod rtype;
pub mod schedule;
pub mod set;
pub mod shared;
pub mod write;

use std::{net::IpAddr, time::Duration};

pub use kind::{Kind, Role};
pub use schedule::{Flow, Schedule};
pub use set::{Fit, Listed, Met, Set, Waits};
pub use shared::Faults;

use crate::{AddressBook, Host, World};

/// A disturbance of the world: where, what, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// What happens.
    pub kind: Kind,
    /// How much of it.
    pub amount: Option<Amount>,
    /// In an answer, only behind so many of its bytes; one at least.
    pub behind: Option<u64>,
    /// What it is meant for, of all that happens there.
    pub only: Only,
    /// Which of these it meets.
    pub when: When,
}

/// Where a fault is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// In the network between the hosts.
    Wire,
    /// At the host of this name, or at those whose names are this one with a number behind it: `auth` is `auth1` and
    /// `auth2`.
    Host(String),
}

/// How much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// So long.
    Time(Duration),
    /// This HTTP status.
    Status(u16),
    /// This address.
    Address(IpAddr),
}

/// What a fault is meant for; what is not said is not looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Only {
    /// Names in this zone, fully qualified and in lower case.
    pub zone: Option<String>,
    /// This name, fully qualified and in lower case: the one that is asked for, or the host that a request is for.
    pub name: Option<String>,
    /// Questions for this type, in upper case.
    pub rtype: Option<String>,
    /// What comes over this transport.
    pub transport: Option<Transport>,
    /// What this client sends: an address, or a host of the world.
    pub client: Option<Client>,
    /// Frames that this host sends or would get (in the network alone).
    pub at: Option<String>,
    /// Frames of this kind (in the network alone).
    pub frames: Frames,
}

/// A transport, as a service sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP, without more.
    Tcp,
    /// TLS: DNS over TLS, or HTTPS at an application server.
    Tls,
    /// DNS over HTTPS.
    Https,
}

/// A client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Client {
    /// By its address.
    Address(IpAddr),
    /// By its name in the world.
    Host(String),
}

/// Which frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Frames {
    /// All.
    #[default]
    All,
    /// ARP alone.
    Arp,
    /// ICMP and ICMPv6.
    Icmp,
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TCP segments that open a connection: SYN without ACK.
    Syn,
    /// TCP segments that answer those: SYN with ACK.
    SynAck,
    /// TCP segments that close one side: FIN.
    Fin,
    /// TCP segments that carry bytes.
    Data,
}

/// Which of the occurrences that a fault is meant for it meets; with nothing said, all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct When {
    /// Not the first so many.
    pub after: u64,
    /// Of those that then come, only the first so many.
    pub first: Option<u64>,
    /// Only every so-manieth.
    pub every: Option<u64>,
    /// Each with this chance, from 0 to 1.
    pub chance: Option<f64>,
    /// What chance begins with: the same seed, the same course.
    pub seed: u64,
    /// The fault ends by itself after so long.
    pub lasting: Option<Duration>,
}

impl When {
    /// Whether it meets all that it is meant for, as long as it is there.
    pub fn is_always(&self) -> bool {
        self.after == 0 && self.first.is_none() && self.every.is_none() && self.chance.is_none()
    }
}

/// A fault that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no fault: {why}")]
pub struct FaultError {
    /// What was written.
    pub given: String,
    /// What is wrong with it, and what there is.
    pub why: String,
}

impl Place {
    /// The hosts of this world that it means, in their order; none where it means the network, or nothing that is there.
    pub fn hosts<'w>(&self, world: &'w World) -> Vec<&'w str> {
        let Self::Host(place) = self else { return Vec::new() };
        world.hosts.keys().map(String::as_str).filter(|host| means(place, host)).collect()
    }

    /// Whether it means this host.
    pub fn is(&self, host: &str) -> bool {
        matches!(self, Self::Host(place) if means(place, host))
    }
}

/// A host's own name, or that without the number behind it.
fn means(place: &str, host: &str) -> bool {
    let number = |rest: &str| !rest.is_empty() && rest.bytes().all(|digit| digit.is_ascii_digit());
    host.strip_prefix(place).is_some_and(|rest| rest.is_empty() || number(rest))
}

impl Fault {
    /// Whether this world has its place, and a fault of this kind can be there. The error lists what there is.
    pub fn check(&self, world: &World) -> Result<(), FaultError> {
        let there = |(name, host): (&String, &Host)| There {
            name: name.clone(),
            role: role_of(host),
            played_by: host.played_by.clone(),
        };
        let hosts = world.hosts.iter().map(there);
        self.check_among(&hosts.collect::<Vec<_>>())
    }

    /// The same in a lab that this book describes. A host that does not run has no role there, and is not looked at.
    pub fn check_in(&self, book: &AddressBook) -> Result<(), FaultError> {
        let there = |host: &crate::BookHost| There {
            name: host.name.clone(),
            role: host.role(),
            played_by: host.played_by.clone(),
        };
        let hosts = book.hosts.iter().map(there);
        self.check_among(&hosts.collect::<Vec<_>>())
    }

    fn check_among(&self, hosts: &[There]) -> Result<(), FaultError> {
        let is_there = |name: &String| hosts.iter().any(|host| host.name == *name);
        let known = || hosts.iter().map(|host| host.name.as_str()).collect::<Vec<_>>().join(", ");
        if let Some(host) = &self.only.at
            && !is_there(host)
            // The router and the clients are in no world file; the network itself knows them.
            && !is_of_the_network(host)
        {
            return Err(self.wrong(format!("there is no host {host:?}; hosts: {}, you, router", known())));
        }
        if let Some(Client::Host(host)) = &self.only.client
            && !is_there(host)
            && !is_of_the_network(host)
        {
            return Err(self.wrong(format!("there is no client {host:?}; hosts: {}, you, or an address", known())));
        }
        let Place::Host(place) = &self.place else { return Ok(()) };
        let mut meant = hosts.iter().filter(|host| means(place, &host.name)).peekable();
        if meant.peek().is_none() {
            return Err(self.wrong(format!("there is no host {place:?}; places: {}, wire", known())));
        }
        meant.try_for_each(|There { name, role, played_by }| match (played_by, role) {
            (Some(by), _) => {
                Err(self
                    .wrong(format!("{name} is played by {by}, which takes no faults; the network in front of it does")))
            }
            (None, Some(role)) => self.check_kind(name, *role),
            (None, None) => Ok(()),
        })
    }

    /// Whether it is a fault for whoever has this name and this role, as the host itself sees it. For the network, any name
    /// does.
    pub fn check_at(&self, host: &str, role: Role) -> Result<(), FaultError> {
        let here = match role {
            Role::Wire => self.place == Place::Wire,
            _ => self.place.is(host),
        };
        if !here {
            return Err(self.wrong(match role {
                Role::Wire => "here faults of the network alone are put in force: their place is wire".to_owned(),
                _ => format!("here is {host}, and {} is elsewhere", self.place),
            }));
        }
        self.check_kind(host, role)
    }

    fn check_kind(&self, host: &str, role: Role) -> Result<(), FaultError> {
        let name = self.kind.name();
        if self.kind.word(role).is_none() {
            let (all, what) = (kind::names(role), role.what());
            return Err(self.wrong(format!("{name} cannot be at {host}, which is {what}; faults there: {all}")));
        }
        if self.kind.is_state(role) && !(self.when.is_always() && self.only == Only::default()) {
            let why = format!("at {host} the kernel answers everybody so: {name} takes for=TIME alone");
            return Err(self.wrong(why));
        }
        fits::check(self, role).map_err(|why| self.wrong(why))
    }

    fn wrong(&self, why: String) -> FaultError {
        FaultError { given: self.to_string(), why }
    }
}

/// A host that a fault may be at.
struct There {
    name: String,
    role: Option<Role>,
    played_by: Option<String>,
}

fn is_of_the_network(host: &str) -> bool {
    matches!(host, "you" | "router") || host.starts_with("client")
}

/// What plays at a host, where something does.
pub fn role_of(host: &Host) -> Option<Role> {
    match host {
        Host { nameserver: Some(_), .. } => Some(Role::Nameserver),
        Host { resolver: Some(_), .. } => Some(Role::Resolver),
        Host { app: Some(_), .. } => Some(Role::App),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checked_against_the_world() {
        let world = World::built_in();
        let check = |text: &str, expected: Option<&str>| {
            let fault: Fault = text.parse().unwrap();
            let told = fault.check(&world).map_err(|error| error.to_string());
            match expected {
                None => assert_eq!(told, Ok(())),
                Some(part) => assert!(told.as_ref().is_err_and(|told| told.contains(part)), "{text}: {told:?}"),
            }
        };
        check("auth:servfail", None);
        check("auth1:lame", None);
        check("app:refused", None);
        check("root:refused", None);
        check("wire:loss,at=router", None);
        check("wire:loss,at=nobody", Some("there is no host \"nobody\"; hosts: app1, app2, auth1"));
        check("auth3:servfail", Some("there is no host \"auth3\"; places: app1, app2, auth1"));
        check("aut:servfail", Some("there is no host"));
        check(
            "app1:servfail",
            Some("servfail cannot be at app1, which is an application server; faults there: refused"),
        );
        check("resolver:dead-ns", Some("faults there: nxdomain"));
        check("app1:refused,for=3s", None);
        check("app1:refused,first=1", Some("at app1 the kernel answers everybody so: refused takes for=TIME alone"));
        check("auth1:refused,first=1", None);
        check("auth1:tcp-refused,type=A", Some("takes for=TIME alone"));
        check("auth1:drop,client=resolver", None);
        check(
            "app1:garbage,type=A",
            Some("type has no effect on garbage of an application server; parameters: zone=ZONE"),
        );
        check("app1:garbage,transport=udp", Some("parameters: zone=ZONE, name=NAME, transport=tcp|tls|https, client"));
        check("app1:tls-not-tls,name=www.example.local", Some("name has no effect on tls-not-tls"));
        check("app1:tls-not-tls,zone=local", Some("zone has no effect"));
        check("app1:tls-expired,name=www.example.local,transport=https", None);
        check("app1:tls-expired,transport=tcp", Some("transport=tls|https, client"));
        check("app1:reset,after=9B,transport=tls", None);
        check("app1:cut,type=A", Some("after=N, after=NB (bytes), chance=N%"));
        check("auth1:garbage,type=A,transport=udp", None);
        check("auth1:truncate,transport=tcp", Some("type=TYPE, transport=udp, client"));
        check("resolver:stale,type=AAAA", None);
        check("resolver:stale,type=MX", Some("type=A|AAAA, transport=udp|tcp|tls|https"));
        check("auth1:drop,client=someone", Some("there is no client \"someone\""));
    }

    #[test]
    fn another_vendors_server_takes_no_faults() {
        let mut world = World::built_in();
        world.hosts.get_mut("auth1").unwrap().played_by = Some("NSD 4.6".to_owned());
        let told = |text: &str| text.parse::<Fault>().unwrap().check(&world).map_err(|error| error.why);
        assert_eq!(
            told("auth:servfail").unwrap_err(),
            "auth1 is played by NSD 4.6, which takes no faults; the network in front of it does"
        );
        assert_eq!((told("auth2:servfail"), told("wire:loss,at=auth1")), (Ok(()), Ok(())));
    }

    #[test]
    fn places() {
        let auth = Place::Host("auth".to_owned());
        assert!(
            auth.is("auth1") && auth.is("auth12") && auth.is("auth") && !auth.is("author") && !Place::Wire.is("wire")
        );
    }
}
