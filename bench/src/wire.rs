//! The lab with a network of its own: what that costs beside sockets on loopback, how many hosts it can have, and how much
//! its switches carry.

mod carried;
mod hosts;

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{
    args::Effort,
    contest::{self, Contestant, failed},
    process::{command, said},
    programs::Programs,
    section::{Found, Limit, Row, Section},
    visit::{self, LIMIT},
};

const PART: &str = "wire";
/// The two ways in which a lab can run.
const WIRE: &str = "wire";
const LOOPBACK: &str = "loopback";

/// Measures all of it.
pub(crate) fn measure(programs: &Programs, effort: Effort, scratch: &Path) -> Result<Vec<Section>> {
    if let Some(refused) = refused(programs, scratch)? {
        return Ok(vec![Section::unmeasured(PART, "a network of its own", refused, Some((1.0, LOOPBACK)))]);
    }
    let or_failed = |title: &str, measured: Result<Section>| {
        measured.or_else(|error| Ok::<_, anyhow::Error>(Section::unmeasured(PART, title, failed(error)?, None)))
    };
    Ok(vec![
        or_failed("a visit", beside_loopback(programs, effort, scratch))?,
        or_failed("hosts", hosts::measure(programs, effort))?,
        or_failed("switches", carried::measure(programs, effort, scratch))?,
    ])
}

/// Why this machine lets nobody have network namespaces, as `visit doctor` finds it.
fn refused(programs: &Programs, scratch: &Path) -> Result<Option<Found>> {
    let diagnosis: Value =
        serde_json::from_str(&said(command(&programs.visit).args(["doctor", "--json"]), LIMIT, scratch)?)?;
    let checks = diagnosis["checks"].as_array().context("doctor has no checks")?;
    let found = checks.iter().find(|check| check["check"] == "namespaces").context("doctor checks no namespaces")?;
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    Ok((found["state"] != "yes").then(|| Found::Skipped { why: format!("{}; {}", text("found"), text("how")) }))
}

/// The same visit both ways: the lab starts, is visited and ends.
fn beside_loopback(programs: &Programs, effort: Effort, scratch: &Path) -> Result<Section> {
    const URL: &str = "www.example.local";
    let one = |way: &str| visit::ours(programs, way, &[&format!("--lab={way}"), URL]);
    let mut contestants = [one(WIRE)?, one(LOOPBACK)?];
    let measures = visit::measures(None, Some((WIRE, Limit::Most(20.0))));
    let mut rows = visit::contest(&format!("{PART}, a visit"), &measures, &mut contestants, effort)?;
    let ready = [contest::Measure { name: "lab ready", unit: "ms", budget: Some((WIRE, Limit::Most(50.0))) }];
    let mut ways = [WIRE, LOOPBACK].map(|way| Contestant { name: way.to_owned(), subject: Ok(way) });
    rows.extend(contest::hold(&format!("{PART}, ready"), &ready, &mut ways, effort.starts, |way| {
        let json = said(command(&programs.visit).args([&format!("--lab={way}"), "--json", URL]), LIMIT, scratch)?;
        let journey: Value = serde_json::from_str(&json)?;
        let ready = journey.pointer("/place/ready_us").and_then(Value::as_f64).context("it has no place.ready_us")?;
        Ok(vec![ready / 1e3])
    })?);
    let notes = vec![
        format!(
            "visit --lab=WAY {URL}: the start and the end of the lab are part of it, in wire with a namespace for each host, \
             for the router and for the visitor, and with every frame recorded; {} whole processes each, in turn",
            effort.runs
        ),
        "lab ready: place.ready_us of --json, from the decision to start the lab until all hosts were ready".into(),
    ];
    Ok(section("a visit in a network of its own", notes, Some(LOOPBACK), rows))
}

fn section(title: &str, notes: Vec<String>, peer: Option<&str>, rows: Vec<Row>) -> Section {
    Section { part: PART.into(), title: title.into(), notes, peer: peer.map(str::to_owned), rows }
}
