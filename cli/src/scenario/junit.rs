//! `--junit`: what came of scenarios as the XML that programs of continuous integration read.

use std::io::{self, Write};

use quick_xml::{
    Writer,
    events::{BytesDecl, BytesText, Event},
};

use super::done::{Done, End, Summary, Visited};
use text::clean;

/// A suite for each file, a case for each scenario.
pub fn xml(done: &[Done], summary: &Summary) -> io::Result<String> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let mut files: Vec<&str> = Vec::new();
    for done in done {
        if !files.contains(&done.file.as_str()) {
            files.push(&done.file);
        }
    }
    let counts = [done.len(), summary.failed, 0, summary.skipped].map(|count| count.to_string());
    let time = seconds(summary.took);
    let attributes =
        [("name", "visit scenario"), ("tests", &counts[0]), ("failures", &counts[1]), ("errors", &counts[2])];
    writer
        .create_element("testsuites")
        .with_attributes(attributes)
        .with_attributes([("skipped", counts[3].as_str()), ("time", time.as_str())])
        .write_inner_content(|writer| {
            files.iter().try_for_each(|file| {
                let of_file: Vec<&Done> = done.iter().filter(|done| done.file == *file).collect();
                suite(writer, file, &of_file)
            })
        })?;
    let mut text = String::from_utf8(writer.into_inner()).map_err(io::Error::other)?;
    text.push('\n');
    Ok(text)
}

fn suite<W: Write>(writer: &mut Writer<W>, file: &str, done: &[&Done]) -> io::Result<()> {
    let failed = done.iter().filter(|done| !done.is_ok()).count().to_string();
    let skipped = done.iter().filter(|done| matches!(done.end, End::Skipped(_))).count().to_string();
    let (tests, time) = (done.len().to_string(), seconds(done.iter().map(|done| done.took).sum()));
    let file = clean(file);
    let attributes = [
        ("name", file.as_str()),
        ("tests", &tests),
        ("failures", &failed),
        ("errors", "0"),
        ("skipped", &skipped),
        ("time", &time),
    ];
    writer
        .create_element("testsuite")
        .with_attributes(attributes)
        .write_inner_content(|writer| done.iter().try_for_each(|done| case(writer, done)))?;
    Ok(())
}

fn case<W: Write>(writer: &mut Writer<W>, done: &Done) -> io::Result<()> {
    let time = seconds(done.took);
    let (name, file) = (clean(&done.scenario.name), clean(&done.file));
    let attributes =
        [("name", name.as_str()), ("classname", done.way.name()), ("file", file.as_str()), ("time", time.as_str())];
    writer.create_element("testcase").with_attributes(attributes).write_inner_content(|writer| {
        match &done.end {
            End::Skipped(why) => {
                writer.create_element("skipped").with_attribute(("message", clean(why).as_str())).write_empty()?;
            }
            End::Broken(why) => {
                let (message, text) = (first_line(why), lines(why));
                failure(writer, &message, &text)?;
            }
            End::Played(visits) => {
                let wrong: Vec<&Visited> = visits.iter().filter(|visit| !visit.is_ok()).collect();
                if let Some(first) = wrong.first().and_then(|visit| visit.differences.first()) {
                    let message = format!("{}: expected {}, seen {}", first.what, first.expected, first.seen);
                    failure(writer, &message, &wrong.iter().map(|visit| in_full(visit)).collect::<String>())?;
                }
                let screens = visits.iter().map(|visit| format!("$ {}\n{}\n", visit.typed(), visit.screen));
                let text = lines(&screens.collect::<String>());
                writer.create_element("system-out").write_text_content(BytesText::new(&text))?;
            }
        }
        Ok(())
    })?;
    Ok(())
}

fn failure<W: Write>(writer: &mut Writer<W>, message: &str, text: &str) -> io::Result<()> {
    let message = clean(message);
    let attributes = [("message", message.as_str()), ("type", "unexpected")];
    writer.create_element("failure").with_attributes(attributes).write_text_content(BytesText::new(text))?;
    Ok(())
}

fn in_full(visit: &Visited) -> String {
    let mut text = format!("{}\n", clean(&visit.typed()));
    for difference in &visit.differences {
        let (expected, seen) = (clean(&difference.expected), clean(&difference.seen));
        text.push_str(&format!("  {}\n    expected  {expected}\n    seen      {seen}\n", clean(&difference.what)));
    }
    text
}

/// Text without what XML cannot have (XML 1.0 §2.2), line by line.
fn lines(text: &str) -> String {
    text.lines().map(|line| clean(line) + "\n").collect()
}

fn first_line(text: &str) -> String {
    clean(text.lines().next().unwrap_or_default())
}

fn seconds(time: std::time::Duration) -> String {
    format!("{:.3}", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;
    use world::scenario::{Scenario, Way};

    use super::{
        super::done::{Difference, Visited},
        *,
    };

    #[test]
    fn a_document() {
        let done = |name: &str, end| Done {
            scenario: Scenario { name: name.to_owned(), ..Scenario::default() },
            file: "a.toml".to_owned(),
            way: Way::Loopback,
            end,
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
        insta::assert_snapshot!("junit", xml(&all, &summary).unwrap());
    }
}
