//! `visit -n`: the same URL again and again.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use diagnosis::series::{Series, Visit, Wanted};
use journey::Reason;
use probe::visitable::Visitable;
use session::Session;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::Stopped;

/// How often, and how.
#[derive(Debug)]
pub struct Plan {
    /// How many visits.
    pub visits: u32,
    /// The pause between them.
    pub interval: Duration,
    /// Whether the whole journeys are kept; what is shown does not need them.
    pub journeys: bool,
    /// Whether to tell how far it is.
    pub progress: bool,
}

/// Visits a URL as often as the plan says, or until the user stops it. A visit that was cut short by the user says nothing
/// of what was visited, and is left out.
pub async fn run(
    session: &mut Session,
    url: &Visitable,
    plan: &Plan,
    interrupt: &CancellationToken,
) -> Result<Series, Stopped> {
    let interval_us = u64::try_from(plan.interval.as_micros()).unwrap_or(u64::MAX);
    let wanted = Wanted { visits: plan.visits, interval_us };
    let mut progress = Progress::new(plan);
    let mut visits: Vec<Visit> = Vec::new();
    let mut journeys = Vec::new();
    loop {
        let journey = session.visit(url).await?;
        let cut = journey.outcome.reason == Some(Reason::Interrupted);
        if !cut {
            visits.push(Visit::of(&journey));
            progress.tell(&visits);
        }
        let ended = cut || visits.len() >= usize::try_from(plan.visits).unwrap_or(usize::MAX);
        if ended || !pause(plan.interval, interrupt).await {
            progress.end();
            let interrupted = visits.len() < usize::try_from(plan.visits).unwrap_or(usize::MAX);
            let mut series = Series::new(&wanted, &journey, visits, interrupted);
            if plan.journeys && !cut {
                journeys.push(journey);
            }
            series.journeys = journeys;
            return Ok(series);
        }
        if plan.journeys {
            journeys.push(journey);
        }
    }
}

/// Waits between two visits; tells whether there is to be another.
async fn pause(interval: Duration, interrupt: &CancellationToken) -> bool {
    tokio::select! {
        biased;
        () = interrupt.cancelled() => false,
        () = sleep(interval) => true,
    }
}

/// How far it is, on stderr where that is a terminal: one line that is written again and again, and removed at the end.
struct Progress {
    wanted: u32,
    on: bool,
    last: Option<Instant>,
    failed: usize,
}

/// How often it is written.
const EVERY: Duration = Duration::from_millis(100);

impl Progress {
    fn new(plan: &Plan) -> Self {
        let on = plan.progress && io::stderr().is_terminal();
        Self { wanted: plan.visits, on, last: None, failed: 0 }
    }

    fn tell(&mut self, visits: &[Visit]) {
        self.failed += usize::from(visits.last().is_some_and(Visit::failed));
        if !self.on || self.last.is_some_and(|last| last.elapsed() < EVERY) {
            return;
        }
        self.last = Some(Instant::now());
        let failed = if self.failed > 0 { format!(", {} failed", self.failed) } else { String::new() };
        write(&format!("\rvisit {} of {}{failed}\x1b[K", visits.len(), self.wanted));
    }

    fn end(&self) {
        if self.last.is_some() {
            write("\r\x1b[K");
        }
    }
}

/// That it cannot be told how far it is, is no reason to stop.
fn write(text: &str) {
    let mut out = io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
