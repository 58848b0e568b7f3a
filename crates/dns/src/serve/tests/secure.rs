//! The same over TLS and HTTPS.

use rustls::{ClientConfig, ClientConnection, RootCertStore, pki_types::ServerName};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::*;

const IDLE: Limits = Limits { tcp_idle: Duration::from_millis(100), ..LIMITS };

impl Front {
    async fn shake(&self, to: SocketAddr, alpn: &str) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.certificate_der().clone()).unwrap();
        let stream = TcpStream::connect(to).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        timely(TlsConnector::from(config(roots, alpn)).connect(name, stream)).await.unwrap()
    }

    async fn over_tls(&self) -> TlsStream<TcpStream> {
        self.shake(self.tls, "dot").await
    }

    /// A connection that speaks HTTP/1.1, so that every byte can be seen.
    async fn over_https(&self) -> TlsStream<TcpStream> {
        self.shake(self.https, "http/1.1").await
    }
}

/// A request and its response: the status, the head in small letters, the content.
async fn ask(stream: &mut TlsStream<TcpStream>, head: &str, content: &[u8]) -> (u16, String, Vec<u8>) {
    let length = content.len();
    let request =
        [format!("{head}\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n").as_bytes(), content].concat();
    timely(stream.write_all(&request)).await.unwrap();
    response(stream).await
}

async fn response(stream: &mut TlsStream<TcpStream>) -> (u16, String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timely(stream.read_u8()).await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    let mut content = vec![0; length];
    timely(stream.read_exact(&mut content)).await.unwrap();
    (status, head, content)
}

const POST: &str = "POST /dns-query HTTP/1.1\r\nContent-Type: application/dns-message";

#[tokio::test]
async fn tls_is_as_tcp() {
    let front = Front::start(LIMITS).await;
    let mut stream = front.over_tls().await;
    stream.write_all(&[framed(&query(3, "wait")), framed(&query(4, "now"))].concat()).await.unwrap();
    assert_eq!(tcp_reply(&mut stream).await, Some(4));
    front.gate.add_permits(1);
    assert_eq!(tcp_reply(&mut stream).await, Some(3));
    front.eventually("dns_queries_total{transport=\"tls\"} 2").await;
    assert_eq!(front.end().await, 0);
    assert_eq!(tcp_reply(&mut stream).await, None);
}

#[tokio::test]
async fn a_stop_finishes_what_was_begun_over_tls_and_https() {
    let front = Front::start(LIMITS).await;
    let (mut tls, mut https, gate) = (front.over_tls().await, front.over_https().await, Arc::clone(&front.gate));
    tls.write_all(&framed(&query(1, "wait"))).await.unwrap();
    let message = query(2, "wait");
    let request = format!("{POST}\r\nHost: a\r\nContent-Length: {}\r\n\r\n", message.len());
    https.write_all(&[request.as_bytes(), &message].concat()).await.unwrap();
    front.eventually("dns_queries_total{transport=\"tls\"} 1").await;
    front.eventually("dns_queries_total{transport=\"https\"} 1").await;
    let ended = tokio::spawn(front.end());
    tokio::task::yield_now().await;
    gate.add_permits(2);
    assert_eq!(tcp_reply(&mut tls).await, Some(1));
    assert_eq!(response(&mut https).await.2[1], 2);
    assert_eq!(timely(ended).await.unwrap(), 0);
}

#[tokio::test]
async fn stalled_handshakes_and_silent_clients_are_given_up() {
    let front = Front::start(IDLE).await;
    for at in [front.tls, front.https] {
        let mut stalled = TcpStream::connect(at).await.unwrap();
        stalled.write_all(&[22, 3, 1]).await.unwrap();
        assert_eq!(tcp_reply(&mut stalled).await, None);
    }
    front.eventually("dns_tls_unshaken_total{reason=\"timeout\"} 2").await;
    let (mut tls, mut https) = (front.over_tls().await, front.over_https().await);
    assert_eq!(tcp_reply(&mut tls).await, None);
    assert_eq!(timely(https.read(&mut [0; 16])).await.unwrap(), 0);
    let mut plain = TcpStream::connect(front.tls).await.unwrap();
    plain.write_all(&framed(&query(1, "now"))).await.unwrap();
    front.eventually("dns_tls_unshaken_total{reason=\"not_tls\"} 1").await;
    // One that asks is not silent, however long its answer takes.
    let mut waiting = front.over_tls().await;
    waiting.write_all(&framed(&query(1, "wait"))).await.unwrap();
    front.eventually("dns_queries_total{transport=\"tls\"} 1").await;
    assert_eq!(tcp_reply(&mut front.over_tls().await).await, None);
    front.gate.add_permits(1);
    assert_eq!(tcp_reply(&mut waiting).await, Some(1));
}

#[tokio::test]
async fn idle_connections_over_tls_and_https_are_closed_for_new_ones() {
    let front = Front::start(Limits { tcp_connections: 2, ..LIMITS }).await;
    // One that has not even begun its handshake is idle too.
    let mut stalled = TcpStream::connect(front.tls).await.unwrap();
    let mut tls = front.over_tls().await;
    tls.write_all(&framed(&query(1, "now"))).await.unwrap();
    assert_eq!(tcp_reply(&mut tls).await, Some(1));
    assert_eq!(tcp_reply(&mut stalled).await, None);
    let mut first = front.over_https().await;
    let mut second = front.over_https().await;
    assert_eq!(ask(&mut second, POST, &query(2, "now")).await.2[1], 2);
    assert_eq!(timely(first.read(&mut [0; 16])).await.unwrap_or_default(), 0);
}

/// A client's side of TLS that trusts these.
fn config(roots: RootCertStore, alpn: &str) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    Arc::new(config)
}

/// A client that trusts nobody.
fn distrustful(alpn: &str) -> ClientConnection {
    let name = ServerName::try_from("localhost").unwrap();
    ClientConnection::new(config(RootCertStore::empty(), alpn), name).unwrap()
}

/// What the client has to say.
fn says(client: &mut ClientConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).unwrap();
    }
    bytes
}

/// More than a server reads at once: a socket that is closed with this in it sends a RST.
static UNREAD: [u8; 100_000] = [0; 100_000];

#[tokio::test]
async fn who_has_nothing_in_common_reads_the_alert() {
    let front = Front::start(LIMITS).await;
    for at in [front.tls, front.https] {
        let mut client = distrustful("spdy/1");
        let mut stream = TcpStream::connect(at).await.unwrap();
        timely(stream.write_all(&[&says(&mut client)[..], &UNREAD].concat())).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut said = Vec::new();
        timely(stream.read_to_end(&mut said)).await.expect("FIN, and no RST");
        client.read_tls(&mut &said[..]).unwrap();
        let error = client.process_new_packets().unwrap_err();
        assert_eq!(error, rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol));
    }
    front.eventually("dns_tls_unshaken_total{reason=\"other\"} 2").await;
}

#[tokio::test]
async fn who_does_not_trust_the_server_is_not_reset() {
    let front = Front::start(LIMITS).await;
    for (at, alpn) in [(front.tls, "dot"), (front.https, "h2")] {
        let mut client = distrustful(alpn);
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(&says(&mut client)).await.unwrap();
        let error = loop {
            let mut said = vec![0; 4096];
            let length = timely(stream.read(&mut said)).await.unwrap();
            assert!(length > 0, "it closes before the client has refused it");
            let mut said = &said[..length];
            client.read_tls(&mut said).unwrap();
            if let Err(error) = client.process_new_packets() {
                break error;
            }
        };
        assert!(matches!(error, rustls::Error::InvalidCertificate(_)), "{error}");
        timely(stream.write_all(&[&says(&mut client)[..], &UNREAD].concat())).await.unwrap();
        stream.shutdown().await.unwrap();
        timely(stream.read_to_end(&mut Vec::new())).await.expect("FIN, and no RST");
    }
    front.eventually("dns_tls_unshaken_total{reason=\"refused_by_client\"} 2").await;
}

#[tokio::test]
async fn each_kind_of_connection_has_a_limit_of_its_own() {
    let front = Front::start(Limits { tcp_connections: 1, ..LIMITS }).await;
    let mut stalled = TcpStream::connect(front.tls).await.unwrap();
    stalled.write_all(&[22, 3, 1]).await.unwrap();
    let mut second = TcpStream::connect(front.tls).await.unwrap();
    second.write_all(&framed(&query(1, "now"))).await.unwrap();
    let mut plain = front.connect().await;
    plain.write_all(&framed(&query(2, "now"))).await.unwrap();
    assert_eq!(tcp_reply(&mut plain).await, Some(2));
    // The second is looked at once the first has gone.
    drop(stalled);
    front.eventually("dns_tls_unshaken_total{reason=\"not_tls\"} 1").await;
}

#[tokio::test]
async fn https_by_post_and_get() {
    let front = Front::start(LIMITS).await;
    let mut stream = front.over_https().await;
    let (status, head, reply) = ask(&mut stream, POST, &query(7, "now")).await;
    assert_eq!((status, reply[1], reply[2] & 0x80), (200, 7, 0x80));
    assert!(head.contains("content-type: application/dns-message"), "{head}");
    let coded = data_encoding::BASE64URL_NOPAD.encode(&query(8, "now"));
    let (status, _, reply) = ask(&mut stream, &format!("GET /dns-query?ct&dns={coded} HTTP/1.1"), b"").await;
    assert_eq!((status, reply[1]), (200, 8));
    front.eventually("dns_queries_total{transport=\"https\"} 2").await;
}

#[tokio::test]
async fn what_is_no_query_over_https() {
    let front = Front::start(LIMITS).await;
    let mut response = query(1, "now");
    response[2] |= 0x80;
    let long = vec![0; 65_536];
    for (head, content, status) in [
        ("POST /other HTTP/1.1", &query(1, "now")[..], 404),
        ("POST /dns-query HTTP/1.1\r\nContent-Type: text/plain", &query(1, "now"), 415),
        ("POST /dns-query HTTP/1.1", &query(1, "now"), 415),
        ("PUT /dns-query HTTP/1.1", &query(1, "now"), 405),
        ("GET /dns-query HTTP/1.1", b"", 400),
        ("GET /dns-query?dns=AA== HTTP/1.1", b"", 400),
        ("GET /dns-query?dns=%41 HTTP/1.1", b"", 400),
        (POST, &response, 400),
        (POST, b"", 400),
        (POST, b"short", 400),
        (POST, &long, 413),
    ] {
        let (said, ..) = ask(&mut front.over_https().await, head, content).await;
        assert_eq!(said, status, "{head}, {} bytes", content.len());
    }
    // What DNS refuses, DNS answers.
    let mut two = query(5, "now");
    two[5] = 2;
    let (status, _, reply) = ask(&mut front.over_https().await, POST, &two).await;
    assert_eq!((status, reply[1], reply[3] & 0x0f), (200, 5, 1), "FORMERR");
}

#[tokio::test]
async fn a_head_or_a_body_that_does_not_come() {
    let front = Front::start(IDLE).await;
    let mut stream = front.over_https().await;
    stream.write_all(b"POST /dns-query HTTP/1.1\r\nHo").await.unwrap();
    let mut rest = Vec::new();
    // It ends, with or without the last word of TLS.
    let _ = timely(stream.read_to_end(&mut rest)).await;
    assert!(rest.is_empty());
    let mut stream = front.over_https().await;
    stream.write_all(format!("{POST}\r\nHost: a\r\nContent-Length: 50\r\n\r\nx").as_bytes()).await.unwrap();
    assert_eq!(response(&mut stream).await.0, 408);
}
