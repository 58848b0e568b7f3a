//! Who is trusted to vouch for servers: the lab's own authority in the lab, this machine's store elsewhere, the file of
//! `--cacert` where one is named. They are never mixed: outside the lab its authority counts for nothing.

use std::path::PathBuf;

use journey::{Reason, stage::Failure};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// Where the trusted certificates come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The lab's own authority, as PEM; none where the lab's description does not say which it is.
    Lab(Option<String>),
    /// A file of certificates in PEM.
    File(PathBuf),
    /// This machine's store.
    System,
}

/// Certificates that are trusted.
#[derive(Debug)]
pub(super) struct Trusted {
    pub(super) roots: RootCertStore,
    /// Where they come from, in words.
    pub(super) source: String,
}

impl Source {
    /// Whether it can be used; otherwise the text says what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        self.read().map(|_| ()).map_err(|failure| failure.what)
    }

    pub(super) fn read(&self) -> Result<Trusted, Failure> {
        let (certificates, source) = match self {
            Self::Lab(None) => (
                Vec::new(),
                "no CA of this lab: none is named by it, and none is in the directory of VISIT_DATA".to_owned(),
            ),
            Self::Lab(Some(pem)) => (from_pem(pem.as_bytes(), "the lab's CA")?, "the lab's own CA".to_owned()),
            Self::File(path) => {
                let name = path.display().to_string();
                let pem = std::fs::read(path).map_err(|error| fail(format!("cannot read {name}: {error}")))?;
                let certificates = from_pem(&pem, &name)?;
                if certificates.is_empty() {
                    return Err(fail(format!("{name} has no certificate in it (PEM)")));
                }
                (certificates, name)
            }
            Self::System => {
                // Two variables name other certificates in its place, as they do for OpenSSL.
                let set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
                let instead = ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().find(set);
                let source = instead.unwrap_or("this machine's store").to_owned();
                // What of it cannot be read is left out, as other programs do; what is left is counted and shown.
                (rustls_native_certs::load_native_certs().certs, source)
            }
        };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates);
        Ok(Trusted { roots, source })
    }
}

fn from_pem(pem: &[u8], name: &str) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    certificates.map_err(|error| fail(format!("{name} holds what is no certificate: {error}")))
}

fn fail(what: String) -> Failure {
    Failure { reason: Reason::TlsFailed, what }
}
