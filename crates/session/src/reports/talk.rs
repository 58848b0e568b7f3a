//! Which of a host's events are of a conversation that carried no id. Pure.
//!
//! `talk` and `echo` know no visits, so a host is asked for what it recorded of this machine's socket. The same socket
//! address can have been somebody else's before, and can be soon after; what is shown must be of this visit alone:
//!
//! - Nothing counts that the host recorded before the visit began. How many events it had recorded is asked before the
//!   visit; where both read the same kernel's clock, the time must be within the conversation's own as well. Without
//!   either nothing is taken.
//! - Over TCP a conversation begins with the connection to the visited address and ends with its close; over UDP it is what
//!   was read and written as datagrams. What the other protocol's socket of the same number did is left out.

use std::net::SocketAddr;

use journey::{
    Hop, StageName, What,
    report::{Report, Reported},
    stage::Did,
};
use world::Protocol;

/// A conversation of which the other side may have recorded its part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// The host it was with.
    pub host: String,
    /// The address that was visited, in the world.
    pub server: SocketAddr,
    /// Over what.
    pub protocol: Protocol,
    /// This machine's socket, as the host sees it.
    pub local: SocketAddr,
    /// When this machine began it, in microseconds from the begin of the visit.
    pub start_us: u64,
}

impl Conversation {
    /// The conversation of this hop, if it was one without HTTP and with a host of the world.
    pub fn of(hop: &Hop) -> Option<Self> {
        let protocol = match hop.scheme() {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => return None,
        };
        let Did::Connect(connect) = &hop.stage(StageName::Connect)?.did else { return None };
        let attempt = connect.connected()?;
        Some(Self {
            host: attempt.host.clone()?,
            server: attempt.server,
            protocol,
            local: attempt.local?,
            start_us: attempt.start_us,
        })
    }

    /// This conversation's part of what the host recorded of that socket. `recorded_before` is how many events it had
    /// recorded before the visit, `at_us` places an event on this machine's time line; each where it is known.
    pub fn events_in(
        &self,
        report: Report,
        recorded_before: Option<u64>,
        at_us: Option<&dyn Fn(&Reported) -> i64>,
    ) -> Vec<Reported> {
        if recorded_before.is_none() && at_us.is_none() {
            return Vec::new();
        }
        let start_us = i64::try_from(self.start_us).unwrap_or(i64::MAX);
        let is_later = |event: &Reported| {
            recorded_before.is_none_or(|before| event.seq >= before)
                && at_us.is_none_or(|at_us| at_us(event) >= start_us)
        };
        let is_mine = |event: &Reported| event.trace.is_none() && event.what.peer() == Some(self.local);
        let candidates = report.events.into_iter().filter(|event| is_mine(event) && is_later(event));
        match self.protocol {
            Protocol::Tcp => self.over_tcp(candidates),
            Protocol::Udp => over_udp(candidates),
        }
    }

    fn over_tcp(&self, candidates: impl Iterator<Item = Reported>) -> Vec<Reported> {
        let is_begin =
            |event: &Reported| matches!(event.what, What::ConnectionAccepted { local, .. } if local == self.server);
        let mut events = Vec::new();
        let mut datagram = false;
        for event in candidates.skip_while(|event| !is_begin(event)) {
            datagram = match &event.what {
                What::RequestRead { method, .. } => method == ECHO,
                _ => datagram,
            };
            let is_end = matches!(event.what, What::ConnectionClosed { .. });
            let is_datagrams = matches!(event.what, What::RequestRead { .. } | What::ResponseWritten { .. });
            if !(datagram && is_datagrams) {
                events.push(event);
            }
            if is_end {
                break;
            }
        }
        events
    }
}

/// The word for a datagram that was read.
const ECHO: &str = "ECHO";

fn over_udp(candidates: impl Iterator<Item = Reported>) -> Vec<Reported> {
    let mut datagram = false;
    let mut is_mine = |event: &Reported| {
        match &event.what {
            What::RequestRead { method, .. } => datagram = method == ECHO,
            What::ResponseWritten { .. } => {}
            _ => return false,
        }
        datagram
    };
    candidates.filter(|event| is_mine(event)).collect()
}

#[cfg(test)]
mod tests {
    use journey::{TraceId, event::ClosedBy};

    use super::*;

    const ME: &str = "127.0.0.1:50000";
    const TALK: &str = "10.78.2.81:8080";

    fn accepted(local: &str) -> What {
        What::ConnectionAccepted { peer: ME.parse().unwrap(), local: local.parse().unwrap() }
    }

    fn read(method: &str) -> What {
        What::RequestRead { peer: ME.parse().unwrap(), method: method.into(), target: String::new(), bytes: 5 }
    }

    fn written() -> What {
        What::ResponseWritten { peer: ME.parse().unwrap(), status: None, bytes: 24, elapsed_us: 1 }
    }

    fn closed() -> What {
        What::ConnectionClosed { peer: ME.parse().unwrap(), by: ClosedBy::Peer, bytes_in: 5, bytes_out: 24 }
    }

    fn report(events: Vec<What>) -> Report {
        let numbered = (0..).zip(events);
        let events =
            numbered.map(|(seq, what)| Reported { seq, at_ns: seq * 1_000, trace: None, what }).collect::<Vec<_>>();
        let (host, service, clock) = ("app1".into(), "app".into(), "boot".into());
        Report { host, service, clock, overwritten: 0, recorded: Some(events.len() as u64), queues: Vec::new(), events }
    }

    /// The numbers of the events that are of a conversation which began at the time `start_us`; event n is of the time n.
    fn check(protocol: Protocol, before: Option<u64>, start_us: Option<u64>, events: Vec<What>, expected: &[u64]) {
        let server = if protocol == Protocol::Tcp { TALK } else { "10.78.2.81:7" };
        let conversation = Conversation {
            host: "app1".into(),
            server: server.parse().unwrap(),
            protocol,
            local: ME.parse().unwrap(),
            start_us: start_us.unwrap_or(0),
        };
        let at_us = |event: &Reported| i64::try_from(event.seq).unwrap();
        let clock: Option<&dyn Fn(&Reported) -> i64> = if start_us.is_some() { Some(&at_us) } else { None };
        let seen = conversation.events_in(report(events), before, clock);
        assert_eq!(seen.iter().map(|event| event.seq).collect::<Vec<_>>(), expected);
    }

    fn one() -> Vec<What> {
        vec![accepted(TALK), read("TALK"), written(), closed()]
    }

    #[test]
    fn one_conversation() {
        check(Protocol::Tcp, Some(0), Some(0), one(), &[0, 1, 2, 3]);
        check(Protocol::Tcp, Some(0), None, one(), &[0, 1, 2, 3]);
        check(Protocol::Tcp, None, Some(0), one(), &[0, 1, 2, 3]);
        check(Protocol::Udp, Some(0), None, vec![read("ECHO"), written()], &[0, 1]);
    }

    #[test]
    fn nothing_is_taken_for_it_without_knowing_when() {
        check(Protocol::Tcp, None, None, one(), &[]);
        check(Protocol::Udp, None, None, vec![read("ECHO"), written()], &[]);
    }

    #[test]
    fn the_same_socket_before_and_after() {
        let twice = [one(), one(), one()].concat();
        check(Protocol::Tcp, Some(4), None, twice.clone(), &[4, 5, 6, 7]);
        check(Protocol::Tcp, None, Some(4), twice.clone(), &[4, 5, 6, 7]);
        // The count from before the visit and the clock must both agree.
        check(Protocol::Tcp, Some(0), Some(8), twice.clone(), &[8, 9, 10, 11]);
        check(Protocol::Tcp, Some(8), Some(0), twice, &[8, 9, 10, 11]);
        // The end of a connection before it, told late.
        check(Protocol::Tcp, Some(0), None, [vec![closed()], one()].concat(), &[1, 2, 3, 4]);
        let echoes = vec![read("ECHO"), written(), read("ECHO"), written()];
        check(Protocol::Udp, Some(2), None, echoes, &[2, 3]);
    }

    #[test]
    fn the_other_protocols_socket_of_the_same_number() {
        let mixed = vec![accepted(TALK), read("ECHO"), written(), read("TALK"), written(), closed()];
        check(Protocol::Tcp, Some(0), None, mixed.clone(), &[0, 3, 4, 5]);
        check(Protocol::Udp, Some(0), None, mixed, &[1, 2]);
        check(Protocol::Tcp, Some(0), None, vec![read("ECHO"), written()], &[]);
        // Another port of the same host.
        check(Protocol::Tcp, Some(0), None, vec![accepted("10.78.2.81:80"), read("TALK"), written()], &[]);
    }

    #[test]
    fn another_socket() {
        let mut told = one();
        let What::RequestRead { peer, .. } = &mut told[1] else { unreachable!("it is the second") };
        peer.set_port(50_001);
        check(Protocol::Tcp, Some(0), None, told, &[0, 2, 3]);
    }

    #[test]
    fn events_of_a_visit_with_an_id_are_its_own() {
        let mut told = report(one());
        told.events[1].trace = TraceId::new([1; 16]).ok();
        let conversation = Conversation {
            host: "app1".into(),
            server: TALK.parse().unwrap(),
            protocol: Protocol::Tcp,
            local: ME.parse().unwrap(),
            start_us: 0,
        };
        assert_eq!(conversation.events_in(told, Some(0), None).len(), 3);
    }
}
