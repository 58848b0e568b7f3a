//! The faults of one host, or of the network, as those share them who put them in force and who apply them.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::{Fault, Fit, Listed, Met, Set};

/// Faults in force. Cheap to clone; all clones are the same faults.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Inner>);

#[derive(Default)]
struct Inner {
    // What is asked for every query and every connection where there are no faults: one load.
    any: AtomicBool,
    set: Mutex<Set>,
    told: Mutex<Vec<Arc<dyn Fn() + Send + Sync>>>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").field("set", &self.set).finish_non_exhaustive()
    }
}

impl Faults {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        !self.0.any.load(Ordering::Relaxed)
    }

    /// Puts a fault into force, for no longer than `lease` where there is one; see [`Set::add`].
    pub fn add(&self, fault: Fault, lease: Option<Duration>) -> u64 {
        self.change(|set| set.add(fault, Instant::now(), lease))
    }

    /// Lets a fault stay so long from now on; see [`Set::renew`].
    pub fn renew(&self, id: u64, lease: Duration) -> bool {
        self.with(|set| set.renew(id, Instant::now(), lease))
    }

    /// Ends a fault; says whether it was there.
    pub fn remove(&self, id: u64) -> bool {
        self.change(|set| set.remove(id))
    }

    /// Ends all.
    pub fn clear(&self) {
        self.change(Set::clear);
    }

    /// Those in force.
    pub fn list(&self) -> Vec<Listed> {
        self.with(|set| set.list(Instant::now()))
    }

    /// The first fault that is meant for this occurrence and strikes; see [`Set::strike`].
    pub fn strike(&self, is_meant: impl Fn(&Fault) -> bool) -> Option<Fault> {
        if self.is_empty() {
            return None;
        }
        self.with(|set| set.strike(Instant::now(), is_meant))
    }

    /// The first fault that strikes before there is an answer, or waits for it; see [`Set::meet`].
    pub fn meet(&self, fit: impl Fn(&Fault) -> Fit) -> Met {
        if self.is_empty() {
            return Met::Nothing;
        }
        self.with(|set| set.meet(Instant::now(), fit))
    }

    /// The same once there is an answer, from this fault on; see [`Set::meet_answer`].
    pub fn meet_answer(&self, from: u64, is_meant: impl Fn(&Fault) -> bool) -> Option<Fault> {
        self.with(|set| set.meet_answer(Instant::now(), from, is_meant))
    }

    /// Whether this fault strikes at this occurrence; see [`Set::strike_with`].
    pub fn strike_with(&self, id: u64) -> bool {
        self.with(|set| set.strike_with(Instant::now(), id))
    }

    /// The first fault in force of which this is true. Counts nothing: this is for faults that are a state.
    pub fn standing(&self, is_meant: impl Fn(&Fault) -> bool) -> Option<Fault> {
        if self.is_empty() {
            return None;
        }
        self.with(|set| set.in_force(Instant::now()).map(|entry| entry.fault()).find(|fault| is_meant(fault)).cloned())
    }

    /// When the next of them ends by itself.
    pub fn next_end(&self) -> Option<Instant> {
        self.lock().next_end()
    }

    /// Has this called after every change by hand; what ends by itself tells nobody. It must not block.
    pub fn on_change(&self, tell: impl Fn() + Send + Sync + 'static) {
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::new(tell));
    }

    /// The faults themselves.
    pub fn lock(&self) -> MutexGuard<'_, Set> {
        // A set is whole after every step, so a panic elsewhere has left nothing half done.
        self.0.set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Set) -> T) -> T {
        let done = self.with(change);
        // A copy, as whoever is told may have something of its own told from then on.
        let told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner).clone();
        told.iter().for_each(|tell| tell());
        done
    }

    /// What has ended by itself is gone with the first look behind its end, so every look says whether any are left.
    fn with<T>(&self, look: impl FnOnce(&mut Set) -> T) -> T {
        let mut set = self.lock();
        let done = look(&mut set);
        self.0.any.store(!set.is_empty(), Ordering::Relaxed);
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_and_told_of() {
        let (faults, told) = (Faults::default(), Arc::new(Mutex::new(0)));
        let count = Arc::clone(&told);
        faults.on_change(move || *count.lock().unwrap() += 1);
        let other = faults.clone();
        assert!(other.is_empty() && other.strike(|_| true).is_none());
        let id = faults.add("auth1:servfail,first=1".parse().unwrap(), None);
        assert!(!other.is_empty() && other.standing(|_| true).is_some());
        assert!(other.strike(|_| true).is_some() && other.strike(|_| true).is_none());
        assert_eq!(other.list()[0].struck, 1);
        assert!(other.remove(id) && faults.is_empty());
        assert_eq!(*told.lock().unwrap(), 2);
    }

    #[test]
    fn what_has_ended_by_itself_costs_nothing_any_more() {
        let (faults, over) = (Faults::default(), Some(Duration::ZERO));
        let looks: [fn(&Faults); 4] = [
            |faults| assert_eq!(faults.strike(|_| true), None),
            |faults| assert_eq!(faults.standing(|_| true), None),
            |faults| assert_eq!(faults.list(), []),
            |faults| assert!(!faults.renew(1, Duration::from_secs(1))),
        ];
        for look in looks {
            faults.add("auth1:servfail".parse().unwrap(), over);
            assert!(!faults.is_empty());
            look(&faults);
            assert!(faults.is_empty());
        }
    }

    #[test]
    fn who_is_told_may_have_another_told() {
        let (faults, told) = (Faults::default(), Arc::new(Mutex::new(0)));
        let (other, count) = (faults.clone(), Arc::clone(&told));
        faults.on_change(move || {
            let count = Arc::clone(&count);
            other.on_change(move || *count.lock().unwrap() += 1);
        });
        faults.clear();
        faults.clear();
        assert_eq!(*told.lock().unwrap(), 1);
    }
}
