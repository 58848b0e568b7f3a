//! The visit's clock.

use std::time::{Duration, Instant, SystemTime};

/// Counts from the begin of the visit. It reads the kernel's monotonic clock, the one that services stamp their events
/// with, so events of the same machine can be placed on it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    start_ns: u64,
    start_realtime_ns: i64,
}

impl Clock {
    /// The clock of a visit that begins now, and whose URL took this long to read. The URL is read before the visit has its
    /// lab: what lies between the two is no part of the visit, so the clock starts by as much earlier as the reading took.
    pub fn started_by(reading: Duration) -> Self {
        let start = Instant::now();
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let nanos = reading.as_nanos();
        let start_realtime_ns = i64::try_from(since_1970.as_nanos().saturating_sub(nanos)).unwrap_or(i64::MAX);
        let start_ns = service::ring::now_ns().saturating_sub(u64::try_from(nanos).unwrap_or(u64::MAX));
        Self { start: start.checked_sub(reading).unwrap_or(start), start_ns, start_realtime_ns }
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
