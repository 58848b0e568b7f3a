//! Content and transfer codings (RFC 9110 §8.4.1, RFC 9112 §7.2), each removed by a writer in front of the next one.
//!
//! gzip and zstd may have several members or frames, one after the other (RFC 1952 §2.2, RFC 8878 §3.1). What follows the
//! last of them is not content: it is counted and passed over, as browsers do.

use std::io::{self, Write};

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::write::{DeflateDecoder, GzDecoder, ZlibDecoder};
use zstd::{
    stream::raw::{self, Operation},
    zstd_safe::DParameter,
};

/// Most memory that a zstd stream may ask for as its window, as a power of two: 8 MiB (RFC 9659 §3).
const ZSTD_WINDOW_LOG: u32 = 23;
/// Bytes that a decoder takes and gives at a time.
const BUFFER: usize = 16 * 1024;

/// A writer that can tell whether what it was given was complete.
pub(super) trait Stage: Write {
    fn finish(&mut self) -> io::Result<()>;

    /// Bytes behind the end of the coding, and its name.
    fn surplus(&self) -> Option<(u64, &'static str)>;
}

/// A coding that is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    /// The coding of this name, in lower case.
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "deflate" => Some(Self::Deflate),
            "br" => Some(Self::Brotli),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// How many bytes tell whether data begins here.
    fn looked_at(self) -> usize {
        match self {
            Self::Gzip | Self::Deflate => 2,
            Self::Brotli => 0,
            Self::Zstd => 4,
        }
    }

    /// A decoder for data that begins like this.
    fn decoder(self, begin: &[u8]) -> io::Result<Option<Decoder>> {
        let nothing = Vec::new();
        Ok(match (self, begin) {
            (Self::Gzip, [0x1f, 0x8b]) => Some(Decoder::Flate(Box::new(GzDecoder::new(nothing)))),
            // Servers send either under this name; as curl and browsers do, the begin decides (RFC 9110 §8.4.1.2).
            (Self::Deflate, [method, flags]) if is_zlib(*method, *flags) => {
                Some(Decoder::Flate(Box::new(ZlibDecoder::new(nothing))))
            }
            (Self::Deflate, [_, _]) => Some(Decoder::Flate(Box::new(DeflateDecoder::new(nothing)))),
            (Self::Brotli, _) => {
                let alloc = StandardAlloc::default;
                Some(Decoder::Brotli(Box::new(BrotliState::new_strict(alloc(), alloc(), alloc()))))
            }
            // A frame, or one that is to be skipped (RFC 8878 §3.1).
            (Self::Zstd, [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18]) => {
                let mut decoder = raw::Decoder::new()?;
                decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))?;
                Some(Decoder::Zstd(decoder))
            }
            _ => None,
        })
    }

    fn repeats(self) -> bool {
        matches!(self, Self::Gzip | Self::Zstd)
    }
}

/// RFC 1950 §2.2.
fn is_zlib(method: u8, flags: u8) -> bool {
    method & 0x0f == 8 && method >> 4 <= 7 && u16::from_be_bytes([method, flags]).is_multiple_of(31)
}

/// Removes a coding from what is written to it, and writes the rest on.
pub(super) struct Decoded {
    coding: Coding,
    state: State,
    // Members that came to their end.
    members: usize,
    surplus: u64,
    next: Box<dyn Stage>,
}

enum State {
    /// In front of a member, with so much of its begin.
    Begin(Vec<u8>),
    Inside(Decoder),
    /// Behind the last.
    Over,
}

impl Decoded {
    pub(super) fn new(coding: Coding, next: Box<dyn Stage>) -> Self {
        Self { coding, state: State::Begin(Vec::new()), members: 0, surplus: 0, next }
    }

    /// Takes some of these bytes, and says how many.
    fn step(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.state {
            State::Over => {
                self.surplus += bytes.len() as u64;
                Ok(bytes.len())
            }
            State::Begin(held) => {
                let wanted = self.coding.looked_at() - held.len();
                let taken = wanted.min(bytes.len());
                held.extend_from_slice(&bytes[..taken]);
                if taken == wanted {
                    let held = std::mem::take(held);
                    self.begin(&held)?;
                }
                Ok(taken)
            }
            State::Inside(decoder) => {
                let (taken, is_end) = decoder.run(bytes, &mut self.next)?;
                if is_end {
                    self.members += 1;
                    self.state = State::Begin(Vec::new());
                }
                Ok(taken)
            }
        }
    }

    fn begin(&mut self, begin: &[u8]) -> io::Result<()> {
        let is_allowed = self.members == 0 || self.coding.repeats();
        let decoder = if is_allowed { self.coding.decoder(begin)? } else { None };
        self.state = match decoder {
            Some(decoder) => {
                self.state = State::Inside(decoder);
                return self.write_all(begin);
            }
            None if self.members > 0 => State::Over,
            None => return Err(io::Error::other(format!("it does not begin as {} does", self.coding.name()))),
        };
        self.surplus += begin.len() as u64;
        Ok(())
    }
}

impl Write for Decoded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = self.step(rest)?;
            rest = &rest[taken..];
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if let State::Inside(decoder) = &mut self.state {
            decoder.flush(&mut self.next)?;
        }
        self.next.flush()
    }
}

impl Stage for Decoded {
    fn finish(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Begin(held) if self.members > 0 => self.surplus += held.len() as u64,
            // No content at all is no error: there is nothing to decode.
            State::Begin(held) if held.is_empty() => {}
            State::Begin(_) => return Err(is_cut(self.coding)),
            State::Inside(mut decoder) => {
                decoder.flush(&mut self.next)?;
                decoder.finish(&mut self.next)?.then_some(()).ok_or_else(|| is_cut(self.coding))?;
            }
            State::Over => {}
        }
        self.next.finish()
    }

    fn surplus(&self) -> Option<(u64, &'static str)> {
        (self.surplus > 0).then(|| (self.surplus, self.coding.name())).or_else(|| self.next.surplus())
    }
}

fn is_cut(coding: Coding) -> io::Error {
    io::Error::other(format!("it ends in the middle of the {} data", coding.name()))
}

enum Decoder {
    Flate(Box<dyn Flate>),
    Brotli(Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>),
    Zstd(raw::Decoder<'static>),
}

impl Decoder {
    /// Takes some of these bytes and writes on what comes of them; how many, and whether the data has ended.
    fn run(&mut self, bytes: &[u8], next: &mut Box<dyn Stage>) -> io::Result<(usize, bool)> {
        match self {
            Self::Flate(decoder) => run_flate(decoder, bytes, next),
            Self::Brotli(state) => run_brotli(state, bytes, next),
            Self::Zstd(decoder) => run_zstd(decoder, bytes, next),
        }
    }

    /// Writes on what the decoder has held back.
    fn flush(&mut self, next: &mut Box<dyn Stage>) -> io::Result<()> {
        let Self::Flate(decoder) = self else { return Ok(()) };
        decoder.flush().map_err(|_| is_corrupt())?;
        next.write_all(&std::mem::take(decoder.output()))
    }

    /// No more comes: whether the data is complete.
    fn finish(&mut self, next: &mut Box<dyn Stage>) -> io::Result<bool> {
        match self {
            Self::Flate(decoder) => finish_flate(decoder, next),
            // Their end would have been seen.
            Self::Brotli(_) | Self::Zstd(_) => Ok(false),
        }
    }
}

/// A decoder that keeps what it makes.
trait Flate: Write {
    fn output(&mut self) -> &mut Vec<u8>;
    fn check_end(&mut self) -> io::Result<()>;
}

macro_rules! flate {
    ($($decoder:ident),*) => {$(
        impl Flate for $decoder<Vec<u8>> {
            fn output(&mut self) -> &mut Vec<u8> {
                self.get_mut()
            }

            fn check_end(&mut self) -> io::Result<()> {
                self.try_finish()
            }
        }
    )*};
}

flate!(GzDecoder, ZlibDecoder, DeflateDecoder);

fn run_flate(decoder: &mut Box<dyn Flate>, bytes: &[u8], next: &mut Box<dyn Stage>) -> io::Result<(usize, bool)> {
    let written = decoder.write(bytes);
    if written.is_err() {
        // What came before the damage is content, and still held back.
        let _ = decoder.flush();
    }
    next.write_all(&std::mem::take(decoder.output()))?;
    let taken = written.map_err(|_| is_corrupt())?;
    // It takes nothing more once its data has ended.
    if taken > 0 {
        return Ok((taken, false));
    }
    if finish_flate(decoder, next)? { Ok((0, true)) } else { Err(is_corrupt()) }
}

fn finish_flate(decoder: &mut Box<dyn Flate>, next: &mut Box<dyn Stage>) -> io::Result<bool> {
    let ended = decoder.check_end();
    next.write_all(&std::mem::take(decoder.output()))?;
    match ended {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(_) => Err(io::Error::other("its checksum or its length does not match, or it ends in front of them")),
    }
}

fn run_brotli(
    state: &mut BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    bytes: &[u8],
    next: &mut Box<dyn Stage>,
) -> io::Result<(usize, bool)> {
    let mut output = [0; BUFFER];
    let (mut left, mut taken, mut total) = (bytes.len(), 0, 0);
    loop {
        let (mut room, mut made) = (output.len(), 0);
        let result =
            BrotliDecompressStream(&mut left, &mut taken, bytes, &mut room, &mut made, &mut output, &mut total, state);
        next.write_all(&output[..made])?;
        match result {
            BrotliResult::NeedsMoreOutput => {}
            BrotliResult::NeedsMoreInput => return Ok((taken, false)),
            BrotliResult::ResultSuccess => return Ok((taken, true)),
            BrotliResult::ResultFailure => return Err(is_corrupt()),
        }
    }
}

fn run_zstd(decoder: &mut raw::Decoder<'static>, bytes: &[u8], next: &mut Box<dyn Stage>) -> io::Result<(usize, bool)> {
    let mut output = [0; BUFFER];
    let mut taken = 0;
    loop {
        let status = decoder.run_on_buffers(&bytes[taken..], &mut output)?;
        next.write_all(&output[..status.bytes_written])?;
        taken += status.bytes_read;
        // Output that found no room is asked for once more.
        let is_full = status.bytes_written == output.len();
        if status.remaining == 0 || !(is_full || taken < bytes.len()) {
            return Ok((taken, status.remaining == 0));
        }
    }
}

fn is_corrupt() -> io::Error {
    io::Error::other("it is corrupt")
}
