//! Visits and what they share. A session has a lab, its faults, and what is trusted; it outlives its visits, so that a later
//! visit meets what an earlier one left in caches.
//!
//! | module | what |
//! |---|---|
//! | [`settings`] | how visits are made, whoever asks for them |
//! | [`ground`], [`resolver`] | on whose network a URL is visited, and who is asked for names |
//! | [`session`](mod@session) | the lab, what is in force in it, what is trusted |
//! | `visit` | one visit: frames, stages, reports, verdict, record |
//! | [`lab_backend`] | what the lab inside this program runs on |
//! | [`capacity`] | whether this machine has room for it |
//! | [`faults`] | faults of a lab that runs elsewhere |
//! | [`capture`] | the frames of a visit, and what is taken out of them |
//! | [`reports`] | what the other hosts recorded |
//! | [`threads`] | how long threads of this process waited for a processor |

pub mod capacity;
pub mod capture;
pub mod faults;
pub mod ground;
pub mod lab_backend;
pub mod reports;
pub mod resolver;
pub mod session;
pub mod settings;
pub mod threads;
mod visit;

pub use ground::{Asked, Ground};
pub use lab_backend::{LabBackend, LabWay};
pub use session::{Caller, Lent, Session};
pub use settings::{Frames, Settings};
