//! One visit after the other, and what they share: the lab, and what is trusted.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::anyhow;
use diagnosis::{
    causes,
    findings::findings,
    verdict::{Case, judge},
};
use journey::{
    Engine, Event, Hop, Journey, KnownHost, MadeBy, Observer, Place, SCHEMA_VERSION, Stage, TraceId,
    capture::Captured,
    chronicle,
    root_walk::{RootWalk, Servers},
};
use lab::Lab;
use netlab::sys::namespace::Namespace;
use probe::{
    Family, Probe,
    beside::Beside,
    bounds::Bounds,
    clock::Clock,
    http::{Output, Versions, by_reqwest},
    overrides::Overrides,
    payload::Payload,
    redirect,
    request::Request,
    root_walk,
    target::{self, Scheme},
    tls::{self, trust::Source},
};
use secrets::Secrets;
use tokio::{runtime::Runtime, time::Instant};
use tokio_util::sync::CancellationToken;
use world::{AddressBook, World};

use crate::{
    Stopped,
    args::{self, LabWay, Visit},
    collect::{self, Conversation, Recorded},
    complain,
    faults::{self, InForce},
    frames::{self, watch::Watch},
    ground::{self, Footing},
    payload::{self, PayloadError},
    plan::{self, Ground},
    threads::Threads,
};

/// A lab that visits are made in, and that stays when they are over.
#[derive(Clone, Debug)]
pub enum Lent {
    /// One inside this program.
    Embedded {
        /// The lab.
        lab: Arc<Lab>,
        /// What it stands on.
        footing: Footing,
    },
    /// One that runs elsewhere.
    Running {
        /// Where.
        ground: Ground,
        /// Where visits are made from, where it has a network of its own.
        inside: Option<Arc<Namespace>>,
    },
}

/// Visits as the command line says.
#[derive(Debug)]
pub struct Visitor<'a> {
    visit: &'a Visit,
    interrupt: CancellationToken,
    running: Option<Ground>,
    overrides: Overrides,
    // Read once, for the first visit that sends it.
    payload: Option<Payload>,
    // Started when the first visit needs it, and kept: a later visit meets what an earlier one left in its caches.
    lab: Option<Arc<Lab>>,
    footing: Footing,
    // Whether the hosts of a lab are asked what they saw.
    asks: bool,
    // What was put in force for these visits in the lab that runs elsewhere.
    in_force: Option<InForce>,
    // Whether faults are put in force here; somebody else has done so otherwise.
    sets_faults: bool,
    // Where visits to the lab that runs elsewhere are made from, where that has a network of its own.
    inside: Option<Arc<Namespace>>,
    request: Request,
    output: Option<Output>,
    // One for each kind of trust; kept, so that a later visit can resume what an earlier one agreed on.
    tls: Vec<tls::Setup>,
}

impl<'a> Visitor<'a> {
    /// Reads what the command line names; starts nothing. Has to be called while there is one thread.
    pub fn new(visit: &'a Visit, interrupt: CancellationToken) -> Result<Self, Stopped> {
        let running = plan::running_lab(visit.world.as_deref(), visit.lab_net)?;
        if let (Some(Ground::Running { file, .. }), Some(LabWay::Wire | LabWay::Loopback)) = (&running, visit.lab) {
            return Err(anyhow!(
                "--lab=WAY says how the lab inside this program runs, and {} describes one that runs elsewhere (VISIT_WORLD \
                 or --world)",
                file.display()
            )
            .into());
        }
        let way = Footing::chosen(visit.lab, std::env::var(ground::VARIABLE).ok().as_deref())?;
        let overrides = plan::overrides(visit)?;
        let embedded =
            |url: &String| matches!(plan::plan(visit, url, &overrides, running.as_ref()), Ok((Ground::Embedded, _)));
        let way = if visit.urls.iter().any(embedded) { way } else { LabWay::Loopback };
        match &running {
            Some(Ground::Running { book, .. }) => faults::check(book, &visit.fault)?,
            _ => visit.fault.iter().try_for_each(|fault| fault.check(&World::built_in()).map_err(ground::explained))?,
        }
        let mut visitor = Self::standing(visit, interrupt, running, Footing::default())?;
        visitor.inside = match &visitor.running {
            Some(Ground::Running { book, file }) => {
                let enter = |inside| Footing::enter(inside, &file.display().to_string());
                book.inside.as_ref().map(enter).transpose()?
            }
            _ => None,
        };
        visitor.footing = Footing::prepare(way)?;
        Ok(visitor)
    }

    /// A client of a lab, one of many: from where the calling thread stands, and without asking the hosts what they saw.
    pub fn of_client(visit: &'a Visit, book: AddressBook, interrupt: CancellationToken) -> Result<Self, Stopped> {
        let lab = Ground::Running { book: Box::new(book), file: PathBuf::from("lab") };
        let visitor = Self::standing(visit, interrupt, Some(lab), Footing::default())?;
        Ok(Self { asks: false, ..visitor })
    }

    /// In a lab that is lent by whoever sets its faults: those of the command line are in force there already.
    pub fn lent(visit: &'a Visit, lab: Lent, interrupt: CancellationToken) -> Result<Self, Stopped> {
        let visitor = match lab {
            Lent::Embedded { lab, footing } => {
                let visitor = Self::standing(visit, interrupt, None, footing)?;
                Self { lab: Some(lab), ..visitor }
            }
            Lent::Running { ground, inside } => {
                let visitor = Self::standing(visit, interrupt, Some(ground), Footing::default())?;
                Self { inside, ..visitor }
            }
        };
        Ok(Self { sets_faults: false, ..visitor })
    }

    fn standing(
        visit: &'a Visit,
        interrupt: CancellationToken,
        running: Option<Ground>,
        footing: Footing,
    ) -> Result<Self, Stopped> {
        let overrides = plan::overrides(visit)?;
        let request = plan::request::request(&visit.request)?;
        visit.urls.iter().try_for_each(|url| payload::check_options(visit, url))?;
        if let Some(path) = &visit.tls.cacert {
            Source::File(path.clone()).check().map_err(|why| anyhow!("{why} (--cacert)"))?;
        }
        let output = visit.output.output.as_ref().map(|path| match path.as_os_str() == "-" {
            true => Output::Stdout,
            false => Output::File(path.clone()),
        });
        Ok(Self {
            visit,
            interrupt,
            running,
            overrides,
            payload: None,
            lab: None,
            footing,
            in_force: None,
            sets_faults: true,
            inside: None,
            asks: true,
            request,
            output,
            tls: Vec::new(),
        })
    }

    /// Where a visit of this URL is made from; `None` is where this program is. Starts the lab where it is made there.
    pub fn seat(&mut self, url: &str) -> Result<Option<Arc<Namespace>>, Stopped> {
        let visit = self.visit;
        let (ground, _) = plan::plan(visit, url, &self.overrides, self.running.as_ref())?;
        match (&ground, visit.fault.first()) {
            (Ground::Embedded, _) => {}
            (Ground::Running { .. }, _) => return Ok(self.inside.clone()),
            (Ground::Internet, None) => return Ok(None),
            (Ground::Internet, Some(fault)) => {
                return Err(anyhow!(
                    "--fault {fault} disturbs a lab, and {url} is visited elsewhere",
                    url = target::shown(url, Secrets::Removed)
                )
                .into());
            }
        }
        if self.lab.is_none() {
            let started = self.footing.start(lab::Options::default(), 1, 1, &visit.fault);
            let lab = started.map_err(|error| anyhow!("the lab inside this program does not start: {error}"))?;
            self.lab = Some(Arc::new(lab));
        }
        Ok(self.lab.as_deref().and_then(ground::seat))
    }

    /// Ends the faults that were put in force for these visits. One that cannot be ended now ends by itself, and that is said.
    pub fn end_faults(&mut self, runtime: &Runtime) {
        let Some(in_force) = self.in_force.take() else { return };
        let end = || runtime.block_on(in_force.end());
        let ended = match &self.inside {
            None => end(),
            Some(namespace) => namespace.run(end).unwrap_or_else(|error| Err(error.into())),
        };
        if let Err(error) = ended {
            complain(&error.to_string());
        }
    }

    /// The keys of the TLS sessions so far, where they are wanted.
    pub fn keys(&self) -> String {
        self.tls.iter().map(tls::Setup::keys).collect()
    }

    /// Visits one URL, from its [seat](Self::seat).
    pub async fn visit(&mut self, url: &str) -> Result<Journey, Stopped> {
        let visit = self.visit;
        check(visit, url, &self.request)?;
        let scheme = target::parse(url, Secrets::Removed).ok().map(|(_, target)| target.scheme);
        let is_raw = matches!(scheme, Some(Scheme::Tcp | Scheme::Udp));
        if is_raw && self.payload.is_none() {
            self.payload = Some(payload::read(visit.request.send.as_deref(), &self.interrupt).await?);
        }
        if let (Some(Scheme::Udp), Some(Payload::Nothing { why })) = (scheme, &self.payload) {
            return Err(PayloadError::NoDatagram { why: why.clone() }.into());
        }
        let (ground, asked) = plan::plan(visit, url, &self.overrides, self.running.as_ref())?;
        if let (Ground::Running { book, .. }, None) = (&ground, &self.in_force)
            && self.sets_faults
            && !visit.fault.is_empty()
        {
            self.in_force = Some(InForce::begin(book, &visit.fault).await?);
        }
        let (book, place, file) = match (&ground, self.lab.as_deref()) {
            (Ground::Embedded, Some(lab)) => {
                let ready_us = u64::try_from(lab.ready_in().as_micros()).unwrap_or(u64::MAX);
                let network = self.footing.network(lab);
                let place = Place::EmbeddedLab { ready_us, hosts: lab.running().count(), network };
                (Some(lab.book()), place, String::new())
            }
            (Ground::Running { book, file }, _) => {
                let described_by = file.display().to_string();
                (Some(&**book), Place::RunningLab { described_by: described_by.clone() }, described_by)
            }
            _ => (None, Place::Internet, String::new()),
        };
        let engine = engine(visit);
        if let (Engine::Reqwest, Ok((_, target))) = (engine, target::parse(url, Secrets::Removed))
            && let Some(why) = by_reqwest::impossible(book, &target)
        {
            return Err(anyhow!("{why} (--engine reqwest)").into());
        }
        // Only hosts of a lab record it, and only they are sent it (see `Probe::trace_for`).
        let trace = book.filter(|_| self.asks).and_then(|_| TraceId::new(rand::random()).ok());
        let before = match book {
            Some(book) if is_raw && self.asks => collect::recorded(book).await,
            _ => Recorded::default(),
        };
        let started_at = jiff::Timestamp::now();
        let resolvers = asked.resolvers(book, &file)?;
        let source = source(visit, book);
        if !self.tls.iter().any(|setup| *setup.source() == source) {
            let setup = tls::Setup::new(source.clone(), visit.tls.insecure);
            self.tls.push(if visit.output.pcap_keys { setup.keeping_keys() } else { setup });
        }
        let tls = self.tls.iter().find(|setup| *setup.source() == source).expect("it has just been put there");
        if target::parse(url, Secrets::Removed).is_ok_and(|(_, target)| target.scheme == Scheme::Https) {
            tls.prepare();
        }
        let net = match (&place, self.lab.as_deref()) {
            (Place::EmbeddedLab { .. }, Some(lab)) => lab.net(),
            _ => None,
        };
        // Before the visit's own clock, and before its first packet.
        let watch = Watch::begin(visit, &place, net, &self.footing);
        let threads = self.asks.then(Threads::now);
        // From here on it is the visit's time.
        let bounds = Bounds {
            deadline: visit.limits.max_time.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds)),
            connect: Duration::from_secs_f64(visit.limits.connect_timeout),
            interrupt: self.interrupt.clone(),
        };
        let clock = Clock::start();
        let secrets = if visit.output.show_secrets { Secrets::Shown } else { Secrets::Removed };
        let probe = Probe {
            clock,
            bounds: &bounds,
            book,
            net,
            resolvers,
            overrides: &self.overrides,
            family: family(visit),
            trace,
            payload: self.payload.as_ref(),
            max_response: visit.limits.max_filesize,
            secrets,
            tls,
            engine,
            output: self.output.as_ref(),
        };
        let beside = Beside::default();
        let visited = redirect::follow(&probe, &beside, url, &self.request, visit.request.max_redirs);
        let mut hops = beside.drive(visited).await;
        let visit_ends = Threads::now();
        let total_us = hops.iter().flat_map(|hop| &hop.stages).filter_map(Stage::end_us).max().unwrap_or(0);

        // Before the capture ends, so that it has these answers too. One of many clients waits for none.
        beside.settle(&probe, &mut hops, self.asks).await;
        let mut capture = watch.end(&hops, engine, book, clock, &self.interrupt).await;
        if let (Captured::Frames(capture), Secrets::Removed) = (&mut capture, secrets) {
            frames::secrets::cut(capture, &hops, &frames::secrets::sent(url, &self.request));
        }

        let conversation = hops.last().and_then(Conversation::of);
        let (mut events, observers) = reports(book, trace, clock, conversation.as_ref(), &before).await;
        // After the reports, so that it covers what a host did late.
        let run_delays = threads.map(|threads| threads.delays(&visit_ends)).unwrap_or_default();
        events.extend(chronicle::own(&hops));
        let events = chronicle::in_order(events);
        let hosts = book.map(known_hosts).unwrap_or_default();
        // After all else, so that it disturbs no time and is in no host's report of the visit.
        let asked_for = match visit.names.walk {
            Some(servers) => Some(walked(&probe, &hops, servers.into()).await),
            None => None,
        };
        let case = Case {
            hops: &hops,
            events: &events,
            hosts: &hosts,
            fail_on_status: visit.request.fail,
            place: &place,
            observers: &observers,
            capture: &capture,
            walk: asked_for.as_ref(),
            run_delays: &run_delays,
        };
        // One of many clients only counts what came of it.
        let in_doubt = match causes::doubt(&case).filter(|_| self.asks) {
            Some(why) => {
                let found = walked(&probe, &hops, Servers::First).await;
                Some(RootWalk { why: Some(why), ..found })
            }
            None => None,
        };
        let (mut outcome, exit_code) = judge(&Case { walk: in_doubt.as_ref().or(case.walk), ..case });
        if matches!(place, Place::EmbeddedLab { .. }) {
            faults::say_again(&mut outcome, &visit.fault);
        }
        Ok(Journey {
            schema_version: SCHEMA_VERSION,
            made_by: MadeBy { name: "visit".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
            started_at: format!("{started_at:.3}"),
            url: target::shown(url, secrets),
            trace,
            engine,
            place,
            faults: visit.fault.iter().map(ToString::to_string).collect(),
            hosts,
            outcome,
            exit_code,
            total_us,
            hops,
            events,
            observers,
            capture,
            walk: in_doubt.or(asked_for),
            run_delays,
        })
    }
}

/// This machine's own walk, with what does not fit together in it.
async fn walked(probe: &Probe<'_>, hops: &[Hop], servers: Servers) -> RootWalk {
    let walk = root_walk::from_root(probe, hops, servers).await;
    RootWalk { findings: findings(&walk.searches, hops), ..walk }
}

/// Whom to believe: the file that was named, the lab's own authority in the lab, this machine's store elsewhere.
fn source(visit: &Visit, book: Option<&AddressBook>) -> Source {
    match (&visit.tls.cacert, book) {
        (Some(path), _) => Source::File(path.clone()),
        (None, Some(book)) => Source::Lab(book.ca.clone()),
        (None, None) => Source::System,
    }
}

/// What is asked for and cannot be had with this URL.
fn check(visit: &Visit, url: &str, request: &Request) -> Result<(), Stopped> {
    // A URL that cannot be read says so in its own stage.
    let Ok((_, target)) = target::parse(url, Secrets::Removed) else { return Ok(()) };
    if target.scheme == Scheme::Http && request.versions == Versions::Http2 {
        return Err(anyhow!(
            "--http2 needs an https:// URL: HTTP/2 is agreed on in the TLS handshake (visit does not speak it without)"
        )
        .into());
    }
    if visit.urls.len() > 1 && matches!(visit.output.output.as_deref(), Some(path) if path.as_os_str() != "-") {
        return Err(anyhow!("-o FILE keeps the content of one URL: visit them one at a time").into());
    }
    Ok(())
}

fn engine(visit: &Visit) -> Engine {
    match visit.request.engine {
        args::Engine::Visit => Engine::Visit,
        args::Engine::Reqwest => Engine::Reqwest,
    }
}

fn family(visit: &Visit) -> Family {
    match (visit.names.v4, visit.names.v6) {
        (true, _) => Family::V4,
        (_, true) => Family::V6,
        _ => Family::Any,
    }
}

async fn reports(
    book: Option<&AddressBook>,
    trace: Option<TraceId>,
    clock: Clock,
    conversation: Option<&Conversation>,
    before: &Recorded,
) -> (Vec<Event>, Vec<Observer>) {
    match (book, trace) {
        (Some(book), Some(trace)) => {
            let collected = collect::collect(book, trace, clock, conversation, before).await;
            (collected.events, collected.observers)
        }
        _ => (Vec::new(), Vec::new()),
    }
}

fn known_hosts(book: &AddressBook) -> Vec<KnownHost> {
    let one = |host: &world::BookHost| KnownHost { name: host.name.clone(), addresses: host.addresses.clone() };
    book.hosts.iter().map(one).collect()
}
