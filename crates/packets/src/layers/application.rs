//! DNS, HTTP, TLS.

use std::ops::Range;

use hickory_proto::{
    op::{Header as DnsHeader, MessageType, Query},
    rr::{Record, RecordType},
    serialize::binary::{BinDecodable, BinDecoder},
};

use super::{Fields, Header, Protocol, size};
use crate::decode::app::{self, Handshakes, PREFACE, TlsRecords};

/// The application's own headers in what a segment or datagram carries, as far as they are known; where they end. `whole`
/// is where all of the payload ends, also where not all is kept.
pub(super) fn headers(
    frame: &[u8],
    payload: Range<usize>,
    whole: usize,
    is_tcp: bool,
    ports: (u16, u16),
    headers: &mut Vec<Header>,
) -> usize {
    let bytes = &frame[payload.clone()];
    let mut fields = Fields::of(frame, payload.clone());
    let (protocol, size) = if is_tcp {
        match app::in_segment(ports, bytes) {
            Some(app::App::Dns(_)) => {
                let length = usize::from(fields.word(0));
                fields.add("length", 0..2, size(length));
                (Protocol::Dns, dns(&mut fields, 2, 2 + length))
            }
            Some(app::App::Request { .. } | app::App::Response { .. }) => (Protocol::Http, http(&mut fields)),
            Some(app::App::Http2Preface) => {
                fields.add("connection preface", 0..PREFACE.len(), "HTTP/2 begins");
                (Protocol::Http2, PREFACE.len())
            }
            Some(app::App::Tls(_)) => return tls(frame, payload, headers),
            None => return payload.start,
        }
    } else {
        match app::in_datagram(ports, bytes) {
            Some(_) => (Protocol::Dns, dns(&mut fields, 0, bytes.len())),
            None => return payload.start,
        }
    };
    let range = payload.start..payload.start + size;
    headers.push(Header { protocol, payload_len: whole.saturating_sub(range.end), range, fields: fields.fields });
    payload.start + size
}

/// A message (RFC 1035 §4.1) from there to there; where what was read ends.
fn dns(fields: &mut Fields<'_>, from: usize, to: usize) -> usize {
    let mut decoder = BinDecoder::new(&fields.bytes[from..to]);
    let Ok(header) = DnsHeader::read(&mut decoder) else { return from };
    let meta = header.metadata;
    let yes = |is: bool, meaning: &str| if is { format!("1: {meaning}") } else { "0".to_owned() };
    let flags = from + 2..from + 4;
    let counts = header.counts;
    let qr = if meta.message_type == MessageType::Response { "1: a response" } else { "0: a query" };
    fields.add("ID", from..from + 2, format!("{:#06x}", meta.id));
    fields.bits("QR", flags.clone(), 0..1, qr);
    fields.bits("OPCODE", flags.clone(), 1..5, format!("{:?}", meta.op_code));
    fields.bits("AA", flags.clone(), 5..6, yes(meta.authoritative, "from an authority"));
    fields.bits("TC", flags.clone(), 6..7, yes(meta.truncation, "cut, ask again over TCP"));
    fields.bits("RD", flags.clone(), 7..8, yes(meta.recursion_desired, "ask others for me"));
    fields.bits("RA", flags.clone(), 8..9, yes(meta.recursion_available, "it asks others"));
    fields.bits("Z", flags.clone(), 9..10, "0");
    fields.bits("AD", flags.clone(), 10..11, yes(meta.authentic_data, "validated"));
    fields.bits("CD", flags.clone(), 11..12, yes(meta.checking_disabled, "not to be validated"));
    fields.bits("RCODE", flags, 12..16, app::rcode(meta.response_code));
    for (nth, (name, count)) in [
        ("QDCOUNT", counts.queries),
        ("ANCOUNT", counts.answers),
        ("NSCOUNT", counts.authorities),
        ("ARCOUNT", counts.additionals),
    ]
    .into_iter()
    .enumerate()
    {
        let at = from + 4 + 2 * nth;
        fields.add(name, at..at + 2, count.to_string());
    }
    for _ in 0..counts.queries {
        let at = decoder.index();
        let Ok(query) = Query::read(&mut decoder) else { return from + at };
        let meaning = format!("{} {}", app::rtype(query.query_type()), query.name().to_ascii());
        fields.add("question", from + at..from + decoder.index(), meaning);
    }
    for (name, count) in
        [("answer", counts.answers), ("authority", counts.authorities), ("additional", counts.additionals)]
    {
        for _ in 0..count {
            let at = decoder.index();
            let Ok(record) = Record::read(&mut decoder) else { return from + at };
            fields.add(name, from + at..from + decoder.index(), record_words(&record));
        }
    }
    from + decoder.index()
}

fn record_words(record: &Record) -> String {
    match record.record_type() {
        RecordType::OPT => {
            format!("OPT: it takes datagrams of {} (EDNS, RFC 6891)", size(usize::from(u16::from(record.dns_class))))
        }
        rtype => format!("{} {} {} {}", record.name.to_ascii(), record.ttl, app::rtype(rtype), record.data),
    }
}

/// The lines of a head, to the empty one behind it or as far as they are there.
fn http(fields: &mut Fields<'_>) -> usize {
    let bytes = fields.bytes;
    let mut at = 0;
    while let Some(length) = bytes[at..].iter().position(|byte| *byte == b'\n') {
        let (from, to) = (at, at + length + 1);
        let line = &bytes[from..to - 1];
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
        at = to;
        if line.is_empty() {
            fields.add("end of the head", from..to, "an empty line");
            return at;
        }
        match line.split_once(':') {
            _ if from == 0 => fields.add("first line", from..to, line),
            Some((name, value)) => fields.add(name, from..to, value.trim()),
            None => fields.add("line", from..to, line),
        }
    }
    if at < bytes.len() {
        fields.add("line, not all of it here", at..bytes.len(), String::from_utf8_lossy(&bytes[at..]));
    }
    bytes.len()
}

/// A header for each record, type, version and length, and behind it what is in it: encrypted, or a handshake's messages.
fn tls(frame: &[u8], payload: Range<usize>, headers: &mut Vec<Header>) -> usize {
    let (mut at, mut handshakes) = (payload.start, Handshakes::default());
    for (header, body) in TlsRecords(&frame[payload]) {
        let messages = handshakes.of(header, body);
        let range = at..at + header.len();
        let mut fields = Fields::of(frame, range.clone());
        let kind = match header[0] {
            20 => "change cipher spec",
            21 => "alert",
            22 => "handshake",
            _ => "application data",
        };
        let length = usize::from(fields.word(3));
        fields.add("content type", 0..1, format!("{}: {kind}", header[0]));
        fields.add("legacy record version", 1..3, format!("{:#06x}", fields.word(1)));
        fields.add("length", 3..5, size(length));
        at = range.end + body.len();
        headers.push(Header {
            protocol: Protocol::Tls,
            payload_len: length,
            range: range.clone(),
            fields: fields.fields,
        });
        if body.is_empty() {
            continue;
        }
        let mut fields = Fields::of(frame, range.end..at);
        let content = match header[0] {
            20 | 21 => kind.to_owned(),
            22 if !messages.is_empty() => {
                messages.iter().map(|(kind, name)| format!("{name} ({kind})")).collect::<Vec<_>>().join(", ")
            }
            22 if body.len() < length.min(4) => "not enough of it here".to_owned(),
            _ => "encrypted".to_owned(),
        };
        fields.add("fragment", 0..body.len(), content);
        let range = range.end..at;
        headers.push(Header { protocol: Protocol::TlsFragment, payload_len: 0, range, fields: fields.fields });
    }
    at
}
