//! End to end: scenarios are data, and one list of them runs against every way to run the world.
//!
//! | module | what |
//! |---|---|
//! | [`scenario`] | what a scenario file says |
//! | [`subset`] | whether a journey is as a scenario expects |
//! | [`way`] | the ways to run the world: embedded, a running lab, compose |
//!
//! `VISIT_E2E` chooses the way: `loopback` (where nothing is said) is the first two, `compose` the third.

pub mod scenario;
pub mod subset;
pub mod way;
