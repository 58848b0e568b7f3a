//! The content of a response on its way to whoever wanted it: decoded as its codings say, counted, and written where
//! `-o` says.

use std::{
    cell::RefCell,
    fs::File,
    io::{self, IsTerminal, Write},
    path::PathBuf,
    rc::Rc,
};

use brotli_decompressor::DecompressorWriter;
use flate2::write::{MultiGzDecoder, ZlibDecoder};
use hyper::{HeaderMap, header::CONTENT_ENCODING};
use journey::{Reason, stage::Failure};
use zstd::stream::{raw, zio};

use crate::report::clean;

/// Where content is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A file, as the command line names it.
    File(PathBuf),
    /// Stdout: as it is, but on a terminal as text that cannot drive it.
    Stdout,
}

/// Most memory that a zstd stream may ask for as its window, as a power of two: 8 MiB (RFC 9659 §3).
const ZSTD_WINDOW_LOG: u32 = 23;
/// Bytes that brotli's decoder takes and gives at a time.
const BROTLI_BUFFER: usize = 16 * 1024;

/// Content as it comes.
pub(super) struct Content {
    end: Rc<RefCell<End>>,
    // The last coding that was applied is the first to be removed.
    first: Box<dyn Stage>,
    /// The codings, in the order applied.
    pub(super) codings: Vec<String>,
    /// Whether all of them are known here. Content with an unknown one is passed on as it is.
    pub(super) is_decoded: bool,
}

/// A writer that can tell whether what it was given was complete.
trait Stage: Write {
    fn finish(&mut self) -> io::Result<()>;
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
    /// Content behind this head; at most `limit` bytes of it, decoded.
    pub(super) fn new(headers: &HeaderMap, limit: u64, output: Option<&Output>) -> Result<Self, Failure> {
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
        let values = headers.get_all(CONTENT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
        let codings: Vec<String> = values
            .flat_map(|value| value.split(','))
            .map(|coding| coding.trim().to_ascii_lowercase())
            .filter(|coding| !coding.is_empty() && coding != "identity")
            .collect();
        let mut first: Box<dyn Stage> = Box::new(Arrival(Rc::clone(&end)));
        let known = codings.iter().all(|coding| is_known(coding));
        // A server that claims more than a few would only want to see this program work.
        let is_decoded = !codings.is_empty() && known && codings.len() <= 4;
        if is_decoded {
            for coding in &codings {
                first = decoder(coding, first).map_err(|error| broken(coding, &error))?;
            }
        }
        Ok(Self { end, first, codings, is_decoded })
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
        broken(&self.codings.join(", "), error)
    }
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

/// RFC 9110 §8.4.1, RFC 7932, RFC 8878.
fn is_known(coding: &str) -> bool {
    matches!(coding, "gzip" | "x-gzip" | "deflate" | "br" | "zstd")
}

fn decoder(coding: &str, next: Box<dyn Stage>) -> io::Result<Box<dyn Stage>> {
    Ok(match coding {
        "gzip" | "x-gzip" => Box::new(MultiGzDecoder::new(next)),
        "deflate" => Box::new(ZlibDecoder::new(next)),
        "br" => Box::new(Brotli { decoder: DecompressorWriter::new(next, BROTLI_BUFFER) }),
        _ => {
            let mut decoder = raw::Decoder::new()?;
            decoder.set_parameter(zstd::zstd_safe::DParameter::WindowLogMax(ZSTD_WINDOW_LOG))?;
            Box::new(Zstd(zio::Writer::new(next, decoder)))
        }
    })
}

impl Stage for MultiGzDecoder<Box<dyn Stage>> {
    fn finish(&mut self) -> io::Result<()> {
        self.try_finish()?;
        self.get_mut().finish()
    }
}

impl Stage for ZlibDecoder<Box<dyn Stage>> {
    fn finish(&mut self) -> io::Result<()> {
        self.try_finish()?;
        self.get_mut().finish()
    }
}

struct Brotli {
    decoder: DecompressorWriter<Box<dyn Stage>>,
}

impl Write for Brotli {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.decoder.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.decoder.flush()
    }
}

impl Stage for Brotli {
    fn finish(&mut self) -> io::Result<()> {
        self.decoder.close()?;
        self.decoder.get_mut().finish()
    }
}

struct Zstd(zio::Writer<Box<dyn Stage>, raw::Decoder<'static>>);

impl Write for Zstd {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Stage for Zstd {
    fn finish(&mut self) -> io::Result<()> {
        self.0.finish()?;
        self.0.writer_mut().finish()
    }
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
    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 3).unwrap()
    }

    /// What comes of content with these codings, fed in small pieces: how many bytes, or why not.
    fn decoded(codings: &str, bytes: &[u8], limit: u64) -> Result<u64, Reason> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, codings.parse().unwrap());
        let mut content = Content::new(&headers, limit, None).map_err(|failure| failure.reason)?;
        for piece in bytes.chunks(7) {
            content.feed(piece).map_err(|failure| failure.reason)?;
        }
        content.finish().map_err(|failure| failure.reason)?;
        Ok(content.count())
    }

    #[test]
    fn codings() {
        let plain = b"all that is sent twice is sent once, all that is sent twice is sent once".repeat(50);
        let (size, limit) = (plain.len() as u64, 1 << 20);
        assert_eq!(decoded("gzip", &gzip(&plain), limit), Ok(size));
        assert_eq!(decoded("GZIP, zstd", &zstd(&gzip(&plain)), limit), Ok(size));
        assert_eq!(decoded("zstd", &zstd(&plain), limit), Ok(size));
        assert_eq!(decoded("identity", &plain, limit), Ok(size));
        // "hello brotli" by the reference encoder.
        assert_eq!(decoded("br", b"\x8b\x05\x80hello brotli\x03", limit), Ok(12));
        // An unknown coding is passed on.
        assert_eq!(decoded("dcb", &plain, limit), Ok(size));
    }

    #[test]
    fn what_is_not_as_it_says() {
        let plain = b"text".repeat(1000);
        for coding in ["gzip", "deflate", "br", "zstd"] {
            assert_eq!(decoded(coding, &plain, 1 << 20), Err(Reason::BadContentCoding), "{coding}");
        }
        let (gzip, zstd) = (gzip(&plain), zstd(&plain));
        assert_eq!(decoded("gzip", &gzip[..gzip.len() - 9], 1 << 20), Err(Reason::BadContentCoding));
        assert_eq!(decoded("zstd", &zstd[..zstd.len() - 3], 1 << 20), Err(Reason::BadContentCoding));
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
