//! `visit lab serve --clients N --repeat R`: many clients of the lab visit the same URL, so many at once.

use std::{
    num::NonZero,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use clap::Parser;
use journey::{
    Journey, LabNetwork, Place, Series,
    series::{Visit, Wanted},
};
use lab::{Lab, ROUTER, YOU};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use wire::{net::Net, sys::namespace::Namespace};
use world::AddressBook;

use crate::{Stopped, args::Cli, visitor::Visitor};

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

/// Has every client of the lab visit.
pub fn run(lab: &Lab, plan: Plan, interrupt: &CancellationToken) -> Result<Load, Stopped> {
    let net = lab.net().context("there are no clients without a network of their own (--wire)")?;
    let clients: Vec<&Namespace> = clients(net, lab.book());
    let at_once = plan.concurrency.map_or(clients.len(), NonZero::get).clamp(1, clients.len());
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Done::default());
    let before = net.taken_in();
    let began = Instant::now();
    let work = || -> Result<(), Stopped> {
        while let Some(client) = clients.get(next.fetch_add(1, Ordering::Relaxed)) {
            client.run(|| visits(lab.book(), &plan, interrupt, &done))??;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    let elapsed = began.elapsed();
    let after = net.taken_in();
    let Done { visits, last } = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut last = last.ok_or_else(|| anyhow!("no visit was made"))?;
    let ready_us = micros(lab.ready_in());
    last.place = Place::EmbeddedLab { ready_us, hosts: lab.running().count(), network: plan.network };
    let wanted =
        Wanted { visits: plan.repeat.saturating_mul(u32::try_from(clients.len()).unwrap_or(u32::MAX)), interval_us: 0 };
    let interrupted = interrupt.is_cancelled();
    Ok(Load {
        clients: clients.len(),
        repeat: plan.repeat,
        concurrency: at_once,
        elapsed_us: micros(elapsed),
        ready_us,
        hosts: net.hosts().count(),
        frames: after.0 - before.0,
        frame_bytes: after.1 - before.1,
        series: Series::new(&wanted, &last, visits, interrupted),
    })
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

/// One client's visits, from where the calling thread stands.
fn visits(book: &AddressBook, plan: &Plan, interrupt: &CancellationToken, done: &Mutex<Done>) -> Result<(), Stopped> {
    let cli = Cli::try_parse_from(["visit", &plan.url])?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut visitor = Visitor::of_client(&cli.visit, book.clone(), interrupt.clone())?;
    for _ in 0..plan.repeat {
        if interrupt.is_cancelled() {
            break;
        }
        let journey = runtime.block_on(visitor.visit(&plan.url))?;
        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
        done.visits.push(Visit::of(&journey));
        done.last = Some(journey);
    }
    Ok(())
}
