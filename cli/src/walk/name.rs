//! The `name` stage: from a name to addresses, as this machine asks for them. What a resolver does to find out is the
//! resolver's story, and is told by its reports.

use std::{
    cell::RefCell,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    rc::Rc,
    time::Duration,
};

use hickory_proto::rr::{Name, RecordType};
use journey::{
    Reason,
    stage::{self, Address, Did, Failure, NameSource},
};

use super::{
    Broken, Family, Walk,
    answer::{Told, read},
    beside::{self, Open},
    both::{Answer, Question, both},
    given::Way,
    order::{self, Policy, Source},
    secure::{Session, Upstream},
    stub::{self, Log, NoReply, Server},
    system,
    target::Host,
};

/// Who is asked for names.
#[derive(Clone, Debug)]
pub enum Resolvers {
    /// One that was named.
    Given {
        /// It.
        server: Server,
        /// By whom: `--resolver`, `the lab's own`.
        chosen_by: String,
    },
    /// One that is asked over TLS.
    Secure {
        /// It.
        upstream: Upstream,
        /// Who is asked for its own address, where it is given by name.
        bootstrap: Box<Self>,
        /// By whom it was named.
        chosen_by: String,
    },
    /// This machine's hosts file, then its resolvers.
    System,
}

impl Resolvers {
    /// Whether they are asked over TLS.
    pub fn are_secure(&self) -> bool {
        matches!(self, Self::Secure { .. })
    }
}

/// A resolver at one of its addresses.
#[derive(Clone, Debug)]
enum Asks<'a> {
    /// Over UDP and TCP.
    Plain(Server),
    /// Over TLS.
    Secure { upstream: &'a Upstream, address: SocketAddr },
}

impl Asks<'_> {
    fn address(&self) -> SocketAddr {
        match self {
            Self::Plain(server) => server.address,
            Self::Secure { address, .. } => *address,
        }
    }
}

/// What the stage found out.
pub struct Found<'w> {
    /// The addresses, or why there are none.
    pub result: Result<(Did, Vec<Address>), Box<Broken>>,
    /// The words to show where nobody had to be asked.
    pub note: Option<String>,
    /// The question for the other family, where its answer was not waited for.
    pub open: Option<Open<'w>>,
}

impl Found<'_> {
    /// What is known without a question.
    fn known(result: Result<(Did, Vec<Address>), Box<Broken>>) -> Self {
        Self { result, note: None, open: None }
    }
}

/// Finds the addresses of the host that the way leads to.
pub async fn resolve<'w>(walk: &'w Walk<'_>, way: &Way) -> Found<'w> {
    let mut found = look_up(walk, way).await;
    let did = match &mut found.result {
        Ok((did, _)) => did,
        Err(broken) => &mut broken.0,
    };
    if let Did::Name(name) = did {
        name.instead_of.clone_from(&way.instead_of);
    }
    found
}

async fn look_up<'w>(walk: &'w Walk<'_>, way: &Way) -> Found<'w> {
    if let Some(ips) = walk.given.addresses(way) {
        let name = match &way.host {
            Host::Name(name) => name.clone(),
            Host::Ip(ip) => ip.to_string(),
        };
        let source = NameSource::CommandLine { option: "--resolve".to_owned() };
        return Found::known(known(walk, &name, source, ips, way.port));
    }
    let name = match &way.host {
        Host::Name(name) => name,
        Host::Ip(ip) => return literal(walk, *ip, way.instead_of.is_some()),
    };
    if is_localhost(name) {
        let ips = [Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()];
        return Found::known(known(walk, name, NameSource::Localhost, &ips, way.port));
    }
    match ask_resolvers(walk, &walk.resolvers, name, way.port).await {
        Ok((did, addresses, open)) => Found { open, ..Found::known(Ok((Did::Name(did), addresses))) },
        Err(unknown) => Found::known(Err(broken(unknown))),
    }
}

fn broken(unknown: Box<Unknown>) -> Box<Broken> {
    let (did, failure) = *unknown;
    Box::new((Did::Name(did), failure))
}

/// A name whose addresses could not be had.
type Unknown = (stage::Name, Failure);

/// What is left of asking: every transmission, and the question that was not waited for to its end.
struct Trail<'w> {
    log: Rc<Log>,
    open: RefCell<Option<Question<'w>>>,
    // What is to be connected to: by it is decided which addresses are of use.
    port: u16,
}

/// Asks these resolvers for the addresses of a name that is to be connected to on this port.
async fn ask_resolvers<'w>(
    walk: &'w Walk<'_>,
    resolvers: &'w Resolvers,
    name: &str,
    port: u16,
) -> Result<(stage::Name, Vec<Address>, Option<Open<'w>>), Box<Unknown>> {
    let log = Trail { log: Rc::default(), open: RefCell::default(), port };
    let mut bootstrap = None;
    let plain = [format!("{}.", name.trim_end_matches('.'))];
    let Asked { source, answer } = match resolvers {
        Resolvers::Given { server, chosen_by } => {
            ask_all(walk, &[Asks::Plain(server.clone())], &plain, chosen_by, &log).await
        }
        Resolvers::Secure { upstream, bootstrap: by, chosen_by } => {
            match addresses_of(walk, upstream, by, &mut bootstrap).await {
                Ok(addresses) => {
                    let servers: Vec<Asks<'_>> =
                        addresses.into_iter().map(|address| Asks::Secure { upstream, address }).collect();
                    ask_all(walk, &servers, &plain, chosen_by, &log).await
                }
                Err(no_reply) => Asked { source: None, answer: Err(no_reply) },
            }
        }
        Resolvers::System => {
            let ips = system::hosts_file(Path::new(system::HOSTS_FILE), name);
            if !ips.is_empty() {
                let source = NameSource::HostsFile { path: system::HOSTS_FILE.to_owned() };
                let (did, addresses) = known_addresses(walk, name, source, &ips, port)?;
                return Ok((did, addresses, None));
            }
            match system::resolv_conf(Path::new(system::RESOLV_CONF)) {
                Ok(system) => {
                    let servers = system.order(rand::random::<u16>().into());
                    let servers: Vec<Asks<'_>> = servers.into_iter().map(Asks::Plain).collect();
                    ask_all(walk, &servers, &system.candidates(name), system::RESOLV_CONF, &log).await
                }
                Err(no_reply) => Asked { source: None, answer: Err(no_reply) },
            }
        }
    };
    let exchanges = beside::ended(&log.log.borrow(), walk.clock.us());
    let mut did = stage::Name { asked: name.to_owned(), source, bootstrap, exchanges, ..stage::Name::default() };
    match answer {
        Ok(Told { aliases, addresses }) => {
            did.aliases = aliases;
            did.addresses =
                order::sorted(addresses, Policy::of(walk), |address| address.ip, |ip| order::source(walk, ip, port));
            let addresses = did.addresses.clone();
            let open = log.open.into_inner().map(|question| Open { question, log: log.log });
            Ok((did, addresses, open))
        }
        Err(NoReply { reason, what, aliases }) => {
            did.aliases = aliases;
            let what = match (reason, &did.source) {
                (Reason::NoSuchName | Reason::NoAddress, Some(NameSource::Resolver { address, .. })) => {
                    format!("{}, says {address}", did.denial(reason == Reason::NoSuchName))
                }
                _ => what,
            };
            Err(Box::new((did, Failure { reason, what })))
        }
    }
}

/// The addresses of a resolver that is asked over TLS; how they were found, where they had to be.
async fn addresses_of<'w>(
    walk: &'w Walk<'_>,
    upstream: &Upstream,
    by: &'w Resolvers,
    bootstrap: &mut Option<Box<stage::Name>>,
) -> Result<Vec<SocketAddr>, NoReply> {
    let name = match &upstream.host {
        Host::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, upstream.port)]),
        Host::Name(name) => name,
    };
    if is_localhost(name) {
        let ips = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        return Ok(ips.map(|ip: IpAddr| SocketAddr::new(ip, upstream.port)).to_vec());
    }
    // On the heap, as this may be asked by the same function.
    match Box::pin(ask_resolvers(walk, by, name, upstream.port)).await {
        Ok((did, addresses, _)) => {
            *bootstrap = Some(Box::new(did));
            Ok(addresses.iter().map(|address| SocketAddr::new(address.ip, upstream.port)).collect())
        }
        Err(unknown) => {
            let (did, Failure { reason, what }) = *unknown;
            *bootstrap = Some(Box::new(did));
            // Of the name that was asked for, this says nothing.
            let reason = match reason {
                Reason::NoSuchName | Reason::NoAddress => Reason::NoResolver,
                other => other,
            };
            Err(NoReply::new(
                reason,
                format!("the address of the resolver {} is not known: {what}", upstream.url(walk.secrets)),
            ))
        }
    }
}

fn literal<'w>(walk: &Walk<'_>, ip: IpAddr, connect_to: bool) -> Found<'w> {
    let who = if connect_to { "--connect-to" } else { "the URL" };
    let did = stage::Name { asked: ip.to_string(), ..stage::Name::default() };
    if !walk.family.wants(ip) {
        let what = format!("{ip}, which {who} has, is of the family that -4 or -6 excludes");
        return Found::known(Err(Box::new((Did::Name(did), Failure { reason: Reason::NoAddress, what }))));
    }
    let address = Address { ip, ttl: None, host: walk.host_of(ip) };
    let did = stage::Name { addresses: vec![address.clone()], ..did };
    let note = Some(format!("{who} has an address and no name"));
    Found { note, ..Found::known(Ok((Did::Name(did), vec![address]))) }
}

fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost")
}

/// Addresses that are known without asking anybody.
fn known(
    walk: &Walk<'_>,
    name: &str,
    source: NameSource,
    ips: &[IpAddr],
    port: u16,
) -> Result<(Did, Vec<Address>), Box<Broken>> {
    let known = known_addresses(walk, name, source, ips, port);
    known.map(|(did, addresses)| (Did::Name(did), addresses)).map_err(broken)
}

fn known_addresses(
    walk: &Walk<'_>,
    name: &str,
    source: NameSource,
    ips: &[IpAddr],
    port: u16,
) -> Result<(stage::Name, Vec<Address>), Box<Unknown>> {
    let wanted = ips.iter().filter(|ip| walk.family.wants(**ip));
    let addresses = wanted.map(|&ip| Address { ip, ttl: None, host: walk.host_of(ip) }).collect();
    let from = |ip| order::source(walk, ip, port);
    let addresses: Vec<Address> = order::sorted(addresses, Policy::of(walk), |address: &Address| address.ip, from);
    let did = stage::Name {
        asked: name.to_owned(),
        source: Some(source),
        addresses: addresses.clone(),
        ..stage::Name::default()
    };
    if addresses.is_empty() {
        let what = format!("{name} has no address of the family that -4 or -6 asks for");
        return Err(Box::new((did, Failure { reason: Reason::NoAddress, what })));
    }
    Ok((did, addresses))
}

/// Who answered, and what.
#[derive(Clone)]
struct Asked {
    source: Option<NameSource>,
    answer: Result<Told, NoReply>,
}

/// Asks the servers in their order until one has a word on the name, for each candidate name in its order until one
/// exists.
async fn ask_all<'w>(
    walk: &'w Walk<'_>,
    servers: &[Asks<'w>],
    candidates: &[String],
    chosen_by: &str,
    log: &Trail<'w>,
) -> Asked {
    let mut last = Asked { source: None, answer: Err(NoReply::new(Reason::NoResolver, "no resolver is known")) };
    // The first word that a name does not exist, or has no address: the one on the name as it was meant.
    let mut denied = None;
    for candidate in candidates {
        let name = match Name::from_ascii(candidate) {
            Ok(name) => name,
            Err(error) => {
                let what = format!("{candidate:?} cannot be asked for: {error}");
                last.answer = Err(NoReply::new(Reason::NoSuchName, what));
                continue;
            }
        };
        for (nth, server) in servers.iter().enumerate() {
            let answer = ask_server(walk, server, &name, log).await;
            let source = NameSource::Resolver {
                host: walk.host_of(server.address().ip()),
                address: server.address(),
                url: match server {
                    Asks::Plain(_) => None,
                    Asks::Secure { upstream, .. } => Some(upstream.url(walk.secrets)),
                },
                timeout_s: match server {
                    Asks::Plain(server) => server.waits.first().map(Duration::as_secs),
                    Asks::Secure { .. } => None,
                },
                chosen_by: chosen_by.to_owned(),
            };
            // Who was there and failed says more than who was not there.
            let is_down =
                |answer: &Result<Told, NoReply>| matches!(answer, Err(NoReply { reason: Reason::ResolverDown, .. }));
            if nth > 0 && is_down(&answer) && !is_down(&last.answer) {
                continue;
            }
            last = Asked { source: Some(source), answer };
            match &last.answer {
                // A word on the name; another server would say the same.
                Ok(_) | Err(NoReply { reason: Reason::NoSuchName | Reason::NoAddress, .. }) => break,
                Err(NoReply { reason: Reason::MaxTime | Reason::Interrupted, .. }) => return last,
                Err(_) => {}
            }
        }
        match &last.answer {
            Ok(_) => return last,
            Err(NoReply { reason: Reason::NoSuchName | Reason::NoAddress, .. }) => {
                denied.get_or_insert_with(|| last.clone());
            }
            // The servers do not answer; the next candidate would only wait for them again.
            Err(_) => break,
        }
    }
    denied.unwrap_or(last)
}

/// Asks one server for the addresses of both families at once, as browsers do.
async fn ask_server<'w>(walk: &'w Walk<'_>, server: &Asks<'w>, name: &Name, trail: &Trail<'w>) -> Answer {
    let session = match server {
        Asks::Plain(_) => None,
        Asks::Secure { upstream, address } => Some(Rc::new(Session::new(walk, upstream, *address, trail.log.clone()))),
    };
    let ask = |rtype| -> Question<'w> {
        Box::pin(question(walk, server.clone(), session.clone(), name.clone(), rtype, trail.log.clone()))
    };
    match walk.family {
        Family::V4 => ask(RecordType::A).await,
        Family::V6 => ask(RecordType::AAAA).await,
        Family::Any => {
            let usable = |ip| order::source(walk, ip, trail.port) != Source::None;
            let (answer, open) = both(ask(RecordType::A), ask(RecordType::AAAA), Policy::of(walk), usable).await;
            trail.open.replace(open);
            answer
        }
    }
}

/// Asks one server for the addresses of one family. It owns what it needs, as it may go on beside the visit.
async fn question<'w>(
    walk: &'w Walk<'_>,
    server: Asks<'w>,
    session: Option<Rc<Session<'w>>>,
    name: Name,
    rtype: RecordType,
    log: Rc<Log>,
) -> Answer {
    let query = stub::address_question(&name, rtype);
    let message = match (&server, &session) {
        (Asks::Plain(server), _) => stub::ask(walk, server, &query, &log).await?,
        (_, Some(session)) => session.ask(&query).await?,
        (Asks::Secure { .. }, None) => return Err(NoReply::new(Reason::NoResolver, "there is no session")),
    };
    read(walk, server.address(), &name, rtype, &message)
}
