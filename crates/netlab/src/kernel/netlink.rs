//! One question to the kernel over netlink, and its answers.

use std::{io, ops::Range};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, NetlinkSerializable,
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

/// How often a dump is asked for, where what it tells of changes meanwhile.
const TRIES: usize = 8;

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
        self.prepare(message, NLM_F_REQUEST | NLM_F_ACK | flags);
        self.ask::<T>(false).map(|_| ())
    }

    /// Asks for one thing; the kernel answers with one message.
    pub fn get<T>(&mut self, message: T) -> io::Result<Option<T>>
    where
        T: NetlinkSerializable + NetlinkDeserializable,
    {
        self.prepare(message, NLM_F_REQUEST | NLM_F_ACK);
        Ok(self.ask(false)?.found.pop())
    }

    /// Asks for everything of a kind. What this program cannot read is left out.
    pub fn dump<T>(&mut self, message: T) -> io::Result<Vec<T>>
    where
        T: NetlinkSerializable + NetlinkDeserializable,
    {
        self.prepare(message, NLM_F_REQUEST | NLM_F_DUMP);
        for _ in 0..TRIES {
            let answers = self.ask(true)?;
            if !answers.is_torn {
                return Ok(answers.found);
            }
        }
        Err(io::Error::other(format!("what was asked for changed while the kernel told it, {TRIES} times")))
    }

    /// Writes a question down; its sequence number comes when it is asked.
    fn prepare<T: NetlinkSerializable>(&mut self, message: T, flags: u16) {
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        message.finalize();
        self.buffer.clear();
        self.buffer.resize(message.buffer_len(), 0);
        message.serialize(&mut self.buffer);
    }

    fn ask<T: NetlinkDeserializable>(&mut self, is_dump: bool) -> io::Result<Answers<T>> {
        self.sequence += 1;
        self.buffer[SEQUENCE].copy_from_slice(&self.sequence.to_ne_bytes());
        uninterrupted(|| self.socket.send(&self.buffer, 0))?;
        let mut answers = Answers::to(self.sequence, is_dump);
        while !answers.are_all {
            let mut datagram = Vec::with_capacity(LONGEST);
            uninterrupted(|| self.socket.recv(&mut datagram, 0))?;
            answers.read(&datagram)?;
        }
        Ok(answers)
    }
}

/// A call that a signal ended is made again.
fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Bytes of a message's header (netlink(7)).
const HEADER: usize = 16;
/// Where its sequence number is.
const SEQUENCE: Range<usize> = 8..12;

/// What was answered to a question so far. Pure.
#[derive(Debug)]
struct Answers<T> {
    sequence: u32,
    is_dump: bool,
    found: Vec<T>,
    /// Whether what they tell of changed in between.
    is_torn: bool,
    are_all: bool,
}

impl<T: NetlinkDeserializable> Answers<T> {
    const fn to(sequence: u32, is_dump: bool) -> Self {
        Self { sequence, is_dump, found: Vec::new(), is_torn: false, are_all: false }
    }

    /// Reads messages, up to the one that says that there are no more. The error is the kernel's, or says that it cannot be
    /// read.
    fn read(&mut self, datagram: &[u8]) -> io::Result<()> {
        let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let mut rest = datagram;
        while !rest.is_empty() && !self.are_all {
            let number =
                |place: Range<usize>| rest.get(place).and_then(|it| it.try_into().ok()).map_or(0, u32::from_ne_bytes);
            let (length, sequence) = (number(0..4) as usize, number(SEQUENCE));
            let flags = (number(4..8).to_ne_bytes()[2..4]).try_into().map_or(0, u16::from_ne_bytes);
            let message = rest.get(..length).filter(|_| length >= HEADER);
            let message = message.ok_or_else(|| invalid("a message of the kernel is cut off".to_owned()))?;
            // Messages begin at multiples of 4 bytes (netlink(7)).
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            if sequence != self.sequence {
                continue;
            }
            self.is_torn |= self.is_dump && flags & NLM_F_DUMP_INTR != 0;
            match NetlinkMessage::<T>::deserialize(message).map(|message| message.payload) {
                Ok(NetlinkPayload::Error(error)) if error.code.is_some() => return Err(error.to_io()),
                // A dump can fail when it has begun: it ends with the error then.
                Ok(NetlinkPayload::Done(done)) if done.code < 0 => {
                    return Err(io::Error::from_raw_os_error(done.code.saturating_neg()));
                }
                Ok(NetlinkPayload::Error(_) | NetlinkPayload::Done(_)) => self.are_all = true,
                Ok(NetlinkPayload::InnerMessage(inner)) => self.found.push(inner),
                Ok(_) => {}
                // One among many that is of a kind nobody here knows.
                Err(_) if self.is_dump => {}
                Err(error) => return Err(invalid(error.to_string())),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::DecodeError;

    use super::*;

    /// A message that is one byte, and not 0.
    #[derive(Debug)]
    struct Byte(u8);

    impl NetlinkDeserializable for Byte {
        type Error = DecodeError;

        fn deserialize(_: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
            match payload.first() {
                Some(&byte) if byte != 0 => Ok(Self(byte)),
                _ => Err("nothing".into()),
            }
        }
    }

    const QUESTION: u32 = 7;
    const ERROR: u16 = 2;
    const DONE: u16 = 3;
    const OURS: u16 = 20;

    fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
        let length = (HEADER + payload.len()) as u32;
        let (kind, flags) = (kind.to_ne_bytes(), flags.to_ne_bytes());
        let header = [&length.to_ne_bytes()[..], &kind, &flags, &sequence.to_ne_bytes(), &[0; 4]].concat();
        let mut bytes = [&header[..], payload].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn what_is_answered() {
        // What was found, and whether it is torn and all; or the error.
        let check = |is_dump: bool, messages: &[Vec<u8>], expected: Result<(&[u8], bool, bool), &str>| {
            let mut answers = Answers::<Byte>::to(QUESTION, is_dump);
            let read = answers.read(&messages.concat());
            let found: Vec<u8> = answers.found.iter().map(|byte| byte.0).collect();
            let seen = match &read {
                Ok(()) => Ok((&found[..], answers.is_torn, answers.are_all)),
                Err(error) => Err(error.to_string()),
            };
            assert_eq!(seen, expected.map_err(str::to_owned), "{messages:?}");
        };
        let error = |code: i32| io::Error::from_raw_os_error(code).to_string();
        let one = |byte: u8| message(OURS, 0, QUESTION, &[byte]);
        let end = |kind: u16, code: i32| message(kind, 0, QUESTION, &code.to_ne_bytes());
        check(true, &[], Ok((&[], false, false)));
        check(true, &[one(1), one(2)], Ok((&[1, 2], false, false)));
        check(true, &[one(1), end(DONE, 0)], Ok((&[1], false, true)));
        check(true, &[one(1), message(DONE, 0, QUESTION, &[])], Ok((&[1], false, true)));
        check(false, &[one(1), end(ERROR, 0)], Ok((&[1], false, true)));
        check(false, &[end(ERROR, -libc::EPERM)], Err(&error(libc::EPERM)));
        // The end of a dump tells of its failure.
        check(true, &[end(DONE, -libc::ENOENT)], Err(&error(libc::ENOENT)));
        check(true, &[one(1), end(DONE, -libc::ENOENT)], Err(&error(libc::ENOENT)));
        // One that cannot be read, and those to another question.
        check(true, &[one(1), one(0), one(3), end(DONE, 0)], Ok((&[1, 3], false, true)));
        check(false, &[one(0)], Err("Failed to parse message with type 20: nothing"));
        check(true, &[message(OURS, 0, 6, &[1]), message(DONE, 0, 6, &[0; 4]), one(2)], Ok((&[2], false, false)));
        // Something changed in between.
        let torn = |kind: u16, payload: &[u8]| message(kind, NLM_F_DUMP_INTR, QUESTION, payload);
        check(true, &[torn(OURS, &[1]), end(DONE, 0)], Ok((&[1], true, true)));
        check(true, &[one(1), torn(DONE, &[0; 4])], Ok((&[1], true, true)));
        check(true, &[message(OURS, NLM_F_DUMP_INTR, 6, &[1]), end(DONE, 0)], Ok((&[], false, true)));
        // Lengths that are not true.
        let mut cut = one(1);
        cut.truncate(HEADER - 1);
        check(true, &[cut], Err("a message of the kernel is cut off"));
        let mut long = one(1);
        long[..4].copy_from_slice(&100_u32.to_ne_bytes());
        check(true, &[long.clone()], Err("a message of the kernel is cut off"));
        long[..4].copy_from_slice(&0_u32.to_ne_bytes());
        check(true, &[long], Err("a message of the kernel is cut off"));
    }

    #[test]
    fn signals() {
        let mut left = 3;
        let call = || {
            left -= 1;
            if left > 0 { Err(io::Error::from_raw_os_error(libc::EINTR)) } else { Ok(left) }
        };
        assert_eq!(uninterrupted(call).unwrap(), 0);
        let refused = uninterrupted(|| Err::<(), _>(io::Error::from_raw_os_error(libc::EPERM)));
        assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::EPERM));
    }
}
