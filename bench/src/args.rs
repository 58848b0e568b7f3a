//! What was said on the command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Measures our programs side by side with others, in one run, and prints tables with ratios and budgets.
///
/// Everything is started here, on loopback, with configurations in a temporary folder, and ended again; services of this
/// machine are left alone.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "bench",
    version,
    after_help = "Exit codes: 0 measured; 1 a budget is over or not judged, with --check; 2 something could not be measured; 130 interrupted"
)]
pub(crate) struct Args {
    /// What to measure; everything where nothing is said
    #[arg(value_enum)]
    pub(crate) parts: Vec<Part>,
    /// Fewer and shorter rounds: to see that all works, not to judge by
    #[arg(long)]
    pub(crate) quick: bool,
    /// Exit with 1 unless every budget holds
    #[arg(long)]
    pub(crate) check: bool,
    /// Write all samples as JSON as well
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Measure the programs in this folder instead of building them
    #[arg(long, value_name = "FOLDER")]
    pub(crate) programs: Option<PathBuf>,
    /// Not for people: this program calls itself in a network of its own, see `private.rs`
    #[arg(long, hide = true, value_name = "FOLDER", requires = "programs")]
    pub(crate) inside: Option<PathBuf>,
}

/// A part of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Our name server beside named, nsd and knot
    Dns,
    /// Our application server beside nginx
    Http,
    /// visit as a whole process beside curl, and with the lab inside
    Visit,
    /// The start of the lab inside visit
    Lab,
    /// The lab with a network of its own: beside loopback, many hosts, and what its switches carry
    Wire,
    /// The lab under clients that misbehave, and a resolver whose upstream breaks
    Soak,
}

impl Args {
    /// The parts to measure, in the order of the tables.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let all = Part::value_variants().iter().copied();
        all.filter(|part| self.parts.is_empty() || self.parts.contains(part)).collect()
    }
}

/// How often and how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Whether these are the smaller numbers.
    pub(crate) quick: bool,
    /// Rounds under load.
    pub(crate) rounds: usize,
    /// Seconds of load in each.
    pub(crate) seconds: u64,
    /// Runs of a whole process.
    pub(crate) runs: usize,
    /// Starts of a lab.
    pub(crate) starts: usize,
}

impl Effort {
    pub(crate) fn new(quick: bool) -> Self {
        if quick {
            Self { quick, rounds: 3, seconds: 1, runs: 20, starts: 5 }
        } else {
            Self { quick, rounds: 6, seconds: 3, runs: 200, starts: 30 }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_lines() {
        Args::command().debug_assert();
        let parts = |line: &[&str]| Args::parse_from(["bench"].iter().chain(line)).parts();
        assert_eq!(parts(&[]), Part::value_variants());
        assert_eq!(parts(&["--quick"]).len(), 6);
        assert_eq!(parts(&["visit", "dns"]), [Part::Dns, Part::Visit]);
        assert!(Args::try_parse_from(["bench", "dsn"]).is_err());
    }
}
