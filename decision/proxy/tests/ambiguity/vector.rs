//! A vector: bytes of one connection, and what must come of them.

use std::fmt::Write as _;
use std::net::SocketAddr;

/// Where a vector is for.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Name of the tool and of the server behind it.
    pub tool: &'static str,
    pub upstream: SocketAddr,
    pub sidecar: SocketAddr,
}

/// A request as a server must understand it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sent {
    pub tool: String,
    pub method: String,
    pub target: String,
    pub body: String,
}

/// What comes of one piece of a vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Allowed: the server sees exactly this, and the connection goes on.
    Sent(Sent),
    /// Allowed, and the last of its connection, as the agent asked.
    Last(Sent),
    /// Refused with an answer; the connection goes on.
    Refused,
    /// Refused; nothing behind it is read.
    Ends,
    /// Never complete: the agent goes away in the midst of it.
    Cut,
}

/// One piece: what should be one request.
#[derive(Debug, Clone)]
pub struct Piece {
    /// Each character is one byte (Latin-1).
    pub text: String,
    pub outcome: Outcome,
}

/// One connection.
#[derive(Debug)]
pub struct Vector {
    pub name: String,
    /// What is done in it.
    pub kind: &'static str,
    pieces: Vec<Piece>,
    /// Lengths of the writes, over and over; none: all at once.
    pub writes: Vec<usize>,
    /// A plain request, sent when all before was answered, where the connection goes on.
    after: Piece,
}

/// What the agent does when it has heard the answers that it waits for.
#[derive(Debug, PartialEq, Eq)]
pub enum Then {
    /// Sends this, which ends the connection, and hears one more answer.
    Send(Vec<u8>),
    /// Hears the end; the sidecar ends the connection.
    Hear,
    /// Ends its own side.
    Leave,
}

impl Vector {
    /// Puts pieces together. What stands behind one that ends the connection must come to nothing.
    pub fn new(name: String, kind: &'static str, pieces: Vec<Piece>, writes: Vec<usize>, after: Piece) -> Self {
        Self { name, kind, pieces, writes, after }
    }

    /// Whether all of it goes through.
    pub fn passes(&self) -> bool {
        self.pieces.iter().all(|piece| matches!(piece.outcome, Outcome::Sent(_)))
    }

    /// All bytes that are sent without waiting.
    pub fn bytes(&self) -> Vec<u8> {
        self.pieces.iter().flat_map(|piece| latin1(&piece.text)).collect()
    }

    /// The pieces that are read, with the one behind where the connection goes on.
    fn read(&self) -> impl Iterator<Item = &Piece> {
        let end = self.pieces.iter().position(|piece| piece.outcome.ends());
        let count = end.map_or(self.pieces.len(), |at| at + 1);
        self.pieces.iter().take(count).chain(end.is_none().then_some(&self.after))
    }

    /// What the server must see, in order.
    pub fn sent(&self) -> impl Iterator<Item = &Sent> {
        self.read().filter_map(|piece| match &piece.outcome {
            Outcome::Sent(sent) | Outcome::Last(sent) => Some(sent),
            Outcome::Refused | Outcome::Ends | Outcome::Cut => None,
        })
    }

    /// Whether each answer is the server's.
    pub fn answers(&self) -> Vec<bool> {
        self.read().map(|piece| matches!(piece.outcome, Outcome::Sent(_) | Outcome::Last(_))).collect()
    }

    /// Whether the sidecar ends the connection with a refusal, which may be lost on the way.
    pub fn ends_refused(&self) -> bool {
        self.read().last().is_some_and(|piece| matches!(piece.outcome, Outcome::Ends | Outcome::Cut))
    }

    /// What follows, once this many answers were heard.
    pub fn then(&self) -> (usize, Then) {
        let answers = self.answers().len();
        match self.read().last().map(|piece| &piece.outcome) {
            Some(Outcome::Ends) => (answers, Then::Hear),
            Some(Outcome::Cut) => (answers - 1, Then::Leave),
            _ if self.pieces.iter().any(|piece| piece.outcome.ends()) => (answers, Then::Hear),
            _ => (answers - 1, Then::Send(latin1(&self.after.text))),
        }
    }

    /// For messages: the bytes, readable.
    pub fn shown(&self) -> String {
        let mut text = format!("{}: {}\n", self.name, self.kind);
        for piece in self.read() {
            let shown: String = piece.text.chars().take(1_500).collect();
            let _ = writeln!(text, "  {:?}\n    {shown:?}", piece.outcome);
        }
        text
    }
}

impl Outcome {
    fn ends(&self) -> bool {
        matches!(self, Self::Last(_) | Self::Ends | Self::Cut)
    }
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|byte| u8::try_from(byte).expect("Latin-1 only")).collect()
}
