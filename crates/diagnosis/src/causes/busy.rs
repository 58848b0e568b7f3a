//! What this machine was too busy to tell: an answer that came late or not at all says nothing of a host whose thread, or
//! whose network, was waiting for a processor meanwhile.

use super::{
    evidence::Evidence,
    words::{and, ms},
};
use journey::{
    Cause, Reason, StageName, Sure, Trouble,
    chronicle::YOU,
    machine::{RunDelay, SWITCH},
};

/// Shorter waits for a processor are nothing special.
const SHORT_US: u64 = 50_000;
/// More waits than these are not named.
const MOST: usize = 3;

/// Puts one cause that names this machine in the place of all that its own delay may explain.
pub(super) fn told(evidence: &Evidence<'_>, found: Vec<Cause>) -> Vec<Cause> {
    let explained: Vec<Option<StageName>> =
        found.iter().filter(|cause| is_explained(evidence, cause)).filter_map(|cause| stage(evidence, cause)).collect();
    // What is only likely of the same stage is no surer for having another host.
    let is_blurred = |cause: &Cause| {
        is_explained(evidence, cause)
            || cause.sure < Sure::Certain && stage(evidence, cause).is_some_and(|stage| explained.contains(&stage))
    };
    let (blurred, mut clear): (Vec<Cause>, Vec<Cause>) = found.into_iter().partition(is_blurred);
    if let Some(nearest) = blurred.first() {
        let broke = blurred.iter().any(|cause| cause.broke);
        clear.push(cause(evidence, nearest, broke));
    }
    clear
}

/// The stage whose time a cause is about; none where it is the whole request. Other troubles are told by what was seen, and
/// no delay makes them up; nor does one close a connection, or send an answer of no use.
fn stage(evidence: &Evidence<'_>, cause: &Cause) -> Option<Option<StageName>> {
    use Reason::{ConnectFailed, MaxTime, ResolverDown, ServerFailure, Timeout, Unreachable};
    let is_of_time =
        |reason| matches!(reason, Timeout | MaxTime | ServerFailure | ResolverDown | Unreachable | ConnectFailed);
    if cause.broke && evidence.failed.is_some_and(|failed| !is_of_time(failed.reason)) {
        return None;
    }
    Some(match cause.trouble {
        Trouble::DnsNoAnswer | Trouble::DnsSlow | Trouble::DnsUnreachable => Some(StageName::Name),
        // A resolver answers SERVFAIL when others are late. No authority does, nor does a resolver that asked nobody.
        Trouble::DnsServerFailure if cause.sure < Sure::Certain && is_resolver(evidence, cause) => {
            Some(StageName::Name)
        }
        Trouble::SynUnanswered | Trouble::Unreachable => Some(StageName::Connect),
        Trouble::Silent | Trouble::SlowFirstByte => Some(StageName::Wait),
        Trouble::SlowContent => Some(StageName::Receive),
        // A frame that others came after is not late.
        Trouble::FramesLost if !cause.broke && has_lost(evidence) => return None,
        Trouble::FramesLost | Trouble::FramesLate | Trouble::LinkDown => None,
        _ => return None,
    })
}

/// Whether frames were seen that got no further; without them a loss is concluded from what was sent again.
fn has_lost(evidence: &Evidence<'_>) -> bool {
    evidence.traffic.as_ref().is_some_and(|traffic| !traffic.lost().is_empty())
}

fn is_resolver(evidence: &Evidence<'_>, cause: &Cause) -> bool {
    evidence.resolver().is_some_and(|(_, resolver)| cause.host == Some(resolver))
}

/// Whether the threads that a cause is about waited for a processor for at least half of the time that it is about; the
/// switch, for an eighth of the visit, as 20 ms for each of a few frames are enough for frames to be late.
fn is_explained(evidence: &Evidence<'_>, cause: &Cause) -> bool {
    let Some(stage) = stage(evidence, cause) else { return false };
    let took_us = took_us(evidence, stage);
    // Nobody has seen that an address is unknown: an ARP request was not answered in time.
    let is_seen =
        cause.sure == Sure::Certain && !matches!(cause.trouble, Trouble::DnsUnreachable | Trouble::Unreachable);
    let is_about = |delay: &&RunDelay| match delay.of.as_str() {
        // Frames are held up by what passes them on.
        of if stage.is_none() => of == SWITCH,
        of if cause.host.as_deref() == Some(of) => true,
        // What was seen to happen at a host does not become doubtful by what others waited for.
        _ if is_seen => false,
        SWITCH => true,
        YOU => true,
        of => stage == Some(StageName::Name) && evidence.resolver().is_some_and(|(_, resolver)| resolver == of),
    };
    let waited_us: u64 = evidence.case.run_delays.iter().filter(is_about).map(|delay| delay.us).sum();
    waited_us >= SHORT_US && waited_us >= took_us / if stage.is_none() { 8 } else { 2 }
}

/// How long what a cause is about took. A question may go on when its stage is over.
fn took_us(evidence: &Evidence<'_>, stage: Option<StageName>) -> u64 {
    let Some(stage) = stage else { return evidence.hop.span_us().map_or(0, |(begin, end)| end - begin) };
    let own = evidence.name().filter(|_| stage == StageName::Name).map_or(&[][..], |name| &name.exchanges);
    let longest = own.iter().map(|exchange| exchange.duration_us).max();
    evidence.hop.stage(stage).and_then(|stage| stage.duration_us).max(longest).unwrap_or_default()
}

fn cause(evidence: &Evidence<'_>, nearest: &Cause, broke: bool) -> Cause {
    let mut delays: Vec<&RunDelay> = evidence.case.run_delays.iter().collect();
    delays.sort_by_key(|delay| std::cmp::Reverse(delay.us));
    let waits: Vec<String> = delays.iter().take(MOST).map(|delay| format!("{} {}", delay.of, ms(delay.us))).collect();
    let what = match broke {
        true => "this machine was too busy to tell who failed",
        false => "this machine was too busy to tell whose the delay was",
    };
    let what =
        format!("{what}: threads of this process were ready to run and waited for a processor ({})", and(&waits));
    Cause::new(Trouble::MachineBusy, None, what)
        .seen()
        .broke(broke)
        .on(nearest.basis.iter().cloned())
        .next(Some("visit again when less is running on this machine".to_owned()))
}
