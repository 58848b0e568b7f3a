//! Any text as a zone file: it is loaded, or every problem names a line of it.
#![no_main]

use hickory_proto::rr::Name;
use libfuzzer_sys::fuzz_target;
use nameserver::{master, zone::Zone};

fuzz_target!(|text: &[u8]| {
    let origin = Name::from_ascii("example.test.").expect("a name");
    let lines = text.split(|byte| *byte == b'\n').count();
    let (records, problems) = master::read(text, &origin);
    assert!(problems.iter().filter_map(|problem| problem.line).all(|line| (1..=lines).contains(&line)));
    if problems.is_empty() {
        let _ = Zone::new(origin, records);
    }
});
