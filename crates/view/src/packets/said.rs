//! What a frame says, and to whom, for the short view.

use journey::chronicle::YOU;
use packets::{
    decode::{
        app::{App, TlsRecord},
        words::Says,
    },
    flow::{FlowKey, Segment, What},
};

use super::scene::{Scene, Seen};
use crate::{
    page::{Ink, Piece, piece, plain},
    words,
};

/// What a segment carries: what the application says, or how much it is. Its flags are in the full list.
pub(super) fn content(seen: &Seen<'_>, segment: &Segment) -> Piece {
    let Says::Segment(flags, len, app) = &seen.summary.says else { return plain(seen.summary.to_string()) };
    let bytes = bytes_words(*len);
    match (app, segment.what) {
        (Some(app), _) => plain(format!("{app}, {bytes}")),
        (None, What::Data) => plain(bytes),
        (None, What::Reset) => piece(Ink::Bad, format!("{flags}: the connection is broken off")),
        (None, What::ZeroWindow) => piece(Ink::Warn, format!("{flags}: window 0, there is no room")),
        _ => plain(seen.summary.says.to_string()),
    }
}

/// Whether all that is said is records that cannot be read.
pub(super) fn is_encrypted(app: &App) -> bool {
    matches!(app, App::Tls(records) if records.iter().all(|record| *record == TlsRecord::ApplicationData))
}

/// A number of bytes, in digits that stay together.
pub(super) fn bytes_words(bytes: usize) -> String {
    words::bytes(u64::try_from(bytes).unwrap_or(u64::MAX))
}

pub(super) fn app<'a>(seen: &'a Seen<'_>) -> Option<&'a App> {
    match &seen.summary.says {
        Says::Segment(_, _, app) => app.as_ref(),
        _ => None,
    }
}

pub(super) fn has_flaw(seen: &Seen<'_>) -> bool {
    seen.summary.flaw.is_some()
}

pub(super) fn is_error(seen: &Seen<'_>) -> bool {
    matches!(&seen.summary.says, Says::Message(_, Some(_)))
}

/// Whether this machine is the end that answers.
pub(super) fn is_answer(key: FlowKey, scene: &Scene<'_>) -> bool {
    scene.host(key.server.ip()) == Some(YOU) && scene.host(key.client.ip()) != Some(YOU)
}

/// The other party: the host that the packet is for or from, not the router on the way.
pub(super) fn peer(scene: &Scene<'_>, seen: &Seen<'_>, is_out: bool) -> String {
    let is_ip = seen.ports().is_some() || !seen.decoded.packet.is_empty();
    match seen.ends().filter(|_| is_ip) {
        Some((_, to)) if is_out => scene.who(to),
        Some((from, _)) => scene.who(from),
        None if is_out => scene.receiver(seen),
        None => scene.sender(seen),
    }
}
