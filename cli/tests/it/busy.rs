//! Many labs at once on one machine: more work than it has processors for, and nothing broken.

use std::process::Stdio;

use serde_json::Value;

use crate::peer;

#[test]
fn fifty_first_visits_at_once_blame_no_host() {
    let start = |_| {
        let mut program = peer::program();
        let program = program.args(["--json", "--lab=loopback", "--max-time", "60", "www.example.local"]);
        program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let visits: Vec<_> = (0..50).map(start).collect();
    let mut reached = 0;
    for visit in visits {
        let output = visit.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let journey: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
        let outcome = &journey["outcome"];
        reached += usize::from(outcome["reached"] == true);
        for cause in outcome["causes"].as_array().into_iter().flatten() {
            let is_of_machine = cause["trouble"] == "machine_busy" || cause["trouble"] == "max_time";
            assert!(is_of_machine, "{outcome:#}\n{:#}", journey["run_delays"]);
            assert!(cause["host"].is_null() || cause["trouble"] == "max_time", "{outcome:#}");
        }
    }
    // One alone has no reason to fail.
    assert!(reached > 0, "none of 50 visits reached its server");
}
