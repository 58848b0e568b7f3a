//! Who may ask what, and how the answer goes back.

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use dns::{
    options::{self, ede, ede_option, of_reply},
    serve,
};
use hickory_proto::{
    op::{Header, HeaderCounts, Metadata, Query, ResponseCode},
    rr::{DNSClass, RecordType},
};
use hickory_server::{
    net::runtime::Time,
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    zone_handler::MessageResponseBuilder,
};
use ipnet::IpNet;
use tokio::time::Instant;

use crate::{
    answer::{Answer, Why},
    recursion::Recursion,
};

/// Answers clients by recursion.
pub(crate) struct Handler {
    // A lock of the standard library: a query holds it for the copy of a pointer, a flush for the exchange of one, and
    // neither across an await.
    recursion: RwLock<Arc<Recursion>>,
    allow: Vec<IpNet>,
    nsid: String,
}

impl Handler {
    pub(crate) fn new(recursion: Recursion, allow: Vec<IpNet>, nsid: impl Into<String>) -> Self {
        Self { recursion: RwLock::new(Arc::new(recursion)), allow, nsid: nsid.into() }
    }

    /// What answers now.
    pub(crate) fn recursion(&self) -> Arc<Recursion> {
        Arc::clone(&self.recursion.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Answers by this from now on. Queries that are at work finish with the old one, and what they learn goes with it.
    pub(crate) fn exchange(&self, recursion: Recursion) {
        *self.recursion.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(recursion);
    }

    fn allows(&self, request: &Request) -> bool {
        let ip = request.src().ip().to_canonical();
        self.allow.iter().any(|net| net.contains(&ip))
    }

    async fn answer(&self, request: &Request, query: &Query, allowed: bool) -> Answer {
        if !allowed {
            let text = format!("no recursion for {}", request.src().ip());
            return Answer::refusal(ResponseCode::Refused, Why::new(ede::PROHIBITED, text));
        }
        if let Some(refusal) = unsupported(query) {
            return refusal;
        }
        let trace = request.edns.as_ref().and_then(options::trace_of);
        let (recursion, recurse) = (self.recursion(), request.metadata.recursion_desired);
        match serve::struck() {
            Some(struck) => recursion.stale(query, trace, recurse, &struck).await,
            None => recursion.answer(query, trace, recurse).await,
        }
    }
}

/// What nobody is answered.
fn unsupported(query: &Query) -> Option<Answer> {
    if query.query_class() != DNSClass::IN {
        let why = Why::new(ede::NOT_SUPPORTED, "only class IN is resolved");
        return Some(Answer::refusal(ResponseCode::Refused, why));
    }
    let (rcode, text) = match query.query_type() {
        RecordType::ANY => return None,
        RecordType::AXFR | RecordType::IXFR => (ResponseCode::Refused, "a resolver has no zones to transfer"),
        // The other meta types, 128 to 255 (RFC 6895 §3.1), ask for what is no record.
        other if (128..=255).contains(&u16::from(other)) || u16::from(other) == 41 || u16::from(other) == 0 => {
            (ResponseCode::NotImp, "not a type that can be asked for")
        }
        _ => return None,
    };
    Some(Answer::refusal(rcode, Why::new(ede::NOT_SUPPORTED, text)))
}

#[async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut out: R) -> ResponseInfo {
        let began = Instant::now();
        let mut metadata = Metadata::response_from_request(&request.metadata);
        let [query] = request.queries.queries() else {
            metadata.response_code = ResponseCode::FormErr;
            return Header { metadata, counts: HeaderCounts::default() }.into();
        };
        let query = query.original();
        let allowed = self.allows(request);
        // RA says whether recursion is there for whoever asks; for a stranger it is not.
        metadata.recursion_available = allowed;
        let answer = self.answer(request, query, allowed).await;
        metadata.response_code = answer.rcode;
        let mut edns = of_reply(request.edns.as_ref(), Some(&self.nsid));
        if let Some(edns) = &mut edns {
            // Who validates nothing does not say that it understands DNSSEC (RFC 4035 §3.2.1).
            edns.set_dnssec_ok(false);
            for why in &answer.why {
                edns.options_mut().insert(ede_option(why.code, &why.text));
            }
        }
        tracing::debug!(
            peer = %request.src(), qname = %query.name(), qtype = %query.query_type(), rcode = %answer.rcode,
            elapsed = ?began.elapsed(), why = ?answer.why, "resolved"
        );
        let response = MessageResponseBuilder::new(&request.queries, edns.as_ref()).build(
            metadata,
            &answer.answers,
            &answer.authorities,
            [],
            [],
        );
        match out.send_response(response).await {
            Ok(info) => info,
            Err(error) => {
                tracing::error!(qname = %query.name(), qtype = %query.query_type(), %error, "answer not encoded");
                metadata.response_code = ResponseCode::ServFail;
                Header { metadata, counts: HeaderCounts::default() }.into()
            }
        }
    }
}
