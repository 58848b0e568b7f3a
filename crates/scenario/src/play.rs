//! One scenario, visit by visit.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use journey::{Journey, Trouble, outcome::exit};
use probe::visitable::Visitable;
use session::{Caller, Session, Settings};
use tokio::runtime::Runtime;
use world::{
    fault::Fault,
    scenario::{self, Scenario},
};

use crate::{
    check,
    done::{Done, End, Visited},
    inside,
    stage::{NotPlayed, Place, Stage},
};

/// What a visit's command line says.
#[derive(Clone, Debug)]
pub struct Line {
    /// The URLs, one after the other.
    pub urls: Vec<Visitable>,
    /// How they are visited.
    pub settings: Settings,
    /// What was typed, as it may be shown and kept.
    pub shown: Vec<String>,
}

/// Reads what is typed behind `visit`.
pub type ReadLine<'a> = &'a dyn Fn(&[String]) -> anyhow::Result<Line>;

/// A scenario that can be played: its command lines are read.
#[derive(Clone, Debug)]
pub struct Script {
    /// The scenario.
    pub scenario: Scenario,
    /// The file that it is in.
    pub file: String,
    // For each of its visits.
    lines: Vec<Line>,
}

impl Script {
    /// Reads what the scenario has typed; the error says where it is wrong.
    pub fn new(scenario: Scenario, file: &str, read: ReadLine<'_>) -> anyhow::Result<Self> {
        let mut lines = Vec::new();
        for (nth, visit) in scenario.visit.iter().enumerate() {
            let line = line(&scenario, visit, read)
                .map_err(|error| anyhow!("{file}: scenario {:?}, visit {}: {error}", scenario.name, nth + 1))?;
            lines.push(line);
        }
        Ok(Self { scenario, file: file.to_owned(), lines })
    }

    /// What each of its visits types.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }
}

/// What a visit's command line says, with the scenario's faults in it.
fn line(scenario: &Scenario, visit: &scenario::Visit, read: ReadLine<'_>) -> anyhow::Result<Line> {
    if let Some(cause) = &visit.cause {
        serde_json::from_value::<Trouble>(cause.trouble.as_str().into()).map_err(|error| anyhow!("cause: {error}"))?;
    }
    let mut line = read(&visit.args)?;
    let more = scenario.faults_of(visit).map(str::parse::<Fault>).collect::<Result<Vec<_>, _>>()?;
    line.settings.faults = more.into_iter().chain(line.settings.faults).collect();
    Ok(line)
}

/// How often a scenario is played where this machine is too busy to tell what came of it.
const MOST_TRIES: u32 = 3;

/// Plays it where it is to be played. A visit that says itself that this machine was too busy to tell has measured nothing:
/// the scenario is then played again, and it is told how often.
pub fn play(script: &Script, place: &Place, caller: &Caller) -> Done {
    let began = Instant::now();
    let mut too_busy = 0;
    let end = loop {
        match stages(script, place, caller) {
            Ok(visits) if too_busy + 1 < MOST_TRIES && visits.iter().any(Visited::is_too_busy) => too_busy += 1,
            Ok(visits) => break End::Played(visits),
            Err(NotPlayed::Skipped(why)) => break End::Skipped(why),
            Err(NotPlayed::Broken(error)) => break End::Broken(format!("{error:#}")),
        }
    };
    let (scenario, file) = (script.scenario.clone(), script.file.clone());
    Done { scenario, file, way: place.way(), end, too_busy, took: began.elapsed() }
}

fn stages(script: &Script, place: &Place, caller: &Caller) -> Result<Vec<Visited>, NotPlayed> {
    // What it does on threads of its own must not be left to one that stands in another lab's network.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().thread_keep_alive(Duration::ZERO).build()?;
    let running = place.ground();
    inside::records_stay(&script.scenario, running.as_ref())?;
    script.lines.iter().try_for_each(|line| inside::stays(line, running.as_ref()))?;
    let mut stage = place.set(&script.scenario, &runtime, caller.tell)?;
    let visits = visits(script, &mut stage, &runtime, caller);
    let ended = stage.end();
    let visits = visits?;
    ended?;
    Ok(visits)
}

fn visits(script: &Script, stage: &mut Stage<'_>, runtime: &Runtime, caller: &Caller) -> anyhow::Result<Vec<Visited>> {
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
            line.settings.faults.drain(..scenario.faults.len());
        }
        stage.replace(&visit.records)?;
        let wait = visit.waits().map_err(|why| anyhow!("{why}"))?;
        if let Some(wait) = wait {
            stage.advance(wait)?;
        }
        stage.disturb(&line.settings.faults[standing..])?;
        let began = Instant::now();
        let seen = visit_all(&line, stage, runtime, caller);
        if caller.interrupt.is_cancelled() {
            break;
        }
        let visited = check::visited(visit, &line.settings.faults, seen, began.elapsed());
        done.push(Visited { args: line.shown, ..visited });
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

fn visit_all(line: &Line, stage: &Stage<'_>, runtime: &Runtime, caller: &Caller) -> Seen {
    let mut seen = Seen { exit: exit::REACHED, journey: Err("it made no visit".to_owned()) };
    let mut session = match Session::lent(line.settings.clone(), stage.lend(), caller.clone()) {
        Ok(session) => session,
        Err(error) => return not_made(&error),
    };
    for url in &line.urls {
        let journey = match one(&mut session, url, runtime) {
            Ok(journey) => journey,
            Err(error) => return not_made(&error),
        };
        if seen.exit == exit::REACHED {
            seen.exit = journey.exit_code;
        }
        seen.journey = Ok(Box::new(journey));
        if caller.interrupt.is_cancelled() {
            break;
        }
    }
    seen
}

fn one(session: &mut Session, url: &Visitable, runtime: &Runtime) -> anyhow::Result<Journey> {
    let seat = session.seat(url)?;
    let mut visit = || runtime.block_on(session.visit(url));
    match seat {
        None => visit(),
        Some(namespace) => namespace.run(visit)?,
    }
}

fn not_made(error: &anyhow::Error) -> Seen {
    Seen { exit: exit::LOCAL, journey: Err(format!("{error:#}")) }
}
