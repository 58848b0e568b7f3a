//! What a service recorded, for whoever started it in the same process.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use journey::report::Reported;

use crate::Recorder;

/// A service's recorder, once it has one, and whether everything is to be recorded. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct History(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    all: AtomicBool,
    recorder: OnceLock<Recorder>,
}

impl History {
    /// Has what belongs to no visit recorded as well. To be said before the service starts.
    pub fn record_all(&self) {
        self.0.all.store(true, Ordering::Relaxed);
    }

    /// Takes note of the service's recorder, and tells it what to record.
    pub fn is_of(&self, recorder: &Recorder) {
        if self.0.all.load(Ordering::Relaxed) {
            recorder.record_all();
        }
        // A service has one recorder.
        let _ = self.0.recorder.set(recorder.clone());
    }

    /// What it recorded so far and still has, oldest first.
    pub fn events(&self) -> Vec<Reported> {
        self.0.recorder.get().map(Recorder::events).unwrap_or_default()
    }
}
