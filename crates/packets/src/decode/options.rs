//! The options of a TCP header (RFC 9293 §3.1), one by one. etherparse has an iterator over them, which ends at the first
//! that it does not know.

use std::ops::Range;

use super::{
    TcpOptions,
    parts::{long, word},
};

/// An option and where it stands behind the fixed part of the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpOption {
    /// Its bytes, counted from the first option's.
    pub range: Range<usize>,
    /// What it is.
    pub what: Meaning,
}

/// What an option says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The options are over; what follows is padding.
    End,
    /// Nothing: it aligns the next one.
    NoOperation,
    /// Maximum segment size.
    MaximumSegmentSize(u16),
    /// By how many bits the window is shifted (RFC 7323 §2).
    WindowScale(u8),
    /// Selective acknowledgments are understood (RFC 2018 §2).
    SackPermitted,
    /// What has come besides: from, to (RFC 2018 §3).
    Sack(Vec<(u32, u32)>),
    /// The sender's clock, and the receiver's that it heard last (RFC 7323 §3).
    Timestamps(u32, u32),
    /// An option that is not known here, or has another length than it should.
    Unknown(u8),
}

impl TcpOption {
    /// The options in these bytes, and what is wrong with them where something is.
    pub fn all(bytes: &[u8]) -> (Vec<Self>, Option<String>) {
        let (mut options, mut at) = (Vec::new(), 0);
        while let Some(&kind) = bytes.get(at) {
            let size = match kind {
                0 => bytes.len() - at,
                1 => 1,
                _ => usize::from(bytes.get(at + 1).copied().unwrap_or_default()),
            };
            let body = if kind < 2 { Some(&[][..]) } else { bytes.get(at + 2..at + size) };
            let Some(body) = body else {
                return (options, Some(format!("its TCP option {kind} does not fit where it says that it ends")));
            };
            options.push(Self { range: at..at + size, what: meaning(kind, body) });
            at += size;
        }
        (options, None)
    }

    /// What these options say together.
    pub fn summed(options: &[Self]) -> TcpOptions {
        let mut summed = TcpOptions::default();
        for option in options {
            match &option.what {
                Meaning::MaximumSegmentSize(size) => summed.mss = Some(*size),
                Meaning::WindowScale(shift) => summed.window_scale = Some(*shift),
                Meaning::SackPermitted => summed.sack_permitted = true,
                Meaning::Sack(blocks) => summed.sack.extend(blocks),
                Meaning::Timestamps(own, heard) => summed.timestamps = Some((*own, *heard)),
                Meaning::End | Meaning::NoOperation | Meaning::Unknown(_) => {}
            }
        }
        summed
    }
}

fn meaning(kind: u8, body: &[u8]) -> Meaning {
    match (kind, body.len()) {
        (0, _) => Meaning::End,
        (1, _) => Meaning::NoOperation,
        (2, 2) => Meaning::MaximumSegmentSize(word(body, 0)),
        (3, 1) => Meaning::WindowScale(body[0]),
        (4, 0) => Meaning::SackPermitted,
        (5, 8 | 16 | 24 | 32) => Meaning::Sack(body.chunks_exact(8).map(|at| (long(at, 0), long(at, 4))).collect()),
        (8, 8) => Meaning::Timestamps(long(body, 0), long(body, 4)),
        _ => Meaning::Unknown(kind),
    }
}
