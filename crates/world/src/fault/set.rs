//! The faults that are in force at a host, or in the network. Pure: whoever asks says what time it is.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Fault, Flow, Schedule};

/// The faults in force, each with its course.
#[derive(Debug, Default)]
pub struct Set {
    last: u64,
    faults: Vec<Entry>,
}

/// A fault in force.
#[derive(Debug)]
pub struct Entry {
    id: u64,
    fault: Fault,
    schedule: Schedule,
    struck: u64,
    // When it ends by itself, as the fault says and as whoever put it there did.
    ends: Option<Instant>,
    leased: Option<Instant>,
}

/// Whether a fault is meant for an occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It is not.
    No,
    /// It is.
    Yes,
    /// That depends on what comes of it: the answer may have nothing that the fault could change.
    OnAnswer,
}

/// What meets an occurrence before there is an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Met {
    /// Nothing.
    Nothing,
    /// This fault, which has struck.
    Strikes(Fault),
    /// Perhaps this one, or one behind it: the answer says.
    Waits(Waits),
}

/// A fault that waits for the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Waits {
    /// By which [`Set::meet_answer`] goes on.
    pub id: u64,
    /// The fault.
    pub fault: Fault,
    /// Whether it strikes if it is meant for the answer, as far as can be said before.
    pub would_strike: bool,
}

/// A fault in force, as it is told to others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// By which it can be ended.
    pub id: u64,
    /// As it is written.
    pub fault: String,
    /// How often it has struck.
    pub struck: u64,
    /// Milliseconds until it ends by itself; null where it does not.
    pub left_ms: Option<u64>,
}

impl Entry {
    /// The fault.
    pub fn fault(&self) -> &Fault {
        &self.fault
    }

    /// Whether it strikes at this occurrence, which it is meant for; counts it.
    pub fn strikes(&mut self) -> bool {
        let strikes = self.schedule.strikes();
        self.struck += u64::from(strikes);
        strikes
    }

    /// The same for an occurrence in a flow.
    pub fn strikes_in(&mut self, flow: &Flow) -> bool {
        let strikes = self.schedule.strikes_in(flow);
        self.struck += u64::from(strikes);
        strikes
    }

    fn until(&self) -> Option<Instant> {
        [self.ends, self.leased].into_iter().flatten().min()
    }

    fn is_over(&self, now: Instant) -> bool {
        self.until().is_some_and(|until| until <= now)
    }
}

impl Set {
    /// Puts a fault into force until it is removed, or until it ends by itself: after what the fault says, or after `lease`
    /// if that is sooner. Returns its id.
    pub fn add(&mut self, fault: Fault, now: Instant, lease: Option<Duration>) -> u64 {
        self.last += 1;
        let behind = |time: Option<Duration>| time.and_then(|time| now.checked_add(time));
        let entry = Entry {
            id: self.last,
            schedule: Schedule::new(fault.when),
            struck: 0,
            ends: behind(fault.when.lasting),
            leased: behind(lease),
            fault,
        };
        self.faults.push(entry);
        self.last
    }

    /// Ends a fault; says whether it was there.
    pub fn remove(&mut self, id: u64) -> bool {
        let before = self.faults.len();
        self.faults.retain(|entry| entry.id != id);
        self.faults.len() < before
    }

    /// Lets a fault that was put there for a time stay so long from now on; says whether it was there. What it says itself
    /// still ends it.
    pub fn renew(&mut self, id: u64, now: Instant, lease: Duration) -> bool {
        let mut there = self.in_force(now);
        there.find(|entry| entry.id == id).map(|entry| entry.leased = now.checked_add(lease)).is_some()
    }

    /// Ends all faults.
    pub fn clear(&mut self) {
        self.faults.clear();
    }

    /// Whether there are none. Those that have ended by themselves count until somebody asks for another thing.
    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// Those in force now, in the order in which they were put there.
    pub fn in_force(&mut self, now: Instant) -> impl Iterator<Item = &mut Entry> {
        self.faults.retain(|entry| !entry.is_over(now));
        self.faults.iter_mut()
    }

    /// The first fault that is meant for this occurrence and strikes; those behind it do not see the occurrence.
    pub fn strike(&mut self, now: Instant, is_meant: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let mut meant = self.in_force(now).filter(|entry| is_meant(&entry.fault));
        meant.find_map(|entry| entry.strikes().then(|| entry.fault.clone()))
    }

    /// The first fault that strikes before there is an answer, or waits for it.
    pub fn meet(&mut self, now: Instant, fit: impl Fn(&Fault) -> Fit) -> Met {
        for entry in self.in_force(now) {
            match fit(&entry.fault) {
                Fit::Yes if entry.strikes() => return Met::Strikes(entry.fault.clone()),
                Fit::OnAnswer if !entry.schedule.is_over() => {
                    let (id, fault, would_strike) = (entry.id, entry.fault.clone(), entry.schedule.would_strike());
                    return Met::Waits(Waits { id, fault, would_strike });
                }
                _ => {}
            }
        }
        Met::Nothing
    }

    /// The same once there is an answer, from this fault on: those before it have seen the occurrence.
    pub fn meet_answer(&mut self, now: Instant, from: u64, is_meant: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let mut meant = self.in_force(now).filter(|entry| entry.id >= from && is_meant(&entry.fault));
        meant.find_map(|entry| entry.strikes().then(|| entry.fault.clone()))
    }

    /// Whether this fault is in force and strikes at this occurrence, which it is meant for; counts it.
    pub fn strike_with(&mut self, now: Instant, id: u64) -> bool {
        self.in_force(now).find(|entry| entry.id == id).is_some_and(Entry::strikes)
    }

    /// When the next of them ends by itself.
    pub fn next_end(&self) -> Option<Instant> {
        self.faults.iter().filter_map(Entry::until).min()
    }

    /// As they are told to others.
    pub fn list(&mut self, now: Instant) -> Vec<Listed> {
        let listed = |entry: &mut Entry| Listed {
            id: entry.id,
            fault: entry.fault.to_string(),
            struck: entry.struck,
            left_ms: entry.until().map(|until| {
                let left = until.saturating_duration_since(now).as_millis();
                u64::try_from(left).unwrap_or(u64::MAX)
            }),
        };
        self.in_force(now).map(listed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Kind;

    fn fault(text: &str) -> Fault {
        text.parse().unwrap()
    }

    #[test]
    fn end_by_themselves_or_by_hand() {
        let (mut set, now) = (Set::default(), Instant::now());
        let after = |seconds| now + Duration::from_secs(seconds);
        set.add(fault("auth1:drop,for=5s"), now, None);
        set.add(fault("auth1:servfail,for=60s"), now, Some(Duration::from_secs(10)));
        let kept = set.add(fault("auth1:refused"), now, None);
        let names = |set: &mut Set, at| set.list(at).into_iter().map(|one| one.fault).collect::<Vec<_>>();
        assert_eq!(set.next_end(), Some(after(5)));
        assert_eq!(set.list(after(4))[0].left_ms, Some(1000));
        assert_eq!(names(&mut set, after(5)), ["auth1:servfail,for=60s", "auth1:refused"]);
        assert_eq!(names(&mut set, after(10)), ["auth1:refused"]);
        assert!(set.remove(kept) && !set.remove(kept) && set.is_empty());
    }

    #[test]
    fn renewed() {
        let (mut set, now) = (Set::default(), Instant::now());
        let after = |seconds| now + Duration::from_secs(seconds);
        let id = set.add(fault("auth1:drop,for=20s"), now, Some(Duration::from_secs(10)));
        let lease = Duration::from_secs(10);
        assert!(set.renew(id, after(9), lease) && set.list(after(18)).len() == 1);
        assert!(set.renew(id, after(18), lease) && set.list(after(20)).is_empty());
        assert!(!set.renew(id, after(20), lease));
    }

    #[test]
    fn some_wait_for_the_answer() {
        let (mut set, now) = (Set::default(), Instant::now());
        set.add(fault("app1:empty,first=1"), now, None);
        let cut = set.add(fault("app1:cut,first=1"), now, None);
        set.add(fault("app1:status,first=2"), now, None);
        let fit = |fault: &Fault| if fault.kind == Kind::Cut { Fit::OnAnswer } else { Fit::Yes };
        let struck = |set: &mut Set| set.list(now).iter().map(|one| one.struck).collect::<Vec<_>>();
        assert_eq!(set.meet(now, fit), Met::Strikes(fault("app1:empty,first=1")));
        let waits = Met::Waits(Waits { id: cut, fault: fault("app1:cut,first=1"), would_strike: true });
        assert_eq!(set.meet(now, fit), waits);
        // Without anything to cut it is the next one's turn, and the cut has not been.
        let status = fault("app1:status=503,first=2");
        assert_eq!(set.meet_answer(now, cut, |fault| fault.kind != Kind::Cut), Some(status.clone()));
        assert_eq!((set.meet(now, fit), struck(&mut set)), (waits, vec![1, 0, 1]));
        assert_eq!(set.meet_answer(now, cut, |_| true), Some(fault("app1:cut,first=1")));
        assert_eq!(set.meet(now, fit), Met::Strikes(status));
        assert_eq!((set.meet(now, fit), struck(&mut set)), (Met::Nothing, vec![1, 1, 2]));
        assert!(!set.strike_with(now, cut) && !set.strike_with(now, 9));
    }

    #[test]
    fn the_first_that_strikes_is_the_one() {
        let (mut set, now) = (Set::default(), Instant::now());
        set.add(fault("auth1:drop,first=1"), now, None);
        set.add(fault("auth1:servfail,first=1"), now, None);
        let mut next = || set.strike(now, |_| true).map(|fault| fault.to_string());
        assert_eq!(next().as_deref(), Some("auth1:drop,first=1"));
        assert_eq!(next().as_deref(), Some("auth1:servfail,first=1"));
        assert_eq!(next(), None);
        assert_eq!(set.list(now).iter().map(|one| one.struck).collect::<Vec<_>>(), [1, 1]);
    }
}
