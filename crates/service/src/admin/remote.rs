//! Somebody else's admin port, as a client sees it.

use std::{net::SocketAddr, time::Duration};

use reqwest::{Method, Response, StatusCode};
use serde::{Serialize, de::DeserializeOwned};
use world::{Token, fault::Listed};

pub use super::change::{Add, Added, Advance, Renew};

/// Reading zones again may take some seconds.
const PATIENCE: Duration = Duration::from_secs(9);
/// A longer answer is none.
const LONGEST: usize = 1024 * 1024;

/// An admin port.
#[derive(Clone, Debug)]
pub struct Remote {
    client: reqwest::Client,
    address: SocketAddr,
}

/// What came of asking.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// Nobody answered.
    #[error("no answer from its admin port http://{address}: {source}")]
    NoAnswer {
        /// The admin port.
        address: SocketAddr,
        /// What went wrong.
        source: reqwest::Error,
    },
    /// It was refused, with these words.
    #[error("{words}")]
    Refused {
        /// The status.
        status: u16,
        /// The words.
        words: String,
    },
    /// What it answered cannot be read.
    #[error("the answer of its admin port http://{address} cannot be read: {why}")]
    Unreadable {
        /// The admin port.
        address: SocketAddr,
        /// Why.
        why: String,
    },
}

impl Remote {
    /// The one at this address, which asks for this token. Sockets are made where the calling thread stands.
    pub fn new(address: SocketAddr, token: Option<&Token>) -> Result<Self, RemoteError> {
        let client = super::client(PATIENCE, token).map_err(|source| RemoteError::NoAnswer { address, source })?;
        Ok(Self { client, address })
    }

    /// The faults in force there.
    pub async fn faults(&self) -> Result<Vec<Listed>, RemoteError> {
        self.read(self.send(Method::GET, "/faults", None::<()>).await?).await
    }

    /// Puts a fault into force; gives its id.
    pub async fn add(&self, fault: &str, lease: Option<Duration>) -> Result<u64, RemoteError> {
        let add = Add { fault: fault.to_owned(), lease_ms: lease.map(millis) };
        let Added { id } = self.read(self.send(Method::POST, "/faults", Some(add)).await?).await?;
        Ok(id)
    }

    /// Lets a fault stay for so long from now on; says whether it was there.
    pub async fn renew(&self, id: u64, lease: Duration) -> Result<bool, RemoteError> {
        let renew = Renew { lease_ms: millis(lease) };
        found(self.send(Method::PUT, &format!("/faults/{id}"), Some(renew)).await)
    }

    /// Ends a fault; says whether it was there.
    pub async fn remove(&self, id: u64) -> Result<bool, RemoteError> {
        found(self.send(Method::DELETE, &format!("/faults/{id}"), None::<()>).await)
    }

    /// Ends all.
    pub async fn clear(&self) -> Result<(), RemoteError> {
        self.send(Method::DELETE, "/faults", None::<()>).await.map(drop)
    }

    /// Has its files read again, and waits until that is done.
    pub async fn reload(&self) -> Result<(), RemoteError> {
        self.send(Method::POST, "/reload", None::<()>).await.map(drop)
    }

    /// Puts its clock forward.
    pub async fn advance(&self, by: Duration) -> Result<(), RemoteError> {
        self.send(Method::POST, "/clock", Some(Advance { advance_ms: millis(by) })).await.map(drop)
    }

    async fn send(&self, method: Method, path: &str, body: Option<impl Serialize>) -> Result<Response, RemoteError> {
        let mut request = self.client.request(method, format!("http://{}{path}", self.address));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response =
            request.send().await.map_err(|source| RemoteError::NoAnswer { address: self.address, source })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let words = String::from_utf8_lossy(&self.bytes(response).await?).trim().to_owned();
        let words = if words.is_empty() { format!("its admin port answered {status}") } else { words };
        Err(RemoteError::Refused { status: status.as_u16(), words })
    }

    async fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T, RemoteError> {
        let bytes = self.bytes(response).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.unreadable(&error.to_string()))
    }

    async fn bytes(&self, mut response: Response) -> Result<Vec<u8>, RemoteError> {
        let mut body = Vec::new();
        let no_answer = |source| RemoteError::NoAnswer { address: self.address, source };
        while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST {
                return Err(self.unreadable("it is too long"));
            }
        }
        Ok(body)
    }

    fn unreadable(&self, why: &str) -> RemoteError {
        RemoteError::Unreadable { address: self.address, why: why.to_owned() }
    }
}

fn found(answer: Result<Response, RemoteError>) -> Result<bool, RemoteError> {
    match answer {
        Ok(_) => Ok(true),
        Err(RemoteError::Refused { status, .. }) if status == StatusCode::NOT_FOUND.as_u16() => Ok(false),
        Err(error) => Err(error),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
