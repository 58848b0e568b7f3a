//! Who may ask what.

use hickory_proto::{
    op::{OpCode, ResponseCode},
    rr::{DNSClass, RecordType},
};

use crate::{
    fake::{FIRST, ONE, root, sound},
    running::{Running, config, errors, exchange, query, records},
};

#[tokio::test]
async fn strangers_are_refused() {
    let (root, one) = (root(FIRST).await, sound(ONE).await);
    let mut config = config(&[&root, &one]);
    config.allow = vec!["10.78.0.0/16".parse().unwrap()];
    let resolver = Running::start(config).await;
    let reply = resolver.ask("www.zone.test.", RecordType::A, None).await;
    assert_eq!(reply.metadata.response_code, ResponseCode::Refused);
    assert!(!reply.metadata.recursion_available && reply.answers.is_empty());
    let errors = errors(&reply);
    assert_eq!((errors[0].code, errors[0].text.as_str()), (18, "no recursion for 127.0.0.1"));
    assert!(root.seen().is_empty());
}

#[tokio::test]
async fn what_is_not_resolved() {
    let root = root(FIRST).await;
    let resolver = Running::before(&[&root]).await;
    let check = async |rtype: RecordType, expected| {
        let reply = resolver.ask("www.zone.test.", rtype, None).await;
        assert_eq!(reply.metadata.response_code, expected, "{rtype}");
        assert_eq!(errors(&reply)[0].code, 21, "{rtype}");
    };
    check(RecordType::AXFR, ResponseCode::Refused).await;
    check(RecordType::IXFR, ResponseCode::Refused).await;
    check(RecordType::Unknown(253), ResponseCode::NotImp).await;
    let mut chaos = query("version.bind.", RecordType::TXT, None);
    chaos.queries[0].set_query_class(DNSClass::CH);
    let reply = exchange(resolver.dns, &chaos).await;
    assert_eq!(reply.metadata.response_code, ResponseCode::Refused);
    let mut notify = query("zone.test.", RecordType::SOA, None);
    notify.metadata.op_code = OpCode::Notify;
    notify.queries.clear();
    notify.edns = None;
    let reply = exchange_any(&resolver, &notify).await;
    assert_eq!(reply.metadata.response_code, ResponseCode::NotImp);
    assert!(root.seen().is_empty());
}

#[tokio::test]
async fn any_is_answered_with_one_record_set() {
    let (root, one) = (root(FIRST).await, sound(ONE).await);
    let resolver = Running::before(&[&root, &one]).await;
    let ask = async |name: &str| {
        let reply = resolver.ask(name, RecordType::ANY, None).await;
        (reply.metadata.response_code, records(&reply))
    };
    let addresses = ["www.zone.test. 300 A 10.78.2.81", "www.zone.test. 300 A 10.78.2.82"].map(str::to_owned);
    assert_eq!(ask("www.zone.test.").await, (ResponseCode::NoError, addresses.to_vec()));
    let alias = vec!["alias.zone.test. 300 CNAME alias2.zone.test.".to_owned()];
    assert_eq!(ask("alias.zone.test.").await, (ResponseCode::NoError, alias));
    assert_eq!(ask("missing.zone.test.").await, (ResponseCode::NXDomain, Vec::new()));
    let (code, hinfo) = ask("nodata.zone.test.").await;
    assert_eq!((code, hinfo.len()), (ResponseCode::NoError, 1));
    assert!(hinfo[0].starts_with("nodata.zone.test. 3600 HINFO RFC8482"), "{hinfo:?}");
}

#[tokio::test]
async fn dnssec_ok_is_not_echoed() {
    let (root, one) = (root(FIRST).await, sound(ONE).await);
    let resolver = Running::before(&[&root, &one]).await;
    let mut asked = query("www.zone.test.", RecordType::A, None);
    asked.edns.as_mut().unwrap().set_dnssec_ok(true);
    let reply = exchange(resolver.dns, &asked).await;
    assert!(!reply.edns.unwrap().flags().dnssec_ok && !reply.metadata.authentic_data);
}

async fn exchange_any(resolver: &Running, query: &hickory_proto::op::Message) -> hickory_proto::op::Message {
    exchange(resolver.dns, query).await
}

#[tokio::test]
async fn a_type_that_nobody_knows_is_a_type_like_others() {
    let (root, one) = (root(FIRST).await, sound(ONE).await);
    let resolver = Running::before(&[&root, &one]).await;
    let reply = resolver.ask("www.zone.test.", RecordType::Unknown(65_280), None).await;
    assert_eq!((reply.metadata.response_code, reply.answers.len()), (ResponseCode::NoError, 0));
}

#[tokio::test]
async fn a_client_without_edns_is_told_nothing_of_it() {
    let root = crate::fake::Fake::silent(crate::fake::ROOT).await;
    let resolver = Running::impatient(&[&root]).await;
    let mut asked = query("www.zone.test.", RecordType::A, None);
    asked.edns = None;
    let reply = exchange(resolver.dns, &asked).await;
    assert_eq!(reply.metadata.response_code, ResponseCode::ServFail);
    assert!(reply.edns.is_none());
}
