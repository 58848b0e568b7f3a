//! Packet sockets (packet(7)): whole frames, as they pass an interface.
