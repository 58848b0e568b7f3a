//! End to end: scenarios are data ([`world::scenario`]), and one list of them runs against every way to run the world.
//!
//! | module | what |
//! |---|---|
//! | [`compatibility`] | the sections of `docs/compatibility.md`, which tests generate |
//! | [`inside`] | tests that run themselves once more, in namespaces of their own |
//! | [`process`] | other vendors' programs, which are started here and end with their test |
//! | [`runs`] | scenarios, played by `visit scenario` |
//! | [`story`] | what two ways of running the world have to tell alike |
//! | [`way`] | the ways to run the world: embedded, a running lab, namespaces, compose |
//!
//! `VISIT_E2E` chooses the ways: `loopback` is the first two, `wire` the third, `compose` the fourth; without it all run but
//! the last.

pub mod compatibility;
pub mod inside;
pub mod process;
pub mod runs;
pub mod story;
pub mod way;
