//! `visit scenario`: scenarios are played, and what came of them is held against what was expected.

mod line;

use std::{io, num::NonZero, path::Path, thread, time::Instant};

use anyhow::anyhow;
use journey::outcome::exit;
use scenario::{
    How,
    done::{self, Done, Summary},
    junit, source,
    stage::Place,
    table,
};
use service::start::stop_on_signals;
use session::{Caller, Ground, LabBackend, ground, lab_backend};
use tokio_util::sync::CancellationToken;

use crate::{
    Stopped,
    args::{LabWay, Scenarios},
    complain, print, print_beside, record_file, screens, terminal,
};

/// What to exit with where something was not as expected.
const UNEXPECTED: u8 = 1;

/// Plays what was said; returns the exit code.
pub fn run(args: &Scenarios) -> Result<u8, Stopped> {
    let scripts = source::read(&args.files, args.only.as_deref(), &line::read)?;
    let style = terminal::style(args.color);
    if args.list {
        print(&screens::scenarios(&scripts, &style))?;
        return Ok(exit::REACHED);
    }
    // While there is one thread: it may give this process a user namespace.
    let place = place(args)?;
    let jobs = match (&place, args.jobs) {
        (Place::Running { .. }, None) => 1,
        (Place::Running { .. }, Some(jobs)) if jobs.get() > 1 => {
            return Err(anyhow!("--jobs {jobs}: scenarios in one lab that runs would meet each other's faults").into());
        }
        (_, Some(jobs)) => jobs.get(),
        (_, None) => thread::available_parallelism().map_or(1, NonZero::get),
    };
    let caller = Caller { interrupt: CancellationToken::new(), tell: complain };
    session::capacity::descriptors()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { Ok::<_, io::Error>(tokio::spawn(stop_on_signals(caller.interrupt.clone())?)) })?;
    place.announce(&runtime, complain);
    let began = Instant::now();
    // Where stdout is one of the files, it holds nothing else.
    let files = [&args.junit, &args.json, &args.report];
    let is_file = files.into_iter().flatten().any(|file| file.as_os_str() == "-");
    let say = if is_file { print_beside } else { print };
    let mut written = Ok(());
    let how = How { jobs: jobs.clamp(1, scripts.len().max(1)), keeps_journeys: args.journeys };
    let mut tell = |done: &Done| {
        if written.is_ok() {
            written = say(&screens::scenario_done(done, &style));
        }
    };
    let done = scenario::all(&scripts, &place, how, &runtime, &caller, &mut tell);
    let summary = Summary::of(&done, scripts.len(), began.elapsed());
    // Write the files even if stdout is closed.
    let written = written.and_then(|()| say(&screens::scenario_summary(&summary, &style)));
    save(args.junit.as_deref(), "--junit", || Ok(junit::xml(&done)?))?;
    save(args.json.as_deref(), "--json", || Ok(view::json(&done::records(&done))))?;
    save(args.report.as_deref(), "--report", || Ok(table::markdown(&done, &command(args), |host| place.role(host))))?;
    written?;
    Ok(code(caller.interrupt.is_cancelled(), &summary))
}

/// What to exit with: what was not played is not as expected.
fn code(interrupted: bool, summary: &Summary) -> u8 {
    match (interrupted, summary.failed + summary.missing) {
        (true, _) => exit::INTERRUPTED,
        (false, 0) => exit::REACHED,
        (false, _) => UNEXPECTED,
    }
}

/// What was typed, as far as it says what a report is of.
fn command(args: &Scenarios) -> Vec<String> {
    let mut words = vec!["visit".to_owned(), "scenario".to_owned()];
    words.extend(args.files.iter().map(|file| file.display().to_string()));
    for (option, value) in
        [("--only", args.only.clone()), ("--report", args.report.as_ref().map(|file| file.display().to_string()))]
    {
        words.extend(value.into_iter().flat_map(|value| [option.to_owned(), value]));
    }
    words
}

/// Where they are played.
fn place(args: &Scenarios) -> anyhow::Result<Place> {
    if let Some(Ground::Running { book, file }) =
        ground::running_lab(args.running.world.as_deref(), args.running.lab_net)?
    {
        let name = file.display().to_string();
        anyhow::ensure!(
            !matches!(args.lab, Some(LabWay::Wire | LabWay::Loopback)),
            "--lab=WAY says how labs inside this program run, and {name} describes one that runs elsewhere (VISIT_WORLD or \
             --world)"
        );
        let inside = book.inside.as_ref().map(|inside| LabBackend::enter(inside, &name)).transpose()?;
        return Ok(Place::Running { book, file, inside });
    }
    let variable = std::env::var(lab_backend::VARIABLE).ok();
    let way = LabBackend::chosen(args.lab.map(Into::into), variable.as_deref())?;
    Ok(Place::Embedded { backend: LabBackend::prepare(way)? })
}

fn save(
    file: Option<&Path>,
    option: &'static str,
    text: impl FnOnce() -> Result<String, Stopped>,
) -> Result<(), Stopped> {
    let Some(file) = file else { return Ok(()) };
    let text = text()?;
    if file.as_os_str() == "-" {
        return print(&text);
    }
    record_file::save(file, &text).map_err(|source| Stopped::Save { file: file.display().to_string(), option, source })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use scenario::play::Script;

    use super::*;

    #[test]
    fn without_threads_this_one_plays() {
        let text = "about = \"x\"\nways = [\"wire\"]\n[[visit]]\nargs = [\"www.example.local\"]\nexit = 0\n";
        let script = |name: &str| {
            let scenario = world::scenario::read::file(text, name).unwrap().remove(0);
            Script::new(scenario, name, &line::read).unwrap()
        };
        let scripts = [script("a.toml"), script("b.toml")];
        let place = Place::Embedded { backend: LabBackend::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let caller = Caller { interrupt: CancellationToken::new(), tell: |_| () };
        for jobs in [0, 2] {
            let mut told = 0;
            let done =
                scenario::all(&scripts, &place, How { jobs, keeps_journeys: false }, &runtime, &caller, &mut |_| {
                    told += 1
                });
            assert_eq!(told, 2);
            let names: Vec<&str> = done.iter().map(|done| done.scenario.name.as_str()).collect();
            assert_eq!(names, ["a", "b"], "{jobs} threads");
        }
    }

    #[test]
    fn what_was_not_played_is_not_as_expected() {
        let summary = |missing| Summary { passed: 1, failed: 0, skipped: 1, missing, took: Duration::ZERO };
        assert_eq!(code(false, &summary(0)), exit::REACHED);
        assert_eq!(code(false, &summary(1)), UNEXPECTED);
        assert_eq!(code(true, &summary(1)), exit::INTERRUPTED);
    }
}
