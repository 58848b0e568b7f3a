//! `visit scenario`: scenarios are played, and what came of them is held against what was expected.
//!
//! | module | what |
//! |---|---|
//! | [`source`] | which scenarios: files, folders, those inside this program |
//! | [`stage`] | a lab in a scenario's state: one inside this program, or one that runs |
//! | [`play`] | one scenario, visit by visit |
//! | [`inside`] | what a scenario may not do: use files, leave its lab, tell credentials |
//! | [`check`] | what came of a visit, and where it is not as expected |
//! | [`done`] | what came of all of them, as data |
//! | [`junit`], [`table`] | the same as JUnit XML, and as tables in Markdown |
//! | [`mask`] | text without what differs from one run to the next |
//!
//! Visits are made in this process, each as a program of its own would make it: from its command line, with nothing of the
//! one before but what the lab remembers.

pub mod check;
pub mod done;
pub mod inside;
pub mod junit;
pub mod mask;
pub mod play;
pub mod source;
pub mod stage;
pub mod table;

use std::{
    io,
    num::NonZero,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use journey::outcome::exit;
use service::start::stop_on_signals;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use view::Style;

use crate::{
    Stopped,
    args::{LabWay, Scenarios},
    complain,
    ground::{self, Footing},
    kept,
    plan::{self, Ground},
    print, print_beside, screens, terminal,
};
use done::{Done, Summary};
use play::Script;
use stage::Place;

/// What to exit with where something was not as expected.
const UNEXPECTED: u8 = 1;

/// Plays what was said; returns the exit code.
pub fn run(args: &Scenarios) -> Result<u8, Stopped> {
    let scripts = source::read(&args.files, args.only.as_deref())?;
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
    let interrupt = CancellationToken::new();
    crate::room::descriptors()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { Ok::<_, io::Error>(tokio::spawn(stop_on_signals(interrupt.clone())?)) })?;
    place.announce(&runtime);
    let began = Instant::now();
    // Where stdout is one of the files, it holds nothing else.
    let files = [&args.junit, &args.json, &args.report];
    let is_file = files.into_iter().flatten().any(|file| file.as_os_str() == "-");
    let progress = Progress { tell: if is_file { print_beside } else { print }, style: &style };
    let (done, written) =
        play_all(&scripts, &place, jobs.clamp(1, scripts.len().max(1)), &runtime, &interrupt, &progress);
    let summary = Summary::of(&done, scripts.len(), began.elapsed());
    // Whoever read the progress may have gone; the files are written all the same.
    let written = written.and_then(|()| (progress.tell)(&screens::scenario_summary(&summary, &style)));
    save(args.junit.as_deref(), "--junit", || Ok(junit::xml(&done, &summary)?))?;
    save(args.json.as_deref(), "--json", || Ok(view::json(&done::records(&done))))?;
    save(args.report.as_deref(), "--report", || Ok(table::markdown(&done, &command(args), |host| place.role(host))))?;
    written?;
    Ok(code(interrupt.is_cancelled(), &summary))
}

/// What to exit with: what was not played is not as expected.
fn code(interrupted: bool, summary: &Summary) -> u8 {
    match (interrupted, summary.failed + summary.missing) {
        (true, _) => exit::INTERRUPTED,
        (false, 0) => exit::REACHED,
        (false, _) => UNEXPECTED,
    }
}

/// How it is told what came of each scenario, as soon as it is over.
#[derive(Clone, Copy, Debug)]
struct Progress<'a> {
    tell: fn(&str) -> Result<(), Stopped>,
    style: &'a Style,
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
        plan::running_lab(args.running.world.as_deref(), args.running.lab_net)?
    {
        let name = file.display().to_string();
        anyhow::ensure!(
            !matches!(args.lab, Some(LabWay::Wire | LabWay::Loopback)),
            "--lab=WAY says how labs inside this program run, and {name} describes one that runs elsewhere (VISIT_WORLD or \
             --world)"
        );
        let inside = book.inside.as_ref().map(|inside| Footing::enter(inside, &name)).transpose()?;
        return Ok(Place::Running { book, file, inside });
    }
    let variable = std::env::var(ground::VARIABLE).ok();
    let way = Footing::chosen(args.lab, variable.as_deref())?;
    Ok(Place::Embedded { footing: Footing::prepare(way)? })
}

/// Plays them, on so many threads, or on this one where there is none; those that were finished, in their order, and
/// whether their progress could be told.
fn play_all(
    scripts: &[Script],
    place: &Place,
    jobs: usize,
    runtime: &tokio::runtime::Runtime,
    interrupt: &CancellationToken,
    progress: &Progress<'_>,
) -> (Vec<Done>, Result<(), Stopped>) {
    let next = AtomicUsize::new(0);
    let (tell, mut told) = mpsc::unbounded_channel();
    // The next one, where there is one.
    let step = || {
        let nth = next.fetch_add(1, Ordering::Relaxed);
        let script = scripts.get(nth).filter(|_| !interrupt.is_cancelled())?;
        let done = play::play(script, place, interrupt);
        // What was cut short by the user says nothing.
        (!interrupt.is_cancelled()).then_some((nth, done))
    };
    let work = |tell: mpsc::UnboundedSender<(usize, Done)>| {
        while let Some(done) = step() {
            // It is waited for below.
            let _ = tell.send(done);
        }
    };
    let (mut all, mut written) = (Vec::new(), Ok(()));
    let mut take = |(nth, done): (usize, Done)| {
        if written.is_ok() {
            written = (progress.tell)(&screens::scenario_done(&done, progress.style));
        }
        all.push((nth, done));
    };
    thread::scope(|scope| {
        let mut threads = 0;
        while threads < jobs {
            let (tell, work) = (tell.clone(), &work);
            let started = thread::Builder::new()
                .name(format!("scenario {}", threads + 1))
                .spawn_scoped(scope, move || work(tell));
            if let Err(error) = started {
                // The others do its part; where there is none, this thread does it.
                complain(&format!("no thread for more than {} at once: {error}", threads.max(1)));
                break;
            }
            threads += 1;
        }
        drop(tell);
        if threads == 0 {
            while let Some(done) = step() {
                take(done);
                // Whoever wants it to end is heard in between.
                runtime.block_on(async { tokio::time::sleep(Duration::from_millis(1)).await });
            }
        }
        runtime.block_on(async {
            while let Some(done) = told.recv().await {
                take(done);
            }
        });
    });
    all.sort_by_key(|(nth, _)| *nth);
    (all.into_iter().map(|(_, done)| done).collect(), written)
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
    kept::save(file, &text).map_err(|source| Stopped::Save { file: file.display().to_string(), option, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_threads_this_one_plays() {
        let text = "about = \"x\"\nways = [\"wire\"]\n[[visit]]\nargs = [\"www.example.local\"]\nexit = 0\n";
        let script = |name: &str| {
            let scenario = world::scenario::read::file(text, name).unwrap().remove(0);
            Script::new(scenario, name).unwrap()
        };
        let scripts = [script("a.toml"), script("b.toml")];
        let place = Place::Embedded { footing: Footing::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let progress = Progress { tell: |_| Ok(()), style: &Style { color: false, unicode: true, width: 80 } };
        for jobs in [0, 2] {
            let (done, written) = play_all(&scripts, &place, jobs, &runtime, &CancellationToken::new(), &progress);
            assert!(written.is_ok());
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
