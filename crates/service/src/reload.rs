//! The wish that a service reads its files again, and word that it has.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

/// Tells a service to read its files again. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Reload(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    wanted: Notify,
    state: Mutex<State>,
    changed: Condvar,
    told: Notify,
}

#[derive(Debug, Default)]
struct State {
    // Whether the service has files that it reads again.
    listens: bool,
    asked: u64,
    // Those asked for before this were known when it began.
    begun: u64,
    done: u64,
    // Why that could not be used which was read last.
    failed: Option<String>,
}

/// Why what a service has is not what its files say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReloaded {
    /// It takes longer.
    #[error("it is not done yet")]
    Late,
    /// What was read cannot be used.
    #[error("{0}")]
    Failed(String),
}

impl Reload {
    /// From now on whoever asks waits for it: a service that reads files again says so before it is ready, or one who asks
    /// at once would be told that it is done.
    pub fn listen(&self) {
        self.change(|state| state.listens = true);
    }

    /// Tells it; several wishes that it has not begun with are one.
    pub fn notify_one(&self) {
        self.ask();
    }

    /// Waits until it is wanted, in the service.
    pub async fn notified(&self) {
        self.listen();
        self.0.wanted.notified().await;
        self.change(|state| state.begun = state.asked);
    }

    /// The service has done what was wanted when it began, or cannot use what it read; the words say why.
    pub fn done(&self, result: Result<(), String>) {
        self.change(|state| {
            state.done = state.begun;
            state.failed = result.err();
        });
        self.0.changed.notify_all();
        self.0.told.notify_waiters();
    }

    /// Tells it, and waits until it is done, no longer than this. A service that reads nothing again is done at once.
    pub async fn and_wait(&self, limit: Duration) -> Result<(), NotReloaded> {
        let asked = self.ask();
        let done = async {
            loop {
                let told = self.0.told.notified();
                tokio::pin!(told);
                told.as_mut().enable();
                if let Some(result) = self.change(|state| state.result(asked)) {
                    return result;
                }
                told.await;
            }
        };
        tokio::time::timeout(limit, done).await.unwrap_or(Err(NotReloaded::Late))
    }

    /// The same, and blocks this thread.
    pub fn and_block(&self, limit: Duration) -> Result<(), NotReloaded> {
        let (asked, end) = (self.ask(), Instant::now() + limit);
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(result) = state.result(asked) {
                return result;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(NotReloaded::Late);
            }
            state = self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn ask(&self) -> u64 {
        let asked = self.change(|state| {
            state.asked += 1;
            state.asked
        });
        self.0.wanted.notify_one();
        asked
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    /// What came of it, once that is known.
    fn result(&self, asked: u64) -> Option<Result<(), NotReloaded>> {
        match (self.listens, self.done >= asked) {
            (false, _) => Some(Ok(())),
            (true, false) => None,
            (true, true) => Some(self.failed.clone().map_or(Ok(()), |why| Err(NotReloaded::Failed(why)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn waits_until_it_is_done() {
        let reload = Reload::default();
        assert_eq!(reload.and_wait(Duration::ZERO).await, Ok(()), "nobody reads anything");
        let (theirs, limit) = (reload.clone(), Duration::from_secs(10));
        let service = tokio::spawn(async move {
            // The first was wanted before anybody listened.
            for result in [Ok(()), Ok(()), Err("line 3".to_owned()), Ok(())] {
                theirs.notified().await;
                theirs.done(result);
            }
            theirs.notified().await;
        });
        tokio::task::yield_now().await;
        assert_eq!(reload.and_wait(limit).await, Ok(()));
        assert_eq!(reload.and_wait(limit).await, Err(NotReloaded::Failed("line 3".to_owned())));
        let blocking = reload.clone();
        assert_eq!(tokio::task::spawn_blocking(move || blocking.and_block(limit)).await.unwrap(), Ok(()));
        // It is told once more, and never says that it is done.
        assert_eq!(reload.and_wait(Duration::from_millis(1)).await, Err(NotReloaded::Late));
        service.await.unwrap();
    }

    #[tokio::test(flavor = "current_thread")]
    async fn who_asks_a_service_that_has_not_begun_waits() {
        let reload = Reload::default();
        reload.listen();
        assert_eq!(reload.and_block(Duration::ZERO), Err(NotReloaded::Late));
        reload.notified().await;
        reload.done(Ok(()));
        assert_eq!(reload.and_wait(Duration::ZERO).await, Err(NotReloaded::Late), "that was for the one before");
    }
}
