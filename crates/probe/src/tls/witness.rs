//! A certificate verifier that asks the library's own, and keeps what it was asked and what it said: a handshake that
//! fails over its certificate would otherwise take the certificate with it.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustls::{
    CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        ResolvesClientCert, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    sign::CertifiedKey,
};

/// What a server sent, and whether it was believed.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// Whether there was a certificate to verify.
    pub(super) asked: bool,
    /// The chain, the server's own certificate first.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// Why it was refused, or would have been.
    pub(super) refused: Option<Error>,
    /// When that was decided.
    pub(super) now: UnixTime,
    /// Why the signature over the handshake was refused, or would have been.
    pub(super) handshake_refused: Option<Error>,
    /// Whether the server asked for a certificate of this side.
    pub(super) client_certificate_requested: bool,
    /// Whether keys were written to a file.
    pub(super) keys_logged: bool,
    /// Why some were not.
    pub(super) keys_unwritten: Option<String>,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            asked: false,
            chain: Vec::new(),
            refused: None,
            now: UnixTime::since_unix_epoch(Duration::ZERO),
            handshake_refused: None,
            client_certificate_requested: false,
            keys_logged: false,
            keys_unwritten: None,
        }
    }
}

tokio::task_local! {
    // The library calls the verifier within the poll of the handshake that it belongs to. One verifier serves all: a
    // session can be resumed only under the verifier that it began with.
    static SEEN: Arc<Mutex<Seen>>;
}

/// Runs a handshake and returns what its verifier saw.
pub(super) async fn watch<T>(handshake: impl Future<Output = T>) -> (T, Seen) {
    let seen: Arc<Mutex<Seen>> = Arc::default();
    let done = SEEN.scope(Arc::clone(&seen), handshake).await;
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
    (done, seen)
}

/// Tells the handshake that is watched; outside of one there is nobody to tell.
pub(super) fn note(change: impl FnOnce(&mut Seen)) {
    let _ = SEEN.try_with(|seen| change(&mut seen.lock().unwrap_or_else(PoisonError::into_inner)));
}

/// The verifier.
#[derive(Debug)]
pub(super) struct Witness {
    // None where nobody is trusted.
    judge: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    insecure: bool,
}

impl Witness {
    pub(super) fn new(roots: Arc<RootCertStore>, provider: Arc<CryptoProvider>, insecure: bool) -> Self {
        // It fails for an empty store alone, as there are no revocation lists.
        let judge = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build().ok();
        Self { judge, provider, insecure }
    }

    /// Whether the server has the key of its certificate. The library asks that of certificates that it can read, and of no
    /// others, as one of version 1; where any certificate is taken, so is one whose key says nothing.
    fn signed(&self, judged: Result<HandshakeSignatureValid, Error>) -> Result<HandshakeSignatureValid, Error> {
        note(|seen| seen.handshake_refused = judged.as_ref().err().cloned());
        if self.insecure { Ok(HandshakeSignatureValid::assertion()) } else { judged }
    }
}

/// This side has no certificate, and keeps that one was asked for.
#[derive(Debug)]
pub(super) struct NoClientCertificate;

impl ResolvesClientCert for NoClientCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        note(|seen| seen.client_certificate_requested = true);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judged = match &self.judge {
            Some(judge) => judge.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now),
            None => Err(CertificateError::UnknownIssuer.into()),
        };
        note(|seen| {
            seen.asked = true;
            seen.chain = std::iter::once(end_entity).chain(intermediates).map(|der| der.clone().into_owned()).collect();
            seen.refused = judged.as_ref().err().cloned();
            seen.now = now;
        });
        if self.insecure { Ok(ServerCertVerified::assertion()) } else { judged }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed(verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed(verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
