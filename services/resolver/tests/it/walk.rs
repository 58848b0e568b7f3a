//! Walks that find an answer.

use hickory_proto::{
    op::ResponseCode,
    rr::{RData, RecordType},
};
use journey::{What, dns::Transport};

use crate::{
    fake::{Act, BOTH, FIRST, Fake, ONE, TWO, a, answer, cname, no, ns, reply, root, sound, txt, what, zone},
    running::{Running, exchange, query, records, trace},
};

#[tokio::test]
async fn from_the_root_to_the_answer() {
    let (root, one) = (root(FIRST).await, sound(ONE).await);
    let resolver = Running::before(&[&root, &one]).await;
    let visit = trace();
    let reply = resolver.ask("www.zone.test.", RecordType::A, Some(visit)).await;
    assert_eq!(reply.metadata.response_code, ResponseCode::NoError);
    assert!(reply.metadata.recursion_available);
    assert_eq!(records(&reply), ["www.zone.test. 300 A 10.78.2.81", "www.zone.test. 300 A 10.78.2.82"]);
    assert_eq!(reply.edns.as_ref().and_then(dns::options::nsid_of).as_deref(), Some("resolver"));
    assert_eq!(
        resolver.story(visit).await,
        [
            "10.78.2.10 udp A test.?",
            "10.78.2.10 A test.: NoData",
            "10.78.2.10 udp A zone.test.?",
            "10.78.2.10 A zone.test.: Referral",
            "10.78.2.31 udp A www.zone.test.?",
            "10.78.2.31 A www.zone.test.: Answer",
        ]
    );
    // The servers were told whose visit it is, were asked for their names, and not for recursion.
    for seen in root.seen().into_iter().chain(one.seen()) {
        let edns = seen.edns.as_ref().unwrap();
        assert_eq!(dns::options::trace_of(edns), Some(visit));
        assert!(edns.option(hickory_proto::rr::rdata::opt::EdnsCode::NSID).is_some());
        assert!(!seen.metadata.recursion_desired);
    }
}

#[tokio::test]
async fn a_query_without_a_visit_leaves_no_trace() {
    let (root, one) = (root(FIRST).await, sound(ONE).await);
    let resolver = Running::before(&[&root, &one]).await;
    resolver.ask("www.zone.test.", RecordType::A, None).await;
    assert!(one.seen().iter().all(|query| query.edns.as_ref().and_then(dns::options::trace_of).is_none()));
    assert_eq!(resolver.metric("upstream_queries_total").await, 3.0);
    assert!(resolver.events(trace()).await.is_empty());
}

#[tokio::test]
async fn both_families_at_once() {
    let (root, one) = (root(FIRST).await, sound(ONE).await);
    let resolver = Running::before(&[&root, &one]).await;
    let visit = trace();
    let (v4, v6) = tokio::join!(
        resolver.ask("www.zone.test.", RecordType::A, Some(visit)),
        resolver.ask("www.zone.test.", RecordType::AAAA, Some(visit)),
    );
    assert_eq!((v4.answers.len(), v6.answers.len()), (2, 1));
    // They share the walk: each question is asked once, each is told once, and nobody speaks of the cache.
    let story = resolver.story(visit).await;
    let sent: Vec<&String> = story.iter().filter(|line| line.ends_with('?')).collect();
    assert_eq!(sent.len(), root.seen().len() + one.seen().len(), "{story:#?}");
    for line in &sent {
        assert_eq!(sent.iter().filter(|other| other == &line).count(), 1, "{story:#?}");
    }
    assert!(story.iter().any(|line| line == "10.78.2.31 AAAA www.zone.test.: Answer"), "{story:#?}");
    assert!(story.iter().all(|line| !line.starts_with("cache")), "{story:#?}");
}

#[tokio::test]
async fn who_goes_along_with_anothers_look_up_tells_of_that_and_of_no_cache_hit() {
    let late = std::time::Duration::from_millis(20);
    let one = Fake::new(ONE, move |query, _| match zone(query) {
        Act::Say(message) => Act::Late(late, message),
        other => other,
    });
    let (root, one) = (root(FIRST).await, one.await);
    let resolver = Running::before(&[&root, &one]).await;
    // From now on both visits know the servers of the zone.
    resolver.ask("nodata.zone.test.", RecordType::A, None).await;
    let asked = one.seen().len();
    let (first, second) = (trace(), trace());
    let (one_answer, other_answer) = tokio::join!(
        resolver.ask("www.zone.test.", RecordType::A, Some(first)),
        resolver.ask("www.zone.test.", RecordType::A, Some(second)),
    );
    assert_eq!((one_answer.answers.len(), other_answer.answers.len()), (2, 2));
    assert_eq!(one.asked()[asked..], ["A www.zone.test."]);
    let mut stories = [resolver.story(first).await, resolver.story(second).await];
    stories.sort_by_key(Vec::len);
    assert_eq!(
        (stories[0].as_slice(), stories[1].len()),
        (&["along A www.zone.test.".to_owned()][..], 2),
        "{stories:#?}"
    );
}

#[tokio::test]
async fn aliases() {
    let (root, one) = (root(FIRST).await, sound(ONE).await);
    let resolver = Running::before(&[&root, &one]).await;
    let reply = resolver.ask("alias.zone.test.", RecordType::A, None).await;
    assert_eq!(
        records(&reply),
        [
            "alias.zone.test. 300 CNAME alias2.zone.test.",
            "alias2.zone.test. 300 CNAME www.zone.test.",
            "www.zone.test. 300 A 10.78.2.81",
            "www.zone.test. 300 A 10.78.2.82",
        ]
    );
    let reply = resolver.ask("alias2.zone.test.", RecordType::CNAME, None).await;
    assert_eq!(records(&reply), ["alias2.zone.test. 300 CNAME www.zone.test."]);
}

#[tokio::test]
async fn aliases_before_a_no_are_kept() {
    let (root, one) = (root(FIRST).await, sound(ONE).await);
    let resolver = Running::before(&[&root, &one]).await;
    for _ in 0..2 {
        let reply = resolver.ask("alias.zone.test.", RecordType::MX, None).await;
        assert_eq!(reply.metadata.response_code, ResponseCode::NoError);
        assert_eq!(
            records(&reply),
            ["alias.zone.test. 300 CNAME alias2.zone.test.", "alias2.zone.test. 300 CNAME www.zone.test."]
        );
        assert_eq!(reply.authorities[0].ttl, 60);
        let reply = resolver.ask("broken-alias.zone.test.", RecordType::A, None).await;
        assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain);
        assert_eq!(records(&reply), ["broken-alias.zone.test. 300 CNAME missing.zone.test."]);
    }
}

#[tokio::test]
async fn an_alias_outlives_the_no_that_it_leads_to() {
    // The "no" lives for 60 s, the alias for 300 s: then only the "no" is asked for again.
    let one = Fake::new(ONE, |query, _| match what(query) {
        (name, RecordType::NS) if name == "to-nodata.zone.test." => answer(vec![cname(&name, "nodata.zone.test.")]),
        (name, _) if name == "to-nodata.zone.test." => answer(vec![cname(&name, "nodata.zone.test.")]),
        _ => zone(query),
    });
    let (root, one) = (root(FIRST).await, one.await);
    let resolver = Running::before(&[&root, &one]).await;
    let expected = ["to-nodata.zone.test. 300 CNAME nodata.zone.test."];
    let reply = resolver.ask("to-nodata.zone.test.", RecordType::MX, None).await;
    assert_eq!(records(&reply), expected);
    resolver.signals.clock.advance(std::time::Duration::from_secs(61));
    let reply = resolver.ask("to-nodata.zone.test.", RecordType::MX, None).await;
    assert_eq!(reply.metadata.response_code, ResponseCode::NoError);
    assert_eq!(reply.answers.len(), 1);
    assert_eq!(reply.authorities[0].record_type(), RecordType::SOA);
}

#[tokio::test]
async fn an_alias_into_another_zone() {
    let one = Fake::new(ONE, |query, _| match what(query) {
        (name, RecordType::A) if name == "out.zone.test." => answer(vec![cname(&name, "far.other-zone.test.")]),
        (name, _) if name == "out.zone.test." => answer(vec![cname(&name, "far.other-zone.test.")]),
        _ => zone(query),
    });
    let two = Fake::new(TWO, |query, _| match what(query) {
        (name, RecordType::A) if name == "far.other-zone.test." => answer(vec![a(&name, "10.78.2.83")]),
        _ => no(ResponseCode::NoError, Vec::new(), "other-zone.test."),
    });
    let root = Fake::new(crate::fake::ROOT, |query, _| match what(query).0.as_str() {
        "test." => no(ResponseCode::NoError, Vec::new(), "."),
        name if name.ends_with("other-zone.test.") => {
            crate::fake::referral("other-zone.test.", &[("ns.other-zone.test.", TWO)])
        }
        _ => crate::fake::referral("zone.test.", FIRST),
    });
    let (root, one, two) = (root.await, one.await, two.await);
    let resolver = Running::before(&[&root, &one, &two]).await;
    let reply = resolver.ask("out.zone.test.", RecordType::A, None).await;
    assert_eq!(
        records(&reply),
        ["out.zone.test. 300 CNAME far.other-zone.test.", "far.other-zone.test. 300 A 10.78.2.83"]
    );
}

#[tokio::test]
async fn a_truncated_answer_is_fetched_over_tcp() {
    let one = Fake::new(ONE, |query, transport| match (what(query), transport) {
        ((name, RecordType::TXT), Transport::Udp) if name == "big.zone.test." => {
            let mut cut = reply(ResponseCode::NoError);
            cut.metadata.authoritative = true;
            cut.metadata.truncation = true;
            Act::Say(cut)
        }
        ((name, RecordType::TXT), Transport::Tcp) if name == "big.zone.test." => {
            answer((0..10).map(|n| txt(&name, &format!("{n}{}", "x".repeat(200)))).collect())
        }
        _ => zone_with_big(query),
    });
    let (root, one) = (root(FIRST).await, one.await);
    let resolver = Running::before(&[&root, &one]).await;
    let visit = trace();
    let asked = query("big.zone.test.", RecordType::TXT, Some(visit));
    let cut = exchange(resolver.dns, &asked).await;
    assert!(cut.metadata.truncation && cut.answers.is_empty() && cut.edns.is_some());
    let whole = crate::running::over_tcp(resolver.dns_tcp, &asked).await;
    assert_eq!(whole.answers.len(), 10);
    let story = resolver.story(visit).await;
    let about_it: Vec<&str> = story.iter().map(String::as_str).filter(|line| line.contains("TXT")).collect();
    assert_eq!(
        about_it,
        [
            "10.78.2.31 udp TXT big.zone.test.?",
            "10.78.2.31 TXT big.zone.test.: Truncated",
            "10.78.2.31 tcp TXT big.zone.test.?",
            "10.78.2.31 TXT big.zone.test.: Answer",
            "cache TXT big.zone.test.: Some(0) 300",
        ]
    );
}

fn zone_with_big(query: &hickory_proto::op::Message) -> Act {
    match what(query).0.as_str() {
        "big.zone.test." => no(ResponseCode::NoError, Vec::new(), "zone.test."),
        _ => zone(query),
    }
}

#[tokio::test]
async fn the_second_server_when_the_first_says_nothing() {
    let (root, one, two) = (root(BOTH).await, Fake::silent(ONE).await, sound(TWO).await);
    let resolver = Running::impatient(&[&root, &one, &two]).await;
    let visit = trace();
    let reply = resolver.ask("n.zone.test.", RecordType::A, Some(visit)).await;
    assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain);
    let story = resolver.story(visit).await;
    let question = "A n.zone.test.".to_owned();
    assert!(story.contains(&format!("10.78.2.31 {question} failed: no answer within 150 ms")), "{story:#?}");
    assert!(story.contains(&format!("10.78.2.32 {question}: NoSuchName")), "{story:#?}");
    // Sent, sent again, and then no more by this client's walk.
    assert_eq!(one.asked(), [question.clone(), question]);
    assert_ne!(one.seen()[0].metadata.id, one.seen()[1].metadata.id);
    // For some time the other server is asked first.
    resolver.ask("m.zone.test.", RecordType::A, None).await;
    assert_eq!(one.seen().len(), 2);
}

#[tokio::test]
async fn the_second_server_when_the_first_cannot() {
    for bad in [ResponseCode::ServFail, ResponseCode::Refused, ResponseCode::NotImp, ResponseCode::NotAuth] {
        let one = Fake::new(ONE, move |_, _| Act::Say(reply(bad))).await;
        let (root, two) = (root(BOTH).await, sound(TWO).await);
        let resolver = Running::before(&[&root, &one, &two]).await;
        for _ in 0..8 {
            let answer = resolver.ask("www.zone.test.", RecordType::A, None).await;
            assert_eq!(answer.metadata.response_code, ResponseCode::NoError, "{bad}");
            assert_eq!(answer.answers.len(), 2, "{bad}");
            assert!(crate::running::errors(&answer).is_empty());
            resolver.signals.reload.notify_one();
        }
    }
}

#[tokio::test]
async fn a_lost_datagram_is_sent_again() {
    let first = std::sync::atomic::AtomicBool::new(true);
    let one = Fake::new(ONE, move |query, _| match zone(query) {
        _ if first.swap(false, std::sync::atomic::Ordering::Relaxed) => Act::Drop,
        other => other,
    });
    let (root, one) = (root(FIRST).await, one.await);
    let resolver = Running::impatient(&[&root, &one]).await;
    let visit = trace();
    let reply = resolver.ask("www.zone.test.", RecordType::A, Some(visit)).await;
    assert_eq!(reply.answers.len(), 2);
    let events = resolver.events(visit).await;
    let elapsed: Vec<u64> = events
        .iter()
        .filter_map(|event| match event {
            What::ReplyReceived { server, elapsed_us, .. } => (server.ip() == one.ip).then_some(*elapsed_us),
            _ => None,
        })
        .collect();
    // Counted from the transmission that was answered, not from the lost one 75 ms before.
    assert!(elapsed.len() == 1 && elapsed[0] < 75_000, "{elapsed:?}");
    assert_eq!(one.asked(), ["A www.zone.test.", "A www.zone.test."]);
}

#[tokio::test]
async fn what_answers_nothing_does_not_end_the_wait() {
    let one = Fake::new(ONE, |query, _| {
        let Act::Say(message) = zone(query) else { return Act::Drop };
        let forged = |id: u16, question: &str| {
            let mut forged = reply(ResponseCode::NoError);
            forged.metadata.id = id;
            forged.metadata.authoritative = true;
            forged.queries = query.queries.clone();
            if !question.is_empty() {
                forged.queries[0].set_name(crate::fake::name(question));
            }
            forged.answers = vec![a(&what(query).0, "10.78.6.66")];
            forged.to_vec().unwrap()
        };
        let mut not_a_reply = query.clone();
        not_a_reply.metadata.id = 0;
        let raw = vec![
            forged(query.metadata.id.wrapping_add(1), ""),
            forged(0, "other.zone.test."),
            not_a_reply.to_vec().unwrap(),
            vec![7],
            Vec::new(),
        ];
        Act::Bytes(raw, Some(message))
    });
    let (root, one) = (root(FIRST).await, one.await);
    let resolver = Running::before(&[&root, &one]).await;
    let reply = resolver.ask("www.zone.test.", RecordType::A, None).await;
    assert_eq!(records(&reply), ["www.zone.test. 300 A 10.78.2.81", "www.zone.test. 300 A 10.78.2.82"]);
}

#[tokio::test]
async fn a_no_with_ns_records_is_a_no() {
    // RFC 2308 §2.1 types 1 and 4, §2.2 type 1.
    let one = Fake::new(ONE, |query, _| match zone(query) {
        Act::Say(mut message) if message.answers.is_empty() => {
            message.authorities.push(ns("zone.test.", "ns1.zone.test."));
            message.additionals.push(a("ns1.zone.test.", ONE));
            if what(query).0 == "bare.zone.test." {
                message.authorities.remove(0);
            }
            Act::Say(message)
        }
        other => other,
    });
    let (root, one) = (root(FIRST).await, one.await);
    let resolver = Running::before(&[&root, &one]).await;
    for name in ["missing.zone.test.", "bare.zone.test."] {
        let reply = resolver.ask(name, RecordType::A, None).await;
        assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain, "{name}");
    }
    let reply = resolver.ask("nodata.zone.test.", RecordType::A, None).await;
    assert_eq!(reply.metadata.response_code, ResponseCode::NoError);
    assert!(matches!(reply.authorities[0].data, RData::SOA(_)));
    let reply = resolver.ask("www.zone.test.", RecordType::A, None).await;
    assert_eq!(reply.answers.len(), 2);
}

#[tokio::test]
async fn a_zone_whose_server_is_named_without_an_address() {
    let root = Fake::new(crate::fake::ROOT, |query, _| match what(query).0.as_str() {
        "test." => no(ResponseCode::NoError, Vec::new(), "."),
        name if name.ends_with("glueless.test.") => {
            let mut message = reply(ResponseCode::NoError);
            message.authorities.push(ns("glueless.test.", "ns.zone.test."));
            Act::Say(message)
        }
        _ => crate::fake::referral("zone.test.", FIRST),
    });
    let one = Fake::new(ONE, |query, _| match what(query) {
        (name, RecordType::A) if name == "ns.zone.test." => answer(vec![a(&name, TWO)]),
        (name, _) if name == "ns.zone.test." => no(ResponseCode::NoError, Vec::new(), "zone.test."),
        _ => zone(query),
    });
    let two = Fake::new(TWO, |query, _| match what(query) {
        (name, RecordType::A) if name == "www.glueless.test." => answer(vec![a(&name, "10.78.2.84")]),
        (name, _) if name == "dead.glueless.test." => Act::Drop,
        _ => no(ResponseCode::NoError, Vec::new(), "glueless.test."),
    });
    let (root, one, two) = (root.await, one.await, two.await);
    let resolver = Running::impatient(&[&root, &one, &two]).await;
    let reply = resolver.ask("www.glueless.test.", RecordType::A, None).await;
    assert_eq!(records(&reply), ["www.glueless.test. 300 A 10.78.2.84"]);
    // Its name is known all the same.
    let reply = resolver.ask("dead.glueless.test.", RecordType::A, None).await;
    let expected = (22, "ns.zone.test 10.78.2.32: no answer within 150 ms".to_owned());
    assert_eq!(crate::running::failed(&reply), expected);
}
