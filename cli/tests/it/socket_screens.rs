//! What a person sees of `tcp://` and `udp://`. The journeys were made by real visits and saved with `--json`.

use std::{fs, path::Path};

use diagnosis::verdict::{Facts, judge};
use journey::{
    Evidence, Journey,
    chronicle::{YOU, in_order},
    evidence::Placed,
};
use view::{Detail, Style};

const NARROW: Style = Style { color: false, unicode: true, width: 80 };
const NAMES: [&str; 5] = ["talk", "echo", "unanswered", "silent", "banner"];

fn kept(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journeys").join(name).with_extension("json");
    fs::read_to_string(file).unwrap()
}

fn saved(name: &str) -> Journey {
    serde_json::from_str(&kept(name)).unwrap()
}

fn screen(journey: &Journey, style: Style, verbose: bool) -> String {
    let text = view::screen(journey, &style, Detail { verbose, ..Detail::default() });
    for line in text.lines() {
        assert!(style.color || line.chars().count() <= style.width, "{} columns: {line}", line.chars().count());
        assert_eq!(line, line.trim_end(), "spaces at the end of a line");
    }
    text
}

#[test]
fn at_80_columns() {
    for name in NAMES {
        insta::assert_snapshot!(name, screen(&saved(name), NARROW, false));
    }
}

#[test]
fn at_40_columns() {
    insta::assert_snapshot!("narrow_talk", screen(&saved("talk"), Style { width: 40, ..NARROW }, false));
}

#[test]
fn wide_with_everything() {
    insta::assert_snapshot!("verbose_talk", screen(&saved("talk"), Style { width: 120, ..NARROW }, true));
}

#[test]
fn in_colour() {
    let text = screen(&saved("unanswered"), Style { color: true, ..NARROW }, false);
    insta::assert_snapshot!("colour_unanswered", text.replace('\x1b', "<ESC>"));
}

#[test]
fn without_unicode() {
    let text = screen(&saved("talk"), Style { unicode: false, ..NARROW }, false);
    assert!(text.is_ascii(), "{text}");
}

#[test]
fn a_host_whose_clock_cannot_be_compared_is_told_apart() {
    let mut journey = saved("talk");
    for event in journey.events.iter_mut().filter(|event| event.host != YOU) {
        event.at_us = None;
        event.evidence = Evidence::Reported { by: event.host.clone(), placed: Placed::Order };
    }
    journey.events = in_order(journey.events);
    let text = screen(&journey, NARROW, false);
    let (_, table) = text.split_once("app1, as it reports\n").unwrap();
    let (own, theirs) = table.split_once("close()\n").unwrap();
    assert!(!own.contains("order only"), "{text}");
    let theirs: Vec<&str> = theirs.lines().take(4).map(str::trim).collect();
    let expected = ["accept() = ", "recv() = 6 bytes", "send(24 bytes)", "recv() = 0, then close()"];
    for (line, expected) in theirs.iter().zip(expected) {
        assert!(line.starts_with("order only") && line.contains(expected), "{text}");
    }
}

#[test]
fn a_saved_journey_is_read_and_written_alike() {
    for name in NAMES {
        // They are of version 2, which had no place for frames, and whose labs had no network.
        let mut written = serde_json::to_value(saved(name)).unwrap();
        assert_eq!(written.as_object_mut().unwrap().remove("capture").unwrap()["state"], "not_observable");
        if let Some(network) = written["place"].as_object_mut().and_then(|place| place.remove("network")) {
            assert_eq!(network["kind"], "loopback", "{name}");
        }
        // Members of stage tls that came later have their empty values.
        let tls = written["hops"][0]["stages"][3].as_object_mut().unwrap();
        assert_eq!(tls.remove("faults"), Some(serde_json::json!([])));
        assert_eq!(tls.remove("client_certificate_requested"), Some(false.into()));
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(&kept(name)).unwrap(), "{name}");
    }
}

#[test]
fn the_same_evidence_gives_the_same_verdict() {
    for name in NAMES {
        let journey = saved(name);
        let again = judge(&Facts {
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
        });
        assert_eq!(again, (journey.outcome, journey.exit_code), "{name}");
    }
}
