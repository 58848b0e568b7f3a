//! Who may hold connections, and who has to go when there are too many (RFC 7766 §6.2.2, §6.2.3).
//!
//! A connection is idle while none of its queries is under way. When a client has as many connections as one may have, or
//! all clients together as many as there may be, the one that has been idle longest is closed for the new one, so that
//! idle connections never keep a query waiting. Only where all are busy, a new one has to wait.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use service::Stop;
use tokio::sync::Notify;

/// The connections of one kind of socket.
#[derive(Debug)]
pub(super) struct Seats {
    limit: usize,
    per_client: usize,
    state: Mutex<State>,
    /// Told when a connection ends or becomes idle.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Counts events, so that "longest" needs no clock.
    now: u64,
    taken: HashMap<u64, Taken>,
}

#[derive(Debug)]
struct Taken {
    client: IpAddr,
    /// Queries under way.
    busy: usize,
    /// When it last began to be idle.
    idle_since: u64,
    leave: Stop,
}

/// A connection's place. It is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    id: u64,
    leave: Stop,
}

/// A query under way: its connection is not idle.
#[derive(Debug)]
pub(super) struct Busy(Arc<Seat>);

impl Seats {
    /// Room for so many connections. One client has at most half of them, so that it cannot have all with queries that
    /// take long.
    pub(super) fn new(limit: usize) -> Arc<Self> {
        let (state, changed) = (Mutex::default(), Notify::new());
        Arc::new(Self { limit, per_client: limit.div_ceil(2), state, changed })
    }

    /// A place for this client; waits where all places are busy. `None` where the client has its share, all busy.
    pub(super) async fn take(self: &Arc<Self>, client: IpAddr, stop: &Stop) -> Option<Arc<Seat>> {
        loop {
            let changed = self.changed.notified();
            match self.try_take(client, stop) {
                Ok(seat) => return Some(seat),
                Err(Full::Client) => return None,
                Err(Full::All) => changed.await,
            }
        }
    }

    fn try_take(self: &Arc<Self>, client: IpAddr, stop: &Stop) -> Result<Arc<Seat>, Full> {
        let mut state = self.state();
        let own = state.taken.values().filter(|taken| taken.client == client).count();
        if own >= self.per_client {
            state.close(|taken| taken.client == client).ok_or(Full::Client)?;
        } else if state.taken.len() >= self.limit {
            state.close(|_| true).ok_or(Full::All)?;
        }
        state.now += 1;
        let (id, leave) = (state.now, stop.child_token());
        state.taken.insert(id, Taken { client, busy: 0, idle_since: id, leave: leave.clone() });
        Ok(Arc::new(Seat { seats: Arc::clone(self), id, leave }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why there is no place.
enum Full {
    /// The client has its share.
    Client,
    /// All clients together have all.
    All,
}

impl State {
    /// Closes the connection that has been idle longest among these. It counts no more from now on.
    fn close(&mut self, among: impl Fn(&Taken) -> bool) -> Option<()> {
        let idle = self.taken.iter().filter(|(_, taken)| taken.busy == 0 && among(taken));
        let (&id, _) = idle.min_by_key(|(_, taken)| taken.idle_since)?;
        self.taken.remove(&id)?.leave.cancel();
        Some(())
    }
}

impl Seat {
    /// Cancelled when the connection has to be closed for another, or because the server stops.
    pub(super) fn leave(&self) -> &Stop {
        &self.leave
    }

    /// Marks a query as under way.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        if let Some(taken) = self.seats.state().taken.get_mut(&self.id) {
            taken.busy += 1;
        }
        Busy(Arc::clone(self))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.0.seats.state();
        state.now += 1;
        let now = state.now;
        if let Some(taken) = state.taken.get_mut(&self.0.id) {
            taken.busy -= 1;
            taken.idle_since = now;
        }
        drop(state);
        self.0.seats.changed.notify_waiters();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.state().taken.remove(&self.id);
        self.seats.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    async fn take(seats: &Arc<Seats>, client: IpAddr) -> Arc<Seat> {
        seats.take(client, &Stop::new()).await.expect("a place")
    }

    #[tokio::test]
    async fn the_longest_idle_connection_of_the_client_is_closed_first() {
        let seats = Seats::new(4);
        let (first, second, other) = (take(&seats, A).await, take(&seats, A).await, take(&seats, B).await);
        drop(first.busy());
        let third = take(&seats, A).await;
        let closed = |seat: &Arc<Seat>| seat.leave.is_cancelled();
        assert_eq!([&first, &second, &third, &other].map(closed), [false, true, false, false]);
    }

    #[tokio::test]
    async fn a_client_whose_share_is_busy_gets_no_more_and_another_one_does() {
        let seats = Seats::new(4);
        let held: Vec<_> = [take(&seats, A).await, take(&seats, A).await].iter().map(Seat::busy).collect();
        assert!(seats.take(A, &Stop::new()).await.is_none());
        let _other = take(&seats, B).await;
        drop(held);
        take(&seats, A).await;
    }

    #[tokio::test]
    async fn where_all_are_busy_a_new_one_waits_for_the_first_that_is_idle() {
        let seats = Seats::new(2);
        let (a, b) = (take(&seats, A).await, take(&seats, B).await);
        let (busy, _other) = (a.busy(), b.busy());
        let waiting = tokio::spawn({
            let seats = Arc::clone(&seats);
            async move { seats.take(IpAddr::V6(std::net::Ipv6Addr::LOCALHOST), &Stop::new()).await.is_some() }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(busy);
        assert!(waiting.await.unwrap());
        assert!(a.leave.is_cancelled() && !b.leave.is_cancelled());
    }
}
