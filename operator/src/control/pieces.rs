//! The lines of a feed, in pieces, on their way into its connection. Of a line that waits for a slow reader only few pieces
//! are held beside the line itself, whose sender knows when all of it was taken, and gives up when it takes too long.

use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, stream};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Longest piece in bytes.
const PIECE: usize = 64 * 1024;
/// Pieces under way to a slow reader; then the line waits.
const QUEUE: usize = 4;
/// Time for a line to be taken. A sidecar waits no longer for one.
const TAKEN_WITHIN: Duration = Duration::from_secs(30);

/// Where lines go in.
#[derive(Debug, Clone)]
pub struct Pieces(mpsc::Sender<Bytes>);

/// Why a line was not taken whole. The feed must end then: what follows would be read as its rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// Nobody reads any more.
    #[error("the reader is gone")]
    Gone,
    /// Not in time.
    #[error("a line was not taken within {} s", TAKEN_WITHIN.as_secs())]
    TooSlow,
}

/// The feed ended within a line. A reader must not take what it has for an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the feed ended within a line")]
pub struct Cut;

/// Where lines go in, and where their pieces come out.
pub fn pieces() -> (Pieces, impl Stream<Item = Result<Bytes, Cut>> + Send + 'static) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let stream = stream::unfold((receiver, true), |(mut receiver, whole): (mpsc::Receiver<Bytes>, bool)| async move {
        match receiver.recv().await {
            Some(piece) => {
                let whole = piece.ends_with(b"\n");
                Some((Ok(piece), (receiver, whole)))
            }
            None if whole => None,
            None => Some((Err(Cut), (receiver, true))),
        }
    });
    (Pieces(sender), stream)
}

impl Pieces {
    /// Puts a line, its end included. Returns when the connection has taken all of it but a few pieces.
    pub async fn put(&self, line: &str) -> Result<(), NotTaken> {
        in_time(self.queue(line)).await
    }

    /// Puts a line, its end included. Returns when the connection has taken all of it: no piece is under way any more.
    pub async fn put_whole(&self, line: &str) -> Result<(), NotTaken> {
        in_time(async {
            self.queue(line).await?;
            self.taken().await
        })
        .await
    }

    async fn queue(&self, line: &str) -> Result<(), NotTaken> {
        for piece in line.as_bytes().chunks(PIECE) {
            // A copy: a part of the line would keep the whole line in memory.
            self.0.send(Bytes::copy_from_slice(piece)).await.map_err(|_| NotTaken::Gone)?;
        }
        Ok(())
    }

    /// Returns when the connection has taken every piece, which is when all of the queue is free.
    async fn taken(&self) -> Result<(), NotTaken> {
        self.0.reserve_many(self.0.max_capacity()).await.map(drop).map_err(|_| NotTaken::Gone)
    }

    /// Returns when nobody reads any more.
    pub async fn gone(&self) {
        self.0.closed().await;
    }
}

async fn in_time(taking: impl Future<Output = Result<(), NotTaken>>) -> Result<(), NotTaken> {
    timeout(TAKEN_WITHIN, taking).await.unwrap_or(Err(NotTaken::TooSlow))
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, StreamExt as _};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_long_line_comes_as_it_was_put() {
        let (lines, stream) = pieces();
        let long = format!("{}\n", "x".repeat(10 * PIECE + 7));
        let put = async {
            lines.put("short\n").await.unwrap();
            lines.put(&long).await.unwrap();
            drop(lines);
        };
        let ((), read) = futures::join!(put, stream.collect::<Vec<_>>());
        let read: Vec<Bytes> = read.into_iter().map(Result::unwrap).collect();
        assert!(read.iter().all(|piece| piece.len() <= PIECE));
        let read: Vec<u8> = read.iter().flat_map(|piece| piece.to_vec()).collect();
        assert_eq!(read, format!("short\n{long}").as_bytes());
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_is_given_up_and_told_that_the_line_is_not_whole() {
        let (lines, stream) = pieces();
        let long = "x".repeat(10 * PIECE);
        assert_eq!(lines.put(&long).await, Err(NotTaken::TooSlow));
        drop(lines);
        let read: Vec<_> = stream.collect().await;
        assert_eq!((read.len(), read.last()), (QUEUE + 1, Some(&Err(Cut))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_whole_line_was_put_when_its_last_piece_was_taken() {
        let (lines, stream) = pieces();
        let mut stream = std::pin::pin!(stream);
        let two = format!("{}\n", "x".repeat(PIECE));
        let mut put = std::pin::pin!(lines.put_whole(&two));
        for _ in 0..2 {
            assert!(put.as_mut().now_or_never().is_none(), "a piece waits to be taken");
            assert!(stream.next().await.unwrap().is_ok());
        }
        assert_eq!(put.now_or_never(), Some(Ok(())));
        assert_eq!(lines.put("x\n").await, Ok(()), "what fits into the queue is put");
        assert_eq!(lines.put_whole("x\n").await, Err(NotTaken::TooSlow), "and not whole until it is taken");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_is_gone_is_noticed() {
        let (lines, stream) = pieces();
        lines.put("x\n").await.unwrap();
        drop(stream);
        lines.gone().await;
        assert_eq!(lines.put("x\n").await, Err(NotTaken::Gone));
        assert_eq!(lines.taken().await, Err(NotTaken::Gone), "what was not taken will not be");
    }
}
