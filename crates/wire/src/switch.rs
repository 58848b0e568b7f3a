//! Where a frame goes: a learning switch's table. Pure.
