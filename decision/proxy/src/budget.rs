//! One bound on the bodies that the process holds at once. Its container's memory is limited, and an agent that opens many
//! connections must not get its own sidecar killed, with what is known of its runs. Nobody waits for room: what finds none is
//! refused.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The budgets of a process. Answers have their own: calls that are coming in do not cost the answer of one that was made.
#[derive(Debug)]
pub struct Budgets {
    /// For bodies of requests, from their first byte to the end of their calls.
    pub requests: Budget,
    /// For bodies of answers, until the agent has read them.
    pub answers: Budget,
}

/// Bytes that are left for bodies.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Semaphore>);

/// What a body takes of its budget, given back when the last clone is dropped.
#[derive(Debug, Clone, Default)]
pub struct Held(Option<Arc<OwnedSemaphorePermit>>);

/// A body that came in whole.
#[derive(Debug)]
pub struct Whole {
    /// All of it.
    pub bytes: Vec<u8>,
    /// To be kept as long as the bytes are, or what is made of them.
    pub held: Held,
    /// Whether anything followed it.
    pub has_trailers: bool,
}

/// Why a body was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// It is larger than it may be.
    TooLarge,
    /// There are too many others.
    NoRoom,
    /// It ended too early, or is not well formed.
    BrokeOff,
}

/// A body that is coming in.
struct Reading<'a> {
    budget: &'a Budget,
    max_bytes: usize,
    bytes: Vec<u8>,
    /// As large as the buffer.
    charged: usize,
    permit: Option<OwnedSemaphorePermit>,
}

/// Bytes with what they take.
struct Owner {
    bytes: Bytes,
    _held: Held,
}

impl Budgets {
    /// Two budgets of that many bytes each.
    pub fn new(bytes: u32) -> Self {
        Self { requests: Budget::new(bytes), answers: Budget::new(bytes) }
    }
}

impl Budget {
    /// A budget of that many bytes.
    pub fn new(bytes: u32) -> Self {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Semaphore::new(bytes)))
    }

    /// Reads a body whole. It takes what has come in, not what was announced: who announces much and sends nothing takes
    /// nothing from others.
    pub async fn read<B>(&self, mut body: B, max_bytes: usize) -> Result<Whole, Unread>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let mut reading = Reading { budget: self, max_bytes, bytes: Vec::new(), charged: 0, permit: None };
        let mut has_trailers = false;
        while let Some(frame) = body.frame().await {
            match frame.map_err(|_| Unread::BrokeOff)?.into_data() {
                // Copied, since a small frame may hold on to a large buffer.
                Ok(data) => reading.add(&data)?,
                Err(_) => has_trailers = true,
            }
        }
        let Reading { bytes, permit, .. } = reading;
        Ok(Whole { bytes, held: Held(permit.map(Arc::new)), has_trailers })
    }
}

impl Reading<'_> {
    fn add(&mut self, data: &[u8]) -> Result<(), Unread> {
        let needed = self.bytes.len().saturating_add(data.len());
        if needed > self.max_bytes {
            return Err(Unread::TooLarge);
        }
        if needed > self.charged {
            // Twice as much as before, so that little is moved; just enough where there is no room for that.
            let roomy = self.charged.saturating_mul(2).min(self.max_bytes).max(needed);
            if !self.charge(roomy) && !self.charge(needed) {
                return Err(Unread::NoRoom);
            }
            self.bytes.reserve_exact(self.charged.saturating_sub(self.bytes.len()));
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    /// Takes as much as a buffer of this size needs more; false when there is no room for it.
    fn charge(&mut self, size: usize) -> bool {
        let Ok(more) = u32::try_from(size.saturating_sub(self.charged)) else { return false };
        let Ok(taken) = Arc::clone(&self.budget.0).try_acquire_many_owned(more) else { return false };
        match &mut self.permit {
            Some(permit) => permit.merge(taken),
            None => self.permit = Some(taken),
        }
        self.charged = size;
        true
    }
}

impl Held {
    /// The bytes, which keep what they take as long as any part of them is used: an answer until its agent has read it.
    pub fn around(self, bytes: Bytes) -> Bytes {
        if self.0.is_none() { bytes } else { Bytes::from_owner(Owner { bytes, _held: self }) }
    }
}

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;

    use super::*;

    fn whole(length: usize) -> Full<Bytes> {
        Full::new(vec![b'x'; length].into())
    }

    fn frames(count: usize) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        let frame = || Ok::<_, Infallible>(Frame::data(Bytes::from(vec![b'x'; 100])));
        StreamBody::new(futures::stream::iter(std::iter::repeat_with(frame).take(count)))
    }

    #[tokio::test]
    async fn what_finds_no_room_is_refused_until_others_have_ended() {
        let budget = Budget::new(1000);
        let first = budget.read(whole(600), 1000).await.unwrap();
        assert_eq!(budget.read(whole(600), 1000).await.unwrap_err(), Unread::NoRoom);
        assert_eq!(budget.read(whole(400), 1000).await.unwrap().bytes.len(), 400, "there is room for that");
        let body = first.held.around(first.bytes.into());
        let part = body.slice(..1);
        drop(body);
        assert_eq!(budget.read(whole(600), 1000).await.unwrap_err(), Unread::NoRoom, "part of it is used");
        drop(part);
        budget.read(whole(1000), 1000).await.unwrap();
        assert_eq!(budget.0.available_permits(), 1000);
    }

    #[tokio::test]
    async fn a_body_takes_what_its_buffer_takes() {
        let budget = Budget::new(900);
        let body = budget.read(frames(9), 1000).await.unwrap();
        assert_eq!((body.bytes.len(), budget.0.available_permits()), (900, 0));
        drop(body);
        assert_eq!(budget.read(frames(10), 1000).await.unwrap_err(), Unread::NoRoom);
        assert_eq!(budget.read(frames(9), 899).await.unwrap_err(), Unread::TooLarge);
        assert_eq!(budget.0.available_permits(), 900, "what was not read to its end takes nothing");
        let empty = budget.read(whole(0), 0).await.unwrap();
        assert!(empty.bytes.is_empty() && !empty.has_trailers);
    }
}
