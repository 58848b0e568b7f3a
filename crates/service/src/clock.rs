//! A service's clock, which can be put forward.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// The clock by which a service reckons how old something is: the kernel's monotonic clock, and what it was put forward.
/// Timers do not follow it. Cheap to clone; all clones are one clock.
#[derive(Clone, Debug, Default)]
pub struct Clock(Arc<AtomicU64>);

impl Clock {
    /// What time it is.
    pub fn now(&self) -> Instant {
        let ahead = Duration::from_nanos(self.0.load(Ordering::Relaxed));
        let now = Instant::now();
        now.checked_add(ahead).unwrap_or(now)
    }

    /// Puts it forward.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        // Never backwards: what would overflow stays at the end.
        let ahead = self.0.load(Ordering::Relaxed).saturating_add(by);
        self.0.fetch_max(ahead, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_on_and_is_put_forward() {
        let (clock, before) = (Clock::default(), Instant::now());
        assert!(clock.now() < before + Duration::from_secs(60));
        clock.clone().advance(Duration::from_secs(60));
        assert!(clock.now() >= before + Duration::from_secs(60));
    }
}
