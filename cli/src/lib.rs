//! `visit`: what happens when I open this URL, and which step is it that fails?
//!
//! From what was said to an exit code:
//!
//! | module | what |
//! |---|---|
//! | [`args`] | what was said |
//! | [`payload`] | what is sent to `tcp://` and `udp://` |
//! | [`plan`] | what it means: whose network, whose resolver |
//! | [`ground`] | what the lab inside this program stands on |
//! | [`room`] | whether this machine has room for it |
//! | [`visitor`] | one visit after the other, and what they share |
//! | [`series`] | the same URL again and again |
//! | [`frames`] | the frames of a visit outside the lab inside this program, and what is taken out of any |
//! | [`collect`] | what the other hosts recorded |
//! | [`threads`] | how long threads of this process waited for a processor |
//! | [`screens`], [`terminal`] | how the program's own things look, and what the terminal can show |
//! | [`output`], [`kept`] | where it goes, and files |
//! | [`pcap`] | `--pcap`: frames in files for Wireshark |
//! | [`compare`] | `visit --compare` |
//! | [`serve`], [`load`] | `visit lab serve`, and its clients |
//! | [`faults`] | faults of a lab that runs elsewhere: for a visit, and `visit lab fault` |
//! | [`scenario`] | `visit scenario` |
//! | [`publish`] | what of the lab is reached from elsewhere |
//! | [`ready`] | `visit lab ready` |
//! | [`show`] | `visit show` |
//! | [`doctor`] | `visit doctor` |

pub mod args;
pub mod collect;
pub mod compare;
pub mod doctor;
pub mod faults;
pub mod frames;
pub mod ground;
pub mod kept;
pub mod load;
pub mod output;
pub mod payload;
pub mod pcap;
pub mod plan;
pub mod publish;
pub mod ready;
pub mod room;
pub mod scenario;
pub mod screens;
pub mod series;
pub mod serve;
pub mod show;
pub mod terminal;
pub mod threads;
pub mod visitor;

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use diagnosis::Series;
use journey::outcome::exit;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use args::{Cli, Command, LabCommand, Visit};
use kept::Kept;
use output::Output;
use payload::PayloadError;
use visitor::Visitor;

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
        Some(Command::Lab { command: LabCommand::Fault { command } }) => faults::command::run(command),
        Some(Command::Scenario(scenarios)) => scenario::run(scenarios),
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
    let interrupt = CancellationToken::new();
    // First of all: it may give this process a user namespace, which it can only while it has one thread.
    let mut visitor = Visitor::new(visit, interrupt.clone())?;
    room::descriptors()?;
    // What the runtime does on threads of its own must not be left to one that stands in another visit's network.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().thread_keep_alive(Duration::ZERO).build()?;
    // SIGTERM as well: as the first process of a container it would otherwise not be heard.
    runtime
        .block_on(async { Ok::<_, io::Error>(tokio::spawn(service::start::stop_on_signals(interrupt.clone())?)) })?;
    let done = all_urls(&mut visitor, visit, &mut output, &runtime, &interrupt);
    // Whatever came of them: what was put in force for these visits ends with them.
    visitor.end_faults(&runtime);
    done
}

/// The visits themselves; gives the code to exit with.
fn all_urls(
    visitor: &mut Visitor<'_>,
    visit: &Visit,
    output: &mut Output<'_>,
    runtime: &Runtime,
    interrupt: &CancellationToken,
) -> Result<u8, Stopped> {
    let mut code = exit::REACHED;
    for (nth, url) in visit.urls.iter().enumerate() {
        let seat = visitor.seat(url)?;
        let mut visits = || runtime.block_on(visit_one(visitor, url, visit, output, interrupt));
        let (record, failed) = match seat {
            None => visits(),
            Some(namespace) => namespace.run(visits)?,
        }?;
        if code == exit::REACHED {
            code = failed;
        }
        match output.hand_out(&record, &visitor.keys()) {
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
}

/// Visits one URL, once or again and again; gives the record, and the code to exit with.
async fn visit_one(
    visitor: &mut Visitor<'_>,
    url: &str,
    visit: &Visit,
    output: &Output<'_>,
    interrupt: &CancellationToken,
) -> Result<(Kept, u8), Stopped> {
    let Some(visits) = visit.limits.repeat else {
        let journey = visitor.visit(url).await?;
        let failed = journey.exit_code;
        return Ok((Kept::Journey(Box::new(journey)), failed));
    };
    let plan = series::Plan {
        visits,
        interval: Duration::from_secs_f64(visit.limits.interval.unwrap_or(0.0)),
        journeys: output.wants_journeys(),
        progress: !output.is_silent(),
    };
    let series = series::run(visitor, url, &plan, interrupt).await?;
    let failed = if series.interrupted { exit::INTERRUPTED } else { first_failure(&series) };
    Ok((Kept::Series(Box::new(series)), failed))
}

fn first_failure(series: &Series) -> u8 {
    series.visits.iter().map(|visit| visit.exit_code).find(|code| *code != exit::REACHED).unwrap_or(exit::REACHED)
}
