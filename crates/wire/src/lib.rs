//! Frames: a network of namespaces and a learning switch, capture, decoding, pcapng.
//!
//! | module | what | I/O |
//! |---|---|---|
//! | [`decode`] | what a frame is: its headers, and what it says in words | none |
//! | [`layers`] | a frame unfolded header by header, field by field | none |
//! | [`flow`] | TCP connections followed segment by segment, the state of each end | none |
//! | [`secret`] | payloads that nobody is to keep, taken out of a capture | none |
//! | [`pcapng`] | files for Wireshark | none |
//! | [`switch`] | where a frame goes: a learning switch's table | none |
//! | [`rules`] | which frames are lost, delayed or doubled | none |
//! | [`kernel`] | what the kernel knows: routes, neighbours, sockets | yes |
//! | [`tap`] | capture on this machine's interfaces | yes |
//! | [`net`] | hosts as namespaces, joined by switches and a router | yes |
//! | [`sys`] | the kernel's calls that have no safe ones | yes |

pub mod decode;
pub mod flow;
pub mod kernel;
pub mod layers;
pub mod net;
pub mod pcapng;
pub mod rules;
pub mod secret;
pub mod switch;
pub mod sys;
pub mod tap;

#[cfg(test)]
mod testing;
