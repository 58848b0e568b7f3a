//! How a test of a client looks that wants a network that fails: here, what a client of DNS sees while an authoritative
//! server answers SERVFAIL, and that it recovers.
//!
//! `cargo test -p lab --example servfail` runs it. In a package of one's own the same stands in `tests/`, and this in
//! `Cargo.toml`; `lab` re-exports what else is needed:
//!
//! ```toml
//! [dev-dependencies]
//! lab = { path = "../visit/crates/lab" }
//! ```

use std::{
    error::Error,
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use lab::{
    Lab,
    hickory_proto::{
        op::{Message, MessageType, OpCode, Query},
        rr::{Name, RecordType},
    },
};

/// The client under test: it asks a resolver for an address.
fn ask(resolver: SocketAddr, name: &str) -> Result<Message, Box<dyn Error>> {
    let mut query = Message::new(7, MessageType::Query, OpCode::Query);
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(Name::from_ascii(name)?, RecordType::A));
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    socket.send_to(&query.to_vec()?, resolver)?;
    let mut buffer = [0; 1232];
    let length = socket.recv(&mut buffer)?;
    Ok(Message::from_vec(&buffer[..length])?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let lab = Lab::builder().start()?;
    let resolver = lab.resolver().ok_or("this world has a resolver")?;
    let _guard = lab.fault("auth:servfail")?;
    println(&format!("{:?}", ask(resolver, "www.example.test.")?.metadata.response_code));
    Ok(())
}

#[allow(clippy::print_stdout)]
fn println(text: &str) {
    println!("{text}");
}

#[cfg(test)]
mod tests {
    use lab::{What, hickory_proto::op::ResponseCode};

    use super::*;

    #[test]
    fn one_server_that_fails_is_made_good_by_the_other() -> Result<(), Box<dyn Error>> {
        let lab = Lab::builder().data_dir(None).fault("auth1:servfail").start()?;
        let resolver = lab.resolver().ok_or("this world has a resolver")?;
        let answer = ask(resolver, "www.example.test.")?;
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
        assert_eq!(answer.answers.len(), 2);
        Ok(())
    }

    #[test]
    fn both_that_fail_are_told_of_and_it_recovers() -> Result<(), Box<dyn Error>> {
        let lab = Lab::builder().data_dir(None).history(true).start()?;
        let resolver = lab.resolver().ok_or("this world has a resolver")?;

        let guard = lab.fault("auth:servfail")?;
        assert_eq!(ask(resolver, "www.example.test.")?.metadata.response_code, ResponseCode::ServFail);
        assert!(guard.struck() >= 2, "both were asked");

        // The client asks again, and now it is answered.
        drop(guard);
        lab.flush()?;
        let answer = ask(resolver, "www.example.test.")?;
        assert_eq!((answer.metadata.response_code, answer.answers.len()), (ResponseCode::NoError, 2));

        // What the authorities were asked, by whom nobody had to know beforehand.
        let asked = |host: &str| -> Result<usize, lab::LabError> {
            let is_query = |what: &What| matches!(what, What::QueryReceived { question, .. } if question.name == "www.example.test.");
            Ok(lab.history(host)?.iter().filter(|event| is_query(&event.what)).count())
        };
        assert!(asked("auth1")? + asked("auth2")? >= 3);
        Ok(())
    }
}
