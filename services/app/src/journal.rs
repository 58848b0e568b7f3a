//! What is recorded for `/events`, and how much of it.

use std::sync::{Mutex, PoisonError};

use journey::{TraceId, What};
use secrets::Secrets;
use service::Recorder;

/// Longest method and target kept, in characters; what was longer ends with `…`. A head may be far longer, and a ring of
/// such would be large.
const METHOD_LIMIT: usize = 24;
const TARGET_LIMIT: usize = 200;

/// Events without a visit's id that are recorded in any one second; a load of them would push the visits out of the ring.
const UNTRACED_PER_SECOND: u32 = 256;

/// Records events, those without a visit's id at a limited rate.
#[derive(Debug)]
pub(crate) struct Journal {
    recorder: Recorder,
    untraced: Mutex<Allowance>,
}

#[derive(Debug, Default)]
struct Allowance {
    second: u64,
    used: u32,
}

impl Journal {
    pub(crate) fn new(recorder: Recorder) -> Self {
        Self { recorder, untraced: Mutex::default() }
    }

    /// Whether what belongs to this visit, or to none, is to be recorded.
    pub(crate) fn wants(&self, trace: Option<TraceId>) -> bool {
        self.recorder.wants(trace)
    }

    /// Records an event of what is [wanted](Self::wants).
    pub(crate) fn visit(&self, trace: Option<TraceId>, at_ns: u64, what: What) {
        self.recorder.record(trace, at_ns, what);
    }

    /// Records an event of a protocol that cannot carry a visit's id. Who asks [`Journal::may_record`] first keeps
    /// together what belongs together.
    pub(crate) fn untraced(&self, at_ns: u64, what: What) {
        self.recorder.record(None, at_ns, what);
    }

    /// Whether that many more events without a visit's id may be recorded now.
    pub(crate) fn may_record(&self, events: u32, now_ns: u64) -> bool {
        self.untraced.lock().unwrap_or_else(PoisonError::into_inner).take(events, now_ns)
    }
}

impl Allowance {
    fn take(&mut self, events: u32, now_ns: u64) -> bool {
        let second = now_ns / 1_000_000_000;
        if second != self.second {
            *self = Self { second, used: 0 };
        }
        let fits = self.used + events <= UNTRACED_PER_SECOND;
        if fits {
            self.used += events;
        }
        fits
    }
}

/// A method as it is recorded.
pub(crate) fn method(method: &str) -> String {
    cut(method, METHOD_LIMIT)
}

/// A target as it is recorded: without its query, and without secrets in its path (`;jsessionid=…`).
pub(crate) fn target(path: &str) -> String {
    cut(&Secrets::Removed.text(path), TARGET_LIMIT)
}

fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_at_characters() {
        assert_eq!(method("GET"), "GET");
        assert_eq!(target(&"ä".repeat(200)), "ä".repeat(200));
        assert_eq!(target(&"ä".repeat(201)), format!("{}…", "ä".repeat(200)));
    }

    #[test]
    fn secrets_in_a_path_are_not_recorded() {
        assert_eq!(target("/a;jsessionid=b/c"), "/a;jsessionid=(removed)/c");
        assert_eq!(target("//me:pw@h/a"), "//h/a");
    }

    #[test]
    fn so_many_in_a_second() {
        let mut allowance = Allowance::default();
        assert!(allowance.take(UNTRACED_PER_SECOND, 5_000_000_000));
        assert!(!allowance.take(1, 5_999_999_999));
        assert!(allowance.take(1, 6_000_000_000));
    }
}
