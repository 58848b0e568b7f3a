//! The lab in this process.

mod records;
mod secure;
