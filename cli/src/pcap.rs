//! `--pcap`: a capture in files for Wireshark, one for each link.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::anyhow;
use journey::{
    Journey,
    capture::{Capture, Captured, Frame},
};
use packets::pcapng::{self, About};

use crate::{Stopped, record_file, write_to};

/// Why a file could not be written. The text names the file.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {file}: {source}")]
pub struct Failed {
    /// The file.
    pub file: String,
    /// Why.
    pub source: io::Error,
}

/// Writes the frames of a journey, and says on stderr where they are; `keys` are those of its TLS sessions, if they are
/// wanted in there.
pub fn of_journey(file: &Path, journey: &Journey, keys: &str, silent: bool) -> Result<(), Stopped> {
    let capture = match &journey.capture {
        Captured::Frames(capture) => capture,
        Captured::NotObservable { why, how } => {
            let how = how.as_ref().map_or_else(String::new, |how| format!(" (what helps: {how})"));
            return Err(anyhow!("there are no frames for --pcap {}: {why}{how}", file.display()).into());
        }
    };
    let names: Vec<_> =
        journey.hosts.iter().flat_map(|host| host.addresses.iter().map(|ip| (*ip, host.name.clone()))).collect();
    let base_ns = u64::try_from(capture.began_ns).unwrap_or_default();
    let about = About { base_ns, names: &names, keys: Some(keys).filter(|keys| !keys.is_empty()) };
    let written = write(file, capture, about, &mut io::stdout()).map_err(|failed| Stopped::Save {
        file: failed.file,
        option: "--pcap",
        source: failed.source,
    })?;
    if silent {
        return Ok(());
    }
    if !written.is_empty() {
        let files: Vec<String> = written.iter().map(|file| text::clean(&file.display().to_string())).collect();
        write_to(io::stderr(), &format!("frames written to {}\n", files.join(", ")))?;
    }
    remarks(capture).iter().try_for_each(|remark| write_to(io::stderr(), &format!("{remark}\n")))
}

/// Writes the frames of every link to a file, and tells to which ones. A single link's are in the file of that name; of
/// several each has its link's name before the ending. `-` is stdout, for one link: that of `you`. Files with keys are their
/// owner's alone.
pub fn write(
    target: &Path,
    capture: &Capture,
    about: About<'_>,
    stdout: &mut dyn Write,
) -> Result<Vec<PathBuf>, Failed> {
    let files = pcapng::files(capture, about);
    if target == Path::new("-") {
        let Some((_, bytes)) = pcapng::link_of_you(capture).and_then(|link| files.get(link)) else {
            return Ok(Vec::new());
        };
        let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
        return written.map(|()| Vec::new()).map_err(|source| Failed { file: "stdout".to_owned(), source });
    }
    // Beside a folder or a device there is no place for the files of several links.
    if files.len() != 1 && target.metadata().is_ok_and(|target| !target.is_file()) {
        let source = io::Error::other("it is no file, and there is one for each segment to be written beside it");
        return Err(Failed { file: target.display().to_string(), source });
    }
    let links: Vec<_> = files.iter().map(|(link, _)| link.as_str()).collect();
    let paths = paths(target, &links);
    let all: Vec<_> = paths.iter().zip(&files).map(|(path, (_, bytes))| (path.as_path(), bytes.as_slice())).collect();
    record_file::save_all(&all, about.keys.is_some())
        .map_err(|(path, source)| Failed { file: path.display().to_string(), source })?;
    Ok(paths)
}

/// What whoever opens these files should know, a line for each.
pub fn remarks(capture: &Capture) -> Vec<String> {
    let of = |count: usize| match count {
        all if all == capture.frames.len() => "all frames".to_owned(),
        some => format!("{some} of {} frames", capture.frames.len()),
    };
    let count = |is: &dyn Fn(&&Frame) -> bool| capture.frames.iter().filter(is).count();
    let mut remarks = Vec::new();
    if let Some(cut) = &capture.cut {
        remarks.push(format!("the capture is not complete: {cut}"));
    }
    if capture.lost > 0 {
        remarks.push(format!("the capture is not complete: {} frames were lost", capture.lost));
    }
    let unfilled = count(&|frame| frame.unfilled_checksum == Some(true));
    if unfilled > 0 {
        let why = "senders leave them to a device, and these were seen before one, or pass none (loopback, a link between containers)";
        remarks.push(format!("the checksums of {} are not filled in: {why}", of(unfilled)));
    }
    let mut reasons: Vec<&str> = capture.frames.iter().filter_map(|frame| frame.cut.as_deref()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    for why in reasons {
        let cut = count(&|frame| frame.cut.as_deref() == Some(why));
        remarks.push(format!("not all bytes of {} are kept: {why}", of(cut)));
    }
    remarks.iter().map(|remark| text::clean(remark)).collect()
}

/// The file of each link, all different.
fn paths(target: &Path, links: &[&str]) -> Vec<PathBuf> {
    if let [_] = links {
        return vec![target.to_path_buf()];
    }
    let mut paths = Vec::new();
    for (index, link) in links.iter().enumerate() {
        // A link's name may come from a file that somebody else made: it shall not choose a folder.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
        let link: String = link.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
        let mut path = named(target, &link);
        let mut number = index + 1;
        while paths.contains(&path) {
            path = named(target, &format!("{link}-{number}"));
            number += 1;
        }
        paths.push(path);
    }
    paths
}

fn named(target: &Path, link: &str) -> PathBuf {
    let mut name = target.file_stem().unwrap_or_default().to_owned();
    name.push(".");
    name.push(link);
    if let Some(ending) = target.extension() {
        name.push(".");
        name.push(ending);
    }
    target.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use journey::capture::{Link, LinkKind, Port};

    use super::*;

    #[test]
    fn a_file_for_each_link() {
        let check = |target: &str, links: &[&str], expected: &[&str]| {
            let expected: Vec<_> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(paths(Path::new(target), links), expected, "{target} {links:?}");
        };
        check("a.pcapng", &["eth0"], &["a.pcapng"]);
        check("a.pcapng", &["clients", "servers"], &["a.clients.pcapng", "a.servers.pcapng"]);
        check("in/a.b.pcapng", &["lo", "eth0.7@x"], &["in/a.b.lo.pcapng", "in/a.b.eth0.7@x.pcapng"]);
        check("a", &["clients", "servers"], &["a.clients", "a.servers"]);
        check("a.pcapng", &["../../x", "/etc/x"], &["a..._.._x.pcapng", "a._etc_x.pcapng"]);
        check("a.pcapng", &["x", "x"], &["a.x.pcapng", "a.x-2.pcapng"]);
        check("a.pcapng", &["x", "x-3", "x"], &["a.x.pcapng", "a.x-3.pcapng", "a.x-4.pcapng"]);
        check("a.pcapng", &[], &[]);
    }

    #[test]
    fn files_and_stdout() {
        let link = |name: &str, host: &str| Link {
            name: name.to_owned(),
            kind: LinkKind::Segment,
            ports: vec![Port { host: host.to_owned(), interface: "eth0".to_owned(), mac: None, addresses: Vec::new() }],
            learned_before: Vec::new(),
            learned_after: Vec::new(),
        };
        let capture = Capture { links: vec![link("servers", "app1"), link("clients", "you")], ..Capture::default() };
        let folder = tempfile::tempdir().unwrap();
        let mut stdout = Vec::new();
        let written = write(&folder.path().join("a.pcapng"), &capture, About::default(), &mut stdout).unwrap();
        assert_eq!(written, ["a.servers.pcapng", "a.clients.pcapng"].map(|name| folder.path().join(name)));
        assert!(stdout.is_empty());
        // On stdout the segment of `you` alone.
        assert!(write(Path::new("-"), &capture, About::default(), &mut stdout).unwrap().is_empty());
        assert_eq!(stdout, fs::read(&written[1]).unwrap());
        assert_ne!(stdout, fs::read(&written[0]).unwrap());

        let beside = write(folder.path(), &capture, About::default(), &mut stdout).unwrap_err();
        assert!(beside.to_string().contains("it is no file"), "{beside}");
        let nowhere = folder.path().join("none/a.pcapng");
        let failed = write(&nowhere, &capture, About::default(), &mut stdout).unwrap_err();
        assert!(failed.to_string().contains("none/a.servers.pcapng: No such file"), "{failed}");
    }
}
