//! How many connections are open at once, and which one is closed for a new one when they are too many.
//!
//! A client that opens connections and says nothing would otherwise keep everybody else out until a time limit ends them,
//! again and again. So a full house closes one that has nothing under way: of the client that has most of them, the oldest.
//! Where all have something under way, a new one waits.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::Notify;

use crate::Stop;

/// Room for so many connections.
#[derive(Debug)]
pub struct Seats {
    most: usize,
    taken: Mutex<Taken>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    // In the order in which they were taken.
    guests: BTreeMap<u64, Guest>,
    last: u64,
}

struct Guest {
    ip: IpAddr,
    is_wanted: Stop,
    busy: Arc<AtomicUsize>,
}

impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guest").field("ip", &self.ip).field("busy", &self.busy).finish_non_exhaustive()
    }
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub struct Seat {
    seats: Arc<Seats>,
    number: u64,
    is_wanted: Stop,
    busy: Arc<AtomicUsize>,
}

/// While this lives, its connection has something under way.
#[derive(Debug)]
pub struct Busy {
    seats: Arc<Seats>,
    busy: Arc<AtomicUsize>,
}

impl Seats {
    /// Room for `most` connections at once.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::default(), freed: Notify::new() })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seat for a client at this address: a free one, that of a connection without anything under way, which is then told
    /// that it [`Seat::is_wanted`], or the next that gets free.
    pub async fn take(self: &Arc<Self>, ip: IpAddr) -> Seat {
        loop {
            // Before the look: a seat that gets free between both is not missed.
            let freed = self.freed.notified();
            if let Some(seat) = self.take_now(ip) {
                return seat;
            }
            freed.await;
        }
    }

    fn take_now(self: &Arc<Self>, ip: IpAddr) -> Option<Seat> {
        let mut taken = self.taken();
        if taken.guests.len() >= self.most {
            let number = taken.idle()?;
            taken.guests.remove(&number)?.is_wanted.cancel();
        }
        let number = taken.last + 1;
        let (is_wanted, busy) = (Stop::new(), Arc::new(AtomicUsize::new(0)));
        taken.last = number;
        taken.guests.insert(number, Guest { ip, is_wanted: is_wanted.clone(), busy: Arc::clone(&busy) });
        Some(Seat { seats: Arc::clone(self), number, is_wanted, busy })
    }
}

impl Taken {
    /// Whose seat is given to another.
    fn idle(&self) -> Option<u64> {
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for guest in self.guests.values() {
            *counts.entry(guest.ip).or_default() += 1;
        }
        let idle = self.guests.iter().filter(|(_, guest)| guest.busy.load(Ordering::Relaxed) == 0);
        let first = idle.max_by_key(|(number, guest)| (counts[&guest.ip], std::cmp::Reverse(**number)));
        first.map(|(number, _)| *number)
    }
}

impl Seat {
    /// Ends when another connection has got this seat. The one that has it closes.
    pub async fn is_wanted(&self) {
        self.is_wanted.cancelled().await;
    }

    /// Something is under way: nobody else gets this seat until that is over.
    pub fn busy(&self) -> Busy {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Busy { seats: Arc::clone(&self.seats), busy: Arc::clone(&self.busy) }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.seats.taken().guests.remove(&self.number).is_some() {
            self.seats.freed.notify_one();
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.busy.fetch_sub(1, Ordering::Relaxed) == 1 {
            // Whoever waits may have this seat.
            self.seats.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn ip(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    #[test]
    fn a_full_house_closes_the_oldest_idle_connection_of_the_client_with_most() {
        let seats = Seats::new(4);
        let take = |last| seats.take_now(ip(last));
        let [first, second, third, fourth] = [take(1), take(2), take(2), take(2)].map(Option::unwrap);
        let busy = second.busy();
        let fifth = take(3).unwrap();
        let wanted = |seats: &[&Seat]| seats.iter().map(|seat| seat.is_wanted.is_cancelled()).collect::<Vec<_>>();
        assert_eq!(wanted(&[&first, &second, &third, &fourth, &fifth]), [false, false, true, false, false]);
        // One that has gone for another frees no seat when it is dropped.
        drop(third);
        assert_eq!(seats.taken().guests.len(), 4);
        drop(busy);
        let _sixth = take(3).unwrap();
        assert!(second.is_wanted.is_cancelled());
    }

    #[tokio::test]
    async fn where_all_are_busy_a_new_client_waits_for_a_free_seat() {
        let seats = Seats::new(1);
        let first = seats.take(ip(1)).await;
        let busy = first.busy();
        assert!(seats.take_now(ip(2)).is_none());
        let waiting = tokio::spawn({
            let seats = Arc::clone(&seats);
            async move { seats.take(ip(2)).await }
        });
        tokio::task::yield_now().await;
        drop((busy, first));
        let second = waiting.await.unwrap();
        assert!(!second.is_wanted.is_cancelled());
    }

    #[tokio::test]
    async fn a_client_that_waits_gets_the_seat_of_one_that_has_become_idle() {
        let seats = Seats::new(1);
        let first = seats.take(ip(1)).await;
        let busy = first.busy();
        let waiting = tokio::spawn({
            let seats = Arc::clone(&seats);
            async move { seats.take(ip(2)).await }
        });
        tokio::task::yield_now().await;
        drop(busy);
        waiting.await.unwrap();
        first.is_wanted().await;
    }
}
