//! How visits are made, whoever asks for them: the command line, a scenario, a client of many.

use std::{path::PathBuf, time::Duration};

use anyhow::{anyhow, ensure};
use journey::{Engine, root_walk::Servers};
use probe::{
    Family,
    http::{Output, Versions},
    overrides::Overrides,
    payload::Payload,
    request::Request,
    target::Scheme,
    visitable::Visitable,
};
use secrets::Secrets;
use world::{AddressBook, fault::Fault};

use crate::{LabWay, resolver::Named};

/// How visits are made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How the lab inside this program is to run, where a visit is to be made in it whatever its URL.
    pub lab: Option<LabWay>,
    /// What is broken in the lab.
    pub faults: Vec<Fault>,
    /// The resolver that is asked in place of the usual one.
    pub resolver: Option<Named>,
    /// Names that lead elsewhere than they say.
    pub overrides: Overrides,
    /// Which addresses are wanted.
    pub family: Family,
    /// Whether this machine walks from the root when the visit is over, and which servers it asks.
    pub root_walk: Option<Servers>,
    /// What is asked of HTTP servers.
    pub request: Request,
    /// What is sent to servers that are not spoken HTTP to.
    pub payload: Option<Payload>,
    /// How many redirects are followed.
    pub most_redirects: usize,
    /// Whether a status of 400 and above is a failure.
    pub fail_on_status: bool,
    /// Who speaks HTTP.
    pub engine: Engine,
    /// The certificates to trust in place of the usual ones.
    pub cacert: Option<PathBuf>,
    /// Whether any certificate will do.
    pub insecure: bool,
    /// Whether the keys of TLS sessions are kept.
    pub keeps_keys: bool,
    /// How long a visit may take, all stages together.
    pub max_time: Option<Duration>,
    /// How long connecting may take, all addresses together.
    pub connect_timeout: Duration,
    /// Bytes of a response, head included, before it is refused.
    pub max_response: u64,
    /// Which frames are wanted.
    pub frames: Frames,
    /// Whether credentials are kept as they are.
    pub secrets: Secrets,
    /// Where the content goes, if anybody wants it.
    pub output: Option<Output>,
}

/// Which frames of visits are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frames {
    /// All, on any network.
    All,
    /// Those of the lab's own network, which records them anyway.
    OfTheLab,
    /// None: the same is visited again and again.
    None,
}

impl Settings {
    /// What is asked for and cannot be had with this URL.
    pub(crate) fn check(&self, url: &Visitable, book: Option<&AddressBook>) -> anyhow::Result<()> {
        // A URL that cannot be read says so in its own stage.
        let Ok(target) = &url.target else { return Ok(()) };
        ensure!(
            target.scheme != Scheme::Http || self.request.versions != Versions::Http2,
            "--http2 needs an https:// URL: HTTP/2 is agreed on in the TLS handshake (visit does not speak it without)"
        );
        if let (Scheme::Udp, Some(Payload::Nothing { why })) = (target.scheme, &self.payload) {
            return Err(anyhow!(
                "{why}: a visit over UDP is one datagram; give it with --send TEXT (--send '' is an empty one)"
            ));
        }
        if self.engine == Engine::Reqwest
            && let Some(why) = probe::http::by_reqwest::impossible(book, target)
        {
            return Err(anyhow!("{why} (--engine reqwest)"));
        }
        Ok(())
    }
}
