//! Packet sockets (packet(7)): whole frames, as they pass an interface.

use std::{
    io,
    mem::{MaybeUninit, size_of, zeroed},
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr,
};

use libc::{c_int, c_void, socklen_t};

/// A socket for whole frames. It belongs to the network namespace that the calling thread was in when it was opened.
#[derive(Debug)]
pub struct PacketSocket(OwnedFd);

/// What the kernel says of a frame besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes it had; without a VLAN tag that is in [`Received::vlan`].
    pub len: usize,
    /// Bytes of it that are in the buffer.
    pub kept: usize,
    /// The interface.
    pub ifindex: u32,
    /// When, in nanoseconds of CLOCK_REALTIME; needs [`PacketSocket::timestamps`], 0 otherwise.
    pub at_ns: i64,
    /// Whose it is, seen from the interface.
    pub kind: PacketKind,
    /// What the interface is (ARPHRD_…).
    pub hatype: u16,
    /// What the frame carries (ETH_P_…); behind the VLAN tag where the kernel took one out.
    pub protocol: u16,
    /// The VLAN tag that the kernel took out of the frame (its TCI); needs [`PacketSocket::aux_data`].
    pub vlan: Option<u16>,
    /// The tag's protocol, 0x8100 mostly; meaningless without a tag.
    pub vlan_protocol: u16,
    /// Whether a checksum is left to a device that comes later; needs [`PacketSocket::aux_data`].
    pub checksum_unfilled: bool,
}

/// Whose a frame is, seen from the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketKind {
    /// For this host.
    Host,
    /// For all.
    Broadcast,
    /// For a group.
    Multicast,
    /// For another host.
    OtherHost,
    /// This host sent it.
    Outgoing,
}

impl PacketSocket {
    /// A socket that receives nothing before it is bound: with another protocol than 0 it would already have frames of all
    /// interfaces by then.
    #[allow(unsafe_code)]
    pub fn open() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: no pointers.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new, open, and nobody else's.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Makes room for so many bytes of what was not taken yet; as many as an ordinary user may have, where more is refused.
    pub fn set_receive_buffer(&self, bytes: usize) -> io::Result<()> {
        let bytes = c_int::try_from(bytes).unwrap_or(c_int::MAX);
        // Past net.core.rmem_max only with CAP_NET_ADMIN of the first user namespace.
        self.set(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes)
            .or_else(|_| self.set(libc::SOL_SOCKET, libc::SO_RCVBUF, bytes))
    }

    /// Has frames stamped by the kernel as they come.
    pub fn timestamps(&self) -> io::Result<()> {
        self.set(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)
    }

    /// Has the kernel say of VLAN tags and of checksums.
    pub fn aux_data(&self) -> io::Result<()> {
        self.set(libc::SOL_PACKET, libc::PACKET_AUXDATA, 1)
    }

    /// Leaves out what this host sends.
    pub fn ignore_outgoing(&self) -> io::Result<()> {
        self.set(libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, 1)
    }

    /// Receives all protocols from now on, of one interface or of all. When it has returned, capture has begun.
    #[allow(unsafe_code)]
    pub fn bind(&self, ifindex: Option<u32>) -> io::Result<()> {
        let address = address(ifindex.unwrap_or(0), (libc::ETH_P_ALL as u16).to_be())?;
        let length = size_of::<libc::sockaddr_ll>() as socklen_t;
        // SAFETY: the pointer is to an address of that length, which the call only reads.
        check(unsafe { libc::bind(self.0.as_raw_fd(), ptr::from_ref(&address).cast(), length) } as isize)?;
        Ok(())
    }

    /// The next frame; `WouldBlock` where there is none.
    #[allow(unsafe_code)]
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let mut control = Control([0; 256]);
        // SAFETY: all of both is integers and pointers, for which zeros are valid.
        let (mut from, mut message) = unsafe { (zeroed::<libc::sockaddr_ll>(), zeroed::<libc::msghdr>()) };
        let mut parts = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        message.msg_name = ptr::from_mut(&mut from).cast();
        message.msg_namelen = size_of::<libc::sockaddr_ll>() as socklen_t;
        (message.msg_iov, message.msg_iovlen) = (&raw mut parts, 1);
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = control.0.len() as _;
        // SAFETY: every pointer is to memory of the length beside it that outlives the call.
        let len = check(unsafe { libc::recvmsg(self.0.as_raw_fd(), &raw mut message, libc::MSG_TRUNC) })?;
        let mut received = Received {
            len,
            kept: len.min(buffer.len()),
            ifindex: u32::try_from(from.sll_ifindex).unwrap_or(0),
            at_ns: 0,
            kind: PacketKind::of(from.sll_pkttype),
            hatype: from.sll_hatype,
            protocol: u16::from_be(from.sll_protocol),
            vlan: None,
            vlan_protocol: 0,
            checksum_unfilled: false,
        };
        // SAFETY: the kernel has filled the header, and the buffers it points to are those above. The macros keep within
        // `msg_controllen`, and `data` is read only where the length says that it is there, of types of plain integers.
        unsafe {
            let mut at = libc::CMSG_FIRSTHDR(&raw const message);
            while let Some(header) = at.as_ref() {
                let data = libc::CMSG_DATA(at);
                let has = |size: usize| header.cmsg_len >= libc::CMSG_LEN(size as u32) as _;
                match (header.cmsg_level, header.cmsg_type) {
                    (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS) if has(size_of::<libc::timespec>()) => {
                        let stamp = data.cast::<libc::timespec>().read_unaligned();
                        // 32 bits on machines of 32 bits.
                        #[allow(clippy::useless_conversion)]
                        let (seconds, rest) = (i64::from(stamp.tv_sec), i64::from(stamp.tv_nsec));
                        received.at_ns = seconds.saturating_mul(1_000_000_000).saturating_add(rest);
                    }
                    (libc::SOL_PACKET, libc::PACKET_AUXDATA) if has(size_of::<libc::tpacket_auxdata>()) => {
                        received.learn(&data.cast::<libc::tpacket_auxdata>().read_unaligned());
                    }
                    _ => {}
                }
                at = libc::CMSG_NXTHDR(&raw const message, at);
            }
        }
        Ok(received)
    }

    /// Sends a frame out of that interface, as it is.
    #[allow(unsafe_code)]
    pub fn send(&self, ifindex: u32, frame: &[u8]) -> io::Result<()> {
        // Protocol 0: the kernel reads it from the frame.
        let address = address(ifindex, 0)?;
        let length = size_of::<libc::sockaddr_ll>() as socklen_t;
        let (frame, size) = (frame.as_ptr().cast::<c_void>(), frame.len());
        // SAFETY: both pointers are to memory of the length beside them, which the call only reads.
        let sent = unsafe {
            libc::sendto(self.0.as_raw_fd(), frame, size, 0, ptr::from_ref(&address).cast::<libc::sockaddr>(), length)
        };
        check(sent)?;
        Ok(())
    }

    /// Frames that came for this socket, and how many of them it had no room for; since the last time it was asked.
    #[allow(unsafe_code)]
    pub fn statistics(&self) -> io::Result<(u32, u32)> {
        let mut found = MaybeUninit::<libc::tpacket_stats>::zeroed();
        let mut length = size_of::<libc::tpacket_stats>() as socklen_t;
        let (level, name) = (libc::SOL_PACKET, libc::PACKET_STATISTICS);
        // SAFETY: the pointers are to memory of the length that is told, and to that length.
        let said = unsafe {
            libc::getsockopt(self.0.as_raw_fd(), level, name, found.as_mut_ptr().cast::<c_void>(), &raw mut length)
        };
        check(said as isize)?;
        // SAFETY: two integers, and they were zeros before the kernel wrote them.
        let found = unsafe { found.assume_init() };
        Ok((found.tp_packets, found.tp_drops))
    }

    #[allow(unsafe_code)]
    fn set(&self, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
        let length = size_of::<c_int>() as socklen_t;
        let value = ptr::from_ref(&value).cast::<c_void>();
        // SAFETY: the pointer is to an integer of that length, which the call only reads.
        check(unsafe { libc::setsockopt(self.0.as_raw_fd(), level, name, value, length) } as isize)?;
        Ok(())
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Received {
    fn learn(&mut self, aux: &libc::tpacket_auxdata) {
        let has = |flag: u32| aux.tp_status & flag != 0;
        self.checksum_unfilled = has(libc::TP_STATUS_CSUMNOTREADY);
        if has(libc::TP_STATUS_VLAN_VALID) {
            // Kernels before 3.14 do not say which protocol; there was only one then.
            let protocol = if has(libc::TP_STATUS_VLAN_TPID_VALID) { aux.tp_vlan_tpid } else { 0x8100 };
            (self.vlan, self.vlan_protocol) = (Some(aux.tp_vlan_tci), protocol);
        }
    }
}

impl PacketKind {
    fn of(pkttype: u8) -> Self {
        match pkttype {
            libc::PACKET_HOST => Self::Host,
            libc::PACKET_BROADCAST => Self::Broadcast,
            libc::PACKET_MULTICAST => Self::Multicast,
            libc::PACKET_OUTGOING => Self::Outgoing,
            _ => Self::OtherHost,
        }
    }
}

/// Room for what the kernel says besides, aligned for the headers in it.
#[repr(C, align(8))]
struct Control([u8; 256]);

#[allow(unsafe_code)]
fn address(ifindex: u32, protocol: u16) -> io::Result<libc::sockaddr_ll> {
    // SAFETY: all of it is integers, for which zeros are valid.
    let mut address = unsafe { zeroed::<libc::sockaddr_ll>() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol;
    address.sll_ifindex = c_int::try_from(ifindex).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
    Ok(address)
}

fn check(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;
    use crate::testing;

    #[needs::tools(unshare)]
    #[test]
    fn a_datagram_over_loopback() {
        testing::alone("sys::packet::tests::a_datagram_over_loopback", || {
            let socket = PacketSocket::open().unwrap();
            socket.set_receive_buffer(1 << 20).unwrap();
            socket.timestamps().unwrap();
            socket.aux_data().unwrap();
            let mut buffer = [0; 50];
            // Not bound: nothing is received.
            let asked = UdpSocket::bind("127.0.0.1:0").unwrap();
            asked.send_to(b"early", asked.local_addr().unwrap()).unwrap();
            assert_eq!(socket.receive(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            socket.bind(None).unwrap();
            asked.send_to(b"ten bytes!", asked.local_addr().unwrap()).unwrap();
            for kind in [PacketKind::Outgoing, PacketKind::Host] {
                let received = socket.receive(&mut buffer).unwrap();
                assert_eq!((received.len, received.kept), (14 + 20 + 8 + 10, 50));
                assert_eq!((received.ifindex, received.hatype, received.protocol), (1, 772, 0x0800));
                assert_eq!((received.kind, received.vlan, received.checksum_unfilled), (kind, None, true));
                assert!(received.at_ns > 1_700_000_000_000_000_000, "{received:?}");
                assert_eq!(&buffer[42..], b"ten byte");
            }
            assert_eq!(socket.statistics().unwrap(), (2, 0));

            // The kernel spares a socket its own frames as they go out. `lo` brings them back.
            let deaf = PacketSocket::open().unwrap();
            deaf.ignore_outgoing().unwrap();
            deaf.bind(Some(1)).unwrap();
            socket.send(1, &[&[0; 12], &[0x88, 0xb5][..], b"for experiments"].concat()).unwrap();
            let received = socket.receive(&mut buffer).unwrap();
            assert_eq!((received.kind, received.protocol, received.len), (PacketKind::Host, 0x88b5, 29));
            asked.send_to(b"more", asked.local_addr().unwrap()).unwrap();
            for protocol in [0x88b5, 0x0800] {
                let received = deaf.receive(&mut buffer).unwrap();
                assert_eq!((received.kind, received.protocol), (PacketKind::Host, protocol));
            }
            assert_eq!(deaf.receive(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            assert_eq!(socket.send(77, &[0; 20]).unwrap_err().raw_os_error(), Some(libc::ENXIO));
        });
    }
}
