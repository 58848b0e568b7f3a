//! An authoritative DNS server: zone files in, answers out.
//!
//! | module | what |
//! |---|---|
//! | [`master`] | master files: text to records with their lines |
//! | [`zone`] | one zone, checked and laid out for look-ups |
//! | [`zones`] | all zones of a server, and where they are read from |
//! | [`lookup`] | a question to an answer; pure |
//! | [`handler`] | queries to answers, over zones that can be exchanged |
//! | [`problem`] | what can be wrong with a zone file, and where |
//! | [`key`] | names as look-ups compare them |
//!
//! The sockets are `dns::serve`'s; [`Nameserver`] puts all together.
//!
//! ```
//! use hickory_proto::rr::{DNSClass, RecordType};
//! use nameserver::{lookup::{Question, lookup}, zones::Source};
//!
//! let zones = vec![("example.test.".to_owned(), "zones/example.test.zone".to_owned())];
//! let source = Source { zones, files: world::Files::BuiltIn, renumber: None };
//! let zones = source.load()?;
//! let name = "www.example.test.".parse()?;
//! let answer = lookup(&zones, &Question { name: &name, rtype: RecordType::A, class: DNSClass::IN });
//! assert!(answer.authoritative);
//! assert_eq!(answer.answers.iter().count(), 2);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

pub mod handler;
pub mod key;
pub mod lookup;
pub mod master;
pub mod problem;
mod run;
pub mod zone;
pub mod zones;

pub use run::{Config, ConfigError, Nameserver};
