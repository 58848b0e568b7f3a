//! Labs of more and more hosts: how soon they are ready, and what they hold.

use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::{PART, section};
use crate::{
    args::Effort,
    contest::{self, Contestant, Measure},
    lab::Serving,
    programs::Programs,
    section::{Limit, Section},
    tree,
};

const MEASURES: [Measure; 5] = [
    Measure { name: READY, unit: "ms", budget: None },
    Measure { name: PEAK, unit: "MiB", budget: None },
    Measure { name: "each host", unit: "KiB", budget: None },
    Measure { name: "files", unit: "", budget: None },
    Measure { name: "end", unit: "ms", budget: None },
];
const READY: &str = "ready";
const PEAK: &str = "peak memory";

/// Hosts that are no clients: those of the built-in world, and the router.
const OTHERS: usize = 8;

/// A lab of so many clients.
struct Lab<'a> {
    programs: &'a Programs,
    clients: usize,
}

/// Measures the start and the end of `visit lab serve --wire --clients N`.
pub(super) fn measure(programs: &Programs, effort: Effort) -> Result<Section> {
    let lab = |hosts: usize| Contestant { name: name(hosts), subject: Ok(Lab { programs, clients: hosts - OTHERS }) };
    let mut rows = Vec::new();
    for hosts in [OTHERS + 1, 100, 200] {
        rows.extend(contest::hold(
            &format!("{PART}, {hosts} hosts"),
            &MEASURES,
            &mut [lab(hosts)],
            effort.starts,
            start,
        )?);
    }
    rows.sort_by_key(|row| MEASURES.iter().position(|measure| measure.name == row.measure));
    for (hosts, measure, limit) in [(OTHERS + 1, READY, 50.0), (OTHERS + 1, PEAK, 20.0), (100, READY, 500.0)] {
        let row = rows.iter_mut().find(|row| row.of == name(hosts) && row.measure == measure);
        row.context("every lab has a row of every measure")?.limit = Some(Limit::Most(limit));
    }
    let notes = vec![
        format!(
            "visit lab serve --wire --clients N: every host a network namespace; {} starts each, one size after the other: \
             when a process has ended, the kernel has its namespaces still to clear, and a small lab after a large one would \
             wait for that",
            effort.starts
        ),
        "ready: from the start of the process until its address book is printed, which it does when all hosts are ready; \
         peak memory: VmHWM then, each host: that, over the hosts; end: from SIGTERM until the process is gone"
            .into(),
    ];
    Ok(section("hosts with a namespace each", notes, None, rows))
}

fn name(hosts: usize) -> String {
    format!("{hosts} hosts")
}

fn start(lab: &mut Lab<'_>) -> Result<Vec<f64>> {
    let serving = Serving::start(&lab.programs.visit, &["--wire", "--clients", &lab.clients.to_string()])?;
    let pid = serving.pid();
    let peak = tree::status_bytes(pid, "VmHWM").context("/proc does not tell its memory")?;
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).context("/proc does not tell its files")?.count();
    let hosts = serving.book["inside"]["hosts"].as_object().map_or(0, serde_json::Map::len);
    ensure!(hosts == lab.clients + OTHERS, "its address book has {hosts} hosts inside");
    let ready = serving.ready;
    let told = Instant::now();
    serving.end()?;
    let each = peak as f64 / 1024.0 / hosts as f64;
    Ok(vec![ready.as_secs_f64() * 1e3, tree::mebibytes(peak), each, files as f64, told.elapsed().as_secs_f64() * 1e3])
}
