//! Who is blamed where threads of this machine waited for a processor.

use super::scene::{NAME, Scene, at, reply};
use journey::{
    NoUse, Reason, Sure, Trouble, What,
    stage::{Did, Wait},
};

use crate::verdict::judge;

/// The resolver had no answer from `root`, three times half a second long.
fn silent_root() -> Scene {
    let what = "10.78.1.53:53 could not get an answer for www.example.local";
    let told = journey::stage::QueryResult::Reply { reply: reply(journey::dns::Meaning::ServerFailure, false) };
    Scene::new().name(told, (0, 1_500), Some((Reason::ServerFailure, what))).fails(
        "root",
        500,
        NAME,
        NoUse::NoAnswer,
        "",
    )
}

#[test]
fn a_missing_answer_is_not_blamed_on_a_host_that_could_not_run() {
    silent_root().check(Trouble::DnsNoAnswer, Some("root"), Sure::Likely);
    let check = |of: &str, ms: u64, is_busy: bool| {
        let causes = silent_root().waited(of, ms).causes();
        let found = (causes[0].trouble, causes[0].host.as_deref(), causes[0].broke);
        let expected =
            if is_busy { (Trouble::MachineBusy, None, true) } else { (Trouble::DnsNoAnswer, Some("root"), true) };
        assert_eq!(found, expected, "{of} {ms}: {causes:#?}");
        assert!(!is_busy || causes.iter().all(|cause| cause.host.is_none()), "{causes:#?}");
    };
    // Who should have answered, who asked, and this client.
    check("root", 800, true);
    check("resolver", 800, true);
    check("you", 800, true);
    check("switch", 800, true);
    // Less than half of the time was lost; and others have no part in it.
    check("root", 700, false);
    check("app1", 5_000, false);
    check("auth1", 5_000, false);
}

#[test]
fn an_authority_that_answers_servfail_was_not_late() {
    let what = "10.78.1.53:53 could not get an answer for www.example.local";
    let told = journey::stage::QueryResult::Reply { reply: reply(journey::dns::Meaning::ServerFailure, false) };
    let scene = Scene::new().name(told, (0, 100), Some((Reason::ServerFailure, what)));
    let refused = scene.fails("root", 50, NAME, NoUse::ServerFailure, "");
    refused.waited("root", 60).waited("resolver", 70).check(Trouble::DnsServerFailure, Some("root"), Sure::Certain);
}

#[test]
fn what_several_threads_waited_counts_together() {
    let causes = silent_root().waited("root", 400).waited("resolver", 400).causes();
    assert_eq!(causes[0].trouble, Trouble::MachineBusy, "{causes:#?}");
    assert!(causes[0].what.contains("root 400 ms and resolver 400 ms"), "{}", causes[0].what);
}

#[test]
fn what_was_seen_stays_certain_unless_the_host_itself_waited() {
    let written =
        What::ResponseWritten { peer: at("10.78.1.100:4000"), status: Some(200), bytes: 9, elapsed_us: 390_000 };
    let late =
        || Scene::connected().stage(Did::Wait(Wait::default()), (10, 410), None).says("app1", 405, written.clone());
    late().waited("you", 300).check(Trouble::SlowFirstByte, Some("app1"), Sure::Certain);
    late().waited("switch", 300).check(Trouble::SlowFirstByte, Some("app1"), Sure::Certain);
    late().waited("app1", 300).check(Trouble::MachineBusy, None, Sure::Certain);
    // That an address is unknown is concluded from an ARP request that nobody answered in time.
    let what = "10.78.1.53:53 over udp cannot be asked: nobody on the way knows that address (host unreachable)";
    let failure = NoUse::Unreachable;
    let told = journey::stage::QueryResult::Failed { why: "nobody on the way knows that address".to_owned(), failure };
    let unknown = Scene::new().name(told, (0, 3_000), Some((Reason::ResolverDown, what)));
    unknown.check(Trouble::DnsUnreachable, Some("resolver"), Sure::Certain);
    unknown.waited("you", 1_200).waited("switch", 400).check(Trouble::MachineBusy, None, Sure::Certain);
    // A connection that was closed was not slow.
    let what = "10.78.1.53:53 closed the connection without an answer";
    let failure = NoUse::HungUp;
    let told = journey::stage::QueryResult::Failed { why: "it closed the connection".to_owned(), failure };
    let closed = Scene::new().name(told, (0, 100), Some((Reason::BadReply, what)));
    closed.waited("you", 900).check(Trouble::DnsNoAnswer, Some("resolver"), Sure::Likely);
    // A refusal is no matter of time.
    let refused = Scene::found(&["10.78.2.81"]).connect(
        &[("10.78.2.81:80", journey::stage::Tried::Refused)],
        (5, 6),
        Some((Reason::ConnectionRefused, "nothing listens on 10.78.2.81:80")),
    );
    refused.waited("app1", 9_000).waited("you", 9_000).check(Trouble::NothingListens, Some("app1"), Sure::Certain);
}

#[test]
fn the_verdict_names_no_host() {
    let scene = silent_root().waited("root", 2_000);
    let events = journey::chronicle::in_order(scene.events.clone());
    let case = crate::verdict::Facts {
        hops: &scene.hops,
        events: &events,
        hosts: &scene.hosts,
        place: &scene.place,
        observers: &scene.observers,
        capture: &scene.capture,
        walk: None,
        run_delays: &scene.run_delays,
        fail_on_status: false,
        again: &[],
    };
    let (outcome, code) = judge(&case);
    assert_eq!((outcome.host, code), (None, 6));
    assert!(
        outcome.verdict.starts_with("The name stage failed: this machine was too busy to tell who failed"),
        "{}",
        outcome.verdict
    );
}
