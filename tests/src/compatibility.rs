//! `docs/compatibility.md`: a section for each kind of case, a row for each case.

use std::{
    env,
    fmt::Write,
    fs::{self, File},
};

use crate::way::root;

/// Where this is set, the sections are written anew.
const UPDATE: &str = "UPDATE_DOCS";
const NAME: &str = "docs/compatibility.md";
const RENEW: &str = "if that is right, the same test with UPDATE_DOCS=1 writes it anew";

/// What came of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The case in a few words.
    pub case: String,
    /// What the program was given, or where the standard says what is right: see [`Section::input`].
    pub input: String,
    /// What our program did.
    pub ours: String,
    /// What each peer did, in the order of [`Section::peers`].
    pub peers: Vec<String>,
    /// Why we differ from the peers, where we do.
    pub why: Option<String>,
}

/// A section of the document.
#[derive(Debug)]
pub struct Section {
    /// Its name between the marks in the document.
    pub name: &'static str,
    /// What the second column has.
    pub input: &'static str,
    /// What our program is called in it.
    pub ours: &'static str,
    /// The peers and their versions.
    pub peers: Vec<String>,
    /// One for each case.
    pub rows: Vec<Row>,
}

impl Section {
    /// Fails where a row is not as documented, or where we differ from every peer without a reason.
    pub fn check(&self) -> Result<(), String> {
        let file = root().join(NAME);
        // Tests in other processes write other sections of the same file.
        let lock = File::open(&file).and_then(|file| file.lock().map(|()| file));
        let _one_at_a_time = lock.map_err(|error| format!("{NAME}: {error}"))?;
        let text = fs::read_to_string(&file).map_err(|error| format!("{NAME}: {error}"))?;
        let (begin, end) = (format!("<!-- begin {} -->\n", self.name), format!("<!-- end {} -->", self.name));
        let (before, rest) = text.split_once(&begin).ok_or_else(|| format!("{NAME} has no line {begin:?}"))?;
        let (written, after) = rest.split_once(&end).ok_or_else(|| format!("{NAME} has no line {end:?}"))?;
        let made = self.to_string();
        let mut problems = self.unexplained();
        if env::var_os(UPDATE).is_some() {
            let text = format!("{before}{begin}{made}{end}{after}");
            fs::write(&file, text).map_err(|error| format!("{NAME}: {error}"))?;
        } else {
            problems.extend(self.compare(written, &made));
        }
        if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
    }

    fn unexplained(&self) -> Vec<String> {
        let differs = |row: &&Row| row.why.is_none() && !row.peers.is_empty() && !row.peers.contains(&row.ours);
        let rows = self.rows.iter().filter(differs);
        rows.map(|row| format!("{}: no peer does the same, and the case has no `why`: {row:?}", row.case)).collect()
    }

    /// Another version of a peer may do otherwise; our own column has to be as it is written.
    fn compare(&self, written: &str, made: &str) -> Vec<String> {
        let is_same_peers = written.lines().next() == made.lines().next();
        let columns = if is_same_peers { usize::MAX } else { 3 };
        let part = |line: &str| line.split(" | ").take(columns).collect::<Vec<_>>().join(" | ");
        let (written, made): (Vec<_>, Vec<_>) = (written.lines().skip(1).collect(), made.lines().skip(1).collect());
        let pairs = (0..written.len().max(made.len())).map(|row| {
            let line = |lines: &[&str]| lines.get(row).map_or_else(|| "no row".to_owned(), |line| part(line));
            (line(&written), line(&made))
        });
        let differ = pairs.filter(|(written, made)| written != made);
        differ.map(|(written, made)| format!("{NAME} has\n  {written}\nand the run gave\n  {made}\n{RENEW}")).collect()
    }
}

impl std::fmt::Display for Section {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let peers = self.peers.join(" | ");
        writeln!(out, "| case | {} | {} | {peers} | why we differ |", self.input, self.ours)?;
        writeln!(out, "|{}", "---|".repeat(4 + self.peers.len()))?;
        for row in &self.rows {
            let mut line = String::new();
            for cell in [&row.case, &row.input, &row.ours].into_iter().chain(&row.peers) {
                write!(line, "| {} ", cell.replace('|', "\\|"))?;
            }
            writeln!(out, "{line}| {} |", row.why.as_deref().unwrap_or_default())?;
        }
        Ok(())
    }
}
