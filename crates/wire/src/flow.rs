//! TCP connections followed segment by segment. Pure.
