//! What `visit` asks and finds with this machine's own files, next to what `getaddrinfo` asks and finds with the same
//! files: resolv.conf(5), hosts(5) and the environment. A table: a row has files, and what the name servers say. The C
//! library is glibc, by Python's `socket`. Each test runs itself once more in namespaces of its own, and compares what it
//! sees with its section of `docs/compatibility.md`.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use e2e::{
    compatibility::{self, Section},
    inside::inside,
};
use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, ResponseCode},
    rr::{DNSClass, RData, Record, RecordType},
};
use serde_json::Value;

use crate::peer;

/// What a name server does with a question.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Say {
    /// It has 127.0.0.9, and no IPv6 address.
    Address,
    /// The same, three times over.
    Thrice,
    NoData,
    Error(ResponseCode),
    Silence,
    /// TC, and no answer.
    Cut,
    /// What is wrong with a reply, and whether a good one follows.
    Wrong(Wrong, bool),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrong {
    /// A question and a record of class CH.
    Chaos,
    /// Five bytes behind the right id.
    Short,
    /// The right id and a record that is cut in the middle.
    Malformed,
    NoQuestion,
    Opcode,
    NotAReply,
    /// Nothing: names have no case.
    UpperCase,
}

use Say::{Address, Cut, NoData, Silence};

const NX: Say = Say::Error(ResponseCode::NXDomain);
const SERVFAIL: Say = Say::Error(ResponseCode::ServFail);
const REFUSED: Say = Say::Error(ResponseCode::Refused);
const NOTIMP: Say = Say::Error(ResponseCode::NotImp);
const FORMERR: Say = Say::Error(ResponseCode::FormErr);

/// What the servers say: to the server at 127.0.0.N, a name and whether it was asked for IPv6.
type Script = fn(u8, &str, bool) -> Say;

struct Row {
    title: &'static str,
    conf: &'static str,
    hosts: &'static str,
    env: &'static [(&'static str, &'static str)],
    machine: &'static str,
    /// -4, -6, or neither.
    family: &'static str,
    name: &'static str,
    script: Script,
    /// What `visit` asks and finds where it differs from glibc by choice, and why.
    differs: Option<(&'static [&'static str], &'static str)>,
}

/// A file that is both: the lines that it has for names have no addresses.
const ALIASED: &str = "127.0.0.1 localhost\nshort www.x.test\nsingle web\nshort.x www.x.test\n";
const ALIASES: &[(&str, &str)] = &[("HOSTALIASES", "/etc/hosts")];

/// A row with one server, at 127.0.0.2: 127.0.0.1 is who is asked when none is named.
const ROW: Row = Row {
    title: "",
    conf: "nameserver 127.0.0.2\n",
    hosts: "127.0.0.1 localhost\n",
    env: &[],
    machine: "plain",
    family: "",
    name: "www.x.test",
    script: |_, _, _| Address,
    differs: None,
};

/// A datagram or a message over TCP that a server was asked by: who, over what, the name, the type.
type Asked = (u8, &'static str, String, String, bool);

fn answer(query: &Message, say: Say) -> Vec<Vec<u8>> {
    let mut message = Message::new(query.metadata.id, MessageType::Response, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.metadata.recursion_available = true;
    message.queries.clone_from(&query.queries);
    message.edns = query.edns.as_ref().map(|_| Edns::new());
    let good = |mut message: Message, times: usize| {
        if query.queries[0].query_type() == RecordType::A {
            let record =
                Record::from_rdata(query.queries[0].name().clone(), 60, RData::A(Ipv4Addr::new(127, 0, 0, 9).into()));
            message.answers = vec![record; times];
        }
        message
    };
    match say {
        Address => message = good(message, 1),
        Say::Thrice => message = good(message, 3),
        NoData => {}
        Say::Error(code) => message.metadata.response_code = code,
        Silence => return Vec::new(),
        Cut => message.metadata.truncation = true,
        Say::Wrong(wrong, has_good) => {
            let good = good(message, 1);
            let mut all = vec![spoilt(good.clone(), wrong)];
            all.extend(has_good.then(|| good.to_vec().unwrap()));
            return all;
        }
    }
    vec![message.to_vec().unwrap()]
}

fn spoilt(mut message: Message, wrong: Wrong) -> Vec<u8> {
    match wrong {
        Wrong::Chaos => {
            message.queries[0].set_query_class(DNSClass::CH);
            message.answers.iter_mut().for_each(|record| record.dns_class = DNSClass::CH);
        }
        Wrong::NoQuestion => message.queries.clear(),
        Wrong::Opcode => message.metadata.op_code = OpCode::Notify,
        Wrong::NotAReply => message.metadata.message_type = MessageType::Query,
        Wrong::Short | Wrong::Malformed | Wrong::UpperCase => {}
    }
    let mut bytes = message.to_vec().unwrap();
    match wrong {
        Wrong::Short => bytes.truncate(5),
        Wrong::Malformed => {
            bytes.truncate(14);
            bytes.extend([0xff; 2]);
        }
        Wrong::UpperCase => bytes[12..26].make_ascii_uppercase(),
        _ => {}
    }
    bytes
}

#[derive(Clone)]
struct Servers {
    log: Arc<Mutex<Vec<Asked>>>,
    script: Arc<Mutex<Script>>,
}

impl Servers {
    /// 127.0.0.1, .2 and .3 over UDP, .2 and .3 over TCP too; at other addresses nothing listens.
    fn start() -> Self {
        let servers = Self { log: Arc::default(), script: Arc::new(Mutex::new(|_, _, _| Silence)) };
        for nth in 1..=3 {
            let at = SocketAddr::from(([127, 0, 0, nth], 53));
            let socket = UdpSocket::bind(at).unwrap();
            let of = servers.clone();
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                    of.take(nth, "udp", &buffer[..length]).iter().for_each(|bytes| {
                        socket.send_to(bytes, from).unwrap();
                    });
                }
            });
            if nth > 1 {
                let listener = TcpListener::bind(at).unwrap();
                let of = servers.clone();
                thread::spawn(move || listener.incoming().flatten().for_each(|stream| of.clone().talk(nth, stream)));
            }
        }
        servers
    }

    fn talk(self, nth: u8, mut stream: std::net::TcpStream) {
        use std::io::{Read, Write};
        thread::spawn(move || {
            let mut length = [0; 2];
            while stream.read_exact(&mut length).is_ok() {
                let mut query = vec![0; u16::from_be_bytes(length).into()];
                stream.read_exact(&mut query).unwrap();
                for bytes in self.take(nth, "tcp", &query) {
                    let mut framed = u16::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
                    framed.extend(bytes);
                    let _ = stream.write_all(&framed);
                }
            }
        });
    }

    fn take(&self, nth: u8, over: &'static str, query: &[u8]) -> Vec<Vec<u8>> {
        let query = Message::from_vec(query).unwrap();
        let asked = &query.queries[0];
        let (name, rtype) = (asked.name().to_ascii(), asked.query_type());
        self.log.lock().unwrap().push((nth, over, name.clone(), rtype.to_string(), query.edns.is_some()));
        let script = *self.script.lock().unwrap();
        let say = script(nth, &name, rtype == RecordType::AAAA);
        // Over TCP nothing is cut.
        answer(&query, if (over, say) == ("tcp", Cut) { Address } else { say })
    }

    /// What was asked since the last call: who over what for which name, with the types of questions sent together.
    fn asked(&self) -> Vec<String> {
        let log = std::mem::take(&mut *self.log.lock().unwrap());
        let has_edns = log.iter().any(|asked| asked.4);
        let mut groups: Vec<(String, Vec<String>)> = Vec::new();
        for (nth, over, name, rtype, edns) in log {
            // The copy without EDNS that a silent server is sent; glibc sends no EDNS at all.
            if has_edns && !edns {
                continue;
            }
            let over = if over == "tcp" { " tcp" } else { "" };
            let key = format!("{nth}{over} {name}");
            match groups.last_mut() {
                Some((last, types)) if *last == key && !types.contains(&rtype) => types.push(rtype),
                _ => groups.push((key, vec![rtype])),
            }
        }
        let line = |(key, mut types): (String, Vec<String>)| {
            types.sort();
            format!("{key} {}", types.join("+"))
        };
        groups.into_iter().map(line).collect()
    }
}

const CLIENT: &str = "import socket, sys
family = {'-4': socket.AF_INET, '-6': socket.AF_INET6, '': 0}[sys.argv[2]]
try:
    found = {a[4][0] for a in socket.getaddrinfo(sys.argv[1], 80, family, socket.SOCK_STREAM)}
    print('found', ' '.join(sorted(found)))
except socket.gaierror as e:
    print({-2: 'no such name', -5: 'no address'}.get(e.args[0], 'failed'))
";

/// What `getaddrinfo` finds.
fn libc(row: &Row) -> String {
    let output =
        Command::new("python3").args(["-c", CLIENT, row.name, row.family]).envs(row.env.iter().copied()).output();
    String::from_utf8(output.expect("python3 is needed").stdout).unwrap().trim().to_owned()
}

/// What `visit` finds.
fn ours(row: &Row) -> String {
    let url = format!("http://{}:1/", row.name);
    let family = (!row.family.is_empty()).then_some(row.family);
    let output = peer::program().arg("--json").args(family).arg(url).envs(row.env.iter().copied()).output().unwrap();
    let journey: Value = serde_json::from_slice(&output.stdout).unwrap();
    let stage = &journey["hops"][0]["stages"][1];
    let mut found: Vec<&str> =
        stage["addresses"].as_array().unwrap().iter().map(|address| address["ip"].as_str().unwrap()).collect();
    found.sort_unstable();
    match (found.as_slice(), stage["failure"]["reason"].as_str()) {
        ([], Some("no_such_name")) => "no such name".to_owned(),
        ([], Some("no_address")) => "no address".to_owned(),
        ([], _) => "failed".to_owned(),
        (found, _) => format!("found {}", found.join(" ")),
    }
}

/// A row of the document.
fn play(servers: &Servers, row: &Row) -> compatibility::Row {
    fs::write("/etc/resolv.conf", row.conf).unwrap();
    fs::write("/etc/hosts", row.hosts).unwrap();
    assert!(Command::new("hostname").arg(row.machine).status().unwrap().success());
    *servers.script.lock().unwrap() = row.script;
    let run = |client: fn(&Row) -> String| {
        servers.asked();
        let end = client(row);
        let mut asked = servers.asked();
        asked.push(end);
        asked
    };
    let (libc, ours) = (run(libc), run(ours));
    if let Some((expected, why)) = row.differs {
        assert_eq!(ours, expected, "{}", row.title);
        assert_ne!(libc, expected, "{}: glibc does the same, so that it is no choice: {why}", row.title);
    }
    compatibility::Row {
        case: row.title.to_owned(),
        input: shown(row),
        ours: ours.join("; "),
        peers: vec![libc.join("; ")],
        why: row.differs.map(|(_, why)| why.to_owned()),
    }
}

/// What the machine is set to, in a line.
fn shown(row: &Row) -> String {
    let lines = |text: &str| text.trim_end_matches('\n').escape_debug().to_string().replace("\\n", " ⏎ ");
    let mut parts = Vec::new();
    for (file, text, usual) in [("resolv.conf", row.conf, ROW.conf), ("hosts", row.hosts, ROW.hosts)] {
        match text {
            "" => parts.push(format!("an empty {file}")),
            _ if text != usual => parts.push(format!("{file} `{}`", lines(text))),
            _ => {}
        }
    }
    parts.extend(row.env.iter().map(|(name, value)| format!("`{name}={value}`")));
    if row.machine != ROW.machine {
        parts.push(format!("this machine is `{}`", row.machine));
    }
    let family = if row.family.is_empty() { String::new() } else { format!(" {}", row.family) };
    parts.push(format!("`{}{family}`", row.name));
    parts.join(", ")
}

fn glibc() -> String {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().expect("getconf is a part of glibc");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Plays the rows, in namespaces of the test's own.
fn rows(test: &'static str, rows: &[Row]) {
    let hosts = "hosts: files dns\n";
    let files = [("/etc/hosts", hosts), ("/etc/resolv.conf", hosts), ("/etc/nsswitch.conf", hosts)];
    if !inside(module_path!(), test, &files) {
        return;
    }
    let servers = Servers::start();
    let rows = rows.iter().map(|row| play(&servers, row)).collect();
    let section = Section { name: test, input: "files and name", ours: "visit", peers: vec![glibc()], rows };
    section.check().unwrap_or_else(|wrong| panic!("{wrong}"));
}

#[needs::tools(python3, ip, unshare)]
#[test]
fn name_server_lines() {
    let nx: Script = |_, _, _| NX;
    let row = |title, conf| Row { title, conf, script: nx, ..ROW };
    rows(
        "name_server_lines",
        &[
            row("an empty file", ""),
            row("words behind the address", "nameserver 127.0.0.2 primary\n"),
            row("words behind an IPv6 address", "nameserver ::ffff:127.0.0.2 primary\n"),
            row("a comment behind the address", "nameserver 127.0.0.2 # primary\n"),
            row("a port glued to it", "nameserver 127.0.0.2#53\n"),
            row("a semicolon glued to it", "nameserver 127.0.0.2;\n"),
            row("the short form", "nameserver 127.2\n"),
            row("octal", "nameserver 0177.0.0.02\n"),
            row("brackets", "nameserver [::1]\nnameserver 127.0.0.2\n"),
            row("CRLF", "nameserver 127.0.0.2\r\n"),
            row("a blank before the keyword", " nameserver 127.0.0.2\n"),
            row("upper case", "NAMESERVER 127.0.0.2\n"),
            row("a tab", "nameserver\t127.0.0.2\n"),
            row("no end of line", "nameserver 127.0.0.2"),
            row("comments", ";nameserver 127.0.0.3\n#nameserver 127.0.0.3\nnameserver 127.0.0.2\n"),
            row("NUL", "nameserver 127.0.0.2\0x\n"),
            row("a bad line is skipped", "nameserver nowhere\nnonsense\nnameserver 127.0.0.2\n"),
            row(
                "the fourth is not asked",
                "nameserver 127.0.0.7\nnameserver 127.0.0.8\nnameserver 127.0.0.9\nnameserver 127.0.0.2\n",
            ),
        ],
    );
}

#[needs::tools(python3, ip, unshare)]
#[test]
fn options_and_environment() {
    let nx: Script = |_, _, _| NX;
    let row = |title, conf, name| Row { title, conf, name, script: nx, ..ROW };
    rows(
        "options_and_environment",
        &[
            row("ndots", "nameserver 127.0.0.2\nsearch lan\noptions ndots:2\n", "a.b"),
            row("ndots:0", "nameserver 127.0.0.2\nsearch lan\noptions ndots:0\n", "web"),
            row("ndots below 0", "nameserver 127.0.0.2\nsearch lan\noptions ndots:-1\n", "a.b"),
            row(
                "ndots of 16 is 15",
                "nameserver 127.0.0.2\nsearch lan\noptions ndots:16\n",
                "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p",
            ),
            row(
                "an unknown option in the line",
                "nameserver 127.0.0.2\nsearch lan\noptions ndots:5 retrans:1\n",
                "a.b",
            ),
            row("a number with junk", "nameserver 127.0.0.2\nsearch lan\noptions ndots:+3x\n", "a.b"),
            row("options in CRLF", "nameserver 127.0.0.2\nsearch lan\noptions ndots:3\r\n", "a.b"),
            row("the last one counts", "nameserver 127.0.0.2\nsearch lan\noptions ndots:3\noptions ndots:1\n", "a.b"),
            row("no-aaaa", "nameserver 127.0.0.2\noptions no-aaaa\n", "a.b"),
            row("the beginning of a word is enough", "nameserver 127.0.0.2\noptions no-aaaaxyz\n", "a.b"),
            row(
                "inet6, edns0, trust-ad, no-reload",
                "nameserver 127.0.0.2\noptions inet6 edns0 trust-ad no-reload\n",
                "a.b",
            ),
            row("sortlist", "nameserver 127.0.0.2\nsortlist 10.0.0.0/255.0.0.0\n", "a.b"),
            row("no-tld-query", "nameserver 127.0.0.2\nsearch lan\noptions no-tld-query\n", "web"),
            row("no_tld_query without domains", "nameserver 127.0.0.2\noptions no_tld_query\n", "web"),
            row("single-request", "nameserver 127.0.0.2\noptions single-request\n", "a.b"),
            row("attempts:0", "nameserver 127.0.0.2\noptions attempts:0\n", "a.b"),
            Row { script: |_, _, _| Address, ..row("use-vc", "nameserver 127.0.0.2\noptions use-vc\n", "a.b") },
            Row {
                script: |_, _, _| SERVFAIL,
                ..row("use-vc asks once", "nameserver 127.0.0.2\noptions use-vc attempts:4\n", "a.b")
            },
            row("use-vc and no TCP", "nameserver 127.0.0.1\nnameserver 127.0.0.2\noptions use-vc\n", "a.b"),
            Row {
                env: &[("RES_OPTIONS", "ndots:3 no-aaaa")],
                ..row("RES_OPTIONS", "nameserver 127.0.0.2\nsearch lan\noptions ndots:1\n", "a.b")
            },
            Row {
                env: &[("LOCALDOMAIN", "corp.test b.test")],
                ..row("LOCALDOMAIN", "nameserver 127.0.0.2\nsearch lan\n", "web")
            },
            Row {
                env: &[("LOCALDOMAIN", "")],
                ..row("an empty LOCALDOMAIN", "nameserver 127.0.0.2\nsearch lan\n", "web")
            },
            Row {
                env: &[("LOCALDOMAIN", " corp.test")],
                ..row("LOCALDOMAIN with a blank first", "nameserver 127.0.0.2\nsearch lan\n", "web")
            },
            Row { env: ALIASES, hosts: ALIASED, ..row("HOSTALIASES", "nameserver 127.0.0.2\nsearch lan\n", "short") },
            Row {
                env: ALIASES,
                hosts: ALIASED,
                script: |_, name, _| if name == "web.lan." { Address } else { NX },
                ..row(
                    "HOSTALIASES leads to a name that is searched for",
                    "nameserver 127.0.0.2\nsearch lan\n",
                    "single",
                )
            },
            Row { env: ALIASES, hosts: ALIASED, ..row("HOSTALIASES and a dot", "nameserver 127.0.0.2\n", "short.x") },
            Row {
                family: "-6",
                differs: Some((&["no address"], "the A query that glibc sends instead finds nothing out for IPv6")),
                script: |_, _, _| NoData,
                ..row("no-aaaa and IPv6 only", "nameserver 127.0.0.2\noptions no-aaaa\n", "a.b")
            },
        ],
    );
}

#[needs::tools(python3, ip, unshare)]
#[test]
fn search_lists() {
    let nx: Script = |_, _, _| NX;
    let row = |title, conf, name| Row { title, conf, name, script: nx, ..ROW };
    const TWO: &str = "nameserver 127.0.0.2\nsearch lan corp.test\noptions timeout:1 attempts:2\n";
    let by = |title, name, script| Row { script, ..row(title, TWO, name) };
    rows(
        "search_lists",
        &[
            row("domain, then search", "nameserver 127.0.0.2\ndomain a.test\nsearch b.test c.test\n", "web"),
            row("search, then domain", "nameserver 127.0.0.2\nsearch b.test c.test\ndomain a.test d.test\n", "web"),
            row("an empty search", "nameserver 127.0.0.2\nsearch b.test\nsearch \n", "web"),
            row("the root on the list", "nameserver 127.0.0.2\nsearch . lan\n", "web"),
            row("dots at its ends", "nameserver 127.0.0.2\nsearch .lan b.\n", "web"),
            row("an empty label", "nameserver 127.0.0.2\nsearch a..b lan\n", "web"),
            row("CRLF", "nameserver 127.0.0.2\nsearch lan\r\n", "web"),
            row("more than six", "nameserver 127.0.0.2\nsearch a b c d e f g h i\n", "web"),
            row("a final dot", "nameserver 127.0.0.2\nsearch lan\n", "web."),
            Row { machine: "me.corp.test", ..row("the machine's own domain", "nameserver 127.0.0.2\n", "web") },
            Row { machine: "me.corp.test", ..row("the same and a dot", "nameserver 127.0.0.2\n", "www.x") },
            by("SERVFAIL under a suffix", "web", |_, name, _| if name == "web.lan." { SERVFAIL } else { Address }),
            by("REFUSED under a suffix", "web", |_, name, _| if name == "web.lan." { REFUSED } else { NX }),
            // With EDNS, without its options, then without it, which is left out here: as many as glibc's two attempts.
            by("NOTIMP under a suffix", "web", |_, name, _| if name == "web.lan." { NOTIMP } else { NX }),
            by("silence under a suffix", "web", |_, name, _| if name == "web.lan." { Silence } else { NX }),
            by("no data under a suffix", "web", |_, name, _| if name == "web.lan." { NoData } else { Address }),
            by("no data, then nothing", "web", |_, name, _| if name == "web.lan." { NoData } else { NX }),
            by("SERVFAIL, then nothing", "web", |_, name, _| if name == "web.lan." { SERVFAIL } else { NX }),
            by("REFUSED, then nothing", "web", |_, name, _| if name == "web.lan." { REFUSED } else { NX }),
            by("SERVFAIL as it is", "a.b", |_, name, _| if name == "a.b." { SERVFAIL } else { Address }),
            by("REFUSED as it is", "a.b", |_, name, _| if name == "a.b." { REFUSED } else { Address }),
            by("silence as it is", "a.b", |_, name, _| if name == "a.b." { Silence } else { Address }),
            by("SERVFAIL as it is, then nothing", "a.b", |_, name, _| if name == "a.b." { SERVFAIL } else { NX }),
            by("nothing as it is, then SERVFAIL", "a.b", |_, name, _| if name == "a.b." { NX } else { SERVFAIL }),
            by("nothing as it is, then no data", "a.b", |_, name, _| if name == "a.b." { NX } else { NoData }),
            row("no server is there", "nameserver 127.0.0.7\nsearch lan\n", "web"),
        ],
    );
}

#[needs::tools(python3, ip, unshare)]
#[test]
fn lists_of_servers() {
    let row = |title, conf, script| Row { title, conf, script, ..ROW };
    const TWO: &str = "nameserver 127.0.0.2\nnameserver 127.0.0.3\noptions timeout:1 attempts:2\n";
    rows(
        "lists_of_servers",
        &[
            row("one SERVFAIL", "nameserver 127.0.0.2\n", |_, _, _| SERVFAIL),
            row("SERVFAIL, then an address", TWO, |nth, _, _| if nth == 2 { SERVFAIL } else { Address }),
            row("REFUSED, then an address", TWO, |nth, _, _| if nth == 2 { REFUSED } else { Address }),
            Row {
                differs: Some((
                    &["2 www.x.test. A+AAAA", "2 www.x.test. A+AAAA", "3 www.x.test. A+AAAA", "found 127.0.0.9"],
                    "NOTIMP may be of EDNS: the query is repeated without its options, then without it (RFC 6891 §6.2.2)",
                )),
                ..row("NOTIMP, then an address", TWO, |nth, _, _| if nth == 2 { NOTIMP } else { Address })
            },
            row("no such name, then an address", TWO, |nth, _, _| if nth == 2 { NX } else { Address }),
            row("silence, then an address", TWO, |nth, _, _| if nth == 2 { Silence } else { Address }),
            row("silence of both", TWO, |_, _, _| Silence),
            row("nothing listens, then an address", "nameserver 127.0.0.7\nnameserver 127.0.0.2\n", |_, _, _| Address),
            row("IPv6 has SERVFAIL", TWO, |_, _, is_v6| if is_v6 { SERVFAIL } else { Address }),
            row("IPv6 has no such name", TWO, |_, _, is_v6| if is_v6 { NX } else { Address }),
            Row {
                differs: Some((
                    &["2 www.x.test. A+AAAA", "3 www.x.test. A+AAAA", "found 127.0.0.9"],
                    "glibc takes no data for one family as \
                               the answer for both, though IPv4 was not answered: the second server knows",
                )),
                ..row("IPv4 has SERVFAIL, IPv6 no data", TWO, |nth, _, is_v6| match (nth, is_v6) {
                    (2, false) => SERVFAIL,
                    (_, true) => NoData,
                    _ => Address,
                })
            },
            Row {
                differs: Some((
                    &["2 www.x.test. A+AAAA", "found 127.0.0.9"],
                    "glibc waits out three time-outs before it takes the \
                               answer that it has",
                )),
                ..row("IPv6 is silent", TWO, |_, _, is_v6| if is_v6 { Silence } else { Address })
            },
            Row {
                differs: Some((
                    &["2 www.x.test. A+AAAA", "2 tcp www.x.test. A", "found 127.0.0.9"],
                    "glibc asks over TCP for what was answered over UDP, too",
                )),
                ..row("cut, and TCP has it", "nameserver 127.0.0.2\n", |_, _, is_v6| if is_v6 { NoData } else { Cut })
            },
            row("cut, and no TCP", "nameserver 127.0.0.1\n", |_, _, _| Cut),
        ],
    );
}

#[needs::tools(python3, ip, unshare)]
#[test]
fn replies() {
    let row =
        |title, script| Row { title, conf: "nameserver 127.0.0.2\noptions timeout:1 attempts:2\n", script, ..ROW };
    use Wrong::*;
    const FOUND: Option<(&[&str], &str)> =
        Some((&["2 www.x.test. A+AAAA", "found 127.0.0.9"], "the true answer follows (RFC 5452 §9.1)"));
    const TWICE: &[&str] = &["2 www.x.test. A+AAAA", "2 www.x.test. A+AAAA", "failed"];
    rows(
        "replies",
        &[
            row("records three times over", |_, _, _| Say::Thrice),
            row("names in another case", |_, _, _| Say::Wrong(UpperCase, false)),
            row("class CH, then good", |_, _, _| Say::Wrong(Chaos, true)),
            row("class CH", |_, _, _| Say::Wrong(Chaos, false)),
            row("no question", |_, _, _| Say::Wrong(NoQuestion, false)),
            Row { differs: FOUND, ..row("too short, then good", |_, _, _| Say::Wrong(Short, true)) },
            row("malformed, then good", |_, _, _| Say::Wrong(Malformed, true)),
            Row {
                differs: Some((TWICE, "glibc does not look at the opcode (RFC 1035 §4.1.1)")),
                ..row("another opcode", |_, _, _| Say::Wrong(Opcode, false))
            },
            Row {
                differs: Some((TWICE, "glibc does not look at QR (RFC 1035 §4.1.1)")),
                ..row("a query in place of a reply", |_, _, _| Say::Wrong(NotAReply, false))
            },
        ],
    );
}

#[needs::tools(python3, ip, unshare)]
#[test]
fn hosts_files() {
    let row = |title, hosts, name| Row { title, hosts, name, ..ROW };
    rows(
        "hosts_files",
        &[
            row("two lines", "10.0.0.1 web\n10.0.0.2 x web\n", "web"),
            row("one line twice", "10.0.0.1 web\n10.0.0.1 web\n", "web"),
            row("both families", "10.0.0.1 web\nfd00::1 web\n", "web"),
            Row { family: "-4", ..row("IPv6 for IPv4", "fd00::1 web\n", "web") },
            Row { family: "-6", ..row("IPv4 for IPv6", "10.0.0.1 web\n", "web") },
            Row { family: "-4", ..row("::1 for IPv4", "::1 web\n", "web") },
            Row { family: "-4", ..row("a mapped address for IPv4", "::ffff:10.0.0.1 web\n", "web") },
            row("case", "10.0.0.1 WeB\n", "web"),
            row("a final dot asked for", "10.0.0.1 web\n", "web."),
            row("a final dot in the file", "10.0.0.1 web.\n", "web"),
            row("final dots in both", "10.0.0.1 web.\n", "web."),
            row("a comment", "10.0.0.1 web # a b\n", "a"),
            row("a comment glued to the name", "10.0.0.1 web#a\n", "web"),
            row("a bad address", "10.0.0.300 web\n10.0.0.1 web\n", "web"),
            row("the short form is none", "10.1 web\n", "web"),
            row("leading zeros are none", "010.0.0.1 web\n", "web"),
            row("an interface is none", "fe80::1%lo web\n", "web"),
            row("blanks and tabs", " \t10.0.0.1\tweb\n", "web"),
            row("CRLF", "10.0.0.1 web\r\n", "web"),
            row("no end of line", "10.0.0.1 web", "web"),
            row("an address alone", "10.0.0.1\n", "web"),
            row("NUL", "10.0.0.1 web\0x\n", "web"),
            row("form feed", "10.0.0.1\x0cweb\n", "web"),
            row("no search list", "10.0.0.1 web.lan\n", "web"),
            row("nothing in it", "", "web"),
            Row {
                differs: Some((
                    &["found 127.0.0.1 ::1"],
                    "localhost is this machine (RFC 6761 §6.3), as for curl and browsers, whatever the file says",
                )),
                ..row("localhost elsewhere", "10.0.0.5 localhost\n", "localhost")
            },
            Row {
                differs: Some((&["found 127.0.0.1 ::1"], "names below localhost as well")),
                ..row("below localhost", "", "foo.localhost")
            },
        ],
    );
}

#[needs::tools(python3, ip, unshare)]
#[test]
fn formerr_ends_the_list_as_in_glibc() {
    // Of EDNS glibc knows nothing: the query without it that follows a FORMERR is the one to compare.
    rows(
        "formerr_ends_the_list_as_in_glibc",
        &[Row {
            title: "FORMERR",
            conf: "nameserver 127.0.0.2\nnameserver 127.0.0.3\n",
            script: |nth, _, _| if nth == 2 { FORMERR } else { Address },
            differs: Some((
                &["2 www.x.test. A+AAAA", "2 www.x.test. A+AAAA", "failed"],
                "EDNS with its options, then without them, then none; glibc says that there is no such name",
            )),
            ..ROW
        }],
    );
}
