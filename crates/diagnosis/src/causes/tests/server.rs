//! Troubles of the connection, of the server, and of this machine.

use super::scene::{NAME, Scene, addresses, at, question, reply, server};
use journey::{
    NoUse, Reason, StageName, Sure, Trouble, What,
    dns::{Meaning, Transport},
    stage::{self, CertificateFault, Did, FaultKind, QueryResult, Receive, Tried, Wait},
};

use crate::verdict::judge;

const PEER: &str = "10.78.1.100:4000";

#[test]
fn connections() {
    let check = |result: Tried, reason: Reason, trouble: Trouble, sure: Sure| {
        let scene =
            Scene::found(&["10.78.2.81"]).connect(&[("10.78.2.81:80", result)], (5, 900), Some((reason, "it failed")));
        scene.check(trouble, Some("app1"), sure)
    };
    check(Tried::Refused, Reason::ConnectionRefused, Trouble::NothingListens, Sure::Certain);
    let elsewhere = Scene::found(&["10.78.2.81"])
        .connect(&[("10.78.2.81:80", Tried::Refused)], (5, 900), Some((Reason::ConnectionRefused, "it failed")))
        .on_the_internet();
    let cause = elsewhere.check(Trouble::NothingListens, Some("10.78.2.81"), Sure::Likely);
    assert!(cause.what.contains("refuses (RST)") && cause.would_tell.is_some(), "{cause:?}");
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
    let silent = overtaken.check_besides(Trouble::SynUnanswered, Some("app2"));
    assert!(silent.what.contains("wait more than two minutes"), "{}", silent.what);
    // The other family is tried beside it by all.
    let other_family = Scene::found(&["10.78.2.81"]).connect(
        &[("[fd10::82]:80", Tried::Abandoned), ("10.78.2.81:80", Tried::Connected)],
        (5, 300),
        None,
    );
    let silent = other_family.check_besides(Trouble::SynUnanswered, Some("fd10::82"));
    assert!(!silent.what.contains("two minutes"), "{}", silent.what);
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
    let cause = wait(Reason::Timeout).check(Trouble::Silent, Some("app1"), Sure::Likely);
    assert!(cause.would_tell.is_some_and(|tell| tell.contains("--packets")));
    let took = What::ConnectionAccepted { peer: at(PEER), local: at("10.78.2.81:80") };
    let took = wait(Reason::Timeout).says("app1", 7, took);
    took.check(Trouble::Silent, Some("app1"), Sure::Certain);
    // Who does not tell all may have answered.
    took.silent("app1").check(Trouble::Silent, Some("app1"), Sure::Likely);
    wait(Reason::EmptyReply).check(Trouble::EmptyReply, Some("app1"), Sure::Certain);
    wait(Reason::Reset).check(Trouble::Reset, Some("app1"), Sure::Certain);
    let read = What::RequestRead { peer: at(PEER), method: "GET".to_owned(), target: "/".to_owned(), bytes: 9 };
    for reason in [Reason::Timeout, Reason::MaxTime] {
        wait(reason).says("app1", 7, read.clone()).check(Trouble::SlowFirstByte, Some("app1"), Sure::Certain);
        // It wrote its answer in time, and none came.
        let answered = wait(reason).says("app1", 7, read.clone()).says("app1", 8, written(900));
        let cause = answered.check(Trouble::Silent, Some("app1"), Sure::Likely);
        assert!(cause.what.contains("reports an answer that did not come"), "{}", cause.what);
        let full = wait(reason).queue("app1", "10.78.2.81:80", 3, 2);
        full.check(Trouble::AcceptQueueFull, Some("app1"), Sure::Certain);
        let waits = wait(reason).queue("app1", "10.78.2.81:80", 1, 2);
        assert!(waits.check(Trouble::Silent, Some("app1"), Sure::Likely).what.contains("nobody takes any"));
        // Another socket's queue, of a host that has one for this address alone.
        let mut other = wait(reason).queue("app1", "0.0.0.0:80", 3, 2);
        other.check(Trouble::AcceptQueueFull, Some("app1"), Sure::Certain);
        let own = journey::report::AcceptQueue { address: at("10.78.2.81:80"), waiting: 0, limit: 2 };
        for observer in &mut other.observers {
            if let journey::HostReport::Reported { queues, .. } = &mut observer.said
                && !queues.is_empty()
            {
                queues.push(own.clone());
            }
        }
        assert!(other.causes().iter().all(|cause| !cause.what.contains("queue")), "{:#?}", other.causes());
    }
    let tls = ended(Did::Tls(Box::default()), (6, 9), Reason::Timeout).queue("app1", "10.78.2.81:80", 1, 2);
    assert!(!tls.check(Trouble::Silent, Some("app1"), Sure::Likely).what.contains("queue"));
    // Without a time it may be of the request before.
    let mut later = wait(Reason::Timeout).says("app1", 7, read.clone());
    later.events.last_mut().unwrap().at_us = None;
    later.hops.insert(0, later.hops[0].clone());
    later.check(Trouble::SlowFirstByte, Some("app1"), Sure::Possible);
    wait(Reason::MaxTime).check(Trouble::SlowFirstByte, Some("app1"), Sure::Possible);
    let receiving = |reason, bytes| ended(receive(bytes), (6, 900), reason);
    receiving(Reason::BodyCut, 100).check(Trouble::CutShort, Some("app1"), Sure::Certain);
    receiving(Reason::Reset, 100).check(Trouble::Reset, Some("app1"), Sure::Certain);
    receiving(Reason::MalformedResponse, 0).check(Trouble::BadResponse, Some("app1"), Sure::Certain);
    receiving(Reason::BrokenChunks, 9).check(Trouble::BadResponse, Some("app1"), Sure::Certain);
    receiving(Reason::BadTransferCoding, 0).check(Trouble::BadContent, Some("app1"), Sure::Certain);
    let foreign = ended(Did::Receive(Box::default()), (6, 900), Reason::MalformedResponse);
    foreign.check(Trouble::NotHttp, Some("app1"), Sure::Certain);
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
    let found = || Scene::new().name(QueryResult::Reply { reply: addresses(NAME, &["10.78.2.81"]) }, (0, 600), None);
    let slow = found().hears("tld", 5, "example.local", reply(Meaning::Referral, false), 500_000);
    assert_eq!(slow.check_besides(Trouble::DnsSlow, Some("tld")).sure, Sure::Likely);
    let slow = slow.answers("tld", 5, "example.local", reply(Meaning::Referral, false), 499_000);
    assert_eq!(slow.check_besides(Trouble::DnsSlow, Some("tld")).sure, Sure::Certain);
    let own = found().answers("resolver", 1, NAME, addresses(NAME, &["10.78.2.81"]), 590_000);
    assert_eq!(own.check_besides(Trouble::DnsSlow, Some("resolver")).sure, Sure::Certain);
    // It waited for another that left its first question unanswered.
    let first =
        What::QuerySent { server: server("tld"), transport: Transport::Udp, question: question("example.local") };
    let waited =
        own.says("resolver", 2, first).hears("tld", 560, "example.local", reply(Meaning::Referral, false), 300);
    waited.check_besides(Trouble::DnsNoAnswer, Some("tld"));
    assert!(waited.causes().iter().all(|cause| cause.trouble != Trouble::DnsSlow));
    let status = Receive { status: Some(503), content_bytes: Some(9), ..Receive::default() };
    let mut status = Scene::connected().stage(Did::Receive(Box::new(status)), (6, 9), None);
    status.check_besides(Trouble::HttpStatus, Some("app1"));
    status.fail = true;
    let events = journey::chronicle::in_order(status.events.clone());
    let case = crate::verdict::Facts {
        hops: &status.hops,
        events: &events,
        hosts: &status.hosts,
        place: &status.place,
        observers: &status.observers,
        capture: &status.capture,
        walk: None,
        run_delays: &[],
        fail_on_status: true,
        again: &[],
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
        // Of silence nobody knows whose it is.
        let sure = if trouble == Trouble::Silent { Sure::Likely } else { Sure::Certain };
        ended(Did::Tls(Box::default()), (6, 9), reason).check(trouble, Some("app1"), sure);
    }
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

#[test]
fn advice_fits_the_trouble() {
    let silent = || {
        let failed = Some((Reason::Timeout, "it failed"));
        Scene::found(&["10.78.2.81"]).connect(&[("10.78.2.81:80", Tried::Timeout)], (5, 900), failed)
    };
    assert!(silent().next().contains("a firewall on the way"), "{}", silent().next());
    let full = silent().queue("app1", "10.78.2.81:80", 3, 2).next();
    assert!(full.contains("the server program on app1 does not accept connections"), "{full}");
    assert!(!full.contains("firewall") && !full.contains("route"), "{full}");
    let refused = |faults: &[FaultKind]| {
        let fault = |kind: &FaultKind| CertificateFault { kind: *kind, certificate: Some(0), what: String::new() };
        let tls = stage::Tls { faults: faults.iter().map(fault).collect(), ..stage::Tls::default() };
        ended(Did::Tls(Box::new(tls)), (6, 9), Reason::CertificateUntrusted).next()
    };
    assert!(refused(&[FaultKind::MissingIssuer]).contains("send its intermediate certificates too"));
    assert!(refused(&[FaultKind::UntrustedRoot]).contains("--cacert FILE"));
    assert!(refused(&[FaultKind::SelfSigned]).contains("--cacert FILE"));
    // Trusting one that is a CA's would not help.
    let own = refused(&[FaultKind::SelfSigned, FaultKind::CaAsServer]);
    assert!(own.contains("CA:FALSE") && !own.contains("--cacert"), "{own}");
    let wanted = stage::Tls { client_certificate_requested: true, ..stage::Tls::default() };
    let wanted = ended(Did::Tls(Box::new(wanted)), (6, 9), Reason::TlsFailed).next();
    assert!(wanted.contains("client certificate"), "{wanted}");
}
