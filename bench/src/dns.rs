//! Our name server beside named, nsd and knot: the same zone, the same queries, as many workers each.

mod authority;
mod dnsperf;
mod workload;

use std::{fs, path::Path};

use anyhow::{Context, Result};

use crate::{
    args::Effort,
    contest::{self, Contestant, Measure},
    machine,
    peer::{DNSPERF, NAMED},
    programs::Programs,
    section::{Limit, Section},
    server::Server,
    tree,
};
use authority::{Authority, Place};
use workload::Workload;

const PART: &str = "dns";
const OURS: &str = "nameserver";

const MEASURES: [Measure; 5] = [
    Measure { name: "CPU per query", unit: "µs", budget: Some((OURS, Limit::TimesPeer(1.0))) },
    Measure { name: "throughput", unit: "queries/s", budget: None },
    Measure { name: "lost", unit: "queries", budget: None },
    Measure { name: "response", unit: "bytes", budget: None },
    Measure { name: "memory", unit: "MiB", budget: None },
];

/// Measures all of them under every workload.
pub(crate) fn measure(programs: &Programs, effort: Effort, scratch: &Path) -> Result<Vec<Section>> {
    let dnsperf = match DNSPERF.find() {
        Ok(dnsperf) => dnsperf,
        Err(found) => return Ok(vec![Section::unmeasured(PART, "name servers", found, Some((1.0, NAMED.name)))]),
    };
    let workers = machine::cores();
    let zone = scratch.join("bench.zone");
    fs::write(&zone, workload::zone()).with_context(|| format!("cannot write {}", zone.display()))?;
    let mut contestants = Vec::new();
    for authority in Authority::ALL {
        let name = authority.name();
        let program = match authority.find(programs) {
            Ok(program) => program,
            Err(why) => {
                contestants.push(Contestant::absent(name, why));
                continue;
            }
        };
        let place = Place { folder: scratch.join(name), zone: zone.clone(), workers };
        contestants.push(Contestant::new(name, authority.start(&program, &place))?);
    }
    let mut sections = Vec::new();
    for workload in Workload::ALL {
        let queries = scratch.join(workload.file());
        fs::write(&queries, workload.queries())?;
        let load = dnsperf::Load { program: &dnsperf, queries: &queries, workers, scratch };
        sections.push(compare(workload, &mut contestants, &load, effort)?);
    }
    Ok(sections)
}

fn compare(
    workload: Workload,
    contestants: &mut [Contestant<Server>],
    load: &dnsperf::Load<'_>,
    effort: Effort,
) -> Result<Section> {
    let what = format!("{PART}, {}", workload.about());
    // Caches fill and pages are touched before anything counts.
    contest::hold(&format!("{what}, warming up"), &[], contestants, 1, |server| {
        let told = load.run(server.address, 1)?;
        workload.must_be(&told)?;
        Ok(Vec::new())
    })?;
    let rows = contest::hold(&what, &MEASURES, contestants, effort.rounds, |server| {
        let before = server.cpu();
        let told = load.run(server.address, effort.seconds)?;
        let cpu = server.cpu().saturating_sub(before);
        workload.must_be(&told)?;
        let memory = server.memory().context("/proc does not tell its memory")?;
        Ok(vec![
            cpu.as_secs_f64() * 1e6 / told.completed,
            told.per_second,
            told.lost,
            told.response_bytes,
            tree::mebibytes(memory),
        ])
    })?;
    let notes = vec![
        format!(
            "{} records; dnsperf {}; {} rounds of {} s in turn, after one that does not count; {} workers each, which share \
             the cores with dnsperf",
            workload::RECORDS,
            load.options().join(" "),
            effort.rounds,
            effort.seconds,
            load.workers,
        ),
        "CPU: user and system time of all its processes per answered query. Memory: pages that its processes share count \
         once"
            .into(),
    ];
    Ok(Section { part: PART.into(), title: workload.about().into(), notes, peer: Some(NAMED.name.into()), rows })
}
