//! The lab inside `visit`: how soon it is ready, and what it holds.

use std::{
    io::BufReader,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    args::Effort,
    contest::{self, Contestant, Measure},
    interrupt,
    process::{Guarded, command, wait_readable},
    programs::Programs,
    section::Section,
    tree,
};

const PART: &str = "lab";
const LIMIT: Duration = Duration::from_secs(10);

const MEASURES: [Measure; 4] = [
    Measure { name: "ready", unit: "ms", budget: None },
    Measure { name: "memory", unit: "MiB", budget: None },
    Measure { name: "threads", unit: "", budget: None },
    Measure { name: "end", unit: "ms", budget: None },
];

/// Measures the start and the end of `visit lab serve`.
pub(crate) fn measure(programs: &Programs, effort: Effort) -> Result<Vec<Section>> {
    let mut contestants = [Contestant::new("visit lab serve", Ok(programs.visit.clone()))?];
    let mut hosts = 0;
    let rows = contest::hold(PART, &MEASURES, &mut contestants, effort.starts, |visit| {
        let (values, running) = start(visit)?;
        hosts = running;
        Ok(values)
    })?;
    let notes = vec![
        format!("{hosts} hosts in one process; {} starts", effort.starts),
        "ready: from the start of the process until its address book is printed, which it does when all hosts are ready; \
         memory: resident set then; end: from SIGTERM until the process is gone"
            .into(),
    ];
    Ok(vec![Section { part: PART.into(), title: "embedded lab".into(), notes, peer: None, rows }])
}

fn start(visit: &Path) -> Result<(Vec<f64>, usize)> {
    let lab = Serving::start(visit, &[])?;
    let memory = tree::status_bytes(lab.pid(), "VmRSS").context("/proc does not tell its memory")?;
    let threads = tree::threads(lab.pid()).context("/proc does not tell its threads")?;
    let hosts = lab.book["hosts"].as_array().map_or(0, Vec::len);
    ensure!(hosts > 0, "its address book has no hosts");
    let ready = lab.ready;
    let told = Instant::now();
    lab.end()?;
    let end = told.elapsed();
    let values = vec![ready.as_secs_f64() * 1e3, tree::mebibytes(memory), threads as f64, end.as_secs_f64() * 1e3];
    Ok((values, hosts))
}

/// A lab in the foreground.
pub(crate) struct Serving {
    process: Guarded,
    /// Its address book.
    pub(crate) book: Value,
    /// From the start of the process until the book began to come.
    pub(crate) ready: Duration,
}

impl Serving {
    /// Starts `visit lab serve --json` with these words behind it.
    pub(crate) fn start(visit: &Path, args: &[&str]) -> Result<Self> {
        interrupt::check()?;
        let mut command = command(visit);
        command.args(["lab", "serve", "--json"]).args(args);
        let began = Instant::now();
        let process = Guarded::spawn(command.stdout(Stdio::piped()))?;
        wait_readable(process.child().stdout.as_ref().context("it is piped")?, LIMIT)?;
        let ready = began.elapsed();
        let book = stdout_json(&process)?;
        Ok(Self { process, book, ready })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> i32 {
        self.process.pid().as_raw_pid()
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn end(self) -> Result<()> {
        self.process.end()
    }
}

/// The first JSON value on its stdout; the process goes on.
fn stdout_json(lab: &Guarded) -> Result<Value> {
    let stdout = lab.child().stdout.as_ref().context("it is piped")?;
    let copy = std::fs::File::from(std::os::fd::AsFd::as_fd(stdout).try_clone_to_owned()?);
    let mut values = serde_json::Deserializer::from_reader(BufReader::new(copy)).into_iter();
    Ok(values.next().context("it closed stdout")??)
}
