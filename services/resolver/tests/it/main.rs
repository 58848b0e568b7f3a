//! The resolver from outside: real sockets on loopback, before it clients, behind it name servers that do what each test
//! needs of them.
//!
//! | module | what |
//! |---|---|
//! | `fake` | name servers that say whatever a test wants |
//! | `running` | a resolver in this process, and a client of it |
//! | `script` | conversations with name servers as data: `conversations.toml` |
//! | `conversations` | what our resolver makes of them |
//! | `peers` | what Unbound and BIND make of them; writes `docs/compatibility.md` |

mod cache;
mod conversations;
mod failure;
mod fake;
mod faults;
mod lab;
mod life;
mod peers;
mod policy;
mod running;
mod script;
mod walk;
