//! What the kernel knows, asked by the calling thread of the network namespace that it is in. Nothing is changed, and no
//! packet is sent.

mod counters;
mod interfaces;
mod neighbours;
pub mod netlink;
mod routes;
mod sockets;
mod tcp;

pub use counters::{Counters, counters, grown};
pub use interfaces::{Interface, interfaces};
pub use neighbours::neighbours;
pub use routes::{NoWay, Route, RouteKind, Routed, Routes, route};
pub use sockets::sockets;
pub use tcp::tcp_info;
