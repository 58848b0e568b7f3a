//! Troubles of the name.

use super::scene::{NAME, Scene, addresses, aliases, arp, at, question, record, referral, reply, server};
use journey::{
    NoUse, Place, Reason, StageName, Sure, Trouble, What,
    dns::{Edns, ExtendedError, Meaning, Reply, Transport},
    root_walk::{Asked, End, Finding, Group, Learned, RootWalk, Search, Server, ServerAnswer, Servers, Zone},
    stage::{self, Did, Exchange, QueryResult, Tried},
};

const PEER: &str = "10.78.1.100:4000";

#[test]
fn what_servers_do_to_the_resolver() {
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

#[test]
fn a_server_that_is_silent_says_more_itself() {
    let failed = || Scene::servfail().fails("tld", 10, "example.local", NoUse::NoAnswer, "");
    let peer = at("10.78.1.53:5000");
    let read = What::QueryReceived { peer, transport: Transport::Udp, question: question("example.local") };
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
        // The root serves its own zone, so it is the delegation that is wrong.
        let cause = lame.check(Trouble::LameDelegation, Some("auth1"), Sure::Certain);
        let words = "auth1 delegates lame.example.local to ns.lame.example.local, which is root (10.78.2.10) and does not \
                     serve it: it refers to local instead. The record is lame.example.local NS ns.lame.example.local";
        assert_eq!(cause.what, words);
    }
    // A server that refers to the root misses the zone.
    let upward = delegated("10.78.2.31").hears("auth1", 9, of, referral(".", "a.root", "10.78.2.10"), 500_000);
    let upward = name(upward.fails("auth1", 9, of, NoUse::Lame, ""));
    let cause = upward.check(Trouble::LameDelegation, Some("auth1"), Sure::Certain);
    assert!(cause.what.contains("which auth1 delegates to it: it refers to the root instead"), "{}", cause.what);
    let back = delegated("10.78.2.10")
        .hears("root", 9, of, referral(zone, "ns.lame.example.local", "10.78.2.10"), 500_000)
        .fails("root", 9, of, NoUse::LeadsBack, "");
    name(back).check(Trouble::DelegationLoop, Some("root"), Sure::Certain);
    // At an address that cannot be reached and that the lab's description does not have, the delegation is dead.
    let unreachable = || name(delegated("10.78.2.99").fails("10.78.2.99", 9, of, NoUse::Unreachable, ""));
    let cause = unreachable().check(Trouble::DeadDelegation, Some("auth1"), Sure::Certain);
    let words =
        "auth1 delegates lame.example.local to ns.lame.example.local at 10.78.2.99, an address that no host has";
    assert!(cause.what.contains(words), "{}", cause.what);
    // Of one that is only silent it is not known that nobody is there.
    let silent = || name(delegated("10.78.2.99").fails("10.78.2.99", 9, of, NoUse::NoAnswer, ""));
    let cause = silent().check(Trouble::DeadDelegation, Some("auth1"), Sure::Likely);
    assert!(cause.what.contains("the lab's description has no host") && cause.would_tell.is_some(), "{cause:?}");
    // On the wire it was looked for, and nobody answered to it.
    let looked_for = silent().frames(vec![arp(9, 1, "router", "10.78.2.1", "10.78.2.99", &["root", "tld"])]);
    let cause = looked_for.check(Trouble::DeadDelegation, Some("auth1"), Sure::Certain);
    assert!(cause.what.contains(words), "{}", cause.what);
    name(delegated("10.78.2.10").fails("root", 9, of, NoUse::NoAnswer, "")).check(
        Trouble::DnsNoAnswer,
        Some("root"),
        Sure::Likely,
    );
    // Nobody told of the delegation.
    let alone = name(Scene::servfail().fails("10.78.2.99", 9, of, NoUse::Unreachable, ""));
    alone.check(Trouble::DnsUnreachable, Some("10.78.2.99"), Sure::Certain);
    // It answers the walk, after longer than the resolver waits: it is slow, and the delegation to it is right.
    let mut slow = silent();
    slow.walk = Some(walked_at("10.78.2.99", 900_000, addresses(of, &["10.78.2.81"])));
    let cause = slow.check(Trouble::DnsSlow, Some("10.78.2.99"), Sure::Certain);
    assert!(cause.what.contains("it answered this machine's walk after 900 ms"), "{}", cause.what);
    let causes = slow.causes();
    assert!(causes.iter().all(|cause| cause.trouble != Trouble::DeadDelegation), "{causes:#?}");
    // The same where it was quick to answer: whatever kept it from the resolver, there is somebody.
    slow.walk = Some(walked_at("10.78.2.99", 900, addresses(of, &["10.78.2.81"])));
    let causes = slow.causes();
    assert!(causes.iter().all(|cause| cause.trouble != Trouble::DeadDelegation), "{causes:#?}");
}

/// A walk in which this server answered after so long.
fn walked_at(ip: &str, duration_us: u64, reply: Reply) -> RootWalk {
    let mut walk = walked(End::Answer, &["10.78.2.81"], Vec::new());
    let server = server(ip);
    let exchange = Exchange {
        question: question("www.lame.example.local"),
        id: 7,
        transport: Transport::Udp,
        server,
        via: None,
        local: None,
        start_us: 0,
        duration_us,
        sent_us: Some(0),
        sent_bytes: 40,
        opt: stage::Opt::Full,
        opening: None,
        tls: None,
        result: QueryResult::Reply { reply },
    };
    let asked = Asked {
        address: server,
        host: None,
        learned: Learned::Glue { zone: "example.local.".to_owned() },
        exchanges: vec![exchange],
        said: Some(ServerAnswer::Answer { addresses: Vec::new() }),
        name_servers: None,
        serial: None,
        own_addresses: Vec::new(),
    };
    walk.searches[0].zones.push(Zone {
        zone: "lame.example.local.".to_owned(),
        asked: "www.lame.example.local.".to_owned(),
        referred_by: Some("example.local.".to_owned()),
        known: false,
        servers: vec![Server { name: None, addresses: vec![asked], note: None }],
    });
    walk
}

#[test]
fn what_a_report_that_lost_events_does_not_tell_is_not_certain() {
    let read = What::QueryReceived {
        peer: at("10.78.1.53:5000"),
        transport: Transport::Udp,
        question: question("example.local"),
    };
    let mut scene = Scene::servfail().fails("tld", 10, "example.local", NoUse::NoAnswer, "").says("tld", 10, read);
    for observer in scene.observers.iter_mut().filter(|observer| observer.host == "tld") {
        observer.said =
            journey::HostReport::Reported { events: 1, same_clock: true, overwritten: 1, queues: Vec::new() };
    }
    scene.check(Trouble::DnsNoAnswer, Some("tld"), Sure::Likely);
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
    let told = QueryResult::Reply { reply: circle };
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
        let told = QueryResult::Reply { reply: with_ede(22, "ns1.example.com 192.0.2.1: no answer") };
        Scene::new().name(
            told,
            (0, 9),
            Some((Reason::ServerFailure, "no answer for it: ns1.example.com 192.0.2.1: no answer")),
        )
    };
    let cause = failed().on_the_internet().check(Trouble::DnsServerFailure, Some("10.78.1.53"), Sure::Possible);
    assert!(cause.would_tell.is_some_and(|tell| tell.contains("visit --walk=all")));
    assert!(cause.what.contains("192.0.2.1: no answer"));
    // A lab that begins anew with every command is told its faults again.
    let mut again = failed().on_the_internet();
    again.again = ["--fault", "tld:drop"].map(str::to_owned).to_vec();
    let cause = again.check(Trouble::DnsServerFailure, Some("10.78.1.53"), Sure::Possible);
    assert!(cause.would_tell.is_some_and(|tell| tell.contains("visit --fault tld:drop --walk=all")));
    // Who has walked is not told to walk.
    let mut after = failed().on_the_internet();
    after.walk = Some(walked(End::NoData, &[], Vec::new()));
    let cause = after.check(Trouble::DnsServerFailure, Some("10.78.1.53"), Sure::Possible);
    assert_eq!(cause.would_tell, None);
    // In the lab it says itself whether it asked anybody.
    let own = failed().resolver_answers(reply(Meaning::ServerFailure, false), false);
    own.check(Trouble::DnsServerFailure, Some("resolver"), Sure::Certain);
    let cached = failed().resolver_answers(reply(Meaning::ServerFailure, false), true);
    assert!(cached.check(Trouble::DnsServerFailure, Some("resolver"), Sure::Certain).what.contains("remembers"));
    // Another client had it look the name up already, and what that met is not told here.
    let along = own.says("resolver", 1, What::WentAlong { question: question(NAME) });
    let cause = along.check(Trouble::DnsServerFailure, Some("resolver"), Sure::Possible);
    assert!(cause.what.contains("under way already") && cause.would_tell.is_some(), "{cause:?}");
}

#[test]
fn the_resolver_itself() {
    let check = |told: QueryResult, reason: Reason, trouble: Trouble, sure: Sure| {
        let scene = Scene::new().name(told, (0, 9), Some((reason, "10.78.1.53:53 did not do it")));
        let cause = scene.check(trouble, Some("resolver"), sure);
        let is_named = cause.what.starts_with("resolver (10.78.1.53:53) ") || trouble == Trouble::NoRecursion;
        assert!(is_named, "{}", cause.what);
    };
    let bad = |why: &str, failure| QueryResult::BadReply { why: why.to_owned(), failure };
    check(QueryResult::NothingListens, Reason::ResolverDown, Trouble::DnsNothingListens, Sure::Certain);
    check(QueryResult::Timeout, Reason::Timeout, Trouble::DnsNoAnswer, Sure::Likely);
    check(bad("its id 7 is of no query sent", NoUse::WrongId), Reason::BadReply, Trouble::DnsWrongId, Sure::Certain);
    check(
        bad("it is a query and not a reply", NoUse::NotAResponse),
        Reason::BadReply,
        Trouble::DnsNotAResponse,
        Sure::Certain,
    );
    check(
        bad("5 bytes are no DNS message: x", NoUse::Malformed),
        Reason::BadReply,
        Trouble::DnsMalformed,
        Sure::Certain,
    );
    let failed = QueryResult::Failed { why: "no route to that network".to_owned(), failure: NoUse::Other };
    check(failed, Reason::ResolverDown, Trouble::DnsUnreachable, Sure::Certain);
    let said = |meaning| QueryResult::Reply { reply: reply(meaning, false) };
    check(said(Meaning::Refused), Reason::QueryRefused, Trouble::DnsRefused, Sure::Certain);
    check(said(Meaning::Other), Reason::BadReply, Trouble::DnsError, Sure::Certain);
    check(said(Meaning::Referral), Reason::NoRecursion, Trouble::NoRecursion, Sure::Certain);
    // It read the question, and sent nothing.
    let read = What::QueryReceived { peer: at(PEER), transport: Transport::Udp, question: question(NAME) };
    Scene::new()
        .name(QueryResult::Timeout, (0, 9), Some((Reason::Timeout, "it did not answer")))
        .says("resolver", 1, read)
        .check(Trouble::DnsNoAnswer, Some("resolver"), Sure::Certain);
    let again = vec![QueryResult::Timeout, QueryResult::Reply { reply: addresses(NAME, &["10.78.2.81"]) }];
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
            QueryResult::Reply { reply: reply(Meaning::NoSuchName, false) },
            (0, 9),
            Some((Reason::NoSuchName, what)),
        )
    };
    let cause =
        no().answers("auth1", 5, NAME, soa.clone(), 90).check(Trouble::NoSuchName, Some("auth1"), Sure::Certain);
    assert_eq!(cause.what, "there is no name www.example.local, says auth1, the authority of example.local");
    let of_root = Reply { authority: vec![record("", "SOA", "a. h. 1 2 3 4 5")], ..soa.clone() };
    let cause = no().answers("root", 5, NAME, of_root, 90).check(Trouble::NoSuchName, Some("root"), Sure::Certain);
    assert!(cause.what.ends_with("says root, the authority of the root"), "{}", cause.what);
    // Of a name above it as well (RFC 8020).
    no().answers("tld", 5, "example.local", soa.clone(), 90).check(Trouble::NoSuchName, Some("tld"), Sure::Certain);
    no().hears("auth1", 5, NAME, soa.clone(), 90).check(Trouble::NoSuchName, Some("auth1"), Sure::Likely);
    // An authority that another one of its zone contradicts.
    let group = |ip: &str, says: &str| Group {
        says: vec![says.to_owned()],
        servers: vec![std::net::SocketAddr::new(ip.parse().unwrap(), 53)],
    };
    let mut differs = no().answers("auth1", 5, NAME, soa.clone(), 90);
    differs.walk = Some(walked(
        End::NoSuchName,
        &[],
        vec![Finding::Answers {
            zone: "example.local.".to_owned(),
            name: format!("{NAME}."),
            groups: vec![group("10.78.2.31", "no such name"), group("10.78.2.32", "10.78.2.81")],
        }],
    ));
    let cause = differs.check(Trouble::NoSuchName, Some("auth1"), Sure::Likely);
    assert!(cause.what.ends_with("; auth2 answers otherwise, as the walk found"), "{}", cause.what);
    let cached = no().resolver_answers(reply(Meaning::NoSuchName, false), true);
    assert!(
        cached
            .check(Trouble::NoSuchName, Some("resolver"), Sure::Likely)
            .what
            .contains("in its cache for another 200 s")
    );
    let made_up = no().resolver_answers(reply(Meaning::NoSuchName, false), false);
    made_up.check(Trouble::ResolverContradicts, Some("resolver"), Sure::Certain);
    let along = made_up.clone().says("resolver", 1, What::WentAlong { question: question(NAME) });
    along.check(Trouble::NoSuchName, Some("resolver"), Sure::Likely);
    // The authority said otherwise.
    no().answers("auth1", 5, NAME, addresses(NAME, &["10.78.2.81"]), 90)
        .hears("auth1", 5, NAME, addresses(NAME, &["10.78.2.81"]), 90)
        .check(Trouble::ResolverContradicts, Some("resolver"), Sure::Certain);
    no().on_the_internet().check(Trouble::NoSuchName, Some("10.78.1.53"), Sure::Likely);
    // Nobody can be told to have made it up who does not tell all.
    made_up.silent("resolver").check(Trouble::NoSuchName, Some("resolver"), Sure::Likely);
    let none = Reply { authority: soa.authority, ..reply(Meaning::NoData, true) };
    Scene::new()
        .name(QueryResult::Reply { reply: none.clone() }, (0, 9), Some((Reason::NoAddress, "it has no address")))
        .answers("auth2", 5, NAME, none, 90)
        .check(Trouble::NoAddress, Some("auth2"), Sure::Certain);
    let two = Scene::found(&["10.78.2.81"]).answers("auth1", 5, NAME, reply(Meaning::NoSuchName, true), 90);
    two.check_besides(Trouble::NoSuchName, Some("auth1"));
}

fn walked(end: End, ips: &[&str], findings: Vec<Finding>) -> RootWalk {
    let address = |ip: &&str| stage::Address { ip: ip.parse().unwrap(), ttl: Some(300), host: None };
    let found: Vec<stage::Address> = ips.iter().map(address).collect();
    let asked = Asked {
        address: server("auth1"),
        host: Some("auth1".to_owned()),
        learned: Learned::Glue { zone: "local.".to_owned() },
        exchanges: Vec::new(),
        said: Some(ServerAnswer::Answer { addresses: found.clone() }),
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
    RootWalk {
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
    let events = journey::chronicle::in_order(stale.events.clone());
    let case = crate::verdict::Facts {
        hops: &stale.hops,
        events: &events,
        hosts: &stale.hosts,
        place: &stale.place,
        observers: &stale.observers,
        capture: &stale.capture,
        walk: None,
        run_delays: &[],
        fail_on_status: false,
        again: &[],
    };
    assert!(crate::causes::doubt(&case).is_some_and(|why| why.contains("from its cache")));
    assert_eq!(crate::causes::doubt(&crate::verdict::Facts { place: &Place::Internet, ..case }), None);
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
    elsewhere.check(Trouble::NothingListens, Some("10.78.2.82"), Sure::Likely);
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
            QueryResult::Abandoned,
            (0, 300),
            Some((Reason::MaxTime, "it did not answer before the time limit of the whole visit")),
        )
        .says("resolver", 2, pending)
        .check(Trouble::DnsNoAnswer, Some("tld"), Sure::Likely);
}

/// A visit that was sent on to this name at 1000 ms, after what a scene tells.
fn sent_on(scene: Scene, told: QueryResult, failed: Option<(Reason, &str)>) -> Scene {
    let mut after = Scene::new().name(told, (1_000, 1_050), failed);
    after.hops.insert(0, scene.hops[0].clone());
    after.events = scene.events;
    after
        .events
        .extend(journey::chronicle::own(&after.hops).into_iter().filter(|event| event.at_us >= Some(1_000_000)));
    after
}

#[test]
fn what_an_earlier_request_met_is_not_of_this_one() {
    let failed = || {
        let told = QueryResult::Reply { reply: reply(Meaning::ServerFailure, false) };
        (told, Some((Reason::ServerFailure, "it could not get an answer")))
    };
    let on = |scene: Scene| {
        let (told, why) = failed();
        sent_on(scene, told, why)
    };
    // Then it answered, and now it does not.
    let before = Scene::found(&["10.78.2.81"]).hears("auth1", 2, NAME, addresses(NAME, &["10.78.2.81"]), 300).answers(
        "auth1",
        2,
        NAME,
        addresses(NAME, &["10.78.2.81"]),
        100,
    );
    let silent = on(before.clone()).fails("auth1", 1_040, NAME, NoUse::NoAnswer, "");
    let cause = silent.check(Trouble::DnsNoAnswer, Some("auth1"), Sure::Likely);
    assert!(cause.what.contains("reports no such question"), "{}", cause.what);
    // A question of this request that has no answer, where one of the first had one.
    let again = What::QuerySent { server: server("auth1"), transport: Transport::Udp, question: question(NAME) };
    let pending = on(before.clone()).says("resolver", 1_010, again);
    pending.check(Trouble::DnsNoAnswer, Some("auth1"), Sure::Likely);
    // Asked once in each is not asked again.
    let told = || QueryResult::Reply { reply: addresses(NAME, &["10.78.2.81"]) };
    let twice = sent_on(before.clone(), told(), None).hears("auth1", 1_010, NAME, addresses(NAME, &["10.78.2.81"]), 9);
    assert_eq!(twice.causes(), []);
    // One half of a circle then, and the other now.
    let half =
        |scene: Scene, at: i64, from: &str, to: &str| scene.answers("auth2", at, from, aliases(&[(from, to)]), 9);
    let circle = |at: i64| {
        let scene = half(before.clone(), at, "b.example.local", NAME);
        let scene = on(scene);
        half(scene, 1_020, NAME, "b.example.local")
    };
    assert!(circle(3).causes().iter().all(|cause| cause.trouble != Trouble::AliasLoop));
    circle(1_030).check(Trouble::AliasLoop, Some("auth2"), Sure::Likely);
}

#[test]
fn an_answer_of_another_type_in_the_cache_is_not_the_one_contradicted() {
    let hit = What::CacheHit {
        question: journey::dns::Question { rtype: "AAAA".to_owned(), ..question(NAME) },
        age_s: Some(9),
        remaining_ttl_s: 200,
    };
    let failed = Some((Reason::ConnectionRefused, "nothing listens"));
    Scene::found(&["10.78.2.82"])
        .connect(&[("10.78.2.82:80", Tried::Refused)], (5, 6), failed)
        .says("resolver", 1, hit.clone())
        .answers("auth2", 2, NAME, addresses(NAME, &["10.78.2.81"]), 9)
        .hears("auth2", 2, NAME, addresses(NAME, &["10.78.2.81"]), 9)
        .check(Trouble::ResolverContradicts, Some("resolver"), Sure::Certain);
    let no = QueryResult::Reply { reply: reply(Meaning::NoSuchName, false) };
    let no =
        Scene::new().name(no, (0, 9), Some((Reason::NoSuchName, "there is no such name"))).says("resolver", 1, hit);
    assert!(!no.check(Trouble::NoSuchName, Some("resolver"), Sure::Likely).what.contains("cache"));
}
