//! What the kernel knows, asked over netlink by the calling thread, of the network namespace that it is in.

pub mod netlink;
