//! Where heads and bodies begin and end, read in the one way that all agree on.
//!
//! ```text
//! Start --line--> Fields --empty line--> Start (no body) | Body | Size | Tunnel (CONNECT)
//! Body --all bytes--> Start
//! Size --0--> Trailers --empty line--> Start        Size --n--> Data --n bytes--> DataEnd --empty line--> Size
//! ```

/// Longest line in bytes, its end included. hyper refuses longer heads by itself.
const MAX_LINE_BYTES: usize = 32 * 1024;
/// Most digits of a chunk's size: 4 GiB.
const MAX_SIZE_DIGITS: usize = 8;

/// What has been read of a connection so far.
#[derive(Debug, Default)]
pub struct Scan {
    state: State,
    /// A line whose end is not there yet.
    line: Vec<u8>,
    body: Option<Framing>,
    connect: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Start,
    Fields,
    Body(u64),
    Size,
    Data(u64),
    DataEnd,
    Trailers,
    Tunnel,
}

/// How a head says where its body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunked,
}

/// A line that parsers may read differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Doubtful;

impl Scan {
    /// Follows bytes as they come in. An error says how many of them are plain; nothing may be read after it.
    pub fn follow(&mut self, bytes: &[u8]) -> Result<(), usize> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let plain = bytes.len().saturating_sub(rest.len());
            rest = match self.state {
                State::Tunnel => return Ok(()),
                State::Body(left) => self.skip(rest, left, State::Body, State::Start),
                State::Data(left) => self.skip(rest, left, State::Data, State::DataEnd),
                _ => self.line(rest).map_err(|Doubtful| plain)?,
            };
        }
        Ok(())
    }

    /// Passes bytes of a body; what is left of them comes next.
    fn skip<'a>(&mut self, rest: &'a [u8], left: u64, same: fn(u64) -> State, next: State) -> &'a [u8] {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
        let left = left.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
        self.state = if left == 0 { next } else { same(left) };
        rest.get(count..).unwrap_or_default()
    }

    /// Takes bytes up to the end of a line; what is left comes next.
    fn line<'a>(&mut self, rest: &'a [u8]) -> Result<&'a [u8], Doubtful> {
        let end = rest.iter().position(|byte| *byte == b'\n').map(|at| at.saturating_add(1));
        let (part, next) = rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or((rest, &[]));
        if self.line.len().saturating_add(part.len()) > MAX_LINE_BYTES {
            return Err(Doubtful);
        }
        if end.is_none() {
            self.line.extend_from_slice(part);
            return Ok(next);
        }
        // Most lines come in one piece, and are not copied.
        let mut begun = std::mem::take(&mut self.line);
        let line = if begun.is_empty() {
            part
        } else {
            begun.extend_from_slice(part);
            begun.as_slice()
        };
        self.state = self.after(line.strip_suffix(b"\r\n").ok_or(Doubtful)?)?;
        Ok(next)
    }

    /// What comes after this line.
    fn after(&mut self, line: &[u8]) -> Result<State, Doubtful> {
        match self.state {
            // The end of trailers; or in front of a request, where all skip it (RFC 9112, 2.2).
            State::Start | State::Trailers if line.is_empty() => Ok(State::Start),
            State::Start => {
                (self.body, self.connect) = (None, line.starts_with(b"CONNECT "));
                // A fragment is no part of a target; some cut it off, some do not.
                if line.contains(&b'#') { Err(Doubtful) } else { Ok(State::Fields) }
            }
            State::Fields if line.is_empty() => Ok(match self.body {
                _ if self.connect => State::Tunnel,
                None | Some(Framing::Length(0)) => State::Start,
                Some(Framing::Length(length)) => State::Body(length),
                Some(Framing::Chunked) => State::Size,
            }),
            State::Fields => self.field(line).map(|()| State::Fields),
            State::Size => Ok(match size(line)? {
                0 => State::Trailers,
                size => State::Data(size),
            }),
            State::DataEnd if line.is_empty() => Ok(State::Size),
            State::DataEnd => Err(Doubtful),
            // Trailers are refused when the call is read; here only their end matters.
            State::Trailers => Ok(State::Trailers),
            State::Body(_) | State::Data(_) | State::Tunnel => Ok(self.state),
        }
    }

    /// One header: at most one of them says where the body ends. What is no header at all, hyper refuses.
    fn field(&mut self, line: &[u8]) -> Result<(), Doubtful> {
        let at = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at_checked(at).ok_or(Doubtful)?;
        let framing = if name.eq_ignore_ascii_case(b"content-length") {
            Framing::Length(length(value.strip_prefix(b":").ok_or(Doubtful)?)?)
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            // That it is "chunked" and nothing else is seen to when the head is read.
            Framing::Chunked
        } else {
            return Ok(());
        };
        if self.body.replace(framing).is_some() { Err(Doubtful) } else { Ok(()) }
    }
}

/// Digits only: no sign, no list.
fn length(value: &[u8]) -> Result<u64, Doubtful> {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let from = value.iter().position(|byte| !blank(byte)).unwrap_or(value.len());
    let to = value.iter().rposition(|byte| !blank(byte)).map_or(from, |at| at.saturating_add(1));
    number(value.get(from..to).unwrap_or_default(), 10)
}

/// The size of a chunk: hex digits only, no extension.
fn size(line: &[u8]) -> Result<u64, Doubtful> {
    if line.len() > MAX_SIZE_DIGITS { Err(Doubtful) } else { number(line, 16) }
}

fn number(digits: &[u8], radix: u32) -> Result<u64, Doubtful> {
    let text = std::str::from_utf8(digits).map_err(|_| Doubtful)?;
    // `from_str_radix` would take a sign.
    if !text.chars().all(|digit| digit.is_digit(radix)) {
        return Err(Doubtful);
    }
    u64::from_str_radix(text, radix).map_err(|_| Doubtful)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEAD: &str = "POST / HTTP/1.1\r\nhost: a\r\n";

    fn follow(text: &str) -> Result<State, usize> {
        let mut scan = Scan::default();
        scan.follow(text.as_bytes()).map(|()| scan.state)
    }

    #[test]
    fn a_plain_request_ends_where_it_says() {
        for (text, state) in [
            ("", State::Start),
            ("\r\n\r\n", State::Start),
            ("GET / HTTP/1.1\r\nhost: a", State::Fields),
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", State::Start),
            ("CONNECT a:443 HTTP/1.1\r\n\r\n\n\0", State::Tunnel),
            ("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab", State::Body(3)),
            ("POST / HTTP/1.1\r\nContent-Length:\t5 \r\n\r\nab\r\n\n", State::Start),
            ("POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n", State::Start),
            ("POST / HTTP/1.1\r\ncontent-length: 007\r\n\r\n", State::Body(7)),
            ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", State::Size),
            ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0A\r\n\n\0", State::Data(8)),
            ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}", State::DataEnd),
            ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\na: b\r\n", State::Trailers),
            ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n00\r\n\r\n", State::Start),
        ] {
            assert_eq!(follow(text), Ok(state), "{text:?}");
        }
    }

    #[test]
    fn framing_in_doubt_is_cut_off_before_the_line_that_makes_it_so() {
        let chunked = format!("{HEAD}transfer-encoding: chunked\r\n\r\n");
        let begun = format!("{chunked}2\r\n{{}}");
        for (plain, doubtful) in [
            ("", "GET / HTTP/1.1\n"),
            ("", "\n"),
            ("", "GET /#a HTTP/1.1\r\n"),
            ("", "GET / HTTP/1.1\rhost: a\n"),
            (HEAD, "a: b\n"),
            (HEAD, "\n"),
            (HEAD, "content-length: 1, 1\r\n"),
            (HEAD, "content-length: +1\r\n"),
            (HEAD, "content-length: -1\r\n"),
            (HEAD, "content-length: 0x1\r\n"),
            (HEAD, "content-length: 1 1\r\n"),
            (HEAD, "content-length:\r\n"),
            (HEAD, "content-length\r\n"),
            (HEAD, "content-length: 18446744073709551616\r\n"),
            (&format!("{HEAD}content-length: 1\r\n"), "Content-Length: 1\r\n"),
            (&format!("{HEAD}content-length: 1\r\n"), "Transfer-Encoding: chunked\r\n"),
            (&format!("{HEAD}transfer-encoding: chunked\r\n"), "Content-Length: 1\r\n"),
            (&format!("{HEAD}transfer-encoding: chunked\r\n"), "Transfer-Encoding: chunked\r\n"),
            (&chunked, "2;a=b\r\n"),
            (&chunked, "2 \r\n"),
            (&chunked, "0x2\r\n"),
            (&chunked, "+2\r\n"),
            (&chunked, "\r\n"),
            (&chunked, "2\n"),
            (&chunked, "000000002\r\n"),
            (&begun, "x\r\n"),
            (&begun, "\n"),
            (&format!("{begun}\r\n0\r\n"), "\n"),
        ] {
            assert_eq!(follow(&format!("{plain}{doubtful}")), Err(plain.len()), "{plain:?} {doubtful:?}");
        }
        let long = format!("{HEAD}a: {}\r\n", "b".repeat(MAX_LINE_BYTES));
        assert_eq!(follow(&long), Err(HEAD.len()));
    }

    proptest! {
        /// How the network cuts the bytes changes nothing; nothing panics.
        #[test]
        fn cuts_do_not_matter(
            parts in proptest::collection::vec(
                prop_oneof![
                    Just("POST / HTTP/1.1\r\n".to_owned()),
                    Just("content-length: 3\r\n\r\n".to_owned()),
                    Just("transfer-encoding: chunked\r\n\r\n".to_owned()),
                    Just("2\r\n{}\r\n0\r\n\r\n".to_owned()),
                    Just("\r\n".to_owned()),
                    "[\\r\\n a:0-9]{0,6}",
                ],
                0..12,
            ),
            cut in 1_usize..9,
        ) {
            let text = parts.concat();
            let mut scan = Scan::default();
            let whole = scan.follow(text.as_bytes());
            let mut pieces = Scan::default();
            let in_pieces = text.as_bytes().chunks(cut).try_for_each(|piece| pieces.follow(piece));
            prop_assert_eq!(whole.is_ok(), in_pieces.is_ok());
            if whole.is_ok() {
                prop_assert_eq!((scan.state, scan.line), (pieces.state, pieces.line));
            }
        }
    }
}
