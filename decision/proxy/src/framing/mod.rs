//! What may not even reach the HTTP parser: bytes whose framing two parsers could read in different ways (THR-11).
//!
//! hyper is lenient where RFC 9112 lets it be: it takes a lone LF for the end of a line, forgets a Content-Length beside
//! a Transfer-Encoding and a second one like the first, cuts a fragment off the target and skips chunk extensions. A
//! program between agent and sidecar may read each of these in another way, and nothing of it can be seen any more
//! when hyper is done. So the bytes are followed here first: from the first that is in doubt on, hyper gets nothing but a
//! NUL and the end, which it answers with 400 in a head, and reports as a broken body in a body. What passes means the
//! same to every parser that follows the RFC; hyper still parses it, and judges all that is not framing.

mod scan;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use scan::Scan;

/// In no place of a head or of a chunk's frame: every parser refuses it.
const POISON: u8 = 0;

/// A connection whose incoming bytes are plainly framed HTTP/1.1, up to a NUL.
#[derive(Debug)]
pub struct Plain<S> {
    stream: S,
    scan: Scan,
    ended: bool,
}

impl<S> Plain<S> {
    /// Follows a connection from its first byte on.
    pub fn new(stream: S) -> Self {
        Self { stream, scan: Scan::default(), ended: false }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Plain<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ended {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let Poll::Ready(Ok(())) = &polled
            && let Err(plain) = self.scan.follow(buffer.filled().get(before..).unwrap_or_default())
        {
            self.ended = true;
            // At least one byte is in doubt, so there is room for one.
            buffer.set_filled(before.saturating_add(plain));
            buffer.put_slice(&[POISON]);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Plain<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn from_the_first_byte_in_doubt_on_there_is_a_nul_and_the_end() {
        let sent: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\nhost: a\r\n\r\n";
        let (mut stream, mut read) = (Plain::new(sent), [0; 256]);
        let length = stream.read(&mut read).await.unwrap();
        assert_eq!(read.get(..length), Some(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n\0".as_slice()));
        assert_eq!(stream.read(&mut read).await.unwrap(), 0, "nothing more is read");
    }

    #[tokio::test]
    async fn what_is_plain_passes_as_it_came() {
        let sent: &[u8] = b"\r\nPOST / HTTP/1.1\r\ncontent-length: 3\r\n\r\n\n\0#GET / HTTP/1.1\r\n\r\n";
        let mut read = Vec::new();
        Plain::new(sent).read_to_end(&mut read).await.unwrap();
        assert_eq!(read, sent);
    }
}
