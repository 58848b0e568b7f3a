//! The verdict is concluded from the journey alone: the saved ones are judged again, whole and with parts of the evidence
//! taken away.

use std::{fs, path::Path};

use diagnosis::verdict::{Facts, judge};
use journey::{
    HostReport, Journey, LabNetwork, Outcome, Place, Reason, What,
    capture::{Captured, Fate},
    chronicle::YOU,
};

fn saved(name: &str) -> Journey {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journeys").join(name).with_extension("json");
    serde_json::from_slice(&fs::read(&file).unwrap()).unwrap()
}

fn again(journey: &Journey) -> (Outcome, u8) {
    judge(&Facts {
        hops: &journey.hops,
        events: &journey.events,
        hosts: &journey.hosts,
        place: &journey.place,
        observers: &journey.observers,
        capture: &journey.capture,
        walk: journey.walk.as_ref(),
        run_delays: &journey.run_delays,
        fail_on_status: false,
        again: &[],
    })
}

#[test]
fn the_same_evidence_gives_the_same_verdict() {
    for name in ["reached", "no_such_name", "truncated", "lame", "second_server", "from_cache"] {
        let journey = saved(name);
        assert_eq!(again(&journey), (journey.outcome.clone(), journey.exit_code), "{name}");
    }
}

/// What was set in a lab is known to it, and not to the verdict.
#[test]
fn what_was_set_is_no_evidence() {
    for name in ["wire_cut", "wire/lossy", "wire/refused", "wire/plain"] {
        let journey = saved(name);
        let mut without = journey.clone();
        without.faults.clear();
        if let Place::EmbeddedLab { network: LabNetwork::Wire { faults, .. }, .. } = &mut without.place {
            faults.clear();
        }
        if let Captured::Frames(capture) = &mut without.capture {
            for frame in &mut capture.frames {
                match &mut frame.fate {
                    Fate::Dropped { why } => why.clear(),
                    Fate::Passed { altered, .. } => *altered = None,
                    Fate::Seen => {}
                }
            }
        }
        assert_eq!(again(&without), again(&journey), "{name}");
    }
}

#[test]
fn without_reports_only_the_resolver_is_named() {
    for (name, reason) in [("no_such_name", Reason::NoSuchName), ("lame", Reason::ServerFailure)] {
        let mut journey = saved(name);
        assert_ne!(again(&journey).0.host.as_deref(), Some("resolver"), "{name}");
        journey.events.retain(|event| event.host == YOU);
        let (outcome, code) = again(&journey);
        assert_eq!((outcome.host.as_deref(), outcome.reason, code), (Some("resolver"), Some(reason), 6), "{name}");
    }
}

#[test]
fn a_question_that_another_server_answered_blames_nobody() {
    let mut journey = saved("lame");
    let failed = |what: &What| matches!(what, What::QueryFailed { .. });
    let failures: Vec<_> = journey.events.iter().filter(|event| failed(&event.what)).cloned().collect();
    assert!(!failures.is_empty());
    for mut event in failures {
        let What::QueryFailed { transport, question, .. } = event.what else { unreachable!("filtered above") };
        let reply = journey.events.iter().find_map(|event| match &event.what {
            What::ReplyReceived { reply, .. } => Some(reply.clone()),
            _ => None,
        });
        let server = "10.78.2.32:53".parse().unwrap();
        event.what = What::ReplyReceived { server, transport, question, reply: reply.unwrap(), elapsed_us: 987_654 };
        journey.events.push(event);
    }
    assert_eq!(again(&journey).0.host.as_deref(), Some("resolver"));
}

#[test]
fn a_lab_is_gone_when_nobody_of_those_who_report_answers() {
    let mut journey = saved("lame");
    journey.place = Place::RunningLab { described_by: "book.json".to_owned() };
    let silent = HostReport::Silent { why: "nothing answers on its admin port".to_owned() };
    let not_asked = HostReport::NotAsked { why: "played by NSD, which does not report".to_owned() };
    let reported = HostReport::Reported { events: 1, same_clock: true, overwritten: 0, queues: Vec::new() };
    let mut check = |first: &HostReport, others: &HostReport, expected: bool| {
        for (nth, observer) in journey.observers.iter_mut().enumerate() {
            observer.said = if nth == 0 { first.clone() } else { others.clone() };
        }
        let next = again(&journey).0.next.unwrap_or_default();
        assert_eq!(next.contains("does it still run?"), expected, "{first:?}, {others:?}: {next}");
    };
    check(&silent, &silent, true);
    check(&reported, &silent, false);
    check(&not_asked, &silent, true);
    check(&silent, &not_asked, true);
    check(&not_asked, &reported, false);
    // Where nobody reports, that nobody did says nothing.
    check(&not_asked, &not_asked, false);
}

#[test]
fn an_authority_that_does_not_report_is_known_by_who_asked_it() {
    let mut journey = saved("no_such_name");
    let blamed = again(&journey).0.host;
    assert_eq!(blamed.as_deref().map(|host| host.starts_with("auth")), Some(true));
    journey.events.retain(|event| !event.host.starts_with("auth"));
    assert_eq!(again(&journey).0.host, blamed);
}
