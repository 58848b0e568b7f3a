//! HTTP/2 frame by frame (RFC 9113), and what the journal makes of it.

use std::{
    io::{self, Read, Write},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::support::{Client, Running, Secure, eventually, start, start_with, trace};
use journey::{TraceId, What, event::ClosedBy};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// A connection on which every frame is sent and read by hand.
struct Raw {
    client: Client<Secure>,
    sent: u64,
    received: u64,
}

impl Raw {
    fn open(app: &Running) -> Self {
        let mut raw = Self { client: app.secure(&["h2"]), sent: 0, received: 0 };
        raw.bytes(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        raw.send(SETTINGS, 0, 0, &[]);
        raw
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.sent += bytes.len() as u64;
        self.client.stream.write_all(bytes).expect("the server reads");
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> u64 {
        let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.bytes(&frame);
        frame.len() as u64
    }

    /// A GET; returns how many bytes it took.
    fn get(&mut self, stream: u32, path: &str, trace: Option<TraceId>) -> u64 {
        self.send(HEADERS, END_STREAM | END_HEADERS, stream, &get(path, trace))
    }

    fn next(&mut self) -> Option<Frame> {
        let read = &self.client.read;
        let header = (read.len() >= 9).then(|| usize::from(read[1]) << 8 | usize::from(read[2]));
        match header.filter(|length| read.len() >= 9 + length) {
            Some(length) => {
                let frame: Vec<u8> = self.client.read.drain(..9 + length).collect();
                self.received += frame.len() as u64;
                let stream = u32::from_be_bytes(frame[5..9].try_into().unwrap());
                Some(Frame { kind: frame[3], flags: frame[4], stream, payload: frame[9..].to_vec() })
            }
            None if self.client.more() > 0 => self.next(),
            None => None,
        }
    }

    /// The next frame of that kind; PINGs and SETTINGS that come meanwhile are answered, as an ordinary client does.
    fn until(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next().expect("the connection is open");
            if frame.kind == kind {
                return frame;
            }
            self.acknowledge(&frame);
        }
    }

    fn acknowledge(&mut self, frame: &Frame) {
        if matches!(frame.kind, PING | SETTINGS) && frame.flags & ACK == 0 {
            let payload = if frame.kind == PING { frame.payload.clone() } else { Vec::new() };
            self.send(frame.kind, ACK, 0, &payload);
        }
    }

    /// Reads a stream to its end: the bytes of its frames, and of its content.
    fn stream(&mut self, stream: u32) -> (u64, u64) {
        let (mut all, mut content) = (0, 0);
        loop {
            let frame = self.next().expect("the connection is open");
            self.acknowledge(&frame);
            if frame.stream != stream || !matches!(frame.kind, DATA | HEADERS | CONTINUATION) {
                continue;
            }
            all += 9 + frame.payload.len() as u64;
            if frame.kind == DATA {
                content += frame.payload.len() as u64;
            }
            if frame.flags & END_STREAM != 0 {
                return (all, content);
            }
        }
    }

    /// Lets the server send so much more, on the stream and on the connection.
    fn allow(&mut self, stream: u32, bytes: u32) {
        for stream in [stream, 0] {
            self.send(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes());
        }
    }

    /// Everything to the end of the connection.
    fn rest(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next() {
            self.acknowledge(&frame);
            frames.push(frame);
        }
        frames
    }
}

/// Fields without compression by the table (RFC 7541 §6.2.2), the usual ones by index (§6.1).
fn get(path: &str, trace: Option<TraceId>) -> Vec<u8> {
    let mut fields = vec![0x82, 0x87];
    let mut literal = |name: &str, value: &str| {
        fields.push(0);
        for text in [name, value] {
            assert!(text.len() < 127, "one byte of length");
            fields.push(u8::try_from(text.len()).unwrap());
            fields.extend(text.as_bytes());
        }
    };
    literal(":path", path);
    literal(":authority", "www.example.local");
    if let Some(trace) = trace {
        literal("traceparent", &trace.traceparent(1));
    }
    fields
}

/// Fields that are too long together: h2 answers 431 itself.
fn oversized() -> Vec<u8> {
    let mut fields = get("/json", None);
    // A field for the table (RFC 7541 §6.2.1), which counts 132 bytes, and then its index (§6.1) again and again.
    fields.extend([0x40, 1, b'x', 99]);
    fields.extend([b'v'; 99]);
    fields.extend([0xbe; 130]);
    fields
}

/// So many fields besides the usual ones, each of a few bytes.
fn with_fields(path: &str, trace: Option<TraceId>, count: usize) -> Vec<u8> {
    let mut fields = get(path, trace);
    for _ in 0..count {
        fields.extend([0, 1, b'x', 1, b'y']);
    }
    fields
}

fn written(events: &[(u64, What)]) -> Vec<(Option<u16>, u64)> {
    let written = |(_, what): &(u64, What)| match what {
        What::ResponseWritten { status, bytes, .. } => Some((*status, *bytes)),
        _ => None,
    };
    events.iter().filter_map(written).collect()
}

fn read(events: &[(u64, What)]) -> Vec<(String, u64)> {
    let read = |(_, what): &(u64, What)| match what {
        What::RequestRead { target, bytes, .. } => Some((target.clone(), *bytes)),
        _ => None,
    };
    events.iter().filter_map(read).collect()
}

#[test]
fn both_ends_with_every_byte() {
    let app = start();
    let mut raw = Raw::open(&app);
    let peer = raw.client.local();
    let head = raw.get(1, "/bytes/50000?secret=1", Some(trace(1)));
    let (all, content) = raw.stream(1);
    assert_eq!(content, 50_000);
    raw.client.stream.conn.send_close_notify();
    raw.client.stream.conn.complete_io(&mut raw.client.stream.sock).unwrap();
    raw.rest();
    let (bytes_in, bytes_out) = (raw.sent, raw.received);

    let events = app.events_to_the_end(trace(1));
    assert_eq!(events.len(), 4, "{events:?}");
    assert_eq!(events[0].1, What::ConnectionAccepted { peer, local: "10.78.2.81:443".parse().unwrap() });
    let (method, target) = ("GET".to_owned(), "/bytes/50000".to_owned());
    assert_eq!(events[1].1, What::RequestRead { peer, method, target, bytes: head });
    assert_eq!(written(&events), [(Some(200), all)]);
    let What::ConnectionClosed { by, bytes_in: read, bytes_out: wrote, .. } = events[3].1 else { panic!("{events:?}") };
    assert_eq!((by, read, wrote), (ClosedBy::Peer, bytes_in, bytes_out));
    assert!(events.iter().map(|(at_ns, _)| *at_ns).is_sorted(), "{events:?}");
    app.metric_becomes("app_connections_open{port=\"https\"}", 0);
}

#[test]
fn streams_at_once_each_with_its_own_bytes() {
    let app = start();
    let mut raw = Raw::open(&app);
    let heads = [
        raw.get(1, "/delay/150", Some(trace(1))),
        raw.get(3, "/bytes/3", Some(trace(2))),
        raw.get(5, "/nothing", None),
        raw.get(7, "/bytes/30", Some(trace(3))),
    ];
    let mut sizes = std::collections::HashMap::<u32, u64>::new();
    let mut ended = Vec::new();
    while ended.len() < 4 {
        let frame = raw.next().unwrap();
        raw.acknowledge(&frame);
        if matches!(frame.kind, DATA | HEADERS) {
            *sizes.entry(frame.stream).or_default() += 9 + frame.payload.len() as u64;
            if frame.flags & END_STREAM != 0 {
                ended.push(frame.stream);
            }
        }
    }
    assert_eq!(ended.last(), Some(&1), "a slow request holds up none of the others");
    for (number, stream, nth) in [(1, 1, 0), (2, 3, 1), (3, 7, 3)] {
        let events = app.events(trace(number));
        assert_eq!(read(&events)[0].1, heads[nth], "visit {number}");
        assert_eq!(written(&events), [(Some(200), sizes[&stream])], "visit {number}");
    }
}

#[test]
fn a_head_in_pieces_and_a_body() {
    let app = start();
    let mut raw = Raw::open(&app);
    let mut fields = get("/headers", Some(trace(1)));
    fields[0] = 0x83;
    let (begin, rest) = fields.split_at(20);
    let mut head = raw.send(HEADERS, 0, 1, begin);
    head += raw.send(CONTINUATION, 0, 1, &rest[..5]);
    head += raw.send(CONTINUATION, END_HEADERS, 1, &rest[5..]);
    raw.send(DATA, 0, 1, b"ab");
    raw.send(DATA, END_STREAM, 1, b"c");
    raw.until(HEADERS);
    let json: serde_json::Value = serde_json::from_slice(&raw.until(DATA).payload).unwrap();
    assert_eq!((&json["body"]["text"], &json["head_bytes"]), (&"abc".into(), &head.into()), "{json}");
    assert_eq!((&json["request_line"], &json["headers"][0]["name"]), (&serde_json::Value::Null, &":method".into()));
    assert_eq!(read(&app.events(trace(1))), [("/headers".to_owned(), head)]);
}

#[test]
fn written_is_what_the_client_may_have() {
    let app = start();
    let mut raw = Raw::open(&app);
    // More than the client's window: the last byte cannot be out before the client allows it.
    raw.get(1, "/bytes/100000", Some(trace(1)));
    let mut content = 0;
    while content < 65_535 {
        content += raw.until(DATA).payload.len();
    }
    assert_eq!((content, written(&app.events(trace(1))).len()), (65_535, 0));
    let before = service::ring::now_ns();
    raw.allow(1, 100_000);
    assert_eq!(raw.stream(1).1, 100_000 - 65_535);
    let events = eventually("it is written", || Some(app.events(trace(1))).filter(|e| !written(e).is_empty()));
    assert!(events[2].0 >= before);
}

#[test]
fn given_up_by_the_client() {
    let app = start();
    let mut raw = Raw::open(&app);
    raw.get(1, "/bytes/1000000", Some(trace(1)));
    raw.get(3, "/delay/60000", Some(trace(2)));
    raw.until(DATA);
    eventually("both are read", || (app.events(trace(2)).len() == 2).then_some(()));
    for stream in [1, 3] {
        raw.send(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
    }
    raw.allow(0, 1_000_000);
    raw.get(5, "/bytes/5", Some(trace(3)));
    assert_eq!(raw.stream(5).1, 5, "the connection goes on");
    // The client may have the last byte before its server has noted that it is out.
    eventually("it is written", || (written(&app.events(trace(3))).len() == 1).then_some(()));
    for number in [1, 2] {
        assert!(written(&app.events(trace(number))).is_empty());
    }
    // Nothing is left of them that would keep the server from stopping.
    drop(raw);
    assert_eq!(app.stop().cut_off, 0);
}

#[test]
fn drains() {
    let app = start();
    let mut raw = Raw::open(&app);
    raw.get(1, "/bytes/100000", Some(trace(1)));
    raw.until(DATA);
    app.signals.stop.cancel();
    raw.until(GOAWAY);
    raw.allow(1, 1_000_000);
    let frames = raw.rest();
    let content: usize = frames.iter().filter(|frame| frame.kind == DATA).map(|frame| frame.payload.len()).sum();
    assert!(content > 30_000 && frames.iter().any(|frame| frame.kind == DATA && frame.flags & END_STREAM != 0));
    assert_eq!(app.stop().cut_off, 0);
}

#[test]
fn a_client_that_leaves_is_heard_out() {
    let app = start();
    let mut raw = Raw::open(&app);
    raw.get(1, "/bytes/5", None);
    raw.stream(1);
    raw.send(GOAWAY, 0, 0, &[0; 8]);
    raw.rest();
    // The server has closed its side. What a client still says, if only that it closes too, meets no RST, behind which
    // writing would fail.
    for _ in 0..2_000 {
        raw.send(PING, ACK, 0, &[0; 8]);
    }
    drop(raw);
    assert_eq!(app.stop().cut_off, 0);
}

#[needs::tools(curl)]
#[test]
fn drains_for_curl() {
    let app = start();
    let (_dir, ca) = app.ca_file();
    let url = format!("https://localhost:{}/bytes/20000000", app.https.port());
    // Slow enough to be under way when the server is told to stop, and done well within the grace period.
    let usual = ["--silent", "--show-error", "--noproxy", "*", "--http2", "--cacert", &ca, "--limit-rate", "20M"];
    let mut curl = Command::new("curl").args(usual).arg(url).stdout(Stdio::piped()).spawn().unwrap();
    let (mut out, mut first) = (curl.stdout.take().unwrap(), [0; 1]);
    out.read_exact(&mut first).unwrap();
    app.signals.stop.cancel();
    let mut rest = Vec::new();
    out.read_to_end(&mut rest).unwrap();
    assert_eq!((rest.len(), curl.wait().unwrap().success()), (19_999_999, true));
    assert_eq!(app.stop().cut_off, 0);
}

#[test]
fn an_idle_connection_does_not_hold_up_the_end() {
    let app = start();
    let (mut fresh, mut used) = (Raw::open(&app), Raw::open(&app));
    used.get(1, "/bytes/1", Some(trace(1)));
    used.stream(1);
    fresh.get(1, "/delay/60000", None);
    eventually("it is busy", || (app.metric("app_connections_open{port=\"https\"}") == 2).then_some(()));
    let begin = Instant::now();
    app.signals.stop.cancel();
    // It answers nothing, not even the server's PING.
    assert_eq!(app.stop().cut_off, 0);
    assert!(begin.elapsed() < service::start::GRACE, "{:?}", begin.elapsed());
}

#[test]
fn limits_in_time() {
    let app = start_with(|config| {
        (config.limits.read, config.limits.idle) = (Duration::from_millis(200), Duration::from_millis(200));
    });
    // No request; a head that is never whole; a response that is not taken, however often the client pings.
    let mut silent = Raw::open(&app);
    assert!(silent.rest().iter().any(|frame| frame.kind == GOAWAY), "it is told");
    let mut half = Raw::open(&app);
    half.send(HEADERS, 0, 1, &get("/", None)[..10]);
    eventually("it is closed", || half.next().is_none().then_some(()));
    assert_eq!(app.metric("app_http_unread_total{reason=\"timeout\"}"), 1);

    let mut stuck = Raw::open(&app);
    stuck.get(1, "/bytes/1000000", Some(trace(1)));
    let ping = |raw: &mut Raw| {
        let frame = [&[0, 0, 8, PING, 0][..], &0_u32.to_be_bytes(), &[0; 8]].concat();
        raw.client.stream.write_all(&frame).is_err()
    };
    let closed = |events: &[(u64, What)]| match events.last() {
        Some((_, What::ConnectionClosed { by, .. })) => Some(*by),
        _ => None,
    };
    let by = eventually("it is given up", || {
        ping(&mut stuck);
        closed(&app.events(trace(1)))
    });
    assert_eq!(by, ClosedBy::TimeLimit);
}

#[test]
fn what_is_no_http_2() {
    let app = start();
    let mut client = app.secure(&["h2"]);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.rest();
    app.metric_becomes("app_http_unread_total{reason=\"malformed\"}", 1);
    // A frame on a stream that was never opened is an error of the connection (RFC 9113 §5.1).
    let mut raw = Raw::open(&app);
    raw.send(DATA, 0, 9, b"x");
    assert!(raw.rest().iter().any(|frame| frame.kind == GOAWAY));
    app.metric_becomes("app_http_unread_total{reason=\"malformed\"}", 2);
    app.metric_becomes("app_connections_open{port=\"https\"}", 0);
}

#[test]
fn floods_are_refused() {
    let app = start();
    // More streams than may be open at once (RFC 9113 §5.1.2).
    let mut raw = Raw::open(&app);
    for n in 0..80 {
        raw.get(2 * n + 1, "/delay/60000", None);
    }
    assert_eq!(raw.until(RST_STREAM).payload, 7_u32.to_be_bytes(), "REFUSED_STREAM");
    drop(raw);
    // Opened and reset at once, again and again (CVE-2023-44487).
    let mut raw = Raw::open(&app);
    let mut flood = Vec::new();
    for n in 0..500_u32 {
        let fields = get("/delay/60000", None);
        let stream = (2 * n + 1).to_be_bytes();
        let head = [&[0, 0, u8::try_from(fields.len()).unwrap(), HEADERS, 5][..], &stream, &fields].concat();
        flood.extend([&head[..], &[0, 0, 4, RST_STREAM, 0], &stream, &8_u32.to_be_bytes()].concat());
    }
    // The server may close before it has read it all.
    let _ = raw.client.stream.write_all(&flood);
    app.metric_becomes("app_connections_open{port=\"https\"}", 0);
    assert_eq!(app.get("/").status, 200);
}

/// What comes on a connection to which a fault happens, and how it ends.
fn disturbed(fault: &str, path: &str) -> (Vec<Frame>, io::Result<usize>, Vec<(u64, What)>) {
    let app = start();
    app.signals.faults.add(fault.parse().unwrap(), None);
    let mut raw = Raw::open(&app);
    raw.get(1, path, Some(trace(1)));
    let mut bytes = Vec::new();
    let ended = raw.client.stream.read_to_end(&mut bytes);
    raw.client.read.extend(bytes);
    let mut frames = Vec::new();
    while raw.client.read.len() >= 9 {
        let length = usize::from(raw.client.read[1]) << 8 | usize::from(raw.client.read[2]);
        if raw.client.read[0] > 0 || raw.client.read.len() < 9 + length {
            break;
        }
        frames.extend(raw.next());
    }
    // What is left is no whole frame.
    let left = std::mem::take(&mut raw.client.read);
    if !left.is_empty() {
        frames.push(Frame { kind: 255, flags: 0, stream: 0, payload: left });
    }
    frames.retain(|frame| frame.stream == 1 || frame.kind == 255 || frame.kind == GOAWAY);
    (frames, ended, app.events_to_the_end(trace(1)))
}

fn closed_by(events: &[(u64, What)]) -> ClosedBy {
    match events.last() {
        Some((_, What::ConnectionClosed { by, .. })) => *by,
        _ => panic!("{events:?}"),
    }
}

#[test]
fn faults_within_a_stream_end_the_connection() {
    let (frames, ended, events) = disturbed("app1:cut", "/bytes/1001");
    ended.expect("close_notify and FIN");
    let content: usize = frames.iter().filter(|frame| frame.kind == DATA).map(|frame| frame.payload.len()).sum();
    assert_eq!((content, frames[0].kind), (500, HEADERS));
    assert!(frames.iter().all(|frame| frame.flags & END_STREAM == 0 && frame.kind != GOAWAY), "{frames:?}");
    assert_eq!((closed_by(&events), events.len()), (ClosedBy::Me, 3));

    let (frames, ended, events) = disturbed("app1:reset,after=700B", "/bytes/100000");
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    let all: usize = frames.iter().map(|frame| if frame.kind == 255 { 0 } else { 9 } + frame.payload.len()).sum();
    assert!((700..710).contains(&all), "{all}");
    assert_eq!(closed_by(&events), ClosedBy::MeReset);

    let (frames, ended, events) = disturbed("app1:reset", "/");
    assert_eq!((ended.unwrap_err().kind(), frames.len()), (io::ErrorKind::ConnectionReset, 0));
    assert_eq!(closed_by(&events), ClosedBy::MeReset);

    let (frames, ended, events) = disturbed("app1:empty", "/");
    ended.expect("close_notify and FIN");
    assert_eq!((frames.len(), closed_by(&events)), (0, ClosedBy::Me));

    let (frames, ended, _) = disturbed("app1:garbage", "/");
    ended.expect("close_notify and FIN");
    assert_eq!((frames.len(), frames[0].kind, frames[0].payload.len()), (1, 255, 64));
}

#[test]
fn faults_of_an_answer_leave_the_connection_alone() {
    let app = start();
    let mut raw = Raw::open(&app);
    let mut stream = 1;
    for (fault, length) in [("app1:drip=20ms", 1000), ("app1:slow-first-byte=50ms", 1000)] {
        app.signals.faults.clear();
        app.signals.faults.add(fault.parse().unwrap(), None);
        raw.get(stream, "/bytes/1000", Some(trace(1)));
        let mut content = 0;
        loop {
            let frame = raw.next().expect("the connection goes on");
            content += if frame.stream == stream && frame.kind == DATA { frame.payload.len() } else { 0 };
            if frame.stream == stream && frame.flags & END_STREAM != 0 && frame.kind == DATA {
                break;
            }
        }
        assert_eq!(content, length);
        stream += 2;
    }
    app.signals.faults.clear();
    app.signals.faults.add("app1:endless".parse().unwrap(), None);
    raw.get(stream, "/", Some(trace(2)));
    // As much as the client has room for (RFC 9113 §6.9.2).
    raw.send(WINDOW_UPDATE, 0, 0, &2_000_u32.to_be_bytes());
    let mut content = 0;
    while content < 65_535 {
        let frame = raw.next().expect("the connection goes on");
        content += if frame.stream == stream && frame.kind == DATA { frame.payload.len() } else { 0 };
    }
    assert_eq!(content, 65_535);
    raw.send(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
    app.signals.faults.clear();
    raw.send(WINDOW_UPDATE, 0, 0, &65_535_u32.to_be_bytes());
    raw.get(stream + 2, "/bytes/1", None);
    while raw.next().expect("the connection goes on").stream != stream + 2 {}
}

/// Sends a head of any length, in as many frames as it takes.
fn head(raw: &mut Raw, stream: u32, fields: &[u8], flags: u8) -> u64 {
    let mut pieces = fields.chunks(16_000).peekable();
    let (mut bytes, mut kind, mut flags) = (0, HEADERS, flags);
    while let Some(piece) = pieces.next() {
        let end = if pieces.peek().is_none() { END_HEADERS } else { 0 };
        bytes += raw.send(kind, flags | end, stream, piece);
        (kind, flags) = (CONTINUATION, 0);
    }
    bytes
}

/// A POST of this length, as it says; its content follows.
fn post(raw: &mut Raw, stream: u32, path: &str, length: usize, trace: Option<TraceId>) {
    let mut fields = get(path, trace);
    fields[0] = 0x83;
    let length = length.to_string();
    fields.extend([0, 14]);
    fields.extend(b"content-length");
    fields.push(u8::try_from(length.len()).unwrap());
    fields.extend(length.as_bytes());
    raw.send(HEADERS, END_HEADERS, stream, &fields);
}

/// Waits for the status 431 of a stream, or for its RST_STREAM: the first frame on it.
fn answered(raw: &mut Raw, stream: u32) -> Frame {
    loop {
        let frame = raw.next().expect("the connection goes on");
        raw.acknowledge(&frame);
        assert_ne!(frame.kind, GOAWAY, "{frame:?}");
        if frame.stream == stream && matches!(frame.kind, HEADERS | RST_STREAM) {
            return frame;
        }
    }
}

/// A way in which streams end, from stream 1 on; gives the next stream.
type End = fn(&mut Raw) -> u32;

const ENDS: [(&str, End); 22] = [
    ("END_STREAM", |raw| {
        raw.get(1, "/bytes/5", None);
        raw.stream(1);
        3
    }),
    ("RST behind the head", |raw| {
        raw.get(1, "/delay/60000", None);
        raw.send(RST_STREAM, 0, 1, &8_u32.to_be_bytes());
        3
    }),
    ("RST while the handler works", |raw| {
        raw.get(1, "/delay/60000", None);
        raw.get(3, "/bytes/1", None);
        raw.stream(3);
        raw.send(RST_STREAM, 0, 1, &8_u32.to_be_bytes());
        5
    }),
    ("RST within the response", |raw| {
        raw.get(1, "/bytes/1000000", None);
        raw.until(DATA);
        raw.send(RST_STREAM, 0, 1, &8_u32.to_be_bytes());
        raw.allow(0, 1_000_000);
        3
    }),
    ("RST behind the response", |raw| {
        raw.get(1, "/bytes/5", None);
        raw.stream(1);
        raw.send(RST_STREAM, 0, 1, &8_u32.to_be_bytes());
        3
    }),
    ("fields too long together", |raw| {
        head(raw, 1, &oversized(), END_STREAM);
        assert_eq!(answered(raw, 1).kind, HEADERS, "431");
        3
    }),
    ("fields too long together, and content to come", |raw| {
        head(raw, 1, &oversized(), 0);
        answered(raw, 1);
        3
    }),
    ("fields too long together, and the next head at once", |raw| {
        head(raw, 1, &oversized(), END_STREAM);
        raw.get(3, "/delay/60000", None);
        raw.send(RST_STREAM, 0, 3, &8_u32.to_be_bytes());
        5
    }),
    ("too many fields", |raw| {
        head(raw, 1, &with_fields("/json", None, 101), END_STREAM);
        assert_eq!(answered(raw, 1).kind, HEADERS, "431");
        3
    }),
    ("more streams than may be", |raw| {
        for nth in 0..65 {
            raw.get(2 * nth + 1, "/delay/60000", None);
        }
        assert_eq!(answered(raw, 129).payload, 7_u32.to_be_bytes(), "REFUSED_STREAM");
        raw.send(RST_STREAM, 0, 1, &8_u32.to_be_bytes());
        131
    }),
    ("content longer than content-length", |raw| {
        post(raw, 1, "/headers", 1, None);
        raw.send(DATA, END_STREAM, 1, b"two");
        assert_eq!(answered(raw, 1).kind, RST_STREAM);
        3
    }),
    ("content shorter than content-length", |raw| {
        post(raw, 1, "/headers", 9, None);
        raw.send(DATA, END_STREAM, 1, b"two");
        assert_eq!(answered(raw, 1).kind, RST_STREAM);
        3
    }),
    ("no content, and a content-length", |raw| {
        post(raw, 1, "/headers", 9, None);
        raw.send(DATA, END_STREAM, 1, b"");
        answered(raw, 1);
        3
    }),
    ("a field that HTTP/2 does not have", |raw| {
        let mut fields = get("/json", None);
        fields.extend([&[0, 10][..], b"connection", &[5], b"close"].concat());
        raw.send(HEADERS, END_STREAM | END_HEADERS, 1, &fields);
        assert_eq!(answered(raw, 1).kind, RST_STREAM);
        3
    }),
    ("no path", |raw| {
        raw.send(HEADERS, END_STREAM | END_HEADERS, 1, &[0x82, 0x87]);
        answered(raw, 1);
        3
    }),
    ("trailers", |raw| {
        post(raw, 1, "/headers", 3, None);
        raw.send(DATA, 0, 1, b"abc");
        raw.send(HEADERS, END_STREAM | END_HEADERS, 1, &[0, 1, b'x', 1, b'y']);
        raw.stream(1);
        3
    }),
    ("content that is not read", |raw| {
        post(raw, 1, "/headers", 2_000_000, None);
        raw.stream(1);
        3
    }),
    ("content that does not come", |raw| {
        post(raw, 1, "/headers", 5, None);
        raw.stream(1);
        3
    }),
    ("HEAD", |raw| {
        let mut fields = get("/bytes/1000", None);
        // A literal with the name `:method` (RFC 7541 §6.2.2, appendix A).
        fields.splice(0..1, [&[2, 4][..], b"HEAD"].concat());
        raw.send(HEADERS, END_STREAM | END_HEADERS, 1, &fields);
        answered(raw, 1);
        3
    }),
    ("CONNECT", |raw| {
        let fields = [&[0x02, 7][..], b"CONNECT", &[0, 10], b":authority", &[4], b"a:80"].concat();
        raw.send(HEADERS, END_HEADERS, 1, &fields);
        answered(raw, 1);
        raw.send(RST_STREAM, 0, 1, &8_u32.to_be_bytes());
        3
    }),
    ("a window that never opens", |raw| {
        raw.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
        raw.get(1, "/bytes/10", None);
        answered(raw, 1);
        raw.send(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]);
        raw.stream(1);
        3
    }),
    ("streams that are left out", |raw| {
        raw.get(1, "/bytes/1", None);
        raw.stream(1);
        101
    }),
];

#[test]
fn after_any_end_of_a_stream_the_next_one_has_its_own_events() {
    // For content that does not come.
    let app = start_with(|config| config.limits.read = Duration::from_secs(2));
    for (nth, (what, end)) in ENDS.iter().enumerate() {
        let trace = trace(u8::try_from(nth + 1).unwrap());
        let mut raw = Raw::open(&app);
        let stream = end(&mut raw);
        let head = raw.get(stream, "/bytes/33", Some(trace));
        let (all, content) = raw.stream(stream);
        assert_eq!(content, 33, "{what}");
        let events = eventually(what, || Some(app.events(trace)).filter(|events| !written(events).is_empty()));
        assert_eq!(read(&events), [("/bytes/33".to_owned(), head)], "{what}");
        assert_eq!(written(&events), [(Some(200), all)], "{what}");
    }
}

/// What a client does again and again, which never asks for anything or never takes it.
type Act = fn(&mut Raw) -> io::Result<()>;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

fn try_send(raw: &mut Raw, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
    raw.client.stream.write_all(&frame(kind, flags, stream, payload))
}

fn nothing(_: &mut Raw) -> io::Result<()> {
    Ok(())
}

/// A case: its name, how it begins, and what is then done without end.
type Endless = (&'static str, fn(&mut Raw), Act);

const ENDLESS: [Endless; 15] = [
    ("the preface and nothing else", |_| {}, nothing),
    ("half a frame's header", |raw| raw.bytes(&[0, 0, 8, PING]), nothing),
    ("half a frame", |raw| raw.bytes(&[0, 0, 8, PING, 0, 0, 0, 0, 0, 1, 2]), nothing),
    ("PING", |_| {}, |raw| try_send(raw, PING, 0, 0, &[0; 8])),
    ("SETTINGS", |_| {}, |raw| try_send(raw, SETTINGS, 0, 0, &[])),
    ("WINDOW_UPDATE", |_| {}, |raw| try_send(raw, WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes())),
    ("PRIORITY", |_| {}, |raw| try_send(raw, 2, 0, 1, &[0, 0, 0, 0, 1])),
    ("frames of an unknown type", |_| {}, |raw| try_send(raw, 0xbe, 0, 0, b"grease")),
    (
        "half a head",
        |raw| {
            raw.send(HEADERS, 0, 1, &get("/", None)[..10]);
        },
        nothing,
    ),
    (
        "a head in drops",
        |raw| {
            raw.send(HEADERS, 0, 1, &get("/", None));
        },
        |raw| try_send(raw, CONTINUATION, 0, 1, &[0, 1, b'x', 1, b'y']),
    ),
    ("content in drops", |raw| post(raw, 1, "/headers", 1000, None), |raw| try_send(raw, DATA, 0, 1, b"x")),
    (
        "a window that stays shut",
        |raw| {
            raw.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
            raw.get(1, "/bytes/10", None);
        },
        |raw| try_send(raw, PING, 0, 0, &[0; 8]),
    ),
    (
        "a window that opens byte by byte",
        |raw| {
            raw.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
            raw.get(1, "/bytes/100000", None);
        },
        |raw| try_send(raw, WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes()),
    ),
    (
        "fields too long together, and a stream given up behind them",
        |raw| {
            head(raw, 1, &oversized(), END_STREAM);
            answered(raw, 1);
            raw.get(3, "/delay/60000", None);
            raw.send(RST_STREAM, 0, 3, &8_u32.to_be_bytes());
        },
        nothing,
    ),
    (
        "streams given up, again and again",
        |raw| {
            for nth in 0..15 {
                raw.get(2 * nth + 1, "/delay/60000", None);
                raw.send(RST_STREAM, 0, 2 * nth + 1, &8_u32.to_be_bytes());
            }
        },
        nothing,
    ),
];

#[test]
fn whatever_a_client_does_without_asking_its_connection_ends() {
    let app = start_with(|config| {
        (config.limits.read, config.limits.idle) = (Duration::from_millis(300), Duration::from_millis(300));
    });
    let is_over = || app.metric("app_connections_open{port=\"https\"}") == 0;
    for (what, begin, act) in ENDLESS {
        let mut raw = Raw::open(&app);
        begin(&mut raw);
        // It takes nothing: what the server says stays in the kernel.
        eventually(what, || {
            // Fails where the connection is closed already.
            let _ = act(&mut raw);
            std::thread::sleep(Duration::from_millis(10));
            is_over().then_some(())
        });
    }
    for begin in ["", "PRI * HTTP/2.0\r\n"] {
        let mut client = app.secure(&["h2"]);
        client.send(begin);
        eventually("a preface that is not whole", || is_over().then_some(()));
    }
}

#[test]
fn memory_for_many_requests_is_limited_and_each_connection_has_some() {
    let app = start_with(|config| config.limits.memory = 64 * 1024);
    let mut greedy = Raw::open(&app);
    for nth in 0..64 {
        greedy.get(2 * nth + 1, "/delay/60000", None);
    }
    // One without being asked, and 15 of 4 KiB and some more.
    let mut refused = 0;
    while refused < 48 {
        let frame = greedy.next().expect("the connection goes on");
        greedy.acknowledge(&frame);
        refused += usize::from(frame.kind == RST_STREAM && frame.payload == 7_u32.to_be_bytes());
    }
    let mut modest = Raw::open(&app);
    for nth in 0..3 {
        modest.get(2 * nth + 1, "/bytes/5", None);
        assert_eq!(modest.stream(2 * nth + 1).1, 5);
    }
    for nth in 0..16 {
        greedy.send(RST_STREAM, 0, 2 * nth + 1, &8_u32.to_be_bytes());
    }
    let mut stream = 201;
    eventually("memory is free again", || {
        for nth in 0..16 {
            greedy.get(stream + 2 * nth, "/delay/1", None);
        }
        let mut kinds = Vec::new();
        while kinds.len() < 16 {
            let frame = greedy.next().expect("the connection goes on");
            greedy.acknowledge(&frame);
            kinds
                .extend(Some(frame.kind).filter(|kind| frame.stream >= stream && [HEADERS, RST_STREAM].contains(kind)));
        }
        stream += 32;
        (!kinds.contains(&RST_STREAM)).then_some(())
    });
}

#[test]
fn a_request_keeps_what_its_answer_needs_while_it_waits() {
    let app = start();
    let mut raw = Raw::open(&app);
    let mut fields = with_fields("/delay/1?x=1", Some(trace(1)), 80);
    for (name, value) in [("accept-encoding", "gzip"), ("accept", "text/html")] {
        fields.extend([0, u8::try_from(name.len()).unwrap()]);
        fields.extend(name.as_bytes());
        fields.push(u8::try_from(value.len()).unwrap());
        fields.extend(value.as_bytes());
    }
    head(&mut raw, 1, &fields, END_STREAM);
    raw.stream(1);
    eventually("it is recorded under its visit", || (written(&app.events(trace(1))).len() == 1).then_some(()));
    head(&mut raw, 3, &with_fields("/headers", None, 80), END_STREAM);
    raw.until(HEADERS);
    let json: serde_json::Value = serde_json::from_slice(&raw.until(DATA).payload).unwrap();
    assert_eq!(json["headers"].as_array().unwrap().len(), 84, "{json}");
}
