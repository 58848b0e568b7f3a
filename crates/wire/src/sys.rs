//! The kernel's calls that have no safe ones. The only module with unsafe code.

pub mod packet;
