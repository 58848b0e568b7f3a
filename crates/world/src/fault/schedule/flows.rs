//! Chance for many flows at once: what is drawn for one does not depend on what happens in the others.

use std::{
    collections::HashMap,
    hash::{Hash, Hasher},
};

/// Flows that are remembered; then all begin anew.
const MOST: usize = 65_536;

/// Where an occurrence is: in which flow, and as what in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// What is the same in every run: who sends to whom, by which protocol and to which service.
    pub between: String,
    /// What tells the flow from others between the same, and differs from run to run: the client's port. Of such flows only
    /// their order counts.
    pub which: u64,
    /// What it is in the flow: SYN, data, and from which side. The first, second, … of each kind are drawn for.
    pub kind: &'static str,
}

/// The flows so far.
#[derive(Debug, Default)]
pub(super) struct Flows {
    // How many flows there are between the same.
    between: HashMap<String, u64>,
    // Which of them each is.
    ordinals: HashMap<(String, u64), u64>,
    // How many of a kind there were in each.
    met: HashMap<(String, u64, &'static str), u64>,
}

impl Flows {
    /// A number from 0 up to but not including 1, for the next occurrence of its kind in its flow.
    pub(super) fn draw(&mut self, seed: u64, flow: &Flow) -> f64 {
        if self.met.len() >= MOST {
            *self = Self::default();
        }
        let Flow { between, which, kind } = flow;
        let count = &mut self.between;
        let ordinal = *self.ordinals.entry((between.clone(), *which)).or_insert_with(|| {
            let count = count.entry(between.clone()).or_default();
            *count += 1;
            *count
        });
        let nth = self.met.entry((between.clone(), ordinal, kind)).or_default();
        *nth += 1;
        let mut hasher = Fnv::default();
        (seed, between, ordinal, kind, *nth).hash(&mut hasher);
        // The 53 bits that a double has room for.
        (mixed(hasher.finish()) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// FNV-1a, which is the same on every machine and in every version.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

/// The last step of SplitMix64: bits that FNV leaves alike become as if drawn.
fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(between: &str, which: u64, kind: &'static str) -> Flow {
        Flow { between: between.to_owned(), which, kind }
    }

    #[test]
    fn a_flow_draws_the_same_whatever_other_flows_do() {
        let mut alone = Flows::default();
        let expected: Vec<f64> = (0..50).map(|_| alone.draw(7, &flow("a → b", 4711, "data"))).collect();
        let mut among = Flows::default();
        let drawn: Vec<f64> = (0..50)
            .map(|nth| {
                for other in 0..nth % 4 {
                    among.draw(7, &flow("a → c", 100 + other, "data"));
                    among.draw(7, &flow("a → b", 40_000, "ack"));
                }
                // By another port than in the first run.
                among.draw(7, &flow("a → b", 40_000, "data"))
            })
            .collect();
        assert_eq!(drawn, expected);
    }

    #[test]
    fn the_second_flow_draws_otherwise_than_the_first() {
        let mut flows = Flows::default();
        let mut of = |which| (0..20).map(|_| flows.draw(7, &flow("a → b", which, "data"))).collect::<Vec<_>>();
        assert_ne!(of(1), of(2));
        let mut seeds = Flows::default();
        assert_ne!(seeds.draw(7, &flow("a", 1, "data")), Flows::default().draw(8, &flow("a", 1, "data")));
    }

    #[test]
    fn draws_are_spread_evenly() {
        let mut flows = Flows::default();
        let below = (0..10_000).filter(|which| flows.draw(7, &flow("a → b", *which, "syn")) < 0.2).count();
        assert!((1_850..2_150).contains(&below), "{below} of 10000");
    }

    #[test]
    fn no_more_flows_are_remembered_than_the_limit() {
        let mut flows = Flows::default();
        for which in 0..MOST as u64 + 10 {
            flows.draw(7, &flow("a → b", which, "syn"));
        }
        assert!(flows.met.len() <= MOST && flows.ordinals.len() <= MOST);
    }
}
