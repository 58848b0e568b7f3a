//! What is recorded of a network's frames.

use std::time::{Duration, Instant};

use journey::capture::{Bytes, Capture, Fate, Frame};

use super::Net;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of frames; what comes when they are full is counted.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 32 * 1024 * 1024 }
    }
}

/// What costs memory besides a frame's bytes.
const OVERHEAD: usize = 128;

/// The frames so far.
#[derive(Debug)]
pub(super) struct Record {
    taken: Vec<Taken>,
    bytes: usize,
    limit: usize,
    lost: u64,
}

#[derive(Debug)]
struct Taken {
    /// CLOCK_REALTIME.
    at_ns: i64,
    link: usize,
    port: usize,
    fate: Fate,
    len: u32,
    bytes: Vec<u8>,
}

impl Record {
    fn new(limits: Limits) -> Self {
        Self { taken: Vec::new(), bytes: 0, limit: limits.bytes, lost: 0 }
    }

    pub(super) fn take(&mut self, at_ns: i64, link: usize, port: usize, fate: Fate, len: usize, frame: &[u8]) {
        if self.bytes + frame.len() + OVERHEAD > self.limit {
            self.lost += 1;
            return;
        }
        self.bytes += frame.len() + OVERHEAD;
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        self.taken.push(Taken { at_ns, link, port, fate, len, bytes: frame.to_vec() });
    }
}
