use super::*;
use journey::{
    Evidence, Stage, StageState,
    dns::{Flags, Question, Record, Transport},
    root_walk::OwnAddress,
    stage::{Address, Exchange},
};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn asked(address: &str, said: ServerAnswer) -> Asked {
    Asked {
        address: SocketAddr::new(ip(address), 53),
        host: None,
        learned: Learned::Glue { zone: "test.".to_owned() },
        exchanges: Vec::new(),
        said: Some(said),
        name_servers: None,
        serial: None,
        own_addresses: Vec::new(),
    }
}

fn answer(ips: &[&str]) -> ServerAnswer {
    let address = |text: &&str| Address { ip: ip(text), ttl: Some(300), host: None };
    ServerAnswer::Answer { addresses: ips.iter().map(address).collect() }
}

fn server(name: &str, addresses: Vec<Asked>) -> Server {
    Server { name: Some(name.to_owned()), addresses, note: None }
}

/// A search that ended in one zone, `a.test.`, with these servers.
fn search(servers: Vec<Server>) -> Search {
    let zone = Zone {
        zone: "a.test.".to_owned(),
        asked: "www.a.test.".to_owned(),
        referred_by: Some("test.".to_owned()),
        known: false,
        servers,
    };
    Search {
        name: "www.a.test.".to_owned(),
        server_of: None,
        zones: vec![zone],
        aliases: Vec::new(),
        end: End::Answer,
        addresses: Vec::new(),
    }
}

fn check(search: Search, expected: &[&str]) {
    let found = findings(&[search], &[]);
    let seen: Vec<String> = found.iter().map(|finding| serde_json::to_string(finding).unwrap()).collect();
    assert_eq!(seen, expected);
}

#[test]
fn servers_that_agree() {
    let own = vec!["ns1.a.test.".to_owned(), "NS2.a.test.".to_owned()];
    let good = |address: &str| Asked {
        name_servers: Some(own.clone()),
        serial: Some(1),
        ..asked(address, answer(&["10.0.0.1", "10.0.0.2"]))
    };
    // The order of addresses turns with every answer.
    let turned = Asked { said: Some(answer(&["10.0.0.2", "10.0.0.1"])), ..good("10.1.0.2") };
    check(search(vec![server("ns1.a.test.", vec![good("10.1.0.1")]), server("ns2.a.test.", vec![turned])]), &[]);
}

#[test]
fn servers_that_are_of_no_use() {
    let servers = vec![
        server("ns1.a.test.", vec![asked("10.1.0.1", ServerAnswer::Lame { why: "it refuses".to_owned() })]),
        server("ns2.a.test.", vec![asked("10.1.0.2", ServerAnswer::Dead { why: "no answer".to_owned() })]),
        Server { note: Some("no such name".to_owned()), ..server("ns3.b.test.", Vec::new()) },
    ];
    check(
        search(servers),
        &[
            r#"{"kind":"lame","zone":"a.test.","server":"ns1.a.test.","address":"10.1.0.1:53","why":"it refuses"}"#,
            r#"{"kind":"dead","zone":"a.test.","server":"ns2.a.test.","address":"10.1.0.2:53","why":"no answer"}"#,
            r#"{"kind":"no_address","zone":"a.test.","server":"ns3.b.test.","why":"no such name"}"#,
        ],
    );
}

#[test]
fn a_family_that_this_machine_lacks_is_no_fault_of_the_servers() {
    let no_way = || ServerAnswer::Unreachable { why: "this machine has no route to that network".to_owned() };
    let one = server("ns1.a.test.", vec![asked("10.1.0.1", answer(&[])), asked("fd10::1", no_way())]);
    let two = server("ns2.a.test.", vec![asked("fd10::2", no_way())]);
    check(
        search(vec![one, two.clone()]),
        &[r#"{"kind":"no_way","family":"IPv6","why":"this machine has no route to that network"}"#],
    );
    // Where another of that family answers, it is about this server.
    let one = server("ns1.a.test.", vec![asked("fd10::1", answer(&[]))]);
    let why = "this machine has no route to that network";
    check(
        search(vec![one, two]),
        &[&format!(
            r#"{{"kind":"dead","zone":"a.test.","server":"ns2.a.test.","address":"[fd10::2]:53","why":"{why}"}}"#
        )],
    );
}

#[test]
fn copies_that_differ() {
    let one = Asked {
        serial: Some(1),
        name_servers: Some(vec!["ns1.a.test.".to_owned(), "ns2.a.test.".to_owned()]),
        ..asked("10.1.0.1", answer(&["10.0.0.1"]))
    };
    let other = Asked {
        serial: Some(2),
        name_servers: Some(vec!["ns1.a.test.".to_owned()]),
        ..asked("10.1.0.2", ServerAnswer::NoSuchName)
    };
    let found = findings(&[search(vec![server("ns1.a.test.", vec![one]), server("ns2.a.test.", vec![other])])], &[]);
    let kinds: Vec<&str> = found
        .iter()
        .map(|finding| match finding {
            Finding::NameServers { groups, .. } => {
                assert_eq!(groups[1].says, ["ns1.a.test."]);
                "name servers"
            }
            Finding::Serials { groups, .. } => {
                assert_eq!((&*groups[0].says, &*groups[1].says), (&["1".to_owned()][..], &["2".to_owned()][..]));
                "serials"
            }
            Finding::Answers { groups, .. } => {
                assert_eq!(groups[1].says, ["no such name"]);
                assert_eq!(groups[1].servers, ["10.1.0.2:53".parse().unwrap()]);
                "answers"
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, ["name servers", "serials", "answers"]);
}

#[test]
fn the_zone_above_says_something_else() {
    let own = Some(vec!["ns1.a.test.".to_owned(), "ns3.a.test.".to_owned()]);
    let own_addresses = vec![own_address("NS1.a.test.", &["10.1.0.9", "fd10::9"])];
    let one = Asked { name_servers: own, own_addresses, ..asked("10.1.0.1", answer(&[])) };
    let two = asked("10.1.0.2", answer(&[]));
    check(
        search(vec![server("ns1.a.test.", vec![one]), server("ns2.a.test.", vec![two])]),
        &[
            r#"{"kind":"delegation","zone":"a.test.","parent_only":["ns2.a.test."],"child_only":["ns3.a.test."]}"#,
            r#"{"kind":"glue","zone":"a.test.","server":"ns1.a.test.","glue":["10.1.0.1"],"own":["10.1.0.9"]}"#,
        ],
    );
}

fn own_address(name: &str, ips: &[&str]) -> OwnAddress {
    OwnAddress { name: name.to_owned(), addresses: ips.iter().map(|text| ip(text)).collect() }
}

fn exchange(name: &str, rtype: &str, aa: bool, meaning: Meaning, data: &[&str]) -> Exchange {
    let record =
        |data: &&str| Record { name: name.to_owned(), rtype: rtype.to_owned(), ttl: 60, data: (*data).to_owned() };
    let reply = Reply {
        rcode: if meaning == Meaning::ServerFailure { "SERVFAIL" } else { "NOERROR" }.to_owned(),
        meaning,
        flags: Flags { aa, ..Flags::default() },
        answer: data.iter().map(record).collect(),
        authority: Vec::new(),
        additional: Vec::new(),
        counts: [data.len(), 0, 0],
        edns: None,
        bytes: 50,
    };
    Exchange {
        question: Question { name: name.to_owned(), rtype: rtype.to_owned() },
        id: 1,
        transport: Transport::Udp,
        server: "10.1.0.1:53".parse().unwrap(),
        via: None,
        local: None,
        start_us: 0,
        duration_us: 1,
        sent_us: Some(0),
        sent_bytes: 40,
        opt: journey::stage::Opt::Full,
        opening: None,
        tls: None,
        result: QueryResult::Reply { reply },
    }
}

#[test]
fn what_the_resolver_said() {
    let check = |of_resolver: Exchange, walk: &[&str], end: End, expected: Option<(&[&str], &[&str])>| {
        let authority = exchange("www.a.test.", "A", true, Meaning::Answer, walk);
        let one = Asked { exchanges: vec![authority], ..asked("10.1.0.1", answer(walk)) };
        let mut search = search(vec![server("ns1.a.test.", vec![one])]);
        search.end = end;
        search.addresses = walk.iter().map(|text| Address { ip: ip(text), ttl: Some(60), host: None }).collect();
        let source = NameSource::Resolver {
            host: None,
            address: "10.9.0.1:53".parse().unwrap(),
            timeout_s: Some(5),
            url: None,
            chosen_by: "--resolver".to_owned(),
        };
        let name = Name { source: Some(source), exchanges: vec![of_resolver], ..Name::default() };
        let stage = Stage {
            state: StageState::Done,
            start_us: Some(0),
            duration_us: Some(1),
            evidence: Evidence::Observed,
            did: Did::Name(name),
            failure: None,
            note: None,
            calls: Vec::new(),
        };
        let hop = Hop { url: String::new(), stages: vec![stage], notes: Vec::new() };
        let (searches, hops) = ([search], [hop]);
        let found = findings(&searches, &hops);
        assert!(found.is_empty() || is_compared(&searches, &hops));
        let seen = found.first().map(|finding| match finding {
            Finding::Resolver { resolver, walk, .. } => (resolver.clone(), walk.clone()),
            other => panic!("{other:?}"),
        });
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        assert_eq!(seen, expected.map(|(resolver, walk)| (owned(resolver), owned(walk))));
    };
    let said = |meaning, data: &[&str]| exchange("WWW.a.test.", "A", false, meaning, data);
    let both: &[&str] = &["10.0.0.1", "10.0.0.2"];
    check(said(Meaning::Answer, &["10.0.0.2", "10.0.0.1"]), both, End::Answer, None);
    check(said(Meaning::Answer, &["10.0.0.9"]), both, End::Answer, Some((&["10.0.0.9"], both)));
    check(said(Meaning::NoSuchName, &[]), both, End::Answer, Some((&["no such name"], both)));
    check(said(Meaning::ServerFailure, &[]), both, End::Answer, Some((&["SERVFAIL"], both)));
    check(said(Meaning::Answer, &["10.0.0.9"]), &[], End::NoSuchName, Some((&["10.0.0.9"], &["no such name"])));
    check(said(Meaning::NoSuchName, &[]), &[], End::NoSuchName, None);
    // Who came to no end, was not asked, or was asked for something else says nothing.
    let nobody = || End::NoAuthority { zone: "a.test.".to_owned() };
    check(said(Meaning::Answer, &["10.0.0.9"]), &[], nobody(), None);
    check(exchange("www.a.test.", "AAAA", false, Meaning::Answer, &["fd10::1"]), both, End::Answer, None);
    // Records that were not kept cannot be compared.
    let mut many = said(Meaning::Answer, &["10.0.0.1"]);
    if let QueryResult::Reply { reply } = &mut many.result {
        reply.counts[0] = 2;
    }
    check(many, both, End::Answer, None);
    check(exchange("b.test.", "A", false, Meaning::Answer, &["10.0.0.9"]), both, End::Answer, None);
}
