//! What DNS clients and servers here share.
//!
//! | module | what |
//! |---|---|
//! | [`words`] | a hickory message in the journey's words |
//! | [`options`] | the EDNS options that hickory has no type for: the visit's trace id, extended errors, NSID |
//! | [`serve`] | the sockets of a DNS server around a hickory-server [`RequestHandler`](hickory_server::server::RequestHandler) |

pub mod options;
pub mod serve;
pub mod words;
