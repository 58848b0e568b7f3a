//! Walks that end without an answer: the client learns which server failed it, and how.

use std::time::Duration;

use hickory_proto::{op::ResponseCode, rr::RecordType};
use journey::What;

use crate::{
    fake::{
        Act, BOTH, FIRST, Fake, ONE, ROOT, TWO, a, answer, cname, no, ns, referral, reply, root, sound, what, zone,
    },
    running::{Running, config, failed, trace},
};

#[tokio::test]
async fn no_server_answers() {
    let (root, one, two) = (root(BOTH).await, Fake::silent(ONE).await, Fake::silent(TWO).await);
    let resolver = Running::impatient(&[&root, &one, &two]).await;
    let visit = trace();
    let reply = resolver.ask("www.zone.test.", RecordType::A, Some(visit)).await;
    let (code, text) = failed(&reply);
    assert_eq!(code, 22);
    assert!(text.contains("ns1.zone.test 10.78.2.31: no answer within 150 ms"), "{text}");
    assert!(text.contains("ns2.zone.test 10.78.2.32: no answer within 150 ms"), "{text}");
    assert!(reply.metadata.recursion_available);
    // Each server was waited for once, however many labels the name has.
    let events = resolver.events(visit).await;
    let waits = events.iter().filter(|event| matches!(event, What::QueryFailed { .. })).count();
    assert_eq!(waits, 2, "{events:#?}");
    assert_eq!((one.seen().len(), two.seen().len()), (2, 2));
    assert_eq!(resolver.metric("upstream_failures_total").await, 2.0);
    assert_eq!(resolver.metric("unresolved_total").await, 1.0);
}

#[tokio::test]
async fn both_families_learn_of_the_same_failure() {
    let (root, one) = (root(FIRST).await, Fake::silent(ONE).await);
    let resolver = Running::impatient(&[&root, &one]).await;
    let visit = trace();
    let (v4, v6) = tokio::join!(
        resolver.ask("www.zone.test.", RecordType::A, Some(visit)),
        resolver.ask("www.zone.test.", RecordType::AAAA, Some(visit)),
    );
    let expected = (22, "ns1.zone.test 10.78.2.31: no answer within 150 ms".to_owned());
    assert_eq!((failed(&v4), failed(&v6)), (expected.clone(), expected));
    let events = resolver.events(visit).await;
    let waits = events.iter().filter(|event| matches!(event, What::QueryFailed { .. })).count();
    assert_eq!(waits, 2, "{events:#?}");
}

#[tokio::test]
async fn another_visit_that_went_along_learns_of_it_too() {
    let one = Fake::new(ONE, |query, _| if what(query).0 == "nodata.zone.test." { zone(query) } else { Act::Drop });
    let (root, one) = (root(FIRST).await, one.await);
    let resolver = Running::impatient(&[&root, &one]).await;
    // From now on both visits know the servers of the zone.
    resolver.ask("nodata.zone.test.", RecordType::A, None).await;
    let (first, second) = (trace(), trace());
    let (here, there) = tokio::join!(
        resolver.ask("www.zone.test.", RecordType::A, Some(first)),
        resolver.ask("www.zone.test.", RecordType::A, Some(second)),
    );
    let expected = (22, "ns1.zone.test 10.78.2.31: no answer within 150 ms".to_owned());
    assert_eq!((failed(&here), failed(&there)), (expected.clone(), expected));
    // What was sent is told by the one for whom it was sent.
    let stories = [resolver.story(first).await, resolver.story(second).await].concat();
    let along = stories.iter().filter(|line| *line == "along A www.zone.test.").count();
    // Two transmissions and their failure, then whether the parent knows of other servers.
    assert_eq!((along, stories.len()), (1, 6), "{stories:#?}");
}

#[tokio::test]
async fn a_zone_whose_servers_have_no_address() {
    let root = Fake::new(ROOT, |query, _| match what(query).0.as_str() {
        "test." | "nowhere." => no(ResponseCode::NoError, Vec::new(), "."),
        name if name.ends_with("zone.test.") => {
            let mut message = reply(ResponseCode::NoError);
            message.authorities.push(ns("zone.test.", "ns.nowhere."));
            Act::Say(message)
        }
        _ => no(ResponseCode::NXDomain, Vec::new(), "."),
    });
    let root = root.await;
    let resolver = Running::before(&[&root]).await;
    let (code, text) = failed(&resolver.ask("www.zone.test.", RecordType::A, None).await);
    assert_eq!((code, text.as_str()), (22, "ns.nowhere: its address was not found"));
}

#[tokio::test]
async fn the_root_does_not_answer() {
    let root = Fake::silent(ROOT).await;
    let resolver = Running::impatient(&[&root]).await;
    let reply = resolver.ask("www.zone.test.", RecordType::A, None).await;
    assert_eq!(failed(&reply), (22, "ns.root 10.78.2.10: no answer within 150 ms".to_owned()));
}

#[tokio::test]
async fn every_server_says_that_it_cannot() {
    let refuse = |_: &hickory_proto::op::Message, _| {
        let mut message = reply(ResponseCode::Refused);
        let mut edns = dns::options::of_query(None);
        edns.options_mut().insert(dns::options::ede_option(20, "served here: other.test."));
        message.edns = Some(edns);
        Act::Say(message)
    };
    let one = Fake::new(ONE, refuse).await;
    let two = Fake::new(TWO, |_, _| Act::Say(reply(ResponseCode::ServFail))).await;
    let root = root(BOTH).await;
    let resolver = Running::before(&[&root, &one, &two]).await;
    let visit = trace();
    let (code, text) = failed(&resolver.ask("www.zone.test.", RecordType::A, Some(visit)).await);
    assert_eq!(code, 22);
    let refused = "ns1.zone.test 10.78.2.31: it answers REFUSED (Not Authoritative: served here: other.test.)";
    assert!(text.contains(refused), "{text}");
    assert!(text.contains("ns2.zone.test 10.78.2.32: it answers SERVFAIL"), "{text}");
    // What came is told, and that it was of no use.
    let story = resolver.story(visit).await;
    assert!(story.contains(&"10.78.2.32 A www.zone.test.: ServerFailure".to_owned()), "{story:#?}");
    assert!(story.contains(&"10.78.2.32 A www.zone.test. failed: it answers SERVFAIL".to_owned()), "{story:#?}");
}

#[tokio::test]
async fn a_delegation_to_an_address_that_no_host_has() {
    let root = root(&[("ns.zone.test.", "10.78.2.99")]).await;
    let resolver = Running::before(&[&root]).await;
    let visit = trace();
    let begin = std::time::Instant::now();
    let reply = resolver.ask("www.zone.test.", RecordType::A, Some(visit)).await;
    assert_eq!(failed(&reply), (22, "ns.zone.test 10.78.2.99: no host of the lab has this address".to_owned()));
    // Known at once: not even one time-out of 2 s has passed, and nothing was sent.
    assert!(begin.elapsed() < Duration::from_secs(2));
    let story = resolver.story(visit).await;
    assert!(story.iter().all(|line| !(line.starts_with("10.78.2.99") && line.ends_with('?'))), "{story:#?}");
    assert!(story.last().unwrap().starts_with("10.78.2.99 A www.zone.test. failed"), "{story:#?}");
}

#[tokio::test]
async fn a_host_on_which_nothing_listens() {
    let root = root(FIRST).await;
    let mut config = config(&[&root]);
    // One that has no DNS service, and one whose service has gone.
    let gone = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut host = root.host();
    host.addresses = vec![ONE.parse().unwrap()];
    host.services.clear();
    config.book.hosts.push(host.clone());
    let resolver = Running::start(config.clone()).await;
    let reply = resolver.ask("www.zone.test.", RecordType::A, None).await;
    assert_eq!(failed(&reply), (22, "ns1.zone.test 10.78.2.31: nothing listens there on udp port 53".to_owned()));

    host.services = root.host().services;
    for service in &mut host.services {
        service.address = std::net::SocketAddr::new(ONE.parse().unwrap(), 53);
        service.socket = gone;
    }
    *config.book.hosts.last_mut().unwrap() = host;
    let resolver = Running::start(config).await;
    let begin = std::time::Instant::now();
    let reply = resolver.ask("www.zone.test.", RecordType::A, None).await;
    assert_eq!(failed(&reply), (22, "ns1.zone.test 10.78.2.31: nothing listens there: the host refuses".to_owned()));
    assert!(begin.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn lame_because_it_refers_back() {
    // As the lab's `lame`: the server of the zone is the root, which refers to where the walk has been before.
    let root = Fake::new(ROOT, |query, _| match what(query).0.as_str() {
        "test." => referral("test.", &[("ns.test.", ONE)]),
        _ => referral("test.", &[("ns.test.", ONE)]),
    });
    let one = Fake::new(ONE, |query, _| match what(query).0.as_str() {
        "test." => answer(vec![ns("test.", "ns.test.")]),
        _ => referral("lame.test.", &[("ns.lame.test.", ROOT)]),
    });
    let (root, one) = (root.await, one.await);
    let resolver = Running::before(&[&root, &one]).await;
    let visit = trace();
    let (code, text) = failed(&resolver.ask("x.lame.test.", RecordType::A, Some(visit)).await);
    assert_eq!(code, 22);
    assert_eq!(text, "ns.lame.test 10.78.2.10: lame: it refers back to test instead of answering for lame.test");
    let story = resolver.story(visit).await;
    assert!(story.contains(&"10.78.2.10 A x.lame.test.: Referral".to_owned()), "{story:#?}");
    // The same server is still the root's.
    let (code, _) = failed(&resolver.ask("y.lame.test.", RecordType::A, None).await);
    assert_eq!(code, 22);
}

#[tokio::test]
async fn lame_because_it_is_no_authority() {
    let one = Fake::new(ONE, |_, _| Act::Say(reply(ResponseCode::NXDomain))).await;
    let (root, two) = (root(BOTH).await, sound(TWO).await);
    let resolver = Running::before(&[&root, &one, &two]).await;
    for _ in 0..8 {
        let reply = resolver.ask("www.zone.test.", RecordType::A, None).await;
        assert_eq!(reply.answers.len(), 2);
        resolver.signals.reload.notify_one();
    }
}

#[tokio::test]
async fn aliases_in_a_circle() {
    let (root, one) = (root(FIRST).await, sound(ONE).await);
    let resolver = Running::before(&[&root, &one]).await;
    let (code, text) = failed(&resolver.ask("loop.zone.test.", RecordType::A, None).await);
    assert_eq!(code, 0);
    assert_eq!(text, "the aliases go in a circle: loop.zone.test → loop2.zone.test → loop.zone.test");
    assert!(one.seen().len() < 10);

    let both = Fake::new(ONE, |query, _| match what(query).0.as_str() {
        "loop.zone.test." => {
            answer(vec![cname("loop.zone.test.", "loop2.zone.test."), cname("loop2.zone.test.", "loop.zone.test.")])
        }
        _ => zone(query),
    });
    let both = both.await;
    let resolver = Running::before(&[&root, &both]).await;
    let (code, again) = failed(&resolver.ask("loop.zone.test.", RecordType::A, None).await);
    assert_eq!((code, again), (0, text));
}

#[tokio::test]
async fn garbage() {
    let one = Fake::new(ONE, |_, _| Act::Bytes(vec![vec![0, 0, 0x80, 0, 0, 9, 0, 9, 0, 0, 0, 0, 0xff]], None)).await;
    let root = root(FIRST).await;
    let resolver = Running::before(&[&root, &one]).await;
    let (code, text) = failed(&resolver.ask("www.zone.test.", RecordType::A, None).await);
    assert_eq!(code, 22);
    assert!(text.starts_with("ns1.zone.test 10.78.2.31: its reply of 13 bytes is malformed: "), "{text}");
}

#[tokio::test]
async fn only_wrong_ids() {
    let one = Fake::new(ONE, |query, _| {
        let mut message = reply(ResponseCode::NoError);
        message.metadata.id = query.metadata.id.wrapping_add(1);
        message.queries = query.queries.clone();
        Act::Bytes(vec![message.to_vec().unwrap()], None)
    });
    let (root, one) = (root(FIRST).await, one.await);
    let resolver = Running::impatient(&[&root, &one]).await;
    let (_, text) = failed(&resolver.ask("www.zone.test.", RecordType::A, None).await);
    let why =
        "no answer within 150 ms (2 datagrams came and were ignored, the last one as another id than the query's)";
    assert_eq!(text, format!("ns1.zone.test 10.78.2.31: {why}"));
}

#[tokio::test]
async fn truncated_and_then_no_tcp() {
    let one = Fake::new(ONE, |query, transport| match (what(query), transport) {
        ((_, RecordType::TXT), journey::dns::Transport::Udp) => {
            let mut cut = reply(ResponseCode::NoError);
            cut.metadata.truncation = true;
            Act::Say(cut)
        }
        _ => no(ResponseCode::NoError, Vec::new(), "zone.test."),
    });
    let (root, one) = (root(FIRST).await, one.await);
    let mut config = config(&[&root, &one]);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let host = config.book.hosts.iter_mut().find(|host| host.addresses == [one.ip]).unwrap();
    host.services.retain(|service| service.protocol == world::Protocol::Udp);
    config.book.closed.as_mut().unwrap().tcp_v4 = closed;
    let resolver = Running::start(config).await;
    let (code, text) = failed(&resolver.ask("big.zone.test.", RecordType::TXT, None).await);
    assert_eq!((code, text), (22, "ns1.zone.test 10.78.2.31: nothing listens there: the host refuses".to_owned()));
}

#[tokio::test]
async fn records_from_elsewhere_are_not_believed() {
    // The server of zone.test. answers for it with a record of bank.test.
    let one = Fake::new(ONE, |query, _| match what(query) {
        (name, RecordType::A) if name == "www.zone.test." => answer(vec![a("bank.test.", "10.78.6.66")]),
        _ => zone(query),
    });
    let (root, one) = (root(FIRST).await, one.await);
    let resolver = Running::before(&[&root, &one]).await;
    let (code, text) = failed(&resolver.ask("www.zone.test.", RecordType::A, None).await);
    assert_eq!(code, 22);
    let why = "what it sent are only records from outside zone.test, which are not believed";
    assert_eq!(text, format!("ns1.zone.test 10.78.2.31: {why}"));
    let reply = resolver.ask("bank.test.", RecordType::A, None).await;
    assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain);
}

#[tokio::test]
async fn the_clients_time_is_over_before_the_servers() {
    let (root, one) = (root(FIRST).await, Fake::silent(ONE).await);
    let mut config = config(&[&root, &one]);
    config.answer_timeout = Duration::from_millis(60);
    config.upstream_timeout = Duration::from_secs(60);
    let resolver = Running::start(config).await;
    let visit = trace();
    let reply = resolver.ask("www.zone.test.", RecordType::A, Some(visit)).await;
    assert_eq!(failed(&reply), (0, "given up after 60 ms".to_owned()));
    let story = resolver.story(visit).await;
    let last = "10.78.2.31 A www.zone.test. failed: no answer yet when the resolver stopped waiting, after ";
    assert!(story.last().is_some_and(|line| line.starts_with(last)), "{story:#?}");
}

#[tokio::test]
async fn delegations_that_do_not_end() {
    // Every name is delegated further down, to the same server.
    let one = Fake::new(ONE, |query, _| {
        let (name, _) = what(query);
        referral(&format!("deeper.{name}"), &[("ns1.zone.test.", ONE)])
    });
    let (root, one) = (root(FIRST).await, one.await);
    let resolver = Running::before(&[&root, &one]).await;
    let reply = resolver.ask("a.b.c.zone.test.", RecordType::A, None).await;
    assert_eq!(reply.metadata.response_code, ResponseCode::ServFail);
    assert!(one.seen().len() < 50);
}
