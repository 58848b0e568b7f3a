//! Each trouble by a small case; what is missing or contradicts itself; and what holds for all.

mod scene;

use scene::{NAME, Scene, addresses, aliases, arp, at, fate, question, record, referral, reply, server, tcp};

use super::RULES;
use crate::{
    Event, LabNetwork, NoUse, Place, Reason, StageName, Sure, Trouble, What,
    capture::{Captured, Fate},
    dns::{Edns, ExtendedError, Meaning, Reply, Transport},
    stage::{self, Did, Receive, Told, Tried, Wait},
    verdict::judge,
    walk::{Asked, End, Finding, Learned, Said, Search, Server, Servers, Walk, Zone},
};

const PEER: &str = "10.78.1.100:4000";

#[test]
fn every_rule_can_be_read() {
    for rule in RULES {
        assert!(rule.when.len() > 7 && !rule.when.ends_with('.'), "{rule:?}");
    }
}

#[test]
fn what_servers_do_to_the_resolver() {
    // By what the resolver tells, and as older records told it.
    let table = [
        (NoUse::NothingListens, "nothing listens there: the host refuses", Trouble::DnsNothingListens),
        (NoUse::Unreachable, "the host cannot be reached", Trouble::DnsUnreachable),
        (NoUse::Refused, "it answers REFUSED", Trouble::DnsRefused),
        (NoUse::ServerFailure, "it answers SERVFAIL", Trouble::DnsServerFailure),
        (NoUse::OtherError, "it answers FORMERR", Trouble::DnsError),
        (
            NoUse::WrongId,
            "no answer within 500 ms (what came was ignored: another id than the query's)",
            Trouble::DnsWrongId,
        ),
        (
            NoUse::NotAResponse,
            "no answer within 500 ms (what came was ignored: a query, not a reply)",
            Trouble::DnsNotAResponse,
        ),
        (NoUse::Malformed, "its reply of 9 bytes is malformed: x", Trouble::DnsMalformed),
        (NoUse::Truncated, "its answer is truncated over tcp too", Trouble::DnsTcpRefused),
        (NoUse::Lame, "lame: its answer is not authoritative", Trouble::LameDelegation),
        (NoUse::NoAnswer, "no answer within 500 ms", Trouble::DnsNoAnswer),
        (NoUse::HungUp, "it hung up without an answer", Trouble::DnsNoAnswer),
    ];
    for (failure, why, trouble) in table {
        for failure in [failure, NoUse::Other] {
            let scene = Scene::servfail().fails("tld", 10, "example.local", failure, why);
            let found = scene.causes();
            assert_eq!((found[0].trouble, found[0].host.as_deref()), (trouble, Some("tld")), "{failure:?} {found:#?}");
            assert!(found[0].next.is_some() && found[0].what.contains("tld") || trouble == Trouble::DnsNothingListens);
            // Where another answered in its place, the visit did not fail by it.
            let scene = Scene::found(&["10.78.2.81"]).fails("auth1", 1, NAME, failure, why).hears(
                "auth2",
                2,
                NAME,
                addresses(NAME, &["10.78.2.81"]),
                300,
            );
            let cause = scene.check_besides(trouble, Some("auth1"));
            assert!(cause.what.contains("auth2 answered in its place"), "{}", cause.what);
        }
    }
}

#[test]
fn a_server_that_is_silent_says_more_itself() {
    let failed = || Scene::servfail().fails("tld", 10, "example.local", NoUse::NoAnswer, "");
    let read = What::QueryReceived { peer: at(PEER), transport: Transport::Udp, question: question("example.local") };
    let cause = failed().says("tld", 10, read).check(Trouble::DnsNoAnswer, Some("tld"), Sure::Certain);
    assert!(cause.what.contains("it read it"), "{}", cause.what);
    let cause = failed().check(Trouble::DnsNoAnswer, Some("tld"), Sure::Likely);
    assert!(cause.what.contains("reports no such question") && cause.would_tell.is_some(), "{cause:?}");
    let cause = failed().silent("tld").check(Trouble::DnsNoAnswer, Some("tld"), Sure::Likely);
    assert!(cause.what.contains("gives no report either"), "{}", cause.what);
    // It answered, and too late.
    let late = failed().answers("tld", 10, "example.local", reply(Meaning::Referral, false), 900_000);
    late.check(Trouble::DnsSlow, Some("tld"), Sure::Certain);
    // It says that it answered in time, and nobody has seen that it did.
    let lost = failed().answers("tld", 10, "example.local", reply(Meaning::Referral, false), 300);
    lost.check(Trouble::DnsNoAnswer, Some("tld"), Sure::Likely);
}

#[test]
fn delegations() {
    let zone = "lame.example.local";
    let delegated = |ip: &str| {
        Scene::servfail().answers("auth1", 5, "lame.example.local", referral(zone, "ns.lame.example.local", ip), 90)
    };
    let name = |mut scene: Scene| {
        let stage = scene.hops[0].stages.iter_mut().find(|stage| stage.name() == StageName::Name).unwrap();
        let Did::Name(did) = &mut stage.did else { unreachable!() };
        did.asked = format!("www.{zone}");
        scene
    };
    let of = "www.lame.example.local";
    let lame = delegated("10.78.2.10").hears("root", 9, of, referral("local", "ns.local", "10.78.2.20"), 500_000);
    for failure in [NoUse::Lame, NoUse::LeadsBack] {
        let lame = name(lame.clone().fails("root", 9, of, failure, ""));
        let cause = lame.check(Trouble::LameDelegation, Some("root"), Sure::Certain);
        assert!(cause.what.contains("which auth1 delegates to it: it refers to local instead"), "{}", cause.what);
    }
    let back = delegated("10.78.2.10")
        .hears("root", 9, of, referral(zone, "ns.lame.example.local", "10.78.2.10"), 500_000)
        .fails("root", 9, of, NoUse::LeadsBack, "");
    name(back).check(Trouble::DelegationLoop, Some("root"), Sure::Certain);
    // At an address of nobody, whoever delegates there is to blame; at a host's, the host.
    for failure in [NoUse::NoAnswer, NoUse::Unreachable] {
        let dead = name(delegated("10.78.2.99").fails("10.78.2.99", 9, of, failure, ""));
        let cause = dead.check(Trouble::DeadDelegation, Some("auth1"), Sure::Certain);
        assert!(cause.what.contains("auth1 delegates lame.example.local to ns.lame.example.local at 10.78.2.99"));
    }
    name(delegated("10.78.2.10").fails("root", 9, of, NoUse::NoAnswer, "")).check(
        Trouble::DnsNoAnswer,
        Some("root"),
        Sure::Likely,
    );
    // Nobody told of the delegation.
    let alone = name(Scene::servfail().fails("10.78.2.99", 9, of, NoUse::Unreachable, ""));
    alone.check(Trouble::DnsUnreachable, Some("10.78.2.99"), Sure::Certain);
}

#[test]
fn aliases_in_a_circle() {
    let circle = aliases(&[(NAME, "b.example.local"), ("b.example.local", NAME)]);
    let cause = Scene::servfail()
        .answers("auth2", 9, NAME, circle.clone(), 90)
        .hears("auth2", 9, NAME, circle.clone(), 200)
        .check(Trouble::AliasLoop, Some("auth2"), Sure::Certain);
    assert!(cause.what.ends_with("www.example.local → b.example.local → www.example.local"), "{}", cause.what);
    // By the resolver's report, and by its own answer.
    Scene::servfail().hears("auth2", 9, NAME, circle.clone(), 200).check(
        Trouble::AliasLoop,
        Some("auth2"),
        Sure::Certain,
    );
    let told = Told::Reply { reply: circle };
    Scene::new().name(told, (0, 9), Some((Reason::BadReply, "aliases"))).check(
        Trouble::AliasLoop,
        Some("resolver"),
        Sure::Certain,
    );
}

fn with_ede(code: u16, text: &str) -> Reply {
    let error = ExtendedError { code, name: "No Reachable Authority".to_owned(), text: text.to_owned() };
    Reply { edns: Some(Edns { errors: vec![error], ..Edns::default() }), ..reply(Meaning::ServerFailure, false) }
}

#[test]
fn a_resolver_that_cannot_tell() {
    let failed = || {
        let told = Told::Reply { reply: with_ede(22, "ns1.example.com 192.0.2.1: no answer") };
        Scene::new().name(
            told,
            (0, 9),
            Some((Reason::ServerFailure, "no answer for it: ns1.example.com 192.0.2.1: no answer")),
        )
    };
    let cause = failed().on_the_internet().check(Trouble::DnsServerFailure, Some("10.78.1.53"), Sure::Possible);
    assert!(cause.would_tell.is_some_and(|tell| tell.contains("visit --walk=all")));
    assert!(cause.what.contains("192.0.2.1: no answer"));
    // In the lab it says itself whether it asked anybody.
    let own = failed().resolver_answers(reply(Meaning::ServerFailure, false), false);
    own.check(Trouble::DnsServerFailure, Some("resolver"), Sure::Certain);
    let cached = failed().resolver_answers(reply(Meaning::ServerFailure, false), true);
    assert!(cached.check(Trouble::DnsServerFailure, Some("resolver"), Sure::Certain).what.contains("remembers"));
}

#[test]
fn the_resolver_itself() {
    let check = |told: Told, reason: Reason, trouble: Trouble, sure: Sure| {
        let scene = Scene::new().name(told, (0, 9), Some((reason, "10.78.1.53:53 did not do it")));
        scene.check(trouble, Some("resolver"), sure);
    };
    let bad = |why: &str| Told::BadReply { why: why.to_owned() };
    check(Told::NothingListens, Reason::ResolverDown, Trouble::DnsNothingListens, Sure::Certain);
    check(Told::Timeout, Reason::Timeout, Trouble::DnsNoAnswer, Sure::Likely);
    check(bad("its id 7 is of no query sent"), Reason::BadReply, Trouble::DnsWrongId, Sure::Certain);
    check(bad("it is a query and not a reply"), Reason::BadReply, Trouble::DnsNotAResponse, Sure::Certain);
    check(bad("5 bytes are no DNS message: x"), Reason::BadReply, Trouble::DnsMalformed, Sure::Certain);
    let failed = Told::Failed { why: "no route to that network".to_owned() };
    check(failed, Reason::ResolverDown, Trouble::DnsUnreachable, Sure::Certain);
    let said = |meaning| Told::Reply { reply: reply(meaning, false) };
    check(said(Meaning::Refused), Reason::QueryRefused, Trouble::DnsRefused, Sure::Certain);
    check(said(Meaning::Other), Reason::BadReply, Trouble::DnsError, Sure::Certain);
    check(said(Meaning::Referral), Reason::NoRecursion, Trouble::NoRecursion, Sure::Certain);
    // It read the question, and sent nothing.
    let read = What::QueryReceived { peer: at(PEER), transport: Transport::Udp, question: question(NAME) };
    Scene::new()
        .name(Told::Timeout, (0, 9), Some((Reason::Timeout, "it did not answer")))
        .says("resolver", 1, read)
        .check(Trouble::DnsNoAnswer, Some("resolver"), Sure::Certain);
    let again = vec![Told::Timeout, Told::Reply { reply: addresses(NAME, &["10.78.2.81"]) }];
    Scene::new().asked(again, (0, 9), None).check_besides(Trouble::DnsNoAnswer, Some("resolver"));
}

#[test]
fn no_such_name_and_by_whom() {
    let soa = Reply {
        authority: vec![record("example.local", "SOA", "ns1. h. 1 2 3 4 5")],
        ..reply(Meaning::NoSuchName, true)
    };
    let what = "there is no name www.example.local, says 10.78.1.53:53";
    let no = || {
        Scene::new().name(
            Told::Reply { reply: reply(Meaning::NoSuchName, false) },
            (0, 9),
            Some((Reason::NoSuchName, what)),
        )
    };
    let cause =
        no().answers("auth1", 5, NAME, soa.clone(), 90).check(Trouble::NoSuchName, Some("auth1"), Sure::Certain);
    assert_eq!(cause.what, "there is no name www.example.local, says auth1, the authority of example.local");
    // Of a name above it as well (RFC 8020).
    no().answers("tld", 5, "example.local", soa.clone(), 90).check(Trouble::NoSuchName, Some("tld"), Sure::Certain);
    no().hears("auth1", 5, NAME, soa.clone(), 90).check(Trouble::NoSuchName, Some("auth1"), Sure::Likely);
    let cached = no().resolver_answers(reply(Meaning::NoSuchName, false), true);
    assert!(
        cached
            .check(Trouble::NoSuchName, Some("resolver"), Sure::Likely)
            .what
            .contains("in its cache for another 200 s")
    );
    let made_up = no().resolver_answers(reply(Meaning::NoSuchName, false), false);
    made_up.check(Trouble::ResolverContradicts, Some("resolver"), Sure::Certain);
    // The authority said otherwise.
    no().answers("auth1", 5, NAME, addresses(NAME, &["10.78.2.81"]), 90)
        .hears("auth1", 5, NAME, addresses(NAME, &["10.78.2.81"]), 90)
        .check(Trouble::ResolverContradicts, Some("resolver"), Sure::Certain);
    no().on_the_internet().check(Trouble::NoSuchName, Some("10.78.1.53"), Sure::Likely);
    // Nobody can be told to have made it up who does not tell all.
    made_up.silent("resolver").check(Trouble::NoSuchName, Some("resolver"), Sure::Likely);
    let none = Reply { authority: soa.authority, ..reply(Meaning::NoData, true) };
    Scene::new()
        .name(Told::Reply { reply: none.clone() }, (0, 9), Some((Reason::NoAddress, "it has no address")))
        .answers("auth2", 5, NAME, none, 90)
        .check(Trouble::NoAddress, Some("auth2"), Sure::Certain);
    let two = Scene::found(&["10.78.2.81"]).answers("auth1", 5, NAME, reply(Meaning::NoSuchName, true), 90);
    two.check_besides(Trouble::NoSuchName, Some("auth1"));
}

fn walked(end: End, ips: &[&str], findings: Vec<Finding>) -> Walk {
    let address = |ip: &&str| stage::Address { ip: ip.parse().unwrap(), ttl: Some(300), host: None };
    let found: Vec<stage::Address> = ips.iter().map(address).collect();
    let asked = Asked {
        address: server("auth1"),
        host: Some("auth1".to_owned()),
        learned: Learned::Glue { zone: "local.".to_owned() },
        exchanges: Vec::new(),
        said: Some(Said::Answer { addresses: found.clone() }),
        name_servers: None,
        serial: None,
        own_addresses: Vec::new(),
    };
    let zone = Zone {
        zone: "example.local.".to_owned(),
        asked: format!("{NAME}."),
        referred_by: Some("local.".to_owned()),
        known: false,
        servers: vec![Server { name: Some("ns1.example.local.".to_owned()), addresses: vec![asked], note: None }],
    };
    let search = Search {
        name: format!("{NAME}."),
        server_of: None,
        zones: vec![zone],
        aliases: Vec::new(),
        end,
        addresses: found,
    };
    Walk {
        servers: Servers::First,
        why: None,
        start_us: 1,
        duration_us: 1,
        note: None,
        searches: vec![search],
        findings,
    }
}

#[test]
fn an_old_answer() {
    let refused = |ip: &str| {
        let scene = Scene::found(&[ip]);
        let failed = Some((Reason::ConnectionRefused, "nothing listens"));
        scene.connect(&[(&format!("{ip}:80"), Tried::Refused)], (5, 6), failed)
    };
    let differs = || {
        let says = |ip: &str| vec![ip.to_owned()];
        let (resolver, walk) = (says("10.78.2.82"), says("10.78.2.81"));
        let finding = Finding::Resolver { name: format!("{NAME}."), rtype: "A".to_owned(), resolver, walk };
        walked(End::Answer, &["10.78.2.81"], vec![finding])
    };
    let mut stale = refused("10.78.2.82").resolver_answers(addresses(NAME, &["10.78.2.82"]), true);
    // Without the authority's word only what was met is known, and that it should be asked.
    stale.check(Trouble::NothingListens, Some("app2"), Sure::Certain);
    let events = crate::chronicle::in_order(stale.events.clone());
    let case = crate::verdict::Case {
        hops: &stale.hops,
        events: &events,
        hosts: &stale.hosts,
        place: &stale.place,
        observers: &stale.observers,
        capture: &stale.capture,
        walk: None,
        fail_on_status: false,
    };
    assert!(super::doubt(&case).is_some_and(|why| why.contains("from its cache")));
    assert_eq!(super::doubt(&crate::verdict::Case { place: &Place::Internet, ..case }), None);
    stale.walk = Some(differs());
    let cause = stale.check(Trouble::StaleAnswer, Some("resolver"), Sure::Certain);
    assert_eq!(
        cause.what,
        "resolver answered from its cache with 10.78.2.82 for www.example.local, and auth1 has 10.78.2.81"
    );
    let mut lies = refused("10.78.2.82").resolver_answers(addresses(NAME, &["10.78.2.82"]), false);
    lies.walk = Some(differs());
    lies.check(Trouble::ResolverContradicts, Some("resolver"), Sure::Certain);
    // The same by the authority's own report.
    refused("10.78.2.82")
        .answers("auth2", 2, NAME, addresses(NAME, &["10.78.2.81"]), 9)
        .hears("auth2", 2, NAME, addresses(NAME, &["10.78.2.81"]), 9)
        .check(Trouble::ResolverContradicts, Some("resolver"), Sure::Certain);
    // On the internet authorities answer one client so and another otherwise.
    let mut elsewhere = refused("10.78.2.82").on_the_internet();
    elsewhere.walk = Some(differs());
    elsewhere.check(Trouble::NothingListens, Some("10.78.2.82"), Sure::Certain);
}

#[test]
fn what_the_walk_alone_tells() {
    let finding = |address: &str, dead: bool| {
        let (zone, server, address) = ("example.local.".to_owned(), None, server(address));
        match dead {
            true => Finding::Dead { zone, server, address, why: "no answer in time".to_owned() },
            false => Finding::Lame { zone, server, address, why: "it refers to .".to_owned() },
        }
    };
    let check = |finding: Finding, trouble: Trouble| {
        let mut scene = Scene::servfail().on_the_internet();
        let address = match &finding {
            Finding::Dead { address, .. } | Finding::Lame { address, .. } => address.ip().to_string(),
            _ => unreachable!(),
        };
        scene.walk = Some(walked(End::NoAuthority { zone: "example.local.".to_owned() }, &[], vec![finding]));
        scene.check(trouble, Some(&address), Sure::Likely);
    };
    check(finding("auth1", true), Trouble::DnsNoAnswer);
    check(finding("auth1", false), Trouble::LameDelegation);
}

#[test]
fn connections() {
    let check = |result: Tried, reason: Reason, trouble: Trouble, sure: Sure| {
        let scene =
            Scene::found(&["10.78.2.81"]).connect(&[("10.78.2.81:80", result)], (5, 900), Some((reason, "it failed")));
        scene.check(trouble, Some("app1"), sure)
    };
    check(Tried::Refused, Reason::ConnectionRefused, Trouble::NothingListens, Sure::Certain);
    let cause = check(Tried::Timeout, Reason::Timeout, Trouble::SynUnanswered, Sure::Likely);
    assert!(cause.would_tell.is_some_and(|tell| tell.contains("--packets")));
    let unreachable = Tried::Unreachable { why: "no route".to_owned() };
    check(unreachable, Reason::Unreachable, Trouble::Unreachable, Sure::Certain);
    let failed = |results: &[(&str, Tried)]| {
        Scene::found(&["10.78.2.81", "10.78.2.82"]).connect(
            results,
            (5, 900),
            Some((Reason::ConnectFailed, "it failed")),
        )
    };
    let full = failed(&[("10.78.2.81:80", Tried::Timeout)]).queue("app1", "10.78.2.81:80", 3, 2);
    full.check(Trouble::AcceptQueueFull, Some("app1"), Sure::Certain);
    failed(&[("10.78.2.81:80", Tried::Timeout)]).queue("app1", "10.78.2.81:81", 3, 2).check(
        Trouble::SynUnanswered,
        Some("app1"),
        Sure::Likely,
    );
    let both = failed(&[("10.78.2.81:80", Tried::Refused), ("10.78.2.82:80", Tried::Refused)]).causes();
    assert_eq!(both.iter().filter_map(|cause| cause.host.as_deref()).collect::<Vec<_>>(), ["app1", "app2"]);
    let one = Scene::found(&["10.78.2.82", "10.78.2.81"]).connect(
        &[("10.78.2.82:80", Tried::Refused), ("10.78.2.81:80", Tried::Connected)],
        (5, 300),
        None,
    );
    assert!(one.check_besides(Trouble::NothingListens, Some("app2")).what.contains("app1 was there instead"));
    let overtaken = Scene::found(&["10.78.2.82", "10.78.2.81"]).connect(
        &[("10.78.2.82:80", Tried::Abandoned), ("10.78.2.81:80", Tried::Connected)],
        (5, 300),
        None,
    );
    overtaken.check_besides(Trouble::SynUnanswered, Some("app2"));
}

fn ended(did: Did, ms: (u64, u64), reason: Reason) -> Scene {
    Scene::connected().stage(did, ms, Some((reason, "it did not")))
}

fn receive(bytes: u64) -> Did {
    Did::Receive(Box::new(Receive { status: Some(200), content_bytes: Some(bytes), ..Receive::default() }))
}

fn written(elapsed_us: u64) -> What {
    What::ResponseWritten { peer: at(PEER), status: Some(200), bytes: 9, elapsed_us }
}

#[test]
fn exchanges() {
    let wait = |reason| ended(Did::Wait(Wait {}), (6, 900), reason);
    wait(Reason::Timeout).check(Trouble::Silent, Some("app1"), Sure::Certain);
    wait(Reason::EmptyReply).check(Trouble::EmptyReply, Some("app1"), Sure::Certain);
    wait(Reason::Reset).check(Trouble::Reset, Some("app1"), Sure::Certain);
    let read = What::RequestRead { peer: at(PEER), method: "GET".to_owned(), target: "/".to_owned(), bytes: 9 };
    for reason in [Reason::Timeout, Reason::MaxTime] {
        wait(reason).says("app1", 7, read.clone()).check(Trouble::SlowFirstByte, Some("app1"), Sure::Certain);
        let full = wait(reason).queue("app1", "10.78.2.81:80", 3, 2);
        full.check(Trouble::AcceptQueueFull, Some("app1"), Sure::Certain);
        let waits = wait(reason).queue("app1", "10.78.2.81:80", 1, 2);
        assert!(waits.check(Trouble::Silent, Some("app1"), Sure::Certain).what.contains("nobody takes any"));
    }
    wait(Reason::MaxTime).check(Trouble::SlowFirstByte, Some("app1"), Sure::Possible);
    let receiving = |reason, bytes| ended(receive(bytes), (6, 900), reason);
    receiving(Reason::BodyCut, 100).check(Trouble::CutShort, Some("app1"), Sure::Certain);
    receiving(Reason::Reset, 100).check(Trouble::Reset, Some("app1"), Sure::Certain);
    receiving(Reason::MalformedResponse, 0).check(Trouble::NotHttp, Some("app1"), Sure::Certain);
    receiving(Reason::BadContentCoding, 9).check(Trouble::BadContent, Some("app1"), Sure::Certain);
    receiving(Reason::TooLarge, 9).check(Trouble::TooLarge, Some("app1"), Sure::Certain);
    receiving(Reason::MaxTime, 100).check(Trouble::SlowContent, Some("app1"), Sure::Likely);
    receiving(Reason::MaxTime, 100_000_000).check(Trouble::TooLarge, Some("app1"), Sure::Likely);
    receiving(Reason::WriteFailed, 9).check(Trouble::ThisMachine, None, Sure::Certain);
    receiving(Reason::TooManyRedirects, 9).check(Trouble::TooManyRedirects, Some("app1"), Sure::Certain);
    let mut circle = receiving(Reason::TooManyRedirects, 9);
    circle.hops.insert(0, circle.hops[0].clone());
    circle.check(Trouble::RedirectLoop, Some("app1"), Sure::Certain);
}

#[test]
fn slow_and_reached() {
    let waited = Scene::connected().stage(Did::Wait(Wait {}), (6, 600), None);
    waited.clone().says("app1", 590, written(580_000)).check_besides(Trouble::SlowFirstByte, Some("app1"));
    // It says that it was not itself.
    assert_eq!(waited.says("app1", 590, written(900)).causes(), []);
    let drip = Scene::connected().stage(receive(1_000), (6, 900), None);
    drip.check_besides(Trouble::SlowContent, Some("app1"));
    assert_eq!(Scene::connected().stage(receive(9_000_000), (6, 900), None).causes(), []);
    // The name stage.
    let found = || Scene::new().name(Told::Reply { reply: addresses(NAME, &["10.78.2.81"]) }, (0, 600), None);
    let slow = found().hears("tld", 5, "example.local", reply(Meaning::Referral, false), 500_000);
    assert_eq!(slow.check_besides(Trouble::DnsSlow, Some("tld")).sure, Sure::Likely);
    let slow = slow.answers("tld", 5, "example.local", reply(Meaning::Referral, false), 499_000);
    assert_eq!(slow.check_besides(Trouble::DnsSlow, Some("tld")).sure, Sure::Certain);
    let own = found().answers("resolver", 1, NAME, addresses(NAME, &["10.78.2.81"]), 590_000);
    assert_eq!(own.check_besides(Trouble::DnsSlow, Some("resolver")).sure, Sure::Certain);
    let status = Receive { status: Some(503), content_bytes: Some(9), ..Receive::default() };
    let mut status = Scene::connected().stage(Did::Receive(Box::new(status)), (6, 9), None);
    status.check_besides(Trouble::HttpStatus, Some("app1"));
    status.fail = true;
    let events = crate::chronicle::in_order(status.events.clone());
    let case = crate::verdict::Case {
        hops: &status.hops,
        events: &events,
        hosts: &status.hosts,
        place: &status.place,
        observers: &status.observers,
        capture: &status.capture,
        walk: None,
        fail_on_status: true,
    };
    let (outcome, code) = judge(&case);
    assert_eq!((outcome.causes[0].broke, outcome.reason, code), (true, Some(Reason::HttpStatus), 22));
}

#[test]
fn handshakes() {
    for (reason, trouble) in [
        (Reason::CertificateExpired, Trouble::CertificateExpired),
        (Reason::CertificateNotYetValid, Trouble::CertificateNotYetValid),
        (Reason::CertificateWrongName, Trouble::CertificateWrongName),
        (Reason::CertificateUntrusted, Trouble::CertificateUntrusted),
        (Reason::CertificateRefused, Trouble::CertificateRefused),
        (Reason::NotTls, Trouble::NotTls),
        (Reason::TlsFailed, Trouble::TlsFailed),
        (Reason::Reset, Trouble::Reset),
        (Reason::Timeout, Trouble::Silent),
    ] {
        ended(Did::Tls(Box::default()), (6, 9), reason).check(trouble, Some("app1"), Sure::Certain);
    }
}

#[test]
fn asked_again_and_cut() {
    let sent =
        What::QuerySent { server: server("tld"), transport: Transport::Udp, question: question("example.local") };
    let again = Scene::found(&["10.78.2.81"]).says("resolver", 1, sent);
    let again = again.hears("tld", 251, "example.local", reply(Meaning::Referral, false), 300);
    assert!(again.check_besides(Trouble::DnsNoAnswer, Some("tld")).what.ends_with("after 250 ms"));
    // It answered both.
    let both = again.answers("tld", 9, "example.local", reply(Meaning::Referral, false), 9);
    let both = both.answers("tld", 251, "example.local", reply(Meaning::Referral, false), 9);
    assert_eq!(both.causes(), []);
    let cut = Scene::found(&["10.78.2.81"]).hears("auth1", 2, NAME, reply(Meaning::Truncated, true), 200);
    let whole = What::ReplyReceived {
        server: server("auth1"),
        transport: Transport::Tcp,
        question: question(NAME),
        reply: addresses(NAME, &["10.78.2.81"]),
        elapsed_us: 900,
    };
    cut.says("resolver", 4, whole).check_besides(Trouble::DnsTruncated, Some("auth1"));
    let ignored = What::RecordsIgnored {
        server: server("auth1"),
        question: question(NAME),
        records: vec!["a. A 6.6.6.6".to_owned()],
    };
    Scene::found(&["10.78.2.81"]).says("resolver", 3, ignored).check_besides(Trouble::OutOfBailiwick, Some("auth1"));
    let pending =
        What::QuerySent { server: server("tld"), transport: Transport::Udp, question: question("example.local") };
    Scene::new()
        .name(
            Told::Abandoned,
            (0, 300),
            Some((Reason::MaxTime, "it did not answer before the time limit of the whole visit")),
        )
        .says("resolver", 2, pending)
        .check(Trouble::DnsNoAnswer, Some("tld"), Sure::Likely);
}

#[test]
fn this_machine_and_its_user() {
    let url = |reason| Scene::new().stage(Did::Url(stage::Url::default()), (0, 0), Some((reason, "it is none")));
    url(Reason::UrlMalformed).check(Trouble::BadUrl, None, Sure::Certain);
    url(Reason::SchemeUnsupported).check(Trouble::BadUrl, None, Sure::Certain);
    let route = Did::Route(stage::Route::default());
    let no_way = Scene::found(&["10.78.2.81"]).stage(route, (5, 5), Some((Reason::Unreachable, "no way")));
    no_way.check(Trouble::ThisMachine, None, Sure::Certain);
    let stopped = Scene::servfail().fails("tld", 9, "example.local", NoUse::NoAnswer, "");
    let Did::Name(name) = stopped.hops[0].stage(StageName::Name).unwrap().did.clone() else { unreachable!() };
    let stopped = stopped.stage(Did::Name(name), (0, 50), Some((Reason::Interrupted, "stopped")));
    let found = stopped.causes();
    assert_eq!(
        found.iter().filter(|cause| cause.broke).map(|cause| cause.trouble).collect::<Vec<_>>(),
        [Trouble::Interrupted]
    );
}

const ENDS: (&str, &str) = ("10.78.1.100:4000", "10.78.2.81:80");
const BACK: (&str, &str) = ("10.78.2.81:80", "10.78.1.100:4000");
const SYN: u8 = 2;
const SYN_ACK: u8 = 0x12;

/// A SYN that came as far as the router, which looks for `app1`.
fn unanswered(more: Vec<crate::capture::Frame>) -> Scene {
    let mut frames = vec![
        arp(5, 0, "you", "10.78.1.100", "10.78.1.1", &["resolver", "router"]),
        tcp(6, 0, "you", ENDS, "10.78.1.1", SYN, 0, &["router"]),
    ];
    frames.extend(more);
    Scene::found(&["10.78.2.81"])
        .connect(&[("10.78.2.81:80", Tried::Timeout)], (5, 900), Some((Reason::Timeout, "it did not answer")))
        .frames(frames)
}

#[test]
fn the_network() {
    let cut =
        unanswered(vec![arp(7, 1, "router", "10.78.2.1", "10.78.2.81", &["root", "tld", "auth1", "auth2", "app2"])]);
    let cause = cut.check(Trouble::LinkDown, Some("app1"), Sure::Certain);
    assert!(cause.what.starts_with("nothing passes on the link of app1 to servers"), "{}", cause.what);
    // The request comes to it, and nothing comes back: that is the host.
    let asked = arp(7, 1, "router", "10.78.2.1", "10.78.2.81", &["root", "app1"]);
    unanswered(vec![asked.clone()]).check(Trouble::SynUnanswered, Some("app1"), Sure::Likely);
    let came = tcp(8, 1, "router", ENDS, "10.78.2.81", SYN, 0, &["app1"]);
    let cause =
        unanswered(vec![asked.clone(), came.clone()]).check(Trouble::SynUnanswered, Some("app1"), Sure::Certain);
    assert!(cause.what.contains("the SYN came to app1"), "{}", cause.what);
    // ARP passes, and SYNs do not.
    let lost = tcp(8, 1, "router", ENDS, "10.78.2.81", SYN, 0, &[]);
    unanswered(vec![asked.clone(), lost.clone()]).check(Trouble::FramesLost, Some("app1"), Sure::Likely);
    // The answer is what got lost.
    let back = tcp(9, 1, "app1", BACK, "10.78.2.1", SYN_ACK, 0, &[]);
    unanswered(vec![asked, came.clone(), back.clone()]).check(Trouble::FramesLost, Some("app1"), Sure::Likely);
    let at_you = Scene::found(&["10.78.2.81"])
        .connect(&[("10.78.2.81:80", Tried::Timeout)], (5, 900), Some((Reason::Timeout, "it did not answer")))
        .frames(vec![arp(5, 0, "you", "10.78.1.100", "10.78.1.1", &[])]);
    at_you.check(Trouble::LinkDown, Some("you"), Sure::Certain);
    // Lost once, and sent again.
    let reached = Scene::connected().frames(vec![
        lost,
        tcp(1_008, 1, "router", ENDS, "10.78.2.81", SYN, 0, &["app1"]),
        tcp(1_009, 1, "app1", BACK, "10.78.2.1", SYN_ACK, 0, &["router"]),
    ]);
    assert!(
        reached.check_besides(Trouble::FramesLost, Some("app1")).what.ends_with("sent again after 1000 ms at most")
    );
    let twice = |n: i64| tcp(n, 1, "router", ENDS, "10.78.2.81", 0x18, 9, &["app1"]);
    let doubled =
        Scene::connected().frames(vec![tcp(6, 0, "you", ENDS, "10.78.1.1", 0x18, 9, &["router"]), twice(7), twice(8)]);
    doubled.check_besides(Trouble::FramesDoubled, Some("you"));
    let late = Scene::connected().frames(vec![
        tcp(6, 1, "router", ENDS, "10.78.2.81", SYN, 0, &["app1"]),
        tcp(66, 1, "app1", BACK, "10.78.2.1", SYN_ACK, 0, &["router"]),
        tcp(126, 0, "router", BACK, "10.78.1.100", SYN_ACK, 0, &["you"]),
    ]);
    late.check_besides(Trouble::FramesLate, Some("app1"));
}

#[test]
fn what_was_set_is_not_looked_at() {
    let hint = |scene: &Scene, word: &str| {
        let mut scene = scene.clone();
        scene.place = Place::EmbeddedLab {
            ready_us: 1,
            hosts: 7,
            network: LabNetwork::Wire { segments: Vec::new(), faults: vec![word.to_owned()] },
        };
        if let Captured::Frames(capture) = &mut scene.capture {
            for frame in &mut capture.frames {
                match &mut frame.fate {
                    Fate::Dropped { why } => *why = word.to_owned(),
                    Fate::Passed { altered, .. } => *altered = (!word.is_empty()).then(|| word.to_owned()),
                    Fate::Seen => {}
                }
            }
        }
        scene.causes()
    };
    let scene = unanswered(vec![
        arp(7, 1, "router", "10.78.2.1", "10.78.2.81", &["app1"]),
        tcp(8, 1, "router", ENDS, "10.78.2.81", SYN, 0, &[]),
    ]);
    assert_eq!(hint(&scene, ""), hint(&scene, "wire:cut-link,at=auth1"));
    assert!(fate(&[]) != fate(&["you"]));
}

/// Numbers that look random, the same each time (Knuth, TAOCP 3.3.4).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

#[test]
fn whatever_is_missing_something_sound_is_said() {
    let circle = aliases(&[(NAME, "b.example.local"), ("b.example.local", NAME)]);
    let whole = Scene::servfail()
        .answers("root", 2, "local", referral("local", "ns.local", "10.78.2.20"), 9)
        .answers("tld", 3, "example.local", referral("example.local", "ns1.example.local", "10.78.2.99"), 9)
        .hears("tld", 3, "example.local", referral("example.local", "ns1.example.local", "10.78.2.99"), 9)
        .fails("10.78.2.99", 5, NAME, NoUse::Unreachable, "")
        .fails("auth1", 6, NAME, NoUse::LeadsBack, "")
        .hears("auth1", 6, NAME, referral("example.local", "ns1.example.local", "10.78.2.31"), 500_000)
        .answers("auth2", 7, NAME, circle, 9)
        .answers("auth1", 7, NAME, reply(Meaning::NoSuchName, true), 9)
        .resolver_answers(reply(Meaning::ServerFailure, false), true)
        .says("app1", 9, written(9));
    let reasons = [
        Reason::ServerFailure,
        Reason::Timeout,
        Reason::MaxTime,
        Reason::BadReply,
        Reason::NoSuchName,
        Reason::NoAddress,
        Reason::ResolverDown,
        Reason::NoResolver,
        Reason::QueryRefused,
        Reason::Interrupted,
        Reason::Reset,
        Reason::NotTls,
        Reason::TooManyRedirects,
        Reason::ConnectFailed,
        Reason::Unreachable,
        Reason::EmptyReply,
        Reason::HttpStatus,
    ];
    let mut chance = Chance(5);
    for _ in 0..500 {
        let mut scene = whole.clone();
        let all: Vec<Event> = std::mem::take(&mut scene.events);
        scene.events = all.into_iter().filter(|_| chance.below(4) > 0).collect();
        for event in scene.events.iter_mut().filter(|event| event.host != crate::chronicle::YOU) {
            // Of hosts with clocks of their own only the order is known.
            event.at_us = event.at_us.filter(|_| chance.below(3) > 0);
        }
        scene.observers.retain(|_| chance.below(4) > 0);
        let stage = scene.hops[0].stages[chance.below(StageName::ALL.len())].did.clone();
        let reason = reasons[chance.below(reasons.len())];
        if chance.below(3) > 0 {
            scene.hops[0].stages[1].state = crate::StageState::Done;
            scene.hops[0].stages[1].failure = None;
            scene = scene.stage(stage, (50, 900), Some((reason, "it did not")));
        } else if let Some(failure) = &mut scene.hops[0].stages[1].failure {
            failure.reason = reason;
        }
        if chance.below(4) == 0 {
            scene = scene.on_the_internet();
        }
        if chance.below(3) == 0 {
            scene = scene.frames(vec![
                arp(7, 1, "resolver", "10.78.1.53", "10.78.1.1", &[]),
                arp(8, 0, "you", "10.78.1.100", "10.78.1.53", &["router"]),
            ]);
        }
        scene.causes();
    }
}
