//! Scenarios are played: a lab is brought into a state, visits are made in it, and what came of them is held against what
//! was expected.
//!
//! | module | what |
//! |---|---|
//! | [`source`] | which scenarios: files, folders, those inside this program |
//! | [`stage`] | a lab in a scenario's state: one inside this program, or one that runs |
//! | [`play`] | one scenario, visit by visit |
//! | [`inside`] | what a scenario may not do: leave its lab |
//! | [`check`] | what came of a visit, and where it is not as expected |
//! | [`done`] | what came of all of them, as data |
//! | [`junit`], [`table`] | the same as JUnit XML, and as tables in Markdown |
//! | [`mask`] | text without what differs from one run to the next |
//!
//! Visits are made in this process, each as a program of its own would make it: from its command line, which the caller
//! reads, with nothing of the one before but what the lab remembers.

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
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use session::Caller;
use tokio::{runtime::Runtime, sync::mpsc};

use done::Done;
use play::Script;
use stage::Place;

/// How scenarios are played.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// On how many threads; on this one where there is none.
    pub jobs: usize,
    /// Whether the journeys are kept.
    pub keeps_journeys: bool,
}

/// Plays scenarios. `tell` is given each result as soon as its scenario ends. Returns the results of those that ended, in the
/// order of the scenarios; one that the caller cut short is left out.
pub fn all(
    scripts: &[Script],
    place: &Place,
    how: How,
    runtime: &Runtime,
    caller: &Caller,
    tell: &mut dyn FnMut(&Done),
) -> Vec<Done> {
    let next = AtomicUsize::new(0);
    let (hand_in, mut handed_in) = mpsc::unbounded_channel();
    let step = || {
        let nth = next.fetch_add(1, Ordering::Relaxed);
        let script = scripts.get(nth).filter(|_| !caller.interrupt.is_cancelled())?;
        let done = play::play(script, place, caller);
        let done = if how.keeps_journeys { done } else { done.without_journeys() };
        (!caller.interrupt.is_cancelled()).then_some((nth, done))
    };
    let work = |hand_in: mpsc::UnboundedSender<(usize, Done)>| {
        while let Some(done) = step() {
            // It is waited for below.
            let _ = hand_in.send(done);
        }
    };
    let mut all = Vec::new();
    let mut take = |(nth, done): (usize, Done)| {
        tell(&done);
        all.push((nth, done));
    };
    thread::scope(|scope| {
        let mut threads = 0;
        while threads < how.jobs {
            let (hand_in, work) = (hand_in.clone(), &work);
            let thread = thread::Builder::new().name(format!("scenario {}", threads + 1));
            if let Err(error) = thread.spawn_scoped(scope, move || work(hand_in)) {
                // The others do its part; where there is none, this thread does it.
                (caller.tell)(&format!("no thread for more than {} at once: {error}", threads.max(1)));
                break;
            }
            threads += 1;
        }
        drop(hand_in);
        if threads == 0 {
            while let Some(done) = step() {
                take(done);
                // Whoever wants it to end is heard in between.
                runtime.block_on(async { tokio::time::sleep(Duration::from_millis(1)).await });
            }
        }
        runtime.block_on(async {
            while let Some(done) = handed_in.recv().await {
                take(done);
            }
        });
    });
    all.sort_by_key(|(nth, _)| *nth);
    all.into_iter().map(|(_, done)| done).collect()
}
