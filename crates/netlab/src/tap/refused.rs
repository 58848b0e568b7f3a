//! Why this machine's frames cannot be captured.

use std::{error, fmt, io};

use journey::capture::Captured;
use nix::errno::Errno;

/// The kernel refused a step.
#[derive(Debug)]
pub struct Refused {
    /// Which one.
    pub step: &'static str,
    /// Its word.
    pub error: io::Error,
    /// What would help, where anything would.
    pub how: Option<String>,
}

impl Refused {
    pub(super) fn new(step: &'static str, error: io::Error) -> Self {
        let how = match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EPERM | Errno::EACCES) => Some(
                "run visit as root (in a container: --user 0:0 --cap-add NET_RAW), or let it capture for good (sudo setcap \
                 cap_net_raw+ep \"$(command -v visit)\"), or visit the lab, which has a network of its own"
                    .to_owned(),
            ),
            Some(Errno::EAFNOSUPPORT | Errno::EPROTONOSUPPORT) => {
                Some("this kernel has no packet sockets; visit the lab, or use another machine".to_owned())
            }
            _ => None,
        };
        Self { step, error, how }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was refused by the kernel: ", self.step)?;
        match self.error.raw_os_error().map(Errno::from_raw) {
            Some(errno) => write!(f, "{} ({errno:?})", errno.desc()),
            None => write!(f, "{}", self.error),
        }
    }
}

impl error::Error for Refused {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<Refused> for Captured {
    fn from(refused: Refused) -> Self {
        Self::NotObservable { why: refused.to_string(), how: refused.how }
    }
}
