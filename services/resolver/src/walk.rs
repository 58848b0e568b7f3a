//! One client's query, as far as it makes the resolver ask others: whose it is, and what came of each asking.
//!
//! hickory's `Recursor` knows nothing of its clients. So the walk stands in a task-local cell while the recursor works
//! for it, and whoever is asked to send a query finds it there.

use std::{
    fmt,
    future::Future,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use hickory_proto::{
    op::Query,
    rr::{Name, Record, RecordType},
};
use journey::TraceId;

use crate::answer::{End, bare, follow};

/// More failures than this are not told; the text of an extended error would be cut before.
const MAX_FAILURES: usize = 32;
/// More aliases than this are not kept; hickory follows 64.
const MAX_ALIASES: usize = 64;

tokio::task_local! {
    static WALK: Arc<Walk>;
}

/// One client's query at work.
#[derive(Debug)]
pub(crate) struct Walk {
    pub(crate) trace: Option<TraceId>,
    pub(crate) began: Instant,
    // A std mutex: it is held for a push or a look, never across an await.
    notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    asked: usize,
    failures: Vec<Failure>,
    aliases: Vec<Record>,
    silent: Vec<IpAddr>,
}

/// A server that was asked in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) server: IpAddr,
    /// Its name, where a delegation or the hints told it.
    pub(crate) name: Option<Name>,
    /// What it was asked.
    pub(crate) question: Query,
    /// What went wrong, in words.
    pub(crate) why: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "{} ", bare(name))?;
        }
        write!(f, "{}: {}", self.server, self.why)
    }
}

impl Walk {
    pub(crate) fn new(trace: Option<TraceId>, began: Instant) -> Arc<Self> {
        Arc::new(Self { trace, began, notes: Mutex::default() })
    }

    /// Runs what works for this walk.
    pub(crate) fn scope<F: Future>(self: Arc<Self>, work: F) -> impl Future<Output = F::Output> {
        WALK.scope(self, work)
    }

    /// The walk that this task works for.
    pub(crate) fn current() -> Option<Arc<Self>> {
        WALK.try_with(Arc::clone).ok()
    }

    fn notes(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody is asked.
    pub(crate) fn asks(&self) {
        self.notes().asked += 1;
    }

    /// How often somebody was asked.
    pub(crate) fn asked(&self) -> usize {
        self.notes().asked
    }

    /// A usable reply came; servers that were asked the same before it, in vain, no longer matter.
    pub(crate) fn answered(&self, question: &Query, answers: &[Record]) {
        let mut notes = self.notes();
        notes.failures.retain(|failure| failure.question != *question);
        for record in answers {
            if record.record_type() == RecordType::CNAME && notes.aliases.len() < MAX_ALIASES {
                notes.aliases.push(record.clone());
            }
        }
    }

    /// A server was asked in vain. `silent`: it did not answer at all, and will not be asked again for this client.
    pub(crate) fn failed(&self, failure: Failure, silent: bool) {
        let mut notes = self.notes();
        if silent && !notes.silent.contains(&failure.server) {
            notes.silent.push(failure.server);
        }
        // A walk meets the same server again and again; what it says each time is told once.
        let known = notes.failures.iter().any(|f| f.server == failure.server && f.why == failure.why);
        if !known && notes.failures.len() < MAX_FAILURES {
            notes.failures.push(failure);
        }
    }

    /// Whether this server has not answered this client's query before. Each further try would cost the whole time-out
    /// again, and there are as many as the name has labels.
    pub(crate) fn is_silent(&self, server: IpAddr) -> bool {
        self.notes().silent.contains(&server)
    }

    /// The failures that no later reply made up for, in the order they happened.
    pub(crate) fn failures(&self) -> Vec<Failure> {
        self.notes().failures.clone()
    }

    /// The aliases that lead on from this name, as servers told them during this walk.
    pub(crate) fn aliases(&self, from: &Name) -> (Vec<Record>, End) {
        follow(from, &self.notes().aliases)
    }

    /// Aliases that were found otherwise.
    pub(crate) fn learn_aliases(&self, answers: &[Record]) {
        let aliases = answers.iter().filter(|record| record.record_type() == RecordType::CNAME);
        let mut notes = self.notes();
        let room = MAX_ALIASES.saturating_sub(notes.aliases.len());
        notes.aliases.extend(aliases.take(room).cloned());
    }
}
