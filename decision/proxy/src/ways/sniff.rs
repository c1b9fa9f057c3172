//! The first bytes of a connection tell what it is: HTTP/1, TLS with a server name, or something that names no host.

use std::io;

use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncReadExt};

/// First bytes that are read at most: a `ClientHello` with post-quantum shares has some 2 KiB, a URL at most 8.
const MAX_BYTES: usize = 16 * 1024;
/// First byte of every TLS handshake record.
const HANDSHAKE: u8 = 0x16;

/// What a connection begins with.
#[derive(Debug, PartialEq, Eq)]
pub enum First {
    /// A request line of HTTP/1.
    Http,
    /// A `ClientHello`; its server name in lower case, where it has one.
    Tls(Option<String>),
    /// Neither, or it ended before one could tell.
    Other,
}

/// Reads until it can be told. Gives what was read, to be passed on.
pub async fn first(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<(First, Vec<u8>)> {
    let mut bytes = Vec::with_capacity(1024);
    loop {
        if let Some(first) = tell(&bytes) {
            return Ok((first, bytes));
        }
        if bytes.len() >= MAX_BYTES || stream.read_buf(&mut bytes).await? == 0 {
            return Ok((First::Other, bytes));
        }
    }
}

/// What these bytes are; none while there are too few.
pub fn tell(bytes: &[u8]) -> Option<First> {
    match bytes.first()? {
        &HANDSHAKE => hello(bytes),
        byte if byte.is_ascii_uppercase() => request_line(bytes),
        _ => Some(First::Other),
    }
}

/// Whether a connection that was opened for a host may begin with these bytes: not with TLS for another host or for none.
/// None while there are too few.
pub fn is_for(bytes: &[u8], host: &str) -> Option<bool> {
    if bytes.first()? != &HANDSHAKE {
        return Some(true);
    }
    match tell(bytes) {
        Some(first) => Some(first == First::Tls(Some(host.to_owned()))),
        None => (bytes.len() >= MAX_BYTES).then_some(false),
    }
}

/// `METHOD target HTTP/1.x`. HTTP/2 without TLS begins with a line of its own, `PRI * HTTP/2.0`.
fn request_line(bytes: &[u8]) -> Option<First> {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        let is_text = bytes.iter().all(|byte| (0x20..0x7f).contains(byte) || *byte == b'\r');
        return (!is_text).then_some(First::Other);
    };
    let line = bytes.get(..end).unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let is_http = line.ends_with(b" HTTP/1.1") || line.ends_with(b" HTTP/1.0");
    Some(if is_http { First::Http } else { First::Other })
}

fn hello(bytes: &[u8]) -> Option<First> {
    let mut acceptor = Acceptor::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        if acceptor.read_tls(&mut rest).is_err() {
            return Some(First::Other);
        }
        match acceptor.accept() {
            Ok(None) => {}
            Ok(Some(accepted)) => {
                let name = accepted.client_hello().server_name().map(str::to_ascii_lowercase);
                return Some(First::Tls(name));
            }
            Err(_) => return Some(First::Other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::ServerName;
    use std::sync::Arc;

    fn hello_for(name: &'static str) -> Vec<u8> {
        let config = crate::forward::tls_config(None).unwrap();
        let name = ServerName::try_from(name).unwrap();
        let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_hello_tells_its_server_name_once_it_is_whole() {
        let bytes = hello_for("API.example");
        for cut in 1..bytes.len() {
            assert_eq!(tell(&bytes[..cut]), None, "{cut}");
        }
        assert_eq!(tell(&bytes), Some(First::Tls(Some("api.example".to_owned()))));
        assert_eq!(tell(&hello_for("127.0.0.1")), Some(First::Tls(None)), "an address is no server name");
    }

    #[test]
    fn a_hello_in_small_records_is_the_same() {
        let bytes = hello_for("api.example");
        let mut small = Vec::new();
        for part in bytes[5..].chunks(100) {
            small.extend([HANDSHAKE, 3, 1, 0, u8::try_from(part.len()).unwrap()]);
            small.extend(part);
        }
        assert_eq!(tell(&small), Some(First::Tls(Some("api.example".to_owned()))));
    }

    #[test]
    fn only_http_1_is_http() {
        for text in [
            "GET / HTTP/1.1\r\n",
            "POST /x?y HTTP/1.1\r\nhost: a\r\n\r\n",
            "M-SEARCH * HTTP/1.1\n",
            "GET / HTTP/1.0\r\n",
        ] {
            assert_eq!(tell(text.as_bytes()), Some(First::Http), "{text:?}");
        }
        for text in ["", "G", "GET /lon", "GET / HTTP/1.1", "GET / HTTP/1.1\r"] {
            assert_eq!(tell(text.as_bytes()), None, "{text:?}");
        }
        for bytes in [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(),
            b"SSH-2.0-OpenSSH\r\n",
            b"EHLO x\r\n",
            b"GET /\r\n",
            b"GET / HTTP/2\r\n",
            b"*1\r\n$4\r\nPING\r\n",
            b"\x05\x01\x00",
            b"\x04\x01\x01\xbb",
            b"\0\0\0\x08\x04\xd2\x16\x2f",
            b"GET /\0",
            b"\r\nGET / HTTP/1.1\r\n",
            b"get / HTTP/1.1\r\n",
            b"\x16\x03\x01\0\x05hello",
            b"\x16\x03\x01\0\0",
            b"\x16GET / HTTP/1.1\r\n",
            b"\x80\x2e\x01\x03\x01",
        ] {
            assert_eq!(tell(bytes), Some(First::Other), "{bytes:?}");
        }
    }

    #[test]
    fn a_tunnel_takes_tls_for_its_host_only() {
        let bytes = hello_for("api.example");
        assert_eq!(is_for(&bytes, "api.example"), Some(true));
        assert_eq!(is_for(&bytes, "other.example"), Some(false));
        assert_eq!(is_for(&bytes[..50], "api.example"), None);
        assert_eq!(is_for(&hello_for("127.0.0.1"), "api.example"), Some(false));
        assert_eq!(is_for(b"\x16\x03\x01\0\x05hello", "api.example"), Some(false));
        assert_eq!(is_for(b"SSH-2.0", "api.example"), Some(true));
        assert_eq!(is_for(b"", "api.example"), None);
    }

    #[tokio::test]
    async fn reading_is_bounded() {
        let endless = vec![b'A'; MAX_BYTES * 2];
        let (first, bytes) = first(&mut endless.as_slice()).await.unwrap();
        assert_eq!(first, First::Other);
        assert!(bytes.len() < MAX_BYTES * 2);
    }
}
