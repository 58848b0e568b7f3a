//! Journeys and series in files: how they are kept, and how they are read again.

use std::{
    fs::{self, File, Permissions},
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use diagnosis::Series;
use journey::{Journey, SCHEMA_VERSION};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

/// A longer file is none of ours: ten thousand visits of the largest kind stay below it.
const LONGEST_FILE: u64 = 1 << 30;

/// What a file holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Kept {
    /// One visit.
    Journey(Box<Journey>),
    /// Several of the same URL.
    Series(Box<Series>),
}

/// Why a file cannot be shown. The text of each names the file.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be read at all.
    #[error("cannot read {file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// It holds something else, or what this program cannot read.
    #[error("{file}: {why}")]
    Content {
        /// The file.
        file: String,
        /// Why.
        why: String,
    },
}

/// What this file holds; `-` is stdin.
pub fn read(path: &Path) -> Result<Kept, ReadError> {
    let stdin = path == Path::new("-");
    let file = if stdin { "stdin".to_owned() } else { path.display().to_string() };
    let text = match stdin {
        true => text_of(io::stdin().lock()),
        false => File::open(path).and_then(|opened| text_of(BufReader::new(opened))),
    };
    let text = match text {
        Ok(Some(text)) => text,
        Ok(None) => {
            return Err(ReadError::Content { file, why: "it is no journey: it does not begin with {".to_owned() });
        }
        Err(source) => return Err(ReadError::Io { file, source }),
    };
    parse(&text).map_err(|why| ReadError::Content { file, why })
}

/// The whole text, or none where its begin says that it is no JSON object: a film or an endless device is not read to its
/// end.
fn text_of(mut from: impl BufRead) -> io::Result<Option<String>> {
    loop {
        let begin = from.fill_buf()?;
        let blank = begin.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        match begin.get(blank) {
            Some(b'{') => break,
            Some(_) => return Ok(None),
            None if begin.is_empty() => return Ok(None),
            None => from.consume(blank),
        }
    }
    let mut bytes = Vec::new();
    let read = from.take(LONGEST_FILE + 1).read_to_end(&mut bytes)?;
    if read as u64 > LONGEST_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 1 GiB"));
    }
    let text = String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is no UTF-8"))?;
    Ok(Some(text))
}

/// What tells the shapes apart; looked at before the rest is read.
#[derive(Deserialize)]
struct Head {
    schema_version: Option<Value>,
    visits: Option<IgnoredAny>,
}

/// A journey or a series from its JSON. Those of older versions are read and are then of this one; what they had no place
/// for is missing.
pub fn parse(text: &str) -> Result<Kept, String> {
    let head: Head = serde_json::from_str(text).map_err(|error| match error.is_data() {
        true => format!("it is no journey: {error}"),
        false => format!("it is no JSON: {error}"),
    })?;
    let version = head.schema_version.ok_or_else(|| "it is no journey: it has no schema_version".to_owned())?;
    match version.as_u64() {
        None | Some(0) => return Err(format!("it is no journey: {version} is no schema version")),
        Some(newer) if newer > u64::from(SCHEMA_VERSION) => {
            return Err(format!(
                "it has the schema version {newer}, and this program knows those up to {SCHEMA_VERSION}: show it with a \
                 newer visit"
            ));
        }
        Some(_) => {}
    }
    match head.visits {
        None => {
            let mut journey: Journey =
                serde_json::from_str(text).map_err(|error| format!("it is no journey: {error}"))?;
            journey.schema_version = SCHEMA_VERSION;
            journey.faults.append(&mut journey.place.take_faults());
            Ok(Kept::Journey(Box::new(journey)))
        }
        Some(_) => {
            let mut series: Series = serde_json::from_str(text).map_err(|error| format!("it is no series: {error}"))?;
            series.schema_version = SCHEMA_VERSION;
            series.faults.append(&mut series.place.take_faults());
            for journey in &mut series.journeys {
                journey.schema_version = SCHEMA_VERSION;
                journey.faults.append(&mut journey.place.take_faults());
            }
            Ok(Kept::Series(Box::new(series)))
        }
    }
}

/// Writes content to a file, whole or not at all: to a new file beside it, which then takes its name. What is no regular
/// file (a pipe, a device) is written to as it is.
pub fn save(path: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    replace(path, content.as_ref(), 0o777)
}

/// The same for what nobody but the file's owner is to read.
pub fn save_private(path: &Path, content: &[u8]) -> io::Result<()> {
    replace(path, content, 0o600)
}

/// Writes several files, all or none: each is whole beside its place before the first takes its name. Gives the file that
/// could not be written.
pub fn save_all<'a>(files: &[(&'a Path, &[u8])], is_private: bool) -> Result<(), (&'a Path, io::Error)> {
    let rights = if is_private { 0o600 } else { 0o777 };
    let ready = files.iter().map(|(path, content)| prepare(path, content, rights).map_err(|error| (*path, error)));
    let ready: Vec<Ready> = ready.collect::<Result<_, _>>()?;
    ready.into_iter().zip(files).try_for_each(|(ready, (path, _))| ready.put().map_err(|error| (*path, error)))
}

/// `rights` are the most that the file is to have.
fn replace(path: &Path, content: &[u8], rights: u32) -> io::Result<()> {
    prepare(path, content, rights)?.put()
}

/// Content that is written, and has not taken its file's name.
enum Ready {
    /// It is where it belongs: in a pipe or a device.
    There,
    /// It is beside its place.
    Beside(Box<tempfile::NamedTempFile>, PathBuf),
}

impl Ready {
    fn put(self) -> io::Result<()> {
        match self {
            Self::There => Ok(()),
            Self::Beside(file, target) => file.persist(target).map(|_| ()).map_err(|error| error.error),
        }
    }
}

fn prepare(path: &Path, content: &[u8], rights: u32) -> io::Result<Ready> {
    let (target, mode) = match fs::metadata(path) {
        Ok(there) if there.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(there) if !there.is_file() => {
            File::options().write(true).open(path)?.write_all(content)?;
            return Ok(Ready::There);
        }
        // A link stays one, and what it points to is replaced.
        Ok(there) => (path.canonicalize()?, there.permissions().mode() & 0o777),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (path.to_path_buf(), 0o666),
        Err(error) => return Err(error),
    };
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".visit-")
        .permissions(Permissions::from_mode(mode & rights))
        .tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    Ok(Ready::Beside(Box::new(file), target))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, words: &str) {
        let why = parse(text).unwrap_err();
        assert!(why.contains(words), "{}: {why}", &text[..text.len().min(80)]);
    }

    #[test]
    fn what_is_no_journey() {
        refused("{", "it is no JSON: EOF");
        refused("{} {}", "it is no JSON: trailing characters");
        refused("{}", "it has no schema_version");
        refused("{\"schema_version\": null}", "it has no schema_version");
        refused("{\"schema_version\": \"2\"}", "\"2\" is no schema version");
        refused("{\"schema_version\": 0}", "0 is no schema version");
        refused("{\"schema_version\": -1}", "-1 is no schema version");
        refused("{\"schema_version\": 2}", "it is no journey: missing field");
        refused("{\"schema_version\": 2, \"visits\": []}", "it is no series: missing field");
        let newer = SCHEMA_VERSION + 1;
        refused(&format!("{{\"schema_version\": {newer}, \"hops\": \"turtles\"}}"), "show it with a newer visit");
        refused(&"[".repeat(100_000), "it is no");
        refused(&format!("{{\"schema_version\": {}", "[".repeat(100_000)), "recursion limit");
    }

    #[test]
    fn only_the_begin_of_what_is_none_is_read() {
        assert!(text_of(BufReader::new(io::repeat(0))).unwrap().is_none());
        assert!(text_of(&b""[..]).unwrap().is_none());
        assert!(text_of(&b" \n "[..]).unwrap().is_none());
        assert_eq!(text_of(&b" \n {}"[..]).unwrap().as_deref().map(str::trim), Some("{}"));
        assert_eq!(text_of(&b"{\xff}"[..]).unwrap_err().to_string(), "it is no UTF-8");
    }

    #[test]
    fn of_several_files_all_are_written_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        // The second has no room: a device that is always full.
        std::os::unix::fs::symlink("/dev/full", &two).unwrap();
        let (failed, error) = save_all(&[(&one, b"1"), (&two, b"2")], false).unwrap_err();
        assert_eq!((failed, error.kind()), (&*two, io::ErrorKind::StorageFull));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_file(&two).unwrap();
        save_all(&[(&one, b"1"), (&two, b"2")], true).unwrap();
        assert_eq!(fs::read(&two).unwrap(), b"2");
        assert_eq!(fs::metadata(&one).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_is_whole_or_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let names = || {
            let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let file = folder.path().join("a.json");
        save(&file, "one").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        let link = folder.path().join("b.json");
        std::os::unix::fs::symlink("a.json", &link).unwrap();
        save(&link, "two").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "two");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let mode = |file: &Path| fs::metadata(file).unwrap().permissions().mode() & 0o777;
        let (old, new) = (folder.path().join("c.json"), folder.path().join("d.json"));
        save(&old, "for all").unwrap();
        fs::set_permissions(&old, Permissions::from_mode(0o644)).unwrap();
        for private in [&old, &new] {
            save_private(private, b"for me").unwrap();
            assert_eq!(mode(private), 0o600);
            fs::remove_file(private).unwrap();
        }
        assert_eq!(save(folder.path(), "x").unwrap_err().kind(), io::ErrorKind::IsADirectory);
        assert_eq!(save(&folder.path().join("no/such"), "x").unwrap_err().kind(), io::ErrorKind::NotFound);
        save(Path::new("/dev/null"), "x").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        assert_eq!(names(), ["a.json", "b.json"]);
    }
}
