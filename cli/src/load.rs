//! `visit lab serve --clients N --repeat R`: many clients of the lab visit the same URL, so many at once.

use std::{
    io,
    num::NonZero,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Parser;
use diagnosis::series::{Series, Visit, Wanted};
use journey::{Journey, LabNetwork, Place, Reason, StageName, outcome::exit, stage::Failure};
use lab::{Lab, ROUTER, YOU};
use netlab::{net::Net, sys::namespace::Namespace};
use probe::{payload::Payload, visitable::Visitable};
use secrets::Secrets;
use serde::Serialize;
use session::{Caller, Session, Settings, capacity};
use tokio_util::sync::CancellationToken;
use world::AddressBook;

use crate::{Stopped, args::Cli, complain, plan};

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What they visit.
    pub url: String,
    /// How often each does.
    pub repeat: u32,
    /// How many are at it at once; all, where nothing is said.
    pub concurrency: Option<NonZero<usize>>,
    /// How the lab's hosts are joined.
    pub network: LabNetwork,
    /// The faults that are in force, as they were written.
    pub faults: Vec<String>,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Load {
    /// How many clients there were.
    pub clients: usize,
    /// How often each visited.
    pub repeat: u32,
    /// How many at once.
    pub concurrency: usize,
    /// Microseconds from the begin of the first visit to the end of the last.
    pub elapsed_us: u64,
    /// Microseconds until the lab was ready.
    pub ready_us: u64,
    /// Hosts with a network namespace of their own: clients, servers and the router.
    pub hosts: usize,
    /// Frames that the switches took in meanwhile.
    pub frames: u64,
    /// Their bytes.
    pub frame_bytes: u64,
    /// The visits, in the order of their ends.
    pub series: Series,
}

/// The visits so far, in the order of their ends, and the last one whole.
#[derive(Default)]
struct Done {
    visits: Vec<Visit>,
    last: Option<Journey>,
}

/// More visits are not kept in mind at once: each is shown in brief, and all of them are compared at the end.
const MOST_VISITS: u64 = 100_000;

/// Whether it can be done, before a lab is started for it; the error has what to exit with.
pub fn check(url: &str, clients: usize, repeat: u32) -> Result<(), (String, u8)> {
    if let Err(Failure { reason, what }) = Visitable::read(url, Secrets::Removed).target {
        return Err((what, exit::code(StageName::Url, reason)));
    }
    let visits = clients as u64 * u64::from(repeat);
    if visits > MOST_VISITS {
        let what =
            format!("{clients} clients that visit {repeat} times are {visits} visits; {MOST_VISITS} are the most");
        return Err((what, exit::USAGE));
    }
    Ok(())
}

/// Has every client of the lab visit; `None` where the user stopped it before the first had begun.
pub fn run(lab: &Lab, plan: Plan, interrupt: &CancellationToken) -> Result<Option<Load>, Stopped> {
    let net = lab.net().context("there are no clients without a network of their own (--wire)")?;
    let (url, settings) = client(&plan.url)?;
    let clients: Vec<&Namespace> = clients(net, lab.book());
    let at_once = plan.concurrency.map_or(clients.len(), NonZero::get).clamp(1, clients.len());
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Done::default());
    // One that cannot go on ends the others too.
    let stop = interrupt.child_token();
    let before = net.taken_in();
    let began = Instant::now();
    let work = || -> Result<(), Stopped> {
        while let Some(client) = clients.get(next.fetch_add(1, Ordering::Relaxed)) {
            client.enter().context("a client's namespace")?;
            visits(lab.book(), &url, &settings, plan.repeat, &stop, &done)?;
        }
        Ok(())
    };
    let work = || work().inspect_err(|_| stop.cancel());
    thread::scope(|scope| {
        let start = |nth| thread::Builder::new().name(format!("client {nth}")).spawn_scoped(scope, work);
        let started: io::Result<Vec<_>> = (1..=at_once).map(start).collect();
        let workers = started.inspect_err(|_| stop.cancel()).map_err(|error| {
            let error =
                anyhow::Error::new(error).context(format!("not all of {at_once} clients have a thread to visit on"));
            capacity::explained(error)
        })?;
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    let elapsed = began.elapsed();
    let after = net.taken_in();
    let Done { visits, last } = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let Some(mut last) = last else { return Ok(None) };
    let ready_us = micros(lab.ready_in());
    last.place = Place::EmbeddedLab { ready_us, hosts: lab.running().count(), network: plan.network };
    last.faults = plan.faults;
    let wanted = u32::try_from(clients.len()).unwrap_or(u32::MAX).saturating_mul(plan.repeat);
    let interrupted = visits.len() < usize::try_from(wanted).unwrap_or(usize::MAX);
    Ok(Some(Load {
        clients: clients.len(),
        repeat: plan.repeat,
        concurrency: at_once,
        elapsed_us: micros(elapsed),
        ready_us,
        hosts: net.hosts().count(),
        frames: after.0 - before.0,
        frame_bytes: after.1 - before.1,
        series: Series::new(&Wanted { visits: wanted, interval_us: 0 }, &last, visits, interrupted),
    }))
}

impl Load {
    /// What to exit with: that of the first visit that failed, unless the user stopped it.
    pub fn exit_code(&self) -> u8 {
        if self.series.interrupted {
            return exit::INTERRUPTED;
        }
        let failed = self.series.visits.iter().find(|visit| visit.failed());
        failed.map_or(exit::REACHED, |visit| visit.exit_code)
    }
}

/// What a client's visit is told: the URL and nothing else. Nobody is there but the lab, so what this machine's environment
/// says of resolvers is not meant for it.
fn client(url: &str) -> anyhow::Result<(Visitable, Settings)> {
    let mut visit = Cli::try_parse_from(["visit", "--lab", "--", url])?.visit;
    visit.names.resolver = None;
    let settings = plan::plan(&visit)?.settings;
    // What this program's stdin has is not for each of them.
    let settings = Settings { payload: Some(Payload::Bytes(Vec::new())), ..settings };
    Ok((Visitable::read(url, settings.secrets), settings))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The hosts that serve nobody, [`YOU`] first.
fn clients<'a>(net: &'a Net, book: &AddressBook) -> Vec<&'a Namespace> {
    let is_client = |(name, _): &(&str, &Namespace)| *name != ROUTER && book.host(name).is_none();
    let mut clients: Vec<_> = net.hosts().filter(is_client).collect();
    clients.sort_by_key(|(name, _)| (*name != YOU, name.len(), name.to_string()));
    clients.into_iter().map(|(_, namespace)| namespace).collect()
}

/// One client's visits, from where the calling thread stands. One that was cut short by the user is left out: it says
/// nothing of what was visited.
fn visits(
    book: &AddressBook,
    url: &Visitable,
    settings: &Settings,
    repeat: u32,
    stop: &CancellationToken,
    done: &Mutex<Done>,
) -> Result<(), Stopped> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let caller = Caller { interrupt: stop.clone(), tell: complain };
    let mut session = Session::of_client(settings.clone(), book.clone(), caller)?;
    for _ in 0..repeat {
        if stop.is_cancelled() {
            break;
        }
        let journey = runtime.block_on(session.visit(url))?;
        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
        if journey.outcome.reason != Some(Reason::Interrupted) {
            done.visits.push(Visit::of(&journey));
        }
        done.last = Some(journey);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use probe::Family;

    use super::*;

    #[test]
    fn what_cannot_be_done() {
        let seen = |url, clients, repeat| check(url, clients, repeat).map_err(|(_, code)| code);
        assert_eq!(seen("www.example.local", 252, 396), Ok(()));
        assert_eq!(seen("www.example.local", 252, 397), Err(exit::USAGE));
        assert_eq!(seen("http://[", 1, 1), Err(3));
        assert_eq!(seen("ftp://www.example.local", 1, 1), Err(1));
    }

    #[test]
    fn a_url_is_a_url() {
        for url in ["show", "lab", "--walk", "-4", "http://www.example.local/"] {
            let (read, settings) = client(url).unwrap();
            let said = (read.shown, settings.root_walk, settings.family);
            assert_eq!(said, (Visitable::read(url, Secrets::Removed).shown, None, Family::Any));
        }
    }
}
