//! The socket calls behind a stage, as a program writes them.

use std::{io, time::Instant};

use journey::stage::Call;
use nix::errno::Errno;

use super::clock::Clock;

/// Calls of one stage that are kept; those beyond are counted in one more line. A large answer is thousands of them.
const MOST_CALLS: usize = 24;

/// The calls of a stage, as they are made.
#[derive(Debug)]
pub struct Calls {
    clock: Clock,
    kept: Vec<Call>,
    more: u64,
}

impl Calls {
    /// No calls.
    pub fn new(clock: Clock) -> Self {
        Self { clock, kept: Vec::new(), more: 0 }
    }

    /// A call that was made at `began` and has just given this.
    pub fn note(&mut self, name: &str, with: impl Into<String>, gave: impl Into<String>, began: Instant) {
        let at_us = self.clock.us_at(began);
        let duration_us = self.clock.us().saturating_sub(at_us);
        let (name, with, gave) = (name.to_owned(), with.into(), gave.into());
        self.push(Call { name, with, gave, at_us, duration_us, stands_for: 0 });
    }

    /// The calls of the stage behind this one turn out to be of this one.
    pub fn absorb(&mut self, next: &mut Self) {
        next.take().into_iter().for_each(|call| self.push(call));
    }

    fn push(&mut self, call: Call) {
        match self.kept.get_mut(MOST_CALLS) {
            None => {
                self.more = u64::from(self.kept.len() == MOST_CALLS);
                self.kept.push(call);
            }
            Some(last) => {
                self.more += 1;
                let duration_us = (call.at_us + call.duration_us).saturating_sub(last.at_us);
                *last = Call {
                    name: "…".to_owned(),
                    with: String::new(),
                    gave: String::new(),
                    at_us: last.at_us,
                    duration_us,
                    stands_for: self.more,
                };
            }
        }
    }

    /// The calls so far, which are then those of a stage.
    pub fn take(&mut self) -> Vec<Call> {
        self.more = 0;
        std::mem::take(&mut self.kept)
    }
}

/// What a call gave that failed, as its manual page calls it: `ECONNRESET: Connection reset by peer`.
pub fn errno(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |code| Errno::from_raw(code).to_string())
}

/// `1 byte`, `5 bytes`.
pub fn bytes(count: usize) -> String {
    if count == 1 { "1 byte".to_owned() } else { format!("{count} bytes") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn many_calls_are_counted() {
        let check = |made: usize, kept: usize, last: &str, stands_for: u64| {
            let mut calls = Calls::new(Clock::started_by(Duration::ZERO));
            for nth in 0..made {
                calls.note("recv", nth.to_string(), "1 byte", Instant::now());
            }
            let taken = calls.take();
            let seen = taken.last().map(|call| (taken.len(), call.with.as_str(), call.stands_for));
            assert_eq!(seen, Some((kept, last, stands_for)), "{made}");
            assert!(calls.take().is_empty());
        };
        check(1, 1, "0", 0);
        check(MOST_CALLS, MOST_CALLS, "23", 0);
        check(MOST_CALLS + 1, MOST_CALLS + 1, "24", 0);
        check(MOST_CALLS + 2, MOST_CALLS + 1, "", 2);
        check(MOST_CALLS + 1_000, MOST_CALLS + 1, "", 1_000);
    }

    #[test]
    fn errors_by_their_names() {
        let check = |code: i32, expected: &str| assert_eq!(errno(&io::Error::from_raw_os_error(code)), expected);
        check(104, "ECONNRESET: Connection reset by peer");
        check(90, "EMSGSIZE: Message too long");
        assert_eq!(errno(&io::Error::other("odd")), "odd");
    }
}
