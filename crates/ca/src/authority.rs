//! The authority, and what it issues.

use std::{
    io,
    net::IpAddr,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, SerialNumber,
};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
    sign::{CertifiedKey, SingleCertAndKey},
};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{Error, Scope, kept};

const NAME: &str = "visit lab CA";
/// One of another name, so that whoever is shown its certificates looks for it and finds nobody.
const STRANGER: &str = "a CA that nobody trusts";

/// Begins a certificate (RFC 7468 §5.1); nothing stands behind it in a file of ours.
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// An authority is good for ten years.
const LIFE: Duration = DAY.saturating_mul(3_652);
/// One that ends sooner than this is replaced.
const SOON: Duration = DAY.saturating_mul(30);
/// A server's certificate; some clients take none that is good for longer than 398 days, whoever issued it.
const LEAF_LIFE: Duration = DAY.saturating_mul(397);
/// Clocks differ: what is issued is good from an hour before.
const EARLIER: Duration = Duration::from_secs(60 * 60);

/// The lab's certificate authority.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
    // What its certificate permits; all where it does not say, which only an older or a foreign one does.
    scope: Option<Scope>,
    not_before: SystemTime,
    not_after: SystemTime,
    pub(crate) kept_in: Option<PathBuf>,
}

impl Authority {
    /// The authority of that directory, made there (with the directory) where it is missing, ends within 30 days, or may
    /// speak for anything else than `scope`. Where it may only speak for less, it keeps its key, so that what it has
    /// issued stays good; where it may speak for more, its key goes, which could be used for that wherever the old
    /// certificate is trusted. Several programs that open one directory at once get the same one; those of worlds with
    /// different names take turns in it, and what the one has issued is of no use once the other has opened it.
    pub fn open(dir: &Path, scope: &Scope, now: SystemTime) -> Result<Self, Error> {
        kept::open(dir, scope, now)
    }

    /// The same; but where there is no directory, or this user may not write there or read what is there, one that lives
    /// and ends with this process. [`Authority::kept_in`] tells which it is. A file that can be read and not be used is
    /// still an error.
    pub fn open_or_in_memory(dir: Option<&Path>, scope: &Scope, now: SystemTime) -> Result<Self, Error> {
        match dir.map(|dir| Self::open(dir, scope, now)) {
            None | Some(Err(Error::Write { .. })) => Self::in_memory(scope, now),
            Some(Err(Error::Read { source, .. })) if source.kind() == io::ErrorKind::PermissionDenied => {
                Self::in_memory(scope, now)
            }
            Some(opened) => opened,
        }
    }

    /// An authority that lives and ends with this process.
    pub fn in_memory(scope: &Scope, now: SystemTime) -> Result<Self, Error> {
        Self::make(NAME, KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?, scope, now)
    }

    /// An authority that is not the lab's and that nobody has a reason to trust; it lives and ends with this process.
    pub fn stranger(scope: &Scope, now: SystemTime) -> Result<Self, Error> {
        Self::make(STRANGER, KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?, scope, now)
    }

    /// A new certificate for that key.
    fn make(name: &str, key: KeyPair, scope: &Scope, now: SystemTime) -> Result<Self, Error> {
        let (not_before, not_after) = (now - EARLIER, now + LIFE);
        let mut params = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.name_constraints = Some(scope.constraints());
        params.not_before = not_before.into();
        params.not_after = not_after.into();
        // By the time, as one key may get several: issuer and serial number together name a certificate (RFC 5280
        // §4.1.2.2), and some programs refuse two of the same name.
        let nanoseconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        params.serial_number = Some(SerialNumber::from_slice(&nanoseconds.to_be_bytes()[7..]));
        let certificate = params.self_signed(&key)?;
        Ok(Self {
            issuer: Issuer::new(params, key),
            pem: certificate.pem(),
            certificate: certificate.der().clone(),
            scope: Some(scope.clone()),
            not_before,
            not_after,
            kept_in: None,
        })
    }

    /// One for `scope`, with this one's key if that may be kept.
    pub(crate) fn renewed(self, scope: &Scope, now: SystemTime) -> Result<Self, Error> {
        if self.is_good(now) && self.is_within(scope) {
            Self::make(NAME, self.into_key()?, scope, now)
        } else {
            Self::in_memory(scope, now)
        }
    }

    fn into_key(self) -> Result<KeyPair, Error> {
        // An issuer does not give back its key.
        Ok(KeyPair::try_from(self.issuer.key().serialized_der())?)
    }

    /// Reads what [`Authority::to_pem`] wrote; the error says what is wrong with it.
    pub(crate) fn from_pem(text: &str) -> Result<Self, String> {
        let bytes = text.as_bytes();
        let key = PrivateKeyDer::from_pem_slice(bytes).map_err(|error| format!("no private key: {error}"))?;
        let certificate = CertificateDer::from_pem_slice(bytes).map_err(|error| format!("no certificate: {error}"))?;
        let pem = text.find(BEGIN).map_or_else(String::new, |begin| text[begin..].to_owned());
        let key = KeyPair::try_from(&key).map_err(|error| format!("its private key: {error}"))?;
        let (_, parsed) =
            X509Certificate::from_der(&certificate).map_err(|error| format!("its certificate: {error}"))?;
        if !parsed.is_ca() {
            return Err("its certificate is not an authority's".to_owned());
        }
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err("its private key is not that of its certificate".to_owned());
        }
        let constraints = parsed.name_constraints().map_err(|error| format!("its name constraints: {error}"))?;
        let scope = constraints.and_then(|extension| Scope::read(extension.value));
        let [not_before, not_after] =
            [parsed.validity().not_before, parsed.validity().not_after].map(|time| since_1970(time.timestamp()));
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|error| error.to_string())?;
        Ok(Self { issuer, certificate, pem, scope, not_before, not_after, kept_in: None })
    }

    /// Private key and certificate, in this order.
    pub(crate) fn to_pem(&self) -> String {
        format!("{}{}", self.issuer.key().serialize_pem(), self.pem)
    }

    /// Whether it is valid, and will be for a while.
    pub(crate) fn is_good(&self, now: SystemTime) -> bool {
        self.not_before <= now && now + SOON < self.not_after
    }

    /// Whether it may speak for all of that.
    pub(crate) fn covers(&self, scope: &Scope) -> bool {
        self.scope.as_ref().is_none_or(|own| own.covers(scope))
    }

    /// Whether it may speak for nothing but that.
    pub(crate) fn is_within(&self, scope: &Scope) -> bool {
        self.scope.as_ref().is_some_and(|own| scope.covers(own))
    }

    /// The directory that it is kept in; none where it ends with this process.
    pub fn kept_in(&self) -> Option<&Path> {
        self.kept_in.as_deref()
    }

    /// Its certificate, in PEM (RFC 7468).
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// Its certificate, in DER.
    pub fn certificate_der(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// A fresh key with a certificate for these names (`*.` stands for one label) and addresses, good for 397 days, but
    /// no longer than the authority itself.
    pub fn issue(&self, names: &[String], addresses: &[IpAddr], now: SystemTime) -> Result<CertifiedKey, Error> {
        let not_before = now - EARLIER;
        self.issue_valid(names, addresses, not_before..self.not_after.min(not_before + LEAF_LIFE))
    }

    /// The same, good for that time alone, which may be over.
    pub fn issue_valid(
        &self,
        names: &[String],
        addresses: &[IpAddr],
        valid: Range<SystemTime>,
    ) -> Result<CertifiedKey, Error> {
        if let Some(scope) = &self.scope {
            if let Some(name) = names.iter().find(|name| !scope.has_name(name)) {
                return Err(Error::NotPermitted(name.clone()));
            }
            if let Some(ip) = addresses.iter().find(|ip| !scope.has_address(**ip)) {
                return Err(Error::NotPermitted(ip.to_string()));
            }
        }
        let subject_names: Vec<String> = names.iter().cloned().chain(addresses.iter().map(IpAddr::to_string)).collect();
        let mut params = named(subject_names.first().map_or("", String::as_str));
        params.subject_alt_names = CertificateParams::new(subject_names)?.subject_alt_names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.not_before = valid.start.into();
        params.not_after = valid.end.into();
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = params.signed_by(&key, &self.issuer)?.der().clone();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let key = aws_lc_rs::sign::any_supported_type(&key).expect("aws-lc-rs has made this key");
        Ok(CertifiedKey::new(vec![certificate], key))
    }
}

/// A server's side of TLS 1.2 and 1.3 with this certificate; `alpn` are the protocols it offers (RFC 7301), the one that
/// it likes best first.
pub fn server_config(key: CertifiedKey, alpn: &[&str]) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider is made for these versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

/// A certificate's parameters with that common name, and without the library's example names.
fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn since_1970(seconds: i64) -> SystemTime {
    let length = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { UNIX_EPOCH - length } else { UNIX_EPOCH + length }
}
