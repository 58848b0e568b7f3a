//! The latch that `/ready` reads.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Whether a service is ready for its clients. It starts as "no", the service says "yes" once, and "no" again when it
/// begins to drain.
#[derive(Clone, Debug, Default)]
pub struct Ready(Arc<AtomicBool>);

impl Ready {
    /// Says whether the service is ready.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    /// Whether it is.
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
