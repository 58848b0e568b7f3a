//! What an authoritative server says to one query: ours, BIND's and NSD's, with the same zone files.

use std::{
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

use e2e::{
    compatibility::{Row, Section},
    process::Running,
    way::root,
};
use hickory_proto::op::Message;
use lab::Options;
use serde::Deserialize;
use world::Protocol;

use crate::{
    stage::World,
    vendor::{BIND, NSD, Vendor},
};

/// A server that has not answered by then does not answer.
const SILENCE: Duration = Duration::from_secs(2);

const OPT: u16 = 41;
const TSIG: u16 = 250;

#[derive(Debug, Deserialize)]
struct Cases {
    case: Vec<Case>,
}

/// A query, field by field (RFC 1035 §4.1).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    rfc: String,
    #[serde(default = "www")]
    qname: String,
    #[serde(default = "one")]
    qtype: u16,
    #[serde(default = "one")]
    qclass: u16,
    #[serde(default)]
    opcode: u8,
    /// Of `aa`, `tc`, `rd`, `ra`, `z`, `ad`, `cd`.
    #[serde(default)]
    flags: Vec<String>,
    /// How often the question is in the query.
    #[serde(default = "one")]
    questions: u16,
    /// The records of the additional section, in their order.
    #[serde(default)]
    additional: Vec<Extra>,
    #[serde(default)]
    tcp: bool,
    why: Option<String>,
}

/// A record of the additional section.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Extra {
    /// RFC 6891 §6.1.2.
    Opt {
        #[serde(default)]
        version: u8,
        #[serde(default = "usual_size")]
        size: u16,
        #[serde(default)]
        flags: u16,
        /// Pairs of a code and data in hexadecimal.
        #[serde(default)]
        options: Vec<(u16, String)>,
    },
    /// Signed with a key that no server has (RFC 8945 §4.2).
    Tsig {},
}

fn www() -> String {
    "www.example.test.".to_owned()
}

fn one() -> u16 {
    1
}

fn usual_size() -> u16 {
    1232
}

/// Plays every case and compares what comes of it with the document.
pub(crate) fn compare() -> Result<(), String> {
    let file = root().join("tests/compatibility/authority.toml");
    let text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
    let cases: Cases = toml::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    let data = tempfile::tempdir().map_err(|error| error.to_string())?;
    let options = Options { data_dir: Some(data.path().to_owned()), ..Options::default() };
    let lab = lab::Lab::start(options).map_err(|error| error.to_string())?;
    let dns = |service: &&world::BookService| service.name == "dns" && service.protocol == Protocol::Udp;
    let ours = lab.book().host("auth1").and_then(|host| host.services.iter().find(dns)).ok_or("no auth1")?.socket;
    let (bind_world, nsd_world) = (World::new()?, World::new()?);
    let (_bind, at_bind) = start(&BIND, bind_world)?;
    let (_nsd, at_nsd) = start(&NSD, nsd_world)?;
    let row = |case: &Case| {
        Ok(Row {
            case: case.name.clone(),
            input: case.rfc.clone(),
            ours: case.ask(ours)?,
            peers: vec![case.ask(at_bind)?, case.ask(at_nsd)?],
            why: case.why.clone(),
        })
    };
    let rows = cases.case.iter().map(row).collect::<Result<_, String>>()?;
    let peers = vec![BIND.version("-v", 2)?, NSD.version("-v", 3)?];
    Section { name: "authority", input: "standard", ours: "nameserver", peers, rows }.check()
}

/// A running server with the files that it reads, and where it listens.
type Peer = ((Running, World), SocketAddr);

fn start(vendor: &Vendor, mut world: World) -> Result<Peer, String> {
    let sockets = world.play("auth1", "dns", vendor)?;
    let first = *sockets.first().ok_or("no socket")?;
    let running = vendor.start(&world, &[sockets])?;
    Ok(((running, world), first))
}

impl Case {
    fn ask(&self, server: SocketAddr) -> Result<String, String> {
        let query = self.encode();
        let reply = if self.tcp { over_tcp(server, &query) } else { over_udp(server, &query) };
        Ok(match reply {
            Ok(reply) => told(&reply),
            Err(error) if is_silence(&error) => "no answer".to_owned(),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => "closed".to_owned(),
            Err(error) => return Err(format!("{}: {server}: {error}", self.name)),
        })
    }

    fn encode(&self) -> Vec<u8> {
        let bit = |name: &str| match name {
            "aa" => 1 << 10,
            "tc" => 1 << 9,
            "rd" => 1 << 8,
            "ra" => 1 << 7,
            "z" => 1 << 6,
            "ad" => 1 << 5,
            "cd" => 1 << 4,
            _ => 0,
        };
        let flags = self.flags.iter().fold(u16::from(self.opcode) << 11, |flags, name| flags | bit(name));
        let additional = u16::try_from(self.additional.len()).unwrap_or(u16::MAX);
        let header = [0x5649, flags, self.questions, 0, 0, additional];
        let mut query: Vec<u8> = header.into_iter().flat_map(u16::to_be_bytes).collect();
        for _ in 0..self.questions {
            query.extend(name(&self.qname));
            query.extend([self.qtype, self.qclass].into_iter().flat_map(u16::to_be_bytes));
        }
        for extra in &self.additional {
            query.extend(extra.encode());
        }
        query
    }
}

impl Extra {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Opt { version, size, flags, options } => {
                let data = options.iter().flat_map(|(code, data)| option(*code, data)).collect::<Vec<_>>();
                let ttl = u32::from(*version) << 16 | u32::from(*flags);
                record(".", OPT, *size, ttl, &data)
            }
            Self::Tsig {} => {
                let mut data = name("hmac-sha256.");
                // The time of signing in 48 bits, then the seconds that it may be off.
                data.extend([0, 0, 0x68, 0, 0, 0, 0x01, 0x2c]);
                data.extend(32_u16.to_be_bytes());
                data.extend([0; 32]);
                // The query's id, no error, no other data.
                data.extend([0x56, 0x49, 0, 0, 0, 0]);
                record("nobody-has-this-key.", TSIG, 255, 0, &data)
            }
        }
    }
}

fn record(owner: &str, rtype: u16, class: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut record = name(owner);
    record.extend([rtype, class].into_iter().flat_map(u16::to_be_bytes));
    record.extend(ttl.to_be_bytes());
    record.extend(u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
    record.extend(data);
    record
}

fn option(code: u16, hex: &str) -> Vec<u8> {
    let data = data_encoding::HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).unwrap_or_default();
    let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
    [code.to_be_bytes(), length.to_be_bytes()].concat().into_iter().chain(data).collect()
}

fn name(text: &str) -> Vec<u8> {
    let labels = text.split('.').filter(|label| !label.is_empty());
    let mut name: Vec<u8> =
        labels.flat_map(|label| [&[u8::try_from(label.len()).unwrap_or(63)], label.as_bytes()].concat()).collect();
    name.push(0);
    name
}

fn over_udp(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(SILENCE))?;
    socket.connect(server)?;
    socket.send(query)?;
    let mut reply = vec![0; 65535];
    let length = socket.recv(&mut reply)?;
    reply.truncate(length);
    Ok(reply)
}

fn over_tcp(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(SILENCE))?;
    let length = u16::try_from(query.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), query].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut reply)?;
    Ok(reply)
}

fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Response code, flags, number of answers, and what OPT says.
fn told(reply: &[u8]) -> String {
    let [_, _, high, low, ..] = *reply else { return format!("{} bytes", reply.len()) };
    let Ok(message) = Message::from_vec(reply) else {
        return format!("RCODE {}, not readable", low & 0x0f);
    };
    let head = &message.metadata;
    let code = u16::from(head.response_code);
    let mut parts = vec![match code {
        0 => "NOERROR".to_owned(),
        1 => "FORMERR".to_owned(),
        2 => "SERVFAIL".to_owned(),
        3 => "NXDOMAIN".to_owned(),
        4 => "NOTIMP".to_owned(),
        5 => "REFUSED".to_owned(),
        6 => "YXDOMAIN".to_owned(),
        9 => "NOTAUTH".to_owned(),
        16 => "BADVERS".to_owned(),
        other => format!("RCODE {other}"),
    }];
    let flags = [(high, 0x04, "aa"), (high, 0x02, "tc"), (high, 0x01, "rd"), (low, 0x80, "ra")];
    let flags = flags.into_iter().chain([(low, 0x40, "z"), (low, 0x20, "ad"), (low, 0x10, "cd")]);
    parts.extend(flags.filter(|(byte, bit, _)| byte & bit != 0).map(|(_, _, name)| name.to_owned()));
    match message.answers.len() {
        0 => {}
        1 => parts.push("1 answer".to_owned()),
        count => parts.push(format!("{count} answers")),
    }
    if let Some(edns) = &message.edns {
        let does = if edns.flags().dnssec_ok { " with DO" } else { "" };
        let version = match edns.version() {
            0 => String::new(),
            version => format!(" version {version}"),
        };
        parts.push(format!("OPT{version}{does}"));
    }
    if let Some(signature) = &message.signature {
        parts.push(format!("TSIG {}", signature.data.error.map_or(0, u16::from)));
    }
    parts.join(", ")
}
