//! The latch that `/ready` reads, and that a starter in the same process can wait for.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Whether a service takes clients. It starts as "no", the service says "yes" once, and "no" again when it begins to
/// drain.
#[derive(Clone, Debug, Default)]
pub struct Ready(Arc<(Mutex<bool>, Condvar)>);

impl Ready {
    /// Says whether the service is ready.
    pub fn set(&self, ready: bool) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = ready;
        self.0.1.notify_all();
    }

    /// Whether it is.
    pub fn is_ready(&self) -> bool {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks this thread until the service is ready, `gone` says that it never will be, or the time is over. Returns
    /// whether it is ready. Who makes `gone` true calls [`Ready::wake`].
    pub fn wait(&self, limit: Duration, gone: impl Fn() -> bool) -> bool {
        let end = Instant::now() + limit;
        let mut ready = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !*ready && !gone() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            ready = self.0.1.wait_timeout(ready, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *ready
    }

    /// Makes waiting threads look again.
    pub fn wake(&self) {
        // Under the lock, or a thread between its look and its wait would miss it.
        let _guard = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.1.notify_all();
    }
}
