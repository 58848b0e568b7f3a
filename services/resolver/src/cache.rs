//! The answers that clients were given, kept until their TTL is over. Pure: the time comes in as an argument.
//!
//! Whole answers are kept here, with their age; what they were made of is kept in `links`, each alias and record set for
//! its own time.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use hickory_proto::op::Query;

use crate::{answer::Answer, bounded::Bounded, limits::LONGEST_TTL};

/// Answers by question; names compare without regard to case.
#[derive(Debug)]
pub(crate) struct Cache {
    // A std mutex: it is held for a look-up or an insertion, never across an await.
    entries: Mutex<Bounded<Query, Entry>>,
}

#[derive(Debug)]
struct Entry {
    answer: Answer,
    /// When it was put here; its TTLs count from then.
    since: Instant,
    /// When it was fetched from the servers, where that is known.
    fetched: Option<Instant>,
    ttl: Duration,
}

/// An answer from the cache, its TTLs counted down.
#[derive(Debug)]
pub(crate) struct Hit {
    pub(crate) answer: Answer,
    pub(crate) age_s: Option<u32>,
    pub(crate) remaining_ttl_s: u32,
}

impl Cache {
    pub(crate) fn new(bound: usize) -> Self {
        Self { entries: Mutex::new(Bounded::new(bound)) }
    }

    /// The answer to this question, where it may still be used.
    pub(crate) fn find(&self, query: &Query, now: Instant) -> Option<Hit> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.find(query)?;
        let kept = now.saturating_duration_since(entry.since);
        if kept >= entry.ttl {
            entries.remove(query);
            return None;
        }
        let kept_s = seconds(kept);
        let mut answer = entry.answer.clone();
        answer.age(kept_s);
        Some(Hit {
            answer,
            age_s: entry.fetched.map(|fetched| seconds(now.saturating_duration_since(fetched))),
            remaining_ttl_s: seconds(entry.ttl).saturating_sub(kept_s),
        })
    }

    /// Keeps an answer for as long as it says.
    pub(crate) fn keep(&self, query: &Query, answer: &Answer, fetched: Option<Instant>, now: Instant) {
        let ttl = Duration::from_secs(answer.ttl().min(LONGEST_TTL).into());
        if ttl.is_zero() {
            return;
        }
        let entry = Entry { answer: answer.clone(), since: now, fetched, ttl };
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).insert(query.clone(), entry);
    }

    /// How many answers are kept, also those whose time is over and that nobody has asked for since.
    pub(crate) fn len(&self) -> usize {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Whole seconds that have passed; a TTL of 1 is thus told as 1 until its second is over.
fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use hickory_proto::{
        op::ResponseCode,
        rr::{Name, RData, Record, RecordType},
    };

    use super::*;

    fn answer(ttl: u32) -> Answer {
        let record = Record::from_rdata(
            Name::from_ascii("a.test.").unwrap(),
            ttl,
            RData::A(std::net::Ipv4Addr::new(10, 0, 0, 1).into()),
        );
        Answer::positive(ResponseCode::NoError, vec![record])
    }

    #[test]
    fn counts_down_and_ends() {
        let cache = Cache::new(8);
        let query = Query::query(Name::from_ascii("a.test.").unwrap(), RecordType::A);
        let shouted = Query::query(Name::from_ascii("A.TEST.").unwrap(), RecordType::A);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        cache.keep(&query, &answer(30), Some(start), at(0));
        let hit = cache.find(&shouted, at(9_900)).unwrap();
        assert_eq!((hit.age_s, hit.remaining_ttl_s, hit.answer.answers[0].ttl), (Some(9), 21, 21));
        let hit = cache.find(&query, at(29_999)).unwrap();
        assert_eq!((hit.age_s, hit.remaining_ttl_s, hit.answer.answers[0].ttl), (Some(29), 1, 1));
        assert!(cache.find(&query, at(30_000)).is_none());
        assert_eq!(cache.len(), 0);
    }

    #[test]
    fn not_kept_without_a_time_to_live() {
        let cache = Cache::new(8);
        let query = Query::query(Name::from_ascii("a.test.").unwrap(), RecordType::A);
        cache.keep(&query, &answer(0), None, Instant::now());
        assert_eq!(cache.len(), 0);
    }
}
