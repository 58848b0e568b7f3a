//! What is asked of the kernel directly: namespaces, packet sockets, switches of devices. The only module with unsafe code.

pub mod ethtool;
pub mod namespace;
pub mod packet;
pub mod tcp_info;
