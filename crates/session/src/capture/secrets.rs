//! What nobody is to keep of a capture: what was said without TLS, wherever it holds credentials or tokens. Of such
//! conversations the headers are left. Pure.
//!
//! A payload is not rewritten: a frame with other bytes than it had would be one that never passed, and its checksum
//! would be wrong.

mod coded;

use std::net::SocketAddr;

use journey::{
    Hop, StageName, StageState,
    capture::Capture,
    stage::{Did, Header, Tried},
};
use packets::secret::{self, Conversation};
use probe::{request::Request, visitable::Visitable};
use secrets::{REMOVED, Secrets};

/// What is said of the frames that are cut.
pub const WHY: &str = "it may hold credentials or tokens; with --show-secrets it is kept";

/// A shorter secret is not searched for by its bytes: they would be found anywhere.
const SHORTEST: usize = 4;

/// Cuts what may hold credentials: by its shape, by what the visit itself left out of its stages, and by the very bytes of
/// secrets that it sent.
pub fn cut(capture: &mut Capture, hops: &[Hop], sent: &[Vec<u8>]) {
    let mut found: Vec<Conversation> = hops.iter().filter_map(left_out).collect();
    for said in secret::said(capture) {
        let is_encrypted = said.pieces.first().is_some_and(|piece| is_tls(piece));
        // Of what was not seen as a whole nobody can tell what it holds.
        if !is_encrypted && (!said.is_whole || said.pieces.iter().any(|piece| holds(piece, sent))) {
            found.push(said.conversation);
        }
    }
    if !found.is_empty() {
        secret::cut_to_headers(capture, &found, WHY);
    }
}

/// The secrets that a visit of this URL sends by itself.
pub fn sent(url: &Visitable, request: &Request) -> Vec<Vec<u8>> {
    let path = url.target.as_ref().map_or("", |target| &target.path);
    let fields = request.fields.iter().filter(|(name, _)| secrets::is_secret_field(name.as_str()));
    // Behind the name of a scheme (RFC 9110 §11.4) are the credentials themselves.
    let fields = fields.flat_map(|(_, value)| {
        let value = value.as_bytes();
        [value, value.rsplit(|byte| *byte == b' ').next().unwrap_or_default()]
    });
    let parameters = secrets::of_target(path);
    let secrets: Vec<&[u8]> = fields.chain(parameters.iter().map(String::as_bytes)).collect();
    secrets.into_iter().filter(|secret| secret.len() >= SHORTEST).map(<[u8]>::to_vec).collect()
}

/// Whether there is something in it that a stage would not show, or of which nobody can tell.
fn holds(said: &[u8], sent: &[Vec<u8>]) -> bool {
    let has = |said: &[u8]| {
        let is_there = |secret: &Vec<u8>| said.windows(secret.len()).any(|window| window == secret);
        let has_shape = |text: &str| Secrets::Removed.stream(text) != text;
        let text = String::from_utf8_lossy(said);
        sent.iter().any(is_there) || has_shape(&text) || unchunked(&text).is_some_and(|text| has_shape(&text))
    };
    has(said) || coded::contents(said).iter().any(|content| content.as_deref().is_none_or(has))
}

/// A text without the lines that HTTP puts between the chunks of a content (RFC 9112 §7.1): a secret may be on both sides of
/// one. Nothing where there are none.
fn unchunked(text: &str) -> Option<String> {
    let mut lines = text.split("\r\n").peekable();
    let mut kept = lines.next()?.to_owned();
    let mut has_some = false;
    while let Some(line) = lines.next() {
        match lines.next_if(|_| coded::chunk_size(line.as_bytes()).is_some()) {
            Some(next) => {
                has_some = true;
                kept.push_str(next);
            }
            None => {
                kept.push_str("\r\n");
                kept.push_str(line);
            }
        }
    }
    has_some.then_some(kept)
}

/// Whether it is TLS from its first byte to its last: records one behind the other (RFC 8446 §5.1), a handshake first or the
/// alert that refuses one. The last of them may have been cut off.
fn is_tls(mut said: &[u8]) -> bool {
    const ALERT: u8 = 21;
    const HANDSHAKE: u8 = 22;
    // Content, and what a cipher of TLS 1.2 may add (RFC 5246 §6.2.3).
    const LONGEST: usize = (1 << 14) + 2048;
    if !matches!(said.first(), Some(&(ALERT | HANDSHAKE))) {
        return false;
    }
    while !said.is_empty() {
        let [kind @ 20..=24, 3, 0..=4, high, low, rest @ ..] = said else { return said.len() < 5 };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if length > LONGEST || (*kind == HANDSHAKE && length == 0) {
            return false;
        }
        said = rest.get(length..).unwrap_or_default();
    }
    true
}

/// The conversation of this request, where a stage left something out and there was no TLS.
fn left_out(hop: &Hop) -> Option<Conversation> {
    let is_secured = hop.stage(StageName::Tls).is_some_and(|stage| stage.state == StageState::Done);
    if is_secured || !hop.stages.iter().any(|stage| is_left_out(&stage.did)) {
        return None;
    }
    let Did::Connect(connect) = &hop.stage(StageName::Connect)?.did else { return None };
    let attempt = connect.attempts.iter().find(|attempt| attempt.result == Tried::Connected)?;
    let is_udp =
        matches!(hop.stage(StageName::Url).map(|stage| &stage.did), Some(Did::Url(url)) if url.scheme == "udp");
    let remote: SocketAddr = attempt.via.unwrap_or(attempt.server);
    Some((if is_udp { 17 } else { 6 }, attempt.local?, remote))
}

fn is_left_out(did: &Did) -> bool {
    let is_in = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains(REMOVED));
    let is_in_one = |fields: &[Header]| fields.iter().any(|field| field.value.contains(REMOVED));
    match did {
        Did::Send(send) => is_in(&send.target) || is_in(&send.text) || is_in_one(&send.headers),
        Did::Receive(receive) => {
            is_in(&receive.text)
                || is_in_one(&receive.headers)
                || is_in_one(&receive.trailers)
                || receive.interim.iter().any(|interim| is_in_one(&interim.headers))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_a_secret() {
        let check = |said: &[u8], expected: bool| {
            let sent = vec![b"hunter2".to_vec()];
            assert_eq!(holds(said, &sent), expected, "{}", String::from_utf8_lossy(said));
        };
        check(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", false);
        check(b"GET /?token=abc HTTP/1.1\r\nHost: a.test\r\n\r\n", true);
        check(b"GET / HTTP/1.1\r\nAuthorization: Basic abc\r\n\r\n", true);
        check(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\n\r\n", true);
        check(b"POST / HTTP/1.1\r\nContent-Length: 12\r\n\r\npassword=abc", true);
        check(b"HTTP/1.1 200 OK\r\n\r\nyou are hunter2", true);
        check(b"HTTP/1.1 200 OK\r\n\r\n{\"tok\r\n5\r\nen\":\"a\r\n2\r\nb\"}", true);
        check(b"HTTP/1.1 200 OK\r\n\r\n5\r\nhello\r\n0\r\n\r\n", false);
        check(b"HTTP/1.1 200 OK\r\n\r\n{\"tok\r\n5;x=1\r\nen\":\"a\r\n2 ; y=\"z\"\r\nb\"}", true);
        check(b"\xff\xfe GET /?sig=1 \xff", true);
        check(b"", false);
    }

    #[test]
    fn what_a_coded_content_holds() {
        let check = |content: &[u8], expected: bool| {
            let said = coded::tests::message("Content-Encoding: gzip\r\n", &coded::tests::gzip(content));
            assert_eq!(holds(&said, &[b"hunter2".to_vec()]), expected, "{}", content.escape_ascii());
        };
        check(b"<p>hello</p>", false);
        check(b"{\"access_token\":\"abcdef\"}", true);
        check(b"you are hunter2", true);
        // Nobody looks into this one.
        assert!(holds(&coded::tests::message("Content-Encoding: br\r\n", b"\x8b\x02\x80hello\x03"), &[]));
    }

    #[test]
    fn what_a_visit_sends() {
        let check = |url: &str, fields: &[&str], expected: &[&str]| {
            let mut request = Request::default();
            for (name, value) in fields.iter().map(|field| field.split_once(": ").unwrap()) {
                request.fields.insert(name.parse::<hyper::header::HeaderName>().unwrap(), value.parse().unwrap());
            }
            let expected: Vec<_> = expected.iter().map(|secret| secret.as_bytes().to_vec()).collect();
            assert_eq!(sent(&Visitable::read(url, Secrets::Removed), &request), expected, "{url} {fields:?}");
        };
        check("http://a.test/?x=hunter1&token=hunter2;sig=abc", &["X-A: hunter3"], &["hunter2"]);
        check("a.test", &["Authorization: Basic hunter2"], &["Basic hunter2", "hunter2"]);
        check("a.test", &["Cookie: a=b"], &[]);
        check("nonsense://", &[], &[]);
    }

    #[test]
    fn tls() {
        let record = |kind: u8, length: usize| {
            let [high, low] = (length as u16).to_be_bytes();
            [vec![kind, 3, 3, high, low], vec![b'a'; length]].concat()
        };
        let check = |said: &[Vec<u8>], expected: bool| {
            assert_eq!(is_tls(&said.concat()), expected, "{:?}", said.concat().get(..10));
        };
        check(&[record(22, 200), record(20, 1), record(23, 1000)], true);
        check(&[record(21, 2)], true);
        check(&[record(22, 200), record(23, 1000)[..40].to_vec()], true);
        check(&[record(22, 200), vec![23, 3]], true);
        check(&[record(22, 200), b"PASS hunter2".to_vec()], false);
        check(&[record(23, 200)], false);
        check(&[record(22, 20_000)], false);
        check(&[b"GET / HTTP/1.1".to_vec()], false);
        check(&[], false);
    }
}
