//! Before the lab's own name servers when these are broken in every way that there is, and the resolver itself in its own.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::RecordType,
};
use journey::{NoUse, What};
use resolver::Config;
use world::fault::{Fault, Role, kind::WORDS};

use crate::{
    lab::Servers,
    running::{PATIENCE, Running, errors, over_tcp, query, records, trace},
};

/// Only auth1 serves it.
const NAME: &str = "www.baidu.com.";
const RIGHT: [&str; 3] = [
    "www.baidu.com. 300 CNAME www.a.baidu.com.",
    "www.a.baidu.com. 300 A 10.78.2.81",
    "www.a.baidu.com. 300 A 10.78.2.82",
];

/// What comes of a fault.
enum Expected {
    /// The true answer.
    Right,
    /// This response code, no answers.
    Says(ResponseCode),
    /// SERVFAIL with these words in its extended error, and this of one of the questions asked.
    Fails(Option<NoUse>, &'static str),
}

fn impatient(servers: &Servers) -> Config {
    Config {
        upstream_timeout: Duration::from_millis(400),
        answer_timeout: Duration::from_millis(2_500),
        ..servers.config.clone()
    }
}

impl Servers {
    fn fault(&self, text: &str) {
        let fault: Fault = text.parse().unwrap();
        let hosts = self.faults.iter().filter(|(host, _)| fault.place.is(host));
        let put: Vec<u64> = hosts.map(|(_, faults)| faults.add(fault.clone(), None)).collect();
        assert!(!put.is_empty(), "{text} is nowhere");
    }

    fn mend(&self) {
        self.faults.values().for_each(world::fault::Faults::clear);
    }
}

fn is_right(reply: &Message) -> bool {
    let mut given: Vec<String> = records(reply).iter().map(|line| without_ttl(line)).collect();
    given.sort();
    let mut right: Vec<String> = RIGHT.iter().map(|line| without_ttl(line)).collect();
    right.sort();
    given == right
}

fn without_ttl(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    [&words[..1], &words[2..]].concat().join(" ")
}

#[tokio::test]
async fn every_way_in_which_a_name_server_is_broken() {
    use Expected::{Fails, Right, Says};
    use ResponseCode::{NXDomain, NoError};
    let table: &[(&[&str], Expected)] = &[
        (&["auth1:nxdomain"], Says(NXDomain)),
        (&["tld:nxdomain"], Says(NXDomain)),
        (&["auth1:nodata"], Says(NoError)),
        (&["tld:nodata"], Says(NoError)),
        (&["auth1:servfail"], Fails(Some(NoUse::ServerFailure), "ns1.baidu.com 10.78.2.31: it answers SERVFAIL")),
        (&["auth1:refused"], Fails(Some(NoUse::Refused), "ns1.baidu.com 10.78.2.31: it answers REFUSED")),
        (&["auth1:drop"], Fails(Some(NoUse::NoAnswer), "ns1.baidu.com 10.78.2.31: no answer within 400 ms")),
        (&["auth1:drop,type=NS"], Right),
        (&["tld:drop"], Fails(Some(NoUse::NoAnswer), "ns.nic.com 10.78.2.20: no answer within 400 ms")),
        (&["root:drop"], Fails(Some(NoUse::NoAnswer), "ns.root-servers.test 10.78.2.10: no answer within 400 ms")),
        (&["auth1:slow=60s"], Fails(Some(NoUse::NoAnswer), "no answer within 400 ms")),
        (&["auth1:slow=1ms"], Right),
        (&["auth1:truncate"], Right),
        (&["auth1:tcp-refused"], Right),
        (&["auth1:truncate", "auth1:tcp-refused"], Fails(Some(NoUse::Truncated), "nothing listens there")),
        (&["auth1:truncate", "auth1:drop,transport=tcp"], Fails(Some(NoUse::Truncated), "no answer over tcp")),
        (
            &["auth1:lame"],
            Fails(Some(NoUse::Lame), "lame: it refers back to the root instead of answering for baidu.com"),
        ),
        (&["tld:lame"], Fails(Some(NoUse::Lame), "lame: it refers back to the root instead of answering for com")),
        (&["root:lame"], Fails(Some(NoUse::Lame), "lame: its answer is not authoritative for the root")),
        (&["tld:dead-ns"], Fails(Some(NoUse::Unreachable), "ns1.baidu.com 10.78.2.254: no host of the lab has this")),
        (&["tld:dead-ns=10.78.2.99"], Fails(Some(NoUse::Unreachable), "ns1.baidu.com 10.78.2.99: no host of the lab")),
        (&["root:dead-ns"], Fails(Some(NoUse::Unreachable), "ns.nic.com 10.78.2.254: no host of the lab has this")),
        (&["auth1:dead-ns"], Right),
        (&["auth1:loop"], Fails(None, "the aliases go in a circle: www.baidu.com → loop-1.baidu.com → www.baidu.com")),
        (&["tld:loop"], Fails(Some(NoUse::LeadsBack), "ns1.baidu.com 10.78.2.20: it refers to baidu.com again")),
        (&["root:loop"], Fails(Some(NoUse::LeadsBack), "ns.nic.com 10.78.2.10: it refers to com again")),
        (&["auth1:wrong-id"], Fails(Some(NoUse::WrongId), "another id than the query's")),
        (&["auth1:not-a-response"], Fails(Some(NoUse::NotAResponse), "a query, not a reply")),
        (&["auth1:garbage"], Fails(Some(NoUse::Malformed), "malformed")),
        (&["auth1:bailiwick"], Right),
        (&["tld:bailiwick"], Right),
        // A single mishap is made good.
        (&["auth1:drop,first=1"], Right),
    ];
    let servers = Servers::start();
    for (faults, expected) in table {
        let what = faults.join(" ");
        let resolver = Running::start(impatient(&servers)).await;
        faults.iter().for_each(|fault| servers.fault(fault));
        let (visit, began) = (trace(), Instant::now());
        let reply = resolver.ask(NAME, RecordType::A, Some(visit)).await;
        // The resolver's own limit is 2.5 s; the rest is for a machine that has other things to do.
        assert!(began.elapsed() < Duration::from_secs(10), "{what} took {:?}", began.elapsed());
        let events = resolver.events(visit).await;
        let failures: BTreeSet<String> =
            events.iter().filter_map(failure).map(|no_use| format!("{no_use:?}")).collect();
        match expected {
            Right => assert!(is_right(&reply), "{what}: {:?} {:?}", records(&reply), errors(&reply)),
            Says(rcode) => {
                assert_eq!((reply.metadata.response_code, reply.answers.len()), (*rcode, 0), "{what}");
                assert!(failures.is_empty(), "{what}: {failures:?}");
            }
            Fails(no_use, text) => {
                let told = errors(&reply).iter().map(|error| error.text.clone()).collect::<Vec<_>>().join("; ");
                assert_eq!(reply.metadata.response_code, ResponseCode::ServFail, "{what}: {:?}", records(&reply));
                assert!(told.contains(text), "{what}: {told}");
                let wanted: BTreeSet<String> = no_use.iter().map(|no_use| format!("{no_use:?}")).collect();
                assert_eq!(failures, wanted, "{what}");
            }
        }
        assert!(events.len() < 60, "{what}: {} events", events.len());
        let ignored = events.iter().filter(|event| matches!(event, What::RecordsIgnored { .. })).count();
        assert_eq!(ignored > 0, what.contains("bailiwick"), "{what}: {ignored}");
        servers.mend();
        // The second for which a failure is remembered, and that for which what is not true may live.
        resolver.signals.clock.advance(Duration::from_millis(1_100));
        let again = async {
            while !is_right(&resolver.ask(NAME, RecordType::A, None).await) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, again).await.is_ok(), "{what} is over, and its answer still wrong");
        resolver.stop().await;
    }
    let of_role = WORDS.iter().filter(|word| word.roles.contains(&Role::Nameserver)).map(|word| word.name);
    let is_there = |name: &&str| {
        let texts = || table.iter().flat_map(|(faults, _)| faults.iter());
        !texts().any(|text| text.split([':', ',', '=']).nth(1) == Some(name))
    };
    assert_eq!(of_role.filter(is_there).collect::<Vec<_>>(), [""; 0], "these are in no row");
}

fn failure(event: &What) -> Option<NoUse> {
    match event {
        What::QueryFailed { failure, .. } => Some(*failure),
        _ => None,
    }
}

#[tokio::test]
async fn what_a_server_has_no_say_in_is_told_and_not_believed() {
    let servers = Servers::start();
    servers.fault("auth1:bailiwick");
    let (resolver, visit) = (Running::start(impatient(&servers)).await, trace());
    assert!(is_right(&resolver.ask(NAME, RecordType::A, Some(visit)).await));
    let events = resolver.events(visit).await;
    let told = events.iter().find_map(|event| match event {
        What::RecordsIgnored { server, question, records } if question.rtype == "A" => Some((server.ip(), records)),
        _ => None,
    });
    let (server, records) = told.unwrap();
    assert_eq!(server.to_string(), "10.78.2.31");
    assert_eq!(*records, ["www.bank.example. 1 A 10.78.2.254"; 2]);
    let stranger = resolver.ask("www.bank.example.", RecordType::A, None).await;
    assert_eq!(stranger.metadata.response_code, ResponseCode::NXDomain);
}

#[tokio::test]
async fn a_stale_cache() {
    let servers = Servers::start();
    let resolver = Running::start(impatient(&servers)).await;
    resolver.signals.faults.add("resolver:stale".parse().unwrap(), None);
    let ask = async |visit| resolver.ask(NAME, RecordType::A, Some(visit)).await;
    let old = |ttl| ["www.baidu.com. ", "www.a.baidu.com. "].map(|name| format!("{name}{ttl} "));
    let (first, second) = (trace(), trace());
    let given = records(&ask(first).await);
    assert_eq!(given.len(), 2, "{given:?}");
    assert_eq!(given[1], "www.a.baidu.com. 300 A 10.78.2.254");
    resolver.signals.clock.advance(Duration::from_secs(120));
    let given = records(&ask(second).await);
    assert!(given.iter().zip(old(180)).all(|(line, start)| line.starts_with(&start)), "{given:?}");
    // A hit and nothing else, which has aged; no upstream knows of the visits.
    assert_eq!(resolver.story(first).await, ["cache A www.baidu.com.: Some(0) 300"]);
    assert_eq!(resolver.story(second).await, ["cache A www.baidu.com.: Some(120) 180"]);
    // What has no address is as it is, and so is all once the fault is over.
    assert_eq!(
        resolver.ask("missing.baidu.com.", RecordType::A, None).await.metadata.response_code,
        ResponseCode::NXDomain
    );
    assert_eq!(resolver.signals.faults.list()[0].struck, 2, "nothing was changed in the last one");
    resolver.signals.faults.clear();
    resolver.signals.faults.add("resolver:stale,first=1".parse().unwrap(), None);
    resolver.ask("missing.baidu.com.", RecordType::A, None).await;
    resolver.ask(NAME, RecordType::NS, None).await;
    assert!(records(&ask(trace()).await)[1].ends_with("A 10.78.2.254") && is_right(&ask(trace()).await));
    resolver.signals.faults.clear();
    resolver.signals.faults.add("resolver:stale=10.78.2.99".parse().unwrap(), None);
    assert!(records(&ask(trace()).await)[1].ends_with("A 10.78.2.99"));
    resolver.signals.faults.clear();
    assert!(is_right(&ask(trace()).await));
}

#[tokio::test]
async fn the_resolvers_own_faults() {
    let servers = Servers::start();
    let resolver = Running::start(impatient(&servers)).await;
    let ask = async |fault: &str| {
        resolver.signals.faults.clear();
        resolver.signals.faults.add(format!("resolver:{fault}").parse().unwrap(), None);
        resolver.ask(NAME, RecordType::A, None).await
    };
    let code = async |fault: &str| {
        let reply = ask(fault).await;
        assert!(reply.answers.is_empty() && reply.metadata.recursion_available, "{fault}");
        reply.metadata.response_code
    };
    assert_eq!(code("nxdomain").await, ResponseCode::NXDomain);
    assert_eq!(code("nodata").await, ResponseCode::NoError);
    assert_eq!(code("servfail").await, ResponseCode::ServFail);
    assert_eq!(code("refused").await, ResponseCode::Refused);
    // It is not asked at all: nobody upstream was.
    assert_eq!(resolver.metric("cache_lookups_total").await, 0.0);
    assert_eq!(resolver.metric("dns_queries_total").await, 4.0);
    assert!(ask("truncate").await.metadata.truncation);
    assert!(is_right(&over_tcp(resolver.dns_tcp, &query(NAME, RecordType::A, None)).await));
    assert!(is_right(&ask("slow=10ms").await));
    resolver.signals.faults.clear();
    resolver.signals.faults.add("resolver:tcp-refused".parse().unwrap(), None);
    let refused = tokio::net::TcpStream::connect(resolver.dns_tcp).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    resolver.signals.faults.clear();
    assert!(is_right(&over_tcp(resolver.dns_tcp, &query(NAME, RecordType::A, None)).await));
}

#[tokio::test]
async fn times_to_live_go_by_the_clock() {
    let servers = Servers::start();
    let resolver = Running::start(impatient(&servers)).await;
    let (first, second) = (trace(), trace());
    resolver.ask(NAME, RecordType::A, Some(first)).await;
    resolver.signals.clock.advance(Duration::from_secs(299));
    resolver.ask(NAME, RecordType::A, Some(second)).await;
    assert_eq!(resolver.story(second).await, ["cache A www.baidu.com.: Some(299) 1"]);
    resolver.signals.clock.advance(Duration::from_secs(2));
    let third = trace();
    assert!(is_right(&resolver.ask(NAME, RecordType::A, Some(third)).await));
    let story = resolver.story(third).await;
    assert!(story.iter().any(|line| line == "10.78.2.31 udp A www.baidu.com.?"), "{story:#?}");
    assert!(!story.iter().any(|line| line.starts_with("10.78.2.10")), "the delegations are still believed: {story:#?}");
    // And longer than any delegation lives.
    resolver.signals.clock.advance(Duration::from_secs(200_000));
    let fourth = trace();
    assert!(is_right(&resolver.ask(NAME, RecordType::A, Some(fourth)).await));
    let story = resolver.story(fourth).await;
    assert_eq!(story.first().map(String::as_str), Some("10.78.2.10 udp A com.?"), "{story:#?}");
}
