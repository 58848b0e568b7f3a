//! The name server, seen from outside.

mod common;
mod dig;
mod faults;
mod peers;
mod program;
mod service;
mod wire;
