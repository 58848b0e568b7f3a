//! One visit after the other, and what they share: the lab, and what is trusted.

use std::time::Duration;

use anyhow::anyhow;
use journey::{
    Engine, Event, Journey, KnownHost, MadeBy, Observer, Place, SCHEMA_VERSION, Stage, TraceId, chronicle,
    verdict::{Case, judge},
};
use lab::Lab;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use world::AddressBook;

use crate::{
    Stopped,
    args::Visit,
    collect,
    plan::{self, Ground},
    redirect,
    walk::{Family, Walk, bounds::Bounds, clock::Clock, secrets::Secrets, target},
};

/// Visits as the command line says.
#[derive(Debug)]
pub struct Visitor<'a> {
    visit: &'a Visit,
    interrupt: CancellationToken,
    running: Option<Ground>,
    // Started when the first visit needs it, and kept: a later visit meets what an earlier one left in its caches.
    lab: Option<Lab>,
}

impl<'a> Visitor<'a> {
    /// Reads what the command line names; starts nothing.
    pub fn new(visit: &'a Visit, interrupt: CancellationToken) -> Result<Self, Stopped> {
        let running = plan::running_lab(visit.world.as_deref(), visit.lab_net)?;
        Ok(Self { visit, interrupt, running, lab: None })
    }

    /// Visits one URL.
    pub async fn visit(&mut self, url: &str) -> Result<Journey, Stopped> {
        let visit = self.visit;
        let (ground, asked) = plan::plan(visit, url, self.running.as_ref())?;
        if let (Ground::Embedded, None) = (&ground, &self.lab) {
            let started = Lab::start(lab::Options::default());
            self.lab = Some(started.map_err(|error| anyhow!("the lab inside this program does not start: {error}"))?);
        }
        let (book, place, file) = match (&ground, &self.lab) {
            (Ground::Embedded, Some(lab)) => {
                let ready_us = u64::try_from(lab.ready_in().as_micros()).unwrap_or(u64::MAX);
                let place = Place::EmbeddedLab { ready_us, hosts: lab.running().count() };
                (Some(lab.book()), place, String::new())
            }
            (Ground::Running { book, file }, _) => {
                let described_by = file.display().to_string();
                (Some(&**book), Place::RunningLab { described_by: described_by.clone() }, described_by)
            }
            _ => (None, Place::Internet, String::new()),
        };
        // Only hosts of a lab record it, and only they are sent it (see `Walk::trace_for`).
        let trace = book.and_then(|_| TraceId::new(rand::random()).ok());
        let started_at = jiff::Timestamp::now();
        let bounds = Bounds {
            deadline: visit.limits.max_time.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds)),
            connect: Duration::from_secs_f64(visit.limits.connect_timeout),
            interrupt: self.interrupt.clone(),
        };
        let resolvers = asked.resolvers(book, &file)?;
        let clock = Clock::start();
        let secrets = if visit.output.show_secrets { Secrets::Shown } else { Secrets::Removed };
        let walk = Walk {
            clock,
            bounds: &bounds,
            book,
            resolvers,
            family: family(visit),
            trace,
            max_response: visit.limits.max_filesize,
            secrets,
        };
        let hops = redirect::walk(&walk, url, visit.request.location.then_some(visit.request.max_redirs)).await;
        let total_us = hops.iter().flat_map(|hop| &hop.stages).filter_map(Stage::end_us).max().unwrap_or(0);

        let (mut events, observers) = reports(book, trace, clock).await;
        events.extend(chronicle::own(&hops));
        let events = chronicle::in_order(events);
        let hosts = book.map(known_hosts).unwrap_or_default();
        let case = Case {
            hops: &hops,
            events: &events,
            hosts: &hosts,
            fail_on_status: visit.request.fail,
            place: &place,
            observers: &observers,
        };
        let (outcome, exit_code) = judge(&case);
        Ok(Journey {
            schema_version: SCHEMA_VERSION,
            made_by: MadeBy { name: "visit".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
            started_at: format!("{started_at:.3}"),
            url: target::shown(url, secrets),
            trace,
            engine: Engine::Visit,
            place,
            hosts,
            outcome,
            exit_code,
            total_us,
            hops,
            events,
            observers,
        })
    }
}

fn family(visit: &Visit) -> Family {
    match (visit.names.v4, visit.names.v6) {
        (true, _) => Family::V4,
        (_, true) => Family::V6,
        _ => Family::Any,
    }
}

async fn reports(book: Option<&AddressBook>, trace: Option<TraceId>, clock: Clock) -> (Vec<Event>, Vec<Observer>) {
    match (book, trace) {
        (Some(book), Some(trace)) => {
            let collected = collect::collect(book, trace, clock).await;
            (collected.events, collected.observers)
        }
        _ => (Vec::new(), Vec::new()),
    }
}

fn known_hosts(book: &AddressBook) -> Vec<KnownHost> {
    let one = |host: &world::BookHost| KnownHost { name: host.name.clone(), addresses: host.addresses.clone() };
    book.hosts.iter().map(one).collect()
}
