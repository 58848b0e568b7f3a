//! The lab's description.
//!
//! A [`World`] says which hosts there are, which addresses they have and what runs on them; it is the configuration of
//! every service in the lab. An [`AddressBook`] says which real socket stands behind each of the world's addresses in
//! one running lab. Both are data; the only I/O here is [`read_text`].
//!
//! ```
//! let world = world::World::built_in();
//! assert_eq!(world.hosts["resolver"].addresses[0].to_string(), "10.78.1.53");
//! let book = world::AddressBook::direct(&world);
//! assert_eq!(book.host_of("10.78.2.81".parse().unwrap()), Some("app1"));
//! ```

mod book;
mod description;
pub mod fault;
mod files;
mod network;
mod played;
pub mod scenario;
mod token;
pub mod zone;

pub use book::{AddressBook, BookHost, BookService, Closed, Enter, Inside, Protocol, Published, Route};
pub use description::{App, Host, LabNet, Nameserver, Renumber, Resolver, World, WorldError};
pub use files::{Changed, FileError, Files, SCENARIOS, read_text};
pub use network::{Network, Segment};
pub use token::{NoToken, Token};
