//! The `tls` stage: a handshake over an open connection, and everything that it tells.
//!
//! | module | what |
//! |---|---|
//! | [`trust`] | who is trusted to vouch for servers |
//! | `witness` | keeps what the server sent, whether it was believed or not |
//! | `keys` | writes the keys where `SSLKEYLOGFILE` says |
//! | `certificate` | what is in a certificate |
//! | `chain` | the way from a certificate to a trusted one |
//! | `faults` | everything that is wrong with certificates, and which one it is |
//! | `names` | why a certificate is not for a name |
//! | `p521` | key exchange on a curve that the library does not have |
//! | `refusal` | the library's own reasons to refuse a certificate, in words |
//! | `alert` | alerts by their registered names |
//! | `algorithm` | algorithms by the names that people know |
//! | `explain` | why a handshake failed, in words |

mod alert;
mod algorithm;
mod certificate;
mod chain;
mod explain;
mod faults;
mod keys;
mod names;
mod p521;
mod refusal;
#[cfg(test)]
mod tests;
pub mod trust;
mod witness;

use std::{
    ffi::OsString,
    io,
    net::IpAddr,
    sync::{Arc, OnceLock, PoisonError},
};

use journey::{
    Reason,
    stage::{self, Failure, Handshake, Verified},
};
use rustls::{
    ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore, client::Resumption, crypto::CryptoProvider,
    pki_types::ServerName,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, client::TlsStream};

pub use alert::alert;
use faults::Fault;
use keys::{Kept, KeyLog};
use trust::{Source, Trusted};
use witness::{Seen, Witness};

/// Sessions kept for resumption: one for each server of a series of visits.
const SESSIONS: usize = 64;

/// What all handshakes of a program share.
#[derive(Debug)]
pub struct Setup {
    source: Source,
    insecure: bool,
    // The file that the keys are written to, if any.
    key_log: Option<OsString>,
    // What the keys are kept in, where somebody wants them.
    keys: Option<Kept>,
    // Read when the first handshake needs it: most visits need no TLS, and a system's store takes its time.
    base: OnceLock<Result<Base, Failure>>,
}

#[derive(Clone, Debug)]
struct Base {
    config: Arc<ClientConfig>,
    trust: stage::Trust,
    roots: Arc<RootCertStore>,
}

impl Setup {
    /// Reads nothing yet.
    pub fn new(source: Source, insecure: bool) -> Self {
        let key_log = std::env::var_os("SSLKEYLOGFILE").filter(|path| !path.is_empty());
        Self { source, insecure, key_log, keys: None, base: OnceLock::new() }
    }

    /// Keeps the keys of all sessions.
    #[must_use]
    pub fn keeping_keys(self) -> Self {
        Self { keys: Some(Kept::default()), ..self }
    }

    /// The keys of the sessions so far, a line for each, as SSLKEYLOGFILE has them.
    pub fn keys(&self) -> String {
        let kept = self.keys.as_ref().map(|keys| keys.lock().unwrap_or_else(PoisonError::into_inner).clone());
        kept.unwrap_or_default()
    }

    /// Whom this trusts.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Reads whom to trust, where that is not done yet, and outside of any stage: it is this program's own affair, and a
    /// server that waits meanwhile would seem slow. What goes wrong is told by the handshake.
    pub fn prepare(&self) {
        let _ = self.base();
    }

    fn base(&self) -> Result<&Base, Failure> {
        self.base.get_or_init(|| self.read()).as_ref().map_err(Clone::clone)
    }

    fn read(&self) -> Result<Base, Failure> {
        let Trusted { roots, source } = self.source.read()?;
        let trust = stage::Trust { source, anchors: roots.len() };
        let provider = Arc::new(p521::provider());
        let roots = Arc::new(roots);
        let witness = Witness::new(Arc::clone(&roots), Arc::clone(&provider), self.insecure);
        Ok(Base { config: Arc::new(self.config(provider, witness)), trust, roots })
    }

    fn config(&self, provider: Arc<CryptoProvider>, witness: Witness) -> ClientConfig {
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("aws-lc-rs speaks TLS 1.2 and 1.3")
            // Dangerous is what a verifier may do. This one asks the library's own, and keeps what it says.
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(witness))
            .with_client_cert_resolver(Arc::new(witness::NoClientCertificate));
        // What was not verified must not be taken for verified when it is resumed.
        config.resumption =
            if self.insecure { Resumption::disabled() } else { Resumption::in_memory_sessions(SESSIONS) };
        if self.key_log.is_some() || self.keys.is_some() {
            config.key_log = Arc::new(KeyLog::new(self.key_log.as_deref(), self.keys.clone()));
        }
        config
    }
}

/// What a library is given that shakes hands on its own: the same trust, sessions and verifier, and these protocols.
pub(super) fn config(setup: &Setup, alpn: &[&str]) -> Result<ClientConfig, Failure> {
    let mut config = ClientConfig::clone(&setup.base()?.config);
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Ok(config)
}

/// The same for a library that is to make no handshake.
pub(super) fn nobody() -> ClientConfig {
    let setup = Setup::new(Source::Lab(None), false);
    let provider = Arc::new(p521::provider());
    let witness = Witness::new(Arc::new(RootCertStore::empty()), Arc::clone(&provider), false);
    setup.config(provider, witness)
}

/// Runs work in which a library shakes hands with [`config`]; beside what comes of it, what the verifier saw.
pub(super) async fn watched<T>(
    setup: &Setup,
    name: &str,
    alpn: &[&str],
    work: impl Future<Output = T>,
) -> (T, stage::Tls) {
    let mut did = intended(name, alpn);
    did.trust = setup.base().ok().map(|base| base.trust.clone());
    let (done, seen) = witness::watch(work).await;
    verified(setup, &mut did, &seen);
    (done, did)
}

/// Why a library's handshake failed.
pub(super) fn why(error: &io::Error, did: &stage::Tls) -> Failure {
    explain::failure(error, did)
}

/// What a handshake found out, and the stream that it made or why it made none.
pub type Shaken<S> = (stage::Tls, Result<TlsStream<S>, Failure>);

/// Shakes hands on this stream with whoever is to be `name`: a name, or an address as a URL has it.
pub async fn handshake<S>(setup: &Setup, name: &str, alpn: &[&str], stream: S) -> Shaken<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut did = intended(name, alpn);
    let base = match setup.base() {
        Ok(base) => base,
        Err(failure) => return (did, Err(failure)),
    };
    did.trust = Some(base.trust.clone());
    let Ok(server_name) = ServerName::try_from(did.server_name.clone()) else {
        let what = format!("no certificate can be for {}: it is not a valid DNS name", did.server_name);
        return (did, Err(Failure { reason: Reason::TlsFailed, what }));
    };
    let connector = TlsConnector::from(Arc::clone(&base.config));
    let protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let connect = connector.with_alpn(protocols).connect(server_name, stream);
    let (connected, seen) = witness::watch(connect).await;
    verified(setup, &mut did, &seen);
    match connected {
        Ok(stream) => {
            agreed(&mut did, &stream);
            (did, Ok(stream))
        }
        Err(error) => {
            let failure = explain::failure(&error, &did);
            (did, Err(failure))
        }
    }
}

/// What the server sent of itself, and whether it was believed.
fn verified(setup: &Setup, did: &mut stage::Tls, seen: &Seen) {
    did.keys_logged = seen.keys_logged;
    did.keys_unwritten.clone_from(&seen.keys_unwritten);
    did.client_certificate_requested = seen.client_certificate_requested;
    did.chain = seen.chain.iter().take(stage::MOST_CERTIFICATES).map(|der| certificate::read(der)).collect();
    let faults = refused(setup, did, seen);
    did.faults = faults::record(&faults);
    let why = (!faults.is_empty()).then(|| faults::sentence(&faults));
    did.verified = match why {
        _ if !seen.asked => Verified::NotReached,
        why if setup.insecure => Verified::Ignored { why },
        None => Verified::Yes,
        Some(why) => Verified::Refused { why },
    };
}

/// What the certificates were refused for, or would have been.
fn refused(setup: &Setup, did: &stage::Tls, seen: &Seen) -> Vec<Fault> {
    let Ok(base) = setup.base() else { return Vec::new() };
    let case = faults::Case {
        server: &did.server_name,
        chain: &seen.chain,
        roots: &base.roots,
        source: &base.trust.source,
        known: &base.config.crypto_provider().signature_verification_algorithms,
        now: seen.now,
    };
    let mut faults = seen.refused.as_ref().map_or_else(Vec::new, |error| faults::find(error, &case));
    // A certificate that cannot be used for verifying anything has been told of.
    if let (Some(error), true) = (&seen.handshake_refused, faults.is_empty()) {
        faults.push(faults::of_handshake(error, &case));
    }
    faults
}

/// A handshake of which no more is known than what it was to be.
pub fn intended(name: &str, alpn: &[&str]) -> stage::Tls {
    // A final dot is for the resolver alone (RFC 6066 §3).
    let bare = name.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    stage::Tls {
        server_name: bare.to_owned(),
        name_sent: bare.parse::<IpAddr>().is_err(),
        offered: alpn.iter().map(ToString::to_string).collect(),
        ..stage::Tls::default()
    }
}

/// What both sides agreed on.
fn agreed<S>(did: &mut stage::Tls, stream: &TlsStream<S>) {
    let (_, connection) = stream.get_ref();
    did.version = connection.protocol_version().map(version);
    did.cipher_suite = connection.negotiated_cipher_suite().map(|suite| suite_name(suite.suite().as_str()));
    did.key_exchange = connection.negotiated_key_exchange_group().map(|group| format!("{:?}", group.name()));
    did.alpn = connection.alpn_protocol().map(|protocol| String::from_utf8_lossy(protocol).into_owned());
    did.handshake = connection.handshake_kind().map(|kind| match kind {
        HandshakeKind::Full => Handshake::Full,
        HandshakeKind::FullWithHelloRetryRequest => Handshake::FullWithRetry,
        HandshakeKind::Resumed => Handshake::Resumed,
    });
    if did.handshake == Some(Handshake::Resumed) {
        did.verified = Verified::Earlier;
    }
}

fn version(version: ProtocolVersion) -> String {
    match version {
        ProtocolVersion::TLSv1_2 => "TLS 1.2".to_owned(),
        ProtocolVersion::TLSv1_3 => "TLS 1.3".to_owned(),
        other => format!("{other:?}"),
    }
}

/// The registered name: the library tells the suites of TLS 1.3 apart by a prefix of its own.
fn suite_name(name: Option<&str>) -> String {
    match name {
        Some(name) => name.replacen("TLS13_", "TLS_", 1),
        None => "unknown".to_owned(),
    }
}
