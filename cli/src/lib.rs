//! `visit`: what happens when I open this URL, and which step is it that fails?
//!
//! From what was said to an exit code:
//!
//! | module | what |
//! |---|---|
//! | [`args`] | what was said |
//! | [`plan`] | what it means: URLs, read, and settings of their visits |
//! | [`request`], [`payload`] | what is asked of HTTP servers, and sent to others |
//! | [`series`] | the same URL again and again |
//! | [`output`], [`record_file`], [`pcap`] | where it goes: the screen, and files |
//! | [`screens`], [`terminal`] | how the program's own things look, and what the terminal can show |
//! | [`compare`], [`show`] | `visit --compare`, `visit show` |
//! | [`serve`], [`load`], [`publish`] | `visit lab serve`, its clients, and what of the lab is reached from elsewhere |
//! | [`fault_command`], [`ready`] | `visit lab fault`, `visit lab ready` |
//! | [`scenario_command`] | `visit scenario` |
//! | [`doctor`] | `visit doctor` |

pub mod args;
pub mod compare;
pub mod doctor;
pub mod fault_command;
pub mod load;
pub mod output;
pub mod payload;
pub mod pcap;
pub mod plan;
pub mod publish;
pub mod ready;
pub mod record_file;
pub mod request;
pub mod scenario_command;
pub mod screens;
pub mod series;
pub mod serve;
pub mod show;
pub mod terminal;

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use diagnosis::Series;
use journey::outcome::exit;
use probe::{target::Scheme, visitable::Visitable};
use session::{Caller, Session, capacity, ground, lab_backend};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use args::{Cli, Command, LabCommand, Visit};
use output::Output;
use payload::PayloadError;
use record_file::Kept;

/// The whole program.
pub fn main() -> ExitCode {
    let done = match Cli::try_parse() {
        Ok(cli) => act(&cli),
        Err(said) => say(&said),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(Stopped::PipeClosed) => ExitCode::SUCCESS,
        Err(Stopped::Write(error)) => {
            complain(&format!("cannot write: {error}"));
            ExitCode::from(exit::WRITE)
        }
        Err(Stopped::Save { file, option, source }) => {
            complain(&format!("cannot write {file} ({option}): {source}"));
            ExitCode::from(exit::WRITE)
        }
        Err(Stopped::Local(error)) => {
            complain(&error.to_string());
            let interrupted = matches!(error.downcast_ref(), Some(PayloadError::Interrupted));
            ExitCode::from(if interrupted { exit::INTERRUPTED } else { exit::LOCAL })
        }
    }
}

/// Help, the version, or what is wrong with the command line.
fn say(said: &clap::Error) -> Result<u8, Stopped> {
    let code = u8::try_from(said.exit_code()).unwrap_or(exit::USAGE);
    let written = said.print().and_then(|()| io::stdout().flush());
    match written {
        // A complaint that nobody can read keeps its code.
        Err(_) if said.use_stderr() => Ok(code),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Stopped::PipeClosed),
        Err(error) => Err(Stopped::Write(error)),
        Ok(()) => Ok(code),
    }
}

fn act(cli: &Cli) -> Result<u8, Stopped> {
    match &cli.command {
        Some(Command::Lab { command: LabCommand::Serve(serve) }) => serve::run(serve),
        Some(Command::Lab { command: LabCommand::Fault { command } }) => fault_command::run(command),
        Some(Command::Scenario(scenarios)) => scenario_command::run(scenarios),
        Some(Command::Lab { command: LabCommand::Ready(asked) }) => ready::run(asked),
        Some(Command::Show(show)) => show::run(show),
        Some(Command::Doctor(doctor)) => doctor::run(doctor),
        None => visit_all(&cli.visit),
    }
}

/// Why the program ended without an outcome of its own.
#[derive(Debug)]
pub enum Stopped {
    /// Whoever read the output has seen enough, which is a good end.
    PipeClosed,
    /// The output could not be written.
    Write(io::Error),
    /// A record could not be kept.
    Save {
        /// The file.
        file: String,
        /// The option that asked for it.
        option: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Something on this machine is not as it must be; the text says what and what to do.
    Local(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self::Local(error.into())
    }
}

pub(crate) fn complain(text: &str) {
    // Line by line: some messages show the lines of a file.
    let lines: Vec<String> = text.trim_end().lines().map(text::clean).collect();
    // Where stderr is full or closed nobody can be told, and that is no reason to panic.
    let _ = writeln!(io::stderr(), "visit: {}", lines.join("\n"));
}

/// Writes to stdout.
pub fn print(text: &str) -> Result<(), Stopped> {
    write_to(io::stdout(), text)
}

/// Writes to stderr, where stdout is for programs.
pub(crate) fn print_beside(text: &str) -> Result<(), Stopped> {
    write_to(io::stderr(), text)
}

fn write_to(mut out: impl Write, text: &str) -> Result<(), Stopped> {
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Stopped::PipeClosed,
        _ => Stopped::Write(error),
    })
}

/// Visits one URL after the other; exits with the code of the first visit that failed.
fn visit_all(visit: &Visit) -> Result<u8, Stopped> {
    if let Some(files) = &visit.output.compare {
        return compare::run(visit, files);
    }
    let mut output = Output::new(visit)?;
    let plan::Plan { urls, settings } = plan::plan(visit)?;
    let running = ground::running_lab(visit.world.as_deref(), visit.lab_net)?;
    let interrupt = CancellationToken::new();
    let caller = Caller { interrupt: interrupt.clone(), tell: complain };
    let variable = std::env::var(lab_backend::VARIABLE).ok();
    // First of all: it may give this process a user namespace, which it can only while it has one thread.
    let mut session = Session::new(settings, &urls, running, variable.as_deref(), caller)?;
    capacity::descriptors()?;
    // What the runtime does on threads of its own must not be left to one that stands in another visit's network.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().thread_keep_alive(Duration::ZERO).build()?;
    // SIGTERM as well: as the first process of a container it would otherwise not be heard.
    runtime
        .block_on(async { Ok::<_, io::Error>(tokio::spawn(service::start::stop_on_signals(interrupt.clone())?)) })?;
    if urls.iter().any(|url| matches!(url.scheme(), Some(Scheme::Tcp | Scheme::Udp))) {
        session.send(runtime.block_on(payload::read(visit.request.send.as_deref(), &interrupt))?);
    }
    let done = all_urls(&mut session, &urls, visit, &mut output, &runtime, &interrupt);
    // Whatever came of them: what was put in force for these visits ends with them.
    if let Err(error) = session.end_faults(&runtime) {
        complain(&error.to_string());
    }
    done
}

/// The visits themselves; gives the code to exit with.
fn all_urls(
    session: &mut Session,
    urls: &[Visitable],
    visit: &Visit,
    output: &mut Output<'_>,
    runtime: &Runtime,
    interrupt: &CancellationToken,
) -> Result<u8, Stopped> {
    let mut code = exit::REACHED;
    for (nth, url) in urls.iter().enumerate() {
        let seat = session.seat(url)?;
        let mut visits = || runtime.block_on(visit_one(session, url, visit, output, interrupt));
        let (record, failed) = match seat {
            None => visits(),
            Some(namespace) => namespace.run(visits)?,
        }?;
        if code == exit::REACHED {
            code = failed;
        }
        match output.hand_out(&record, &session.keys()) {
            Ok(()) => {}
            // Whoever read has seen enough; how the visit ended is true all the same.
            Err(Stopped::PipeClosed) => break,
            Err(stopped) => return Err(stopped),
        }
        if interrupt.is_cancelled() {
            if code == exit::REACHED && nth + 1 < urls.len() {
                code = exit::INTERRUPTED;
            }
            break;
        }
    }
    Ok(code)
}

/// Visits one URL, once or again and again; gives the record, and the code to exit with.
async fn visit_one(
    session: &mut Session,
    url: &Visitable,
    visit: &Visit,
    output: &Output<'_>,
    interrupt: &CancellationToken,
) -> Result<(Kept, u8), Stopped> {
    let Some(visits) = visit.limits.repeat else {
        let journey = session.visit(url).await?;
        let failed = journey.exit_code;
        return Ok((Kept::Journey(Box::new(journey)), failed));
    };
    let plan = series::Plan {
        visits,
        interval: Duration::from_secs_f64(visit.limits.interval.unwrap_or(0.0)),
        journeys: output.wants_journeys(),
        progress: !output.is_silent(),
    };
    let series = series::run(session, url, &plan, interrupt).await?;
    let failed = if series.interrupted { exit::INTERRUPTED } else { first_failure(&series) };
    Ok((Kept::Series(Box::new(series)), failed))
}

fn first_failure(series: &Series) -> u8 {
    series.visits.iter().map(|visit| visit.exit_code).find(|code| *code != exit::REACHED).unwrap_or(exit::REACHED)
}
