//! Files for Wireshark. Pure.
