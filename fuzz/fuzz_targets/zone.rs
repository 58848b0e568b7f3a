//! Any text as a zone file: every problem names a line of it, or the zone has every name that has a record.
#![no_main]

use hickory_proto::{
    op::ResponseCode,
    rr::{DNSClass, Name},
};
use libfuzzer_sys::fuzz_target;
use nameserver::{
    lookup::{Question, lookup},
    master,
    zone::Zone,
    zones::Zones,
};

/// So many records are asked for.
const ASKED: usize = 50;

fuzz_target!(|text: &[u8]| {
    let origin = Name::from_ascii("example.test.").expect("a name");
    let lines = text.split(|byte| *byte == b'\n').count();
    let is_line = |place: &master::Place| place.file.is_none() && (1..=lines).contains(&place.line);
    let (records, problems) = master::read(text, &origin);
    assert!(problems.iter().filter_map(|problem| problem.place.as_ref()).all(is_line));
    assert!(records.iter().all(|record| is_line(&record.place)));
    for problem in &problems {
        let said = problem.problem.to_string();
        assert!(!said.chars().any(char::is_control), "{said:?}");
    }
    if !problems.is_empty() {
        return;
    }
    let asked: Vec<_> = records.iter().take(ASKED).map(|line| line.record.clone()).collect();
    match Zone::new(origin, records) {
        Ok(zone) => {
            let mut zones = Zones::default();
            zones.insert(zone);
            for record in asked {
                let question = Question { name: &record.name, rtype: record.record_type(), class: DNSClass::IN };
                let found = lookup(&zones, &question);
                if found.refusal.is_none() {
                    assert_eq!(found.rcode, ResponseCode::NoError, "{record}");
                    assert!(found.answers.iter().next().is_some() || !found.authoritative, "{record}");
                }
            }
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            assert!(problems.iter().filter_map(|problem| problem.place.as_ref()).all(is_line));
        }
    }
});
