//! From stages and events to the outcome: which stage failed at which host, why, and what to try next.

mod advice;
mod raw;

use journey::{
    Cause, Event, Hop, KnownHost, Observer, Outcome, Place, Reason, Stage, StageName,
    capture::Captured,
    machine::RunDelay,
    outcome::exit,
    root_walk::RootWalk,
    stage::{self, Did, QueryResult},
};

use crate::causes;

use advice::{advice, lab_is_gone};

/// What the outcome is concluded from.
pub struct Facts<'a> {
    /// The requests with their stages.
    pub hops: &'a [Hop],
    /// What all hosts say.
    pub events: &'a [Event],
    /// The hosts of the world.
    pub hosts: &'a [KnownHost],
    /// Where the visit took place.
    pub place: &'a Place,
    /// What came of asking the hosts for reports.
    pub observers: &'a [Observer],
    /// The frames that passed.
    pub capture: &'a Captured,
    /// This machine's own walk from the root.
    pub walk: Option<&'a RootWalk>,
    /// How long threads of this process waited for a processor.
    pub run_delays: &'a [RunDelay],
    /// Whether a status of 400 or above counts as a failure.
    pub fail_on_status: bool,
    /// What a command has to say again, so that it finds the lab in the same state. It is for commands that are advised; no
    /// rule looks at it.
    pub again: &'a [String],
}

/// The outcome, and what to exit with.
pub fn judge(case: &Facts<'_>) -> (Outcome, u8) {
    let Some(hop) = case.hops.last() else {
        let outcome = Outcome {
            reached: false,
            failed_stage: None,
            host: None,
            reason: Some(Reason::UrlMalformed),
            verdict: "nothing was visited.".to_owned(),
            next: None,
            causes: Vec::new(),
        };
        return (outcome, exit::USAGE);
    };
    match hop.failed() {
        Some(stage) => failed(case, hop, stage),
        None if hop.is_raw() => (Outcome { causes: causes::causes(case), ..raw::ended(hop) }, exit::REACHED),
        None => reached(case, hop),
    }
}

fn reached(case: &Facts<'_>, hop: &Hop) -> (Outcome, u8) {
    let server = server_of(hop);
    let (status, phrase) = match receive_of(hop) {
        Some(receive) => (receive.status, receive.reason_phrase.clone().unwrap_or_default()),
        None => (None, String::new()),
    };
    let answer = match status {
        Some(status) => format!("{status} {phrase}").trim().to_owned(),
        None => "an answer".to_owned(),
    };
    if case.fail_on_status && status.is_some_and(|status| status >= 400) {
        let causes = causes::causes(case);
        let told = told(&causes);
        let at = server.as_ref().map_or_else(String::new, |server| format!(" at {server}"));
        let outcome = Outcome {
            reached: false,
            failed_stage: Some(StageName::Receive),
            host: server,
            reason: Some(Reason::HttpStatus),
            verdict: format!("The receive stage failed{at}: {}.", told.what),
            next: None,
            causes,
        };
        return (outcome, exit::code(StageName::Receive, Reason::HttpStatus));
    }
    let verdict = match &server {
        Some(server) => format!("Reached {server}: {answer}."),
        None => format!("Reached: {answer}."),
    };
    let next = match status {
        Some(301..=303 | 307 | 308) if points_elsewhere(hop) => {
            Some("the answer points elsewhere: follow it with -L".to_owned())
        }
        Some(404) => Some("the server is fine, the path is not: check what stands behind the host name".to_owned()),
        Some(500..) => Some("the network is fine; look into the server's own log".to_owned()),
        _ => None,
    };
    let causes = causes::causes(case);
    let outcome = Outcome { reached: true, failed_stage: None, host: server, reason: None, verdict, next, causes };
    (outcome, exit::REACHED)
}

/// The stage's failure, told by what it failed by.
fn failed(case: &Facts<'_>, hop: &Hop, stage: &Stage) -> (Outcome, u8) {
    let mut causes = causes::causes(case);
    // A failed stage always says why.
    let reason = stage.failure.as_ref().map_or(Reason::Timeout, |failure| failure.reason);
    let name = stage.name();
    let mut told = told(&causes);
    // Where addresses failed alike, the stage's own words are of all of them.
    if let (StageName::Connect, 2.., Some(failure)) = (name, told.hosts.len(), &stage.failure)
        && told.is_all
    {
        told.what.clone_from(&failure.what);
    }
    let own = causes.first_mut().and_then(|cause| {
        let next = cause.next.take().or_else(|| advice::of_cause(cause, name, hop));
        let next = next.or_else(|| advice(case, reason, name, hop));
        cause.next.clone_from(&next);
        next
    });
    let next = lab_is_gone(case).or(own);
    let is_of_stage = match name {
        StageName::Connect | StageName::Tls | StageName::Send | StageName::Wait | StageName::Receive => {
            is_of_connection(hop, &told.hosts)
        }
        _ => true,
    };
    let stage = name.as_str();
    let verdict = match (reason, &told.host) {
        (Reason::Interrupted, Some(host)) if is_of_stage => format!("Interrupted in the {stage} stage, at {host}."),
        (Reason::Interrupted, Some(host)) => format!("Interrupted in the {stage} stage, because of {host}."),
        (Reason::Interrupted, None) => format!("Interrupted in the {stage} stage."),
        (_, Some(host)) if is_of_stage => format!("The {stage} stage failed at {host}: {}.", told.what),
        (_, Some(host)) => format!("The {stage} stage failed because of {host}: {}.", told.what),
        (_, None) => format!("The {stage} stage failed: {}.", told.what),
    };
    let outcome = Outcome {
        reached: false,
        failed_stage: Some(name),
        host: told.host,
        reason: Some(reason),
        verdict,
        next,
        causes,
    };
    (outcome, exit::code(name, reason))
}

/// What a visit failed by, in the verdict's words.
struct Blamed {
    hosts: Vec<String>,
    // Whether nothing else broke the visit.
    is_all: bool,
    host: Option<String>,
    what: String,
}

/// More hosts than these are not told of one by one.
const MOST_TOLD: usize = 3;

/// The first cause; where others that broke the visit are the same trouble elsewhere, they are named with it.
fn told(causes: &[Cause]) -> Blamed {
    let Some(first) = causes.first() else {
        return Blamed { hosts: Vec::new(), is_all: false, host: None, what: "no reason was recorded".to_owned() };
    };
    let alike: Vec<&Cause> = causes.iter().filter(|cause| cause.broke && cause.trouble == first.trouble).collect();
    let hosts: Vec<String> = alike.iter().filter_map(|cause| cause.host.clone()).collect();
    let whats: Vec<&str> = alike.iter().take(MOST_TOLD).map(|cause| cause.what.as_str()).collect();
    let more = match alike.len().saturating_sub(MOST_TOLD) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let host = (!hosts.is_empty()).then(|| hosts.join(", "));
    let is_all = causes.iter().all(|cause| !cause.broke || cause.trouble == first.trouble);
    Blamed { hosts, is_all, host, what: format!("{}{more}", whats.join("; ")) }
}

/// Whether these hosts are those that this machine wanted to connect to.
fn is_of_connection(hop: &Hop, hosts: &[String]) -> bool {
    let Some(Did::Connect(connect)) = hop.stage(StageName::Connect).map(|stage| &stage.did) else { return false };
    let is_tried = |host: &String| {
        connect.attempts.iter().any(|attempt| {
            attempt.host.as_ref() == Some(host)
                || [attempt.server.to_string(), attempt.server.ip().to_string()].contains(host)
        })
    };
    hosts.iter().all(is_tried)
}

fn server_of(hop: &Hop) -> Option<String> {
    let Did::Connect(connect) = &hop.stage(StageName::Connect)?.did else { return None };
    let attempt = connect.connected()?;
    Some(attempt.host.clone().unwrap_or_else(|| attempt.server.to_string()))
}

fn receive_of(hop: &Hop) -> Option<&stage::Receive> {
    match &hop.stage(StageName::Receive)?.did {
        Did::Receive(receive) => Some(receive),
        _ => None,
    }
}

fn has_been_twice(hops: &[Hop]) -> bool {
    hops.iter().enumerate().any(|(nth, hop)| hops[..nth].iter().any(|before| before.url == hop.url))
}

fn has_status(hop: &Hop) -> bool {
    receive_of(hop).is_some_and(|receive| receive.status.is_some())
}

fn points_elsewhere(hop: &Hop) -> bool {
    let is_location = |header: &stage::Header| header.name.eq_ignore_ascii_case("location");
    receive_of(hop).is_some_and(|receive| {
        receive.headers.iter().any(|header| is_location(header) && !header.value.trim().is_empty())
    })
}

fn nobody_asked(hop: &Hop) -> bool {
    let Some(Did::Name(name)) = hop.stage(StageName::Name).map(|stage| &stage.did) else { return true };
    !name.exchanges.iter().any(|exchange| matches!(exchange.result, QueryResult::Reply { .. }))
}
