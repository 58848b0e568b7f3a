//! When: which of the occurrences that a fault is meant for it meets. Pure: what chance says follows from the seed and from
//! what was met before; of the network's frames, from what was met before in the same flow.

mod flows;

use rand::{RngExt, SeedableRng, rngs::StdRng};

pub use flows::Flow;
use flows::Flows;

use super::When;

/// How a fault goes on from one occurrence to the next.
#[derive(Debug)]
pub struct Schedule {
    when: When,
    chance: StdRng,
    met: u64,
    // What chance says of the next one, where somebody has asked already.
    drawn: Option<bool>,
    flows: Flows,
}

impl Schedule {
    /// From the beginning.
    pub fn new(when: When) -> Self {
        Self { when, chance: StdRng::seed_from_u64(when.seed), met: 0, drawn: None, flows: Flows::default() }
    }

    /// Whether the fault strikes at this occurrence, the next of those that it is meant for.
    pub fn strikes(&mut self) -> bool {
        let strikes = self.would_strike();
        self.met += 1;
        self.drawn = None;
        strikes
    }

    /// The same for an occurrence in a flow of many that go on at once: chance says the same of it in every run, in whichever
    /// order the flows come.
    pub fn strikes_in(&mut self, flow: &Flow) -> bool {
        if let Some(chance) = self.when.chance {
            self.drawn = Some(self.flows.draw(self.when.seed, flow) < chance);
        }
        self.strikes()
    }

    /// Whether it will, if what is looked at turns out to be such an occurrence.
    pub fn would_strike(&mut self) -> bool {
        let When { after, first, every, chance, .. } = self.when;
        let Some(nth @ 1..) = (self.met + 1).checked_sub(after) else { return false };
        if first.is_some_and(|first| nth > first) || every.is_some_and(|every| nth % every != 0) {
            return false;
        }
        chance.is_none_or(|chance| *self.drawn.get_or_insert_with(|| self.chance.random_bool(chance)))
    }

    /// Whether it will never strike again.
    pub fn is_over(&self) -> bool {
        self.when.first.is_some_and(|first| self.met >= first.saturating_add(self.when.after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(when: When, times: usize) -> String {
        let mut schedule = Schedule::new(when);
        (0..times).map(|_| if schedule.strikes() { 'x' } else { '.' }).collect()
    }

    #[test]
    fn which_ones() {
        let check = |when: When, expected: &str| assert_eq!(schedule(when, expected.len()), expected, "{when:?}");
        let when = When::default();
        check(when, "xxx");
        check(When { first: Some(1), ..when }, "x..");
        check(When { every: Some(3), ..when }, "..x..x.");
        check(When { after: 2, first: Some(2), ..when }, "..xx..");
        check(When { chance: Some(0.0), ..when }, "....");
    }

    #[test]
    fn looking_ahead_changes_nothing() {
        let when = When { after: 1, first: Some(90), chance: Some(0.5), seed: 7, ..When::default() };
        let (mut asked, mut not_asked) = (Schedule::new(when), Schedule::new(when));
        for nth in 0..91 {
            assert!(!asked.is_over());
            let ahead = [asked.would_strike(), asked.would_strike()];
            assert_eq!((ahead, asked.strikes()), ([not_asked.strikes(); 2], ahead[0]), "{nth}");
        }
        assert!(asked.is_over() && !asked.would_strike());
    }

    #[test]
    fn chance_follows_the_seed() {
        let of = |seed| schedule(When { chance: Some(0.2), seed, ..When::default() }, 1000);
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
        let met = of(7).matches('x').count();
        assert!((150..250).contains(&met), "{met} of 1000");
    }
}
