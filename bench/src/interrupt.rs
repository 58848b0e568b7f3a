//! Ctrl-C and SIGTERM: a flag that every wait looks at, so that guards end what was started and remove what was written.
//!
//! The flag is the program's one piece of global state: a signal handler has nothing else to write to.

use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

static TOLD: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// The measurement was told to stop.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("interrupted")]
pub(crate) struct Interrupted;

/// From now on signals set the flag instead of ending this process.
pub(crate) fn watch() -> io::Result<()> {
    let told = TOLD.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(told))?;
    }
    Ok(())
}

/// An error once a signal came.
pub(crate) fn check() -> Result<(), Interrupted> {
    match TOLD.get() {
        Some(told) if told.load(Ordering::Relaxed) => Err(Interrupted),
        _ => Ok(()),
    }
}
