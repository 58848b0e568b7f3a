//! A DNS server on loopback that answers as a test wants it to.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    thread,
};

use hickory_proto::{
    op::{Message, MessageType, OpCode, ResponseCode},
    rr::{Name, RData, Record, RecordType},
};

/// What to send for a query: as many messages as there are, which may be none.
pub(crate) type Answer = fn(&Message, Over) -> Vec<Vec<u8>>;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Udp,
    Tcp,
}

/// A resolver on loopback, over UDP and TCP on one port; it serves until the test process ends.
pub(crate) fn resolver(answer: Answer) -> SocketAddr {
    serve((Ipv4Addr::LOCALHOST, 0).into(), answer)
}

/// A server as [`resolver`], at this address; port 0 is one of the kernel's choice.
pub(crate) fn serve(
    at: SocketAddr,
    answer: impl Fn(&Message, Over) -> Vec<Vec<u8>> + Clone + Send + 'static,
) -> SocketAddr {
    let (udp, tcp) = loop {
        let udp = UdpSocket::bind(at).unwrap();
        // The same port may be taken for TCP.
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
            break (udp, tcp);
        }
    };
    let address = udp.local_addr().unwrap();
    let over_tcp = answer.clone();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, peer)) = udp.recv_from(&mut buffer) {
            for bytes in answer(&Message::from_vec(&buffer[..length]).unwrap(), Over::Udp) {
                udp.send_to(&bytes, peer).unwrap();
            }
        }
    });
    thread::spawn(move || {
        for mut stream in tcp.incoming().flatten() {
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut query = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut query).unwrap();
            for bytes in over_tcp(&Message::from_vec(&query).unwrap(), Over::Tcp) {
                let mut framed = u16::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
                framed.extend(bytes);
                stream.write_all(&framed).unwrap();
            }
        }
    });
    address
}

pub(crate) fn reply(query: &Message, code: ResponseCode) -> Message {
    let mut message = Message::new(query.metadata.id, MessageType::Response, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.metadata.recursion_available = true;
    message.metadata.response_code = code;
    message.queries.clone_from(&query.queries);
    message
}

pub(crate) fn asks_for(query: &Message, rtype: RecordType) -> bool {
    query.queries[0].query_type() == rtype
}

pub(crate) fn loopback(name: &Name) -> Record {
    Record::from_rdata(name.clone(), 60, RData::A(Ipv4Addr::LOCALHOST.into()))
}

/// 127.0.0.1 for every name, and no IPv6.
pub(crate) fn good(query: &Message) -> Message {
    let mut message = reply(query, ResponseCode::NoError);
    if asks_for(query, RecordType::A) {
        message.answers.push(loopback(query.queries[0].name()));
    }
    message
}
