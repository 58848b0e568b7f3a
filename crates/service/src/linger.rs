//! How a connection is closed so that its last words arrive.
//!
//! Closing a socket with unread bytes in it sends a RST, which may overtake what was just written, so that the client never
//! reads it (RFC 9112 §9.6, RFC 1122 §4.2.2.13).

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::timeout,
};

/// A client that is silent for so long while its connection closes is not waited for any longer.
pub const SILENT: Duration = Duration::from_secs(1);
/// And it is never read for longer than this.
const LONGEST: Duration = Duration::from_secs(2);

/// Reads what the client still sends, and drops it, until the client closes too, is silent for [`SILENT`], or 2 seconds
/// have passed. Whoever calls has sent FIN.
pub async fn linger<S: AsyncRead + Unpin>(stream: &mut S) {
    let mut unread = [0; 4096];
    let read = async { while let Ok(Ok(1..)) = timeout(SILENT, stream.read(&mut unread)).await {} };
    // What is still unread then never will be.
    let _ = timeout(LONGEST, read).await;
}
