//! The content of a response on its way to whoever wanted it: decoded as its codings say, counted, and written where
//! `-o` says.

use std::{
    cell::RefCell,
    fs::File,
    io::{self, IsTerminal, Write},
    path::PathBuf,
    rc::Rc,
};

use hyper::{HeaderMap, header::CONTENT_ENCODING};
use journey::{Reason, stage::Failure};

use super::coding::{Coding, Decoded, Stage};
use text::clean;

/// Where content is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A file, as the command line names it.
    File(PathBuf),
    /// Stdout: as it is, but on a terminal as text that cannot drive it.
    Stdout,
}

/// Codings that a response may have, as in curl: more only make work.
const MOST_CODINGS: usize = 5;

/// Content as it comes.
pub(super) struct Content {
    end: Rc<RefCell<End>>,
    // The last coding that was applied is the first to be removed.
    first: Box<dyn Stage>,
    // All codings, as the head says them.
    told: String,
    /// The codings, in the order applied.
    pub(super) codings: Vec<String>,
    /// Whether something is decoded. Content with an unknown coding is passed on as it is.
    pub(super) is_decoded: bool,
}

/// Where decoded content arrives.
#[derive(Debug)]
struct End {
    count: u64,
    limit: u64,
    is_over: bool,
    sink: Sink,
    write_error: Option<io::Error>,
}

#[derive(Debug)]
enum Sink {
    None,
    File { file: File, name: String },
    Stdout,
    // Shown at the end: whether it is text is known only then.
    Terminal(Vec<u8>),
}

impl Content {
    /// Content with these codings (`Content-Encoding`) and transfer codings; at most `limit` bytes of it, decoded.
    pub(super) fn new(
        codings: Vec<String>,
        transfer: &[String],
        limit: u64,
        output: Option<&Output>,
    ) -> Result<Self, Failure> {
        let known = known(&codings, transfer)?;
        let sink = match output {
            None => Sink::None,
            Some(Output::Stdout) if io::stdout().is_terminal() => Sink::Terminal(Vec::new()),
            Some(Output::Stdout) => Sink::Stdout,
            Some(Output::File(path)) => {
                let name = path.display().to_string();
                let file = File::create(path).map_err(|error| cannot_write(&name, &error))?;
                Sink::File { file, name }
            }
        };
        let end = Rc::new(RefCell::new(End { count: 0, limit, is_over: false, sink, write_error: None }));
        let mut first: Box<dyn Stage> = Box::new(Arrival(Rc::clone(&end)));
        let is_decoded = !known.is_empty();
        for coding in known {
            first = Box::new(Decoded::new(coding, first));
        }
        let told = codings.iter().chain(transfer).map(String::as_str).collect::<Vec<_>>().join(", ");
        Ok(Self { end, first, told, codings, is_decoded })
    }

    /// What one should know about the codings, in words.
    pub(super) fn note(&self) -> Option<String> {
        if let Some((count, coding)) = self.first.surplus() {
            let bytes = if count == 1 { "1 byte follows" } else { &format!("{count} bytes follow") };
            return Some(format!("{bytes} the end of the {coding} data: they are not content, and were passed over"));
        }
        let unknown = self.codings.iter().find(|coding| Coding::of(coding).is_none())?;
        Some(format!("the content is passed on as it came: visit does not decode {unknown:?} (Content-Encoding)"))
    }

    /// Takes the next bytes, as transferred.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let fed = self.first.write_all(bytes).and_then(|()| self.first.flush());
        fed.map_err(|error| self.explain(&error))
    }

    /// All has come.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        self.first.finish().map_err(|error| self.explain(&error))
    }

    /// Bytes that have arrived, decoded.
    pub(super) fn count(&self) -> u64 {
        self.end.borrow().count
    }

    fn explain(&self, error: &io::Error) -> Failure {
        let mut end = self.end.borrow_mut();
        if end.is_over {
            let decoded = if self.is_decoded { " once it is decoded" } else { "" };
            let what = format!("the content is larger than the limit of {} bytes{decoded}", end.limit);
            return Failure { reason: Reason::TooLarge, what };
        }
        if let Some(error) = end.write_error.take() {
            let name = match &end.sink {
                Sink::File { name, .. } => name.as_str(),
                _ => "stdout",
            };
            return cannot_write(name, &error);
        }
        broken(&self.told, error)
    }
}

/// The codings of a head (RFC 9110 §8.4), in lower case and in the order applied.
pub(super) fn codings<'a>(values: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    let members = values.flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let names = members.map(|member| String::from_utf8_lossy(member).to_ascii_lowercase());
    // `none` is not registered, and what some servers write for no coding.
    names.filter(|name| !matches!(name.as_str(), "" | "identity" | "none")).collect()
}

/// The same of a library's head.
pub(super) fn codings_of(headers: &HeaderMap) -> Vec<String> {
    codings(headers.get_all(CONTENT_ENCODING).iter().map(hyper::header::HeaderValue::as_bytes))
}

/// What there is to decode, in the order applied. Nobody could read a transfer coding that is left, so an unknown one is
/// an error (RFC 9112 §7); an unknown content coding is the reader's affair.
fn known(codings: &[String], transfer: &[String]) -> Result<Vec<Coding>, Failure> {
    if codings.len() + transfer.len() > MOST_CODINGS {
        let what =
            format!("the response has more than {MOST_CODINGS} codings: {}", [codings, transfer].concat().join(", "));
        return Err(Failure { reason: Reason::BadContentCoding, what });
    }
    let unknown = |coding: &String| Failure {
        reason: Reason::BadTransferCoding,
        what: format!("visit does not know the transfer coding {coding:?}, which the response has"),
    };
    let transfer = transfer.iter().map(|coding| Coding::of(coding).ok_or_else(|| unknown(coding)));
    let transfer = transfer.collect::<Result<Vec<_>, _>>()?;
    let content = codings.iter().map(|coding| Coding::of(coding)).collect::<Option<Vec<_>>>().unwrap_or_default();
    Ok([content, transfer].concat())
}

fn broken(coding: &str, error: &io::Error) -> Failure {
    Failure {
        reason: Reason::BadContentCoding,
        what: format!("the content cannot be decoded, though its head says {coding}: {error}"),
    }
}

fn cannot_write(name: &str, error: &io::Error) -> Failure {
    Failure { reason: Reason::WriteFailed, what: format!("the content cannot be written to {name}: {error}") }
}

/// The end of the chain.
struct Arrival(Rc<RefCell<End>>);

impl Write for Arrival {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut end = self.0.borrow_mut();
        end.count += bytes.len() as u64;
        if end.count > end.limit {
            end.is_over = true;
            return Err(io::Error::other("too large"));
        }
        let written = match &mut end.sink {
            Sink::None => Ok(()),
            Sink::File { file, .. } => file.write_all(bytes),
            Sink::Stdout => io::stdout().write_all(bytes),
            Sink::Terminal(kept) => {
                kept.extend_from_slice(bytes);
                Ok(())
            }
        };
        end.keep(written)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stage for Arrival {
    fn surplus(&self) -> Option<(u64, &'static str)> {
        None
    }

    fn finish(&mut self) -> io::Result<()> {
        let mut end = self.0.borrow_mut();
        let written = match &end.sink {
            Sink::None | Sink::File { .. } => Ok(()),
            Sink::Stdout => io::stdout().flush(),
            Sink::Terminal(kept) => io::stdout().write_all(for_terminal(kept).as_bytes()),
        };
        end.keep(written)
    }
}

impl End {
    fn keep(&mut self, written: io::Result<()>) -> io::Result<()> {
        match written {
            Ok(()) => Ok(()),
            // Whoever read stdout has seen enough, which is a good end.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe && matches!(self.sink, Sink::Stdout) => {
                self.sink = Sink::None;
                Ok(())
            }
            Err(error) => {
                let told = io::Error::new(error.kind(), "cannot write");
                self.write_error = Some(error);
                Err(told)
            }
        }
    }
}

/// Content as a terminal may show it: line by line, without what could drive it.
fn for_terminal(content: &[u8]) -> String {
    if content.contains(&0) {
        return format!("({} bytes that are no text: write them to a file with -o FILE)\n", content.len());
    }
    let text = String::from_utf8_lossy(content);
    text.lines().map(|line| line.split('\t').map(clean).collect::<Vec<_>>().join("\t") + "\n").collect()
}

#[cfg(test)]
mod tests {
    use flate2::{
        Compression,
        write::{DeflateEncoder, GzEncoder, ZlibEncoder},
    };

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 3).unwrap()
    }

    /// What comes of content with these codings, fed in small pieces: the count and bytes behind the end, or why not.
    fn decoded(codings: &str, bytes: &[u8], limit: u64) -> Result<(u64, bool), Reason> {
        let seen: Vec<_> = [1, 7, bytes.len().max(1)].map(|size| fed(codings, bytes, limit, size)).into();
        assert!(seen.iter().all(|one| *one == seen[0]), "{codings}: {seen:?}");
        seen[0]
    }

    fn fed(codings: &str, bytes: &[u8], limit: u64, size: usize) -> Result<(u64, bool), Reason> {
        let codings = super::codings([codings.as_bytes()].into_iter());
        let mut content = Content::new(codings, &[], limit, None).map_err(|failure| failure.reason)?;
        for piece in bytes.chunks(size) {
            content.feed(piece).map_err(|failure| failure.reason)?;
        }
        content.finish().map_err(|failure| failure.reason)?;
        Ok((content.count(), content.first.surplus().is_some()))
    }

    fn deflated(bytes: &[u8], zlib: bool) -> Vec<u8> {
        if zlib {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        } else {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
    }

    /// "hello brotli" by the reference encoder.
    const BROTLI: &[u8] = b"\x8b\x05\x80hello brotli\x03";

    #[test]
    fn codings() {
        let plain = b"all that is sent twice is sent once, all that is sent twice is sent once".repeat(50);
        let (size, limit) = (plain.len() as u64, 1 << 20);
        let whole = Ok((size, false));
        assert_eq!(decoded("gzip", &gzip(&plain), limit), whole);
        assert_eq!(decoded("x-gzip", &gzip(&plain), limit), whole);
        assert_eq!(decoded("GZIP, zstd", &zstd(&gzip(&plain)), limit), whole);
        assert_eq!(decoded("gzip,gzip,gzip,gzip,,gzip", &(0..5).fold(plain.clone(), |it, _| gzip(&it)), limit), whole);
        assert_eq!(decoded("zstd", &zstd(&plain), limit), whole);
        assert_eq!(decoded("identity", &plain, limit), whole);
        assert_eq!(decoded("", &plain, limit), whole);
        assert_eq!(decoded("deflate", &deflated(&plain, true), limit), whole);
        assert_eq!(decoded("deflate", &deflated(&plain, false), limit), whole);
        assert_eq!(decoded("br", BROTLI, limit), Ok((12, false)));
        // An unknown coding is passed on.
        assert_eq!(decoded("dcb", &plain, limit), whole);
        assert_eq!(decoded("gzip, gzip, gzip, gzip, gzip, gzip", &plain, limit), Err(Reason::BadContentCoding));
    }

    #[test]
    fn members_follow_each_other_and_bytes_behind_them_are_not_content() {
        let (one, two) = (b"one ".repeat(100), b"two".repeat(100));
        let both = Ok(((one.len() + two.len()) as u64, false));
        assert_eq!(decoded("gzip", &[gzip(&one), gzip(&two)].concat(), 1 << 20), both);
        assert_eq!(decoded("zstd", &[zstd(&one), zstd(&two)].concat(), 1 << 20), both);
        let first = Ok((one.len() as u64, true));
        for junk in [&b"\n"[..], b"\0", b"\0\0\0\0\0\0", b"junk", b"\x1f"] {
            assert_eq!(decoded("gzip", &[&gzip(&one), junk].concat(), 1 << 20), first, "gzip {junk:?}");
            assert_eq!(decoded("zstd", &[&zstd(&one), junk].concat(), 1 << 20), first, "zstd {junk:?}");
            assert_eq!(decoded("deflate", &[&deflated(&one, true), junk].concat(), 1 << 20), first, "zlib {junk:?}");
            assert_eq!(decoded("deflate", &[&deflated(&one, false), junk].concat(), 1 << 20), first, "raw {junk:?}");
            assert_eq!(decoded("br", &[BROTLI, junk].concat(), 1 << 20), Ok((12, true)), "br {junk:?}");
        }
    }

    #[test]
    fn what_is_not_as_it_says() {
        let plain = b"text".repeat(1000);
        for coding in ["gzip", "deflate", "br", "zstd"] {
            assert_eq!(decoded(coding, &plain, 1 << 20), Err(Reason::BadContentCoding), "{coding}");
        }
        let (gzip, zstd) = (gzip(&plain), zstd(&plain));
        for cut in [1, 2, 5, gzip.len() - 9, gzip.len() - 8, gzip.len() - 1] {
            assert_eq!(decoded("gzip", &gzip[..cut], 1 << 20), Err(Reason::BadContentCoding), "{cut}");
        }
        for cut in [1, 4, 6, zstd.len() - 3, zstd.len() - 1] {
            assert_eq!(decoded("zstd", &zstd[..cut], 1 << 20), Err(Reason::BadContentCoding), "{cut}");
        }
        for (zlib, cut) in [(true, 1), (true, 9), (true, 2), (false, 1), (false, 5)] {
            let bytes = deflated(&plain, zlib);
            let cut = bytes.len() - cut;
            assert_eq!(decoded("deflate", &bytes[..cut], 1 << 20), Err(Reason::BadContentCoding), "{zlib} {cut}");
        }
        assert_eq!(decoded("br", &BROTLI[..BROTLI.len() - 1], 1 << 20), Err(Reason::BadContentCoding));
        let mut wrong = gzip.clone();
        let at = wrong.len() - 6;
        wrong[at] ^= 1;
        assert_eq!(decoded("gzip", &wrong, 1 << 20), Err(Reason::BadContentCoding));
    }

    #[test]
    fn transfer_codings_are_removed_first_and_must_be_known() {
        let plain = b"text".repeat(1000);
        let read = |codings: &str, transfer: &[&str], bytes: &[u8]| {
            let transfer: Vec<String> = transfer.iter().map(ToString::to_string).collect();
            let mut content = Content::new(super::codings([codings.as_bytes()].into_iter()), &transfer, 1 << 20, None)
                .map_err(|failure| failure.reason)?;
            content.feed(bytes).and_then(|()| content.finish()).map_err(|failure| failure.reason)?;
            Ok(content.count())
        };
        assert_eq!(read("", &["gzip"], &gzip(&plain)), Ok(4000));
        assert_eq!(read("zstd", &["gzip"], &gzip(&zstd(&plain))), Ok(4000));
        assert_eq!(read("dcb", &["gzip"], &gzip(&plain)), Ok(4000));
        assert_eq!(read("", &["compress"], &plain), Err(Reason::BadTransferCoding));
        assert_eq!(read("gzip", &["foo"], &gzip(&plain)), Err(Reason::BadTransferCoding));
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        let zeros = vec![0; 4 << 20];
        assert_eq!(decoded("gzip", &gzip(&zeros), 1 << 20), Err(Reason::TooLarge));
        assert_eq!(decoded("gzip, gzip", &gzip(&gzip(&zeros)), 1 << 20), Err(Reason::TooLarge));
        assert_eq!(decoded("zstd", &zstd(&zeros), 1 << 20), Err(Reason::TooLarge));
    }

    #[test]
    fn a_terminal_is_not_driven() {
        assert_eq!(for_terminal(b"a\x1b[2Jb\n\tc\r\n"), "a\\u{1b}[2Jb\n\tc\n");
        assert!(for_terminal(b"a\0b").starts_with("(3 bytes"));
    }
}
