//! Our programs side by side with others, measured in one run: see README.md.
//!
//! | module | what |
//! |---|---|
//! | [`args`] | what was said; how often and how long |
//! | [`dns`], [`http`], [`visit`], [`lab`], [`wire`], [`soak`] | the parts of a run |
//! | [`private`] | a network in which curl can be given a resolver |
//! | [`programs`], [`peer`] | our programs, and those of others |
//! | [`contest`] | several that are measured in turn |
//! | [`server`], [`process`], [`tree`] | what is started here: ended by its pid, and measured |
//! | [`section`], [`stats`], [`table`], [`output`] | what was found, and how it looks |
//! | [`machine`] | where it was found |
//! | [`interrupt`], [`progress`] | signals; what is said meanwhile |

mod args;
mod contest;
mod dns;
mod http;
mod interrupt;
mod lab;
mod machine;
mod output;
mod peer;
mod private;
mod process;
mod programs;
mod progress;
mod section;
mod server;
mod soak;
mod stats;
mod table;
mod tree;
mod visit;
mod wire;

use std::{path::Path, process::ExitCode};

use anyhow::{Context, Result};
use clap::Parser;

use args::{Args, Effort, Part};
use interrupt::Interrupted;
use programs::Programs;
use section::{Section, Verdict};

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.inside {
        Some(folder) => inside(&args, folder),
        None => measure(&args),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) if error.is::<Interrupted>() => {
            progress::complain("interrupted; everything that was started has been ended");
            ExitCode::from(130)
        }
        Err(error) => {
            progress::complain(&format!("{error:#}"));
            ExitCode::from(2)
        }
    }
}

fn inside(args: &Args, folder: &Path) -> Result<u8> {
    interrupt::watch()?;
    output::print(&private::inside(args, folder)?)?;
    Ok(0)
}

/// Returns the exit code.
fn measure(args: &Args) -> Result<u8> {
    let scratch =
        tempfile::Builder::new().prefix("visit-bench-").tempdir().context("cannot make a temporary folder")?;
    let parts = args.parts();
    let mut peers: Vec<_> = parts.iter().flat_map(|part| machine::peers(*part)).copied().collect();
    // Of two parts, one after the other.
    peers.dedup_by_key(|peer| peer.name);
    let machine = machine::Machine::read(&peers, scratch.path());
    // A build ends by itself at Ctrl-C, as it is a process of the same terminal.
    let programs = match &args.programs {
        Some(folder) => Programs::in_folder(folder)?,
        None => Programs::build()?,
    };
    interrupt::watch()?;
    let effort = Effort::new(args.quick);
    output::print(&machine.lines())?;
    let mut sections = Vec::new();
    for part in parts {
        let found = measure_part(part, &programs, effort, scratch.path())?;
        for section in &found {
            output::print(&format!("\n{}", table::table(section)))?;
        }
        sections.extend(found);
    }
    if let Some(file) = &args.json {
        output::write_json(file, &machine, &sections)?;
    }
    Ok(exit_code(&sections, args.check))
}

fn measure_part(part: Part, programs: &Programs, effort: Effort, scratch: &Path) -> Result<Vec<Section>> {
    match part {
        Part::Dns => dns::measure(programs, effort, scratch),
        Part::Http => http::measure(programs, effort, scratch),
        Part::Visit => visit::measure(programs, effort, scratch),
        Part::Lab => lab::measure(programs, effort),
        Part::Wire => wire::measure(programs, effort, scratch),
        Part::Soak => soak::measure(programs, effort, scratch),
    }
}

/// A measurement that failed is worse than a budget that does not hold: nothing is known then.
fn exit_code(sections: &[Section], check: bool) -> u8 {
    if sections.iter().any(Section::has_failed) {
        return 2;
    }
    let holds = sections.iter().flat_map(Section::verdicts).all(|verdict| verdict == Verdict::Within);
    u8::from(check && !holds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use section::{
        Found, Limit,
        tests::{row, section},
    };

    #[test]
    fn exit_codes() {
        let budget = |limit| Some(Limit::TimesPeer(limit));
        let one = |ours: &[f64], named: &[f64]| {
            vec![section(vec![row("ours", ours, budget(1.0)), row("named", named, None)])]
        };
        assert_eq!(exit_code(&one(&[5.0], &[8.0]), true), 0);
        assert_eq!((exit_code(&one(&[9.0], &[8.0]), false), exit_code(&one(&[9.0], &[8.0]), true)), (0, 1));
        assert_eq!((exit_code(&one(&[5.0], &[]), false), exit_code(&one(&[5.0], &[]), true)), (0, 1));
        let mut failed = one(&[5.0], &[8.0]);
        failed[0].rows[1].found = Found::Failed { why: "it ended".into() };
        assert_eq!(exit_code(&failed, false), 2);
    }
}
