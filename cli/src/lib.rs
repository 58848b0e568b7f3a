//! `visit`: what happens when I open this URL, and which step is it that fails?
//!
//! From what was said to an exit code:
//!
//! | module | what |
//! |---|---|
//! | [`args`] | what was said |
//! | [`plan`] | what it means: whose network, whose resolver |
//! | [`walk`] | the stages, measured |
//! | [`redirect`] | one hop after the other |
//! | [`collect`] | what the other hosts recorded |
//! | [`report`] | how a journey looks: screen, JSON |
//! | [`serve`] | `visit lab serve` |

pub mod args;
pub mod collect;
pub mod plan;
pub mod redirect;
pub mod report;
pub mod serve;
pub mod walk;

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use anyhow::anyhow;
use clap::Parser;
use journey::{
    Journey, KnownHost, MadeBy, Observer, Place, SCHEMA_VERSION, TraceId, chronicle,
    outcome::exit,
    verdict::{Case, judge},
};
use lab::Lab;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use world::AddressBook;

use args::{Cli, Command, LabCommand, Visit};
use plan::Ground;
use walk::{Family, Walk, bounds::Bounds, clock::Clock};

/// The whole program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        Some(Command::Lab { command: LabCommand::Serve(serve) }) => serve::run(serve),
        None => visit_all(&cli.visit),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(Stopped::PipeClosed) => ExitCode::SUCCESS,
        Err(Stopped::Write(error)) => {
            complain(&format!("cannot write: {error}"));
            ExitCode::from(exit::WRITE)
        }
        Err(Stopped::Local(error)) => {
            complain(&error.to_string());
            ExitCode::from(exit::LOCAL)
        }
    }
}

/// Why the program ended without an outcome of its own.
#[derive(Debug)]
pub enum Stopped {
    /// Whoever read the output has seen enough, which is a good end.
    PipeClosed,
    /// The output could not be written.
    Write(io::Error),
    /// Something on this machine is not as it must be; the text says what and what to do.
    Local(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self::Local(error.into())
    }
}

#[allow(clippy::print_stderr)]
fn complain(text: &str) {
    // Line by line: some messages show the lines of a file.
    let lines: Vec<String> = text.trim_end().lines().map(report::clean).collect();
    eprintln!("visit: {}", lines.join("\n"));
}

/// Writes to stdout.
pub fn print(text: &str) -> Result<(), Stopped> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Stopped::PipeClosed,
        _ => Stopped::Write(error),
    })
}

/// Visits one URL after the other; exits with the code of the first that failed.
fn visit_all(visit: &Visit) -> Result<u8, Stopped> {
    let running = plan::running_lab(visit.world.as_deref(), visit.lab_net)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let interrupt = CancellationToken::new();
    runtime.block_on(async {
        // SIGTERM as well: as the first process of a container it would otherwise not be heard.
        tokio::spawn(service::start::stop_on_signals(interrupt.clone())?);
        let style = report::Style::detect(visit.color);
        let mut lab = None;
        let mut code = exit::REACHED;
        for (nth, url) in visit.urls.iter().enumerate() {
            let journey = visit_one(visit, url, running.as_ref(), &mut lab, &interrupt).await?;
            if code == exit::REACHED {
                code = journey.exit_code;
            }
            let gap = if nth > 0 && !visit.json { "\n" } else { "" };
            let text = match visit.json {
                true => report::json(&journey),
                false => report::screen(&journey, &style, visit.verbose),
            };
            match print(&format!("{gap}{text}")) {
                Ok(()) => {}
                // Whoever read has seen enough; how the visit ended is true all the same.
                Err(Stopped::PipeClosed) => break,
                Err(stopped) => return Err(stopped),
            }
            if interrupt.is_cancelled() {
                if code == exit::REACHED && nth + 1 < visit.urls.len() {
                    code = exit::INTERRUPTED;
                }
                break;
            }
        }
        Ok(code)
    })
}

async fn visit_one(
    visit: &Visit,
    url: &str,
    running: Option<&Ground>,
    lab: &mut Option<Lab>,
    interrupt: &CancellationToken,
) -> Result<Journey, Stopped> {
    let (ground, asked) = plan::plan(visit, url, running)?;
    if let (Ground::Embedded, None) = (&ground, &lab) {
        *lab = Some(
            Lab::start(lab::Options::default())
                .map_err(|error| anyhow!("the lab inside this program does not start: {error}"))?,
        );
    }
    let (book, place, file) = match (&ground, lab) {
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
        deadline: visit.max_time.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds)),
        connect: Duration::from_secs_f64(visit.connect_timeout),
        interrupt: interrupt.clone(),
    };
    let resolvers = asked.resolvers(book, &file)?;
    let clock = Clock::start();
    let walk = Walk {
        clock,
        bounds: &bounds,
        book,
        resolvers,
        family: match (visit.v4, visit.v6) {
            (true, _) => Family::V4,
            (_, true) => Family::V6,
            _ => Family::Any,
        },
        trace,
        max_response: visit.max_filesize,
    };
    let hops = redirect::walk(&walk, url, visit.location.then_some(visit.max_redirs)).await;
    let total_us = hops.iter().flat_map(|hop| &hop.stages).filter_map(journey::Stage::end_us).max().unwrap_or(0);

    let (mut events, observers) = reports(book, trace, clock).await;
    events.extend(chronicle::own(&hops));
    let events = chronicle::in_order(events);
    let hosts = book.map(known_hosts).unwrap_or_default();
    let case = Case {
        hops: &hops,
        events: &events,
        hosts: &hosts,
        fail_on_status: visit.fail,
        place: &place,
        observers: &observers,
    };
    let (outcome, exit_code) = judge(&case);
    Ok(Journey {
        schema_version: SCHEMA_VERSION,
        made_by: MadeBy { name: "visit".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
        started_at: format!("{started_at:.3}"),
        url: walk::target::without_secrets(url),
        trace,
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

async fn reports(
    book: Option<&AddressBook>,
    trace: Option<TraceId>,
    clock: Clock,
) -> (Vec<journey::Event>, Vec<Observer>) {
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
