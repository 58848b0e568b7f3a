//! Who else may read or replace the authority's files.
//!
//! They are made for their owner alone. But a copy, a restored backup or a `chmod -R` leaves a key that others can read,
//! and whoever may write to a directory can put a key of their own there.

use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use tracing::warn;

use crate::Error;

const ROOT: u32 = 0;

/// Rights of the group and of all others: any, to write, and the bit that keeps them from replacing what is not theirs.
const OTHERS: u32 = 0o077;
const OTHERS_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// What there is to do about a private key.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Safe,
    /// Its mode is to become this.
    Tighten(u32),
    Refuse(String),
}

/// Of a key file with this owner and mode, for a program of this user.
fn of_key(owner: u32, mode: u32, user: u32) -> Verdict {
    let (rights, is_open) = (mode & 0o777, mode & OTHERS != 0);
    if !is_trusted(owner, user) {
        Verdict::Refuse(format!("belongs to another user ({owner}); remove it, and a new one is made"))
    } else if !is_open {
        Verdict::Safe
    } else if owner == user || user == ROOT {
        Verdict::Tighten(rights & !OTHERS)
    } else {
        Verdict::Refuse(format!("is open to others (mode {rights:03o}); its owner, root, closes it with chmod go="))
    }
}

/// What is wrong with a directory of this mode. Its owner may be another user, who could not make a key of this one.
fn of_directory(mode: u32) -> Option<String> {
    let rights = mode & 0o777;
    (mode & OTHERS_WRITE != 0 && mode & STICKY == 0).then(|| {
        format!("may be written to by others (mode {rights:03o}), who may replace what is in it; chmod go-w it")
    })
}

/// Root could do anything anyway, and does nothing to its own harm by using what is another's.
fn is_trusted(owner: u32, user: u32) -> bool {
    owner == user || owner == ROOT || user == ROOT
}

/// Takes the rights of others from the private key, and says so; an error where that cannot be done.
pub(crate) fn keep_private(path: &Path, key: &File) -> Result<(), Error> {
    let metadata = key.metadata().map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let refuse = |why| Err(Error::Exposed { path: path.to_owned(), why });
    match of_key(metadata.uid(), metadata.mode(), user()) {
        Verdict::Safe => Ok(()),
        Verdict::Refuse(why) => refuse(why),
        Verdict::Tighten(mode) => {
            let old = metadata.mode() & 0o777;
            if let Err(error) = key.set_permissions(Permissions::from_mode(mode)) {
                return refuse(format!("is open to others (mode {old:03o}), and chmod fails: {error}; chmod go= it"));
            }
            warn!(
                key = %path.display(),
                "others could use the private key of the lab's authority (mode {old:03o}, now {mode:03o}); if somebody may \
                 have read it, remove it, and a new one is made"
            );
            Ok(())
        }
    }
}

/// An error where others may replace what is in the directory. One that is missing will be made for its owner alone.
pub(crate) fn check_directory(dir: &Path) -> Result<(), Error> {
    let metadata = match fs::metadata(dir) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(Error::Read { path: dir.to_owned(), source }),
    };
    match of_directory(metadata.mode()) {
        None => Ok(()),
        Some(why) => Err(Error::Exposed { path: dir.to_owned(), why }),
    }
}

/// Whose rights this program has.
fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: u32 = 65_534;
    const OTHER: u32 = 1_000;

    #[test]
    fn keys() {
        let check = |owner, mode: u32, user, expected: Verdict| {
            assert_eq!(of_key(owner, 0o100_000 | mode, user), expected, "{owner} {mode:o} {user}");
        };
        check(ME, 0o600, ME, Verdict::Safe);
        check(ME, 0o400, ME, Verdict::Safe);
        check(ME, 0o640, ME, Verdict::Tighten(0o600));
        check(ME, 0o620, ME, Verdict::Tighten(0o600));
        check(ME, 0o444, ME, Verdict::Tighten(0o400));
        check(ROOT, 0o644, ROOT, Verdict::Tighten(0o600));
        check(OTHER, 0o600, ROOT, Verdict::Safe);
        check(OTHER, 0o604, ROOT, Verdict::Tighten(0o600));
        check(ROOT, 0o600, ME, Verdict::Safe);
        let refused = |owner, mode, expected: &str| match of_key(owner, mode, ME) {
            Verdict::Refuse(why) => assert!(why.contains(expected), "{why}"),
            other => panic!("{owner} {mode:o}: {other:?}"),
        };
        refused(ROOT, 0o644, "mode 644");
        refused(OTHER, 0o644, "another user (1000)");
        refused(OTHER, 0o600, "another user (1000)");
    }

    #[test]
    fn directories() {
        let check = |mode: u32, expected: Option<&str>| match (of_directory(mode), expected) {
            (None, None) => {}
            (Some(why), Some(expected)) => assert!(why.contains(expected), "{why}"),
            (said, expected) => panic!("{mode:o}: {said:?}, not {expected:?}"),
        };
        check(0o040_700, None);
        check(0o040_755, None);
        check(0o040_775, Some("chmod go-w"));
        check(0o040_757, Some("mode 757"));
        check(0o041_777, None);
        check(0o040_777, Some("chmod go-w"));
    }
}
