//! Writes the keys of sessions to the file that `SSLKEYLOGFILE` names, in the format that other tools read, and tells the
//! handshake whether they are there.

use std::{
    ffi::OsStr,
    fs::{File, OpenOptions},
    io::{self, Write},
    sync::{Mutex, PoisonError},
};

use super::witness;

/// The file, or why there is none.
#[derive(Debug)]
pub(super) struct KeyLog(Mutex<Result<File, String>>);

impl KeyLog {
    /// Opens the file for what is to be added to it.
    pub(super) fn open(path: &OsStr) -> Self {
        let file = OpenOptions::new().append(true).create(true).open(path);
        Self(Mutex::new(file.map_err(|error| error.to_string())))
    }
}

impl rustls::KeyLog for KeyLog {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let written = match &mut *file {
            Ok(file) => write(file, label, client_random, secret).map_err(|error| error.to_string()),
            Err(why) => Err(why.clone()),
        };
        witness::note(|seen| match written {
            Ok(()) => seen.keys_logged = true,
            Err(why) => seen.keys_unwritten = Some(why),
        });
    }
}

/// One line, at once: several programs may share the file.
fn write(file: &mut File, label: &str, client_random: &[u8], secret: &[u8]) -> io::Result<()> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    file.write_all(format!("{label} {} {}\n", hex(client_random), hex(secret)).as_bytes())
}
