//! An open connection to a resolver over TLS: messages there and back, several at the same time.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use hickory_proto::op::Message;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode, Uri, Version,
    body::Incoming,
    client::conn::{http1, http2},
    ext::ReasonPhrase,
    header::{ACCEPT, AGE, CONTENT_TYPE, HOST, HeaderMap},
    http::response::Parts,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use journey::NoUse;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{Mutex, mpsc, oneshot},
};
use tokio_rustls::client::TlsStream;

use crate::conn::Counted;

/// The media type of a DNS message (RFC 8484 §6).
const MESSAGE: &str = "application/dns-message";
/// The longest DNS message, in bytes.
const LONGEST: usize = 65_535;

/// A message that came.
#[derive(Debug)]
pub(super) struct Came {
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
    /// Seconds for which a cache of HTTP had kept it.
    pub(super) age: u32,
}

/// Why no message came.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Lost {
    /// The connection ended.
    #[error("it closed the connection without an answer")]
    Closed,
    /// HTTP went wrong.
    #[error("it broke off in HTTP: {0}")]
    Http(String),
    /// An HTTP status other than 200.
    #[error("it answers with the HTTP status {0}")]
    Status(Status),
    /// A body that is no DNS message by its own word.
    #[error("it answers with {0}, and not with {MESSAGE}, so DNS is not served at this path")]
    ContentType(String),
    /// A body without a word on what it is.
    #[error("it answers without a content type, and not with {MESSAGE}, so DNS is not served at this path")]
    NoContentType,
}

/// An HTTP status, with what was sent of it: HTTP/2 has no reason phrase (RFC 9113 §8.3.2).
#[derive(Clone, Debug)]
pub(super) struct Status {
    code: StatusCode,
    phrase: String,
}

impl Status {
    fn of(head: &Parts) -> Self {
        // hyper keeps the phrase only where it is another than the registered one, also where it is empty.
        let phrase = match (head.version, head.extensions.get::<ReasonPhrase>()) {
            (Version::HTTP_2, _) => String::new(),
            (_, Some(phrase)) => String::from_utf8_lossy(phrase.as_bytes()).into_owned(),
            (_, None) => head.status.canonical_reason().unwrap_or_default().to_owned(),
        };
        Self { code: head.status, phrase }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.as_str())?;
        if !self.phrase.is_empty() {
            write!(f, " {}", self.phrase)?;
        }
        // Other statuses may be of the moment, or of who asks.
        let is_of_path = [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED, StatusCode::GONE].contains(&self.code);
        f.write_str(if is_of_path { ", so DNS is not served at this path" } else { "" })
    }
}

/// What is wrong with a message that answers no question: for programs, and in words.
pub(super) type Stray = (NoUse, String);

/// An open connection.
pub(super) enum Channel {
    /// DNS over TLS.
    Dot {
        /// Whoever drives it is sent questions.
        jobs: mpsc::Sender<Job>,
        /// What is wrong with the first message that answers no question.
        stray: Arc<OnceLock<Stray>>,
    },
    /// DNS over HTTPS.
    Https {
        /// The connection.
        sender: Sender,
        /// Where to, as HTTP has it.
        authority: String,
        /// The path.
        path: String,
    },
}

/// A question on its way, and where its answer goes.
pub(super) struct Job {
    id: u16,
    bytes: Vec<u8>,
    answer: oneshot::Sender<Vec<u8>>,
}

/// An HTTP connection.
pub(super) enum Sender {
    /// Many requests at the same time.
    Two(http2::SendRequest<Full<Bytes>>),
    /// One request after the other.
    One(Mutex<http1::SendRequest<Full<Bytes>>>),
}

impl Channel {
    /// DNS over TLS on this stream.
    pub(super) fn dot(stream: TlsStream<Counted>) -> Self {
        let (sender, jobs) = mpsc::channel(4);
        let stray = Arc::default();
        tokio::spawn(drive(stream, jobs, Arc::clone(&stray)));
        Self::Dot { jobs: sender, stray }
    }

    /// DNS over HTTPS on this stream.
    pub(super) async fn https(
        stream: TlsStream<Counted>,
        is_h2: bool,
        authority: &str,
        path: &str,
    ) -> Result<Self, Lost> {
        let io = TokioIo::new(stream);
        let broken = |error: hyper::Error| Lost::Http(error.to_string());
        let sender = if is_h2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.map_err(broken)?;
            tokio::spawn(connection);
            Sender::Two(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await.map_err(broken)?;
            tokio::spawn(connection);
            Sender::One(Mutex::new(sender))
        };
        Ok(Self::Https { sender, authority: authority.to_owned(), path: path.to_owned() })
    }

    /// What is wrong with a message that came and answers no question.
    pub(super) fn stray(&self) -> Option<&Stray> {
        match self {
            Self::Dot { stray, .. } => stray.get(),
            // There the answer is that to the request.
            Self::Https { .. } => None,
        }
    }

    /// Sends a message and waits for the one that answers it.
    pub(super) async fn exchange(&self, id: u16, bytes: Vec<u8>) -> Result<Came, Lost> {
        match self {
            Self::Dot { jobs, .. } => {
                let (answer, came) = oneshot::channel();
                jobs.send(Job { id, bytes, answer }).await.map_err(|_| Lost::Closed)?;
                let bytes = came.await.map_err(|_| Lost::Closed)?;
                Ok(Came { bytes, age: 0 })
            }
            Self::Https { sender, authority, path } => {
                let response = sender.send(authority, path, bytes).await?;
                read(response).await
            }
        }
    }
}

impl Sender {
    async fn send(&self, authority: &str, path: &str, bytes: Vec<u8>) -> Result<Response<Incoming>, Lost> {
        let broken = |error: hyper::Error| Lost::Http(error.to_string());
        let mut request = Request::new(Full::new(Bytes::from(bytes)));
        *request.method_mut() = Method::POST;
        let headers = request.headers_mut();
        for name in [CONTENT_TYPE, ACCEPT] {
            headers.insert(name, MESSAGE.parse().expect("a media type"));
        }
        let uri = |text: String| text.parse::<Uri>().map_err(|error| Lost::Http(error.to_string()));
        match self {
            Self::Two(sender) => {
                *request.version_mut() = Version::HTTP_2;
                *request.uri_mut() = uri(format!("https://{authority}{path}"))?;
                sender.clone().send_request(request).await.map_err(broken)
            }
            Self::One(sender) => {
                let host = authority.parse().map_err(|_| Lost::Http(format!("{authority:?} is no host")))?;
                request.headers_mut().insert(HOST, host);
                *request.uri_mut() = uri(path.to_owned())?;
                let mut sender = sender.lock().await;
                sender.ready().await.map_err(broken)?;
                sender.send_request(request).await.map_err(broken)
            }
        }
    }
}

async fn read(response: Response<Incoming>) -> Result<Came, Lost> {
    let (head, body) = response.into_parts();
    if head.status != StatusCode::OK {
        return Err(Lost::Status(Status::of(&head)));
    }
    let Some(kind) = head.headers.get(CONTENT_TYPE) else { return Err(Lost::NoContentType) };
    let kind = String::from_utf8_lossy(kind.as_bytes());
    let bare = kind.split(';').next().unwrap_or_default().trim();
    if !bare.eq_ignore_ascii_case(MESSAGE) {
        return Err(Lost::ContentType(kind.into_owned()));
    }
    let age = text(&head.headers, AGE.as_str()).and_then(|age| age.parse().ok()).unwrap_or(0);
    let body = Limited::new(body, LONGEST).collect().await.map_err(|error| Lost::Http(error.to_string()))?;
    Ok(Came { bytes: body.to_bytes().to_vec(), age })
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Writes questions as they come and hands out answers as they come: they may come in any order (RFC 7766 §6.2.1.1).
async fn drive(mut stream: TlsStream<Counted>, mut jobs: mpsc::Receiver<Job>, stray: Arc<OnceLock<Stray>>) {
    let mut questions = Questions::default();
    let mut buffer = Vec::new();
    loop {
        tokio::select! {
            job = jobs.recv() => {
                let Some(Job { id, bytes, answer }) = job else { break };
                let Ok(length) = u16::try_from(bytes.len()) else { continue };
                // In one write: some servers take a length alone for a message (RFC 7766 §8).
                let mut framed = length.to_be_bytes().to_vec();
                framed.extend(bytes);
                questions.waiting.insert(id, answer);
                if stream.write_all(&framed).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
            }
            read = stream.read_buf(&mut buffer) => {
                // Whoever waits is told by the end of its channel.
                if !read.is_ok_and(|count| count > 0) {
                    return;
                }
                while let Some(message) = take(&mut buffer) {
                    if let Err(why) = questions.hand_out(message) {
                        // Whoever waits still may have its answer.
                        let _ = stray.set(why);
                    }
                }
            }
        }
    }
    let _ = stream.shutdown().await;
}

/// The questions of a connection, by their ids.
#[derive(Default)]
struct Questions {
    waiting: HashMap<u16, oneshot::Sender<Vec<u8>>>,
    answered: HashSet<u16>,
}

impl Questions {
    /// Gives a message to whoever waits for its id; else what is wrong with it. A second answer to a question is as good as
    /// none.
    fn hand_out(&mut self, message: Vec<u8>) -> Result<(), Stray> {
        let Some(id) = message.first_chunk().map(|id| u16::from_be_bytes(*id)) else { return Err(wrong(&message)) };
        match self.waiting.remove(&id) {
            Some(answer) => {
                self.answered.insert(id);
                // Who has given up waiting has no need of it.
                let _ = answer.send(message);
                Ok(())
            }
            None if self.answered.contains(&id) => Ok(()),
            None => Err(wrong(&message)),
        }
    }
}

/// What is wrong with a message that nobody waits for.
fn wrong(bytes: &[u8]) -> Stray {
    match Message::from_vec(bytes) {
        Ok(message) => (NoUse::WrongId, format!("its id {} is of no query sent", message.metadata.id)),
        Err(error) => (NoUse::Malformed, format!("{} bytes are no DNS message: {error}", bytes.len())),
    }
}

/// Takes the first whole message out of what was read.
fn take(buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = usize::from(u16::from_be_bytes(*buffer.first_chunk()?));
    if buffer.len() < 2 + length {
        return None;
    }
    let rest = buffer.split_off(2 + length);
    let message = std::mem::replace(buffer, rest).split_off(2);
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_taken_out_whole() {
        let mut buffer = vec![0, 2, 7, 8, 0, 0, 0, 3, 1];
        assert_eq!(take(&mut buffer), Some(vec![7, 8]));
        assert_eq!(take(&mut buffer), Some(vec![]));
        assert_eq!((take(&mut buffer), buffer.as_slice()), (None, &[0, 3, 1][..]));
        buffer.extend([2, 3]);
        assert_eq!((take(&mut buffer), buffer.len()), (Some(vec![1, 2, 3]), 0));
    }

    #[test]
    fn only_its_own_answer_ends_a_wait() {
        let mut questions = Questions::default();
        let (answer, mut came) = oneshot::channel();
        questions.waiting.insert(0x0102, answer);
        let mut check = |message: Vec<u8>, why: &str| {
            let (_, wrong) = questions.hand_out(message).unwrap_err();
            assert!(wrong.starts_with(why), "{why}: {wrong}");
        };
        check([9, 9, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0].to_vec(), "its id 2313 is of no query sent");
        check(vec![9, 9, 1], "3 bytes are no DNS message");
        check(vec![1], "1 bytes are no DNS message");
        check(vec![], "0 bytes are no DNS message");
        assert!(came.try_recv().is_err());
        assert_eq!((questions.hand_out(vec![1, 2, 3]), came.try_recv()), (Ok(()), Ok(vec![1, 2, 3])));
        // Twice.
        assert_eq!(questions.hand_out(vec![1, 2, 3]), Ok(()));
    }
}
