//! One visit's stages, one after the other, each measured where it happens. They return data: `diagnosis` judges it, and
//! views decide how it looks.
//!
//! | module | stage |
//! |---|---|
//! | [`visitable`], [`target`] | `url` |
//! | [`name`], [`both`], [`overrides`], [`system`], [`search`], [`answer`], [`stub`], [`secure`] | `name` |
//! | [`beside`] | the question that `name` did not wait for, beside the other stages |
//! | [`root_walk`] | none: this machine's own walk from the root, beside the visit |
//! | [`redirect`] | one hop after the other |
//! | [`request`], [`payload`], [`proxy`] | what is sent, and the proxies that are not used |
//! | [`route`] | `route` |
//! | [`order`], [`connect`] | `connect` |
//! | [`tls`] | `tls` |
//! | [`http`], [`conn`], [`meter`] | `send`, `wait`, `receive`, `close` |
//! | [`raw`]: [`stream`], [`datagram`] | the same of `tcp://` and `udp://`, from `connect` on |
//! | [`calls`], [`heard`] | the socket calls behind these, and the bytes |
//! | [`bounds`], [`clock`] | time limits and the visit's clock |

pub mod answer;
pub mod beside;
pub mod both;
pub mod bounds;
pub mod calls;
pub mod clock;
pub mod conn;
pub mod connect;
pub mod datagram;

pub mod heard;
pub mod http;
pub mod meter;
pub mod name;
pub mod order;
pub mod overrides;
pub mod payload;
pub mod proxy;
pub mod raw;
pub mod redirect;
pub mod request;
pub mod root_walk;
pub mod route;
pub mod search;
pub mod secure;
pub mod stream;
pub mod stub;
pub mod system;
pub mod target;
pub mod tls;
pub mod visitable;

use std::{net::IpAddr, time::Duration};

use journey::{
    Engine, Evidence, Hop, Reason, Stage, StageName, StageState, TraceId,
    stage::{Address, Did, Failure},
};
use netlab::net::Net;
use tokio::net::TcpStream;
use world::{AddressBook, Protocol};

use beside::{Beside, Late};
use bounds::Bounds;
use clock::Clock;
use conn::{Conn, Counted};
use http::{Open, Version, Versions};
use name::Resolvers;
use overrides::Overrides;
use payload::Payload;
use request::Request;
use secrets::Secrets;
use target::{Host, Scheme, Target};
use visitable::Visitable;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Everything that the stages of a visit need to know.
#[derive(Clone, Debug)]
pub struct Probe<'a> {
    /// The visit's clock.
    pub clock: Clock,
    /// When to give up.
    pub bounds: &'a Bounds,
    /// The world's address book, where there is a world.
    pub book: Option<&'a AddressBook>,
    /// The network of the lab inside this program, where it has one.
    pub net: Option<&'a Net>,
    /// Who is asked for names.
    pub resolvers: Resolvers,
    /// What the command line says about names.
    pub overrides: &'a Overrides,
    /// Which addresses are wanted.
    pub family: Family,
    /// Sent along, where somebody is there to record it.
    pub trace: Option<TraceId>,
    /// What is sent where no HTTP is spoken.
    pub payload: Option<&'a Payload>,
    /// Bytes of a response, head included, before it is refused.
    pub max_response: u64,
    /// Whether credentials are kept as they are.
    pub secrets: Secrets,
    /// Whom to believe in TLS.
    pub tls: &'a tls::Setup,
    /// Who speaks HTTP.
    pub engine: Engine,
    /// Where the content goes, if anybody wants it.
    pub output: Option<&'a http::Output>,
}

/// Which addresses are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Both.
    Any,
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
}

impl Family {
    /// Whether this address is wanted.
    pub fn wants(self, ip: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => ip.is_ipv4(),
            Self::V6 => ip.is_ipv6(),
        }
    }
}

/// A stage that could not do what it is for: what it found out nevertheless, and why.
pub type Broken = (Did, Failure);

impl Probe<'_> {
    /// Walks to the end of request number `nth`, or to the stage that fails; with the hop, the `Location` of the answer as
    /// it came. Questions that are not waited for go on `beside`.
    pub async fn hop<'w>(
        &'w self,
        nth: usize,
        beside: &Beside<'w>,
        url: &Visitable,
        request: &Request,
    ) -> (Hop, Option<String>) {
        let mut stages = Stages { clock: self.clock, done: Vec::new(), notes: Vec::new() };
        let location = self.stages(nth, beside, url, request, &mut stages).await;
        (stages.into_hop(url.shown.clone()), location)
    }

    /// Every `?` ends the hop at the stage that has just been noted as failed.
    async fn stages<'w>(
        &'w self,
        nth: usize,
        beside: &Beside<'w>,
        url: &Visitable,
        request: &Request,
        stages: &mut Stages,
    ) -> Option<String> {
        let target = self.url(nth, url, request, stages)?;
        let begin = self.clock.us();
        let way = self.overrides.way(&target);
        let found = name::resolve(self, &way).await;
        let addresses = stages.note(begin, found.result)?;
        if let Some(note) = found.note {
            stages.skip_last(note);
        }
        let late = beside.let_go_on(nth, found.open);
        self.route(&target, &addresses, way.port, stages)?;
        match (target.scheme, self.engine) {
            (Scheme::Tcp | Scheme::Udp, _) => {
                self.raw(&Target { port: way.port, ..target }, &addresses, late, stages).await;
                None
            }
            (_, Engine::Reqwest) => {
                let (exchange, location) =
                    http::by_reqwest::exchange(self, &target, request, &addresses, &mut stages.notes).await;
                stages.done.extend(exchange);
                location
            }
            (_, Engine::Visit) => self.http(&target, &addresses, way.port, request, late, stages).await,
        }
    }

    /// The `url` stage.
    fn url(&self, nth: usize, url: &Visitable, request: &Request, stages: &mut Stages) -> Option<Target> {
        let took_us = u64::try_from(url.took.as_micros()).unwrap_or(u64::MAX);
        // With the first one the clock has begun (see `Clock::started_by`); where an answer points has just been read.
        let end_us = if nth == 0 { took_us } else { self.clock.us() };
        let read = speakable(url, request.versions);
        let target = stages.note_between(end_us.saturating_sub(took_us), end_us, read)?;
        if self.resolvers.are_secure() || target.scheme == Scheme::Https {
            self.tls.prepare();
        }
        if url.has_userinfo() && matches!(target.scheme, Scheme::Http | Scheme::Https) {
            let note = "the user name and password in the URL are not sent: -H 'Authorization: …' would be";
            stages.notes.push(note.to_owned());
        }
        stages.notes.extend(proxy::unused(target.scheme, &target.host, |name| std::env::var(name).ok()));
        Some(target)
    }

    /// The `route` stage; `None` where no way leads anywhere.
    fn route(&self, target: &Target, addresses: &[Address], port: u16, stages: &mut Stages) -> Option<()> {
        let (protocol, tried) = match target.scheme {
            // Nobody would tell which of several addresses works, so the others are not tried.
            Scheme::Udp => (Protocol::Udp, addresses.get(..1).unwrap_or_default()),
            _ => (Protocol::Tcp, addresses),
        };
        let route = route::find(self, protocol, tried, port);
        let leads_somewhere = route.state != StageState::Failed;
        stages.done.push(route);
        leads_somewhere.then_some(())
    }

    /// The stages of `tcp://` and `udp://` from `connect` on.
    async fn raw(&self, target: &Target, addresses: &[Address], mut late: Late, stages: &mut Stages) {
        let protocol = if target.scheme == Scheme::Udp { Protocol::Udp } else { Protocol::Tcp };
        let talked = raw::talk(self, target, addresses, &mut late).await;
        stages.joined(self, protocol, late.into_came(), target.port);
        stages.done.extend(talked);
    }

    /// The stages of `http://` and `https://` from `connect` on.
    async fn http(
        &self,
        target: &Target,
        addresses: &[Address],
        port: u16,
        request: &Request,
        mut late: Late,
        stages: &mut Stages,
    ) -> Option<String> {
        let begin = self.clock.us();
        let connected = connect::connect(self, addresses, port, &mut late).await;
        stages.joined(self, Protocol::Tcp, late.into_came(), port);
        let (server, stream) = stages.note(begin, connected)?;
        let (conn, version) = if target.scheme == Scheme::Https {
            let begin = self.clock.us();
            stages.note(begin, self.secure(target, request.versions, stream).await)?
        } else {
            stages.done.push(Stage::skipped(StageName::Tls, "http:// has no TLS"));
            (Conn::Plain(stream), Version::Http1)
        };
        let open = Open { conn, version, trace: self.trace_for(server.ip()) };
        let (exchange, location) = http::exchange(self, target, request, open).await;
        stages.done.extend(exchange);
        location
    }

    /// The `tls` stage.
    async fn secure(
        &self,
        target: &Target,
        versions: Versions,
        stream: TcpStream,
    ) -> Result<(Did, (Conn, Version)), Box<Broken>> {
        let name = match &target.host {
            Host::Name(name) => name.clone(),
            Host::Ip(ip) => ip.to_string(),
        };
        let (counted, tally) = Counted::new(stream);
        let shaken = tls::handshake(self.tls, &name, versions.alpn(), counted);
        let (mut did, result) = match self.bounds.within(HANDSHAKE, shaken).await {
            Ok(shaken) => shaken,
            Err(reason) => {
                let so_far = match tally.read() {
                    0 => format!("{name} took the connection and said nothing of TLS"),
                    bytes => format!("{name} did not finish the handshake after {bytes} bytes"),
                };
                let failure = Failure { reason, what: bounds::cut(&so_far, reason, HANDSHAKE) };
                (tls::intended(&name, versions.alpn()), Err(failure))
            }
        };
        (did.bytes_out, did.bytes_in) = (Some(tally.written()), Some(tally.read()));
        let version = match did.alpn.as_deref() {
            Some("h2") => Version::Http2,
            _ => Version::Http1,
        };
        let result = match result {
            Ok(_) if versions == Versions::Http2 && version != Version::Http2 => {
                let what = format!("{name} did not agree on HTTP/2, and --http2 asks for nothing else");
                Err(Failure { reason: Reason::TlsFailed, what })
            }
            other => other,
        };
        let result = result.map_err(|failure| http::not_tls(&mut did, failure, &tally.begin(), self.secrets));
        let did = Did::Tls(Box::new(did));
        match result {
            Ok(stream) => Ok((did, (Conn::Tls { stream: Box::new(stream), tally }, version))),
            Err(failure) => Err(Box::new((did, failure))),
        }
    }

    /// The visit's id, if whoever has this address is there to record it: strangers are not sent a number that would tell
    /// visits apart.
    pub fn trace_for(&self, ip: IpAddr) -> Option<TraceId> {
        self.trace.filter(|_| self.book.is_some_and(|book| book.contains(ip)))
    }

    /// The host that has this address in the world, where known.
    pub fn host_of(&self, ip: IpAddr) -> Option<String> {
        self.book?.host_of(ip).map(str::to_owned)
    }
}

/// HTTP/2 is agreed on in a TLS handshake; a redirect may lead to where there is none.
fn speakable(url: &Visitable, versions: Versions) -> Result<(Did, Target), Box<Broken>> {
    let did = Did::Url(url.did.clone());
    match &url.target {
        Err(failure) => Err(Box::new((did, failure.clone()))),
        Ok(target) if target.scheme == Scheme::Http && versions == Versions::Http2 => {
            let what = "--http2 asks for HTTP/2 alone, and http:// has no handshake to agree on it".to_owned();
            Err(Box::new((did, Failure { reason: Reason::SchemeUnsupported, what })))
        }
        Ok(target) => Ok((did, target.clone())),
    }
}

/// The stages so far.
struct Stages {
    clock: Clock,
    done: Vec<Stage>,
    notes: Vec<String>,
}

impl Stages {
    /// Notes a stage that began at `start_us` and has just ended, and passes on what the next one needs.
    fn note<T>(&mut self, start_us: u64, result: Result<(Did, T), Box<Broken>>) -> Option<T> {
        self.note_between(start_us, self.clock.us(), result)
    }

    fn note_between<T>(&mut self, start_us: u64, end_us: u64, result: Result<(Did, T), Box<Broken>>) -> Option<T> {
        match result {
            Ok((did, next)) => {
                self.done.push(observed(StageState::Done, did, start_us, end_us, None));
                Some(next)
            }
            Err(broken) => {
                let (did, failure) = *broken;
                self.done.push(observed(StageState::Failed, did, start_us, end_us, Some(failure)));
                None
            }
        }
    }

    /// Addresses joined those that were known when the name stage ended: they are noted with it, and the ways to them with
    /// the route stage.
    fn joined(&mut self, probe: &Probe<'_>, protocol: Protocol, addresses: Vec<Address>, port: u16) {
        if addresses.is_empty() {
            return;
        }
        let routed = route::find(probe, protocol, &addresses, port);
        for stage in &mut self.done {
            match (&mut stage.did, &routed.did) {
                (Did::Name(name), _) => name.late.clone_from(&addresses),
                (Did::Route(route), Did::Route(more)) => route.ways.extend(more.ways.iter().cloned()),
                _ => {}
            }
        }
    }

    /// The stage just noted was not needed.
    fn skip_last(&mut self, note: String) {
        if let Some(stage) = self.done.last_mut() {
            stage.state = StageState::Skipped;
            stage.duration_us = None;
            stage.note = Some(note);
        }
    }

    fn into_hop(mut self, url: String) -> Hop {
        let not_reached = StageName::ALL.into_iter().skip(self.done.len()).map(Stage::not_reached);
        self.done.extend(not_reached);
        Hop { url, stages: self.done, notes: self.notes }
    }
}

/// A stage whose times this process saw.
pub fn observed(state: StageState, did: Did, start_us: u64, end_us: u64, failure: Option<Failure>) -> Stage {
    Stage {
        state,
        start_us: Some(start_us),
        duration_us: Some(end_us.saturating_sub(start_us)),
        evidence: Evidence::Observed,
        did,
        failure,
        note: None,
        calls: Vec::new(),
    }
}
