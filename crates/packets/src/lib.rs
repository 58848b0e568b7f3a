//! Frames as data. Pure: bytes in, facts out.
//!
//! | module | what |
//! |---|---|
//! | [`decode`] | what a frame is: its headers, and what it says in words |
//! | [`layers`] | a frame unfolded header by header, field by field |
//! | [`flow`] | TCP connections followed segment by segment, the state of each end |
//! | [`secret`] | payloads that nobody is to keep, taken out of a capture |
//! | [`pcapng`] | files for Wireshark |
//! | [`switch`] | where a frame goes: a learning switch's table |
//! | [`rules`] | which frames are lost, delayed or doubled |

pub mod decode;
pub mod flow;
pub mod layers;
pub mod pcapng;
pub mod rules;
pub mod secret;
pub mod switch;
