//! A frame unfolded header by header, field by field. Pure.
