//! A test for every scenario inside the program, in every way of running the world.

use std::{path::Path, sync::OnceLock};

use e2e::{
    runs::{Ended, Played, Set, may_skip, play, play_stopped},
    way::Way,
};
use libtest_mimic::{Completion, Failed, Trial};
use world::scenario::Scenario;

/// One run for all tests of a way.
static RUNS: [OnceLock<Result<Played, String>>; 4] = [const { OnceLock::new() }; 4];

/// The tests of a way; the first one that is run plays all scenarios, `report` is where the report of that run goes.
pub(crate) fn trials(way: Way, report: Option<&'static Path>) -> Result<Vec<Trial>, String> {
    let trial = |scenario: Scenario| {
        Trial::ignorable_test(format!("{}::{}", way.name(), scenario.name), move || {
            if let Some(why) = way.left_out() {
                return Ok(Completion::ignored_with(why));
            }
            one(way, report, &scenario).map_err(Failed::from)
        })
    };
    Ok(Set::BuiltIn.scenarios()?.into_iter().map(trial).collect())
}

/// What came of the one run.
pub(crate) fn run(way: Way, report: Option<&Path>) -> Result<&'static Played, String> {
    RUNS[way as usize].get_or_init(|| play(way, Set::BuiltIn, report)).as_ref().map_err(Clone::clone)
}

fn one(way: Way, report: Option<&Path>, scenario: &Scenario) -> Result<Completion, String> {
    let alone;
    let played = if scenario.stopped.is_empty() || !way.lasts() {
        run(way, report)?
    } else {
        alone = play_stopped(way, Set::BuiltIn, scenario)?;
        &alone
    };
    match played.result(scenario)? {
        Ended::Well => Ok(Completion::Completed),
        Ended::Skipped(why) if may_skip(way, scenario) => Ok(Completion::ignored_with(why)),
        Ended::Skipped(why) => Err(format!("it was skipped, and can be played so: {why}")),
    }
}
