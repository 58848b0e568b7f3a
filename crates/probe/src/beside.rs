//! Questions that go on beside the visit: what is not waited for any longer, and may still be answered. An answer that
//! comes while a connection is being opened joins the addresses that are tried (RFC 8305 §3); one that comes later, or not
//! at all, tells how long other clients wait, which wait for both families before they connect.

use std::{cell::RefCell, future::poll_fn, pin::pin, rc::Rc, task::Poll, time::Duration};

use futures_util::future::LocalBoxFuture;
use journey::{
    Hop, StageName,
    stage::{Address, Did, Exchange, QueryResult},
};
use tokio::sync::oneshot;

use super::{Probe, both::Question, stub::Log};

/// How long a question is waited for in all, after the visit where it has to be: as long as Chromium's own resolver waits
/// for it (measured) before it asks getaddrinfo.
const PATIENCE: Duration = Duration::from_secs(3);

/// A question that the `name` stage did not wait for to the end, and every transmission of that stage.
pub struct Open<'w> {
    /// The question.
    pub question: Question<'w>,
    /// The transmissions, of it and of others.
    pub log: Rc<Log>,
}

/// The questions that go on beside a visit.
#[derive(Default)]
pub struct Beside<'w> {
    running: RefCell<Vec<Running<'w>>>,
}

struct Running<'w> {
    hop: usize,
    log: Rc<Log>,
    // None when it has come to its end.
    question: Option<LocalBoxFuture<'w, ()>>,
}

impl<'w> Beside<'w> {
    /// Lets a question of this hop go on; what it brings can be had from what is returned.
    pub fn let_go_on(&self, hop: usize, open: Option<Open<'w>>) -> Late {
        let Some(Open { question, log }) = open else { return Late::default() };
        let (sender, receiver) = oneshot::channel();
        let question = Box::pin(async move {
            // Addresses alone are of use to somebody; whoever waited for them may have connected.
            let addresses = question.await.map(|told| told.addresses).unwrap_or_default();
            let _ = sender.send(addresses);
        });
        self.running.borrow_mut().push(Running { hop, log, question: Some(question) });
        Late { coming: Some(receiver), came: Vec::new() }
    }

    /// Does this work, and lets the questions go on meanwhile.
    pub async fn drive<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|context| {
            let done = work.as_mut().poll(context);
            self.poll_all(context);
            // What has just come may be what the work waits for: its own waker says so.
            done
        })
        .await
    }

    /// Whether all have come to their end.
    fn poll_all(&self, context: &mut std::task::Context<'_>) -> bool {
        let mut running = self.running.borrow_mut();
        for one in running.iter_mut() {
            if let Some(question) = &mut one.question
                && question.as_mut().poll(context).is_ready()
            {
                one.question = None;
            }
        }
        running.iter().all(|one| one.question.is_none())
    }

    /// Waits for what is still under way when the visit is over, if so asked, as long as that may tell something; then
    /// notes in the hops what became of every question. The wait is no part of any stage.
    pub async fn settle(&self, probe: &Probe<'_>, hops: &mut [Hop], waits: bool) {
        let begun = || {
            let running = self.running.borrow();
            let open = running.iter().filter(|one| one.question.is_some());
            open.filter_map(|one| under_way(&one.log.borrow()).map(|exchange| exchange.start_us)).max()
        };
        if let Some(start_us) = begun().filter(|_| waits) {
            let waited = Duration::from_micros(probe.clock.us().saturating_sub(start_us));
            let all = poll_fn(|context| if self.poll_all(context) { Poll::Ready(()) } else { Poll::Pending });
            // Whether the time was over or the user stopped it: what is known is noted.
            let _ = probe.bounds.within(PATIENCE.saturating_sub(waited), all).await;
        }
        for one in self.running.borrow_mut().drain(..) {
            drop(one.question);
            let name =
                hops.get_mut(one.hop).and_then(|hop| hop.stages.iter_mut().find(|s| s.name() == StageName::Name));
            if let Some(Did::Name(name)) = name.map(|stage| &mut stage.did) {
                name.exchanges = ended(&one.log.borrow(), probe.clock.us());
            }
        }
    }
}

/// The first transmission of the question that is still under way.
fn under_way(exchanges: &[Exchange]) -> Option<&Exchange> {
    let open = exchanges.iter().rfind(|exchange| exchange.result == QueryResult::Abandoned)?;
    exchanges.iter().find(|exchange| (&exchange.question, exchange.server) == (&open.question, open.server))
}

/// The transmissions, where what is still under way has lasted until now.
pub fn ended(exchanges: &[Exchange], now_us: u64) -> Vec<Exchange> {
    let mut exchanges = exchanges.to_vec();
    let open = |exchange: &&mut Exchange| exchange.result == QueryResult::Abandoned && exchange.duration_us == 0;
    for exchange in exchanges.iter_mut().filter(open) {
        exchange.duration_us = now_us.saturating_sub(exchange.start_us);
    }
    exchanges
}

/// The addresses of the other family, which come when there was no waiting for them, or do not come.
#[derive(Debug, Default)]
pub struct Late {
    coming: Option<oneshot::Receiver<Vec<Address>>>,
    came: Vec<Address>,
}

impl Late {
    /// Whether an answer may still come.
    pub fn is_open(&self) -> bool {
        self.coming.is_some()
    }

    /// Waits for the answer; none once there is nothing more to come.
    pub async fn next(&mut self) -> Vec<Address> {
        let Some(coming) = &mut self.coming else { return Vec::new() };
        let came = coming.await.unwrap_or_default();
        self.coming = None;
        self.came.extend(came.iter().cloned());
        came
    }

    /// The addresses that came while they were waited for.
    pub fn into_came(self) -> Vec<Address> {
        self.came
    }
}
