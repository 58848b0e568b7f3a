//! Walks from the root through trees of throw-away name servers, good ones and such that misbehave.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use crate::peer::{dns, run, visit};
use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{CNAME, NS, SOA, opt::EdnsCode},
    },
};
use serde_json::{Value, json};

/// What a name server says.
#[derive(Clone, Default)]
struct Say {
    aa: bool,
    code: Option<ResponseCode>,
    answer: Vec<String>,
    authority: Vec<String>,
    additional: Vec<String>,
}

fn refer(authority: &[&str], additional: &[&str]) -> Say {
    Say { authority: owned(authority), additional: owned(additional), ..Say::default() }
}

fn answer(records: &[&str]) -> Say {
    Say { aa: true, answer: owned(records), ..Say::default() }
}

/// There is nothing of this type.
fn nothing(zone: &str) -> Say {
    Say { aa: true, authority: vec![format!("{zone} SOA 1")], ..Say::default() }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

/// A record from `owner TYPE data`.
fn record(text: &str) -> Record {
    let words: Vec<&str> = text.split(' ').collect();
    let name = |text: &str| Name::from_ascii(text).unwrap();
    let data = match words[1] {
        "A" => RData::A(words[2].parse::<Ipv4Addr>().unwrap().into()),
        "NS" => RData::NS(NS(name(words[2]))),
        "CNAME" => RData::CNAME(CNAME(name(words[2]))),
        "SOA" => RData::SOA(SOA::new(name("m."), name("r."), words[2].parse().unwrap(), 1, 1, 1, 1)),
        other => panic!("{other}"),
    };
    Record::from_rdata(name(words[0]), 300, data)
}

/// A small internet: name servers on loopback, at addresses of their own in an address book.
#[derive(Default)]
struct Tree {
    hosts: Vec<Value>,
    seen: Arc<Mutex<Vec<(String, Message)>>>,
}

impl Tree {
    /// A host that says this of a name and a type; None is silence.
    fn host(
        mut self,
        name: &'static str,
        ip: &str,
        says: impl Fn(&str, RecordType) -> Option<Say> + Clone + Send + 'static,
    ) -> Self {
        let seen = Arc::clone(&self.seen);
        let socket = dns::serve((Ipv4Addr::LOCALHOST, 0).into(), move |query, _| {
            seen.lock().unwrap().push((name.to_owned(), query.clone()));
            let question = &query.queries[0];
            let Some(say) = says(&question.name().to_ascii().to_lowercase(), question.query_type()) else {
                return Vec::new();
            };
            let mut message = dns::reply(query, say.code.unwrap_or(ResponseCode::NoError));
            message.metadata.authoritative = say.aa;
            message.metadata.recursion_available = name == "resolver";
            let of_type = |record: &Record| {
                name == "resolver" || [question.query_type(), RecordType::CNAME].contains(&record.record_type())
            };
            message.answers = say.answer.iter().map(|text| record(text)).filter(of_type).collect();
            message.authorities = say.authority.iter().map(|text| record(text)).collect();
            message.additionals = say.additional.iter().map(|text| record(text)).collect();
            vec![message.to_vec().unwrap()]
        });
        let ip: IpAddr = ip.parse().unwrap();
        let at = SocketAddr::new(ip, 53);
        let service = |protocol| json!({"name": "dns", "protocol": protocol, "address": at, "socket": socket});
        let services = json!([service("udp"), service("tcp")]);
        self.hosts.push(json!({"name": name, "about": "", "addresses": [ip], "services": services}));
        self
    }

    /// The lab's resolver, which says this of every name.
    fn resolver(self, address: &'static str) -> Self {
        self.host("resolver", "10.99.1.1", move |name, rtype| {
            let records = [format!("{name} A {address}")];
            let of_type = if rtype == RecordType::A { &records[..] } else { &[] };
            Some(Say { answer: of_type.to_vec(), ..Say::default() })
        })
    }

    /// Visits in it; the exit code and the journey.
    fn visit(&self, args: &[&str]) -> (i32, Value) {
        let (file, more) = self.line(args);
        let args: Vec<&str> = more.iter().map(String::as_str).collect();
        let visited = visit(&args);
        drop(file);
        visited
    }

    fn line(&self, args: &[&str]) -> (tempfile::NamedTempFile, Vec<String>) {
        let closed = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        closed.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        let book = json!({
            "v4": "10.99.0.0/16", "v6": "fd10:99::/64", "names": ["test."], "hosts": self.hosts, "roots": ["10.99.0.1:53"],
            "closed": {"tcp_v4": closed.local_addr().unwrap().as_socket().unwrap(), "tcp_v6": null}, "ca": null,
        });
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), book.to_string()).unwrap();
        let world = file.path().to_str().unwrap().to_owned();
        let mut line = vec!["--world".to_owned(), world];
        line.extend(owned(args));
        (file, line)
    }

    /// What a host was asked, each question once, with how often.
    fn asked(&self, host: &str) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        let of_host = seen.iter().filter(|(name, _)| name == host);
        of_host.map(|(_, m)| format!("{} {}", m.queries[0].name(), m.queries[0].query_type())).collect()
    }
}

/// The root and `test.`, which refer everything below `a.test.` to `ns.a.test.` at 10.99.0.3.
fn usual() -> Tree {
    Tree::default()
        .host("root", "10.99.0.1", |_, _| Some(refer(&["test. NS ns.test."], &["ns.test. A 10.99.0.2"])))
        .host("tld", "10.99.0.2", |_, _| Some(refer(&["a.test. NS ns.a.test."], &["ns.a.test. A 10.99.0.3"])))
}

/// A server of `a.test.` with one address for every name.
fn of_a(ip: &'static str) -> impl Fn(&str, RecordType) -> Option<Say> + Clone + Send + 'static {
    move |name, rtype| {
        Some(match rtype {
            RecordType::A if name == "ns.a.test." => answer(&["ns.a.test. A 10.99.0.3"]),
            RecordType::A => answer(&[&format!("{name} A {ip}")]),
            RecordType::NS => answer(&["a.test. NS ns.a.test."]),
            RecordType::SOA => answer(&["a.test. SOA 1"]),
            _ => nothing("a.test."),
        })
    }
}

fn kinds(journey: &Value) -> BTreeSet<&str> {
    journey["walk"]["findings"].as_array().unwrap().iter().map(|finding| finding["kind"].as_str().unwrap()).collect()
}

/// The text with single spaces: lines may be broken anywhere.
fn screen(tree: &Tree, args: &[&str]) -> String {
    let (file, line) = tree.line(args);
    let output = run(&line.iter().map(String::as_str).collect::<Vec<_>>());
    drop(file);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn glue_is_not_asked_for_again() {
    let tree = usual().host("auth", "10.99.0.3", of_a("10.99.2.1")).resolver("10.99.2.1");
    let (_, journey) = tree.visit(&["--walk", "www.a.test"]);
    let search = &journey["walk"]["searches"][0];
    assert_eq!(search["end"]["kind"], "answer", "{journey:#}");
    assert_eq!(search["addresses"][0]["ip"], "10.99.2.1");
    assert_eq!(tree.asked("root"), ["www.a.test. A"]);
    assert_eq!(tree.asked("tld"), ["www.a.test. A"]);
    assert_eq!(tree.asked("auth"), ["www.a.test. A", "www.a.test. AAAA"]);
    // dig +trace asks the system's resolver for the addresses that it has as glue. Here it was asked by the visit alone.
    let mut of_resolver = tree.asked("resolver");
    of_resolver.sort();
    assert_eq!(of_resolver, ["www.a.test. A", "www.a.test. AAAA"]);
    let zones = search["zones"].as_array().unwrap();
    let learned: Vec<&Value> = zones.iter().map(|zone| &zone["servers"][0]["addresses"][0]["learned"]).collect();
    assert_eq!(learned[0]["kind"], "hints");
    assert_eq!(learned[1], &json!({"kind": "glue", "zone": "."}));
    assert_eq!(learned[2], &json!({"kind": "glue", "zone": "test."}));
    assert_eq!(kinds(&journey), BTreeSet::new());
}

#[test]
fn questions_are_a_walkers_and_carry_the_id_of_the_visit() {
    let tree = usual().host("auth", "10.99.0.3", of_a("10.99.2.1")).resolver("10.99.2.1");
    let (_, journey) = tree.visit(&["--walk", "www.a.test"]);
    let seen = tree.seen.lock().unwrap();
    let walked: Vec<&Message> = seen.iter().filter(|(host, _)| host != "resolver").map(|(_, m)| m).collect();
    for message in &walked {
        assert!(!message.metadata.recursion_desired);
        let edns = message.edns.as_ref().unwrap();
        assert!(edns.option(EdnsCode::NSID).is_some());
        let trace = dns_trace(edns);
        assert_eq!(Some(trace.as_str()), journey["trace"].as_str());
    }
    assert_eq!(walked.len(), 4);
}

fn dns_trace(edns: &hickory_proto::op::Edns) -> String {
    match edns.option(EdnsCode::Unknown(65_101)).unwrap() {
        hickory_proto::rr::rdata::opt::EdnsOption::Unknown(_, bytes) => {
            bytes.iter().map(|byte| format!("{byte:02x}")).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_walk_is_beside_the_visit() {
    let tree = usual().host("auth", "10.99.0.3", of_a("10.99.2.1")).resolver("10.99.2.1");
    let (code, journey) = tree.visit(&["--walk", "www.a.test"]);
    let (plain_code, plain) = tree.visit(&["www.a.test"]);
    assert_eq!((code, &journey["outcome"]["verdict"]), (plain_code, &plain["outcome"]["verdict"]));
    assert!(plain.get("walk").is_none(), "{plain:#}");
    assert!(journey["walk"]["start_us"].as_u64() >= journey["total_us"].as_u64(), "{journey:#}");
    // Not one of its questions is among the visit's events.
    let events = journey["events"].as_array().unwrap();
    assert!(events.iter().all(|event| !event.to_string().contains("10.99.0.")), "{journey:#}");
}

#[test]
fn an_address_that_no_referral_told_is_looked_for() {
    let tree = Tree::default()
        .host("root", "10.99.0.1", |_, _| Some(refer(&["test. NS ns.test."], &["ns.test. A 10.99.0.2"])))
        .host("tld", "10.99.0.2", |name, _| {
            Some(if name.ends_with("a.test.") {
                // What it says of a name in b.test. could be anybody's: that is delegated to others.
                refer(&["a.test. NS ns.b.test."], &[])
            } else {
                refer(&["b.test. NS ns.b.test."], &["ns.b.test. A 10.99.0.3"])
            })
        })
        .host("auth", "10.99.0.3", |name, rtype| {
            Some(match (name, rtype) {
                ("ns.b.test.", RecordType::A) => answer(&["ns.b.test. A 10.99.0.3"]),
                ("www.a.test.", RecordType::A) => answer(&["www.a.test. A 10.99.2.1"]),
                _ => nothing(if name.ends_with("a.test.") { "a.test." } else { "b.test." }),
            })
        })
        .resolver("10.99.2.1");
    let (_, journey) = tree.visit(&["--walk", "www.a.test"]);
    let searches = journey["walk"]["searches"].as_array().unwrap();
    assert_eq!(searches.len(), 2, "{journey:#}");
    assert_eq!(searches[0]["zones"][2]["servers"][0]["addresses"][0]["learned"], json!({"kind": "search", "nth": 1}));
    assert_eq!((&searches[1]["name"], &searches[1]["server_of"]), (&json!("ns.b.test."), &json!("a.test.")));
    // It goes on from where it is, and asks the root nothing twice.
    assert_eq!(tree.asked("root"), ["www.a.test. A"]);
    assert_eq!(searches[1]["zones"][0]["zone"], "test.");
    assert_eq!(searches[0]["end"]["kind"], "answer", "{journey:#}");
    let screen = screen(&tree, &["--walk", "www.a.test"]);
    assert!(screen.contains("search 1: the address of ns.b.test., a server of a.test."), "{screen}");
    assert!(screen.contains("auth 10.99.0.3 (search 1) 1 record, the zone's TTL 300 s"), "{screen}");
}

#[test]
fn servers_of_no_use_do_not_end_it() {
    let tree = Tree::default()
        .host("root", "10.99.0.1", |_, _| Some(refer(&["test. NS ns.test."], &["ns.test. A 10.99.0.2"])))
        .host("tld", "10.99.0.2", |_, _| {
            let servers = [
                "a.test. NS ns1.a.test.",
                "a.test. NS ns2.a.test.",
                "a.test. NS ns3.a.test.",
                "a.test. NS ns4.a.test.",
            ];
            let glue = [
                "ns1.a.test. A 10.99.0.99",
                "ns2.a.test. A 10.99.0.3",
                "ns3.a.test. A 10.99.0.4",
                "ns4.a.test. A 10.99.0.5",
            ];
            Some(refer(&servers, &glue))
        })
        .host("silent", "10.99.0.3", |_, _| None)
        .host("lame", "10.99.0.4", |_, _| Some(refer(&[". NS root."], &[])))
        .host("auth", "10.99.0.5", of_a("10.99.2.1"))
        .resolver("10.99.2.1");
    let (_, journey) = tree.visit(&["--walk", "www.a.test"]);
    assert_eq!(journey["walk"]["searches"][0]["end"]["kind"], "answer", "{journey:#}");
    let findings = journey["walk"]["findings"].as_array().unwrap();
    let seen: Vec<(&Value, &Value, &str)> =
        findings.iter().map(|f| (&f["kind"], &f["server"], f["why"].as_str().unwrap())).collect();
    let expected = [
        (json!("dead"), json!("ns1.a.test."), "no host of this lab has the address 10.99.0.99"),
        (json!("dead"), json!("ns2.a.test."), "no answer within 3 s"),
        (json!("lame"), json!("ns3.a.test."), "it refers to ., which is above this zone"),
    ];
    assert_eq!(seen, expected.iter().map(|(kind, server, why)| (kind, server, *why)).collect::<Vec<_>>());
    // Every transmission to the silent one is there.
    let silent = &journey["walk"]["searches"][0]["zones"][2]["servers"][1]["addresses"][0]["exchanges"];
    assert_eq!((silent.as_array().unwrap().len(), &silent[1]["result"]), (2, &json!("timeout")));
}

#[test]
fn copies_that_differ_are_named() {
    let tree = Tree::default()
        .host("root", "10.99.0.1", |_, rtype| {
            Some(match rtype {
                RecordType::NS => answer(&[". NS root."]),
                RecordType::SOA => answer(&[". SOA 1"]),
                _ => refer(
                    &["a.test. NS ns1.a.test.", "a.test. NS ns2.a.test."],
                    &["ns1.a.test. A 10.99.0.3", "ns2.a.test. A 10.99.0.4"],
                ),
            })
        })
        .host("auth1", "10.99.0.3", |name, rtype| {
            Some(match (name, rtype) {
                // It has moved, and nobody has told the zone above.
                ("ns1.a.test.", RecordType::A) => answer(&["ns1.a.test. A 10.99.0.33"]),
                ("ns2.a.test.", RecordType::A) => answer(&["ns2.a.test. A 10.99.0.4"]),
                (_, RecordType::NS) => answer(&["a.test. NS ns1.a.test.", "a.test. NS ns3.a.test."]),
                (_, RecordType::SOA) => answer(&["a.test. SOA 8"]),
                (_, RecordType::A) => answer(&["www.a.test. A 10.99.2.2"]),
                _ => nothing("a.test."),
            })
        })
        .host("auth2", "10.99.0.4", |_, rtype| {
            Some(match rtype {
                RecordType::NS => answer(&["a.test. NS ns1.a.test.", "a.test. NS ns2.a.test."]),
                RecordType::SOA => answer(&["a.test. SOA 7"]),
                RecordType::A => answer(&["www.a.test. A 10.99.2.1"]),
                _ => nothing("a.test."),
            })
        })
        .resolver("10.99.2.9");
    let args = ["--walk=all", "www.a.test"];
    let (_, journey) = tree.visit(&args);
    let expected = BTreeSet::from(["answers", "delegation", "glue", "name_servers", "resolver", "serials"]);
    assert_eq!(kinds(&journey), expected, "{journey:#}");
    let screen = screen(&tree, &args);
    for words in [
        "the servers of a.test. have different copies of it: 8 from auth1; 7 from auth2",
        "the servers of a.test. answer differently for www.a.test: 10.99.2.2 from auth1; 10.99.2.1 from auth2",
        "only a.test. itself names ns3.a.test.",
        "the zone above a.test. gives ns1.a.test. the address 10.99.0.3, the zone itself 10.99.0.33",
        "www.a.test A: the resolver said 10.99.2.9, the authority says 10.99.2.2",
    ] {
        assert!(screen.contains(words), "{words:?}: {screen}");
    }
    // Without =all the first server is enough, and nobody is asked for more than the name.
    let (_, journey) = tree.visit(&["--walk", "www.a.test"]);
    assert_eq!(kinds(&journey), BTreeSet::from(["resolver"]), "{journey:#}");
}

#[test]
fn what_goes_in_a_circle_ends_with_words() {
    // The address of each server is known to the other alone.
    let tree = Tree::default()
        .host("root", "10.99.0.1", |name, _| {
            Some(refer(
                if name.ends_with("a.test.") { &["a.test. NS ns.b.test."] } else { &["b.test. NS ns.a.test."] },
                &[],
            ))
        })
        .resolver("10.99.2.1");
    let (_, journey) = tree.visit(&["--walk", "www.a.test"]);
    assert_eq!(
        journey["walk"]["searches"][0]["end"],
        json!({"kind": "no_authority", "zone": "a.test."}),
        "{journey:#}"
    );
    let findings = journey["walk"]["findings"].to_string();
    assert!(findings.contains("a circle"), "{findings}");
    assert_eq!(tree.asked("root").len(), 2);

    // A server that knows an alias for every name.
    let tree = Tree::default()
        .host("root", "10.99.0.1", |name, _| {
            let number: u32 = name.split('.').next().unwrap().trim_start_matches('n').parse().unwrap();
            Some(answer(&[&format!("{name} CNAME n{}.test.", number + 1)]))
        })
        .resolver("10.99.2.1");
    let (_, journey) = tree.visit(&["--walk", "n0.test"]);
    let end = &journey["walk"]["searches"][0]["end"];
    assert_eq!((&end["kind"], &end["what"]), (&json!("stopped"), &json!("there are more than 16 aliases on the way")));
    assert!(tree.asked("root").len() <= 17);

    let tree = Tree::default()
        .host("root", "10.99.0.1", |name, _| {
            Some(answer(&[&format!("{name} CNAME {}.test.", if name == "one.test." { "two" } else { "one" })]))
        })
        .resolver("10.99.2.1");
    let (_, journey) = tree.visit(&["--walk", "one.test"]);
    let end = &journey["walk"]["searches"][0]["end"];
    assert_eq!((&end["kind"], &end["what"]), (&json!("loop"), &json!("one.test. → two.test. → one.test.")));
}

#[test]
fn what_is_not_a_servers_to_say_is_not_believed() {
    // A server of a.test. that would have the walk go to an address of its own choice for a name in b.test.
    let tree = Tree::default()
        .host("root", "10.99.0.1", |name, _| {
            Some(if name.ends_with("b.test.") {
                refer(&["b.test. NS ns.b.test."], &["ns.b.test. A 10.99.0.4"])
            } else {
                refer(&["a.test. NS ns.a.test."], &["ns.a.test. A 10.99.0.3"])
            })
        })
        .host("liar", "10.99.0.3", |_, rtype| {
            Some(match rtype {
                RecordType::A => answer(&["www.a.test. CNAME www.b.test.", "www.b.test. A 10.99.6.6"]),
                _ => nothing("a.test."),
            })
        })
        .host("auth", "10.99.0.4", |name, rtype| {
            Some(match rtype {
                RecordType::A => answer(&[&format!("{name} A 10.99.2.1")]),
                _ => nothing("b.test."),
            })
        })
        .resolver("10.99.2.1");
    let (_, journey) = tree.visit(&["-4", "--walk", "www.a.test"]);
    let search = &journey["walk"]["searches"][0];
    assert_eq!(search["addresses"], json!([{"ip": "10.99.2.1", "ttl": 300, "host": null}]), "{journey:#}");
    assert_eq!(search["aliases"], json!(["www.a.test.", "www.b.test."]));
}

#[test]
fn where_there_is_nothing_to_walk_it_says_so() {
    let tree = usual().resolver("10.99.2.1");
    let (_, journey) = tree.visit(&["--walk", "http://10.99.2.1/"]);
    assert!(journey["walk"]["note"].as_str().unwrap().contains("no name was looked up"), "{journey:#}");
    let (_, journey) = tree.visit(&["--walk", "http://localhost:1/"]);
    assert_eq!(journey["walk"]["searches"], json!([]), "{journey:#}");
    assert_eq!(tree.asked("root"), Vec::<String>::new());
}
