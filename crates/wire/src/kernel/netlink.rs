//! One question to the kernel over netlink, and its answers.

use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload,
    NetlinkSerializable,
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// A socket to the kernel, of the network namespace that the calling thread was in when it was opened.
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

/// Answers are at most this long; a dump comes in several.
const LONGEST: usize = 64 * 1024;

impl Netlink {
    /// A socket for links, addresses, routes and neighbours.
    pub fn route() -> io::Result<Self> {
        Self::open(NETLINK_ROUTE)
    }

    /// A socket of that netlink family.
    pub fn open(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, sequence: 0, buffer: Vec::new() })
    }

    /// Asks for something to be done; the error is the kernel's.
    pub fn act<T>(&mut self, message: T, flags: u16) -> io::Result<()>
    where
        T: NetlinkSerializable + NetlinkDeserializable,
    {
        self.ask(message, NLM_F_REQUEST | NLM_F_ACK | flags, |_| {})
    }

    /// Asks for one thing; the kernel answers with one message.
    pub fn get<T>(&mut self, message: T) -> io::Result<Option<T>>
    where
        T: NetlinkSerializable + NetlinkDeserializable,
    {
        let mut found = None;
        self.ask(message, NLM_F_REQUEST | NLM_F_ACK, |answer| found = Some(answer))?;
        Ok(found)
    }

    /// Asks for everything of a kind.
    pub fn dump<T>(&mut self, message: T) -> io::Result<Vec<T>>
    where
        T: NetlinkSerializable + NetlinkDeserializable,
    {
        let mut found = Vec::new();
        self.ask(message, NLM_F_REQUEST | NLM_F_DUMP, |answer| found.push(answer))?;
        Ok(found)
    }

    fn ask<T>(&mut self, message: T, flags: u16, mut take: impl FnMut(T)) -> io::Result<()>
    where
        T: NetlinkSerializable + NetlinkDeserializable,
    {
        self.sequence += 1;
        let mut header = NetlinkHeader::default();
        (header.flags, header.sequence_number) = (flags, self.sequence);
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        message.finalize();
        self.buffer.resize(message.buffer_len(), 0);
        message.serialize(&mut self.buffer);
        self.socket.send(&self.buffer, 0)?;
        loop {
            let mut buffer = Vec::with_capacity(LONGEST);
            self.socket.recv(&mut buffer, 0)?;
            let mut rest = &buffer[..];
            while !rest.is_empty() {
                let answer = NetlinkMessage::<T>::deserialize(rest)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
                // Messages begin at multiples of 4 bytes (netlink(7)).
                let length = (answer.header.length as usize).next_multiple_of(4).max(16);
                let is_ours = answer.header.sequence_number == self.sequence;
                rest = rest.get(length..).unwrap_or_default();
                if !is_ours {
                    continue;
                }
                match answer.payload {
                    NetlinkPayload::Error(error) if error.code.is_none() => return Ok(()),
                    NetlinkPayload::Error(error) => return Err(error.to_io()),
                    NetlinkPayload::Done(_) => return Ok(()),
                    NetlinkPayload::InnerMessage(inner) => take(inner),
                    _ => {}
                }
            }
        }
    }
}
