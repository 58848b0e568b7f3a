//! TCP in the kernel's words: its states by their names, and `TCP_INFO` field by field.

use std::{io, os::fd::BorrowedFd};

use journey::stage::TcpInfo;

use crate::sys;

/// What the kernel says of this TCP connection now.
pub fn tcp_info(socket: BorrowedFd<'_>) -> io::Result<TcpInfo> {
    sys::tcp_info::tcp_info(socket).map(|bytes| read(&bytes))
}

/// RFC 9293's name for the kernel's number of a state (`include/net/tcp_states.h`).
pub(super) fn state(number: u8) -> &'static str {
    match number {
        1 => "ESTABLISHED",
        2 => "SYN-SENT",
        // 12 is a connection of which the listening socket has only the SYN (`TCP_NEW_SYN_RECV`).
        3 | 12 => "SYN-RECEIVED",
        4 => "FIN-WAIT-1",
        5 => "FIN-WAIT-2",
        6 => "TIME-WAIT",
        7 | 13 => "CLOSED",
        8 => "CLOSE-WAIT",
        9 => "LAST-ACK",
        10 => "LISTEN",
        11 => "CLOSING",
        _ => "unknown",
    }
}

/// What a minimum is while there is nothing to take it of.
const NO_MINIMUM: u32 = u32::MAX;

/// The fields of `struct tcp_info` (`include/uapi/linux/tcp.h`), which has only ever grown at its end: a field that lies
/// beyond the bytes is one that this kernel does not tell.
fn read(bytes: &[u8]) -> TcpInfo {
    let u32_at = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let u64_at = |at: usize| Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    // Without a sample the kernel has 0 for the one, and its first guess for the other.
    let rtt_us = u32_at(68).filter(|us| *us > 0);
    TcpInfo {
        state: state(bytes.first().copied().unwrap_or_default()).to_owned(),
        rtt_us,
        rttvar_us: rtt_us.and_then(|_| u32_at(72)),
        min_rtt_us: u32_at(148).filter(|us| *us != NO_MINIMUM && rtt_us.is_some()),
        retransmits: u32_at(100),
        lost: u32_at(32),
        unacked: u32_at(24),
        notsent_bytes: u32_at(144),
        snd_mss: u32_at(16),
        rcv_mss: u32_at(20),
        advmss: u32_at(84),
        pmtu: u32_at(60),
        snd_cwnd: u32_at(80),
        snd_wnd: u32_at(228),
        rcv_wnd: u32_at(232),
        bytes_acked: u64_at(120),
        bytes_received: u64_at(128),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        mem::offset_of,
        net::{TcpListener, TcpStream},
        os::fd::AsFd,
    };

    use super::*;

    #[test]
    fn a_connection_of_our_own() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let opened = tcp_info(client.as_fd()).unwrap();
        assert_eq!((opened.state.as_str(), opened.retransmits, opened.unacked), ("ESTABLISHED", Some(0), Some(0)));
        assert!(opened.rtt_us > Some(0) && opened.snd_mss > Some(500), "{opened:?}");
        // Loopback's packets are 64 KiB, the IP and TCP headers with their timestamps included.
        assert_eq!((opened.pmtu, opened.advmss), (Some(65_535), Some(65_483)), "{opened:?}");
        assert_eq!(opened.bytes_received, Some(0));

        client.write_all(b"hello").unwrap();
        server.read_exact(&mut [0; 5]).unwrap();
        server.write_all(&[7; 1000]).unwrap();
        client.read_exact(&mut [0; 1000]).unwrap();
        let talked = tcp_info(client.as_fd()).unwrap();
        // The SYN counts one.
        assert_eq!((talked.bytes_acked, talked.bytes_received), (Some(1 + 5), Some(1000)), "{talked:?}");
        assert!(talked.min_rtt_us <= talked.rtt_us, "{talked:?}");

        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(tcp_info(socket.as_fd()).is_err(), "UDP has none");
        assert_eq!(tcp_info(listener.as_fd()).unwrap().state, "LISTEN");
    }

    #[test]
    fn what_an_older_kernel_does_not_tell_is_missing() {
        let all: Vec<u8> = (0..240).collect();
        let check = |length: usize, acked: bool, min_rtt: bool, snd_wnd: bool, rcv_wnd: bool| {
            let info = read(&all[..length]);
            let told =
                (info.bytes_acked.is_some(), info.min_rtt_us.is_some(), info.snd_wnd.is_some(), info.rcv_wnd.is_some());
            assert_eq!(told, (acked, min_rtt, snd_wnd, rcv_wnd), "{length}");
        };
        check(0, false, false, false, false);
        check(104, false, false, false, false);
        check(127, false, false, false, false);
        check(128, true, false, false, false);
        check(152, true, true, false, false);
        check(232, true, true, true, false);
        check(235, true, true, true, false);
        check(240, true, true, true, true);
    }

    #[test]
    fn fields_are_where_the_c_library_has_them() {
        let mut bytes = vec![0; 104];
        let mut put = |at: usize, value: u32| bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        put(offset_of!(libc::tcp_info, tcpi_snd_mss), 1);
        put(offset_of!(libc::tcp_info, tcpi_rcv_mss), 2);
        put(offset_of!(libc::tcp_info, tcpi_unacked), 3);
        put(offset_of!(libc::tcp_info, tcpi_lost), 4);
        put(offset_of!(libc::tcp_info, tcpi_pmtu), 5);
        put(offset_of!(libc::tcp_info, tcpi_rtt), 6);
        put(offset_of!(libc::tcp_info, tcpi_rttvar), 7);
        put(offset_of!(libc::tcp_info, tcpi_snd_cwnd), 8);
        put(offset_of!(libc::tcp_info, tcpi_advmss), 9);
        put(offset_of!(libc::tcp_info, tcpi_total_retrans), 10);
        bytes[0] = 8;
        let info = read(&bytes);
        let told = [info.snd_mss, info.rcv_mss, info.unacked, info.lost, info.pmtu];
        assert_eq!(told.map(Option::unwrap), [1, 2, 3, 4, 5]);
        let told = [info.rtt_us, info.rttvar_us, info.snd_cwnd, info.advmss, info.retransmits];
        assert_eq!(told.map(Option::unwrap), [6, 7, 8, 9, 10]);
        assert_eq!(info.state, "CLOSE-WAIT");
    }
}
