//! Clients that hold streams of HTTP/2: each head is small on the wire and large in memory, and each request waits for a
//! minute.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

/// Connections at once, and streams of each: together more than a server with 128 MiB may keep whole.
const CONNECTIONS: usize = 45;
const STREAMS: u32 = 64;
/// Fields of a head, each of one byte on the wire once it is in the table (RFC 7541 §6.1).
const FIELDS: usize = 450;
/// No call takes longer.
const LIMIT: Duration = Duration::from_millis(500);

/// Holds them until it is over; those that the server ends are opened anew.
pub(crate) fn held(to: SocketAddr, over: &AtomicBool) {
    let Some(config) = config() else { return };
    let mut all = Vec::new();
    while !over.load(Ordering::Relaxed) {
        while all.len() < CONNECTIONS && !over.load(Ordering::Relaxed) {
            match open(to, &config) {
                Some(one) => all.push(one),
                None => break,
            }
        }
        all.retain_mut(is_open);
        thread::sleep(Duration::from_millis(50));
    }
}

type Secure = StreamOwned<ClientConnection, TcpStream>;

fn open(to: SocketAddr, config: &Arc<ClientConfig>) -> Option<Secure> {
    let stream = TcpStream::connect_timeout(&to, LIMIT).ok()?;
    stream.set_read_timeout(Some(LIMIT)).ok()?;
    stream.set_write_timeout(Some(LIMIT)).ok()?;
    let tls = ClientConnection::new(Arc::clone(config), ServerName::try_from("www.example.test").ok()?).ok()?;
    let mut stream = StreamOwned::new(tls, stream);
    stream.write_all(&requests()).ok()?;
    stream.sock.set_read_timeout(Some(Duration::from_millis(1))).ok()?;
    Some(stream)
}

fn is_open(stream: &mut Secure) -> bool {
    match stream.read(&mut [0; 4096]) {
        Ok(count) => count > 0,
        Err(error) => matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
    }
}

/// The preface, and all streams (RFC 9113 §3.4, §6.2).
fn requests() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[]));
    for nth in 0..STREAMS {
        // END_STREAM and END_HEADERS.
        bytes.extend(frame(1, 5, 2 * nth + 1, &head(nth == 0)));
    }
    bytes
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    [&length[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// `GET /delay/60000` with fields by their index; the first head puts one into the table.
fn head(is_first: bool) -> Vec<u8> {
    // GET and https by their index, path and authority as literals (RFC 7541 appendix A).
    let mut fields = vec![0x82, 0x87];
    for (index, value) in [(0x04, "/delay/60000"), (0x01, "www.example.test")] {
        fields.extend([index, u8::try_from(value.len()).unwrap_or_default()]);
        fields.extend(value.as_bytes());
    }
    if is_first {
        fields.extend([0x40, 1, b'x', 0]);
    }
    fields.resize(fields.len() + FIELDS, 0xbe);
    fields
}

fn config() -> Option<Arc<ClientConfig>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(Anyone(Arc::clone(&provider)));
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Some(Arc::new(config))
}

/// Trusts every certificate: the server is the one that was started for this, on loopback.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
