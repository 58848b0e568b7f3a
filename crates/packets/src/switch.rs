//! Where a frame goes: a learning switch's table (IEEE 802.1D §7.8, transparent bridging). Pure.

use std::{collections::HashMap, time::Duration};

use journey::capture::Mac;

/// An address that nothing was heard of for so long is forgotten (IEEE 802.1D, "Ageing Time").
pub const AGEING: Duration = Duration::from_secs(300);

/// A switch has so much room; who invents addresses fills it, and what is not in it is flooded.
const MOST: usize = 4096;

/// Which port each address was heard at last.
#[derive(Clone, Debug, Default)]
pub struct Table {
    entries: HashMap<Mac, Heard>,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    port: usize,
    at: Duration,
}

/// Where a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    /// To this port.
    To(usize),
    /// To all ports but the one it came in by.
    Flood,
    /// Nowhere: its destination is on the side that it came from.
    Stay,
}

impl Table {
    /// Takes note of where a frame came in. `now` is any clock that only goes forward.
    pub fn learn(&mut self, source: Mac, port: usize, now: Duration) {
        // A group cannot send; the standard has such a source discarded.
        if !source.is_unicast() {
            return;
        }
        if self.entries.len() >= MOST && !self.entries.contains_key(&source) {
            self.entries.retain(|_, heard| !is_old(*heard, now));
            if self.entries.len() >= MOST {
                return;
            }
        }
        self.entries.insert(source, Heard { port, at: now });
    }

    /// Where a frame goes that came in by that port.
    pub fn forward(&self, destination: Mac, from: usize, now: Duration) -> Forward {
        let heard = self.entries.get(&destination).filter(|heard| !is_old(**heard, now));
        match heard {
            Some(heard) if heard.port == from => Forward::Stay,
            Some(heard) => Forward::To(heard.port),
            None => Forward::Flood,
        }
    }

    /// The table as it stands, ordered by port.
    pub fn learned(&self, now: Duration) -> Vec<(Mac, usize)> {
        let alive = self.entries.iter().filter(|(_, heard)| !is_old(**heard, now));
        let mut learned: Vec<_> = alive.map(|(mac, heard)| (*mac, heard.port)).collect();
        learned.sort_by_key(|(mac, port)| (*port, *mac));
        learned
    }
}

fn is_old(heard: Heard, now: Duration) -> bool {
    now.saturating_sub(heard.at) > AGEING
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(last: u8) -> Mac {
        Mac([2, 0, 0, 0, 0, last])
    }

    #[test]
    fn learns_moves_and_forgets() {
        let mut table = Table::default();
        let second = Duration::from_secs;
        assert_eq!(table.forward(mac(2), 1, second(0)), Forward::Flood);
        table.learn(mac(2), 2, second(0));
        assert_eq!(table.forward(mac(2), 1, second(1)), Forward::To(2));
        assert_eq!(table.forward(mac(2), 2, second(1)), Forward::Stay);
        assert_eq!(table.forward(Mac::BROADCAST, 1, second(1)), Forward::Flood);
        table.learn(mac(2), 3, second(2));
        assert_eq!(table.forward(mac(2), 1, second(2)), Forward::To(3));
        assert_eq!(table.forward(mac(2), 1, second(302)), Forward::To(3));
        assert_eq!(table.forward(mac(2), 1, second(303)), Forward::Flood);
        assert!(table.learned(second(303)).is_empty());
        assert_eq!(table.learned(second(3)), [(mac(2), 3)]);
    }

    #[test]
    fn bounded_and_no_groups() {
        let mut table = Table::default();
        table.learn(Mac::BROADCAST, 1, Duration::ZERO);
        assert!(table.learned(Duration::ZERO).is_empty());
        for n in 0..10_000_u16 {
            let [high, low] = n.to_be_bytes();
            table.learn(Mac([2, 0, 0, 1, high, low]), 1, Duration::ZERO);
        }
        assert_eq!(table.entries.len(), MOST);
        let later = AGEING + Duration::from_secs(1);
        table.learn(mac(9), 2, later);
        assert_eq!(table.learned(later), [(mac(9), 2)]);
    }
}
