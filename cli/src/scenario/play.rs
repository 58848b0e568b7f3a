//! One scenario, visit by visit.

use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure};
use clap::{CommandFactory, FromArgMatches, parser::ValueSource};
use journey::{Journey, Trouble, outcome::exit};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use world::{
    fault::Fault,
    scenario::{self, Scenario},
};

use super::{
    check,
    done::{Done, End, Visited},
    inside,
    stage::{NotPlayed, Place, Stage},
};
use crate::{
    Stopped,
    args::{Cli, Visit},
    visitor::Visitor,
};
use probe::target::{self, Scheme};
use secrets::Secrets;

/// A scenario that can be played: its command lines are read.
#[derive(Clone, Debug)]
pub struct Script {
    /// The scenario.
    pub scenario: Scenario,
    /// The file that it is in.
    pub file: String,
    // For each of its visits.
    lines: Vec<Visit>,
}

impl Script {
    /// Reads what the scenario has typed; the error says where it is wrong.
    pub fn new(scenario: Scenario, file: &str) -> anyhow::Result<Self> {
        let mut lines = Vec::new();
        for (nth, visit) in scenario.visit.iter().enumerate() {
            let line = line(&scenario, visit)
                .map_err(|error| anyhow!("{file}: scenario {:?}, visit {}: {error}", scenario.name, nth + 1))?;
            lines.push(line);
        }
        Ok(Self { scenario, file: file.to_owned(), lines })
    }
}

/// What a visit's command line says, with the scenario's faults in it.
fn line(scenario: &Scenario, visit: &scenario::Visit) -> anyhow::Result<Visit> {
    if let Some(cause) = &visit.cause {
        serde_json::from_value::<Trouble>(cause.trouble.as_str().into()).map_err(|error| anyhow!("cause: {error}"))?;
    }
    let words = ["visit"].into_iter().chain(visit.args.iter().map(String::as_str));
    let matches = Cli::command().try_get_matches_from(words).map_err(|error| anyhow!("{}", error.render()))?;
    let cli = Cli::from_arg_matches(&matches)?;
    ensure!(cli.command.is_none(), "{:?} is no visit", visit.args.join(" "));
    let mut line = cli.visit;
    ensure!(line.limits.repeat.is_none(), "-n makes a series, and what is expected is said of one visit");
    ensure!(line.output.compare.is_none(), "--compare makes no visit");
    // What the environment says is not meant for it.
    let from_environment = |id: &str| matches.value_source(id) == Some(ValueSource::EnvVariable);
    if from_environment("resolver") {
        line.names.resolver = None;
    }
    line.world = line.world.filter(|_| !from_environment("world"));
    ensure!(line.world.is_none(), "--world: the lab that a scenario is played in is named to `visit scenario`");
    inside::no_files(&line)?;
    let is_raw = |url: &String| {
        let scheme = target::parse(url, Secrets::Removed).ok().map(|(_, target)| target.scheme);
        matches!(scheme, Some(Scheme::Tcp | Scheme::Udp))
    };
    if line.urls.iter().any(is_raw) {
        // Nor is what this program's stdin has.
        line.request.send.get_or_insert_default();
    }
    let more = scenario.faults_of(visit).map(str::parse::<Fault>).collect::<Result<Vec<_>, _>>()?;
    line.fault = more.into_iter().chain(line.fault).collect();
    Ok(line)
}

/// Plays it where it is to be played.
pub fn play(script: &Script, place: &Place, interrupt: &CancellationToken) -> Done {
    let began = Instant::now();
    let end = match stages(script, place, interrupt) {
        Ok(visits) => End::Played(visits),
        Err(NotPlayed::Skipped(why)) => End::Skipped(why),
        Err(NotPlayed::Broken(error)) => End::Broken(format!("{error:#}")),
    };
    Done { scenario: script.scenario.clone(), file: script.file.clone(), way: place.way(), end, took: began.elapsed() }
}

fn stages(script: &Script, place: &Place, interrupt: &CancellationToken) -> Result<Vec<Visited>, NotPlayed> {
    // What it does on threads of its own must not be left to one that stands in another lab's network.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().thread_keep_alive(Duration::ZERO).build()?;
    let running = place.ground();
    inside::records_stay(&script.scenario, running.as_ref())?;
    script.lines.iter().try_for_each(|line| inside::stays(line, running.as_ref()))?;
    let mut stage = place.set(&script.scenario, &runtime)?;
    let visits = visits(script, &mut stage, &runtime, interrupt);
    let ended = stage.end();
    let visits = visits?;
    ended?;
    Ok(visits)
}

fn visits(
    script: &Script,
    stage: &mut Stage<'_>,
    runtime: &Runtime,
    interrupt: &CancellationToken,
) -> anyhow::Result<Vec<Visited>> {
    let mut done = Vec::new();
    let scenario = &script.scenario;
    // Those of the scenario itself are there from its beginning, until they are cleared.
    let mut standing = scenario.faults.len();
    for (visit, line) in scenario.visit.iter().zip(&script.lines) {
        let mut line = line.clone();
        if visit.clear {
            stage.clear()?;
            standing = 0;
        }
        if standing == 0 {
            line.fault.drain(..scenario.faults.len());
        }
        stage.replace(&visit.records)?;
        let wait = visit.waits().map_err(|why| anyhow!("{why}"))?;
        if let Some(wait) = wait {
            stage.advance(wait)?;
        }
        stage.disturb(&line.fault[standing..])?;
        let began = Instant::now();
        let seen = visit_all(&line, stage, runtime, interrupt);
        if interrupt.is_cancelled() {
            break;
        }
        let args = inside::without_secrets(&visit.args, &line);
        done.push(Visited { args, ..check::visited(visit, &line.fault, seen, began.elapsed()) });
    }
    Ok(done)
}

/// What came of a command line: the code that it exits with, and the last of its journeys or what it said instead.
#[derive(Debug)]
pub struct Seen {
    /// What it exits with.
    pub exit: u8,
    /// The journey.
    pub journey: Result<Box<Journey>, String>,
}

fn visit_all(line: &Visit, stage: &Stage<'_>, runtime: &Runtime, interrupt: &CancellationToken) -> Seen {
    let mut visitor = match Visitor::lent(line, stage.lend(), interrupt.clone()) {
        Ok(visitor) => visitor,
        Err(stopped) => return said(stopped),
    };
    let mut seen = Seen { exit: exit::REACHED, journey: Err("it made no visit".to_owned()) };
    for url in &line.urls {
        let journey = match one(&mut visitor, url, runtime) {
            Ok(journey) => journey,
            Err(stopped) => return said(stopped),
        };
        if seen.exit == exit::REACHED {
            seen.exit = journey.exit_code;
        }
        seen.journey = Ok(Box::new(journey));
        if interrupt.is_cancelled() {
            break;
        }
    }
    seen
}

fn one(visitor: &mut Visitor<'_>, url: &str, runtime: &Runtime) -> Result<Journey, Stopped> {
    let seat = visitor.seat(url)?;
    let mut visit = || runtime.block_on(visitor.visit(url));
    match seat {
        None => visit(),
        Some(namespace) => namespace.run(visit)?,
    }
}

fn said(stopped: Stopped) -> Seen {
    let (exit, why) = match stopped {
        Stopped::Local(error) => (exit::LOCAL, format!("{error:#}")),
        Stopped::Write(error) => (exit::WRITE, error.to_string()),
        Stopped::Save { file, source, .. } => (exit::WRITE, format!("{file}: {source}")),
        Stopped::PipeClosed => (exit::REACHED, "nobody reads what it says".to_owned()),
    };
    Seen { exit, journey: Err(why) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(visit: &str) -> Result<Script, String> {
        let text = format!("about = \"x\"\nfaults = [\"auth1:drop\"]\n[[visit]]\nexit = 0\n{visit}");
        let scenario = scenario::read::file(&text, "x.toml").unwrap().remove(0);
        Script::new(scenario, "x.toml").map_err(|error| error.to_string())
    }

    #[test]
    fn command_lines() {
        let read =
            script("args = [\"-4\", \"--fault\", \"app1:cut\", \"tcp://a:1\"]\nfaults = [\"tld:slow=1s\"]").unwrap();
        let line = &read.lines[0];
        let faults: Vec<String> = line.fault.iter().map(ToString::to_string).collect();
        assert_eq!(faults, ["auth1:drop", "tld:slow=1s", "app1:cut"]);
        assert!(line.names.v4 && line.request.send.as_deref() == Some(""));
    }

    #[test]
    fn what_is_no_visit() {
        let check = |visit: &str, words: &str| {
            let error = script(visit).unwrap_err();
            assert!(error.starts_with("x.toml: scenario \"x\", visit 1: ") && error.contains(words), "{error}");
        };
        check("args = [\"--nonsense\", \"a\"]", "unexpected argument '--nonsense'");
        check("args = [\"doctor\"]", "is no visit");
        check("args = [\"-n\", \"3\", \"a\"]", "a series");
        check("args = [\"--world\", \"x\", \"a\"]", "--world");
        for (args, option) in [
            ("\"-o\", \"f\"", "-o FILE"),
            ("\"-o\", \"-\"", "-o FILE"),
            ("\"--save=f\"", "--save"),
            ("\"-sd\", \"@/etc/hostname\"", "-d @FILE"),
            ("\"--data\", \"@-\"", "-d @FILE"),
            ("\"--cacert\", \"f\"", "--cacert"),
            ("\"--pcap\", \"f\"", "--pcap"),
        ] {
            check(&format!("args = [{args}, \"a\"]"), &format!("{option}: a scenario writes and reads no files"));
        }
        check("args = [\"a\"]\ncause = { trouble = \"dns_no_anser\" }", "unknown variant `dns_no_anser`");
    }
}
