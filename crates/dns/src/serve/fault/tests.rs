use std::net::SocketAddr;

use hickory_proto::{
    op::{MessageType, OpCode, Query},
    rr::RecordType,
};
use world::{Closed, World};

use super::*;

fn faulty(role: Role, host: &str, book: &AddressBook) -> Faulty {
    let you = ["10.78.1.100".parse().unwrap()];
    Faulty::new(role, host, Vec::new(), book, &you, &Signals::default())
}

fn request(name: &str, rtype: RecordType, peer: &str, transport: Transport) -> Request {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), rtype));
    let peer: SocketAddr = peer.parse().unwrap();
    Request::from_bytes(message.to_vec().unwrap(), peer, super::super::protocol(transport)).unwrap()
}

#[test]
fn whom_a_fault_is_meant_for() {
    let auth1 = faulty(Role::Nameserver, "auth1", &AddressBook::direct(&World::built_in()));
    let check = |fault: &str, expected| {
        let request = request("www.Example.test.", RecordType::A, "10.78.1.53:4000", Transport::Tcp);
        assert_eq!(auth1.is_meant(&fault.parse().unwrap(), &request, Transport::Tcp), expected, "{fault}");
    };
    check("auth1:drop", true);
    check("auth:drop", true);
    check("auth2:drop", false);
    check("wire:loss", false);
    check("app1:garbage", false);
    check("auth1:stale", false);
    check("auth1:tcp-refused", false);
    check("auth1:drop,zone=test", true);
    check("auth1:drop,zone=.", true);
    check("auth1:drop,zone=www.example.test", true);
    check("auth1:drop,zone=ample.test", false);
    check("auth1:drop,name=WWW.example.test", true);
    check("auth1:drop,name=example.test", false);
    check("auth1:drop,type=a", true);
    check("auth1:drop,type=AAAA", false);
    check("auth1:drop,transport=tcp", true);
    check("auth1:drop,transport=udp", false);
    check("auth1:truncate", false);
    check("auth1:drop,client=10.78.1.53", true);
    check("auth1:drop,client=10.78.1.54", false);
    check("auth1:drop,client=resolver", true);
    check("auth1:drop,client=you", false);
}

#[test]
fn types_are_written_alike_in_faults_and_of_questions() {
    for number in 0..=u16::MAX {
        let read = fault::rtype::read(&format!("TYPE{number}"));
        assert_eq!(read, Ok(words::rtype(RecordType::from(number))));
    }
}

#[test]
fn clients_on_loopback_are_told_by_what_the_book_knows() {
    let mut book = AddressBook::direct(&World::built_in());
    book.closed = Some(Closed { tcp_v4: ([127, 0, 0, 1], 1).into(), tcp_v6: None });
    let auth1 = faulty(Role::Nameserver, "auth1", &book);
    let check = |client: &str, expected| {
        let request = request("a.test.", RecordType::A, "127.0.0.1:4000", Transport::Udp);
        let fault = format!("auth1:drop,client={client}").parse().unwrap();
        assert_eq!(auth1.is_meant(&fault, &request, Transport::Udp), expected, "{client}");
    };
    check("resolver", true);
    check("you", true);
    check("tld", false);
    check("app1", false);
    check("127.0.0.1", true);
    check("10.78.1.53", false);
}
