//! Work that is under way, shared by all who want the same at the same time.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};

/// Work under way, by what it is about.
pub(crate) struct Flights<K, T: Clone> {
    // A std mutex: it is held for a look-up or a change, never across an await.
    flying: Mutex<HashMap<K, Shared<BoxFuture<'static, T>>>>,
}

impl<K: Hash + Eq + Clone, T: Clone> Default for Flights<K, T> {
    fn default() -> Self {
        Self { flying: Mutex::default() }
    }
}

impl<K: Hash + Eq + Clone, T: Clone> Flights<K, T> {
    fn flying(&self) -> MutexGuard<'_, HashMap<K, Shared<BoxFuture<'static, T>>>> {
        self.flying.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does this work, or waits for the same that is under way. The second value says which: whether it was begun here.
    pub(crate) async fn join(&self, key: K, work: impl FnOnce() -> BoxFuture<'static, T>) -> (T, bool) {
        let (flight, leader) = {
            let mut flying = self.flying();
            match flying.get(&key) {
                Some(flight) => (flight.clone(), None),
                None => {
                    let flight = work().shared();
                    flying.insert(key.clone(), flight.clone());
                    (flight, Some(Leader { flights: self, key }))
                }
            }
        };
        let outcome = flight.await;
        (outcome, leader.is_some())
    }
}

/// Whoever began; when it is gone, the next begins anew.
struct Leader<'a, K: Hash + Eq + Clone, T: Clone> {
    flights: &'a Flights<K, T>,
    key: K,
}

impl<K: Hash + Eq + Clone, T: Clone> Drop for Leader<'_, K, T> {
    fn drop(&mut self) {
        self.flights.flying().remove(&self.key);
    }
}
