//! Which frames are lost, delayed or doubled. Pure.
