//! `visit`: what happens when I open this URL, and which step is it that fails?
//!
//! From what was said to an exit code:
//!
//! | module | what |
//! |---|---|
//! | [`args`] | what was said |
//! | [`plan`] | what it means: whose network, whose resolver |
//! | [`visitor`] | one visit after the other, and what they share |
//! | [`walk`] | the stages, measured |
//! | [`redirect`] | one hop after the other |
//! | [`collect`] | what the other hosts recorded |
//! | [`report`] | how a journey looks: screen, JSON |
//! | [`serve`] | `visit lab serve` |
//! | [`show`] | `visit show` |

pub mod args;
pub mod collect;
pub mod plan;
pub mod redirect;
pub mod report;
pub mod serve;
pub mod show;
pub mod visitor;
pub mod walk;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;
use journey::outcome::exit;
use tokio_util::sync::CancellationToken;

use args::{Cli, Command, LabCommand, Visit};
use report::Detail;
use visitor::Visitor;

/// The whole program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        Some(Command::Lab { command: LabCommand::Serve(serve) }) => serve::run(serve),
        Some(Command::Show(show)) => show::run(show),
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let interrupt = CancellationToken::new();
    runtime.block_on(async {
        // SIGTERM as well: as the first process of a container it would otherwise not be heard.
        tokio::spawn(service::start::stop_on_signals(interrupt.clone())?);
        let style = report::Style::detect(visit.output.color);
        let detail = Detail { verbose: visit.output.verbose, head: visit.output.include };
        let mut visitor = Visitor::new(visit, interrupt.clone())?;
        let mut code = exit::REACHED;
        for (nth, url) in visit.urls.iter().enumerate() {
            let journey = visitor.visit(url).await?;
            if code == exit::REACHED {
                code = journey.exit_code;
            }
            let gap = if nth > 0 && !visit.output.json { "\n" } else { "" };
            let text = match visit.output.json {
                true => report::json(&journey),
                false => report::screen(&journey, &style, detail),
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
