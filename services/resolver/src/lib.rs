//! A recursive DNS resolver: it walks from the root for its clients, remembers the answers, and reports what it did.
//!
//! | module | what |
//! |---|---|
//! | `run` | the service: configuration, sockets, flush, drain |
//! | [`hints`] | the root hints file |
//! | `handler` | who may ask what, and how the answer goes back |
//! | `recursion` | questions to answers: the cache, then a walk; what is told of a failure |
//! | `descent` | the walk from the closest known zone down to the answer (RFC 1034 §5.3.3) |
//! | `minimise` | how much of the name is asked for (RFC 9156) |
//! | `slist` | which server is asked next |
//! | `reading` | what a reply says, and whether it can be believed |
//! | `bailiwick` | records of it that the server has no say in |
//! | `delegations` | which servers a zone has, and what is remembered of servers |
//! | `links` | aliases, record sets and "no" of one name, on hickory's `ResponseCache` |
//! | `cache` | whole answers and their age |
//! | `answer` | what a client is told |
//! | `walk` | one client's query: whose it is, what it may still cost, who failed it |
//! | `limits` | what a query may cost |
//! | `tap` | one server is asked one question: EDNS, TCP, records |
//! | `asking` | what is counted and recorded of it |
//! | `exchange` | one question to one socket |
//! | `flights` | the same work, shared |
//! | `reach` | whether there is IPv6 |
//!
//! Invariants: a query that has no visit's id leaves no event. An address of the world that no host has is never sent
//! to where the world is stood in for by loopback sockets. Nothing is told to a client as "no such name" that an
//! authority has not said.
//!
//! ```
//! use resolver::hints;
//!
//! let text = world::Files::BuiltIn.read("root.hints")?;
//! let roots = hints::parse(&text, "root.hints", None)?;
//! assert_eq!(roots[0].name.to_ascii(), "ns.root-servers.test.");
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod asking;
mod bailiwick;
mod bounded;
mod cache;
mod counters;
mod delegations;
mod descent;
mod exchange;
mod flights;
mod handler;
pub mod hints;
mod limits;
mod links;
mod minimise;
mod reach;
mod reading;
mod recursion;
mod run;
mod slist;
mod tap;
mod walk;

pub use recursion::Bounds;
pub use run::{Config, ConfigError, Resolver, Source};
