//! Capture on this machine's interfaces.
