//! The lab's own network and what the kernel knows of it: namespaces, switches, capture. What frames mean is the crate
//! `packets`.
//!
//! | module | what |
//! |---|---|
//! | [`kernel`] | what the kernel knows: routes, neighbours, sockets |
//! | [`tap`] | capture on this machine's interfaces |
//! | [`net`] | hosts as namespaces, joined by switches and a router |
//! | [`sys`] | the kernel's calls that have no safe ones |

pub mod kernel;
pub mod net;
pub mod sys;
pub mod tap;

#[cfg(test)]
mod testing;
