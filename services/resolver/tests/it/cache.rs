//! What is remembered, for how long, and how it is told.

use std::time::Duration;

use hickory_proto::{op::ResponseCode, rr::RecordType};

use crate::{
    fake::{Act, FIRST, Fake, ONE, a, answer, root, sound, what, zone},
    running::{Running, errors, eventually, exchange, failed, query, records, trace},
};

/// Puts the resolver's clock forward.
fn pass(resolver: &Running, seconds: u64) {
    resolver.signals.clock.advance(Duration::from_secs(seconds));
}

#[tokio::test]
async fn a_hit_counts_down_and_tells_its_age() {
    let (root, one) = (root(FIRST).await, sound(ONE).await);
    let resolver = Running::before(&[&root, &one]).await;
    resolver.ask("www.zone.test.", RecordType::A, None).await;
    let asked = one.seen().len();
    pass(&resolver, 100);
    let visit = trace();
    let reply = resolver.ask("WWW.zone.test.", RecordType::A, Some(visit)).await;
    assert_eq!(records(&reply)[0], "www.zone.test. 200 A 10.78.2.81");
    assert_eq!(resolver.story(visit).await, ["cache A WWW.zone.test.: Some(100) 200"]);
    assert_eq!(one.seen().len(), asked);
    pass(&resolver, 201);
    resolver.ask("www.zone.test.", RecordType::A, None).await;
    assert_eq!(one.asked().last().unwrap(), "A www.zone.test.");
    assert!(one.seen().len() > asked);
    let metrics = (resolver.metric("cache_lookups_total").await, resolver.metric("dns_queries_total").await);
    assert_eq!(metrics, (3.0, 3.0));
}

#[tokio::test]
async fn a_no_is_remembered_for_as_long_as_its_soa_says() {
    let (root, one) = (root(FIRST).await, sound(ONE).await);
    let resolver = Running::before(&[&root, &one]).await;
    for (name, rcode) in [("missing.zone.test.", ResponseCode::NXDomain), ("nodata.zone.test.", ResponseCode::NoError)]
    {
        let fresh = resolver.ask(name, RecordType::A, None).await;
        let asked = one.seen().len();
        pass(&resolver, 20);
        let visit = trace();
        let kept = resolver.ask(name, RecordType::A, Some(visit)).await;
        for reply in [&fresh, &kept] {
            assert_eq!((reply.metadata.response_code, reply.answers.len()), (rcode, 0));
            assert_eq!(reply.authorities[0].record_type(), RecordType::SOA);
        }
        // The record's own TTL is 600, its MINIMUM 60 (RFC 2308 §5).
        assert_eq!((fresh.authorities[0].ttl, kept.authorities[0].ttl), (60, 40));
        assert_eq!(resolver.story(visit).await, [format!("cache A {name}: Some(20) 40")]);
        assert_eq!(one.seen().len(), asked);
        pass(&resolver, 41);
    }
}

#[tokio::test]
async fn what_was_learned_on_the_way_to_another_answer_has_no_known_age() {
    // The alias's target was fetched on the way to another answer.
    let one = Fake::new(ONE, |query, _| match what(query) {
        (name, RecordType::A) if name == "alias.zone.test." => {
            answer(vec![crate::fake::cname(&name, "www.zone.test.")])
        }
        _ => zone(query),
    });
    let (root, one) = (root(FIRST).await, one.await);
    let resolver = Running::before(&[&root, &one]).await;
    resolver.ask("alias.zone.test.", RecordType::A, None).await;
    let asked = one.seen().len();
    let visit = trace();
    resolver.ask("www.zone.test.", RecordType::A, Some(visit)).await;
    assert_eq!(resolver.story(visit).await, ["cache A www.zone.test.: None 300"]);
    assert_eq!(one.seen().len(), asked);
}

#[tokio::test]
async fn a_record_without_time_to_live_is_not_remembered() {
    let one = Fake::new(ONE, |query, _| match what(query) {
        (name, RecordType::A) if name == "www.zone.test." => {
            let mut record = a(&name, "10.78.2.81");
            record.ttl = 0;
            answer(vec![record])
        }
        _ => zone(query),
    });
    let (root, one) = (root(FIRST).await, one.await);
    let resolver = Running::before(&[&root, &one]).await;
    for _ in 0..2 {
        resolver.ask("www.zone.test.", RecordType::A, None).await;
    }
    assert_eq!(one.asked().iter().filter(|line| *line == "A www.zone.test.").count(), 2);
}

#[tokio::test]
async fn a_failure_is_remembered_for_a_second() {
    let (root, one) = (root(FIRST).await, Fake::new(ONE, |_, _| Act::Drop).await);
    let resolver = Running::impatient(&[&root, &one]).await;
    let (_, text) = failed(&resolver.ask("www.zone.test.", RecordType::A, None).await);
    let asked = one.seen().len();
    let reply = resolver.ask("www.zone.test.", RecordType::A, None).await;
    let told: Vec<(u16, String)> = errors(&reply).into_iter().map(|error| (error.code, error.text)).collect();
    assert_eq!(told, [(22, text), (13, String::new())]);
    assert_eq!(one.seen().len(), asked);
    pass(&resolver, 1);
    failed(&resolver.ask("www.zone.test.", RecordType::A, None).await);
    assert!(one.seen().len() > asked);
}

#[tokio::test]
async fn without_recursion_only_what_is_known() {
    let (root, one) = (root(FIRST).await, sound(ONE).await);
    let resolver = Running::before(&[&root, &one]).await;
    let mut asked = query("www.zone.test.", RecordType::A, None);
    asked.metadata.recursion_desired = false;
    let reply = exchange(resolver.dns, &asked).await;
    assert_eq!(reply.metadata.response_code, ResponseCode::Refused);
    assert_eq!(errors(&reply)[0].code, 20);
    assert!(root.seen().is_empty());
    resolver.ask("www.zone.test.", RecordType::A, None).await;
    let reply = exchange(resolver.dns, &asked).await;
    assert_eq!((reply.metadata.response_code, reply.answers.len()), (ResponseCode::NoError, 2));
    assert!(!reply.metadata.recursion_desired);
}

#[tokio::test]
async fn flushed() {
    let (root, one) = (root(FIRST).await, sound(ONE).await);
    let folder = tempfile::tempdir().unwrap();
    let hints = folder.path().join("root.hints");
    std::fs::write(&hints, ". NS ns.root.\nns.root. A 10.78.2.10\n").unwrap();
    let mut config = crate::running::config(&[&root, &one]);
    config.source.files = world::Files::Folder(folder.path().to_owned());
    let resolver = Running::start(config).await;
    resolver.ask("www.zone.test.", RecordType::A, None).await;
    assert_eq!(root.seen().len(), 2);

    resolver.signals.reload.notify_one();
    flushes(&resolver, 1.0).await;
    resolver.ask("www.zone.test.", RecordType::A, None).await;
    assert_eq!(root.seen().len(), 4);

    // Broken hints leave the old ones.
    std::fs::write(&hints, "nonsense\n").unwrap();
    resolver.signals.reload.notify_one();
    flushes(&resolver, 2.0).await;
    assert_eq!(resolver.metric("hints_reload_failed_total").await, 1.0);
    let reply = resolver.ask("www.zone.test.", RecordType::A, None).await;
    assert_eq!((reply.answers.len(), root.seen().len()), (2, 6));

    // New hints are followed.
    std::fs::write(&hints, ". NS ns.root.\nns.root. A 10.78.2.99\n").unwrap();
    resolver.signals.reload.notify_one();
    flushes(&resolver, 3.0).await;
    let (_, text) = failed(&resolver.ask("www.zone.test.", RecordType::A, None).await);
    assert_eq!(text, "ns.root 10.78.2.99: no host of the lab has this address");
    eventually("the first server is left alone", || one.seen().len() == 3).await;
}

async fn flushes(resolver: &Running, count: f64) {
    for _ in 0..500 {
        if resolver.metric("cache_flushed_total").await >= count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("the cache was not emptied");
}
