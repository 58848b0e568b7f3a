//! Name servers that say whatever a test wants.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME, NS, SOA, TXT},
    },
};
use journey::dns::Transport;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
    task::JoinSet,
};
use world::{BookHost, BookService, Protocol};

/// What a server does with a query.
pub(crate) enum Act {
    /// Sends this, its id and question made to fit.
    Say(Message),
    /// Sends these bytes, one datagram each, and then the message if there is one.
    Bytes(Vec<Vec<u8>>, Option<Message>),
    /// Says nothing.
    Drop,
    /// Says it later.
    Late(std::time::Duration, Message),
    /// Sends this, with the id and question that it has.
    AsItIs(Message),
    /// The same over UDP, from another address.
    Elsewhere(Message),
    /// One after the other.
    Each(Vec<Self>),
}

impl Act {
    fn each(self) -> Vec<Self> {
        if let Self::Each(acts) = self { acts } else { vec![self] }
    }
}

/// Where name servers listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ground {
    /// At ports of loopback; the address book tells which.
    Loopback,
    /// At their own addresses, which are this machine's, on port 53.
    Own,
}

impl Ground {
    fn socket(self, ip: IpAddr) -> SocketAddr {
        match self {
            Self::Loopback => ([127, 0, 0, 1], 0).into(),
            Self::Own => SocketAddr::new(ip, 53),
        }
    }
}

/// Where what is sent from elsewhere comes from, on the servers' own ground.
const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 78, 2, 250));

type Script = Arc<dyn Fn(&Message, Transport) -> Act + Send + Sync>;

/// A name server at an address of the world.
pub(crate) struct Fake {
    pub(crate) ip: IpAddr,
    udp: SocketAddr,
    tcp: SocketAddr,
    seen: Arc<Mutex<Vec<Message>>>,
    _tasks: JoinSet<()>,
}

impl Fake {
    /// Starts it on loopback.
    pub(crate) async fn new(ip: &str, script: impl Fn(&Message, Transport) -> Act + Send + Sync + 'static) -> Self {
        Self::on(Ground::Loopback, ip.parse().unwrap(), script).await
    }

    /// Starts it.
    pub(crate) async fn on(
        ground: Ground,
        ip: IpAddr,
        script: impl Fn(&Message, Transport) -> Act + Send + Sync + 'static,
    ) -> Self {
        let udp = UdpSocket::bind(ground.socket(ip)).await.unwrap();
        let tcp = TcpListener::bind(ground.socket(ip)).await.unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let script: Script = Arc::new(script);
        let mut fake = Self {
            ip,
            udp: udp.local_addr().unwrap(),
            tcp: tcp.local_addr().unwrap(),
            seen: Arc::clone(&seen),
            _tasks: JoinSet::new(),
        };
        fake._tasks.spawn(datagrams(ground, udp, Arc::clone(&script), Arc::clone(&seen)));
        fake._tasks.spawn(streams(tcp, script, seen));
        fake
    }

    /// A server that never says anything.
    pub(crate) async fn silent(ip: &str) -> Self {
        Self::new(ip, |_, _| Act::Drop).await
    }

    /// The queries that it has read.
    pub(crate) fn seen(&self) -> Vec<Message> {
        self.seen.lock().unwrap().clone()
    }

    /// The same as `TYPE name`.
    pub(crate) fn asked(&self) -> Vec<String> {
        let line = |message: &Message| format!("{} {}", message.queries[0].query_type(), message.queries[0].name());
        self.seen().iter().map(line).collect()
    }

    /// Its entry in the address book.
    pub(crate) fn host(&self) -> BookHost {
        let address = SocketAddr::new(self.ip, 53);
        let service = |protocol, socket| BookService { name: "dns".to_owned(), protocol, address, socket };
        BookHost {
            name: format!("host-{}", self.ip),
            about: String::new(),
            addresses: vec![self.ip],
            services: vec![service(Protocol::Udp, self.udp), service(Protocol::Tcp, self.tcp)],
            played_by: None,
            published: Vec::new(),
        }
    }
}

async fn datagrams(ground: Ground, socket: UdpSocket, script: Script, seen: Arc<Mutex<Vec<Message>>>) {
    let socket = Arc::new(socket);
    let mut buffer = [0; 4096];
    loop {
        let Ok((length, peer)) = socket.recv_from(&mut buffer).await else { continue };
        let Ok(query) = Message::from_vec(&buffer[..length]) else { continue };
        seen.lock().unwrap().push(query.clone());
        for act in script(&query, Transport::Udp).each() {
            datagram(ground, act, &query, &socket, peer).await;
        }
    }
}

async fn datagram(ground: Ground, act: Act, query: &Message, socket: &Arc<UdpSocket>, peer: SocketAddr) {
    match act {
        Act::Drop | Act::Each(_) => {}
        Act::Say(message) => {
            let _ = socket.send_to(&fitted(message, query), peer).await;
        }
        Act::AsItIs(message) => {
            let _ = socket.send_to(&message.to_vec().unwrap(), peer).await;
        }
        Act::Elsewhere(message) => {
            let other = UdpSocket::bind(ground.socket(ELSEWHERE)).await.unwrap();
            let _ = other.send_to(&message.to_vec().unwrap(), peer).await;
        }
        Act::Bytes(raw, message) => {
            for mut bytes in raw {
                // A script that wants the right id writes zeros.
                if bytes.len() >= 2 && bytes[..2] == [0, 0] {
                    bytes[..2].copy_from_slice(&query.metadata.id.to_be_bytes());
                }
                let _ = socket.send_to(&bytes, peer).await;
            }
            if let Some(message) = message {
                let _ = socket.send_to(&fitted(message, query), peer).await;
            }
        }
        Act::Late(delay, message) => {
            let (socket, bytes) = (Arc::clone(socket), fitted(message, query));
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                let _ = socket.send_to(&bytes, peer).await;
            });
        }
    }
}

async fn streams(listener: TcpListener, script: Script, seen: Arc<Mutex<Vec<Message>>>) {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else { continue };
        let Ok(length) = stream.read_u16().await else { continue };
        let mut bytes = vec![0; usize::from(length)];
        if stream.read_exact(&mut bytes).await.is_err() {
            continue;
        }
        let Ok(query) = Message::from_vec(&bytes) else { continue };
        seen.lock().unwrap().push(query.clone());
        for act in script(&query, Transport::Tcp).each() {
            let bytes = match act {
                Act::Say(message) => fitted(message, &query),
                Act::AsItIs(message) => message.to_vec().unwrap(),
                _ => continue,
            };
            let _ = stream.write_u16(bytes.len().try_into().unwrap()).await;
            let _ = stream.write_all(&bytes).await;
        }
    }
}

fn fitted(mut message: Message, query: &Message) -> Vec<u8> {
    message.metadata.id = query.metadata.id;
    message.queries = query.queries.clone();
    message.to_vec().unwrap()
}

pub(crate) fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

pub(crate) fn a(owner: &str, ip: &str) -> Record {
    Record::from_rdata(name(owner), 300, RData::A(A(ip.parse().unwrap())))
}

pub(crate) fn aaaa(owner: &str, ip: &str) -> Record {
    Record::from_rdata(name(owner), 300, RData::AAAA(AAAA(ip.parse().unwrap())))
}

pub(crate) fn cname(owner: &str, target: &str) -> Record {
    Record::from_rdata(name(owner), 300, RData::CNAME(CNAME(name(target))))
}

pub(crate) fn txt(owner: &str, text: &str) -> Record {
    Record::from_rdata(name(owner), 300, RData::TXT(TXT::new(vec![text.to_owned()])))
}

pub(crate) fn ns(zone: &str, target: &str) -> Record {
    Record::from_rdata(name(zone), 3600, RData::NS(NS(name(target))))
}

pub(crate) fn soa(zone: &str) -> Record {
    let data = SOA::new(name("ns.test."), name("hostmaster.test."), 1, 1800, 900, 604_800, 60);
    Record::from_rdata(name(zone), 600, RData::SOA(data))
}

/// An empty reply.
pub(crate) fn reply(code: ResponseCode) -> Message {
    let mut message = Message::query().into_response();
    message.metadata.recursion_desired = false;
    message.metadata.response_code = code;
    message
}

/// An authoritative answer.
pub(crate) fn answer(records: Vec<Record>) -> Act {
    let mut message = reply(ResponseCode::NoError);
    message.metadata.authoritative = true;
    message.answers = records;
    Act::Say(message)
}

/// An authoritative "no".
pub(crate) fn no(code: ResponseCode, aliases: Vec<Record>, zone: &str) -> Act {
    let mut message = reply(code);
    message.metadata.authoritative = true;
    message.answers = aliases;
    message.authorities.push(soa(zone));
    Act::Say(message)
}

/// A delegation to servers with these names and addresses.
pub(crate) fn referral(zone: &str, servers: &[(&str, &str)]) -> Act {
    let mut message = reply(ResponseCode::NoError);
    for (target, ip) in servers {
        let delegation = ns(zone, target);
        if !message.authorities.contains(&delegation) {
            message.authorities.push(delegation);
        }
        message.additionals.push(if ip.contains(':') { aaaa(target, ip) } else { a(target, ip) });
    }
    Act::Say(message)
}

/// What is asked, as `TYPE name` in lower case.
pub(crate) fn what(query: &Message) -> (String, RecordType) {
    (query.queries[0].name().to_lowercase().to_ascii(), query.queries[0].query_type())
}

/// The address of the root, in every test.
pub(crate) const ROOT: &str = "10.78.2.10";
/// The first server of `zone.test.`.
pub(crate) const ONE: &str = "10.78.2.31";
/// The second one.
pub(crate) const TWO: &str = "10.78.2.32";

/// A root that delegates `test.` to itself no further than to `zone.test.`, whose servers have these addresses.
pub(crate) async fn root(servers: &'static [(&'static str, &'static str)]) -> Fake {
    Fake::new(ROOT, move |query, _| {
        let (name, _) = what(query);
        match name.as_str() {
            "test." => no(ResponseCode::NoError, Vec::new(), "."),
            name if name.ends_with("zone.test.") => referral("zone.test.", servers),
            _ => no(ResponseCode::NXDomain, Vec::new(), "."),
        }
    })
    .await
}

/// The usual two servers.
pub(crate) const BOTH: &[(&str, &str)] = &[("ns1.zone.test.", ONE), ("ns2.zone.test.", TWO)];
/// Only the first.
pub(crate) const FIRST: &[(&str, &str)] = &[("ns1.zone.test.", ONE)];

/// What a sound server of `zone.test.` says.
pub(crate) fn zone(query: &Message) -> Act {
    let (name, rtype) = what(query);
    match (name.as_str(), rtype) {
        ("zone.test.", RecordType::NS) => answer(vec![ns("zone.test.", "ns1.zone.test.")]),
        ("www.zone.test.", RecordType::A) => answer(vec![a(&name, "10.78.2.81"), a(&name, "10.78.2.82")]),
        ("www.zone.test.", RecordType::AAAA) => answer(vec![aaaa(&name, "fd10:78:1ab::2:81")]),
        ("alias.zone.test.", RecordType::A) => {
            answer(vec![cname(&name, "alias2.zone.test."), cname("alias2.zone.test.", "www.zone.test.")])
        }
        ("alias2.zone.test.", RecordType::A | RecordType::CNAME) => answer(vec![cname(&name, "www.zone.test.")]),
        ("alias2.zone.test.", RecordType::NS) => answer(vec![cname(&name, "www.zone.test.")]),
        ("alias.zone.test.", _) => {
            let chain = vec![cname(&name, "alias2.zone.test."), cname("alias2.zone.test.", "www.zone.test.")];
            no(ResponseCode::NoError, chain, "zone.test.")
        }
        ("broken-alias.zone.test.", _) => {
            no(ResponseCode::NXDomain, vec![cname(&name, "missing.zone.test.")], "zone.test.")
        }
        ("loop.zone.test.", _) => answer(vec![cname(&name, "loop2.zone.test.")]),
        ("loop2.zone.test.", _) => answer(vec![cname(&name, "loop.zone.test.")]),
        ("zone.test." | "www.zone.test." | "nodata.zone.test.", _) => {
            no(ResponseCode::NoError, Vec::new(), "zone.test.")
        }
        _ => no(ResponseCode::NXDomain, Vec::new(), "zone.test."),
    }
}

/// A sound server of `zone.test.`.
pub(crate) async fn sound(ip: &str) -> Fake {
    Fake::new(ip, |query, _| zone(query)).await
}
