//! The `name` stage: from a name to addresses, as this machine asks for them. What a resolver does to find out is the
//! resolver's story, and is told by its reports.

use std::{
    cell::RefCell,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    rc::Rc,
    time::Duration,
};

use hickory_proto::{
    op::ResponseCode,
    rr::{Name, RecordType},
};
use journey::{
    Reason,
    stage::{self, Address, Did, Failure, NameSource},
};

use super::{
    Broken, Family, Probe,
    answer::{Resolved, read},
    beside::{self, Open},
    both::{Answer, Question, both},
    order::{self, Policy, Source},
    overrides::Way,
    search::{self, Candidate, Met, Plan, Search},
    secure::{Session, Upstream},
    stub::{self, Log, NoReply, Peer, Server},
    system::{self, Environment, System},
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
    Plain(Rc<Peer>),
    /// Over TLS.
    Secure { upstream: &'a Upstream, address: SocketAddr },
}

impl Asks<'_> {
    fn plain(server: &Server) -> Self {
        Self::Plain(Rc::new(Peer::new(server.clone())))
    }

    fn address(&self) -> SocketAddr {
        match self {
            Self::Plain(peer) => peer.server.address,
            Self::Secure { address, .. } => *address,
        }
    }

    /// How often it may be asked for a name. Over TLS a connection that failed is not opened again.
    fn attempts(&self) -> usize {
        match self {
            Self::Plain(peer) => peer.server.waits.len(),
            Self::Secure { .. } => 1,
        }
    }
}

/// The servers to ask, and how the list is gone through.
struct Servers<'a> {
    list: Vec<Asks<'a>>,
    /// Which one is asked first.
    first: usize,
    /// Whether each name begins with the next server.
    rotate: bool,
    /// Whether a server that reported a failure is asked again in the next round, as libc does.
    repeats_failures: bool,
    /// Which addresses are asked for.
    family: Family,
    /// What named them.
    chosen_by: String,
}

impl<'a> Servers<'a> {
    fn given(list: Vec<Asks<'a>>, probe: &Probe<'_>, chosen_by: &str) -> Self {
        let chosen_by = chosen_by.to_owned();
        Self { list, first: 0, rotate: false, repeats_failures: false, family: probe.family, chosen_by }
    }

    fn of_system(system: &System, probe: &Probe<'_>) -> Self {
        Self {
            list: system.servers.iter().map(Asks::plain).collect(),
            first: if system.rotate { rand::random::<u16>().into() } else { 0 },
            rotate: system.rotate,
            repeats_failures: true,
            family: if system.no_aaaa { Family::V4 } else { probe.family },
            chosen_by: system.chosen_by.clone(),
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
pub async fn resolve<'w>(probe: &'w Probe<'_>, way: &Way) -> Found<'w> {
    let mut found = look_up(probe, way).await;
    let did = match &mut found.result {
        Ok((did, _)) => did,
        Err(broken) => &mut broken.0,
    };
    if let Did::Name(name) = did {
        name.instead_of.clone_from(&way.instead_of);
    }
    found
}

async fn look_up<'w>(probe: &'w Probe<'_>, way: &Way) -> Found<'w> {
    if let Some(ips) = probe.overrides.addresses(way) {
        let name = match &way.host {
            Host::Name(name) => name.clone(),
            Host::Ip(ip) => ip.to_string(),
        };
        let source = NameSource::CommandLine { option: "--resolve".to_owned() };
        return Found::known(known(probe, &name, source, ips, way.port));
    }
    let name = match &way.host {
        Host::Name(name) => name,
        Host::Ip(ip) => return literal(probe, *ip, way.instead_of.is_some()),
    };
    if is_localhost(name) {
        let ips = [Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()];
        return Found::known(known(probe, name, NameSource::Localhost, &ips, way.port));
    }
    match ask_resolvers(probe, &probe.resolvers, name, way.port).await {
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
    probe: &'w Probe<'_>,
    resolvers: &'w Resolvers,
    name: &str,
    port: u16,
) -> Result<(stage::Name, Vec<Address>, Option<Open<'w>>), Box<Unknown>> {
    let log = Trail { log: Rc::default(), open: RefCell::default(), port };
    let mut bootstrap = None;
    let plain = || Plan::default().search(&format!("{}.", name.trim_end_matches('.')));
    let Asked { source, answer } = match resolvers {
        Resolvers::Given { server, chosen_by } => {
            ask_all(probe, Servers::given(vec![Asks::plain(server)], probe, chosen_by), plain(), &log).await
        }
        Resolvers::Secure { upstream, bootstrap: by, chosen_by } => {
            match addresses_of(probe, upstream, by, &mut bootstrap).await {
                Ok(addresses) => {
                    let list = addresses.into_iter().map(|address| Asks::Secure { upstream, address }).collect();
                    ask_all(probe, Servers::given(list, probe, chosen_by), plain(), &log).await
                }
                Err(no_reply) => Asked { source: None, answer: Err(no_reply) },
            }
        }
        Resolvers::System => {
            let ips = system::hosts_file(Path::new(system::HOSTS_FILE), name, probe.family);
            if !ips.is_empty() {
                let source = NameSource::HostsFile { path: system::HOSTS_FILE.to_owned() };
                let (did, addresses) = known_addresses(probe, name, source, &ips, port)?;
                return Ok((did, addresses, None));
            }
            ask_system(probe, name, &log).await
        }
    };
    let exchanges = beside::ended(&log.log.borrow(), probe.clock.us());
    let mut did = stage::Name { asked: name.to_owned(), source, bootstrap, exchanges, ..stage::Name::default() };
    match answer {
        Ok(Resolved { aliases, addresses }) => {
            did.aliases = aliases;
            did.addresses =
                order::sorted(addresses, Policy::of(probe), |address| address.ip, |ip| order::source(probe, ip, port));
            let addresses = did.addresses.clone();
            let open = log.open.into_inner().map(|question| Open { question, log: log.log });
            Ok((did, addresses, open))
        }
        Err(NoReply { reason, what, aliases, .. }) => {
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

/// Asks this machine's resolvers, as resolv.conf and the environment name them.
async fn ask_system<'w>(probe: &'w Probe<'_>, name: &str, log: &Trail<'w>) -> Asked {
    let environment = Environment::read();
    let mut system = system::resolv_conf(Path::new(system::RESOLV_CONF), &environment);
    let alias = environment.alias_of(name);
    if let Some(alias) = &alias {
        system.chosen_by += &format!(", HOSTALIASES ({name} is {alias})");
    }
    if system.no_aaaa && probe.family == Family::V6 {
        let what = format!("IPv6 addresses are not looked up here: options no-aaaa ({})", system.chosen_by);
        return Asked { source: None, answer: Err(NoReply::new(Reason::NoAddress, what)) };
    }
    let search = system.search.search(alias.as_deref().unwrap_or(name));
    ask_all(probe, Servers::of_system(&system, probe), search, log).await
}

/// The addresses of a resolver that is asked over TLS; how they were found, where they had to be.
async fn addresses_of<'w>(
    probe: &'w Probe<'_>,
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
    match Box::pin(ask_resolvers(probe, by, name, upstream.port)).await {
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
                format!("the address of the resolver {} is not known: {what}", upstream.url(probe.secrets)),
            ))
        }
    }
}

fn literal<'w>(probe: &Probe<'_>, ip: IpAddr, connect_to: bool) -> Found<'w> {
    let who = if connect_to { "--connect-to" } else { "the URL" };
    let did = stage::Name { asked: ip.to_string(), ..stage::Name::default() };
    if !probe.family.wants(ip) {
        let what = format!("{ip}, which {who} has, is of the family that -4 or -6 excludes");
        return Found::known(Err(Box::new((Did::Name(did), Failure { reason: Reason::NoAddress, what }))));
    }
    let address = Address { ip, ttl: None, host: probe.host_of(ip) };
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
    probe: &Probe<'_>,
    name: &str,
    source: NameSource,
    ips: &[IpAddr],
    port: u16,
) -> Result<(Did, Vec<Address>), Box<Broken>> {
    let known = known_addresses(probe, name, source, ips, port);
    known.map(|(did, addresses)| (Did::Name(did), addresses)).map_err(broken)
}

fn known_addresses(
    probe: &Probe<'_>,
    name: &str,
    source: NameSource,
    ips: &[IpAddr],
    port: u16,
) -> Result<(stage::Name, Vec<Address>), Box<Unknown>> {
    let wanted = ips.iter().filter(|ip| probe.family.wants(**ip));
    let addresses = wanted.map(|&ip| Address { ip, ttl: None, host: probe.host_of(ip) }).collect();
    let from = |ip| order::source(probe, ip, port);
    let addresses: Vec<Address> = order::sorted(addresses, Policy::of(probe), |address: &Address| address.ip, from);
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
    answer: Result<Resolved, NoReply>,
}

/// Asks for each candidate name in its order until one has addresses.
async fn ask_all<'w>(probe: &'w Probe<'_>, mut servers: Servers<'w>, mut search: Search, log: &Trail<'w>) -> Asked {
    let (mut results, mut asked) = (Vec::new(), Vec::new());
    while let Some(Candidate { name, kind }) = search.next_name() {
        let one = match name {
            Ok(name) => ask_list(probe, &servers, &name, log).await,
            Err(what) => Asked { source: None, answer: Err(NoReply::new(Reason::NoSuchName, what)) },
        };
        let is_over = |no_reply: &NoReply| matches!(no_reply.reason, Reason::MaxTime | Reason::Interrupted);
        let met = match &one.answer {
            Ok(_) => return one,
            Err(no_reply) if is_over(no_reply) => return one,
            Err(no_reply) => met(no_reply, one.source.is_some()),
        };
        search.met(kind, met);
        results.push((kind, met));
        asked.push(one);
        servers.first += usize::from(servers.rotate);
    }
    match search::telling(&results) {
        Some(nth) => asked.swap_remove(nth),
        None => Asked { source: None, answer: Err(NoReply::new(Reason::NoResolver, "no resolver is known")) },
    }
}

/// What a failure means for the search. A name that could not be asked for is a failure of another kind.
fn met(no_reply: &NoReply, was_asked: bool) -> Met {
    match no_reply.reason {
        _ if !was_asked => Met::Other,
        Reason::NoSuchName => Met::NoSuchName,
        Reason::NoAddress => Met::NoData,
        Reason::ServerFailure => Met::ServerFailure,
        Reason::ResolverDown => Met::NobodyThere,
        _ => Met::Other,
    }
}

/// Asks the servers for a name, one after the other and in as many rounds as they have attempts, until one has a word on it.
async fn ask_list<'w>(probe: &'w Probe<'_>, servers: &Servers<'w>, name: &Name, log: &Trail<'w>) -> Asked {
    let count = servers.list.len();
    let rounds = servers.list.iter().map(Asks::attempts).max().unwrap_or_default();
    let what = format!("{} allows no attempt (options attempts:0)", servers.chosen_by);
    let mut best = Asked { source: None, answer: Err(NoReply::new(Reason::NoResolver, what)) };
    let mut is_out = vec![false; count];
    for round in 0..rounds {
        for nth in (0..count).map(|nth| (servers.first + nth) % count) {
            let server = &servers.list[nth];
            if is_out[nth] || round >= server.attempts() {
                continue;
            }
            let answer = ask_server(probe, servers.family, server, round, name, log).await;
            let Err(no_reply) = &answer else { return Asked { source: Some(source(probe, servers, server)), answer } };
            // A machine that refuses would refuse again.
            is_out[nth] = no_reply.reason == Reason::ResolverDown
                || !(no_reply.is_unanswered || servers.repeats_failures && no_reply.rcode.is_some());
            let (is_word, is_better) =
                (is_word(no_reply), best.source.is_none() || weight(&answer) >= weight(&best.answer));
            if is_word || is_better {
                best = Asked { source: Some(source(probe, servers, server)), answer };
            }
            if is_word {
                return best;
            }
        }
    }
    best
}

/// Whether a failure is a word on the name, which another server would repeat; or ends the visit. libc asks nobody else
/// after FORMERR either.
fn is_word(no_reply: &NoReply) -> bool {
    let reasons = [Reason::NoSuchName, Reason::NoAddress, Reason::MaxTime, Reason::Interrupted];
    reasons.contains(&no_reply.reason) || no_reply.rcode == Some(ResponseCode::FormErr)
}

/// Who was there and failed says more than who was silent, and that more than who was not there.
fn weight(answer: &Result<Resolved, NoReply>) -> u8 {
    match answer {
        Err(NoReply { reason: Reason::ResolverDown, .. }) => 0,
        Err(NoReply { reason: Reason::Timeout, .. }) => 1,
        _ => 2,
    }
}

fn source(probe: &Probe<'_>, servers: &Servers<'_>, server: &Asks<'_>) -> NameSource {
    NameSource::Resolver {
        host: probe.host_of(server.address().ip()),
        address: server.address(),
        url: match server {
            Asks::Plain(_) => None,
            Asks::Secure { upstream, .. } => Some(upstream.url(probe.secrets)),
        },
        timeout_s: match server {
            Asks::Plain(peer) => peer.server.waits.first().map(Duration::as_secs),
            Asks::Secure { .. } => None,
        },
        chosen_by: servers.chosen_by.clone(),
    }
}

/// Asks one server for the addresses of both families at once, as browsers do.
async fn ask_server<'w>(
    probe: &'w Probe<'_>,
    family: Family,
    server: &Asks<'w>,
    attempt: usize,
    name: &Name,
    trail: &Trail<'w>,
) -> Answer {
    let session = match server {
        Asks::Plain(_) => None,
        Asks::Secure { upstream, address } => Some(Rc::new(Session::new(probe, upstream, *address, trail.log.clone()))),
    };
    let ask = |rtype| -> Question<'w> {
        Box::pin(question(probe, (server.clone(), attempt), session.clone(), name.clone(), rtype, trail.log.clone()))
    };
    match family {
        Family::V4 => ask(RecordType::A).await,
        Family::V6 => ask(RecordType::AAAA).await,
        Family::Any => {
            let usable = |ip| order::source(probe, ip, trail.port) != Source::None;
            let (answer, open) = both(ask(RecordType::A), ask(RecordType::AAAA), Policy::of(probe), usable).await;
            trail.open.replace(open);
            answer
        }
    }
}

/// Asks one server, in one of its attempts, for the addresses of one family. It owns what it needs, as it may go on beside the visit.
async fn question<'w>(
    probe: &'w Probe<'_>,
    (server, attempt): (Asks<'w>, usize),
    session: Option<Rc<Session<'w>>>,
    name: Name,
    rtype: RecordType,
    log: Rc<Log>,
) -> Answer {
    let query = stub::address_question(&name, rtype);
    let message = match (&server, &session) {
        (Asks::Plain(peer), _) => peer.ask(probe, &query, attempt, &log).await?,
        (_, Some(session)) => session.ask(&query).await?,
        (Asks::Secure { .. }, None) => return Err(NoReply::new(Reason::NoResolver, "there is no session")),
    };
    read(probe, server.address(), &name, rtype, &message)
}
