//! Plays every scenario of `scenarios/` in every chosen way; each is a test of its own. In compose also those inside the
//! program, which `faults.rs` plays in all other ways.

mod built_in;
mod containers;

use std::{fs, process::ExitCode};

use e2e::{
    story::{difference, story},
    way::{self, Stage, Way, read_all, root},
};
use journey::Journey;
use libtest_mimic::{Arguments, Failed, Trial};
use scenario::check::is_at_fault;
use serde_json::{Deserializer, Value};
use view::{Detail, Style};
use world::scenario::{Scenario, Visit, subset::contains};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let ways = match Way::chosen() {
        Ok(ways) => ways,
        Err(why) => return fail(&why),
    };
    let scenarios = match read_all(&root().join("tests/scenarios")) {
        Ok(scenarios) => scenarios,
        Err(why) => return fail(&why),
    };
    if ways.contains(&Way::Compose) && !arguments.list {
        // One world for all: its scenarios change it, so they go one after the other.
        arguments.test_threads = Some(1);
        if let Err(why) = way::compose_up() {
            return fail(&why);
        }
    }
    let trials = ways.iter().flat_map(|way| {
        let playable = scenarios.iter().filter(|scenario| way.can_play(scenario));
        let left_out = way.left_out();
        if let Some(why) = &left_out {
            say(&format!("{}: every test is ignored, since this machine refuses it: {why}", way.name()));
        }
        playable.map(move |scenario| {
            let (way, scenario) = (*way, scenario.clone());
            Trial::test(format!("{}::{}", way.name(), scenario.name), move || {
                play(way, &scenario).map_err(Failed::from)
            })
            .with_ignored_flag(left_out.is_some())
        })
    });
    let mut trials: Vec<Trial> = trials.collect();
    if ways.contains(&Way::Compose) {
        trials.extend(containers::trials());
        match built_in::trials(Way::Compose, None) {
            Ok(more) => trials.extend(more),
            Err(why) => return fail(&why),
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn fail(why: &str) -> ExitCode {
    say(why);
    ExitCode::FAILURE
}

#[allow(clippy::print_stderr)]
fn say(text: &str) {
    eprintln!("{text}");
}

fn play(way: Way, scenario: &Scenario) -> Result<(), String> {
    let stage = way.set_up(scenario)?;
    for visit in &scenario.visit {
        let at = |why| format!("visit {}: {why}", visit.args.join(" "));
        let journey = one(&stage, scenario, visit).map_err(at)?;
        if way.is_compared() && scenario.is_momentary() {
            let loopback = Stage::Embedded { network: "loopback" };
            let other = one(&loopback, scenario, visit).map_err(|why| at(format!("on loopback: {why}")))?;
            if let Some(difference) = difference(&story(&journey), &story(&other)) {
                return Err(at(format!("it tells another story on loopback: {difference}")));
            }
        }
    }
    Ok(())
}

/// Makes a visit, and checks what came of it.
fn one(stage: &Stage, scenario: &Scenario, visit: &Visit) -> Result<Value, String> {
    let mut args: Vec<&str> = vec!["--json"];
    args.extend(scenario.faults_of(visit).flat_map(|fault| ["--fault", fault]));
    args.extend(visit.args.iter().map(String::as_str));
    let output = stage.visit(&args)?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    let journey = last_journey(&output.stdout).map_err(|why| format!("{why}\n{stderr}"))?;
    check(&journey, visit, output.status.code())
        .map_err(|why| format!("{why}\n{stderr}\n{}", serde_json::to_string_pretty(&journey).unwrap_or_default()))?;
    Ok(journey)
}

fn check(journey: &Value, visit: &Visit, code: Option<i32>) -> Result<(), String> {
    if code != Some(visit.exit.into()) {
        return Err(format!("exit code {code:?}, expected {}", visit.exit));
    }
    validate(journey)?;
    contains(journey, &Value::Object(visit.journey.clone())).map_err(|difference| difference.to_string())?;
    let verdict = journey["outcome"]["verdict"].as_str().unwrap_or_default();
    if let Some(expected) = visit.verdict.as_ref().filter(|expected| !verdict.contains(expected.as_str())) {
        return Err(format!("the verdict is {verdict:?}, which does not contain {expected:?}"));
    }
    if let Some(cause) = &visit.cause {
        let read: Journey = serde_json::from_value(journey.clone()).map_err(|error| format!("no journey: {error}"))?;
        if !is_at_fault(cause, &read) {
            return Err(format!("at fault is {:?}, expected {cause:?}", read.outcome.causes));
        }
    }
    let events = journey["events"].as_array().cloned().unwrap_or_default();
    for unwanted in &visit.never {
        if let Some(event) = events.iter().find(|event| contains(event, unwanted).is_ok()) {
            return Err(format!("there is an event that must not be: {event}"));
        }
    }
    on_screen(journey, &visit.screen)
}

/// The last of the journeys in an output: several URLs give several.
fn last_journey(output: &[u8]) -> Result<Value, String> {
    let mut last = None;
    for journey in Deserializer::from_slice(output).into_iter::<Value>() {
        last = Some(journey.map_err(|error| format!("no JSON: {error}"))?);
    }
    last.ok_or_else(|| "nothing was printed".to_owned())
}

fn validate(journey: &Value) -> Result<(), String> {
    let file = root().join("docs/journey.schema.json");
    let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let schema = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    jsonschema::validate(&schema, journey).map_err(|error| format!("not as the schema says: {error}"))
}

/// The screen is a pure view of the journey, so it is that of the visit that was just made.
fn on_screen(journey: &Value, texts: &[String]) -> Result<(), String> {
    let journey: Journey = serde_json::from_value(journey.clone()).map_err(|error| format!("no journey: {error}"))?;
    let screen = view::screen(&journey, &Style { color: false, unicode: true, width: 80 }, Detail::default());
    // Lines may be broken anywhere between words.
    let flat = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    match texts.iter().find(|text| !flat.contains(text.as_str())) {
        Some(text) => Err(format!("{text:?} is not on the screen:\n{screen}")),
        None => Ok(()),
    }
}
