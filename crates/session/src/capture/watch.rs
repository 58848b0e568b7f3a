//! How the frames of a visit are had: from the switches of the lab's own network, by a tap on this machine's interfaces, or
//! not at all.

use std::time::Duration;

use journey::{Engine, Hop, LabNetwork, Place, capture::Captured};
use netlab::{
    net::{Limits, Net, Recording},
    tap::Refused,
};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use world::AddressBook;

use super::{INTERRUPTED, LAST_FRAMES, Tapped, not_asked_for, not_of_a_series};
use crate::{Frames, LabBackend};
use probe::clock::Clock;

/// How often it is looked whether they are.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// What watches for frames while a visit is made.
#[derive(Debug)]
pub enum Watch<'a> {
    /// The switches record them.
    Recording(Recording<'a>),
    /// A tap takes them.
    Tap(Tapped),
    /// It may not.
    Refused(Refused),
    /// Nobody does, and this is why.
    Nobody(Captured),
}

impl<'a> Watch<'a> {
    /// Begins: what passes from now on is seen. `net` is the lab's own network, where the visit is made in one.
    pub fn begin(frames: Frames, place: &Place, net: Option<&'a Net>, backend: &LabBackend) -> Self {
        let is_loopback = matches!(place, Place::EmbeddedLab { network: LabNetwork::Loopback { .. }, .. });
        match (net, frames) {
            _ if is_loopback => Self::Nobody(backend.no_frames()),
            (_, Frames::None) => Self::Nobody(not_of_a_series()),
            (Some(net), _) => Self::Recording(net.record(Limits::default())),
            // Those of a machine's interfaces are taken for nobody else: it costs time, and needs a right.
            (None, Frames::All) => Tapped::start().map_or_else(Self::Refused, Self::Tap),
            (None, Frames::OfTheLab) => Self::Nobody(not_asked_for()),
        }
    }

    /// Ends when the connections of the visit are over, or soon after; what was seen of it.
    pub async fn end(
        self,
        hops: &[Hop],
        engine: Engine,
        book: Option<&AddressBook>,
        clock: Clock,
        interrupt: &CancellationToken,
    ) -> Captured {
        let patience = if interrupt.is_cancelled() { INTERRUPTED } else { LAST_FRAMES };
        match self {
            Self::Recording(mut recording) => {
                let latest = Instant::now() + patience;
                // Meanwhile the runtime goes on, and closes what a visit that failed has let go of.
                while !recording.is_over() && Instant::now() < latest {
                    sleep(LOOK_AGAIN).await;
                }
                Captured::Frames(Box::new(recording.end(clock.start_realtime_ns())))
            }
            Self::Tap(tapped) => tapped.end(hops, engine, book, clock, patience).await,
            Self::Refused(refused) => refused.into(),
            Self::Nobody(why) => why,
        }
    }
}
