//! What an application says, by the first bytes of a segment or datagram. A segment that continues what an earlier one
//! began has no such bytes, and is not guessed at.

mod tls;

use std::fmt;

use hickory_proto::{
    op::{Message, MessageType, ResponseCode},
    rr::{Record, RecordType},
};
use journey::dns::Meaning;

pub(crate) use self::tls::{Handshakes, TlsRecords};

/// What an application says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum App {
    /// A DNS message.
    Dns(Dns),
    /// The first line of a request in HTTP/1. Of its target only the path: a query may hold secrets.
    Request {
        /// Its method.
        method: String,
        /// Its path, `?…` behind it where there was a query.
        path: String,
        /// 0 or 1: the version behind `HTTP/1.`.
        minor: u8,
    },
    /// The first line of a response in HTTP/1.
    Response {
        /// 0 or 1: the version behind `HTTP/1.`.
        minor: u8,
        /// The status.
        status: u16,
        /// The phrase behind it, possibly empty.
        reason: String,
    },
    /// What a client begins HTTP/2 with (RFC 9113 §3.4).
    Http2Preface,
    /// Records of TLS (RFC 8446 §5), in order; those of a kind in a row once.
    Tls(Vec<TlsRecord>),
}

/// A record of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsRecord {
    /// A handshake message by its name; `None` where it is encrypted, or too little of it is here.
    Handshake(Option<&'static str>),
    /// Change cipher spec; TLS 1.3 sends it for old middleboxes' sake alone (RFC 8446 appendix D.4).
    ChangeCipherSpec,
    /// An alert.
    Alert,
    /// Application data, and in TLS 1.3 everything that is encrypted.
    ApplicationData,
}

/// A DNS message in few words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// Its id, which an answer repeats.
    pub id: u16,
    /// What was asked: type and name.
    pub question: Option<(String, String)>,
    /// For a response, what it is.
    pub reply: Option<DnsReply>,
}

/// A DNS response in few words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsReply {
    /// What it means for whoever asked.
    pub meaning: Meaning,
    /// How many records its answer has.
    pub records: usize,
    /// For a referral, the zone that the servers are of.
    pub zone: Option<String>,
    /// The response code as dig writes it.
    pub rcode: String,
}

/// Where DNS is spoken (RFC 1035 §4.2).
const DNS: u16 = 53;
/// The first bytes of HTTP/2 from a client (RFC 9113 §3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a segment says that carries these bytes.
pub fn in_segment(ports: (u16, u16), bytes: &[u8]) -> Option<App> {
    if let Some(message) = dns_in_segment(ports, bytes) {
        return dns(message).map(App::Dns);
    }
    if bytes.starts_with(PREFACE) {
        return Some(App::Http2Preface);
    }
    http(bytes).or_else(|| tls(bytes))
}

/// What a datagram says that carries these bytes.
pub fn in_datagram(ports: (u16, u16), bytes: &[u8]) -> Option<App> {
    if is_dns(ports) { dns(bytes).map(App::Dns) } else { None }
}

pub(crate) fn is_dns(ports: (u16, u16)) -> bool {
    ports.0 == DNS || ports.1 == DNS
}

/// The message in a segment that begins with one and has all of it (RFC 1035 §4.2.2).
pub(crate) fn dns_in_segment(ports: (u16, u16), bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk().filter(|_| is_dns(ports))?;
    rest.get(..usize::from(u16::from_be_bytes(*length))).filter(|message| message.len() >= 12)
}

fn dns(bytes: &[u8]) -> Option<Dns> {
    let message = Message::from_vec(bytes).ok()?;
    let question = message.queries.first();
    let question = question.map(|query| (rtype(query.query_type()), query.name().to_ascii()));
    let reply = (message.metadata.message_type == MessageType::Response).then(|| {
        let meaning = meaning(&message);
        let servers = message.authorities.iter().find(|record| record.record_type() == RecordType::NS);
        let zone = servers.filter(|_| meaning == Meaning::Referral).map(|record| record.name.to_ascii());
        let rcode = rcode(message.metadata.response_code);
        DnsReply { meaning, records: message.answers.len(), zone, rcode }
    });
    Some(Dns { id: message.metadata.id, question, reply })
}

/// A type as dig writes it; one without a name as `TYPE1234` (RFC 3597 §5).
pub(crate) fn rtype(rtype: RecordType) -> String {
    match rtype {
        RecordType::Unknown(number) => format!("TYPE{number}"),
        known => known.to_string(),
    }
}

/// As `dns::words::meaning` has it, which this crate cannot ask: that one speaks to the network.
fn meaning(message: &Message) -> Meaning {
    let has = |records: &[Record], rtype| records.iter().any(|record| record.record_type() == rtype);
    let asked = message.queries.first().map(|query| query.query_type());
    let answered = match asked {
        None | Some(RecordType::ANY) => !message.answers.is_empty(),
        Some(rtype) => has(&message.answers, rtype),
    };
    match message.metadata.response_code {
        _ if message.metadata.truncation => Meaning::Truncated,
        ResponseCode::NoError if answered => Meaning::Answer,
        ResponseCode::NoError if has(&message.answers, RecordType::CNAME) => Meaning::Alias,
        ResponseCode::NoError
            if has(&message.authorities, RecordType::NS)
                && !has(&message.authorities, RecordType::SOA)
                && !message.metadata.authoritative =>
        {
            Meaning::Referral
        }
        ResponseCode::NoError => Meaning::NoData,
        ResponseCode::NXDomain => Meaning::NoSuchName,
        ResponseCode::ServFail => Meaning::ServerFailure,
        ResponseCode::Refused => Meaning::Refused,
        _ => Meaning::Other,
    }
}

/// A response code as dig writes it.
pub(crate) fn rcode(code: ResponseCode) -> String {
    let name = match code {
        ResponseCode::NoError => "NOERROR",
        ResponseCode::FormErr => "FORMERR",
        ResponseCode::ServFail => "SERVFAIL",
        ResponseCode::NXDomain => "NXDOMAIN",
        ResponseCode::NotImp => "NOTIMP",
        ResponseCode::Refused => "REFUSED",
        other => return format!("RCODE{}", u16::from(other)),
    };
    name.to_owned()
}

fn http(bytes: &[u8]) -> Option<App> {
    let line = &bytes[..bytes.iter().position(|byte| *byte == b'\n')?];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    // The head of this line alone.
    let alone = [line, b"\r\n\r\n"].concat();
    if line.starts_with(b"HTTP/") {
        let mut response = httparse::Response::new(&mut []);
        response.parse(&alone).ok()?;
        let reason = response.reason.unwrap_or_default().to_owned();
        return Some(App::Response { minor: response.version?, status: response.code?, reason });
    }
    let mut request = httparse::Request::new(&mut []);
    request.parse(&alone).ok()?;
    Some(App::Request { method: request.method?.to_owned(), path: path(request.path?), minor: request.version? })
}

/// The path of a request's target in any of its forms (RFC 9112 §3.2), without what may be a secret.
fn path(target: &str) -> String {
    let (before, cut) = match target.find(['?', '#']) {
        Some(at) => (&target[..at], "?…"),
        None => (target, ""),
    };
    let path = match before.split_once("://") {
        Some((_, rest)) if !before.starts_with('/') => rest.find('/').map_or("/", |at| &rest[at..]),
        _ if before.starts_with('/') => before,
        _ => before.rsplit_once('@').map_or(before, |(_, host)| host),
    };
    format!("{path}{cut}")
}

fn tls(bytes: &[u8]) -> Option<App> {
    let (mut records, mut handshakes) = (Vec::new(), Handshakes::default());
    for (header, body) in TlsRecords(bytes) {
        let names = handshakes.of(header, body);
        let found = match header[0] {
            20 => vec![TlsRecord::ChangeCipherSpec],
            21 => vec![TlsRecord::Alert],
            22 if names.is_empty() => vec![TlsRecord::Handshake(None)],
            22 => names.into_iter().map(|(_, name)| TlsRecord::Handshake(Some(name))).collect(),
            _ => vec![TlsRecord::ApplicationData],
        };
        for record in found {
            if records.last() != Some(&record) {
                records.push(record);
            }
        }
    }
    (!records.is_empty()).then_some(App::Tls(records))
}

impl fmt::Display for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(dns) => dns.fmt(f),
            Self::Request { method, path, minor } => write!(f, "{method} {path} HTTP/1.{minor}"),
            Self::Response { minor, status, reason } if reason.is_empty() => write!(f, "HTTP/1.{minor} {status}"),
            Self::Response { minor, status, reason } => write!(f, "HTTP/1.{minor} {status} {reason}"),
            Self::Http2Preface => f.write_str("HTTP/2 preface"),
            Self::Tls(records) => {
                f.write_str("TLS ")?;
                for (nth, record) in records.iter().enumerate() {
                    let sep = if nth > 0 { ", " } else { "" };
                    let name = match record {
                        TlsRecord::Handshake(Some(name)) => name,
                        TlsRecord::Handshake(None) => "handshake, encrypted",
                        TlsRecord::ChangeCipherSpec => "ChangeCipherSpec",
                        TlsRecord::Alert => "alert",
                        TlsRecord::ApplicationData => "application data",
                    };
                    write!(f, "{sep}{name}")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rtype, name) = match &self.question {
            Some((rtype, name)) => (rtype.as_str(), name.as_str()),
            None => ("without", "a question"),
        };
        let Some(reply) = &self.reply else { return write!(f, "query {rtype} {name}") };
        match (reply.meaning, &reply.zone) {
            (Meaning::Referral, Some(zone)) => write!(f, "referral {rtype} {name}: ask the servers of {zone}"),
            (Meaning::Answer | Meaning::Alias, _) => {
                let s = if reply.records == 1 { "" } else { "s" };
                write!(f, "answer {rtype} {name}: {} record{s} {}", reply.records, reply.rcode)
            }
            (Meaning::NoData, _) => write!(f, "answer {rtype} {name}: no such record, {}", reply.rcode),
            (Meaning::Truncated, _) => write!(f, "answer {rtype} {name}: cut, {}", reply.rcode),
            _ => write!(f, "answer {rtype} {name}: {}", reply.rcode),
        }
    }
}
