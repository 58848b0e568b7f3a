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
    // A lock of the standard library: it is held for the copy or the exchange of a pointer, never across an await.
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
        let ahead = self.clock.ahead();
        let (recursor, made_at) = {
            let made = self.now.read().unwrap_or_else(PoisonError::into_inner);
            (Arc::clone(&made.recursor), made.ahead)
        };
        if ahead == made_at || !self.directory.has_ended(self.clock.now()) {
            return recursor;
        }
        match make(&self.roots, &self.tap, &self.options, &self.clock) {
            Ok(made) => {
                let recursor = Arc::clone(&made.recursor);
                *self.now.write().unwrap_or_else(PoisonError::into_inner) = made;
                recursor
            }
            // What could be made once can be made again.
            Err(_) => recursor,
        }
    }
}

fn make(roots: &[IpAddr], tap: &Tap, options: &RecursorOptions, clock: &Clock) -> io::Result<Made> {
    let recursor = Recursor::with_options(roots, options.clone(), tap.clone()).map_err(io::Error::other)?;
    Ok(Made { recursor: Arc::new(recursor), ahead: clock.ahead() })
}
