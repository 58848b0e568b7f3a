//! The visit's clock.

use std::time::{Instant, SystemTime};

/// Counts from the begin of the visit. It reads the kernel's monotonic clock, the one that services stamp their events
/// with, so events of the same machine can be placed on it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    start_ns: u64,
    start_realtime_ns: i64,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        let start = Instant::now();
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let start_realtime_ns = i64::try_from(since_1970.as_nanos()).unwrap_or(i64::MAX);
        Self { start, start_ns: service::ring::now_ns(), start_realtime_ns }
    }

    /// The start on the kernel's CLOCK_REALTIME, by which it stamps frames: nanoseconds since 1970.
    pub fn start_realtime_ns(&self) -> i64 {
        self.start_realtime_ns
    }

    /// The start on both of the kernel's clocks.
    pub fn moment(&self) -> netlab::tap::Moment {
        netlab::tap::Moment { realtime_ns: self.start_realtime_ns, at: self.start }
    }

    /// Microseconds until now.
    pub fn us(&self) -> u64 {
        self.us_at(Instant::now())
    }

    /// Microseconds until then; 0 for what was before the start.
    pub fn us_at(&self, then: Instant) -> u64 {
        u64::try_from(then.saturating_duration_since(self.start).as_micros()).unwrap_or(u64::MAX)
    }

    /// Microseconds from the start to a time of `service::ring::now_ns`, negative for what was before.
    pub fn us_of_kernel(&self, at_ns: u64) -> i64 {
        let us = (i128::from(at_ns) - i128::from(self.start_ns)) / 1_000;
        i64::try_from(us).unwrap_or(i64::MAX)
    }
}
