//! Bytes in, bytes out: which queries are answered how before and after the handler. No I/O.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use hickory_net::NetError;
use hickory_proto::{
    op::{Edns, Header, HeaderCounts, Message, MessageType, Metadata, OpCode, ResponseCode},
    rr::Record,
    serialize::binary::{BinDecodable, BinDecoder, BinEncoder},
};
use hickory_server::{
    server::{Request, ResponseHandler, ResponseInfo},
    zone_handler::{MessageResponse, MessageResponseBuilder},
};
use journey::dns::Transport;

use crate::options;

/// What some bytes are.
pub(super) enum Parsed {
    /// A query with one question.
    Query(Box<Request>),
    /// Not a query that can be handled; this is the answer.
    Error(Vec<u8>),
    /// Nothing that may be answered: too short, or itself an answer (two servers would talk forever).
    Ignore,
}

/// Reads a message.
pub(super) fn parse(bytes: Vec<u8>, peer: SocketAddr, transport: Transport) -> Parsed {
    let Ok(header) = Header::read(&mut BinDecoder::new(&bytes)) else { return Parsed::Ignore };
    if header.metadata.message_type == MessageType::Response {
        return Parsed::Ignore;
    }
    // Opcodes that are unknown or not served have bodies of their own; they are not read (RFC 8906 §3.1.3).
    if header.metadata.op_code != OpCode::Query {
        return Parsed::Error(bare(&header.metadata, ResponseCode::NotImp));
    }
    if header.counts.queries != 1 {
        return Parsed::Error(bare(&header.metadata, ResponseCode::FormErr));
    }
    match Request::from_bytes(bytes, peer, super::protocol(transport)) {
        Ok(request) => Parsed::Query(Box::new(request)),
        Err(_) => Parsed::Error(bare(&header.metadata, ResponseCode::FormErr)),
    }
}

/// What a query is refused with whoever the handler is.
pub(super) fn refusal(request: &Request) -> Option<ResponseCode> {
    // RFC 6891 §6.1.3: a version above ours is answered with BADVERS and our version.
    let version = request.edns.as_ref().map_or(0, Edns::version);
    (version > 0).then_some(ResponseCode::BADVERS)
}

/// A header and nothing else.
fn bare(asked: &Metadata, code: ResponseCode) -> Vec<u8> {
    let mut metadata = Metadata::response_from_request(asked);
    metadata.response_code = code;
    let header = Header { metadata, counts: HeaderCounts::default() };
    let mut bytes = Vec::with_capacity(12);
    // Twelve bytes always fit.
    let _ = hickory_proto::serialize::binary::BinEncodable::emit(&header, &mut BinEncoder::new(&mut bytes));
    bytes
}

/// An answer without records.
pub(super) fn error(request: &Request, code: ResponseCode, nsid: Option<&str>) -> Encoded {
    let mut edns = options::of_reply(request.edns.as_ref(), nsid);
    if let Some(edns) = &mut edns {
        edns.set_rcode_high(code.high());
    }
    let mut metadata = Metadata::response_from_request(&request.metadata);
    metadata.response_code = code;
    let response = MessageResponseBuilder::new(&request.queries, edns.as_ref()).build_no_records(metadata);
    encode(response).map_or_else(
        |_| Encoded { bytes: bare(&request.metadata, ResponseCode::ServFail), edns: None },
        |(_, encoded)| encoded,
    )
}

/// The answer, cut to what the client can take: over UDP what it said it can (512 bytes without EDNS, RFC 1035 §4.2.1),
/// and never more than [`options::UDP_PAYLOAD`]. A cut answer has TC set, no records, and still its OPT record.
pub(super) fn fit(encoded: Encoded, request: &Request) -> Vec<u8> {
    let limit = match request.protocol() {
        hickory_net::xfer::Protocol::Udp => match &request.edns {
            // Values below 512 count as 512 (RFC 6891 §6.2.3).
            Some(edns) => edns.max_payload().clamp(512, options::UDP_PAYLOAD),
            None => 512,
        },
        _ => u16::MAX,
    };
    if encoded.bytes.len() <= usize::from(limit) {
        return encoded.bytes;
    }
    let Ok(mut message) = Message::from_vec(&encoded.bytes) else {
        return bare(&request.metadata, ResponseCode::ServFail);
    };
    message.metadata.truncation = true;
    message.answers.clear();
    message.authorities.clear();
    message.additionals.clear();
    message.edns = encoded.edns;
    message.to_vec().unwrap_or_else(|_| bare(&request.metadata, ResponseCode::ServFail))
}

/// An answer on its way out.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The whole message, not yet cut to size.
    pub bytes: Vec<u8>,
    /// Its OPT record.
    pub edns: Option<Edns>,
}

/// Where a handler leaves its answer.
#[derive(Clone, Default)]
pub(super) struct Slot(Arc<Mutex<Option<Encoded>>>);

impl Slot {
    pub(super) fn take(&self) -> Option<Encoded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[async_trait]
impl ResponseHandler for Slot {
    async fn send_response<'a>(
        &mut self,
        response: MessageResponse<
            '_,
            'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
        >,
    ) -> Result<ResponseInfo, NetError> {
        let (info, encoded) = encode(response)?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(encoded);
        Ok(info)
    }
}

fn encode<'a>(
    response: MessageResponse<
        '_,
        'a,
        impl Iterator<Item = &'a Record> + Send + 'a,
        impl Iterator<Item = &'a Record> + Send + 'a,
        impl Iterator<Item = &'a Record> + Send + 'a,
        impl Iterator<Item = &'a Record> + Send + 'a,
    >,
) -> Result<(ResponseInfo, Encoded), NetError> {
    let edns = response.edns().cloned();
    let mut bytes = Vec::with_capacity(512);
    let mut encoder = BinEncoder::new(&mut bytes);
    encoder.set_max_size(u16::MAX);
    let info = response.destructive_emit(&mut encoder)?;
    Ok((info, Encoded { bytes, edns }))
}
