//! Clients that misbehave, beside two that behave.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{
    PART,
    good::{self, Served},
    pests::{self, Targets},
    row, socket,
};
use crate::{
    args::Effort,
    interrupt,
    lab::Serving,
    programs::Programs,
    progress,
    section::{Row, Section},
    tree,
};

/// All hosts together, with whatever is done to them.
const MOST_MEMORY: f64 = 128.0;

/// What was seen while one kind of client misbehaved.
struct Phase {
    of: &'static str,
    /// With names, and with pages.
    served: [Served; 2],
    memory: f64,
}

/// Measures the lab in one process.
pub(crate) fn measure(programs: &Programs, effort: Effort) -> Result<Section> {
    more_files();
    let lab = Serving::start(&programs.visit, &[])?;
    let at = |host: &str, service: &str| socket(&lab.book, host, service, "tcp");
    let targets = Targets { dns: at("resolver", "dns")?, http: at("app1", "http")?, https: at("app1", "https")? };
    ensure!(socket(&lab.book, "resolver", "dns", "udp")? == targets.dns, "the resolver has two ports");
    let memory = |key: &str| {
        tree::status_bytes(lab.pid(), key).map(tree::mebibytes).context("/proc does not tell the lab's memory")
    };
    let length = if effort.quick { Duration::from_millis(800) } else { Duration::from_secs(3) };
    let before = memory("VmRSS")?;
    let mut found = Vec::new();
    for pest in pests::ALL {
        interrupt::check()?;
        progress::say(&format!("soak: {}", pest.name));
        let over = AtomicBool::new(false);
        let (names, pages) = thread::scope(|scope| {
            scope.spawn(|| pest.run(targets, &over));
            let good = scope.spawn(|| good::clients(targets.dns, targets.http, &over));
            thread::sleep(length);
            over.store(true, Ordering::Relaxed);
            good.join().unwrap_or_default()
        });
        found.push(Phase { of: pest.name, served: [names, pages], memory: memory("VmRSS")? });
    }
    progress::clear();
    let (again, _) = {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let good = scope.spawn(|| good::clients(targets.dns, targets.http, &over));
            thread::sleep(length / 2);
            over.store(true, Ordering::Relaxed);
            good.join().unwrap_or_default()
        })
    };
    let full = if effort.quick { Vec::new() } else { full(targets)? };
    let (after, peak) = (memory("VmRSS")?, memory("VmHWM")?);
    lab.end()?;
    let mut rows = Vec::new();
    for (nth, kind) in ["DNS", "HTTP"].into_iter().enumerate() {
        let mut each = |measure: &str, unit: &str, limit: Option<f64>, samples: &dyn Fn(&Served) -> Vec<f64>| {
            let measure = format!("{kind} {measure}");
            rows.extend(found.iter().map(|phase| row(&measure, phase.of, unit, samples(&phase.served[nth]), limit)));
        };
        each("lost", "%", Some(0.0), &|served| vec![served.lost_share()]);
        each("time", "ms", None, &|served| served.ms.clone());
        each("p99", "ms", None, &|served| served.p99().into_iter().collect());
    }
    rows.push(row("DNS lost", "afterwards", "%", vec![again.lost_share()], Some(0.0)));
    rows.extend(full);
    rows.push(row("memory", "before", "MiB", vec![before], None));
    rows.extend(found.iter().map(|one| row("memory", one.of, "MiB", vec![one.memory], None)));
    rows.push(row("memory", "peak", "MiB", vec![peak], Some(MOST_MEMORY)));
    rows.push(row("memory", "after", "MiB", vec![after], None));
    let notes = vec![
        format!("one client asks the resolver, one the application server, every 10 ms, while others misbehave for {length:?}"),
        "lost: no right answer within 2 s. Times have all samples, so the median is p50. Memory: resident set of the \
         process that has all hosts; peak: VmHWM"
            .into(),
        "served when full: so many connections are left that the server takes no more, and one client waits behind them: the \
         resolver closes silent ones after 5 s, the application server the oldest silent one for a new one"
            .into(),
        "left: 256 connections each to HTTP and HTTPS, 200 to the resolver, which takes 128; half requests: 128, 128 and 64; \
         slow readers: 128, each of 1 MB; HTTP/2 streams held: 45 connections with 64 requests of 450 fields, each of which \
         waits for a minute"
            .into(),
    ];
    Ok(Section { part: PART.into(), title: "clients that misbehave".into(), notes, peer: None, rows })
}

/// More connections are left than a server takes: the next client waits until it has closed those that are silent, which
/// it does by itself.
fn full(targets: Targets) -> Result<Vec<Row>> {
    // What they take and how long they wait: `tcp_connections`, `tcp_idle_ms`, `connections`, `read_timeout_ms`.
    let (dns, http) = ((128, 5_000.0), (1_024, 10_000.0));
    let patience = Duration::from_secs(20);
    let one = |of: &str, to, (takes, waits): (usize, f64), is_served: &dyn Fn() -> Result<bool>| {
        interrupt::check()?;
        progress::say(&format!("soak: all connections left, {of}"));
        let held = pests::held(to, takes + 72);
        ensure!(held.len() == takes + 72, "only {} connections can be opened", held.len());
        let began = Instant::now();
        ensure!(is_served()?, "{of}: no right answer");
        let ms = began.elapsed().as_secs_f64() * 1e3;
        Ok(row("served when full", of, "ms", vec![ms], Some(waits + 1_000.0)))
    };
    let rows = vec![
        one("DNS over TCP", targets.dns, dns, &|| good::is_answer_within(targets.dns, patience))?,
        one("HTTP", targets.http, http, &|| good::is_page_within(targets.http, patience))?,
    ];
    progress::clear();
    Ok(rows)
}

/// The soft limit is meant for programs that use `select`.
fn more_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
