//! A line of the story that this machine's own frames tell.

use crate::{
    page::{Ink, Page, Piece, dim, piece, plain},
    words::duration,
};

/// Columns before what is said.
const DEEP: usize = 32;

/// A line of the story.
pub(super) struct Line {
    pub(super) begun_ns: i64,
    pub(super) time: String,
    pub(super) label: String,
    pub(super) peer: String,
    pub(super) said: Vec<Piece>,
    pub(super) kind: Kind,
    /// What an application says in it, where it does.
    pub(super) app: Option<String>,
    /// How many frames in a row say just this.
    pub(super) times: usize,
    /// Whether it tells of something wrong.
    pub(super) is_odd: bool,
    /// What went wrong with frames of others, for which one line is enough.
    pub(super) elsewhere: Option<String>,
    pub(super) last_ns: i64,
}

/// What may be added to a line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The opening of a connection: how many segments of three there are.
    Open(u8),
    /// The answer to an opening that had been given up: resets are all that follows.
    Late,
    /// Bytes of a connection: outwards or not, how many, in how many segments.
    Bytes(bool, usize, usize),
    /// What is encrypted, in both directions: bytes outwards, inwards, and in how many segments.
    Encrypted(usize, usize, usize),
    /// A question for a link-layer address; whose, is in the line.
    Asked,
    /// The closing of a connection.
    Close,
    /// Its breaking off.
    Reset,
    /// Nothing.
    Alone,
}

impl Line {
    /// Which lines go first where there is no room for all: what is wrong with this machine's own frames, then how connections
    /// began and ended and how much they carried, then what is wrong with others', then the rest as it came.
    pub(super) fn rank(&self) -> u8 {
        match (self.is_odd, self.kind) {
            _ if self.elsewhere.is_some() => 2,
            (true, _) => 0,
            (false, Kind::Open(_) | Kind::Encrypted(..) | Kind::Close | Kind::Reset) => 1,
            (false, _) => 3,
        }
    }

    pub(super) fn shown(&self, page: &mut Page) {
        let mut line = vec![
            dim(format!("  {:>9}  ", self.time)),
            plain(format!("{:6} ", self.label)),
            piece(Ink::Host, format!("{:11} ", self.peer)),
        ];
        line.extend(self.said.iter().cloned());
        if self.times > 1 && self.elsewhere.is_none() {
            line.push(dim(format!("  {} times", self.times)));
        }
        let took = self.last_ns.saturating_sub(self.begun_ns);
        match self.kind {
            Kind::Open(_) | Kind::Late | Kind::Close if took > 0 => {
                page.line_with_right(DEEP, &line, &dim(duration(took.unsigned_abs() / 1_000)));
            }
            _ => page.line(DEEP, &line),
        }
    }
}
