//! A recursive DNS resolver: it walks from the root for its clients, remembers the answers, and reports what it did.
//!
//! | module | what |
//! |---|---|
//! | `run` | the service: configuration, sockets, flush, drain |
//! | [`hints`] | the root hints file |
//! | `handler` | who may ask what, and how the answer goes back |
//! | `recursion` | questions to answers: the cache, then hickory's `Recursor` |
//! | `afresh` | hickory's `Recursor`, and when another one begins |
//! | `answer` | what a client is told; aliases |
//! | `cache` | answers kept until their TTL is over |
//! | `tap` | what the `Recursor` asks the world through; records, counts, judges |
//! | `asking` | one question on its way: what is counted and recorded of it |
//! | `exchange` | one question to one socket |
//! | `judge` | whether a reply can be used |
//! | `bailiwick` | which of its records the server has a say in |
//! | `walk` | one client's query: whose it is, who failed it |
//! | `directory` | names and zones of name servers, from delegations |
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

mod afresh;
mod answer;
mod asking;
mod bailiwick;
mod bounded;
mod cache;
mod counters;
mod directory;
mod exchange;
mod handler;
pub mod hints;
mod judge;
mod reach;
mod recursion;
mod run;
mod tap;
mod walk;

pub use recursion::Bounds;
pub use run::{Config, ConfigError, Resolver, Source};
