//! Plays every scenario of `scenarios/` in every chosen way; each is a test of its own. In compose also those inside the
//! program, which `faults.rs` plays in all other ways.

mod built_in;
mod containers;

use std::{
    fs,
    process::ExitCode,
    sync::{LazyLock, OnceLock},
};

use e2e::{
    runs::{Ended, Played, Set, may_skip, play, play_stopped},
    story::{difference, story},
    way::{self, Way, root},
};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use serde_json::Value;
use world::scenario::Scenario;

/// One run for all tests of a way.
static RUNS: [OnceLock<Result<Played, String>>; 4] = [const { OnceLock::new() }; 4];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let (ways, scenarios) = match (Way::chosen(), Set::Tests.scenarios()) {
        (Ok(ways), Ok(scenarios)) => (ways, scenarios),
        (Err(why), _) | (_, Err(why)) => return fail(&why),
    };
    // A run plays many at once already, and in one lab that lasts they go one after the other.
    arguments.test_threads = Some(1);
    if ways.contains(&Way::Compose)
        && !arguments.list
        && let Err(why) = way::compose_up()
    {
        return fail(&why);
    }
    let trials = ways.iter().flat_map(|way| scenarios.iter().map(|scenario| trial(*way, scenario.clone())));
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

#[allow(clippy::print_stderr)]
fn fail(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}

fn trial(way: Way, scenario: Scenario) -> Trial {
    Trial::ignorable_test(format!("{}::{}", way.name(), scenario.name), move || match way.left_out() {
        Some(why) => Ok(Completion::ignored_with(why)),
        None => one(way, &scenario).map_err(Failed::from),
    })
}

fn one(way: Way, scenario: &Scenario) -> Result<Completion, String> {
    let alone;
    let played = if scenario.stopped.is_empty() || !way.lasts() {
        run(way)?
    } else {
        alone = play_stopped(way, Set::Tests, scenario)?;
        &alone
    };
    match played.result(scenario)? {
        Ended::Skipped(why) if may_skip(way, scenario) => return Ok(Completion::ignored_with(why)),
        Ended::Skipped(why) => return Err(format!("it was skipped, and can be played so: {why}")),
        Ended::Well => {}
    }
    played.journeys(scenario).try_for_each(validate)?;
    if way.is_compared() && scenario.is_momentary() {
        let loopback = run(Way::Embedded)?;
        for (journey, other) in played.journeys(scenario).zip(loopback.journeys(scenario)) {
            if let Some(difference) = difference(&story(journey), &story(other)) {
                return Err(format!("it tells another story on loopback: {difference}"));
            }
        }
    }
    Ok(Completion::Completed)
}

fn run(way: Way) -> Result<&'static Played, String> {
    RUNS[way as usize].get_or_init(|| play(way, Set::Tests, None)).as_ref().map_err(Clone::clone)
}

fn validate(journey: &Value) -> Result<(), String> {
    static SCHEMA: LazyLock<Result<jsonschema::Validator, String>> = LazyLock::new(|| {
        let file = root().join("docs/journey.schema.json");
        let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let schema = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        jsonschema::validator_for(&schema).map_err(|error| error.to_string())
    });
    let schema = SCHEMA.as_ref().map_err(Clone::clone)?;
    schema.validate(journey).map_err(|error| format!("not as the schema says: {error}"))
}
