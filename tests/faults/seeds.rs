//! The same seed is the same course: what a fault left to chance meets again what it met before.

use e2e::{
    story::{difference, story},
    way::Stage,
};
use serde_json::Value;

/// What is asked and answered at a name server.
pub(crate) fn of_a_name_server() -> Result<(), String> {
    let visit = |seed: u8| {
        let fault = format!("auth1:servfail,chance=50%,seed={seed}");
        let journey = visit("loopback", &fault)?;
        let answers = told(&journey, |event| event["host"] == "auth1" && event["kind"] == "answer_sent");
        Ok((journey, answers))
    };
    // It is asked twice at least: for the servers of what may be a zone, and for the address.
    differ_by_seed("SERVFAIL", [3, 4], visit)
}

/// What gets lost in the network.
pub(crate) fn of_the_network() -> Result<(), String> {
    let visit = |seed: u8| {
        let fault = format!("wire:loss=20%,frames=udp,seed={seed}");
        let journey = visit("wire", &fault)?;
        let lost = told(&journey, |event| event["kind"] == "query_failed");
        Ok((journey, lost))
    };
    differ_by_seed("no_answer", [7, 2], visit)
}

/// Visits twice with the first seed and once with the other; what the fault met, `meets`, is among what was met.
fn differ_by_seed(
    meets: &str,
    [seed, other]: [u8; 2],
    visit: impl Fn(u8) -> Result<(Value, Vec<String>), String>,
) -> Result<(), String> {
    let ((first, met), (again, met_again), (_, met_otherwise)) = (visit(seed)?, visit(seed)?, visit(other)?);
    if !met.iter().any(|one| one.contains(meets)) {
        return Err(format!("with seed {seed} it met nothing: {met:#?}"));
    }
    if met != met_again {
        return Err(format!("with seed {seed} it met first {met:#?} and then {met_again:#?}"));
    }
    if let Some(difference) = difference(&story(&first), &story(&again)) {
        return Err(format!("with seed {seed} it is first one story and then another: {difference}"));
    }
    if met == met_otherwise {
        return Err(format!("seeds {seed} and {other} are the same course: {met:#?}"));
    }
    Ok(())
}

fn visit(network: &'static str, fault: &str) -> Result<Value, String> {
    // One question at a time, so that only chance decides what is met.
    let args = ["-4", "--lab", "--json", "--fault", fault, "http://www.baidu.com/"];
    let output = Stage::Embedded { network }.visit(&args)?;
    serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("{fault}: no journey: {error}\n{}", String::from_utf8_lossy(&output.stderr)))
}

/// Some of the events, in their order, without what chance does not decide.
fn told(journey: &Value, is_one: impl Fn(&Value) -> bool) -> Vec<String> {
    let events = journey["events"].as_array().into_iter().flatten().filter(|event| is_one(event));
    let words = |event: &Value| {
        let parts = [&event["host"], &event["question"], &event["reply"]["rcode"], &event["failure"]];
        parts.map(Value::to_string).join(" ")
    };
    events.map(words).collect()
}
