//! How many datagrams of one sender are answered. Two services that answer whatever they get keep a single datagram going for
//! ever; one that is not answered ends it. A client that sends by hand, or a burst, does not notice.

use std::{collections::HashMap, net::SocketAddr};

/// Datagrams that are answered at once.
const BURST: u64 = 256;
/// After so long one more is.
const ONE_NS: u64 = 250_000_000;
/// Senders that are remembered.
const MOST: usize = 4096;

/// What each sender has left. It is kept as the time at which the sender will have all of it again.
#[derive(Debug, Default)]
pub(super) struct Allowances(HashMap<SocketAddr, u64>);

impl Allowances {
    /// Whether a datagram of this sender is to be answered now.
    pub(super) fn take(&mut self, sender: SocketAddr, now_ns: u64) -> bool {
        if self.0.len() >= MOST && !self.0.contains_key(&sender) {
            self.0.retain(|_, full_ns| *full_ns > now_ns);
            if self.0.len() >= MOST {
                self.0.clear();
            }
        }
        let full_ns = self.0.entry(sender).or_insert(now_ns);
        let after_ns = (*full_ns).max(now_ns) + ONE_NS;
        let is_allowed = after_ns <= now_ns + BURST * ONE_NS;
        if is_allowed {
            *full_ns = after_ns;
        }
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    #[test]
    fn a_burst_is_answered_and_then_one_every_quarter_of_a_second() {
        let mut allowances = Allowances::default();
        let now_ns = 1_000;
        for nth in 0..BURST {
            assert!(allowances.take(sender(1), now_ns), "{nth}");
        }
        assert!(!allowances.take(sender(1), now_ns) && !allowances.take(sender(1), now_ns + ONE_NS - 1));
        assert!(allowances.take(sender(1), now_ns + ONE_NS) && !allowances.take(sender(1), now_ns + ONE_NS));
        assert!(allowances.take(sender(2), now_ns), "another sender has its own");
        let later_ns = now_ns + 1_000 * ONE_NS;
        assert_eq!((0..1_000).filter(|_| allowances.take(sender(1), later_ns)).count() as u64, BURST);
    }

    #[test]
    fn no_more_senders_are_remembered_than_the_limit() {
        let mut allowances = Allowances::default();
        for port in 1..=u16::MAX {
            assert!(allowances.take(sender(port), 1));
        }
        assert!(allowances.0.len() <= MOST);
    }
}
