//! The front with a handler that waits when it is told to.

use std::{collections::HashSet, io};

use async_trait::async_trait;
use hickory_net::runtime::Time;
use hickory_proto::{op::Metadata, rr::Name};
use hickory_server::{
    server::{ResponseHandler, ResponseInfo},
    zone_handler::MessageResponseBuilder,
};
use prometheus_client::registry::Registry;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
};
use world::{
    AddressBook, Protocol, World,
    fault::{Faults, Role},
};

use super::*;

mod faults;
mod secure;

/// No wait in these tests is expected to take this long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers every query with nothing; one for `wait.` once it has a permit.
#[derive(Debug)]
struct Gate(Arc<Semaphore>);

#[async_trait]
impl RequestHandler for Gate {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut out: R) -> ResponseInfo {
        if request.queries.queries()[0].name().to_ascii() == "wait." {
            self.0.acquire().await.expect("never closed").forget();
        }
        let metadata = Metadata::response_from_request(&request.metadata);
        let response = MessageResponseBuilder::new(&request.queries, None).build_no_records(metadata);
        out.send_response(response).await.expect("it has no records")
    }
}

/// A running front.
struct Front {
    gate: Arc<Semaphore>,
    registry: Registry,
    stop: Stop,
    faults: Faults,
    udp: SocketAddr,
    tcp: Vec<SocketAddr>,
    tls: SocketAddr,
    https: SocketAddr,
    authority: ca::Authority,
    serving: JoinHandle<io::Result<usize>>,
}

const LIMITS: Limits = Limits { tcp_connections: 8, tcp_idle: PATIENCE, pending: 2, grace: PATIENCE };

impl Front {
    async fn start(limits: Limits) -> Self {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut bound = Bound::default();
        for _ in 0..2 {
            bound.bind("dns", Protocol::Tcp, ([127, 0, 0, 1], 0).into(), false).unwrap();
        }
        let tcp = bound.take_tcp("dns").unwrap();
        let (tls, https) =
            (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let (tls_at, https_at) = (tls.local_addr().unwrap(), https.local_addr().unwrap());
        let now = std::time::SystemTime::now();
        let authority = ca::Authority::in_memory(&ca::Scope::new::<&str>([], []), now).unwrap();
        let key = authority.issue(&["localhost".to_owned()], &[], now).unwrap();
        let (gate, mut registry, stop) = (Arc::new(Semaphore::new(0)), Registry::default(), Stop::new());
        let faults = Faults::default();
        let (book, signals) = (
            AddressBook::direct(&World::built_in()),
            Signals { stop: stop.clone(), faults: faults.clone(), ..Signals::default() },
        );
        let zones = vec![Name::from_ascii("test.").unwrap()];
        let server = Arc::new(Server {
            handler: Gate(Arc::clone(&gate)),
            nsid: None,
            recorder: Recorder::new("auth1", "test", 8),
            metrics: Metrics::new(&mut registry),
            limits,
            secure: Some(Secure::new(Arc::new(ca::server_config(key, &Secure::TLS)))),
            faults: Faulty::new(Role::Nameserver, "auth1", zones, &book, &[], &signals),
        });
        let (udp_at, tcp_at) = (udp.local_addr().unwrap(), tcp.iter().map(|l| l.local_addr().unwrap()).collect());
        let sockets = Sockets { udp: vec![udp], tcp, tls: vec![tls], https: vec![https] };
        let serving = tokio::spawn(server.serve(sockets, stop.clone()));
        let (udp, tcp, tls, https) = (udp_at, tcp_at, tls_at, https_at);
        Self { gate, registry, stop, faults, udp, tcp, tls, https, authority, serving }
    }

    async fn client(&self) -> UdpSocket {
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.connect(self.udp).await.unwrap();
        client
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.tcp[0]).await.unwrap()
    }

    /// Waits until the metrics have this line.
    async fn eventually(&self, line: &str) {
        let said = async {
            loop {
                let mut text = String::new();
                prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
                if text.lines().any(|said| said == line) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        timely(said).await;
    }

    /// Tells it to stop; returns how many were cut off.
    async fn end(self) -> usize {
        self.stop.cancel();
        timely(self.serving).await.unwrap().unwrap()
    }
}

async fn timely<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}

/// A query with this id for this one label.
fn query(id: u8, name: &str) -> Vec<u8> {
    let mut bytes = vec![0, id, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, u8::try_from(name.len()).unwrap()];
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend_from_slice(&[0, 0, 1, 0, 1]);
    bytes
}

fn framed(message: &[u8]) -> Vec<u8> {
    let mut bytes = u16::try_from(message.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(message);
    bytes
}

/// The id of the next reply.
async fn udp_reply(client: &UdpSocket) -> u8 {
    let mut buffer = [0; 512];
    timely(client.recv(&mut buffer)).await.unwrap();
    buffer[1]
}

/// The id of the next reply; `None` where the server has closed.
async fn tcp_reply<S: AsyncRead + Unpin>(stream: &mut S) -> Option<u8> {
    let mut length = [0; 2];
    match timely(stream.read_exact(&mut length)).await {
        Ok(_) => {}
        Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {
            return None;
        }
        Err(error) => panic!("{error}"),
    }
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    timely(stream.read_exact(&mut reply)).await.unwrap();
    Some(reply[1])
}

#[tokio::test]
async fn a_waiting_query_holds_up_no_other() {
    let front = Front::start(LIMITS).await;
    let client = front.client().await;
    client.send(&query(1, "wait")).await.unwrap();
    client.send(&query(2, "now")).await.unwrap();
    assert_eq!(udp_reply(&client).await, 2);
    front.gate.add_permits(1);
    assert_eq!(udp_reply(&client).await, 1);

    let mut stream = front.connect().await;
    stream.write_all(&[framed(&query(3, "wait")), framed(&query(4, "now"))].concat()).await.unwrap();
    assert_eq!(tcp_reply(&mut stream).await, Some(4));
    front.gate.add_permits(1);
    assert_eq!(tcp_reply(&mut stream).await, Some(3));
    assert_eq!(front.end().await, 0);
}

#[tokio::test]
async fn too_many_waiting_queries_are_dropped_and_counted() {
    let front = Front::start(LIMITS).await;
    let client = front.client().await;
    for id in 0..4 {
        client.send(&query(id, "wait")).await.unwrap();
    }
    front.eventually("dns_overloaded_total 2").await;
    front.gate.add_permits(4);
    let replies = HashSet::from([udp_reply(&client).await, udp_reply(&client).await]);
    assert_eq!(replies, HashSet::from([0, 1]));
    // And there is room again.
    client.send(&query(9, "wait")).await.unwrap();
    assert_eq!(udp_reply(&client).await, 9);
}

#[tokio::test]
async fn a_stop_finishes_what_was_begun() {
    let front = Front::start(LIMITS).await;
    let (client, mut stream, gate) = (front.client().await, front.connect().await, Arc::clone(&front.gate));
    client.send(&query(1, "wait")).await.unwrap();
    stream.write_all(&framed(&query(2, "wait"))).await.unwrap();
    front.eventually("dns_queries_total{transport=\"udp\"} 1").await;
    front.eventually("dns_queries_total{transport=\"tcp\"} 1").await;
    let ended = tokio::spawn(front.end());
    // New connections are not taken any more, and the old one reads no more.
    tokio::task::yield_now().await;
    gate.add_permits(2);
    assert_eq!(udp_reply(&client).await, 1);
    assert_eq!(tcp_reply(&mut stream).await, Some(2));
    assert_eq!(tcp_reply(&mut stream).await, None);
    assert_eq!(timely(ended).await.unwrap(), 0);
}

#[tokio::test]
async fn what_takes_longer_than_the_grace_is_cut_off_and_counted() {
    let front = Front::start(Limits { grace: Duration::from_millis(20), ..LIMITS }).await;
    let (client, mut stream) = (front.client().await, front.connect().await);
    client.send(&query(1, "wait")).await.unwrap();
    stream.write_all(&framed(&query(2, "wait"))).await.unwrap();
    front.eventually("dns_queries_total{transport=\"udp\"} 1").await;
    front.eventually("dns_queries_total{transport=\"tcp\"} 1").await;
    assert_eq!(front.end().await, 2);
}

#[tokio::test]
async fn a_slow_client_is_given_up() {
    let front = Front::start(Limits { tcp_idle: Duration::from_millis(30), ..LIMITS }).await;
    // Nothing at all.
    let mut silent = front.connect().await;
    assert_eq!(tcp_reply(&mut silent).await, None);
    // A byte now and then does not count as a query.
    let mut dripping = front.connect().await;
    dripping.write_all(&[0xff, 0xff]).await.unwrap();
    let given_up = async {
        let mut pace = tokio::time::interval(Duration::from_millis(1));
        while dripping.write_all(&[0]).await.is_ok() {
            pace.tick().await;
        }
    };
    timely(given_up).await;
    // A query that takes long is not the client's silence: here longer than a whole idle time.
    let mut waiting = front.connect().await;
    waiting.write_all(&framed(&query(1, "wait"))).await.unwrap();
    front.eventually("dns_queries_total{transport=\"tcp\"} 1").await;
    let mut silent = front.connect().await;
    assert_eq!(tcp_reply(&mut silent).await, None);
    front.gate.add_permits(1);
    assert_eq!(tcp_reply(&mut waiting).await, Some(1));
}

#[tokio::test]
async fn a_client_that_ends_its_side_still_gets_its_answers() {
    let front = Front::start(LIMITS).await;
    let mut stream = front.connect().await;
    stream.write_all(&[framed(&query(1, "now")), framed(&query(2, "now"))].concat()).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!((tcp_reply(&mut stream).await, tcp_reply(&mut stream).await), (Some(1), Some(2)));
    assert_eq!(tcp_reply(&mut stream).await, None);
}

#[tokio::test]
async fn a_pipeline_longer_than_what_is_under_way_is_answered_whole() {
    let front = Front::start(LIMITS).await;
    let mut stream = front.connect().await;
    let queries: Vec<u8> = (0..100).flat_map(|id| framed(&query(id, "wait"))).collect();
    stream.write_all(&queries).await.unwrap();
    front.gate.add_permits(100);
    let mut ids = HashSet::new();
    for _ in 0..100 {
        ids.extend(tcp_reply(&mut stream).await);
    }
    assert_eq!(ids.len(), 100);
}

#[tokio::test]
async fn a_connection_beyond_the_limit_is_answered_and_the_longest_idle_one_closed() {
    let front = Front::start(Limits { tcp_connections: 4, ..LIMITS }).await;
    let mut held = Vec::new();
    for _ in 0..200 {
        held.push(front.connect().await);
    }
    // The same client on the other listener, while its first 200 connections say nothing.
    let mut asking = TcpStream::connect(front.tcp[1]).await.unwrap();
    asking.write_all(&framed(&query(1, "now"))).await.unwrap();
    assert_eq!(tcp_reply(&mut asking).await, Some(1));
    for mut closed in held.drain(..100) {
        assert_eq!(tcp_reply(&mut closed).await, None);
    }
    // The last of them is still there and is not closed for a query of its own.
    let mut last = held.pop().unwrap();
    last.write_all(&framed(&query(2, "now"))).await.unwrap();
    assert_eq!(tcp_reply(&mut last).await, Some(2));
}

#[tokio::test]
async fn a_client_whose_connections_are_all_busy_is_refused_and_another_one_answered() {
    let front = Front::start(Limits { tcp_connections: 4, ..LIMITS }).await;
    let mut busy = [front.connect().await, front.connect().await];
    for (id, stream) in (1..).zip(&mut busy) {
        stream.write_all(&framed(&query(id, "wait"))).await.unwrap();
    }
    front.eventually("dns_queries_total{transport=\"tcp\"} 2").await;
    assert_eq!(tcp_reply(&mut front.connect().await).await, None);
    let other = TcpSocket::new_v4().unwrap();
    other.bind(([127, 0, 0, 2], 0).into()).unwrap();
    let mut other = other.connect(front.tcp[0]).await.unwrap();
    other.write_all(&framed(&query(3, "now"))).await.unwrap();
    assert_eq!(tcp_reply(&mut other).await, Some(3));
    front.gate.add_permits(2);
    let [first, second] = &mut busy;
    assert_eq!((tcp_reply(first).await, tcp_reply(second).await), (Some(1), Some(2)));
}

#[tokio::test]
async fn what_is_no_query_ends_a_connection() {
    let front = Front::start(LIMITS).await;
    let mut response = query(1, "now");
    response[2] |= 0x80;
    for bytes in [framed(&response), framed(&[1, 2, 3]), framed(&[])] {
        let mut stream = front.connect().await;
        stream.write_all(&bytes).await.unwrap();
        assert_eq!(tcp_reply(&mut stream).await, None);
    }
    front.eventually("dns_ignored_total 3").await;
}
