//! The lab's certificate authority: made once, kept in the user's data directory, trusted by lab visits alone.
//!
//! | module | what |
//! |---|---|
//! | `authority` | the authority, and what it issues |
//! | `scope` | which names and networks it may speak for |
//! | `kept` | its files, and how several programs that start at once agree on them |
//! | `rights` | who else may read or replace them |
//!
//! Two files: `lab-ca.pem` is the certificate, for everybody; `lab-ca.key` is the truth, the private key with its
//! certificate in one file, so that the two can never mismatch. Nothing is added to any store of the system.
//! The certificate says itself which names and networks it is good for (RFC 5280 §4.2.1.10), so it could not vouch for
//! anybody else even where it is trusted for more.
//!
//! ```
//! use std::time::SystemTime;
//!
//! let scope = ca::Scope::new(["example.test"], ["10.78.0.0/16".parse()?]);
//! let authority = ca::Authority::in_memory(&scope, SystemTime::now())?;
//! let key = authority.issue(&["*.example.test".to_owned()], &["10.78.2.81".parse()?], SystemTime::now())?;
//! let tls = ca::server_config(key, &["h2", "http/1.1"]);
//! assert_eq!(tls.alpn_protocols.len(), 2);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod authority;
mod kept;
mod rights;
mod scope;

pub use authority::{Authority, server_config};
pub use kept::{certificate_of, data_dir};
pub use scope::Scope;

use std::{io, path::PathBuf};

/// The authority cannot be had, or cannot issue what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file is there and cannot be read.
    #[error("cannot read the lab's certificate authority {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The certificate is there for everybody, and its directory is not.
    #[error(
        "the certificate of the lab's authority, {}, is closed to this user, as its directory is: its owner opens that \
         with chmod o+x; the volume of a lab in containers is made anew by docker compose down --volumes",
        path.display()
    )]
    Closed {
        /// The file.
        path: PathBuf,
    },
    /// A file is not what was written there.
    #[error("{} is no certificate authority of the lab: {why}; remove it, and a new one is made", path.display())]
    Garbage {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It cannot be kept there.
    #[error(
        "cannot keep the lab's certificate authority in {}: {source}; VISIT_DATA=DIR names another directory",
        path.display()
    )]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else has the private key, or may put another in its place.
    #[error("the lab's certificate authority is not safe: {} {why}", path.display())]
    Exposed {
        /// The file or directory.
        path: PathBuf,
        /// Who may do what with it, and what to do about it.
        why: String,
    },
    /// Its certificate does not permit this name or address.
    #[error("the lab's certificate authority may not speak for {0}: it is not one of the world's names and networks")]
    NotPermitted(String),
    /// A key or a certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
}
