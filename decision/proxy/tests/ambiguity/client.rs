//! The agent's side: writes a vector's bytes, and hears all that comes until the end.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use crate::vector::{Then, Vector};

/// Time until a connection must have come to its end.
const WAIT: Duration = Duration::from_secs(20);

/// One final answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// The decision's id; none in a refusal by the HTTP parser.
    pub decision: Option<String>,
}

/// All that was heard.
#[derive(Debug, Default)]
pub struct Heard {
    pub answers: Vec<Answer>,
    /// Bytes that are no answer.
    pub rest: Vec<u8>,
    /// Whether the sidecar ended the connection.
    pub ended: bool,
}

/// Plays one vector.
pub async fn play(sidecar: SocketAddr, vector: &Vector) -> Heard {
    let stream = TcpStream::connect(sidecar).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (read, mut write) = stream.into_split();
    let (count, then) = vector.then();
    let mut heard = Heard::default();
    let all = async {
        let (read, ()) = tokio::join!(hear(read, &mut heard, Some(count)), say(&mut write, vector));
        match then {
            // What the sidecar does not read any longer cannot be written.
            Then::Send(bytes) => drop(write.write_all(&bytes).await),
            Then::Leave => drop(write.shutdown().await),
            Then::Hear => {}
        }
        hear(read, &mut heard, None).await;
    };
    // A connection that does not come to its end is seen by what was heard.
    let _ = timeout(WAIT, all).await;
    heard
}

async fn say(write: &mut OwnedWriteHalf, vector: &Vector) {
    let bytes = vector.bytes();
    let mut rest = bytes.as_slice();
    let mut lengths = vector.writes.iter().cycle();
    while !rest.is_empty() {
        let length = lengths.next().copied().unwrap_or(rest.len()).min(rest.len());
        let (now, later) = rest.split_at(length);
        if write.write_all(now).await.is_err() {
            return;
        }
        // Lets the sidecar read what is there, mostly.
        tokio::task::yield_now().await;
        rest = later;
    }
}

/// Hears until there are so many answers, or until the end.
async fn hear(mut read: OwnedReadHalf, heard: &mut Heard, count: Option<usize>) -> OwnedReadHalf {
    while !heard.ended && count.is_none_or(|count| heard.answers.len() < count) {
        match read.read_buf(&mut heard.rest).await {
            Ok(0) | Err(_) => heard.ended = true,
            Ok(_) => heard.take_answers(),
        }
    }
    read
}

impl Heard {
    /// Takes whole answers off the bytes that came; interim ones (100) are no answers.
    fn take_answers(&mut self) {
        while let Some(end) = self.rest.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(self.rest[..end].to_vec()).expect("heads of answers are text");
            let status = head.strip_prefix("HTTP/1.").and_then(|line| line.get(2..5)?.parse().ok());
            let status: u16 = status.unwrap_or_else(|| panic!("no answer: {head:?}"));
            let value = |name: &str| {
                let mut fields = head.split("\r\n").filter_map(|line| line.split_once(": "));
                let found = fields.find(|(field, _)| field.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.to_owned())
            };
            let length: usize = value("content-length").map_or(0, |length| length.parse().unwrap());
            let whole = end + 4 + length;
            if self.rest.len() < whole {
                return;
            }
            if status >= 200 {
                self.answers.push(Answer { status, decision: value("aegis-decision") });
            }
            self.rest.drain(..whole);
        }
    }
}
