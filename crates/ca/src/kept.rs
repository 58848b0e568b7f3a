//! The authority's files, and how several programs that start at once agree on them.
//!
//! `lab-ca.key` is only ever replaced as a whole, by a rename, so whoever reads it reads one authority. It is made and
//! replaced under a lock of the operating system, which ends with its holder however that ends.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::{Authority, Error, Scope, rights};

/// Private key and certificate.
const KEY: &str = "lab-ca.key";
/// The certificate alone, for everybody.
const CERTIFICATE: &str = "lab-ca.pem";
/// Held by whoever writes.
const LOCK: &str = "lab-ca.lock";

/// Longer files are none of ours.
const LONGEST_FILE: u64 = 64 * 1024;

const PRIVATE: u32 = 0o600;
const PUBLIC: u32 = 0o644;
/// Of directories, as the XDG Base Directory Specification has it for what a program makes. One that others are to find the
/// certificate in (mode 711) is made by whoever wants that.
const DIRECTORY: u32 = 0o700;

/// Where the user's data is: `$VISIT_DATA`, else `$XDG_DATA_HOME/visit`, else `$HOME/.local/share/visit`. `variable` is
/// the environment; what is empty in it counts as not set, and so does a relative `$XDG_DATA_HOME`, as its specification
/// wants.
pub fn data_dir(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let xdg = || set("XDG_DATA_HOME").filter(|dir| dir.is_absolute()).map(|dir| dir.join("visit"));
    set("VISIT_DATA").or_else(xdg).or_else(|| set("HOME").map(|home| home.join(".local/share/visit")))
}

/// The certificate of the authority that is kept in that directory, in PEM; `None` where none is.
pub fn certificate_of(dir: &Path) -> Result<Option<String>, Error> {
    rights::check_directory(dir)?;
    let path = dir.join(CERTIFICATE);
    match read(&path, |_| Ok(())) {
        // Of the two this is the one that others may read.
        Err(Error::Read { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
            Err(Error::Closed { path })
        }
        read => read,
    }
}

pub(crate) fn open(dir: &Path, scope: &Scope, now: SystemTime) -> Result<Authority, Error> {
    rights::check_directory(dir)?;
    let found = find(dir)?;
    if let Some(authority) = &found
        && fits(authority, scope, now)
        && is_public(dir, authority)
    {
        return Ok(found.expect("it has just been looked at"));
    }
    let lock = match lock(dir) {
        Ok(lock) => lock,
        // Nothing can be written there, and nothing needs to be but the copy.
        Err(error) => return found.filter(|authority| fits(authority, scope, now)).ok_or(error),
    };
    // Another program may have written before this one had the lock.
    let authority = match find(dir)? {
        Some(authority) if fits(&authority, scope, now) => authority,
        other => {
            let mut made = match other {
                Some(old) => old.renewed(scope, now)?,
                None => Authority::in_memory(scope, now)?,
            };
            replace(dir, KEY, &made.to_pem(), PRIVATE)?;
            made.kept_in = Some(dir.to_owned());
            made
        }
    };
    if !is_public(dir, &authority) {
        replace(dir, CERTIFICATE, authority.certificate_pem(), PUBLIC)?;
    }
    drop(lock);
    Ok(authority)
}

fn fits(authority: &Authority, scope: &Scope, now: SystemTime) -> bool {
    authority.is_good(now) && authority.covers(scope) && authority.is_within(scope)
}

/// Whether the copy for everybody is there, and this authority's.
fn is_public(dir: &Path, authority: &Authority) -> bool {
    fs::read(dir.join(CERTIFICATE)).is_ok_and(|kept| kept == authority.certificate_pem().as_bytes())
}

fn find(dir: &Path) -> Result<Option<Authority>, Error> {
    let path = dir.join(KEY);
    let Some(text) = read(&path, |key| rights::keep_private(&path, key))? else { return Ok(None) };
    let mut authority = Authority::from_pem(&text).map_err(|why| Error::Garbage { path, why })?;
    authority.kept_in = Some(dir.to_owned());
    Ok(Some(authority))
}

/// The text of a file that passes that check; `None` where there is no file.
fn read(path: &Path, check: impl FnOnce(&File) -> Result<(), Error>) -> Result<Option<String>, Error> {
    let mut bytes = Vec::new();
    let file = File::open(path);
    if let Ok(file) = &file {
        check(file)?;
    }
    match file.and_then(|file| file.take(LONGEST_FILE).read_to_end(&mut bytes)) {
        Ok(_) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(Error::Garbage { path: path.to_owned(), why: "it is not text".to_owned() }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read { path: path.to_owned(), source }),
    }
}

fn lock(dir: &Path) -> Result<File, Error> {
    let fail = |path: &Path, source| Error::Write { path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(DIRECTORY).create(dir).map_err(|error| fail(dir, error))?;
    let path = dir.join(LOCK);
    let open = OpenOptions::new().write(true).create(true).truncate(false).mode(PRIVATE).open(&path);
    let file = open.map_err(|error| fail(&path, error))?;
    file.lock().map_err(|error| fail(&path, error))?;
    Ok(file)
}

/// Writes a whole file in place of the one that may be there. Only who holds the lock does.
fn replace(dir: &Path, name: &str, text: &str, mode: u32) -> Result<(), Error> {
    let path = dir.join(name);
    let new = dir.join(format!("{name}.new"));
    let write = || {
        // One is left over where a program was killed just here.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
        file.write_all(text.as_bytes())?;
        if name == KEY {
            // Or a machine that loses its power might keep the name without the content. A copy is made again.
            file.sync_all()?;
        }
        fs::rename(&new, &path)
    };
    write().map_err(|source| Error::Write { path: path.clone(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_directories() {
        let check = |variables: &[(&str, &str)], expected: Option<&str>| {
            let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, v)| v.into());
            assert_eq!(data_dir(variable), expected.map(PathBuf::from), "{variables:?}");
        };
        check(&[("VISIT_DATA", "/data"), ("XDG_DATA_HOME", "/x"), ("HOME", "/h")], Some("/data"));
        check(&[("VISIT_DATA", ""), ("XDG_DATA_HOME", "/x"), ("HOME", "/h")], Some("/x/visit"));
        check(&[("XDG_DATA_HOME", "relative"), ("HOME", "/h")], Some("/h/.local/share/visit"));
        check(&[("HOME", "/h")], Some("/h/.local/share/visit"));
        check(&[("HOME", "")], None);
        check(&[], None);
    }
}
