//! `docs/faults.md` is what comes of the scenarios.

use std::fs;

use e2e::way::{Way, root};

use crate::{built_in, report};

/// Where this is set, the file is written anew.
const UPDATE: &str = "UPDATE_DOCS";
const NAME: &str = "docs/faults.md";
/// What a busy machine adds by itself.
const SLOW: [&str; 3] = ["dns_slow", "slow_first_byte", "slow_content"];

/// A row, without its sentence: that may say how much or which of two.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    let renew = "if that is right, UPDATE_DOCS=1 VISIT_E2E=wire cargo test -p e2e --test faults docs renews it";
    let (written, come) = (rows(&read(&file.display().to_string())?), rows(&text));
    if written.is_empty() {
        return Err(format!("{NAME} has no rows; {renew}"));
    }
    for nth in 0..written.len().max(come.len()) {
        let (written, come) = (written.get(nth), come.get(nth));
        if written != come {
            return Err(format!("row {}: {NAME} has {written:#?}, and what comes is {come:#?}; {renew}", nth + 1));
        }
    }
    Ok(())
}

fn read(file: &str) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))
}

fn rows(text: &str) -> Vec<Row> {
    let cells = text.lines().filter(|line| line.starts_with("| `")).map(cells);
    let row = |cells: Vec<&str>| {
        let [faults, places, exit, found, _, stages] = cells[..] else { return None };
        let mut troubles: Vec<String> = found.split("; ").map(trouble).collect();
        if !troubles.iter().all(|trouble| SLOW.contains(&trouble.as_str())) {
            troubles.retain(|trouble| !SLOW.contains(&trouble.as_str()));
        }
        Some(Row {
            faults: faults.to_owned(),
            places: places.to_owned(),
            exit: exit.to_owned(),
            troubles,
            stages: stages.to_owned(),
        })
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
    let text = "# T\n\n| fault | at |\n|---|---|\n\
        | `truncate`, `slow=1s` | root | 0 | `dns_truncated` at root; `dns_slow` at tld, root | A \\| b. | url name |\n\
        | `slow=1s` | tld | 0 | `dns_slow` at tld | C. | url |\n| `x` | a | 6 | — | D. | — |\n";
    let rows = rows(text);
    let troubles: Vec<_> = rows.iter().map(|row| row.troubles.join(" ")).collect();
    let first = rows.first().map(|row| [&row.faults, &row.places, &row.exit, &row.stages].map(String::as_str));
    let is_so = troubles == ["dns_truncated", "dns_slow", "—"]
        && first == Some(["`truncate`, `slow=1s`", "root", "0", "url name"]);
    if is_so { Ok(()) } else { Err(format!("{rows:#?}")) }
}
