//! Servers that misbehave inside TLS: HTTP/2 that ends in every way, and ends without the word that goes before them.

use std::future::pending;

use crate::peer::visit;
use crate::pki::{Kind, Pki, tls_server};
use bytes::Bytes;
use h2::{Reason, server::SendResponse};
use hyper::{HeaderMap, Response};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn stage<'a>(journey: &'a Value, name: &str) -> &'a Value {
    let stages = journey["hops"][0]["stages"].as_array().unwrap();
    stages.iter().find(|stage| stage["name"] == name).unwrap()
}

/// Visits a server of HTTP/2 that answers each request so.
fn http2(answer: impl Fn(&mut SendResponse<Bytes>) + Send + Clone + 'static, args: &[&str]) -> (i32, Value) {
    let pki = Pki::new();
    let port = tls_server(&pki.issue(Kind::GOOD), "h2", move |stream| {
        let answer = answer.clone();
        async move {
            let Ok(mut connection) = h2::server::handshake(stream).await else { return };
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                answer(&mut respond);
            }
        }
    });
    visit(&[args, &["--cacert", &pki.root(), &format!("https://localhost:{port}/")]].concat())
}

fn head() -> Response<()> {
    Response::builder().header("x-one", "1").body(()).unwrap()
}

#[test]
fn a_stream_that_is_reset_in_its_content() {
    let answer = |respond: &mut SendResponse<Bytes>| {
        let mut body = respond.send_response(head(), false).unwrap();
        body.send_data(Bytes::from_static(b"half"), false).unwrap();
        body.send_reset(Reason::INTERNAL_ERROR);
    };
    let (code, journey) = http2(answer, &[]);
    assert_eq!((code, &journey["outcome"]["reason"]), (92, &"stream_failed".into()), "{journey:#}");
    assert!(
        journey["outcome"]["verdict"].as_str().unwrap().contains("reset the stream: INTERNAL_ERROR"),
        "{journey:#}"
    );
}

#[test]
fn a_stream_that_is_refused() {
    let (code, journey) = http2(|respond| respond.send_reset(Reason::REFUSED_STREAM), &[]);
    assert_eq!((code, &journey["outcome"]["failed_stage"]), (92, &"wait".into()), "{journey:#}");
    assert!(journey["outcome"]["verdict"].as_str().unwrap().contains("REFUSED_STREAM"), "{journey:#}");
}

#[test]
fn fields_behind_the_content() {
    let answer = |respond: &mut SendResponse<Bytes>| {
        let mut body = respond.send_response(head(), false).unwrap();
        body.send_data(Bytes::from_static(b"content"), false).unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("server-timing", "db;dur=5".parse().unwrap());
        body.send_trailers(trailers).unwrap();
    };
    let (code, journey) = http2(answer, &[]);
    let receive = stage(&journey, "receive");
    assert_eq!((code, &receive["content_bytes"]), (0, &7.into()), "{journey:#}");
    assert_eq!(receive["trailers"][0]["value"], "db;dur=5");
    // Three frames: the head, the content, the fields behind it.
    let bytes = receive["bytes"].as_u64().unwrap();
    assert!((3 * 9 + 7..200).contains(&bytes), "{receive:#}");
}

#[test]
fn a_response_that_is_too_large() {
    let answer = |respond: &mut SendResponse<Bytes>| {
        let mut body = respond.send_response(head(), false).unwrap();
        let _ = body.send_data(Bytes::from(vec![b'a'; 60_000]), true);
    };
    let (code, journey) = http2(answer, &["--max-filesize", "20000"]);
    assert_eq!((code, &journey["outcome"]["reason"]), (63, &"too_large".into()), "{journey:#}");
}

#[test]
fn what_is_no_http_2() {
    let pki = Pki::new();
    let port = tls_server(&pki.issue(Kind::GOOD), "h2", |mut stream| async move {
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
        let _ = stream.flush().await;
        pending::<()>().await;
    });
    let (code, journey) = visit(&["--cacert", &pki.root(), &format!("https://localhost:{port}/")]);
    assert_eq!((code, &journey["outcome"]["reason"]), (8, &"malformed_response".into()), "{journey:#}");
}

/// Visits a server of HTTP/1.1 that sends this and ends with or without `close_notify`.
fn http1(answer: &'static [u8], says_so: bool) -> (i32, Value) {
    let pki = Pki::new();
    let port = tls_server(&pki.issue(Kind::GOOD), "http/1.1", move |mut stream| async move {
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.write_all(answer).await;
        let _ = stream.flush().await;
        if says_so {
            let _ = stream.shutdown().await;
        } else {
            let _ = stream.get_mut().0.shutdown().await;
        }
        // What the other side still sends must not make a reset of this end.
        let _ = stream.get_mut().0.read_to_end(&mut Vec::new()).await;
    });
    visit(&["--cacert", &pki.root(), &format!("https://localhost:{port}/")])
}

#[test]
fn the_word_before_the_end() {
    let whole = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let open = b"HTTP/1.1 200 OK\r\n\r\nok";
    for answer in [&whole[..], open] {
        let (code, journey) = http1(answer, true);
        let close = stage(&journey, "close");
        assert_eq!((code, &close["close_notify"]), (0, &true.into()), "{journey:#}");
        assert_eq!(close["peer"], "fin", "{close:#}");
    }
    // A length says itself where the content ends.
    let (code, journey) = http1(whole, false);
    assert_eq!((code, &stage(&journey, "close")["close_notify"]), (0, &false.into()), "{journey:#}");
    // Where the close says it, anybody on the way could have cut it.
    let (code, journey) = http1(open, false);
    assert_eq!((code, &journey["outcome"]["reason"]), (18, &"body_cut".into()), "{journey:#}");
    assert!(journey["outcome"]["verdict"].as_str().unwrap().contains("close_notify"), "{journey:#}");
}

#[test]
fn the_word_that_never_comes() {
    // The server stays until the client has closed, and then leaves without a word.
    let pki = Pki::new();
    let port = tls_server(&pki.issue(Kind::GOOD), "http/1.1", |mut stream| async move {
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        let _ = stream.flush().await;
        let _ = stream.get_mut().0.read_to_end(&mut Vec::new()).await;
    });
    let (code, journey) = visit(&["--cacert", &pki.root(), &format!("https://localhost:{port}/")]);
    let close = stage(&journey, "close");
    assert_eq!((code, &close["first"], &close["peer"]), (0, &"you".into(), &"fin".into()), "{close:#}");
    assert_eq!(close["close_notify"], false, "{close:#}");
}

#[test]
fn a_request_is_sent_when_the_kernel_has_it() {
    // TLS holds back up to 64 KiB once both kernels' buffers are full, which nobody can tell the size of: one of these
    // bodies ends within what is held back.
    let pki = Pki::new();
    let port = tls_server(&pki.issue(Kind::GOOD), "http/1.1", |mut stream| async move {
        // It reads after a while, and then all.
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let (mut buffer, mut request) = (vec![0; 65_536], Vec::new());
        let mut left = None;
        while left != Some(0) {
            let Ok(count @ 1..) = stream.read(&mut buffer).await else { return };
            left = match left {
                Some(left) => Some(usize::saturating_sub(left, count)),
                None => {
                    request.extend_from_slice(&buffer[..count]);
                    let text = String::from_utf8_lossy(&request);
                    text.split_once("\r\n\r\n").map(|(head, begun)| {
                        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                        length.unwrap().parse::<usize>().unwrap().saturating_sub(begun.len())
                    })
                }
            };
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        let _ = stream.shutdown().await;
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large");
    for size in (3_200_000..4_600_000).step_by(48_000) {
        std::fs::write(&file, vec![b'a'; size]).unwrap();
        let data = format!("@{}", file.display());
        let (code, journey) = visit(&["-d", &data, "--cacert", &pki.root(), &format!("https://localhost:{port}/")]);
        let send = stage(&journey, "send");
        assert_eq!(code, 0, "{:#}", journey["outcome"]);
        assert!(send["wire_bytes"].as_u64() > send["bytes"].as_u64(), "{size}: {send:#}");
    }
}
