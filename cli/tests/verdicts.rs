//! The verdict is concluded from the journey alone: the saved ones are judged again, whole and with parts of the evidence
//! taken away.

use std::{fs, path::Path};

use journey::{
    Journey, Outcome, Reason, What,
    chronicle::YOU,
    verdict::{Case, judge},
};

fn saved(name: &str) -> Journey {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journeys").join(name).with_extension("json");
    serde_json::from_slice(&fs::read(&file).unwrap()).unwrap()
}

fn again(journey: &Journey) -> (Outcome, u8) {
    judge(&Case {
        hops: &journey.hops,
        events: &journey.events,
        hosts: &journey.hosts,
        place: &journey.place,
        observers: &journey.observers,
        fail_on_status: false,
    })
}

#[test]
fn the_same_evidence_gives_the_same_verdict() {
    for name in ["reached", "no_such_name", "truncated", "lame", "second_server", "from_cache"] {
        let journey = saved(name);
        assert_eq!(again(&journey), (journey.outcome.clone(), journey.exit_code), "{name}");
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
