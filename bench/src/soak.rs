//! The embedded lab under clients that misbehave, and a resolver whose upstream breaks in every way: whether those who
//! behave are served meanwhile, what that costs in memory, and whether all is well again afterwards. Bounded in time.

mod broken;
mod clients;
mod good;
mod http2;
mod message;
mod pests;
mod upstream;

use std::{net::SocketAddr, path::Path};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{
    args::Effort,
    contest::failed,
    programs::Programs,
    section::{Found, Limit, Row, Section},
};

const PART: &str = "soak";

/// Measures both.
pub(crate) fn measure(programs: &Programs, effort: Effort, scratch: &Path) -> Result<Vec<Section>> {
    let or_failed = |title: &str, measured: Result<Section>| {
        measured.or_else(|error| Ok::<_, anyhow::Error>(Section::unmeasured(PART, title, failed(error)?, None)))
    };
    Ok(vec![
        or_failed("clients that misbehave", clients::measure(programs, effort))?,
        or_failed("an upstream that breaks", upstream::measure(programs, effort, scratch))?,
    ])
}

fn row(measure: &str, of: &str, unit: &str, samples: Vec<f64>, limit: Option<f64>) -> Row {
    let found = match samples.is_empty() {
        true => Found::Failed { why: "nothing came of it".to_owned() },
        false => Found::Measured { samples },
    };
    Row { measure: measure.into(), of: of.into(), unit: unit.into(), found, limit: limit.map(Limit::Most) }
}

/// The real socket of a host's service over IPv4.
fn socket(book: &Value, host: &str, service: &str, protocol: &str) -> Result<SocketAddr> {
    let all = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let host =
        all(book, "hosts").into_iter().find(|known| known["name"] == host).context("no such host in the book")?;
    let found = all(&host, "services").into_iter().find(|one| one["name"] == service && one["protocol"] == protocol);
    Ok(found.context("no such service in the book")?["socket"].as_str().context("it has no socket")?.parse()?)
}
