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
    let mut command = command(visit);
    let began = Instant::now();
    let lab = Guarded::spawn(command.args(["lab", "serve", "--json"]).stdout(Stdio::piped()))?;
    let pid = lab.pid().as_raw_pid();
    let stdout = lab.child().stdout.as_ref().context("it is piped")?;
    wait_readable(stdout, LIMIT)?;
    let ready = began.elapsed();
    let memory = tree::status_bytes(pid, "VmRSS").context("/proc does not tell its memory")?;
    let threads = tree::threads(pid).context("/proc does not tell its threads")?;
    let book: Value = stdout_json(&lab)?;
    let hosts = book["hosts"].as_array().map_or(0, Vec::len);
    ensure!(hosts > 0, "its address book has no hosts");
    let told = Instant::now();
    lab.end()?;
    let end = told.elapsed();
    let values = vec![ready.as_secs_f64() * 1e3, tree::mebibytes(memory), threads as f64, end.as_secs_f64() * 1e3];
    Ok((values, hosts))
}

/// The first JSON value on its stdout; the process goes on.
fn stdout_json(lab: &Guarded) -> Result<Value> {
    let stdout = lab.child().stdout.as_ref().context("it is piped")?;
    let copy = std::fs::File::from(std::os::fd::AsFd::as_fd(stdout).try_clone_to_owned()?);
    let mut values = serde_json::Deserializer::from_reader(BufReader::new(copy)).into_iter();
    Ok(values.next().context("it closed stdout")??)
}
