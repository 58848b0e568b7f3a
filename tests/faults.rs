//! Faults: every scenario inside the program in every way of running the world, and whether these scenarios are worth
//! something. `tests/scenarios.rs` plays them in compose.
//!
//! | module | what |
//! |---|---|
//! | `built_in` | a test for every scenario |
//! | `complete` | there is one for every fault at every host |
//! | `mutations` | scenarios with each other's faults fail |
//! | `seeds` | the same seed is the same course |
//! | `docs` | `docs/faults.md` is what comes of them |

mod built_in;
#[path = "faults/complete.rs"]
mod complete;
#[path = "faults/docs.rs"]
mod docs;
#[path = "faults/mutations.rs"]
mod mutations;
#[path = "faults/seeds.rs"]
mod seeds;

use std::{path::PathBuf, process::ExitCode, sync::OnceLock};

use e2e::{runs::scratch, way::Way};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Each plays many at once already, and what is late is told of.
    arguments.test_threads = Some(1);
    match trials() {
        Ok(trials) => {
            let conclusion = libtest_mimic::run(&arguments, trials);
            let _ = std::fs::remove_file(report());
            conclusion.exit_code()
        }
        Err(why) => fail(&why),
    }
}

/// Where the report of the run in networks goes.
pub(crate) fn report() -> &'static PathBuf {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| scratch("faults.md"))
}

fn trials() -> Result<Vec<Trial>, String> {
    let ways = Way::chosen()?;
    let mut trials =
        vec![test("complete", complete::every_fault_at_every_host), test("docs_rows", docs::rows_are_read)];
    for way in ways {
        match way {
            Way::Embedded => {
                trials.push(test("mutations", mutations::with_each_others_faults));
                trials.push(test("seeds::loopback", seeds::of_a_name_server));
                trials.extend(built_in::trials(way, None)?);
            }
            Way::Wire => {
                trials.push(in_networks("seeds::wire", seeds::of_the_network));
                trials.extend(built_in::trials(way, Some(report()))?);
                trials.push(in_networks("docs", docs::as_it_comes));
            }
            Way::Running => trials.extend(built_in::trials(way, None)?),
            Way::Compose => {}
        }
    }
    Ok(trials)
}

fn test(name: &str, test: fn() -> Result<(), String>) -> Trial {
    Trial::test(name, move || test().map_err(Failed::from))
}

fn in_networks(name: &str, test: fn() -> Result<(), String>) -> Trial {
    Trial::ignorable_test(name, move || match Way::Wire.left_out() {
        Some(why) => Ok(Completion::ignored_with(why)),
        None => test().map(|()| Completion::Completed).map_err(Failed::from),
    })
}

#[allow(clippy::print_stderr)]
fn fail(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}
