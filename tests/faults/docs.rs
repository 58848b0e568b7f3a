//! `docs/faults.md` is what comes of the scenarios.

use std::{collections::BTreeSet, fs};

use e2e::way::{Way, root};

use crate::{built_in, report};

/// Where this is set, the file is written anew.
const UPDATE: &str = "UPDATE_DOCS";
const NAME: &str = "docs/faults.md";
/// What a busy machine adds by itself: answers that come late, and then too late for whoever waited.
const LATE: [&str; 4] = ["dns_slow", "dns_no_answer", "slow_first_byte", "slow_content"];

/// A row, without its sentence: that may say how much or which of two.
#[derive(Clone, Debug)]
struct Row {
    faults: String,
    places: String,
    exit: String,
    troubles: Vec<String>,
    stages: String,
}

/// The test.
pub(crate) fn as_it_comes() -> Result<(), String> {
    built_in::run(Way::Wire, Some(report()))?;
    let made = report().display().to_string();
    // As if it had been written there.
    let text = read(&made)?.replace(&made, NAME);
    let file = root().join(NAME);
    if std::env::var_os(UPDATE).is_some() {
        return fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()));
    }
    let renew = "if that is right, UPDATE_DOCS=1 VISIT_E2E=wire cargo test --workspace --test faults docs renews it";
    let (written, come) = (rows(&read(&file.display().to_string())?), rows(&text));
    if written.is_empty() {
        return Err(format!("{NAME} has no rows; {renew}"));
    }
    for nth in 0..written.len().max(come.len()) {
        let (written, come) = (written.get(nth), come.get(nth));
        if !written.zip(come).is_some_and(|(written, come)| written.is_like(come)) {
            return Err(format!("row {}: {NAME} has {written:#?}, and what comes is {come:#?}; {renew}", nth + 1));
        }
    }
    Ok(())
}

impl Row {
    fn is_like(&self, other: &Self) -> bool {
        let parts = |row: &Self| [&row.faults, &row.places, &row.exit, &row.stages].map(String::clone);
        let (here, there) = (self.certain(), other.certain());
        let has_one_of = || self.troubles.iter().any(|trouble| other.troubles.contains(trouble));
        parts(self) == parts(other) && here == there && (!here.is_empty() || has_one_of())
    }

    /// What was found that a busy machine does not add.
    fn certain(&self) -> BTreeSet<&str> {
        self.troubles.iter().map(String::as_str).filter(|trouble| !LATE.contains(trouble)).collect()
    }
}

fn read(file: &str) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))
}

fn rows(text: &str) -> Vec<Row> {
    let cells = text.lines().filter(|line| line.starts_with("| `")).map(cells);
    let row = |cells: Vec<&str>| {
        let [faults, places, exit, found, _, stages] = cells[..] else { return None };
        let [faults, places, exit, stages] = [faults, places, exit, stages].map(str::to_owned);
        Some(Row { faults, places, exit, troubles: found.split("; ").map(trouble).collect(), stages })
    };
    cells.filter_map(row).collect()
}

/// Without the host: of two that are alike, one is asked by chance.
fn trouble(found: &str) -> String {
    found.split_whitespace().next().unwrap_or_default().trim_matches('`').to_owned()
}

/// The cells of a line; a bar within one has a backslash before it.
fn cells(line: &str) -> Vec<&str> {
    line.trim_matches('|').split(" | ").map(str::trim).collect()
}

/// What a comparison rests on.
pub(crate) fn rows_are_read() -> Result<(), String> {
    let one = |found: &str, stages: &str| {
        let text =
            format!("# T\n\n| fault | at |\n|---|---|\n| `a`, `b=1s` | root | 0 | {found} | C \\| d. | {stages} |\n");
        rows(&text).pop().ok_or("no row")
    };
    let row = one("`reset` at root; `dns_slow` at tld, root", "url name")?;
    let is_read = row.troubles == ["reset", "dns_slow"] && [&row.faults, &row.places] == ["`a`, `b=1s`", "root"];
    let late = one("`dns_slow` at tld", "—")?;
    for (is_so, what) in [
        (is_read, "its cells are read"),
        (row.is_like(&one("`dns_no_answer`; `reset`", "url name")?), "what is late besides does not count"),
        (!row.is_like(&one("`dns_slow`", "url name")?), "what is certain does"),
        (!row.is_like(&one("`reset`", "url")?), "stages do"),
        (late.is_like(&one("`dns_slow` at root; `dns_no_answer` at tld", "—")?), "one that is late has to come"),
        (!late.is_like(&one("`dns_no_answer` at tld", "—")?), "the same one"),
        (!late.is_like(&one("—", "—")?), "nothing is another finding"),
    ] {
        if !is_so {
            return Err(format!("{what}: {row:#?}"));
        }
    }
    Ok(())
}
