//! `visit` as a whole process: beside curl for the same URL, and with the lab inside.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};

use crate::{
    args::Effort,
    contest::{self, Contestant, Measure, failed},
    http::start_app,
    peer::CURL,
    private,
    process::{command, run, said},
    programs::Programs,
    section::{Found, Limit, Row, Section},
    tree,
};

pub(crate) const PART: &str = "visit";
const OURS: &str = "visit";
/// A single visit takes no longer than this; both programs are told so as well.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);
const MAX_TIME: [&str; 2] = ["--max-time", "5"];

const BESIDE_CURL: [Measure; 3] = measures(Some((OURS, Limit::TimesPeer(1.0))), None);
/// A visit in the lab, whose start is part of it, stays within these.
const IN_THE_LAB: [Measure; 3] = measures(Some((OURS, Limit::Most(60.0))), Some((OURS, Limit::Most(30.0))));

pub(crate) type Budget = Option<(&'static str, Limit)>;

/// What is measured of whole processes.
pub(crate) const fn measures(wall: Budget, memory: Budget) -> [Measure; 3] {
    [
        Measure { name: "wall time", unit: "ms", budget: wall },
        Measure { name: "CPU", unit: "ms", budget: None },
        Measure { name: "peak memory", unit: "MiB", budget: memory },
    ]
}

/// Measures visit in all four situations.
pub(crate) fn measure(programs: &Programs, effort: Effort, scratch: &Path) -> Result<Vec<Section>> {
    let literal = or_failed("address in the URL, no name to look up", literal(programs, effort, scratch))?;
    let secure = or_failed("https://, address in the URL", secure(programs, effort, scratch))?;
    let names = private::measure(programs, effort, scratch)?;
    let embedded = or_failed("www.example.local in the lab inside visit", embedded(programs, effort, scratch))?;
    Ok(vec![literal, secure, names, embedded])
}

fn or_failed(title: &str, measured: Result<Section>) -> Result<Section> {
    measured.or_else(|error| Ok(Section::unmeasured(PART, title, failed(error)?, None)))
}

/// The same URL with an address in it.
fn literal(programs: &Programs, effort: Effort, scratch: &Path) -> Result<Section> {
    let app = start_app(&programs.app, &scratch.join("literal"))?;
    let url = format!("http://{}/", app.server.address);
    let floor = Contestant::new("true", Ok(command("true")))?;
    let mut contestants = [ours(programs, OURS, &[&url])?, curl(&[&url])?, floor];
    let rows = contest(&format!("{PART}, address in the URL"), &BESIDE_CURL, &mut contestants, effort)?;
    let notes = vec![
        format!(
            "http://127.0.0.1:PORT/, the page of app; {} whole processes each, in turn, stdout to /dev/null",
            effort.runs
        ),
        "`true` does nothing: what starting any process costs here, and the least peak memory that can be seen".into(),
    ];
    let title = "address in the URL, no name to look up".into();
    Ok(Section { part: PART.into(), title, notes, peer: Some(CURL.name.into()), rows })
}

/// The same with TLS and HTTP/2, trusting the same file.
fn secure(programs: &Programs, effort: Effort, scratch: &Path) -> Result<Section> {
    let app = start_app(&programs.app, &scratch.join("secure"))?;
    let url = format!("https://{}/", app.https);
    let ca = app.ca.display().to_string();
    let mut contestants = [ours(programs, OURS, &["--cacert", &ca, &url])?, curl(&["--cacert", &ca, &url])?];
    let rows = contest(&format!("{PART}, https"), &BESIDE_CURL, &mut contestants, effort)?;
    let notes = vec![format!(
        "https://127.0.0.1:PORT/, the page of app by HTTP/2; both trust its authority by --cacert; {} whole processes each, \
         in turn",
        effort.runs
    )];
    let title = "https://, address in the URL".into();
    Ok(Section { part: PART.into(), title, notes, peer: Some(CURL.name.into()), rows })
}

/// The same URL with a name in it, and the same resolver, which has the answer already. In the network of `private`.
pub(crate) fn by_name(programs: &Programs, effort: Effort, resolver: &str, url: &str) -> Result<Section> {
    let mut contestants = [ours(programs, OURS, &["--resolver", resolver, url])?, curl(&[url])?];
    let rows = contest(&format!("{PART}, by name"), &BESIDE_CURL, &mut contestants, effort)?;
    let notes = vec![
        format!(
            "{url}; visit --resolver {resolver}, curl by getaddrinfo; {} whole processes each, in turn",
            effort.runs
        ),
        "both in one network namespace that has the lab's hosts as processes at their own addresses and ports, and a \
         resolv.conf of its own that names the same resolver; it has the answer in its cache"
            .into(),
    ];
    let title = "name in the URL, the same resolver".into();
    Ok(Section { part: PART.into(), title, notes, peer: Some(CURL.name.into()), rows })
}

/// Everything in one process: the lab starts, is visited and ends.
fn embedded(programs: &Programs, effort: Effort, scratch: &Path) -> Result<Section> {
    const URL: &str = "www.example.local";
    let mut contestants = [ours(programs, OURS, &[URL])?];
    let mut rows = contest(&format!("{PART}, embedded"), &IN_THE_LAB, &mut contestants, effort)?;
    let mut reported = vec![Vec::new(); 2];
    for _ in 0..effort.starts {
        let json = said(command(&programs.visit).args(["--json", URL]), LIMIT, scratch)?;
        let journey: serde_json::Value = serde_json::from_str(&json)?;
        for (samples, pointer) in reported.iter_mut().zip(["/place/ready_us", "/total_us"]) {
            let microseconds = journey.pointer(pointer).and_then(serde_json::Value::as_f64);
            samples.push(microseconds.with_context(|| format!("the journey has no {pointer}"))? / 1000.0);
        }
    }
    for (measure, samples) in ["lab ready", "the visit"].into_iter().zip(reported) {
        let (measure, of, unit) = (measure.to_owned(), "--json says".to_owned(), "ms".to_owned());
        rows.push(Row { measure, of, unit, found: Found::Measured { samples }, limit: None });
    }
    let notes = vec![
        format!("visit {URL}: the start and the end of the lab are part of it; {} whole processes", effort.runs),
        "lab ready: place.ready_us, from the decision to start the lab until all hosts were ready; the visit: total_us, \
         the stages alone"
            .into(),
    ];
    let title = format!("{URL} in the lab inside visit");
    Ok(Section { part: PART.into(), title, notes, peer: None, rows })
}

/// A visit under that name.
pub(crate) fn ours(programs: &Programs, name: &str, args: &[&str]) -> Result<Contestant<Command>> {
    let mut visit = command(&programs.visit);
    visit.args(MAX_TIME).args(args);
    Contestant::new(name, Ok(visit))
}

fn curl(args: &[&str]) -> Result<Contestant<Command>> {
    let program = match CURL.find() {
        Ok(program) => program,
        Err(why) => return Ok(Contestant::absent(CURL.name, why)),
    };
    let mut curl = command(program);
    // `-q`: nobody's ~/.curlrc. A page that is not there must not count as a visit.
    curl.args(["-q", "--silent", "--fail"]).args(MAX_TIME).args(args);
    Contestant::new(CURL.name, Ok(curl))
}

/// Runs all in turn, after once that does not count.
pub(crate) fn contest(
    what: &str,
    measures: &[Measure],
    contestants: &mut [Contestant<Command>],
    effort: Effort,
) -> Result<Vec<Row>> {
    // The first run of each fills caches: of files, and of the resolver.
    contest::hold(what, &[], contestants, 1, |command| run_one(command).map(|_| Vec::new()))?;
    contest::hold(what, measures, contestants, effort.runs, run_one)
}

fn run_one(command: &mut Command) -> Result<Vec<f64>> {
    let run = run(command, LIMIT)?;
    ensure!(run.status.success(), "{} ended with {}", command.get_program().to_string_lossy(), run.status);
    Ok(vec![run.wall.as_secs_f64() * 1e3, run.cpu.as_secs_f64() * 1e3, tree::mebibytes(run.peak_rss)])
}

/// Writes what the services of a world read, as the lab has it built in; returns the world's file.
pub(crate) fn write_world(folder: &Path, world: &world::World) -> Result<std::path::PathBuf> {
    let zones =
        world.hosts.values().filter_map(|host| host.nameserver.as_ref()).flat_map(|server| server.zones.values());
    let roots = world.hosts.values().filter_map(|host| host.resolver.as_ref()).map(|resolver| &resolver.roots);
    for name in zones.chain(roots).map(String::as_str).chain(["world.toml"]) {
        let file = folder.join(name);
        fs::create_dir_all(file.parent().unwrap_or(folder))?;
        fs::write(file, world::Files::BuiltIn.read(name)?)?;
    }
    Ok(folder.join("world.toml"))
}
