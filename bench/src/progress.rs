//! What is said while measuring goes on: on stderr, so that stdout holds nothing but the tables.

use std::io::{self, IsTerminal, Write};

/// Says what is done now; on a terminal each line takes the place of the one before.
pub(crate) fn say(what: &str) {
    let mut err = io::stderr().lock();
    // Whoever has closed stderr does not want to know.
    let _ = if err.is_terminal() { write!(err, "\r\x1b[K{what}") } else { Ok(()) };
    let _ = err.flush();
}

/// Removes what was said last, before something is printed.
pub(crate) fn clear() {
    say("");
}

/// Says what went wrong.
pub(crate) fn complain(what: &str) {
    clear();
    let _ = writeln!(io::stderr().lock(), "bench: {what}");
}
