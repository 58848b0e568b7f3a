//! `visit --compare A B`: two kept visits, or two kept series, side by side.

use std::path::PathBuf;

use anyhow::anyhow;
use diagnosis::compare;
use journey::MadeBy;

use crate::{
    Stopped,
    args::Visit,
    output::Output,
    record_file::{self, Kept},
};

/// Compares what two files hold; returns 0 also where they differ.
pub fn run(visit: &Visit, files: &[PathBuf]) -> Result<u8, Stopped> {
    let [a, b] = files else { return Err(anyhow!("--compare compares two files").into()) };
    let names = [a, b].map(|file| file.display().to_string());
    let made_by = MadeBy { name: "visit".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
    let comparison = match (record_file::read(a)?, record_file::read(b)?) {
        (Kept::Journey(a), Kept::Journey(b)) => compare::visits(&a, &b, made_by),
        (Kept::Series(a), Kept::Series(b)) => compare::series(&a, &b, made_by),
        (Kept::Journey(_), Kept::Series(_)) => return Err(mixed(&names[0], &names[1])),
        (Kept::Series(_), Kept::Journey(_)) => return Err(mixed(&names[1], &names[0])),
    };
    Output::new(visit)?
        .show(&comparison, |style, detail| view::comparison(&comparison, [&names[0], &names[1]], style, detail))?;
    Ok(0)
}

fn mixed(visit: &str, series: &str) -> Stopped {
    anyhow!("{visit} is one visit and {series} is a series of visits: compare two visits, or two series").into()
}
