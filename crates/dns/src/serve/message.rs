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
    serialize::binary::{BinDecodable, BinDecoder, BinEncodable, BinEncoder},
};
use hickory_server::{
    server::{Request, ResponseHandler, ResponseInfo},
    zone_handler::{MessageResponse, MessageResponseBuilder},
};
use journey::dns::Transport;

use super::signature;
use crate::options;

/// A message's header (RFC 1035 §4.1.1).
const HEADER: usize = 12;
/// The truncation bit, in the header's third byte.
const TC: u8 = 0b0000_0010;
/// What every client can take over UDP (RFC 1035 §4.2.1).
const SMALLEST: usize = 512;

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
        // Nor do RD and CD mean anything for them.
        let mut asked = header.metadata;
        (asked.recursion_desired, asked.checking_disabled) = (false, false);
        return Parsed::Error(bare(&asked, ResponseCode::NotImp));
    }
    if header.counts.queries != 1 {
        return Parsed::Error(bare(&header.metadata, ResponseCode::FormErr));
    }
    let malformed = || Parsed::Error(bare(&header.metadata, ResponseCode::FormErr));
    let Some(signature) = signature::find(&bytes, header.counts) else { return malformed() };
    let Ok(request) = Request::from_bytes(bytes, peer, super::protocol(transport)) else { return malformed() };
    match signature {
        None => Parsed::Query(Box::new(request)),
        // No server here has keys, so every key is unknown.
        Some(signature) => Parsed::Error(unknown_key(&request, signature)),
    }
}

/// The answer to a signed query: NOTAUTH, with BADKEY in a TSIG record that is not signed (RFC 8945 §5.2.1, §5.3.2).
fn unknown_key(request: &Request, signature: Record) -> Vec<u8> {
    let answer = error(request, ResponseCode::NotAuth, None).bytes;
    let room = match request.protocol() {
        hickory_net::xfer::Protocol::Udp => SMALLEST,
        _ => usize::from(u16::MAX),
    };
    signature::appended(answer, signature::refused(signature))
        .filter(|bytes| bytes.len() <= room)
        .unwrap_or_else(|| bare(&request.metadata, ResponseCode::NotAuth))
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
    let mut bytes = Vec::with_capacity(HEADER);
    // Twelve bytes always fit.
    let _ = header.emit(&mut BinEncoder::new(&mut bytes));
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
    encode(response, request.queries.as_bytes()).map_or_else(
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
            Some(edns) => edns.max_payload().clamp(SMALLEST as u16, options::UDP_PAYLOAD),
            None => SMALLEST as u16,
        },
        _ => u16::MAX,
    };
    // The encoder itself sets TC where 64 KiB were not enough, and leaves out the OPT record then.
    let whole = encoded.bytes[2] & TC == 0;
    if whole && encoded.bytes.len() <= usize::from(limit) {
        return encoded.bytes;
    }
    without_additionals(&encoded, limit).unwrap_or_else(|| cut(encoded, request))
}

/// The same answer without its additional records, where it is whole without them and then fits: that is no truncation
/// (RFC 2181 §9). The addresses in a referral are needed, so a referral is never shortened so (RFC 9471 §3).
fn without_additionals(encoded: &Encoded, limit: u16) -> Option<Vec<u8>> {
    let count = |at| u16::from_be_bytes([encoded.bytes[at], encoded.bytes[at + 1]]);
    let (answers, authorities, additionals) = (count(6), count(8), count(10));
    if answers == 0 || authorities != 0 || additionals == u16::from(encoded.edns.is_some()) {
        return None;
    }
    let mut message = Message::from_vec(&encoded.bytes).ok()?;
    message.additionals.clear();
    message.edns.clone_from(&encoded.edns);
    message.to_vec().ok().filter(|bytes| bytes.len() <= usize::from(limit))
}

/// Header, question and OPT record, with TC set.
fn cut(mut encoded: Encoded, request: &Request) -> Vec<u8> {
    let bytes = &mut encoded.bytes;
    // The question stands behind the header as it came.
    bytes.truncate(HEADER + request.queries.as_bytes().len());
    bytes[2] |= TC;
    bytes[6..HEADER].fill(0);
    let opt = encoded.edns.as_ref().and_then(|edns| Record::from(edns).to_bytes().ok());
    if let Some(opt) = opt {
        bytes[11] = 1;
        bytes.extend_from_slice(&opt);
    }
    encoded.bytes
}

/// An answer on its way out.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The whole message, not yet cut to size.
    pub bytes: Vec<u8>,
    /// Its OPT record, kept where the message is so long that it may have to be cut.
    pub edns: Option<Edns>,
}

/// Where a handler leaves its answer.
#[derive(Clone)]
pub(super) struct Slot(Arc<Awaited>);

struct Awaited {
    question: Vec<u8>,
    answer: Mutex<Option<Encoded>>,
}

impl Slot {
    /// For the answer to this request.
    pub(super) fn new(request: &Request) -> Self {
        Self(Arc::new(Awaited { question: request.queries.as_bytes().to_vec(), answer: Mutex::new(None) }))
    }

    pub(super) fn take(&self) -> Option<Encoded> {
        self.0.answer.lock().unwrap_or_else(PoisonError::into_inner).take()
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
        let (info, encoded) = encode(response, &self.0.question)?;
        *self.0.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(encoded);
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
    question: &[u8],
) -> Result<(ResponseInfo, Encoded), NetError> {
    let edns = response.edns();
    let mut bytes = Vec::with_capacity(SMALLEST);
    let mut encoder = BinEncoder::new(&mut bytes);
    encoder.set_max_size(u16::MAX);
    remember_names(&mut encoder, question);
    let info = response.destructive_emit(&mut encoder)?;
    let edns = edns.filter(|_| bytes.len() > SMALLEST).cloned();
    Ok((info, Encoded { bytes, edns }))
}

/// Lets names of the answer point at the question (RFC 1035 §4.1.4).
///
/// hickory 0.26.3 remembers the question of a `MessageResponse` with type and class at its end, so no name is ever found
/// there and every answer repeats its owner. Written here in advance, each name is remembered as it should be; the
/// message is then written over it from the start.
fn remember_names(encoder: &mut BinEncoder<'_>, question: &[u8]) {
    // Type and class stand behind the name, and before them the root's zero, which the encoder wants left out.
    let Some(name) = question.len().checked_sub(5).and_then(|end| question.get(..end)) else { return };
    if encoder.emit_vec(&[0; HEADER]).and_then(|()| encoder.emit_vec(question)).is_err() {
        return;
    }
    let mut at = 0;
    while let Some(length) = name.get(at) {
        encoder.store_label_pointer(HEADER + at, HEADER + name.len());
        at += 1 + usize::from(*length);
    }
    encoder.set_offset(0);
}
