//! `TCP_INFO` (tcp(7)): the bytes that the kernel fills, as many as it knows of.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

/// Room for what the kernel tells; newer kernels tell more than is read here, and cut it to fit.
const ROOM: usize = 256;

/// What the kernel says of this socket, as bytes of its `struct tcp_info`. Older kernels fill fewer.
#[allow(unsafe_code)]
pub fn tcp_info(socket: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0_u8; ROOM];
    let mut length = ROOM as libc::socklen_t;
    // SAFETY: the descriptor is open while it is borrowed; the kernel writes at most `length` bytes to the buffer, which
    // has as many, and then how many it wrote to `length`. Both live until after the call.
    let gave = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            bytes.as_mut_ptr().cast::<libc::c_void>(),
            &raw mut length,
        )
    };
    if gave != 0 {
        return Err(io::Error::last_os_error());
    }
    bytes.truncate(usize::try_from(length).unwrap_or(0));
    Ok(bytes)
}
