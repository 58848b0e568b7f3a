//! The requests of one connection: each on a stream and in a task of its own, within limits that all connections share.

use std::{future::poll_fn, pin::pin, sync::Arc, time::SystemTime};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, server::SendResponse};
use http_body_util::BodyExt;
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::Body,
    header::{CONNECTION, DATE, HeaderName, HeaderValue, SERVER, TRANSFER_ENCODING, UPGRADE},
    http::request::Parts,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tracing::debug;

use super::body::Content;
use crate::{
    http::{
        connection::{Arrived, Connection},
        exchange,
        reply::Reply,
        request,
    },
    metrics::Unread,
};

/// Fields that a request may have; hyper allows as many over HTTP/1.1. In memory a field takes about 100 bytes more than
/// HPACK counts (RFC 7541 §4.1), and may take one byte on the wire.
const FIELDS: usize = 100;
/// Memory of a request that is under way: its task, its stream, and the response's head.
const OF_A_REQUEST: usize = 4 * 1024;
/// Memory of a field, besides its name and its value.
const OF_A_FIELD: usize = 128;
/// Memory for the requests of all connections that are under way. The first of each connection comes on top: a client
/// that holds many streams does not lock out others.
pub(crate) const MEMORY: usize = 24 * 1024 * 1024;

/// Fields that say something of one connection, which HTTP/2 has not (RFC 9113 §8.2.2).
const OF_A_CONNECTION: [HeaderName; 3] = [CONNECTION, TRANSFER_ENCODING, UPGRADE];

/// The tasks of one connection's requests, which end with it.
#[derive(Debug)]
pub(super) struct Streams {
    connection: Arc<Connection>,
    tasks: JoinSet<()>,
}

impl Streams {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self { connection, tasks: JoinSet::new() }
    }

    /// Begins a request, or refuses it.
    pub(super) fn begin(&mut self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        while self.tasks.try_join_next().is_some() {}
        let arrived = self.connection.arrives(respond.stream_id().as_u32());
        let (mut parts, body) = request.into_parts();
        if parts.headers.len() > FIELDS {
            return self.has_too_many_fields(respond);
        }
        request::lighten(&mut parts);
        let Ok(memory) = self.memory(&parts) else {
            // It may be asked again (RFC 9113 §8.7).
            debug!(peer = %self.connection.peer, "stream refused: too many requests are under way");
            return respond.send_reset(Reason::REFUSED_STREAM);
        };
        let content = Content::new(&parts, body);
        let request = Request::from_parts(parts, content);
        let connection = Arc::clone(&self.connection);
        self.tasks.spawn(async move {
            answer(connection, arrived, request, respond).await;
            drop(memory);
        });
    }

    /// Memory for a request, if there is some left. The first one needs no leave.
    fn memory(&self, parts: &Parts) -> Result<Option<OwnedSemaphorePermit>, tokio::sync::TryAcquireError> {
        if self.tasks.is_empty() {
            return Ok(None);
        }
        let memory: &Arc<Semaphore> = &self.connection.server.memory;
        Arc::clone(memory).try_acquire_many_owned(cost(parts)).map(Some)
    }

    /// Says the same as h2 does of fields that are too long together (RFC 6585 §5).
    fn has_too_many_fields(&self, mut respond: SendResponse<Bytes>) {
        self.connection.server.metrics.unread(Unread::HeadTooLarge);
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        response.headers_mut().insert(SERVER, self.connection.server_field.clone());
        response.headers_mut().insert(DATE, date());
        // A client that has given up its stream needs no answer.
        if let Err(error) = respond.send_response(response, true) {
            debug!(peer = %self.connection.peer, %error, "not answered");
        }
    }
}

fn cost(parts: &Parts) -> u32 {
    let fields = parts.headers.iter().map(|(name, value)| OF_A_FIELD + name.as_str().len() + value.len());
    let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    u32::try_from(OF_A_REQUEST + target + fields.sum::<usize>()).unwrap_or(u32::MAX)
}

/// A request that is under way, until its response is given to h2; however it ends, the connection is told.
struct UnderWay {
    connection: Arc<Connection>,
    arrived: Arrived,
    is_given: bool,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if !self.is_given {
            self.connection.gives_up(self.arrived);
        }
    }
}

/// Answers one request, unless the client gives it up before.
async fn answer(
    connection: Arc<Connection>,
    arrived: Arrived,
    request: Request<Content>,
    mut respond: SendResponse<Bytes>,
) {
    let mut under_way = UnderWay { connection: Arc::clone(&connection), arrived, is_given: false };
    let peer = connection.peer;
    let Ok(response) = tokio::select! {
        biased;
        response = exchange::exchange(connection, arrived, request) => response,
        reset = poll_fn(|cx| respond.poll_reset(cx)) => {
            debug!(%peer, ?reset, "given up by the client");
            return;
        }
    };
    match send(respond, response).await {
        Ok(()) => under_way.is_given = true,
        Err(error) => debug!(%peer, %error, "response not sent"),
    }
}

/// Gives a response to h2, piece by piece as the client lets it be sent (RFC 9113 §5.2).
async fn send(mut respond: SendResponse<Bytes>, response: Response<Reply>) -> Result<(), h2::Error> {
    let (mut head, body) = response.into_parts();
    lacks_what_is_of_a_connection(&mut head.headers);
    let mut stream = respond.send_response(Response::from_parts(head, ()), body.is_end_stream())?;
    let mut body = pin!(body);
    while !body.is_end_stream() {
        let frame = tokio::select! {
            biased;
            reason = poll_fn(|cx| stream.poll_reset(cx)) => return Err(reason?.into()),
            frame = body.frame() => frame,
        };
        let Some(Ok(frame)) = frame else { return stream.send_data(Bytes::new(), true) };
        let Ok(data) = frame.into_data() else { continue };
        may_send(&mut stream).await?;
        stream.send_data(data, body.is_end_stream())?;
    }
    Ok(())
}

fn lacks_what_is_of_a_connection(fields: &mut HeaderMap) {
    for name in OF_A_CONNECTION {
        fields.remove(name);
    }
    fields.entry(DATE).or_insert_with(date);
}

/// Waits until the client takes at least one more byte. h2 keeps the rest of a piece; the next one waits for it.
async fn may_send(stream: &mut SendStream<Bytes>) -> Result<(), h2::Error> {
    stream.reserve_capacity(1);
    while stream.capacity() == 0 {
        match poll_fn(|cx| stream.poll_capacity(cx)).await {
            Some(capacity) => capacity?,
            // The stream is over.
            None => return Err(Reason::CANCEL.into()),
        };
    }
    Ok(())
}

fn date() -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(httpdate::fmt_http_date(SystemTime::now())))
        .unwrap_or(HeaderValue::from_static(""))
}
