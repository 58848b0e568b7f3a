//! One client's query at work: whose it is, what it may still cost, what was learned, and who failed it.

use std::{
    fmt,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use hickory_proto::{op::Query, rr::Name};
use journey::TraceId;

use crate::{
    answer::bare,
    limits::{MAX_ALIASES, MAX_ATTEMPTS},
    links::Link,
};

/// More failures than this are not told; the text of an extended error would be cut before.
const MAX_FAILURES: usize = 32;
/// What was learned and is not told apart from the cache for longer than a walk.
const MAX_LEARNED: usize = 8 * MAX_ALIASES;

/// One client's query at work.
#[derive(Debug)]
pub(crate) struct Walk {
    pub(crate) trace: Option<TraceId>,
    // A std mutex: it is held for a push or a look, never across an await.
    notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    attempts: usize,
    asked: usize,
    strangers: bool,
    failures: Vec<Failure>,
    silent: Vec<IpAddr>,
    learned: Vec<(Query, Link)>,
}

/// A server that was asked in vain, or could not be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// On behalf of which zone.
    pub(crate) zone: Name,
    /// Its name, as a delegation or the hints told it.
    pub(crate) name: Name,
    /// Its address, where that is known.
    pub(crate) server: Option<IpAddr>,
    /// What went wrong, in words.
    pub(crate) why: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bare(&self.name))?;
        if let Some(server) = self.server {
            write!(f, " {server}")?;
        }
        write!(f, ": {}", self.why)
    }
}

impl Walk {
    pub(crate) fn new(trace: Option<TraceId>) -> Self {
        Self { trace, notes: Mutex::default() }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A server is asked.
    pub(crate) fn asks(&self) {
        self.notes().asked += 1;
    }

    /// How often a server was asked.
    pub(crate) fn asked(&self) -> usize {
        self.notes().asked
    }

    /// Takes one datagram or connection from what this query may cost; false where nothing is left.
    pub(crate) fn spend(&self) -> bool {
        let mut notes = self.notes();
        let is_left = notes.attempts < MAX_ATTEMPTS;
        notes.attempts += usize::from(is_left);
        is_left
    }

    /// Whether nothing is left to spend.
    pub(crate) fn is_spent(&self) -> bool {
        self.notes().attempts >= MAX_ATTEMPTS
    }

    /// A server is asked that is not one of the lab's hosts.
    pub(crate) fn asks_a_stranger(&self) {
        self.notes().strangers = true;
    }

    /// Whether that was so.
    pub(crate) fn asked_strangers(&self) -> bool {
        self.notes().strangers
    }

    /// What a name was found to be, however short that lives.
    pub(crate) fn learn(&self, question: &Query, link: &Link) {
        let mut notes = self.notes();
        if notes.learned.len() < MAX_LEARNED {
            notes.learned.push((question.clone(), link.clone()));
        }
    }

    /// What was learned on this walk.
    pub(crate) fn learned(&self, question: &Query) -> Option<Link> {
        self.notes().learned.iter().rev().find(|(known, _)| known == question).map(|(_, link)| link.clone())
    }

    /// A usable reply came on behalf of this zone; servers of it that were asked before, in vain, no longer matter.
    pub(crate) fn answered(&self, zone: &Name) {
        self.notes().failures.retain(|failure| failure.zone != *zone);
    }

    /// A server was asked in vain. `silent`: it did not answer at all, and will not be asked again for this client.
    pub(crate) fn failed(&self, failure: Failure, silent: bool) {
        let mut notes = self.notes();
        if let Some(server) = failure.server.filter(|_| silent)
            && !notes.silent.contains(&server)
        {
            notes.silent.push(server);
        }
        // A walk may meet the same server again; what it says each time is told once.
        let is_same = |other: &Failure| other.server == failure.server && other.why == failure.why;
        if !notes
            .failures
            .iter()
            .any(|other| is_same(other) && (failure.server.is_some() || other.name == failure.name))
            && notes.failures.len() < MAX_FAILURES
        {
            notes.failures.push(failure);
        }
    }

    /// Whether this server has not answered this client's query before: each further try would cost the whole time-out
    /// again.
    pub(crate) fn is_silent(&self, server: IpAddr) -> bool {
        self.notes().silent.contains(&server)
    }

    /// The failures that no later reply made up for, in the order they happened.
    pub(crate) fn failures(&self) -> Vec<Failure> {
        self.notes().failures.clone()
    }
}
