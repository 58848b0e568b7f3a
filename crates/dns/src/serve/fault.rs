//! The faults of a DNS server: which of them strikes at a query, and what is then sent.
//!
//! What each does to an answer is in [`disturb`], which is pure. Where there are no faults, a query costs one load.
//!
//! A fault for `client=HOST` goes by the query's source address. Where sockets on loopback stand in for the world's
//! addresses, all queries come from loopback and no address tells who asks: there such a fault is for every query, unless
//! the book shows that the host asks nobody, as name servers and application servers do.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use hickory_proto::{
    op::{Message, Metadata},
    rr::Name,
};
use hickory_server::server::{Request, RequestHandler};
use journey::dns::Transport;
use service::{Signals, Stop, door::State};
use tokio::time::sleep;
use world::{
    AddressBook,
    fault::{self, Amount, Client, Fault, Faults, Fit, Kind, Met, Place, Role, Waits},
};

use super::{Server, message, message::Encoded};
use crate::{options, words};

mod disturb;

use disturb::Setting;

tokio::task_local! {
    static STRUCK: Struck;
}

/// A fault that a handler itself has to act out: [`Kind::Stale`], as only a cache can be stale.
#[derive(Clone, Debug)]
pub struct Struck {
    /// The addresses that it gives instead of the true ones.
    pub addresses: Vec<IpAddr>,
    faults: Faults,
    id: u64,
    // Whether it has, once the handler has asked.
    strikes: Arc<OnceLock<bool>>,
}

/// What a fault makes of this host's doors for streams.
pub(super) fn door(fault: &Fault, host: &str) -> Option<State> {
    let is_meant = fault.kind == Kind::TcpRefused && matches!(fault.place, Place::Host(_)) && fault.place.is(host);
    is_meant.then_some(State::Refusing)
}

impl Struck {
    /// Whether it strikes, which counts it: to be asked where there are addresses for it to change.
    pub fn strikes(&self) -> bool {
        *self.strikes.get_or_init(|| self.faults.strike_with(self.id))
    }
}

/// The fault that would strike at the query which this handler answers, where it is the handler's part.
pub fn struck() -> Option<Struck> {
    STRUCK.try_with(Clone::clone).ok()
}

/// A server's faults, and what has to be known of it to apply them.
#[derive(Debug)]
pub struct Faulty {
    host: String,
    faults: Faults,
    stop: Stop,
    setting: Setting,
    clients: Clients,
}

/// Who a client is, by its address.
#[derive(Debug)]
struct Clients {
    hosts: Vec<(String, Vec<IpAddr>)>,
    /// The host that asks name servers.
    resolver: Option<String>,
    /// Whether sockets on loopback stand in for the world's addresses.
    on_loopback: bool,
}

impl Faulty {
    /// The faults of this host, which serves these zones.
    pub fn new(
        role: Role,
        host: &str,
        zones: Vec<Name>,
        book: &AddressBook,
        you: &[IpAddr],
        signals: &Signals,
    ) -> Self {
        let own = book.host(host).map(|host| host.addresses.clone()).unwrap_or_default();
        let mut hosts: Vec<_> = book.hosts.iter().map(|host| (host.name.clone(), host.addresses.clone())).collect();
        hosts.push(("you".to_owned(), you.to_vec()));
        let clients = Clients {
            hosts,
            resolver: book.resolver().map(|(host, _)| host.name.clone()),
            on_loopback: book.closed.is_some(),
        };
        let setting = Setting { role, zones, own, nobody: disturb::nobody(book) };
        Self { host: host.to_owned(), faults: signals.faults.clone(), stop: signals.stop.clone(), setting, clients }
    }

    pub(super) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// What meets this query before there is an answer.
    fn meet(&self, request: &Request, transport: Transport) -> Met {
        if self.faults.is_empty() {
            return Met::Nothing;
        }
        self.faults.meet(|fault| match self.is_meant(fault, request, transport) {
            false => Fit::No,
            true if disturb::looks_at_answers(fault.kind) => Fit::OnAnswer,
            true => Fit::Yes,
        })
    }

    /// The fault that meets this answer, from that one on.
    fn meet_answer(&self, from: u64, request: &Request, transport: Transport, real: &Encoded) -> Option<Fault> {
        let real = Message::from_vec(&real.bytes).ok();
        let changes = |fault: &Fault| real.as_ref().is_some_and(|real| disturb::changes(fault, real, &self.setting));
        self.faults.meet_answer(from, |fault| {
            self.is_meant(fault, request, transport) && (!disturb::looks_at_answers(fault.kind) || changes(fault))
        })
    }

    fn is_meant(&self, fault: &Fault, request: &Request, transport: Transport) -> bool {
        let Fault { place, kind, only, .. } = fault;
        let is_here = matches!(place, Place::Host(_)) && place.is(&self.host);
        if !is_here || kind.word(self.setting.role).is_none() || kind.is_state(self.setting.role) {
            return false;
        }
        // Nothing is cut on a stream, so nothing strikes there.
        if *kind == Kind::Truncate && transport != Transport::Udp {
            return false;
        }
        let query = request.queries.queries()[0].original();
        if *kind == Kind::Stale && !self.setting.has_instead(fault, query.query_type()) {
            return false;
        }
        // What was read as a name is one; a name that cannot be read is met by nothing.
        let is = |text: &str, fits: fn(&Name, &Name) -> bool| {
            Name::from_ascii(text).is_ok_and(|name| fits(&name, query.name()))
        };
        only.zone.as_deref().is_none_or(|zone| is(zone, Name::zone_of))
            && only.name.as_deref().is_none_or(|name| is(name, |a, b| a == b))
            && only.rtype.as_deref().is_none_or(|rtype| rtype == words::rtype(query.query_type()))
            && only.transport.is_none_or(|wanted| wanted == self::transport(transport))
            && only.client.as_ref().is_none_or(|client| self.clients.is(client, request.src().ip()))
    }
}

impl Clients {
    fn is(&self, client: &Client, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        match client {
            Client::Address(address) => address.to_canonical() == ip,
            Client::Host(name) if self.on_loopback && ip.is_loopback() => {
                let serves = self.hosts.iter().any(|(host, _)| host == name && host != "you");
                !serves || self.resolver.as_ref() == Some(name)
            }
            Client::Host(name) => self.hosts.iter().any(|(host, addresses)| host == name && addresses.contains(&ip)),
        }
    }
}

fn transport(transport: Transport) -> fault::Transport {
    match transport {
        Transport::Udp => fault::Transport::Udp,
        Transport::Tcp => fault::Transport::Tcp,
        Transport::Tls => fault::Transport::Tls,
        Transport::Https => fault::Transport::Https,
    }
}

impl<H: RequestHandler> Server<H> {
    /// The bytes to send; `None` where nothing is sent.
    pub(super) async fn reply(&self, request: &Request, transport: Transport) -> Option<Vec<u8>> {
        // On the heap, or every query would carry the room for it.
        match self.faults.meet(request, transport) {
            Met::Nothing => Some(message::fit(self.handled(request).await, request)),
            Met::Strikes(fault) => Box::pin(self.disturbed(fault, request, None)).await,
            Met::Waits(waits) => Box::pin(self.looked_at(waits, request, transport)).await,
        }
    }

    /// What is sent where a fault has to see the answer to know whether there is anything in it that it could change.
    async fn looked_at(&self, waits: Waits, request: &Request, transport: Transport) -> Option<Vec<u8>> {
        let Waits { mut id, fault, would_strike } = waits;
        let real = if fault.kind == Kind::Stale && would_strike {
            let struck = self.struck(&fault, id, OnceLock::new());
            let real = STRUCK.scope(struck.clone(), self.handled(request)).await;
            match struck.strikes.get() {
                Some(true) => {
                    self.note(&fault, request);
                    return Some(message::fit(real, request));
                }
                // It has seen the occurrence.
                Some(false) => id += 1,
                None => {}
            }
            real
        } else {
            self.handled(request).await
        };
        match self.faults.meet_answer(id, request, transport, &real) {
            Some(fault) => self.disturbed(fault, request, Some(real)).await,
            None => Some(message::fit(real, request)),
        }
    }

    fn struck(&self, fault: &Fault, id: u64, strikes: OnceLock<bool>) -> Struck {
        let addresses = self.faults.setting.instead(fault);
        Struck { addresses, faults: self.faults.faults.clone(), id, strikes: Arc::new(strikes) }
    }

    fn note(&self, fault: &Fault, request: &Request) {
        tracing::debug!(host = self.faults.host, %fault, peer = %request.src(), "strikes");
    }

    /// What is sent where a fault has struck. A handler that has no part in it is not asked: a server that is down asks
    /// nobody either. `real` is its answer where it was asked before the fault struck.
    async fn disturbed(&self, fault: Fault, request: &Request, real: Option<Encoded>) -> Option<Vec<u8>> {
        self.note(&fault, request);
        let blank = || self.blank(request);
        let encoded = match fault.kind {
            Kind::Drop => return None,
            Kind::NotAResponse => return Some(request.as_slice().to_vec()),
            Kind::Garbage => return Some(disturb::garbage(request.metadata.id)),
            Kind::NxDomain | Kind::NoData | Kind::ServFail | Kind::Refused | Kind::Lame => {
                encoded(disturb::made_up(fault.kind, blank(), &self.faults.setting))?
            }
            Kind::Stale => {
                // It has been counted.
                STRUCK.scope(self.struck(&fault, 0, OnceLock::from(true)), self.handled(request)).await
            }
            kind => {
                let real = match real {
                    Some(real) => real,
                    None => self.handled(request).await,
                };
                match kind {
                    Kind::Truncate | Kind::DeadNs | Kind::Loop | Kind::Bailiwick => {
                        let changed = Message::from_vec(&real.bytes).ok();
                        let changed = changed.map(|real| disturb::changed(&fault, real, &self.faults.setting));
                        changed.and_then(encoded).unwrap_or(real)
                    }
                    _ => real,
                }
            }
        };
        let mut bytes = message::fit(encoded, request);
        match fault_time(&fault) {
            Some(time) => tokio::select! {
                () = sleep(time) => {}
                // Nobody waits for a server that is told to end until it has been slow enough.
                () = self.faults.stop.cancelled() => return None,
            },
            None if fault.kind == Kind::WrongId => disturb::wrong_id(&mut bytes),
            None => {}
        }
        Some(bytes)
    }

    /// An empty answer of this server.
    fn blank(&self, request: &Request) -> Message {
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.recursion_available = self.faults.setting.role == Role::Resolver;
        let mut blank = Message::query();
        blank.metadata = metadata;
        blank.queries = request.queries.queries().iter().map(|query| query.original().clone()).collect();
        blank.edns = options::of_reply(request.edns.as_ref(), self.nsid.as_deref());
        blank
    }
}

fn fault_time(fault: &Fault) -> Option<Duration> {
    match fault.amount {
        Some(Amount::Time(time)) if fault.kind == Kind::Slow => Some(time),
        _ => None,
    }
}

fn encoded(message: Message) -> Option<Encoded> {
    // What was read or made of a few records can be written.
    Some(Encoded { bytes: message.to_vec().ok()?, edns: message.edns })
}

#[cfg(test)]
mod tests;
