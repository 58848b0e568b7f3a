//! A resolver over TLS that sends messages which answer no question: they must not spoil the answers that do.

use crate::peer::{End, Server, dns::good, visit};
use crate::pki::{Kind, Pki, tls_server};
use hickory_proto::op::Message;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

type Secured = TlsStream<TcpStream>;

async fn query(stream: &mut Secured) -> Option<Message> {
    let length = stream.read_u16().await.ok()?;
    let mut message = vec![0; length.into()];
    stream.read_exact(&mut message).await.ok()?;
    Some(Message::from_vec(&message).unwrap())
}

async fn send(stream: &mut Secured, message: &[u8]) {
    let mut framed = u16::try_from(message.len()).unwrap().to_be_bytes().to_vec();
    framed.extend(message);
    stream.write_all(&framed).await.unwrap();
    stream.flush().await.unwrap();
}

/// An answer with the id of neither question.
fn stray(queries: &[&Message; 2]) -> Vec<u8> {
    let mut message = good(queries[0]);
    let id = (0..).find(|id| queries.iter().all(|query| query.metadata.id != *id)).unwrap();
    message.metadata.id = id;
    message.to_vec().unwrap()
}

/// The exit code, the journey, and how each question fared, where the resolver sends for both of them what `answers` gives.
fn asked(answers: fn(&[&Message; 2]) -> Vec<Vec<u8>>) -> (i32, Value, Vec<Value>) {
    let pki = Pki::new();
    let port = tls_server(&pki.issue(Kind::GOOD), "dot", move |mut stream| async move {
        let (Some(first), Some(second)) = (query(&mut stream).await, query(&mut stream).await) else { return };
        for message in answers(&[&first, &second]) {
            send(&mut stream, &message).await;
        }
        // Until the other side closes.
        let _ = stream.read_u8().await;
    });
    let server = Server::start(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec(), End::WhenPeerCloses);
    let url = server.url("/").replace("127.0.0.1", "name.test");
    let resolver = format!("tls://localhost:{port}");
    let (code, journey) = visit(&["--cacert", &pki.root(), "--resolver", &resolver, &url]);
    let exchanges = journey["hops"][0]["stages"][1]["exchanges"].as_array().unwrap();
    // The other address of localhost is asked as well where this one has no answer.
    let results = exchanges.iter().take(2).map(|exchange| exchange["result"].clone()).collect();
    (code, journey, results)
}

#[test]
fn a_stray_message_first() {
    let (code, journey, results) = asked(|queries| {
        let answer = |query: &Message| good(query).to_vec().unwrap();
        vec![stray(queries), vec![1], answer(queries[0]), answer(queries[1])]
    });
    assert_eq!((code, results), (0, vec![json!("reply"), json!("reply")]), "{journey:#}");
}

#[test]
fn an_answer_that_comes_twice() {
    let (code, journey, results) = asked(|queries| {
        let answer = |query: &Message| good(query).to_vec().unwrap();
        vec![answer(queries[0]), answer(queries[0]), answer(queries[1])]
    });
    assert_eq!((code, results), (0, vec![json!("reply"), json!("reply")]), "{journey:#}");
}

#[test]
fn a_stray_message_and_no_other() {
    let (code, journey, results) = asked(|queries| vec![stray(queries)]);
    assert_eq!((code, results), (6, vec![json!("bad_reply"), json!("bad_reply")]), "{journey:#}");
    assert_eq!(journey["outcome"]["reason"], "bad_reply");
    let verdict = journey["outcome"]["verdict"].as_str().unwrap();
    assert!(verdict.contains("sent nothing that answers the question: its id "), "{verdict}");
}
