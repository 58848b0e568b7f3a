//! What the services share, so that each of them starts, tells, drains and ends in the same way.
//!
//! | module | what |
//! |---|---|
//! | [`ring`] | the bounded ring of a service's own events, and its clock |
//! | [`ready`] | the latch that `/ready` reads |
//! | [`admin`] | the admin port: `/live`, `/ready`, `/metrics`, `/events`, `/faults` |
//! | [`reload`] | the wish that files are read again, and word that they were |
//! | [`history`] | what a service recorded, for whoever started it in the same process |
//! | [`args`] | the command line: `--world FILE --host NAME`, `healthcheck`, `check` |
//! | [`bind`] | sockets, bound before anything else is started |
//! | [`clock`] | the clock that times to live run on, which can be put forward |
//! | [`door`] | a listening socket that faults shut |
//! | [`seats`] | who of many clients is let in, and who has to go for it |
//! | [`queues`] | the queues of TCP sockets, asked of the kernel |
//! | [`mod@linger`] | closing a connection so that its last words arrive |
//! | [`tls`] | a service's certificate, and handshakes |
//! | [`start`] | logging, signals, the health check |
//!
//! A service is a library with `run(sockets, config, stop)`: whoever calls owns the sockets and the stop signal.

pub mod admin;
pub mod args;
pub mod bind;
pub mod clock;
pub mod door;
pub mod history;
pub mod linger;
pub mod queues;
pub mod ready;
pub mod reload;
pub mod ring;
pub mod seats;
pub mod start;
pub mod tls;

pub use args::{Args, Command, Configured};
pub use bind::Bound;
pub use clock::Clock;
pub use door::Door;
pub use history::History;
pub use linger::linger;
pub use ready::Ready;
pub use reload::{NotReloaded, Reload};
pub use ring::Recorder;
pub use seats::Seats;
pub use start::{Ended, Service, Signals};
pub use tokio_util::sync::CancellationToken as Stop;
