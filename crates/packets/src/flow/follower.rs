//! Follows connections as their frames come.

use std::{collections::HashMap, net::SocketAddr};

use super::{Again, Arrival, Flow, FlowKey, Flows, Segment, Side, path::Passage, segment::Seen};
use crate::decode::{Decoded, Network, Transport};

/// How much is kept of what foreign hosts send.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections.
    pub flows: usize,
    /// Segments that are noted, of all of them together. What comes later is followed all the same.
    pub segments: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { flows: 4096, segments: 400_000 }
    }
}

/// Follows connections as their frames come.
#[derive(Clone, Debug, Default)]
pub struct Follower {
    limits: Limits,
    flows: Vec<Flow>,
    // By link and the two ends, the lesser first.
    latest: HashMap<(usize, SocketAddr, SocketAddr), usize>,
    by_frame: HashMap<usize, (usize, usize)>,
    noted: usize,
    unfollowed: u64,
}

impl Follower {
    /// Keeps that much.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// This frame passed; `arrival` is whether it got to the end that it is for. What it is within its connection, where it
    /// belongs to one and is noted.
    pub fn see(
        &mut self,
        frame: usize,
        link: usize,
        at_ns: i64,
        decoded: &Decoded,
        arrival: impl Into<Arrival>,
    ) -> Option<&Segment> {
        self.note(frame, link, at_ns, decoded, Passage { arrival: arrival.into(), ..Passage::default() })
    }

    /// Whether nothing more is to come of those connections, as far as they were seen: they are over, or nobody answered.
    pub fn all_over(&self, ours: impl Fn(&FlowKey) -> bool) -> bool {
        self.flows
            .iter()
            .filter(|flow| ours(&flow.key))
            .all(|flow| flow.is_superseded || flow.is_over() || flow.is_unanswered())
    }

    /// The connections so far, ordered by their first frame.
    pub fn flows(&self) -> &[Flow] {
        &self.flows
    }

    /// What was found.
    pub fn into_flows(self) -> Flows {
        Flows { flows: self.flows, unfollowed: self.unfollowed, by_frame: self.by_frame, came_as: Vec::new() }
    }

    pub(super) fn note(
        &mut self,
        frame: usize,
        link: usize,
        at_ns: i64,
        decoded: &Decoded,
        passage: Passage,
    ) -> Option<&Segment> {
        let (Some(Network::Ip(ip)), Some(Transport::Tcp(tcp))) = (&decoded.network, &decoded.transport) else {
            return None;
        };
        let source = SocketAddr::new(ip.source, tcp.source_port);
        let destination = SocketAddr::new(ip.destination, tcp.destination_port);
        let place = (link, source.min(destination), source.max(destination));
        let index = match self.latest.get(&place) {
            Some(&index) if !self.flows[index].is_followed_by(source, tcp) => index,
            earlier if self.flows.len() < self.limits.flows => {
                if let Some(&earlier) = earlier {
                    self.flows[earlier].is_superseded = !self.flows[earlier].is_over();
                }
                self.flows.push(Flow::begin(link, source, destination, tcp));
                self.latest.insert(place, self.flows.len() - 1);
                self.flows.len() - 1
            }
            _ => {
                self.unfollowed += 1;
                return None;
            }
        };
        // Why its sender sent it again is best told where that one sits.
        let why =
            passage.came_as.and_then(|before| self.by_frame.get(&before)).and_then(|&(flow, segment)| {
                match self.flows[flow].segments.get(segment)?.again? {
                    Again::Retransmission { why, .. } => Some(why),
                    Again::Copy { .. } => None,
                }
            });
        let flow = &mut self.flows[index];
        let from = if source == flow.key.client { Side::Client } else { Side::Server };
        let segment = flow.see(Seen { frame, at_ns, from, passage, why }, tcp);
        if self.noted >= self.limits.segments {
            flow.unnoted += 1;
            return None;
        }
        self.noted += 1;
        self.by_frame.insert(frame, (index, flow.segments.len()));
        flow.segments.push(segment);
        flow.segments.last()
    }
}
