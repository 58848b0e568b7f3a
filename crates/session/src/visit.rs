//! One visit: frames are watched, the stages are made, the hosts report what they saw, and a verdict is found.

use diagnosis::{
    causes,
    findings::findings,
    verdict::{Facts, judge},
};
use journey::{
    Event, Hop, Journey, KnownHost, MadeBy, Observer, Outcome, Place, SCHEMA_VERSION, Stage, TraceId,
    capture::Captured,
    chronicle,
    machine::RunDelay,
    root_walk::{RootWalk, Servers},
};
use netlab::net::Net;
use probe::{
    Probe, beside::Beside, bounds::Bounds, clock::Clock, name::Resolvers, redirect, root_walk, target::Scheme, tls,
    visitable::Visitable,
};
use secrets::Secrets;
use tokio::time::Instant;
use world::AddressBook;

use crate::{
    Asked, Session,
    capture::{self, watch::Watch},
    reports::{self, Conversation, Recorded},
    threads::Threads,
};

/// Where a visit is made.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    /// The lab's address book, where it is made in a lab.
    pub(crate) book: Option<&'a AddressBook>,
    /// The same for its record.
    pub(crate) place: Place,
    /// The file that describes a lab that runs elsewhere.
    pub(crate) file: String,
    /// The network of the lab inside this program, where it has one.
    pub(crate) net: Option<&'a Net>,
}

/// A visit to be made.
#[derive(Debug)]
pub(crate) struct Visit<'a> {
    pub(crate) session: &'a Session,
    pub(crate) url: &'a Visitable,
    pub(crate) scene: Scene<'a>,
    pub(crate) tls: &'a tls::Setup,
}

/// What was seen of it.
struct Seen {
    hops: Vec<Hop>,
    total_us: u64,
    capture: Captured,
    events: Vec<Event>,
    observers: Vec<Observer>,
    run_delays: Vec<RunDelay>,
    hosts: Vec<KnownHost>,
}

/// What follows from it.
struct Judged {
    outcome: Outcome,
    exit_code: u8,
    root_walk: Option<RootWalk>,
}

impl Visit<'_> {
    /// Makes it.
    pub(crate) async fn make(&self, asked: Asked) -> anyhow::Result<Journey> {
        let settings = &self.session.settings;
        // Only hosts of a lab record it, and only they are sent it (see `Probe::trace_for`).
        let asks = self.scene.book.filter(|_| self.session.asks);
        let trace = asks.and_then(|_| TraceId::new(rand::random()).ok());
        let is_raw = matches!(self.url.scheme(), Some(Scheme::Tcp | Scheme::Udp));
        let before = match asks.filter(|_| is_raw) {
            Some(book) => reports::recorded(book).await,
            None => Recorded::default(),
        };
        let started_at = jiff::Timestamp::now();
        let resolvers = asked.resolvers(self.scene.book, &self.scene.file)?;
        if self.url.scheme() == Some(Scheme::Https) {
            self.tls.prepare();
        }
        // Before the visit's own clock, and before its first packet.
        let watch = Watch::begin(settings.frames, &self.scene.place, self.scene.net, &self.session.backend);
        let threads = self.session.asks.then(Threads::now);
        // From here on it is the visit's time.
        let bounds = Bounds {
            deadline: settings.max_time.map(|time| Instant::now() + time),
            connect: settings.connect_timeout,
            interrupt: self.session.caller.interrupt.clone(),
        };
        let probe = self.probe(&bounds, resolvers, trace);
        let seen = self.see(&probe, watch, threads, &before).await;
        let Judged { outcome, exit_code, root_walk } = self.judge(&probe, &seen).await;
        Ok(Journey {
            schema_version: SCHEMA_VERSION,
            made_by: MadeBy { name: "visit".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
            started_at: format!("{started_at:.3}"),
            url: self.url.shown.clone(),
            trace,
            engine: settings.engine,
            place: self.scene.place.clone(),
            faults: settings.faults.iter().map(ToString::to_string).collect(),
            hosts: seen.hosts,
            outcome,
            exit_code,
            total_us: seen.total_us,
            hops: seen.hops,
            events: seen.events,
            observers: seen.observers,
            capture: seen.capture,
            walk: root_walk,
            run_delays: seen.run_delays,
        })
    }

    fn probe<'p>(&'p self, bounds: &'p Bounds, resolvers: Resolvers, trace: Option<TraceId>) -> Probe<'p> {
        let settings = &self.session.settings;
        Probe {
            clock: Clock::started_by(self.url.took),
            bounds,
            book: self.scene.book,
            net: self.scene.net,
            resolvers,
            overrides: &settings.overrides,
            family: settings.family,
            trace,
            payload: settings.payload.as_ref(),
            max_response: settings.max_response,
            secrets: settings.secrets,
            tls: self.tls,
            engine: settings.engine,
            output: settings.output.as_ref(),
        }
    }

    /// Makes the stages, and asks the hosts what they saw.
    async fn see(&self, probe: &Probe<'_>, watch: Watch<'_>, threads: Option<Threads>, before: &Recorded) -> Seen {
        let settings = &self.session.settings;
        let beside = Beside::default();
        let visited = redirect::follow(probe, &beside, self.url, &settings.request, settings.most_redirects);
        let mut hops = beside.drive(visited).await;
        let visit_ends = Threads::now();
        let total_us = hops.iter().flat_map(|hop| &hop.stages).filter_map(Stage::end_us).max().unwrap_or(0);

        // Before the capture ends, so that it has these answers too. One of many clients waits for none.
        beside.settle(probe, &mut hops, self.session.asks).await;
        let mut capture = watch.end(&hops, probe.engine, probe.book, probe.clock, &self.session.caller.interrupt).await;
        if let (Captured::Frames(capture), Secrets::Removed) = (&mut capture, settings.secrets) {
            capture::secrets::cut(capture, &hops, &capture::secrets::sent(self.url, &settings.request));
        }
        let (mut events, observers) = self.reports(probe, &hops, before).await;
        // After the reports, so that it covers what a host did late.
        let run_delays = threads.map(|threads| threads.delays(&visit_ends)).unwrap_or_default();
        events.extend(chronicle::own(&hops));
        let events = chronicle::in_order(events);
        let hosts = probe.book.map(known_hosts).unwrap_or_default();
        Seen { hops, total_us, capture, events, observers, run_delays, hosts }
    }

    async fn reports(&self, probe: &Probe<'_>, hops: &[Hop], before: &Recorded) -> (Vec<Event>, Vec<Observer>) {
        let (Some(book), Some(trace)) = (probe.book, probe.trace) else { return (Vec::new(), Vec::new()) };
        let conversation = hops.last().and_then(Conversation::of);
        let collected = reports::collect(book, trace, probe.clock, conversation.as_ref(), before).await;
        (collected.events, collected.observers)
    }

    fn faults_again(&self) -> Vec<String> {
        let faults = self.session.settings.faults.iter();
        faults.flat_map(|fault| ["--fault".to_owned(), fault.to_string()]).collect()
    }

    /// Finds the verdict. Where an answer is in doubt, this machine walks from the root to settle it: after all else, so that
    /// the walk disturbs no time and is in no host's report of the visit.
    async fn judge(&self, probe: &Probe<'_>, seen: &Seen) -> Judged {
        let settings = &self.session.settings;
        let wanted = match settings.root_walk {
            Some(servers) => Some(walked(probe, &seen.hops, servers).await),
            None => None,
        };
        // A lab inside the program begins anew with every command. No rule looks at this.
        let again = match self.scene.place {
            Place::EmbeddedLab { .. } => self.faults_again(),
            _ => Vec::new(),
        };
        let case = Facts {
            hops: &seen.hops,
            events: &seen.events,
            hosts: &seen.hosts,
            fail_on_status: settings.fail_on_status,
            place: &self.scene.place,
            observers: &seen.observers,
            capture: &seen.capture,
            walk: wanted.as_ref(),
            run_delays: &seen.run_delays,
            again: &again,
        };
        // One of many clients only counts what came of it.
        let in_doubt = match causes::doubt(&case).filter(|_| self.session.asks) {
            Some(why) => Some(RootWalk { why: Some(why), ..walked(probe, &seen.hops, Servers::First).await }),
            None => None,
        };
        let (outcome, exit_code) = judge(&Facts { walk: in_doubt.as_ref().or(case.walk), ..case });
        Judged { outcome, exit_code, root_walk: in_doubt.or(wanted) }
    }
}

/// This machine's own walk, with what does not fit together in it.
async fn walked(probe: &Probe<'_>, hops: &[Hop], servers: Servers) -> RootWalk {
    let walk = root_walk::from_root(probe, hops, servers).await;
    RootWalk { findings: findings(&walk.searches, hops), ..walk }
}

fn known_hosts(book: &AddressBook) -> Vec<KnownHost> {
    let one = |host: &world::BookHost| KnownHost { name: host.name.clone(), addresses: host.addresses.clone() };
    book.hosts.iter().map(one).collect()
}
