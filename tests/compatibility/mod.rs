//! How `visit` and its servers behave next to the programs that people use, case by case. `docs/compatibility.md` is
//! generated from these runs, and a run that differs from it fails.
//!
//! | module | cases | next to |
//! |---|---|---|
//! | `http` | `http.toml`: a server's bytes on a connection | curl |
//! | `authority` | `authority.toml`: one query to a name server | BIND, NSD |
//!
//! The stub resolver next to glibc's is `cli/tests/it/libc.rs`, the recursive resolver next to Unbound and BIND
//! `services/resolver/tests/it/peers.rs`.

pub(crate) mod authority;
pub(crate) mod http;
