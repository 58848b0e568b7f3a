//! When to give up.

use std::time::Duration;

use journey::Reason;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// When to give up: the limit of the whole visit, and the user's Ctrl-C. Limits of single waits come on top.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// The end of the whole visit.
    pub deadline: Option<Instant>,
    /// Opening a connection may take so long, all addresses together.
    pub connect: Duration,
    /// Cancelled when the user wants to stop.
    pub interrupt: CancellationToken,
}

impl Bounds {
    /// Whether it is time to give up; for work that is never waited for long enough to notice.
    pub fn over(&self) -> Option<Reason> {
        if self.interrupt.is_cancelled() {
            Some(Reason::Interrupted)
        } else {
            self.deadline.filter(|deadline| Instant::now() >= *deadline).map(|_| Reason::MaxTime)
        }
    }

    /// Waits for `work`, at most for `limit`; otherwise the reason says what ended the wait.
    pub async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Result<T, Reason> {
        let own = Instant::now() + limit;
        let (end, reason) = match self.deadline {
            Some(deadline) if deadline < own => (deadline, Reason::MaxTime),
            _ => (own, Reason::Timeout),
        };
        tokio::select! {
            // What is done is done, also in the last moment.
            biased;
            done = work => Ok(done),
            () = self.interrupt.cancelled() => Err(Reason::Interrupted),
            () = sleep_until(end) => Err(reason),
        }
    }
}

/// What a wait that was cut is called in a sentence: `nothing came within 5 s`.
pub fn cut(what: &str, reason: Reason, limit: Duration) -> String {
    match reason {
        Reason::MaxTime => format!("{what} before the time limit of the whole visit"),
        Reason::Interrupted => format!("{what} before the visit was interrupted"),
        _ => format!("{what} within {}", seconds(limit)),
    }
}

/// `5 s`, `500 ms`.
pub fn seconds(limit: Duration) -> String {
    let ms = limit.as_millis();
    if ms.is_multiple_of(1_000) { format!("{} s", ms / 1_000) } else { format!("{ms} ms") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over() {
        let check = |deadline: Option<Instant>, interrupted: bool, expected: Option<Reason>| {
            let interrupt = CancellationToken::new();
            if interrupted {
                interrupt.cancel();
            }
            assert_eq!(Bounds { deadline, connect: Duration::ZERO, interrupt }.over(), expected);
        };
        let now = Instant::now();
        check(None, false, None);
        check(Some(now + Duration::from_secs(3_600)), false, None);
        check(Some(now), false, Some(Reason::MaxTime));
        check(Some(now), true, Some(Reason::Interrupted));
    }
}
