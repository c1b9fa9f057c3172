//! One connection that sends one prepared request after another. It does as little as it can: the load shares its core
//! with the tool.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

/// The longest that an answer may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// Header fields of an answer at most.
const FIELDS: usize = 64;

/// An open connection.
#[derive(Debug)]
pub struct Line {
    address: SocketAddr,
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Line {
    /// Connects.
    pub fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        Ok(Self { address, stream, answer: Vec::with_capacity(4096) })
    }

    /// Sends a request and reads the whole answer. Says whether it was 200; after any other the connection is a new one,
    /// since some servers end it then.
    pub fn goes(&mut self, request: &[u8]) -> Result<bool> {
        self.stream.write_all(request)?;
        let status = self.read_answer().with_context(|| format!("no answer from {}", self.address))?;
        if status != 200 {
            *self = Self::open(self.address)?;
        }
        Ok(status == 200)
    }

    fn read_answer(&mut self) -> Result<u16> {
        self.answer.clear();
        let mut part = [0; 4096];
        loop {
            let read = self.stream.read(&mut part)?;
            ensure!(read > 0, "the connection ended within an answer");
            self.answer.extend_from_slice(part.get(..read).unwrap_or_default());
            if let Some((status, bytes)) = head(&self.answer)?
                && self.answer.len() >= bytes
            {
                ensure!(self.answer.len() == bytes, "more than one answer to one request");
                return Ok(status);
            }
        }
    }
}

/// Status of an answer and its bytes, once its head is complete.
fn head(answer: &[u8]) -> Result<Option<(u16, usize)>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(head) = response.parse(answer)? else { return Ok(None) };
    let mut lengths = response.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("content-length"));
    let length = lengths.next().context("an answer without content-length")?;
    let length: usize = std::str::from_utf8(length.value)?.trim().parse()?;
    Ok(Some((response.code.context("an answer without status")?, head + length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_its_length_says() {
        let answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(head(answer).unwrap(), Some((403, answer.len())));
        assert_eq!(head(b"HTTP/1.1 200 OK\r\ncontent-len").unwrap(), None);
        assert!(head(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }
}
