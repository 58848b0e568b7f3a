//! Key exchange on P-521, which rustls does not have. A server that has a P-521 certificate uses it in TLS 1.2 only for
//! clients that offer the curve (RFC 8422 §5.1.1), as curl and Firefox do.

use aws_lc_rs::{
    agreement::{self, ECDH_P521, EphemeralPrivateKey, PublicKey, UnparsedPublicKey},
    rand::SystemRandom,
};
use rustls::{
    Error, NamedGroup, PeerMisbehaved,
    crypto::{self, ActiveKeyExchange, CryptoProvider, GetRandomFailed, SharedSecret, SupportedKxGroup},
};

/// The library's provider, which offers P-521 last.
pub(super) fn provider() -> CryptoProvider {
    let mut provider = crypto::aws_lc_rs::default_provider();
    provider.kx_groups.push(&P521);
    provider
}

#[derive(Debug)]
struct P521;

impl SupportedKxGroup for P521 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let private = EphemeralPrivateKey::generate(&ECDH_P521, &SystemRandom::new()).map_err(|_| GetRandomFailed)?;
        let public = private.compute_public_key().map_err(|_| GetRandomFailed)?;
        Ok(Box::new(Started { private, public }))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}

struct Started {
    private: EphemeralPrivateKey,
    public: PublicKey,
}

impl ActiveKeyExchange for Started {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        // Only uncompressed points are allowed (RFC 8446 §4.2.8.2, RFC 8422 §5.4).
        const UNCOMPRESSED: u8 = 4;
        let misbehaved = || Error::from(PeerMisbehaved::InvalidKeyShare);
        if peer.first() != Some(&UNCOMPRESSED) {
            return Err(misbehaved());
        }
        let peer = UnparsedPublicKey::new(&ECDH_P521, peer);
        agreement::agree_ephemeral(self.private, peer, misbehaved(), |secret| Ok(SharedSecret::from(secret)))
    }

    fn pub_key(&self) -> &[u8] {
        self.public.as_ref()
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}
