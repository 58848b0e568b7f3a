//! EDNS options that hickory has no type for, or only half of one.

use hickory_proto::{
    op::Edns,
    rr::rdata::opt::{EdnsCode, EdnsOption},
};
use journey::{TraceId, dns::ExtendedError};

/// The option that carries a visit's trace id from the client to the resolver, and from there to every server it asks.
/// 65001–65534 are for local use (RFC 6891 §9); servers that do not know it ignore it (§6.1.2).
pub const TRACE: u16 = 65_101;
/// Name Server Identifier (RFC 5001).
pub const NSID: u16 = 3;
/// Extended DNS Error (RFC 8914).
pub const EDE: u16 = 15;

/// The largest UDP payload that is sent or asked for, in bytes: what fits into the smallest IPv6 packet, so that no
/// answer depends on fragments (the value agreed on DNS flag day 2020).
pub const UDP_PAYLOAD: u16 = 1232;

/// What a client of ours sends: payload size, a question for the server's NSID, and the visit's id where it has one.
pub fn of_query(trace: Option<TraceId>) -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_PAYLOAD).set_version(0);
    edns.options_mut().insert(EdnsOption::Unknown(NSID, Vec::new()));
    if let Some(trace) = trace {
        edns.options_mut().insert(trace_option(trace));
    }
    edns
}

/// What a server of ours answers to this OPT record: nothing to a client that sent none (RFC 6891 §7). The NSID is told
/// only to whom asks for it (RFC 5001 §2.2).
pub fn of_reply(asked: Option<&Edns>, nsid: Option<&str>) -> Option<Edns> {
    let asked = asked?;
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_PAYLOAD).set_version(0).set_dnssec_ok(asked.flags().dnssec_ok);
    if let Some(nsid) = nsid.filter(|_| asked.option(EdnsCode::NSID).is_some()) {
        edns.options_mut().insert(EdnsOption::Unknown(NSID, nsid.as_bytes().to_vec()));
    }
    Some(edns)
}

/// The option that carries this id.
pub fn trace_option(trace: TraceId) -> EdnsOption {
    EdnsOption::Unknown(TRACE, trace.as_bytes().to_vec())
}

/// The id that an OPT record carries.
pub fn trace_of(edns: &Edns) -> Option<TraceId> {
    match edns.option(EdnsCode::Unknown(TRACE))? {
        EdnsOption::Unknown(_, bytes) => TraceId::from_slice(bytes).ok(),
        _ => None,
    }
}

/// An extended error as an option; the text is cut where the message would grow beyond reason.
pub fn ede_option(code: u16, text: &str) -> EdnsOption {
    let mut end = text.len().min(400);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut bytes = code.to_be_bytes().to_vec();
    bytes.extend_from_slice(&text.as_bytes()[..end]);
    EdnsOption::Unknown(EDE, bytes)
}

/// The extended errors that an OPT record carries.
pub fn ede_of(edns: &Edns) -> Vec<ExtendedError> {
    let parse = |option: &EdnsOption| match option {
        EdnsOption::Unknown(_, bytes) if bytes.len() >= 2 => {
            let code = u16::from_be_bytes([bytes[0], bytes[1]]);
            // Some servers end the text with NUL, which RFC 8914 §2 tells readers to bear.
            let text = String::from_utf8_lossy(&bytes[2..]).trim_end_matches('\0').to_owned();
            Some(ExtendedError { code, name: ede_name(code).to_owned(), text })
        }
        _ => None,
    };
    edns.options().get_all(EdnsCode::Unknown(EDE)).into_iter().filter_map(parse).collect()
}

/// The server's name for itself, printable bytes as they are and others as hexadecimal.
pub fn nsid_of(edns: &Edns) -> Option<String> {
    let bytes = match edns.option(EdnsCode::NSID)? {
        EdnsOption::NSID(payload) => payload.as_ref().to_vec(),
        EdnsOption::Unknown(_, bytes) => bytes.clone(),
        _ => return None,
    };
    if bytes.is_empty() {
        return None;
    }
    if bytes.iter().all(|b| b.is_ascii_graphic() || *b == b' ') {
        return Some(String::from_utf8_lossy(&bytes).into_owned());
    }
    Some(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

/// The codes of RFC 8914 that servers here use.
pub mod ede {
    /// Other Error.
    pub const OTHER: u16 = 0;
    /// Stale Answer.
    pub const STALE_ANSWER: u16 = 3;
    /// Cached Error: the failure is remembered, not met again.
    pub const CACHED_ERROR: u16 = 13;
    /// Prohibited: the client may not ask.
    pub const PROHIBITED: u16 = 18;
    /// Not Authoritative.
    pub const NOT_AUTHORITATIVE: u16 = 20;
    /// Not Supported.
    pub const NOT_SUPPORTED: u16 = 21;
    /// No Reachable Authority.
    pub const NO_REACHABLE_AUTHORITY: u16 = 22;
    /// Network Error.
    pub const NETWORK_ERROR: u16 = 23;
    /// Invalid Data.
    pub const INVALID_DATA: u16 = 24;
}

/// The registered name of a code (IANA, Extended DNS Error Codes).
fn ede_name(code: u16) -> &'static str {
    const NAMES: [&str; 25] = [
        "Other Error",
        "Unsupported DNSKEY Algorithm",
        "Unsupported DS Digest Type",
        "Stale Answer",
        "Forged Answer",
        "DNSSEC Indeterminate",
        "DNSSEC Bogus",
        "Signature Expired",
        "Signature Not Yet Valid",
        "DNSKEY Missing",
        "RRSIGs Missing",
        "No Zone Key Bit Set",
        "NSEC Missing",
        "Cached Error",
        "Not Ready",
        "Blocked",
        "Censored",
        "Filtered",
        "Prohibited",
        "Stale NXDOMAIN Answer",
        "Not Authoritative",
        "Not Supported",
        "No Reachable Authority",
        "Network Error",
        "Invalid Data",
    ];
    NAMES.get(usize::from(code)).copied().unwrap_or("unassigned")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trace_id_travels() {
        let trace = TraceId::new([9; 16]).unwrap();
        assert_eq!(trace_of(&of_query(Some(trace))), Some(trace));
        assert_eq!(trace_of(&of_query(None)), None);
        let mut short = of_query(None);
        short.options_mut().insert(EdnsOption::Unknown(TRACE, vec![1, 2]));
        assert_eq!(trace_of(&short), None);
    }

    #[test]
    fn nsid_only_when_asked() {
        let asked = of_query(None);
        assert_eq!(nsid_of(&of_reply(Some(&asked), Some("auth1")).unwrap()).as_deref(), Some("auth1"));
        assert_eq!(nsid_of(&of_reply(Some(&Edns::new()), Some("auth1")).unwrap()), None);
        assert!(of_reply(None, Some("auth1")).is_none());
    }

    #[test]
    fn extended_errors() {
        let mut edns = Edns::new();
        edns.options_mut().insert(ede_option(ede::NO_REACHABLE_AUTHORITY, "auth1: no answer\0"));
        let errors = ede_of(&edns);
        assert_eq!((errors[0].code, errors[0].name.as_str()), (22, "No Reachable Authority"));
        assert_eq!(errors[0].text, "auth1: no answer");
        assert_eq!(ede_option(0, &"ü".repeat(300)).len(), 402);
    }
}
