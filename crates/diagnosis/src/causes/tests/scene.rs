//! Small cases, put together piece by piece.

use std::net::{IpAddr, SocketAddr};

use journey::{
    Basis, Cause, Event, Evidence, Hop, HostReport, KnownHost, NoUse, Observer, Place, Reason, Stage, StageName,
    StageState, Sure, Trouble, What,
    capture::{Bytes, Capture, Captured, Fate, Frame, Link, LinkKind, Mac, Port},
    chronicle::{YOU, in_order},
    dns::{Flags, Meaning, Question, Record, Reply, Transport},
    evidence::Placed,
    report::AcceptQueue,
    root_walk::RootWalk,
    stage::{self, Address, Attempt, Connect, Did, Exchange, Failure, NameSource, QueryResult, Tried},
};

use crate::{
    causes::causes,
    verdict::{Facts, judge},
};

pub(super) const HOSTS: [(&str, &str); 8] = [
    ("you", "10.78.1.100"),
    ("resolver", "10.78.1.53"),
    ("root", "10.78.2.10"),
    ("tld", "10.78.2.20"),
    ("auth1", "10.78.2.31"),
    ("auth2", "10.78.2.32"),
    ("app1", "10.78.2.81"),
    ("app2", "10.78.2.82"),
];

pub(super) const NAME: &str = "www.example.local";
const RESOLVER: &str = "10.78.1.53:53";

/// A visit of `http://www.example.local/` in a lab of which every host reports.
#[derive(Clone)]
pub(super) struct Scene {
    pub(super) hops: Vec<Hop>,
    pub(super) events: Vec<Event>,
    pub(super) hosts: Vec<KnownHost>,
    pub(super) place: Place,
    pub(super) observers: Vec<Observer>,
    pub(super) capture: Captured,
    pub(super) walk: Option<RootWalk>,
    pub(super) run_delays: Vec<journey::machine::RunDelay>,
    pub(super) fail: bool,
    pub(super) again: Vec<String>,
}

pub(super) fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(super) fn server(host: &str) -> SocketAddr {
    let ip = HOSTS.iter().find(|(name, _)| *name == host).map_or(host, |(_, ip)| ip);
    SocketAddr::new(ip.parse().unwrap(), 53)
}

pub(super) fn question(name: &str) -> Question {
    Question { name: format!("{name}."), rtype: "A".to_owned() }
}

pub(super) fn reply(meaning: Meaning, aa: bool) -> Reply {
    let rcode = match meaning {
        Meaning::NoSuchName => "NXDOMAIN",
        Meaning::ServerFailure => "SERVFAIL",
        Meaning::Refused => "REFUSED",
        Meaning::Other => "FORMERR",
        _ => "NOERROR",
    };
    Reply {
        rcode: rcode.to_owned(),
        meaning,
        flags: Flags { aa, ..Flags::default() },
        answer: Vec::new(),
        authority: Vec::new(),
        additional: Vec::new(),
        counts: [0; 3],
        edns: None,
        bytes: 60,
    }
}

pub(super) fn record(name: &str, rtype: &str, data: &str) -> Record {
    Record { name: format!("{name}."), rtype: rtype.to_owned(), ttl: 300, data: data.to_owned() }
}

pub(super) fn addresses(name: &str, ips: &[&str]) -> Reply {
    let answer: Vec<Record> = ips.iter().map(|ip| record(name, "A", ip)).collect();
    Reply { counts: [answer.len(), 0, 0], answer, ..reply(Meaning::Answer, true) }
}

pub(super) fn aliases(links: &[(&str, &str)]) -> Reply {
    let answer: Vec<Record> = links.iter().map(|(from, to)| record(from, "CNAME", &format!("{to}."))).collect();
    Reply { counts: [answer.len(), 0, 0], answer, ..reply(Meaning::Alias, true) }
}

pub(super) fn referral(zone: &str, ns: &str, ip: &str) -> Reply {
    Reply {
        authority: vec![record(zone, "NS", &format!("{ns}."))],
        additional: vec![record(ns, "A", ip)],
        ..reply(Meaning::Referral, false)
    }
}

impl Scene {
    /// Nothing has happened yet.
    pub(super) fn new() -> Self {
        let stages = StageName::ALL.into_iter().map(Stage::not_reached).collect();
        let hosts =
            HOSTS.iter().map(|(name, ip)| KnownHost { name: (*name).to_owned(), addresses: vec![ip.parse().unwrap()] });
        let said = HostReport::Reported { events: 0, same_clock: true, overwritten: 0, queues: Vec::new() };
        let observers = HOSTS[1..].iter().map(|(name, _)| Observer { host: (*name).to_owned(), said: said.clone() });
        let hop = Hop { url: format!("http://{NAME}/"), stages, notes: Vec::new() };
        let place = Place::EmbeddedLab { ready_us: 1, hosts: 7, network: journey::LabNetwork::default() };
        Self {
            hops: vec![hop],
            events: Vec::new(),
            hosts: hosts.collect(),
            place,
            observers: observers.collect(),
            capture: Captured::default(),
            walk: None,
            run_delays: Vec::new(),
            fail: false,
            again: Vec::new(),
        }
    }

    /// On the internet: no host is known, and none reports.
    pub(super) fn on_the_internet(mut self) -> Self {
        self.place = Place::Internet;
        self.hosts.clear();
        self.observers.clear();
        self.events.retain(|event| event.host == YOU);
        for stage in self.hops.iter_mut().flat_map(|hop| &mut hop.stages) {
            match &mut stage.did {
                Did::Name(stage::Name { source: Some(NameSource::Resolver { host, .. }), .. }) => *host = None,
                Did::Connect(connect) => connect.attempts.iter_mut().for_each(|attempt| attempt.host = None),
                _ => {}
            }
        }
        self
    }

    /// A stage, from when to when (ms), and what it failed by.
    pub(super) fn stage(mut self, did: Did, ms: (u64, u64), failed: Option<(Reason, &str)>) -> Self {
        let hop = self.hops.last_mut().unwrap();
        let stage = hop.stages.iter_mut().find(|stage| stage.name() == did.name()).unwrap();
        *stage = Stage {
            state: if failed.is_some() { StageState::Failed } else { StageState::Done },
            start_us: Some(ms.0 * 1_000),
            duration_us: Some((ms.1 - ms.0) * 1_000),
            evidence: Evidence::Observed,
            did,
            failure: failed.map(|(reason, what)| Failure { reason, what: what.to_owned() }),
            note: None,
            calls: Vec::new(),
        };
        self
    }

    /// The name stage, with what came of its one question.
    pub(super) fn name(self, told: QueryResult, ms: (u64, u64), failed: Option<(Reason, &str)>) -> Self {
        self.asked(vec![told], ms, failed)
    }

    /// The name stage, with what came of each transmission.
    pub(super) fn asked(mut self, told: Vec<QueryResult>, ms: (u64, u64), failed: Option<(Reason, &str)>) -> Self {
        let exchange = |(nth, result): (u64, QueryResult)| Exchange {
            question: question(NAME),
            id: 7,
            transport: Transport::Udp,
            server: at(RESOLVER),
            via: None,
            local: None,
            start_us: (ms.0 + nth) * 1_000,
            duration_us: (ms.1 - ms.0) * 1_000,
            sent_us: Some((ms.0 + nth) * 1_000),
            sent_bytes: 40,
            opt: stage::Opt::Full,
            opening: None,
            tls: None,
            result,
        };
        let exchanges: Vec<Exchange> = (0..).zip(told).map(exchange).collect();
        let found = exchanges.iter().flat_map(|exchange| match &exchange.result {
            QueryResult::Reply { reply } => reply.answer.clone(),
            _ => Vec::new(),
        });
        let addresses = found.filter_map(|record| record.data.parse().ok()).map(|ip: IpAddr| Address {
            ip,
            ttl: Some(300),
            host: journey::host_of(&self.hosts, ip).map(str::to_owned),
        });
        let did = stage::Name {
            asked: NAME.to_owned(),
            source: Some(NameSource::Resolver {
                host: Some("resolver".to_owned()),
                address: at(RESOLVER),
                url: None,
                timeout_s: Some(5),
                chosen_by: "the lab's".to_owned(),
            }),
            addresses: addresses.collect(),
            exchanges,
            ..stage::Name::default()
        };
        self = self.stage(Did::Name(did), ms, failed);
        self.events.extend(journey::chronicle::own(&self.hops));
        self
    }

    /// The name stage failed by SERVFAIL.
    pub(super) fn servfail() -> Self {
        let what = format!("{RESOLVER} could not get an answer for {NAME}");
        let told = QueryResult::Reply { reply: reply(Meaning::ServerFailure, false) };
        Self::new().name(told, (0, 50), Some((Reason::ServerFailure, &what)))
    }

    /// The name was found at these addresses.
    pub(super) fn found(ips: &[&str]) -> Self {
        Self::new().name(QueryResult::Reply { reply: addresses(NAME, ips) }, (0, 5), None)
    }

    /// What became of connecting to these addresses.
    pub(super) fn connect(mut self, results: &[(&str, Tried)], ms: (u64, u64), failed: Option<(Reason, &str)>) -> Self {
        let attempt = |(server, result): &(&str, Tried)| Attempt {
            server: at(server),
            host: journey::host_of(&self.hosts, at(server).ip()).map(str::to_owned),
            via: None,
            local: None,
            start_us: ms.0 * 1_000,
            duration_us: (ms.1 - ms.0) * 1_000,
            result: result.clone(),
            kernel: None,
        };
        let attempts = results.iter().map(attempt).collect();
        self = self.stage(Did::Connect(Connect { attempts, waited: None }), ms, failed);
        self.events.retain(|event| event.host != YOU);
        self.events.extend(journey::chronicle::own(&self.hops));
        self
    }

    /// Connected to `app1`.
    pub(super) fn connected() -> Self {
        Self::found(&["10.78.2.81"]).connect(&[("10.78.2.81:80", Tried::Connected)], (5, 6), None)
    }

    /// A host says so, at a time (ms).
    pub(super) fn says(mut self, host: &str, ms: i64, what: What) -> Self {
        let evidence = Evidence::Reported { by: host.to_owned(), placed: Placed::Clock };
        self.events.push(Event { id: 0, at_us: Some(ms * 1_000), host: host.to_owned(), evidence, what });
        self
    }

    /// A server sent this answer.
    pub(super) fn answers(self, host: &str, ms: i64, of: &str, reply: Reply, elapsed_us: u64) -> Self {
        let peer = at("10.78.1.53:5000");
        let (transport, question) = (Transport::Udp, question(of));
        let read = What::QueryReceived { peer, transport, question: question.clone() };
        self.says(host, ms, read).says(host, ms, What::AnswerSent { peer, transport, question, reply, elapsed_us })
    }

    /// The resolver got this answer.
    pub(super) fn hears(self, from: &str, ms: i64, of: &str, reply: Reply, elapsed_us: u64) -> Self {
        let (server, transport, question) = (server(from), Transport::Udp, question(of));
        let sent = What::QuerySent { server, transport, question: question.clone() };
        self.says("resolver", ms, sent).says(
            "resolver",
            ms,
            What::ReplyReceived { server, transport, question, reply, elapsed_us },
        )
    }

    /// The resolver's question was of no use.
    pub(super) fn fails(self, at: &str, ms: i64, of: &str, failure: NoUse, why: &str) -> Self {
        let (server, transport, question) = (server(at), Transport::Udp, question(of));
        let sent = What::QuerySent { server, transport, question: question.clone() };
        let what = What::QueryFailed { server, transport, question, why: why.to_owned(), failure, elapsed_us: 500_000 };
        self.says("resolver", ms, sent).says("resolver", ms, what)
    }

    /// The resolver answered this visit, and had it in its cache or not.
    pub(super) fn resolver_answers(self, reply: Reply, from_cache: bool) -> Self {
        let hit = What::CacheHit { question: question(NAME), age_s: Some(9), remaining_ttl_s: 200 };
        let scene = if from_cache { self.says("resolver", 1, hit) } else { self };
        scene.answers("resolver", 1, NAME, reply, 100)
    }

    pub(super) fn silent(mut self, host: &str) -> Self {
        self.said(host, HostReport::Silent { why: "nothing answers on its admin port".to_owned() });
        self
    }

    /// A thread waited so long (ms) for a processor.
    pub(super) fn waited(mut self, of: &str, ms: u64) -> Self {
        self.run_delays.push(journey::machine::RunDelay { of: of.to_owned(), us: ms * 1_000 });
        self
    }

    pub(super) fn queue(mut self, host: &str, address: &str, waiting: u32, limit: u32) -> Self {
        let queues = vec![AcceptQueue { address: at(address), waiting, limit }];
        self.said(host, HostReport::Reported { events: 0, same_clock: true, overwritten: 0, queues });
        self
    }

    fn said(&mut self, host: &str, said: HostReport) {
        self.observers.iter_mut().find(|observer| observer.host == host).unwrap().said = said;
    }

    /// A network with these frames on it.
    pub(super) fn frames(mut self, frames: Vec<Frame>) -> Self {
        let port = |host: &str, ip: &str| Port {
            host: host.to_owned(),
            interface: "eth0".to_owned(),
            mac: Some(mac(ip)),
            addresses: vec![format!("{ip}/24")],
        };
        let link = |name: &str, router: &str, net: &str| Link {
            name: name.to_owned(),
            kind: LinkKind::Segment,
            ports: HOSTS
                .iter()
                .filter(|(_, ip)| ip.starts_with(net))
                .map(|(host, ip)| port(host, ip))
                .chain([port("router", router)])
                .collect(),
            learned_before: Vec::new(),
            learned_after: Vec::new(),
        };
        let links = vec![link("clients", "10.78.1.1", "10.78.1."), link("servers", "10.78.2.1", "10.78.2.")];
        self.capture = Captured::Frames(Box::new(Capture { links, frames, ..Capture::default() }));
        self
    }

    /// What to try next, as the outcome says.
    pub(super) fn next(&self) -> String {
        let events = in_order(self.events.clone());
        judge(&self.case(&events)).0.next.unwrap_or_default()
    }

    fn case<'a>(&'a self, events: &'a [Event]) -> Facts<'a> {
        Facts {
            hops: &self.hops,
            events,
            hosts: &self.hosts,
            place: &self.place,
            observers: &self.observers,
            capture: &self.capture,
            walk: self.walk.as_ref(),
            run_delays: &self.run_delays,
            fail_on_status: self.fail,
            again: &self.again,
        }
    }

    /// What is concluded; with what must be so of all that is concluded.
    pub(super) fn causes(&self) -> Vec<Cause> {
        let events = in_order(self.events.clone());
        let case = self.case(&events);
        let found = causes(&case);
        assert_eq!(found, causes(&case));
        let has_failed = self.hops.last().is_some_and(|hop| hop.failed().is_some());
        assert_eq!(found.first().is_some_and(|cause| cause.broke), has_failed, "{found:#?}");
        for cause in &found {
            sound(&case, cause);
        }
        let (outcome, _) = judge(&case);
        assert!(outcome.verdict.ends_with('.') && !outcome.verdict.contains(".."), "{}", outcome.verdict);
        found
    }

    /// The first cause is this one.
    #[track_caller]
    pub(super) fn check(&self, trouble: Trouble, host: Option<&str>, sure: Sure) -> Cause {
        let found = self.causes();
        let first = found.first().unwrap_or_else(|| panic!("no cause"));
        assert_eq!((first.trouble, first.host.as_deref(), first.sure), (trouble, host, sure), "{found:#?}");
        first.clone()
    }

    /// A cause that did not break the visit.
    #[track_caller]
    pub(super) fn check_besides(&self, trouble: Trouble, host: Option<&str>) -> Cause {
        let found = self.causes();
        let is_it = |cause: &&Cause| cause.trouble == trouble && cause.host.as_deref() == host && !cause.broke;
        found.iter().find(is_it).unwrap_or_else(|| panic!("{trouble:?} at {host:?} is not in {found:#?}")).clone()
    }
}

/// Everything that a cause names is there.
fn sound(case: &Facts<'_>, cause: &Cause) {
    assert!(!cause.what.is_empty() && !cause.what.ends_with('.') && !cause.basis.is_empty(), "{cause:#?}");
    for basis in &cause.basis {
        let exists = match basis {
            Basis::Event { id } => case.events.iter().any(|event| event.id == *id),
            Basis::Stage { hop, stage } => case.hops.get(*hop).is_some_and(|hop| hop.stage(*stage).is_some()),
            Basis::Frame { number } => {
                case.capture.frames().is_some_and(|capture| (1..=capture.frames.len() as u64).contains(number))
            }
            Basis::Observer { host } => case.observers.iter().any(|observer| observer.host == *host),
            Basis::Walk { finding } => case.walk.is_some_and(|walk| *finding < walk.findings.len()),
        };
        assert!(exists, "{basis:?} of {cause:#?}");
    }
    if let Some(host) = &cause.host {
        let is_known = case.hosts.iter().any(|known| known.name == *host) || host == "router";
        let is_address = host.parse::<IpAddr>().is_ok() || host.parse::<SocketAddr>().is_ok();
        assert!(is_known || is_address || host == "resolver", "{cause:#?}");
    }
}

pub(super) fn mac(ip: &str) -> Mac {
    let IpAddr::V4(ip) = ip.parse().unwrap() else { panic!("{ip}") };
    let [a, b, c, d] = ip.octets();
    Mac([2, a, b, c, d, 0])
}

/// What became of a frame: it came to these hosts, or to none.
pub(super) fn fate(to: &[&str]) -> Fate {
    match to {
        [] => Fate::Dropped { why: "wire:loss".to_owned() },
        _ => Fate::Passed { to: to.iter().map(|host| (*host).to_owned()).collect(), flooded: false, altered: None },
    }
}

fn frame(ms: i64, link: usize, from: &str, to: Mac, ether_type: u16, packet: Vec<u8>, fate: Fate) -> Frame {
    let bytes = [&to.0[..], &[2; 6], &ether_type.to_be_bytes(), &packet].concat();
    Frame {
        at_ns: ms * 1_000_000,
        link,
        from: Some(from.to_owned()),
        fate,
        len: bytes.len() as u32,
        bytes: Bytes(bytes),
        cut: None,
        unfilled_checksum: None,
    }
}

fn octets(ip: &str) -> [u8; 4] {
    ip.parse::<std::net::Ipv4Addr>().unwrap().octets()
}

/// An ARP request on a link.
pub(super) fn arp(ms: i64, link: usize, from: &str, sender: &str, target: &str, to: &[&str]) -> Frame {
    let packet = [&[0, 1, 8, 0, 6, 4, 0, 1][..], &mac(sender).0, &octets(sender), &[0; 6], &octets(target)].concat();
    frame(ms, link, from, Mac::BROADCAST, 0x0806, packet, fate(to))
}

/// A TCP segment on a link: flags as in its header, to the host's port on that link that is named by its address.
#[allow(clippy::too_many_arguments)]
pub(super) fn tcp(
    ms: i64,
    link: usize,
    from: &str,
    ends: (&str, &str),
    hand: &str,
    flags: u8,
    len: usize,
    to: &[&str],
) -> Frame {
    let (source, destination) = (at(ends.0), at(ends.1));
    let total = 40 + len as u16;
    let mut packet = vec![0x45, 0];
    packet.extend(total.to_be_bytes());
    packet.extend([0, 1, 0x40, 0, 64, 6, 0, 0]);
    packet.extend(octets(&source.ip().to_string()));
    packet.extend(octets(&destination.ip().to_string()));
    packet.extend(source.port().to_be_bytes());
    packet.extend(destination.port().to_be_bytes());
    packet.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 1, 0, 0, 0, 0, 0]);
    packet.extend(std::iter::repeat_n(b'x', len));
    frame(ms, link, from, mac(hand), 0x0800, packet, fate(to))
}
