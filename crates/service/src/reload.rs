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

#[derive(Clone, Copy, Debug, Default)]
struct State {
    // Whether the service has files that it reads again.
    listens: bool,
    asked: u64,
    // Those asked for before this were known when it began.
    begun: u64,
    done: u64,
}

impl Reload {
    /// Tells it; several wishes that it has not begun with are one.
    pub fn notify_one(&self) {
        self.ask();
    }

    /// Waits until it is wanted, in the service.
    pub async fn notified(&self) {
        self.change(|state| state.listens = true);
        self.0.wanted.notified().await;
        self.change(|state| state.begun = state.asked);
    }

    /// The service has done what was wanted when it began, well or not.
    pub fn done(&self) {
        self.change(|state| state.done = state.begun);
        self.0.changed.notify_all();
        self.0.told.notify_waiters();
    }

    /// Tells it, and waits until it is done; false where it takes longer than this. A service that reads nothing again is
    /// done at once.
    pub async fn and_wait(&self, limit: Duration) -> bool {
        let asked = self.ask();
        let done = async {
            loop {
                let told = self.0.told.notified();
                tokio::pin!(told);
                told.as_mut().enable();
                if self.is_done(asked) {
                    return;
                }
                told.await;
            }
        };
        tokio::time::timeout(limit, done).await.is_ok()
    }

    /// The same, and blocks this thread.
    pub fn and_block(&self, limit: Duration) -> bool {
        let (asked, end) = (self.ask(), Instant::now() + limit);
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.listens && state.done < asked {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn ask(&self) -> u64 {
        let asked = self.change(|state| {
            state.asked += 1;
            state.asked
        });
        self.0.wanted.notify_one();
        asked
    }

    fn is_done(&self, asked: u64) -> bool {
        self.change(|state| !state.listens || state.done >= asked)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn waits_until_it_is_done() {
        let reload = Reload::default();
        assert!(reload.and_wait(Duration::ZERO).await, "nobody reads anything");
        let (theirs, limit) = (reload.clone(), Duration::from_secs(10));
        let service = tokio::spawn(async move {
            // The first was wanted before anybody listened.
            for _ in 0..3 {
                theirs.notified().await;
                theirs.done();
            }
            theirs.notified().await;
        });
        tokio::task::yield_now().await;
        assert!(reload.and_wait(limit).await);
        let blocking = reload.clone();
        assert!(tokio::task::spawn_blocking(move || blocking.and_block(limit)).await.unwrap());
        // It is told a third time, and never says that it is done.
        assert!(!reload.and_wait(Duration::from_millis(1)).await);
        service.await.unwrap();
    }
}
