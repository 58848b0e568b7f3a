//! Which parameters a fault of a kind may have at a role: one that could never have an effect there is refused.

use super::{Fault, Kind, Role, Transport, write::word_of};

/// What can be said of a fault of one kind at one role, besides how often.
struct Possible {
    names: bool,
    /// No types where there are none; `None`: all.
    types: Option<&'static [&'static str]>,
    transports: &'static [Transport],
    bytes: bool,
}

fn possible(kind: Kind, role: Role) -> Possible {
    use Transport::{Https, Tcp, Tls, Udp};
    let dns = Possible { names: true, types: None, transports: &[Udp, Tcp, Tls, Https], bytes: false };
    // A request of HTTP has no type.
    let app = Possible { types: Some(&[]), transports: &[Tcp, Tls, Https], ..dns };
    match kind {
        // Nothing is cut on a stream.
        Kind::Truncate => Possible { transports: &[Udp], ..dns },
        Kind::Stale => Possible { types: Some(&["A", "AAAA"]), ..dns },
        Kind::Reset | Kind::Cut => Possible { bytes: true, ..app },
        // Where no TLS is spoken, nobody hears for which name a client has come.
        Kind::TlsNotTls => Possible { names: false, transports: &[Tls, Https], ..app },
        Kind::TlsExpired | Kind::TlsWrongName | Kind::TlsUntrusted => Possible { transports: &[Tls, Https], ..app },
        _ if role == Role::App => app,
        _ => dns,
    }
}

/// Whether everything that is said of this fault can have an effect at this role; if not, what cannot, and what can.
pub(super) fn check(fault: &Fault, role: Role) -> Result<(), String> {
    if role == Role::Wire {
        return Ok(());
    }
    let possible = possible(fault.kind, role);
    let only = &fault.only;
    let fits_type = |rtype: &String| possible.types.is_none_or(|types| types.contains(&rtype.as_str()));
    let useless = if !possible.names && only.name.is_some() {
        "name"
    } else if !possible.names && only.zone.is_some() {
        "zone"
    } else if !only.rtype.as_ref().is_none_or(fits_type) {
        "type"
    } else if !only.transport.is_none_or(|transport| possible.transports.contains(&transport)) {
        "transport"
    } else if fault.behind.is_some() && !possible.bytes {
        "after=NB"
    } else {
        return Ok(());
    };
    let (name, what) = (fault.kind.name(), role.what());
    Err(format!("{useless} has no effect on {name} of {what}; parameters: {}", possible.list()))
}

impl Possible {
    fn list(&self) -> String {
        let mut all = Vec::new();
        if self.names {
            all.extend(["zone=ZONE".to_owned(), "name=NAME".to_owned()]);
        }
        match self.types {
            None => all.push("type=TYPE".to_owned()),
            Some([]) => {}
            Some(types) => all.push(format!("type={}", types.join("|"))),
        }
        let transports = self.transports.iter().map(|transport| word_of(*transport)).collect::<Vec<_>>();
        all.push(format!("transport={}", transports.join("|")));
        all.push("client=HOST|ADDRESS, first=N, every=N, after=N".to_owned());
        if self.bytes {
            all.push("after=NB (bytes)".to_owned());
        }
        all.push("chance=N%, seed=N, for=TIME".to_owned());
        all.join(", ")
    }
}
