//! Responses over HTTP/2, frame by frame: which are complete, and what is said of those that are not (RFC 9113 §8.1).

use crate::peer::visit;
use crate::pki::{Files, Kind as Certificate, Pki, tls_server};
use h2_frames::{Frames, Kind};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const WHOLE: u8 = END_STREAM | END_HEADERS;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn data(flags: u8, content: &str) -> Vec<u8> {
    frame(0, flags, 1, content.as_bytes())
}

fn reset(code: u32) -> Vec<u8> {
    frame(3, 0, 1, &code.to_be_bytes())
}

fn goaway(last: u32, code: u32) -> Vec<u8> {
    frame(7, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

/// A field as a literal without indexing (RFC 7541 §6.2.2).
fn field(name: &str, value: &str) -> Vec<u8> {
    // An integer with a prefix of seven bits (§5.1).
    let length = |length: usize| match u8::try_from(length) {
        Ok(short @ ..127) => vec![short],
        _ => {
            let (mut rest, mut bytes) = (length - 127, vec![127]);
            while rest >= 128 {
                bytes.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            bytes.push(u8::try_from(rest).unwrap());
            bytes
        }
    };
    [&[0], &length(name.len())[..], name.as_bytes(), &length(value.len()), value.as_bytes()].concat()
}

/// `:status: 200` (RFC 7541 Appendix A), and these fields.
fn fields(more: &[(&str, &str)]) -> Vec<u8> {
    [vec![0x88], more.iter().flat_map(|(name, value)| field(name, value)).collect()].concat()
}

fn head(flags: u8, more: &[(&str, &str)]) -> Vec<u8> {
    frame(1, flags, 1, &fields(more))
}

/// A block of fields in as many frames as it needs.
fn large(block: &[u8], flags: u8) -> Vec<u8> {
    let pieces: Vec<&[u8]> = block.chunks(16_000).collect();
    let of = |(nth, piece): (usize, &&[u8])| {
        let ends = if nth + 1 == pieces.len() { END_HEADERS } else { 0 };
        if nth == 0 { frame(1, flags | ends, 1, piece) } else { frame(9, ends, 1, piece) }
    };
    pieces.iter().enumerate().flat_map(of).collect()
}

/// What the server does when it has sent its frames.
#[derive(Clone, Copy)]
enum Then {
    Waits,
    Closes,
}

/// A server that answers every request with these frames.
fn server(files: &Files, sent: Vec<u8>, then: Then) -> u16 {
    tls_server(files, "h2", move |mut stream| {
        let sent = sent.clone();
        async move {
            let settings = [frame(4, 0, 0, &[]), frame(4, 1, 0, &[])].concat();
            let (mut frames, mut asked, mut buffer) = (Frames::from_client(), false, vec![0; 4096]);
            while !asked {
                let Ok(count @ 1..) = stream.read(&mut buffer).await else { return };
                frames.feed(&buffer[..count], |part| asked |= matches!(part.kind, Kind::Headers { .. }) && part.is_end);
            }
            let _ = stream.write_all(&[settings, sent].concat()).await;
            let _ = stream.flush().await;
            if matches!(then, Then::Closes) {
                let _ = stream.shutdown().await;
            }
            while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
        }
    })
}

struct Peer {
    pki: Pki,
    files: Files,
}

impl Peer {
    fn new() -> Self {
        let pki = Pki::new();
        let files = pki.issue(Certificate::GOOD);
        Self { pki, files }
    }

    fn visit(&self, sent: Vec<u8>, then: Then, args: &[&str]) -> (i32, Value) {
        let port = server(&self.files, sent, then);
        visit(
            &[args, &["--max-time", "20", "--cacert", &self.pki.root(), &format!("https://localhost:{port}/")]]
                .concat(),
        )
    }

    /// These frames are a whole response.
    fn reaches(&self, name: &str, sent: Vec<u8>, args: &[&str]) {
        let (code, journey) = self.visit(sent, Then::Waits, args);
        assert_eq!((code, &journey["outcome"]["reached"]), (0, &true.into()), "{name}: {:#}", journey["outcome"]);
    }

    /// These are not; with which exit code, reason, and words of the verdict. No advice speaks of a wrong port.
    fn fails(&self, name: &str, sent: Vec<u8>, then: Then, (code, reason, words): (i32, &str, &str)) -> Value {
        let (seen, journey) = self.visit(sent, then, &[]);
        let outcome = &journey["outcome"];
        assert_eq!((seen, &outcome["reason"]), (code, &reason.into()), "{name}: {outcome:#}");
        let verdict = outcome["verdict"].as_str().unwrap();
        assert!(verdict.contains(words), "{name}: {words:?} is not in {verdict:?}");
        assert!(!outcome["next"].as_str().unwrap_or_default().contains("port"), "{name}: {outcome:#}");
        journey
    }
}

#[test]
fn a_response_ends_with_end_stream() {
    let peer = Peer::new();
    let ten = || head(END_HEADERS, &[("content-length", "10")]);
    let three = || head(END_HEADERS, &[("content-length", "3")]);
    peer.reaches("content", [three(), data(END_STREAM, "hel")].concat(), &[]);
    peer.reaches("no content-length", [head(END_HEADERS, &[]), data(END_STREAM, "hel")].concat(), &[]);
    peer.reaches("no content", head(WHOLE, &[]), &[]);
    peer.reaches("NO_ERROR after the end", [three(), data(END_STREAM, "hel"), reset(0)].concat(), &[]);
    let trailers = frame(1, WHOLE, 1, &field("x-sum", "1"));
    peer.reaches("trailers", [three(), data(0, "hel"), trailers.clone()].concat(), &[]);
    peer.reaches("GOAWAY before the rest", [ten(), data(0, "hello"), goaway(1, 0), data(1, "world")].concat(), &[]);
    peer.reaches("an answer to HEAD", head(WHOLE, &[("content-length", "10")]), &["-I"]);
    let not_modified = [field(":status", "304"), field("content-length", "10")].concat();
    peer.reaches("304", frame(1, WHOLE, 1, &not_modified), &[]);

    let failed = |words| (92, "stream_failed", words);
    let begun = || [ten(), data(0, "hel")].concat();
    let no_error = "the server reset the stream: NO_ERROR, after 3 of 10 bytes of content";
    peer.fails("NO_ERROR too early", [begun(), reset(0)].concat(), Then::Waits, failed(no_error));
    let unknown = [head(END_HEADERS, &[]), data(0, "hel"), reset(0)].concat();
    peer.fails("NO_ERROR without a length", unknown, Then::Waits, failed("NO_ERROR, after 3 bytes of content"));
    let exact = [three(), data(0, "hel"), reset(0)].concat();
    peer.fails("NO_ERROR instead of the end", exact, Then::Waits, failed("after 3 of 3 bytes"));
    peer.fails("NO_ERROR before a head", reset(0), Then::Waits, failed("before the head of its response was complete"));
    peer.fails("CANCEL", [begun(), reset(8)].concat(), Then::Waits, failed("CANCEL, after 3 of 10 bytes"));
    peer.fails("an unknown code", [begun(), reset(99)].concat(), Then::Waits, failed("code 99"));
    let short = "the server ended the response after 3 of 10 bytes of content";
    peer.fails("too short", [ten(), data(END_STREAM, "hel")].concat(), Then::Waits, failed(short));
    peer.fails("too short, with trailers", [begun(), trailers].concat(), Then::Waits, failed(short));
    let long = "the server sent 5 bytes of content, and its content-length is 3";
    peer.fails("too long", [three(), data(END_STREAM, "hello")].concat(), Then::Waits, failed(long));
    peer.fails("too long and open", [three(), data(0, "hello")].concat(), Then::Waits, failed(long));
    let bare = head(WHOLE, &[("content-length", "10")]);
    peer.fails(
        "a length without content",
        bare,
        Then::Waits,
        failed("a content-length that is not that of the content"),
    );
}

#[test]
fn a_connection_that_ends_before_the_response() {
    let peer = Peer::new();
    let begun = || [head(END_HEADERS, &[("content-length", "10")]), data(0, "hel")].concat();
    let left = (18, "body_cut", "the server ended the connection with GOAWAY: NO_ERROR, after 3 of 10 bytes");
    peer.fails("GOAWAY in the content", [begun(), goaway(1, 0)].concat(), Then::Closes, left);
    peer.fails("GOAWAY for this stream", [begun(), goaway(0, 0)].concat(), Then::Closes, left);
    let before = (56, "receive_failed", "GOAWAY: ENHANCE_YOUR_CALM, before the head of its response was complete");
    peer.fails("GOAWAY before a head", goaway(0, 11), Then::Closes, before);
    peer.fails("closed in the content", begun(), Then::Closes, (18, "body_cut", "after 3 of 10 bytes of content"));
    let nothing = (52, "empty_reply", "closed the connection before it sent any of a response");
    peer.fails("closed before a head", Vec::new(), Then::Closes, nothing);
}

#[test]
fn http_1_1_required_advises_it() {
    let peer = Peer::new();
    for (sent, then) in [(reset(13), Then::Waits), (goaway(0, 13), Then::Closes)] {
        let journey = peer.fails("", sent, then, (92, "http1_required", "HTTP_1_1_REQUIRED"));
        assert_eq!(journey["outcome"]["next"], "visit with --http1.1");
    }
}

#[test]
fn a_head_over_the_limit_is_told_as_visits_own_limit() {
    let peer = Peer::new();
    let limit = (63, "too_large", "the head of the response is larger than visit's limit of 65536 bytes");
    let long = "a".repeat(1000);
    let many = |count: usize| {
        let names: Vec<String> = (0..count).map(|nth| format!("x-{nth}")).collect();
        let fields: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), long.as_str())).collect();
        self::fields(&fields)
    };
    peer.fails("80 kB", large(&many(80), END_STREAM), Then::Waits, limit);
    peer.fails("1 MB", large(&many(1000), END_STREAM), Then::Waits, limit);
    let one = fields(&[("x", &"a".repeat(70_000))]);
    peer.fails("one field", large(&one, END_STREAM), Then::Waits, limit);
    // A field that is indexed and then repeated by one byte each (RFC 7541 §6.1).
    let mut bomb = fields(&[("x", &long)]);
    bomb[1] = 0x40;
    bomb.extend([0xbe; 3000]);
    peer.fails("a compressed one", large(&bomb, END_STREAM), Then::Waits, limit);
    let flood = [frame(1, 0, 1, &fields(&[])), frame(9, 0, 1, &[]).repeat(200)].concat();
    peer.fails("too many frames", flood, Then::Waits, (63, "too_large", "more CONTINUATION frames than visit takes"));
    peer.reaches("60 kB", large(&many(55), END_STREAM), &[]);
}

#[test]
fn a_malformed_head_is_not_blamed_on_the_port() {
    let peer = Peer::new();
    let rules = (92, "stream_failed", "breaks the rules of HTTP/2 (RFC 9113 section 8)");
    for (name, value) in [("connection", "close"), ("content-length", "1, 2"), (":status", "200")] {
        peer.fails(name, head(WHOLE, &[(name, value)]), Then::Waits, rules);
    }
    peer.fails("no status", frame(1, WHOLE, 1, &field("x", "1")), Then::Waits, rules);
    let of_connection = (8, "malformed_response", "the response breaks the rules of HTTP/2");
    peer.fails("upper case", head(WHOLE, &[("X-Upper", "1")]), Then::Waits, of_connection);
    let no_frames = (8, "malformed_response", "what the server sent is not HTTP/2");
    peer.fails("no frames", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), Then::Waits, no_frames);
}

#[test]
fn reqwest_is_held_to_the_content_length_as_well() {
    let peer = Peer::new();
    let sent = [head(END_HEADERS, &[("content-length", "10")]), data(0, "hel"), reset(0)].concat();
    let (code, journey) = peer.visit(sent, Then::Waits, &["--engine", "reqwest"]);
    assert_eq!((code, &journey["outcome"]["reason"]), (92, &"stream_failed".into()), "{:#}", journey["outcome"]);
    peer.reaches("HEAD", head(WHOLE, &[("content-length", "10")]), &["-I", "--engine", "reqwest"]);
}
