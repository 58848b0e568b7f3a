//! What this machine did, as events; and how events of several hosts are put in one order.

use crate::{
    Event, Evidence, Hop, NoUse, StageName, What,
    stage::{Attempt, Did, Exchange, QueryResult, Stage, Tls, Tried},
};

/// The host name of this machine in events.
pub const YOU: &str = "you";

/// Everything that the stages of these hops say this machine did, as events.
pub fn own(hops: &[Hop]) -> Vec<Event> {
    let mut events = Vec::new();
    for (hop, stage) in hops.iter().flat_map(|hop| hop.stages.iter().map(move |stage| (hop, stage))) {
        let mut push = |at_us: u64, what| {
            let at_us = i64::try_from(at_us).ok();
            events.push(Event { id: 0, at_us, host: YOU.to_owned(), evidence: Evidence::Observed, what });
        };
        match &stage.did {
            Did::Name(name) => {
                // The resolver's own address was asked for before the resolver.
                let bootstrap = name.bootstrap.iter().flat_map(|name| &name.exchanges);
                bootstrap.chain(&name.exchanges).for_each(|exchange| of_exchange(exchange, &mut push));
            }
            // A UDP socket only remembers an address: nothing is opened, and nobody hears of it.
            Did::Connect(_) if hop.scheme() == "udp" => {}
            // With a note its end is that of more than the connection.
            Did::Connect(connect) if stage.note.is_none() => {
                connect.attempts.iter().for_each(|attempt| of_attempt(attempt, &mut push));
            }
            Did::Tls(tls) => of_handshake(stage, tls, &mut push),
            Did::Send(send) => {
                let sent = send.bytes.map(|bytes| What::RequestSent { bytes });
                sent.into_iter().for_each(|what| at_end(stage, what, &mut push));
            }
            // With a note its end is another moment than that of the first byte; and it may end well without a byte, where
            // nobody had to say anything.
            Did::Wait(_) if stage.note.is_none() && has_begun(hop, StageName::Receive) => {
                at_end(stage, What::FirstByte, &mut push)
            }
            Did::Receive(receive) => {
                let received = receive.bytes.map(|bytes| What::ResponseReceived { bytes });
                received.into_iter().for_each(|what| at_end(stage, what, &mut push));
            }
            Did::Url(_) | Did::Route(_) | Did::Connect(_) | Did::Wait(_) | Did::Close(_) => {}
        }
    }
    events
}

fn has_begun(hop: &Hop, stage: StageName) -> bool {
    hop.stage(stage).is_some_and(|stage| stage.start_us.is_some())
}

fn at_end(stage: &Stage, what: What, push: &mut impl FnMut(u64, What)) {
    if let (crate::StageState::Done, Some(end)) = (stage.state, stage.end_us()) {
        push(end, what);
    }
}

fn of_exchange(exchange: &Exchange, push: &mut impl FnMut(u64, What)) {
    let Exchange { server, transport, ref question, start_us, sent_us, duration_us, .. } = *exchange;
    let end_us = start_us.saturating_add(duration_us);
    let elapsed_us = end_us.saturating_sub(sent_us.unwrap_or(start_us));
    if let Some(sent_us) = sent_us {
        push(sent_us, What::QuerySent { server, transport, question: question.clone() });
    }
    let failed = |why: &str, failure| What::QueryFailed {
        server,
        transport,
        question: question.clone(),
        why: why.to_owned(),
        failure,
        elapsed_us,
    };
    let what = match &exchange.result {
        QueryResult::Reply { reply } => {
            What::ReplyReceived { server, transport, question: question.clone(), reply: reply.clone(), elapsed_us }
        }
        QueryResult::Timeout => failed("no answer in time", NoUse::NoAnswer),
        QueryResult::Abandoned => return,
        QueryResult::NothingListens => failed("nothing listens there", NoUse::NothingListens),
        QueryResult::Failed { why, failure } | QueryResult::BadReply { why, failure } => failed(why, *failure),
    };
    push(end_us, what);
}

fn of_handshake(stage: &Stage, tls: &Tls, push: &mut impl FnMut(u64, What)) {
    let Some(end) = stage.end_us() else { return };
    match (&stage.failure, &tls.version) {
        (Some(failure), _) => push(end, What::HandshakeFailed { why: failure.what.clone() }),
        (None, Some(version)) => {
            let cipher_suite = tls.cipher_suite.clone().unwrap_or_default();
            push(end, What::HandshakeDone { version: version.clone(), cipher_suite });
        }
        (None, None) => {}
    }
}

fn of_attempt(attempt: &Attempt, push: &mut impl FnMut(u64, What)) {
    let server = attempt.server;
    push(attempt.start_us, What::ConnectStarted { server });
    let why = match &attempt.result {
        Tried::Connected => {
            if let Some(local) = attempt.local {
                push(attempt.start_us.saturating_add(attempt.duration_us), What::Connected { server, local });
            }
            return;
        }
        Tried::Abandoned => return,
        Tried::Refused => "refused",
        Tried::Timeout => "no answer in time",
        Tried::Unreachable { why } | Tried::Failed { why, .. } => why,
    };
    push(attempt.start_us.saturating_add(attempt.duration_us), What::ConnectFailed { server, why: why.to_owned() });
}

/// Puts events in the order of their times, and numbers them from 1. Those without a time come at the end, each host's in the order in which it
/// told them: where between the others they belong is not known.
pub fn in_order(mut events: Vec<Event>) -> Vec<Event> {
    events.sort_by_key(|event| (event.at_us.is_none(), event.at_us));
    for (id, event) in (1..).zip(&mut events) {
        event.id = id;
    }
    events
}
