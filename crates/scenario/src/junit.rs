//! `--junit`: what came of scenarios as the XML that programs of continuous integration read.

use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};
use text::clean;

use crate::done::{Done, End, Visited};

/// A suite for each file, a case for each scenario.
pub fn xml(done: &[Done]) -> Result<String, SerializeError> {
    let mut report = Report::new("visit scenario");
    let mut files: Vec<&str> = Vec::new();
    for done in done {
        if !files.contains(&done.file.as_str()) {
            files.push(&done.file);
        }
    }
    for file in files {
        let mut suite = TestSuite::new(clean(file));
        let of_file: Vec<&Done> = done.iter().filter(|done| done.file == file).collect();
        suite.set_time(of_file.iter().map(|done| done.took).sum());
        suite.add_test_cases(of_file.into_iter().map(case));
        report.add_test_suite(suite);
    }
    report.set_time(done.iter().map(|done| done.took).sum());
    report.to_string()
}

fn case(done: &Done) -> TestCase {
    let status = match &done.end {
        End::Skipped(why) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(clean(why));
            status
        }
        End::Broken(why) => failure(why.lines().next().unwrap_or_default(), &lines(why)),
        End::Played(visits) => {
            let wrong: Vec<&Visited> = visits.iter().filter(|visit| !visit.is_ok()).collect();
            match wrong.first().and_then(|visit| visit.differences.first()) {
                None => TestCaseStatus::success(),
                Some(first) => {
                    let message = format!("{}: expected {}, seen {}", first.what, first.expected, first.seen);
                    failure(&message, &wrong.iter().map(|visit| in_full(visit)).collect::<String>())
                }
            }
        }
    };
    let mut case = TestCase::new(clean(&done.scenario.name), status);
    case.set_classname(done.way.name()).set_time(done.took);
    case.extra.insert("file".into(), clean(&done.file).into());
    if let End::Played(visits) = &done.end {
        let screens = visits.iter().map(|visit| format!("$ {}\n{}\n", visit.typed(), visit.screen));
        case.set_system_out(lines(&screens.collect::<String>()));
    }
    case
}

fn failure(message: &str, text: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_message(clean(message)).set_type("unexpected").set_description(text);
    status
}

fn in_full(visit: &Visited) -> String {
    let mut text = format!("{}\n", clean(&visit.typed()));
    for difference in &visit.differences {
        let (expected, seen) = (clean(&difference.expected), clean(&difference.seen));
        text.push_str(&format!("  {}\n    expected  {expected}\n    seen      {seen}\n", clean(&difference.what)));
    }
    text
}

/// Text without control characters, line by line.
fn lines(text: &str) -> String {
    text.lines().map(|line| clean(line) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;
    use world::scenario::{Scenario, Way};

    use super::*;
    use crate::done::{Difference, Summary};

    #[test]
    fn a_document() {
        let done = |name: &str, end| Done {
            scenario: Scenario { name: name.to_owned(), ..Scenario::default() },
            file: "a.toml".to_owned(),
            way: Way::Loopback,
            end,
            too_busy: 0,
            took: Duration::from_millis(1_500),
        };
        let visit = |differences| Visited {
            args: vec!["www.example.local".to_owned()],
            faults: vec!["auth1:drop".to_owned()],
            waited: None,
            expected: Value::Null,
            differences,
            exit: 6,
            verdict: String::new(),
            causes: Vec::new(),
            stages: Vec::new(),
            screen: "✔ <Reached> \u{1b}[2J & more\n".to_owned(),
            journey: None,
            took: Duration::ZERO,
        };
        let difference =
            Difference { what: "exit code".to_owned(), expected: "0".to_owned(), seen: "6: \"no\" <name>".to_owned() };
        let all = [
            done("good", End::Played(vec![visit(Vec::new())])),
            done("bad", End::Played(vec![visit(vec![difference])])),
            done("skipped", End::Skipped("it stops hosts".to_owned())),
            done("broken", End::Broken("no lab\nat all".to_owned())),
        ];
        let summary = Summary::of(&all, 4, Duration::from_secs(2));
        assert_eq!((summary.passed, summary.failed, summary.skipped, summary.missing), (1, 2, 1, 0));
        insta::assert_snapshot!("junit", xml(&all).unwrap());
    }
}
