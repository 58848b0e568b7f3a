//! A resolver that runs in this process, and a client of it.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use dns::options;
use hickory_proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::RecordType,
};
use journey::{TraceId, What, dns::ExtendedError, report::Report};
use resolver::{Bounds, Config, Resolver, Source, hints};
use service::{Bound, Ended, Service, Signals};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    task::JoinHandle,
};
use world::{AddressBook, BookHost, Closed, Files, Protocol};

use crate::fake::{Fake, ROOT, name};

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// A book of these hosts; whatever else is in the world's network has no host.
pub(crate) fn book(hosts: Vec<BookHost>) -> AddressBook {
    AddressBook {
        inside: None,
        v4: "10.78.0.0/16".parse().unwrap(),
        v6: "fd10:78:1ab::/64".parse().unwrap(),
        names: Vec::new(),
        hosts,
        closed: Some(Closed { tcp_v4: ([127, 0, 0, 1], 1).into(), tcp_v6: None }),
        roots: Vec::new(),
        ca: None,
        control: None,
        token: None,
    }
}

/// A configuration that begins at the fake root.
pub(crate) fn config(hosts: &[&Fake]) -> Config {
    let text = format!(". NS ns.root.\nns.root. A {ROOT}\n");
    Config {
        host: "resolver".to_owned(),
        roots: hints::parse(&text, "root.hints", None).unwrap(),
        source: Source { file: "root.hints".to_owned(), files: Files::BuiltIn, renumber: None },
        allow: vec!["127.0.0.0/8".parse().unwrap()],
        book: book(hosts.iter().map(|fake| fake.host()).collect()),
        // No sound server here takes so long, however busy the machine is.
        upstream_timeout: Duration::from_secs(2),
        answer_timeout: Duration::from_secs(4),
        bounds: Bounds::default(),
        tcp_connections: 8,
        tcp_idle: Duration::from_secs(5),
        secure: None,
        grace: Duration::from_secs(3),
        you: Vec::new(),
    }
}

/// A running resolver.
pub(crate) struct Running {
    pub(crate) dns: SocketAddr,
    pub(crate) dns_tcp: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) signals: Signals,
    task: JoinHandle<std::io::Result<Ended>>,
}

impl Running {
    /// Starts one with these servers behind it.
    pub(crate) async fn before(servers: &[&Fake]) -> Self {
        Self::start(config(servers)).await
    }

    /// The same, for tests that wait for a server that says nothing.
    pub(crate) async fn impatient(servers: &[&Fake]) -> Self {
        Self::start(Config { upstream_timeout: Duration::from_millis(150), ..config(servers) }).await
    }

    pub(crate) async fn start(config: Config) -> Self {
        let mut sockets = Bound::default();
        let any = ([127, 0, 0, 1], 0).into();
        let dns = sockets.bind("dns", Protocol::Udp, any, false).unwrap();
        let dns_tcp = sockets.bind("dns", Protocol::Tcp, any, false).unwrap();
        let admin = sockets.bind("admin", Protocol::Tcp, any, false).unwrap();
        let signals = Signals::default();
        let task = tokio::spawn(Resolver::run(sockets, config, signals.clone()));
        let ready = signals.ready.clone();
        eventually("the resolver is ready", || ready.is_ready()).await;
        Self { dns, dns_tcp, admin, signals, task }
    }

    pub(crate) async fn stop(self) -> Ended {
        self.signals.stop.cancel();
        self.ended().await
    }

    pub(crate) async fn ended(self) -> Ended {
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap()
    }

    /// Asks as a client of ours does.
    pub(crate) async fn ask(&self, qname: &str, rtype: RecordType, trace: Option<TraceId>) -> Message {
        exchange(self.dns, &query(qname, rtype, trace)).await
    }

    /// What it recorded of a visit.
    pub(crate) async fn events(&self, trace: TraceId) -> Vec<What> {
        let body = self.get(&format!("/events?trace={trace}")).await;
        let report: Report = serde_json::from_str(&body).unwrap();
        assert_eq!((report.host.as_str(), report.service.as_str()), ("resolver", "resolver"));
        report.events.into_iter().map(|event| event.what).collect()
    }

    /// Those of the events that tell what it did towards others, in short.
    pub(crate) async fn story(&self, trace: TraceId) -> Vec<String> {
        self.events(trace).await.iter().filter_map(line).collect()
    }

    /// The value of a counter, all labels together.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let metrics = self.get("/metrics").await;
        let values = metrics.lines().filter(|line| line.starts_with(name)).filter_map(|line| line.rsplit(' ').next());
        values.map(|value| value.parse::<f64>().unwrap()).sum()
    }

    async fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.admin).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        response.split_once("\r\n\r\n").unwrap().1.to_owned()
    }
}

fn line(event: &What) -> Option<String> {
    match event {
        What::QuerySent { server, transport, question } => {
            Some(format!("{} {} {} {}?", server.ip(), transport.as_str(), question.rtype, question.name))
        }
        What::ReplyReceived { server, question, reply, .. } => {
            Some(format!("{} {} {}: {:?}", server.ip(), question.rtype, question.name, reply.meaning))
        }
        What::QueryFailed { server, question, why, .. } => {
            Some(format!("{} {} {} failed: {why}", server.ip(), question.rtype, question.name))
        }
        What::CacheHit { question, age_s, remaining_ttl_s } => {
            Some(format!("cache {} {}: {age_s:?} {remaining_ttl_s}", question.rtype, question.name))
        }
        What::WentAlong { question } => Some(format!("along {} {}", question.rtype, question.name)),
        _ => None,
    }
}

/// A query as our client sends it.
pub(crate) fn query(qname: &str, rtype: RecordType, trace: Option<TraceId>) -> Message {
    let mut message = Message::new(Message::query().metadata.id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name(qname), rtype));
    message.edns = Some(options::of_query(trace));
    message
}

/// One datagram there and one back.
pub(crate) async fn exchange(to: SocketAddr, query: &Message) -> Message {
    let reply = bytes_within(to, query, PATIENCE).await.expect("an answer");
    let reply = Message::from_vec(&reply).unwrap();
    assert_eq!(reply.metadata.id, query.metadata.id);
    assert_eq!(reply.queries, query.queries);
    assert!(!reply.metadata.authoritative, "a resolver is no authority");
    reply
}

/// The bytes that come back, where any come in this time.
pub(crate) async fn bytes_within(to: SocketAddr, query: &Message, patience: Duration) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind("0.0.0.0:0").await.unwrap();
    socket.connect(to).await.unwrap();
    socket.send(&query.to_vec().unwrap()).await.unwrap();
    let mut buffer = [0; 4096];
    let length = tokio::time::timeout(patience, socket.recv(&mut buffer)).await.ok()?.unwrap();
    Some(buffer[..length].to_vec())
}

/// The same on a stream.
pub(crate) async fn over_tcp(to: SocketAddr, query: &Message) -> Message {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let bytes = query.to_vec().unwrap();
    stream.write_u16(bytes.len().try_into().unwrap()).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    let mut reply = vec![0; usize::from(stream.read_u16().await.unwrap())];
    stream.read_exact(&mut reply).await.unwrap();
    Message::from_vec(&reply).unwrap()
}

/// A visit's id that no other test here uses.
pub(crate) fn trace() -> TraceId {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    TraceId::new([NEXT.fetch_add(1, Ordering::Relaxed); 16]).unwrap()
}

/// The extended errors of an answer.
pub(crate) fn errors(reply: &Message) -> Vec<ExtendedError> {
    reply.edns.as_ref().map(options::ede_of).unwrap_or_default()
}

/// The code and text of the one extended error that a failed answer has.
pub(crate) fn failed(reply: &Message) -> (u16, String) {
    assert_eq!(reply.metadata.response_code, ResponseCode::ServFail);
    assert!(reply.answers.is_empty());
    let errors = errors(reply);
    assert_eq!(errors.len(), 1, "{errors:?}");
    (errors[0].code, errors[0].text.clone())
}

/// The answer section, a record per line: name, TTL, type, data.
pub(crate) fn records(reply: &Message) -> Vec<String> {
    let line = |r: &hickory_proto::rr::Record| format!("{} {} {} {}", r.name, r.ttl, r.record_type(), r.data);
    reply.answers.iter().map(line).collect()
}

/// Waits until something is so.
pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never happened: {what}"));
}
