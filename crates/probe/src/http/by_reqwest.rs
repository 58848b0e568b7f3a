//! The stages from `connect` on by reqwest, as far as it lets itself be watched (`--engine reqwest`): the same request
//! through the library that many programs use, beside this program's own stages. What cannot be seen from outside is said
//! to be not observable; nothing is filled in.
//!
//! | what | as |
//! |---|---|
//! | addresses | this program's own `name` stage; reqwest is given them |
//! | connection opened | the span of reqwest's connector: TCP, and for `https://` TLS in the same step |
//! | TLS version | reqwest's `TlsInfo`; certificates by the verifier that reqwest is given |
//! | request written, first byte | not told |
//! | head complete | when the library returns the response |
//! | content complete | when its last piece was returned |
//! | close | not told |

mod explain;
mod watched;
mod way;

use std::{pin::pin, time::Duration};

use futures_util::future::{Either, select};
use http_body_util::BodyExt;
use hyper::{
    Method, Response,
    header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE},
};
use journey::{
    Evidence, Reason, Stage, StageName, StageState,
    stage::{self, Address, Attempt, Connect, Did, Failure, Tried, Verified},
};

use super::{
    super::{HANDSHAKE, Probe, bounds, observed, target::Scheme, target::Target, tls},
    FIRST_BYTE, MAX_FIELDS, Output, STALL, Versions,
    content::{self, Content},
    head, http2,
};
use crate::{redirect::is_redirect, request};
use watched::{Opened, Watch};
use way::Way;
use world::AddressBook;

/// Why reqwest cannot visit this URL, if it cannot.
pub fn impossible(book: Option<&AddressBook>, target: &Target) -> Option<String> {
    match target.scheme {
        Scheme::Http | Scheme::Https => way::impossible(book, target),
        Scheme::Tcp | Scheme::Udp => Some("reqwest speaks http:// and https:// alone".to_owned()),
    }
}

/// What would tell what reqwest does not.
const INSTEAD: &str = "--engine visit";

/// Connects, sends the request and reads the response; the stages as far as they came, and the response's `Location`.
/// What reqwest does otherwise than it was asked to goes to `notes`.
pub async fn exchange(
    probe: &Probe<'_>,
    target: &Target,
    asked: &request::Request,
    addresses: &[Address],
    notes: &mut Vec<String>,
) -> (Vec<Stage>, Option<String>) {
    let start_us = probe.clock.us();
    let way = match Way::new(probe, target, addresses) {
        Ok(way) => way,
        Err(broken) => {
            let (did, failure) = *broken;
            let stage = observed(StageState::Failed, did, start_us, probe.clock.us(), Some(failure));
            return (vec![stage], None);
        }
    };
    let versions = versions(target, asked, &way);
    notes.extend(notes_on(asked, versions));
    let mut visit = Visit {
        probe,
        target,
        asked,
        versions,
        way,
        watch: Watch::default(),
        start_us,
        receive: stage::Receive::default(),
        note: None,
        head_us: None,
        location: None,
    };
    let stages = match target.scheme {
        Scheme::Https => {
            let host = way::bare_host(target);
            let (done, mut did) = tls::watched(probe.tls, &host, versions.alpn(), visit.run()).await;
            if let Some(opened) = visit.watch.opened() {
                did.version = opened.tls_version;
                if did.verified == Verified::NotReached {
                    // A certificate is verified in every handshake but one that resumes a session.
                    did.verified = Verified::Earlier;
                }
            }
            visit.stages(done, Some(did))
        }
        _ => {
            let done = visit.run().await;
            visit.stages(done, None)
        }
    };
    (stages, visit.location)
}

/// Which versions are offered.
fn versions(target: &Target, asked: &request::Request, way: &Way) -> Versions {
    match target.scheme {
        // There `:authority` says what `Host` says in HTTP/1.1, and reqwest takes it from the URL.
        Scheme::Https if way.is_renamed && asked.versions == Versions::Both => Versions::Http1,
        _ => asked.versions,
    }
}

/// What is not done as it was asked.
fn notes_on(asked: &request::Request, versions: Versions) -> Vec<String> {
    let mut notes = Vec::new();
    if versions != asked.versions {
        notes.push("HTTP/2 was not offered: reqwest would leave the port out of :authority".to_owned());
    }
    let kept = asked.without.iter().filter(|name| matches!(name.as_str(), "host" | "accept"));
    notes.extend(kept.map(|name| format!("reqwest sends {name} whatever -H says")));
    if frames_itself(asked) {
        notes.push(
            "reqwest frames the body itself: Transfer-Encoding and Content-Length of -H were not sent".to_owned(),
        );
    }
    notes
}

struct Visit<'a> {
    probe: &'a Probe<'a>,
    target: &'a Target,
    asked: &'a request::Request,
    versions: Versions,
    way: Way,
    watch: Watch,
    start_us: u64,
    receive: stage::Receive,
    // What one should know about the content besides.
    note: Option<String>,
    head_us: Option<u64>,
    location: Option<String>,
}

/// Whether `-H` says of the body what the library would not send.
fn frames_itself(asked: &request::Request) -> bool {
    let length = asked.fields.get(CONTENT_LENGTH).map(HeaderValue::as_bytes);
    asked.fields.contains_key(TRANSFER_ENCODING)
        || length.is_some_and(|length| length != asked.body.len().to_string().as_bytes())
}

/// Where a visit ended, and why.
enum Ended {
    /// Before there was a connection; with the library's error unless a time limit ended it.
    Connecting(Box<Result<reqwest::Error, Reason>>),
    /// Before the head was complete.
    Waiting(Failure),
    /// In the content.
    Receiving(Failure),
}

impl Visit<'_> {
    async fn run(&mut self) -> Result<(), Ended> {
        let (client, request) = match self.client().and_then(|client| Ok((client.clone(), self.request(&client)?))) {
            Ok(both) => both,
            Err(error) => return Err(Ended::Connecting(Box::new(Ok(error)))),
        };
        let watch = self.watch.clone();
        let mut executed = pin!(client.execute(request));
        // Until there is a connection its limits hold, then those of the answer.
        let connecting = async {
            match select(executed.as_mut(), pin!(watch.until_opened())).await {
                Either::Left((result, _)) => Some(result),
                Either::Right(((), _)) => None,
            }
        };
        let result = match self.probe.bounds.within(self.connect_limit(), connecting).await {
            Ok(Some(result)) => result,
            Ok(None) => match self.probe.bounds.within(FIRST_BYTE, executed).await {
                Ok(result) => result,
                Err(reason) => {
                    let what = bounds::cut("the head of a response did not come", reason, FIRST_BYTE);
                    return Err(Ended::Waiting(Failure { reason, what }));
                }
            },
            Err(reason) => return Err(Ended::Connecting(Box::new(Err(reason)))),
        };
        let response = match result {
            Ok(response) => Response::from(response),
            Err(error) if self.watch.opened().is_none() => return Err(Ended::Connecting(Box::new(Ok(error)))),
            Err(error) => return Err(Ended::Waiting(explain::exchange(&error, &self.receive))),
        };
        let is_http2 = response.version() == hyper::Version::HTTP_2;
        if let Some(failure) = Some(&response).filter(|_| is_http2).and_then(|it| http2::too_large(it.headers())) {
            return Err(Ended::Waiting(failure));
        }
        self.head(&response);
        self.content(response).await.map_err(Ended::Receiving)
    }

    /// TLS is part of opening a connection here.
    fn connect_limit(&self) -> Duration {
        match self.target.scheme {
            Scheme::Https => self.probe.bounds.connect + HANDSHAKE,
            _ => self.probe.bounds.connect,
        }
    }

    /// A client for this one request: what it kept of an earlier one would be missing in this one's stages.
    fn client(&self) -> reqwest::Result<reqwest::Client> {
        let config = match self.target.scheme {
            // What is wrong with whom to trust has been told when the command line was read.
            Scheme::Https => tls::config(self.probe.tls, self.versions.alpn()).unwrap_or_else(|_| tls::nobody()),
            _ => tls::nobody(),
        };
        let builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .pool_max_idle_per_host(0)
            .http1_max_headers(MAX_FIELDS)
            .http2_max_header_list_size(http2::MAX_LIST)
            .tls_backend_preconfigured(config)
            .tls_info(true)
            .resolve_to_addrs(&self.way.host, &self.way.sockets)
            .connector_layer(self.watch.layer(self.probe.clock));
        let builder = match self.versions {
            Versions::Http1 => builder.http1_only(),
            Versions::Http2 => builder.http2_prior_knowledge(),
            Versions::Both => builder,
        };
        builder.build()
    }

    fn request(&self, client: &reqwest::Client) -> reqwest::Result<reqwest::Request> {
        let request = client.request(self.asked.method.clone(), &self.way.url).headers(self.fields());
        if self.asked.body.is_empty() { request.build() } else { request.body(self.asked.body.clone()).build() }
    }

    /// The fields that reqwest is given; it adds `Host` and its own `Accept` where they are missing.
    fn fields(&self) -> HeaderMap {
        let mut fields = self.asked.fields.clone();
        if let Some(trace) = self.way.trace {
            let value =
                HeaderValue::from_str(&trace.traceparent(rand::random())).expect("hexadecimal digits and dashes");
            fields.insert(HeaderName::from_static("traceparent"), value);
        }
        if frames_itself(self.asked) {
            fields.remove(TRANSFER_ENCODING);
            fields.remove(CONTENT_LENGTH);
        }
        super::with_length(self.asked, &mut fields);
        if self.way.is_renamed && !fields.contains_key(HOST) {
            let host = HeaderValue::from_str(&self.target.authority).unwrap_or(HeaderValue::from_static(""));
            fields.insert(HOST, host);
        }
        fields
    }

    fn head<B: hyper::body::Body>(&mut self, response: &Response<B>) {
        let now_us = self.probe.clock.us();
        self.head_us = Some(now_us);
        self.location = head::location(head::values(response.headers(), "location"));
        let (framing, transfer_codings) = head::framing(self.as_asked(), response);
        self.receive = stage::Receive {
            status: Some(response.status().as_u16()),
            reason_phrase: head::reason_phrase(response),
            version: Some(head::version(response.version())),
            headers: head::fields(self.probe.secrets, response.headers()),
            headers_at_us: Some(now_us),
            content_bytes: Some(0),
            framing,
            transfer_codings,
            server_timing: head::server_timing(self.probe.secrets, head::values(response.headers(), "server-timing")),
            ..stage::Receive::default()
        };
    }

    fn as_asked(&self) -> http1::Asked {
        http1::Asked {
            is_head: self.asked.method == Method::HEAD,
            is_connect: self.asked.method == Method::CONNECT,
            upgrades: self.asked.fields.contains_key(UPGRADE),
        }
    }

    async fn content(&mut self, response: Response<reqwest::Body>) -> Result<(), Failure> {
        let is_last = !(self.asked.follows && self.location.is_some() && is_redirect(response.status().as_u16()));
        let output = self.probe.output.filter(|_| is_last);
        let codings = content::codings_of(response.headers());
        let mut content = Content::new(codings, &self.receive.transfer_codings, self.probe.max_response, output)?;
        self.receive.codings.clone_from(&content.codings);
        let result = self.body(response.into_body(), &mut content).await;
        self.note = content.note();
        self.receive.decoded_bytes = content.is_decoded.then(|| content.count());
        result?;
        if let Some(Output::File(path)) = output {
            self.receive.written_to = Some(path.display().to_string());
        }
        Ok(())
    }

    async fn body(&mut self, mut body: reqwest::Body, content: &mut Content) -> Result<(), Failure> {
        let limit = self.probe.max_response;
        let is_head = self.asked.method == Method::HEAD;
        loop {
            let frame = match self.probe.bounds.within(STALL, body.frame()).await {
                Ok(None) if let Some(failure) = http2::short(is_head, &self.receive) => return Err(failure),
                // An answer to HEAD has a coding and no content.
                Ok(None) if self.receive.content_bytes == Some(0) => return Ok(()),
                Ok(None) => return content.finish(),
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => return Err(explain::exchange(&error, &self.receive)),
                Err(reason) => {
                    let what = bounds::cut("the server sent no more of its response", reason, STALL);
                    return Err(Failure { reason, what });
                }
            };
            if let Some(data) = frame.data_ref() {
                let count = self.receive.content_bytes.get_or_insert(0);
                *count += data.len() as u64;
                // The bytes of the head are not told, so here the content alone counts.
                if *count > limit {
                    let what = format!("the content is larger than the limit of {limit} bytes");
                    return Err(Failure { reason: Reason::TooLarge, what });
                }
                content.feed(data)?;
            } else if let Some(trailers) = frame.trailers_ref() {
                self.receive.trailers = head::fields(self.probe.secrets, trailers);
                let timings = head::values(trailers, "server-timing");
                self.receive.server_timing.extend(head::server_timing(self.probe.secrets, timings));
            }
        }
    }

    /// The stages as far as they came.
    fn stages(&self, done: Result<(), Ended>, did: Option<stage::Tls>) -> Vec<Stage> {
        let now_us = self.probe.clock.us();
        let opened = self.watch.opened();
        if let Err(Ended::Connecting(error)) = done {
            return self.unconnected(*error, did, now_us);
        }
        let Some(opened) = opened else { return Vec::new() };
        let mut stages = vec![self.connected(&opened, did.is_some()), secured(did), self.sent()];
        let (waited, received) = match done {
            Ok(()) => (None, None),
            Err(Ended::Receiving(failure)) => (None, Some(failure)),
            Err(Ended::Waiting(failure)) => (Some(failure), None),
            Err(Ended::Connecting(_)) => return stages,
        };
        let state = if waited.is_some() { StageState::Failed } else { StageState::Done };
        let end_us = self.head_us.unwrap_or(now_us);
        let wait = observed(state, Did::Wait(stage::Wait {}), opened.end_us, end_us, waited);
        let note = "from the open connection until the head was complete: reqwest tells no moment between";
        stages.push(Stage { note: Some(note.to_owned()), ..wait });
        let Some(head_us) = self.head_us else { return stages };
        let state = if received.is_some() { StageState::Failed } else { StageState::Done };
        let is_done = received.is_none();
        let receive = observed(state, Did::Receive(Box::new(self.receive.clone())), head_us, now_us, received);
        let note = "from the complete head on: reqwest does not tell when the first byte came";
        let note = [note].into_iter().chain(self.note.as_deref()).collect::<Vec<_>>().join("; ");
        stages.push(Stage { note: Some(note), ..receive });
        if is_done {
            let why = "reqwest does not tell when it closes a connection, or which side does first";
            stages.push(Stage { evidence: unseen(why), ..Stage::skipped(StageName::Close, why) });
        }
        stages
    }

    fn unconnected(&self, error: Result<reqwest::Error, Reason>, did: Option<stage::Tls>, now_us: u64) -> Vec<Stage> {
        let limit = self.connect_limit();
        let (in_tls, failure) = match error {
            Ok(error) => explain::connect(&error, &self.way, did.as_ref()),
            Err(reason) => {
                let what = bounds::cut(&format!("there was no connection to {}", self.way.named()), reason, limit);
                (false, Failure { reason, what })
            }
        };
        let start_us = self.watch.started_us().unwrap_or(self.start_us);
        if let (true, Some(did)) = (in_tls, did) {
            let connect = observed(StageState::Done, Did::Connect(Connect::default()), start_us, now_us, None);
            let connect = Stage { note: Some(TOGETHER.to_owned()), ..connect };
            let state = StageState::Failed;
            let stage = Stage { state, failure: Some(failure), ..secured(Some(did)) };
            return vec![connect, stage];
        }
        // Which of several addresses was tried when is not told; of one it is clear.
        let attempts = self.way.only().map(|(server, host, via)| Attempt {
            server,
            host,
            via,
            local: None,
            start_us,
            duration_us: now_us.saturating_sub(start_us),
            result: explain::tried(&failure),
            kernel: None,
        });
        let did = Did::Connect(Connect { attempts: attempts.into_iter().collect(), waited: None });
        vec![observed(StageState::Failed, did, start_us, now_us, Some(failure))]
    }

    fn connected(&self, opened: &Opened, with_tls: bool) -> Stage {
        let attempts = opened.remote.map(|remote| {
            let (server, via) = self.way.world(remote);
            Attempt {
                server,
                host: self.probe.host_of(server.ip()),
                via,
                local: opened.local,
                start_us: opened.start_us,
                duration_us: opened.end_us.saturating_sub(opened.start_us),
                result: Tried::Connected,
                kernel: None,
            }
        });
        let did = Did::Connect(Connect { attempts: attempts.into_iter().collect(), waited: None });
        let stage = observed(StageState::Done, did, opened.start_us, opened.end_us, None);
        Stage { note: with_tls.then(|| TOGETHER.to_owned()), ..stage }
    }

    fn sent(&self) -> Stage {
        let did = stage::Send {
            method: Some(self.asked.method.to_string()),
            target: Some(self.probe.secrets.text(&self.target.path)),
            version: self.receive.version.clone(),
            headers: head::fields(self.probe.secrets, &self.fields()),
            content_bytes: (!self.asked.body.is_empty()).then_some(self.asked.body.len() as u64),
            ..stage::Send::default()
        };
        untimed(Did::Send(did), "reqwest does not tell what it writes, or when")
    }
}

/// What the time of `connect` is where there is TLS.
const TOGETHER: &str = "TCP and TLS together: reqwest does not tell them apart";

/// The `tls` stage.
fn secured(did: Option<stage::Tls>) -> Stage {
    match did {
        None => Stage::skipped(StageName::Tls, "http:// has no TLS"),
        Some(did) => untimed(Did::Tls(Box::new(did)), "its own time, which is part of that of connect"),
    }
}

/// A stage whose times are not told.
fn untimed(did: Did, why: &str) -> Stage {
    Stage {
        state: StageState::Done,
        start_us: None,
        duration_us: None,
        evidence: unseen(why),
        did,
        failure: None,
        note: None,
        calls: Vec::new(),
    }
}

fn unseen(why: &str) -> Evidence {
    Evidence::NotObservable { why: why.to_owned(), how: Some(INSTEAD.to_owned()) }
}
