//! Answers queries from zones that can be exchanged while it does.

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use dns::options::{ede, ede_option, of_reply};
use hickory_proto::{
    op::{Header, HeaderCounts, Metadata, ResponseCode},
    rr::rdata::opt::EdnsOption,
};
use hickory_server::{
    net::runtime::Time,
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    zone_handler::MessageResponseBuilder,
};

use crate::{
    lookup::{Question, Refusal, lookup},
    zones::Zones,
};

/// Answers queries from its zones.
#[derive(Debug)]
pub struct Authority {
    // A lock of the standard library: a query holds it for the copy of a pointer, a reload for the exchange of one, and
    // neither across an await. That is some tens of nanoseconds of a query's microseconds; a lock-free cell would be one
    // more dependency for less than one per cent.
    zones: RwLock<Arc<Zones>>,
    nsid: String,
}

impl Authority {
    /// Answers from these zones under this name.
    pub fn new(zones: Zones, nsid: impl Into<String>) -> Self {
        Self { zones: RwLock::new(Arc::new(zones)), nsid: nsid.into() }
    }

    /// The zones of now.
    pub fn zones(&self) -> Arc<Zones> {
        Arc::clone(&self.zones.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Answers from these zones from now on. Queries that are being answered finish with the old ones.
    pub fn exchange(&self, zones: Zones) {
        *self.zones.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(zones);
    }
}

#[async_trait]
impl RequestHandler for Authority {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut out: R) -> ResponseInfo {
        let mut metadata = Metadata::response_from_request(&request.metadata);
        let [query] = request.queries.queries() else {
            metadata.response_code = ResponseCode::FormErr;
            return Header { metadata, counts: HeaderCounts::default() }.into();
        };
        let asked = query.original();
        let question = Question { name: asked.name(), rtype: asked.query_type(), class: asked.query_class() };
        let zones = self.zones();
        let found = lookup(&zones, &question);
        metadata.response_code = found.rcode;
        metadata.authoritative = found.authoritative;
        let mut edns = of_reply(request.edns.as_ref(), Some(&self.nsid));
        if let (Some(edns), Some(refusal)) = (&mut edns, found.refusal) {
            edns.options_mut().insert(why(refusal, &zones));
        }
        let response = MessageResponseBuilder::new(&request.queries, edns.as_ref()).build(
            metadata,
            found.answers.iter(),
            found.authorities.iter(),
            [],
            found.additionals.iter(),
        );
        match out.send_response(response).await {
            Ok(info) => info,
            Err(error) => {
                tracing::error!(qname = %question.name, qtype = %question.rtype, %error, "answer not encoded");
                metadata.response_code = ResponseCode::ServFail;
                Header { metadata, counts: HeaderCounts::default() }.into()
            }
        }
    }
}

/// A refusal in words (RFC 8914).
fn why(refusal: Refusal, zones: &Zones) -> EdnsOption {
    match refusal {
        Refusal::NotAuthoritative => {
            let served: Vec<String> = zones.iter().take(8).map(|zone| zone.origin().to_ascii()).collect();
            ede_option(ede::NOT_AUTHORITATIVE, &format!("served here: {}", served.join(" ")))
        }
        Refusal::Class => ede_option(ede::NOT_SUPPORTED, "only class IN is served"),
        Refusal::Transfer => ede_option(ede::PROHIBITED, "no zone transfers"),
        Refusal::Type => ede_option(ede::NOT_SUPPORTED, "not a type that can be asked for here"),
    }
}
