//! Where results go: stdout and a JSON file.

use std::{
    fs,
    io::{self, ErrorKind, Write},
    path::Path,
};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::{
    machine::Machine,
    progress,
    section::{Found, Limit, Row, Section, Verdict},
    stats::Summary,
};

/// Prints; whoever has closed the pipe has seen enough.
pub(crate) fn print(text: &str) -> io::Result<()> {
    progress::clear();
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    machine: &'a Machine,
    sections: Vec<JsonSection<'a>>,
}

#[derive(Serialize)]
struct JsonSection<'a> {
    part: &'a str,
    title: &'a str,
    notes: &'a [String],
    peer: Option<&'a str>,
    rows: Vec<JsonRow<'a>>,
}

#[derive(Serialize)]
struct JsonRow<'a> {
    measure: &'a str,
    of: &'a str,
    unit: &'a str,
    #[serde(flatten)]
    found: &'a Found,
    summary: Option<Summary>,
    ratio: Option<f64>,
    limit: Option<Limit>,
    verdict: Option<Verdict>,
}

/// Writes all of it: samples, and what the tables say of them.
pub(crate) fn write_json(file: &Path, machine: &Machine, sections: &[Section]) -> Result<()> {
    let document = Document { schema_version: 1, machine, sections: sections.iter().map(whole).collect() };
    let text = serde_json::to_string_pretty(&document)?;
    fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))
}

fn whole(section: &Section) -> JsonSection<'_> {
    let rows = section.rows.iter().map(|row| {
        let Row { measure, of, unit, found, limit } = row;
        let (summary, ratio, verdict) = (row.summary(), section.ratio(row), section.verdict(row));
        JsonRow { measure, of, unit, found, summary, ratio, limit: *limit, verdict }
    });
    JsonSection {
        part: &section.part,
        title: &section.title,
        notes: &section.notes,
        peer: section.peer.as_deref(),
        rows: rows.collect(),
    }
}
