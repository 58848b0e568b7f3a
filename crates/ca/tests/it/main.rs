//! Certificates, and the folder that keeps them.

mod chain;
mod kept;
