//! Any bytes as a reply to a query: what is taken for its answer has the query's id and question.
#![no_main]

use dns::words;
use hickory_proto::{
    op::{MessageType, OpCode, Query},
    rr::{Name, RecordType},
};
use libfuzzer_sys::fuzz_target;
use probe::stub;

/// The query was sent twice. Their bytes are the letters "a" and "b" twice, so that seeds can be written by hand.
const IDS: [u16; 2] = [0x6161, 0x6262];

fuzz_target!(|bytes: &[u8]| {
    let name = Name::from_ascii("www.example.test.").expect("a name");
    let asked = Query::query(name, RecordType::A);
    let found = stub::fitting(bytes, &asked, &IDS);
    let told = words::sent(bytes);
    assert_eq!(told.bytes, bytes.len());
    let Ok((message, nth)) = found else { return };
    // RFC 5452 §9.1.
    assert_eq!(message.metadata.id, IDS[nth]);
    assert_eq!(bytes[..2], IDS[nth].to_be_bytes());
    assert_eq!(message.metadata.message_type, MessageType::Response);
    assert_eq!(message.metadata.op_code, OpCode::Query);
    match message.queries.as_slice() {
        [] => assert!(message.answers.is_empty()),
        [query] => assert_eq!(*query, asked),
        _ => panic!("more than one question"),
    }
    assert_eq!(words::reply(&message, bytes.len()), told);
});
