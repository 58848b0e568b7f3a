//! hickory's `Recursor`, and when another one begins.
//!
//! It counts the time for which a delegation is believed by the machine's clock alone, and cannot be told to forget one.
//! So where our clock was put forward beyond the end of one, another recursor begins, which knows of none.

use std::{
    io,
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use hickory_resolver::recursor::{Recursor, RecursorOptions};
use service::Clock;

use crate::{directory::Directory, recursion::Means, tap::Tap};

/// The recursor of now.
pub(crate) struct Afresh {
    // A lock of the standard library: it is held for the copy of a pointer or the making of another one, never across
    // an await.
    now: RwLock<Made>,
    roots: Vec<IpAddr>,
    tap: Tap,
    options: RecursorOptions,
    clock: Clock,
    directory: Arc<Directory>,
}

struct Made {
    recursor: Arc<Recursor<Tap>>,
    /// By how much the clock was ahead then.
    ahead: Duration,
}

impl Afresh {
    pub(crate) fn new(roots: Vec<IpAddr>, tap: Tap, means: &Means, directory: Arc<Directory>) -> io::Result<Self> {
        let options = RecursorOptions {
            ns_cache_size: means.bounds.servers,
            response_cache_size: means.bounds.answers as u64,
            // The defaults refuse to ask private addresses, of which this world is made.
            deny_server: means.reach.denied(),
            edns_payload_len: dns::options::UDP_PAYLOAD,
            ..RecursorOptions::default()
        };
        let clock = means.clock.clone();
        let now = RwLock::new(make(&roots, &tap, &options, &clock)?);
        Ok(Self { now, roots, tap, options, clock, directory })
    }

    /// The one to ask.
    pub(crate) fn get(&self) -> Arc<Recursor<Tap>> {
        {
            let made = self.now.read().unwrap_or_else(PoisonError::into_inner);
            if !self.is_behind(&made) {
                return Arc::clone(&made.recursor);
            }
        }
        let mut made = self.now.write().unwrap_or_else(PoisonError::into_inner);
        // Whoever waited for the lock finds the one that was made meanwhile, and nobody is given the old one any more.
        if self.is_behind(&made) {
            let now = self.clock.now();
            // What could be made once can be made again; should it not, the next one to ask tries it.
            if let Ok(new) = make(&self.roots, &self.tap, &self.options, &self.clock) {
                *made = new;
                self.directory.forgotten(now);
            }
        }
        Arc::clone(&made.recursor)
    }

    /// Whether it believes in a delegation that has ended.
    fn is_behind(&self, made: &Made) -> bool {
        self.clock.ahead() != made.ahead && self.directory.has_ended(self.clock.now())
    }
}

fn make(roots: &[IpAddr], tap: &Tap, options: &RecursorOptions, clock: &Clock) -> io::Result<Made> {
    let recursor = Recursor::with_options(roots, options.clone(), tap.clone()).map_err(io::Error::other)?;
    Ok(Made { recursor: Arc::new(recursor), ahead: clock.ahead() })
}
