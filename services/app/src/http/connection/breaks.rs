//! Where a fault ends the connection: what the handler says of it, and when the bytes are there.

use std::{sync::atomic::Ordering, time::Duration};

use service::ring::now_ns;

use super::{Arrived, Connection, Course, State, after};
use crate::http::breaking::{Breaks, How};

impl Connection {
    /// The connection ends now. Whoever says so has nothing else to say, and waits to be dropped.
    pub(crate) fn breaks_now(&self, how: How) {
        self.due(&mut self.state(), Some(how));
    }

    /// The connection ends within the response that is about to be written.
    pub(crate) fn breaks(&self, arrived: Arrived, breaks: Breaks) {
        let mut state = self.state();
        match &mut state.course {
            Course::One(one) => one.breaks(breaks),
            Course::Many(many) => many.breaks(arrived, breaks),
        }
        self.is_breaking.store(true, Ordering::Relaxed);
    }

    /// There will be no more content than was given so far, although there should be.
    pub(crate) fn content_over(&self) {
        if let Course::One(one) = &mut self.state().course {
            one.content_over();
        }
    }

    /// The client gets nothing for so long, and need not take anything.
    pub(crate) fn pauses(&self, pause: Duration) {
        let now_ns = now_ns();
        let until_ns = after(now_ns, pause);
        match &mut self.state().course {
            Course::One(one) => one.pauses(now_ns, until_ns, &self.server.config.limits),
            Course::Many(many) => many.pauses(now_ns, until_ns),
        }
    }

    /// How much may be written before the connection ends.
    pub(crate) fn room(&self) -> usize {
        if !self.is_breaking.load(Ordering::Relaxed) {
            return usize::MAX;
        }
        let state = self.state();
        if state.broken.is_some() {
            return 0;
        }
        let room = match &state.course {
            Course::One(one) => one.room(),
            Course::Many(many) => many.room(),
        };
        room.map_or(usize::MAX, |room| usize::try_from(room).unwrap_or(usize::MAX))
    }

    /// Something was written: whether that is the end.
    pub(super) fn note_broken(&self, state: &mut State) {
        if self.is_breaking.load(Ordering::Relaxed) {
            let how = match &state.course {
                Course::One(one) => one.is_due(),
                Course::Many(many) => many.is_due(),
            };
            self.due(state, how);
        }
    }

    fn due(&self, state: &mut State, how: Option<How>) {
        if let Some(how) = how
            && state.broken.is_none()
        {
            state.broken = Some(how);
            self.is_breaking.store(true, Ordering::Relaxed);
            self.breaking.notify_one();
        }
    }

    /// Ends when the connection is to end; says how.
    pub(crate) async fn broken(&self) -> How {
        loop {
            self.breaking.notified().await;
            if let Some(how) = self.state().broken {
                return how;
            }
        }
    }
}
