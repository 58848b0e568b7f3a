//! The keys of sessions, in the format that other tools read (RFC 9850): written to the file that `SSLKEYLOGFILE` names,
//! where the handshake is told whether they are there, and kept for `--pcap-keys`.

use std::{
    ffi::OsStr,
    fs::{File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    sync::{Arc, Mutex, PoisonError},
};

use super::witness;

/// Where keys go.
#[derive(Debug)]
pub(super) struct KeyLog {
    // The file, or why there is none.
    file: Option<Mutex<Result<File, String>>>,
    kept: Option<Kept>,
}

/// Keys in memory, a line for each.
pub(super) type Kept = Arc<Mutex<String>>;

impl KeyLog {
    /// Opens the file for what is to be added to it.
    pub(super) fn new(path: Option<&OsStr>, kept: Option<Kept>) -> Self {
        let open = |path| open(path).map_err(|error| error.to_string());
        Self { file: path.map(|path| Mutex::new(open(path))), kept }
    }
}

/// Whoever reads the keys can read the visit: the file is its owner's alone, also where an earlier program left it open to
/// others. Pipes and devices stay as they are.
fn open(path: &OsStr) -> io::Result<File> {
    const OWNER: u32 = 0o600;
    let file = OpenOptions::new().append(true).create(true).mode(OWNER).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(OWNER)).map_err(|error| {
            io::Error::new(error.kind(), format!("others can read it, and its mode cannot be changed: {error}"))
        })?;
    }
    Ok(file)
}

impl rustls::KeyLog for KeyLog {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let line = format!("{label} {} {}\n", hex(client_random), hex(secret));
        if let Some(kept) = &self.kept {
            kept.lock().unwrap_or_else(PoisonError::into_inner).push_str(&line);
        }
        let Some(file) = &self.file else { return };
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        let written = match &mut *file {
            // One line, at once: several programs may share the file.
            Ok(file) => file.write_all(line.as_bytes()).map_err(|error| error.to_string()),
            Err(why) => Err(why.clone()),
        };
        witness::note(|seen| match written {
            Ok(()) => seen.keys_logged = true,
            Err(why) => seen.keys_unwritten = Some(why),
        });
    }
}
