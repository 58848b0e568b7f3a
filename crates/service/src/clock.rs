//! The clock that a service's own times to live run on: the real one, and what somebody has put it forward by.
//!
//! A cache keeps an answer for minutes, and nobody wants to sleep so long to see what comes after. So a service that keeps
//! things for a time asks this clock for how long; what it measures, waits for and records goes by the real one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// The furthest that a clock can be put forward, all in all: longer than anything is kept.
pub const FURTHEST: Duration = Duration::from_secs(366 * 86_400);

/// A clock that can be put forward, never back. Cheap to clone; all clones are one clock.
#[derive(Clone, Debug, Default)]
pub struct Clock(Arc<AtomicU64>);

impl Clock {
    /// What time it is on this clock.
    pub fn now(&self) -> Instant {
        // tokio's, which tests can hold; where nobody does, it is the real one.
        tokio::time::Instant::now().into_std() + self.ahead()
    }

    /// By how much it is ahead of the real time.
    pub fn ahead(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }

    /// Puts it forward, up to [`FURTHEST`]; returns by how much it is then ahead.
    pub fn advance(&self, by: Duration) -> Duration {
        let further = |ahead: u64| {
            let ahead = Duration::from_nanos(ahead).saturating_add(by).min(FURTHEST);
            u64::try_from(ahead.as_nanos()).unwrap_or(u64::MAX)
        };
        // The closure never declines.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |ahead| Some(further(ahead)));
        self.ahead()
    }

    /// Puts it forward by all of this, or leaves it as it is; the error is by how much it is ahead.
    pub fn try_advance(&self, by: Duration) -> Result<(), Duration> {
        let further = |ahead: u64| {
            let ahead = Duration::from_nanos(ahead).checked_add(by).filter(|ahead| *ahead <= FURTHEST)?;
            u64::try_from(ahead.as_nanos()).ok()
        };
        let tried = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, further);
        tried.map(drop).map_err(Duration::from_nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_forward_and_not_without_end() {
        let (clock, before) = (Clock::default(), Instant::now());
        let other = clock.clone();
        assert_eq!(clock.ahead(), Duration::ZERO);
        assert_eq!(other.advance(Duration::from_secs(300)), Duration::from_secs(300));
        assert!(clock.now() >= before + Duration::from_secs(300));
        assert_eq!(clock.advance(Duration::from_millis(500)), Duration::from_millis(300_500));
        assert_eq!(clock.try_advance(FURTHEST), Err(Duration::from_millis(300_500)));
        assert_eq!(clock.try_advance(Duration::MAX), Err(Duration::from_millis(300_500)));
        assert_eq!(clock.try_advance(Duration::from_millis(500)), Ok(()));
        assert_eq!(clock.ahead(), Duration::from_secs(301));
        assert_eq!(clock.advance(Duration::MAX), FURTHEST);
        assert!(clock.now() > before);
    }
}
