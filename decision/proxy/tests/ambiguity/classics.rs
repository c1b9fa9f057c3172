//! The named classics, each by hand, for every server. Behind each that ends its connection stands a request that the
//! policy would allow: whoever reads it was led astray.
//!
//! In texts stand `{t}` for the tool, `{h}` for the sidecar's host and port, `{u}` for the server's, `{i}` for an id,
//! `{head}` for a plain beginning (`POST`, Host and content type), `{s}` for the request that is smuggled; `|` ends a line.

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::draft::Draft;
use crate::vector::{Outcome, Piece, Place, Sent, Vector};

/// What a classic must come to.
enum Want {
    /// Refused, and the connection ends.
    Ends,
    /// Refused, and the connection goes on.
    Refused,
    /// The server sees this method, target and body.
    Sent(&'static str, &'static str, &'static str),
}
use Want::{Ends, Refused};

/// Sent, as the note that its body names.
const NOTE: Want = Want::Sent("POST", "/{t}/notes", r#"{"text":"{i}"}"#);
/// Sent, as a plain Read.
const GET: Want = Want::Sent("GET", "/{t}/notes/{i}", "");

/// Name, bytes, and what comes of them.
const CLASSICS: &[(&str, &str, Want)] = &[
    // Framing: which of two says where the body ends.
    ("CL.TE", "{head}Content-Length: 6|Transfer-Encoding: chunked||0||X", Ends),
    ("CL.TE, Transfer-Encoding first", "{head}Transfer-Encoding: chunked|Content-Length: 6||0||X", Ends),
    ("TE.CL", "{head}Content-Length: 3|Transfer-Encoding: chunked||2|{}|0||", Ends),
    ("TE.CL, both agree on an empty body", "{head}Content-Length: 0|Transfer-Encoding: chunked||0||", Ends),
    ("TE.TE, unknown coding behind", "{head}Transfer-Encoding: chunked|Transfer-Encoding: x||0||", Ends),
    ("TE.TE, unknown coding in front", "{head}Transfer-Encoding: x|Transfer-Encoding: chunked||0||", Ends),
    ("TE.TE, the same twice", "{head}Transfer-Encoding: chunked|transfer-encoding: chunked||0||", Ends),
    ("TE with a space before the colon", "{head}Transfer-Encoding : chunked||0||", Ends),
    ("TE with a tab before the colon", "{head}Transfer-Encoding\t: chunked||0||", Ends),
    ("TE behind a space", "{head} Transfer-Encoding: chunked||0||", Ends),
    ("TE folded", "{head}Transfer-Encoding:| chunked||0||", Ends),
    ("TE behind another header's fold", "{head}X: y| Transfer-Encoding: chunked||0||", Ends),
    ("TE behind a lone LF", "{head}X: y\nTransfer-Encoding: chunked||0||", Ends),
    ("TE behind a lone CR", "{head}X: y\rTransfer-Encoding: chunked||0||", Ends),
    ("TE with a vertical tab", "{head}Transfer-Encoding: \u{b}chunked||0||", Ends),
    ("TE in quotes", "{head}Transfer-Encoding: \"chunked\"||0||", Ends),
    ("TE as a list", "{head}Transfer-Encoding: identity, chunked||0||", Ends),
    ("TE with chunked not last", "{head}Transfer-Encoding: chunked, identity||0||", Ends),
    ("TE identity", "{head}Transfer-Encoding: identity|Content-Length: 2||{}", Ends),
    ("TE gzip", "{head}Transfer-Encoding: gzip, chunked||0||", Ends),
    ("TE with a parameter", "{head}Transfer-Encoding: chunked;q=1||0||", Ends),
    ("TE with a misspelt coding", "{head}Transfer-Encoding: chunkedd||0||", Ends),
    ("TE empty", "{head}Transfer-Encoding:||0||", Ends),
    ("TE in HTTP/1.0", "POST /{t}/notes HTTP/1.0|Host: {h}|Transfer-Encoding: chunked||0||", Ends),
    ("TE with an underscore is another header", "{head}Transfer_Encoding: chunked|{length}", NOTE),
    ("TE in any case", "{head}TRANSFER-encoding:\tChunked ||{size}|{body}|0||", NOTE),
    ("CL twice, different", "{head}Content-Length: 2|Content-Length: 3||{}", Ends),
    ("CL twice, the same", "{head}Content-Length: 2|Content-Length: 2||{}", Ends),
    ("CL as a list of the same", "{head}Content-Length: 2, 2||{}", Ends),
    ("CL with a plus sign", "{head}Content-Length: +2||{}", Ends),
    ("CL with a minus sign", "{head}Content-Length: -2||{}", Ends),
    ("CL in hex", "{head}Content-Length: 0x2||{}", Ends),
    ("CL with a fraction", "{head}Content-Length: 2.0||{}", Ends),
    ("CL with a space inside", "{head}Content-Length: 2 0||{}", Ends),
    ("CL empty", "{head}Content-Length: ||", Ends),
    ("CL beyond 64 bits", "{head}Content-Length: 18446744073709551618||{}", Ends),
    ("CL folded", "{head}Content-Length: 1| 0||0123456789", Ends),
    ("CL with a space before the colon", "{head}Content-Length : 2||{}", Ends),
    ("CL of zero, and a body", "{head}Content-Length: 0||{s}", Want::Sent("POST", "/{t}/notes", "")),
    ("CL over the tool's limit", "{head}Content-Length: 5000||{}", Ends),
    ("CL.0: a Read with a body", "GET /{t}/notes/{i} HTTP/1.1|Host: {h}|Content-Length: 2||{}", Ends),
    (
        "a Read whose body is a request",
        "GET /{t}/notes/{i} HTTP/1.1|Host: {h}|Transfer-Encoding: chunked||5|GET /|0||",
        Ends,
    ),
    // Chunks.
    ("a chunk extension", "{head}Transfer-Encoding: chunked||2;a=b|{}|0||", Ends),
    ("a chunk extension with a lone LF", "{head}Transfer-Encoding: chunked||2;\n{}|0||", Ends),
    ("a chunk extension of the last chunk", "{head}Transfer-Encoding: chunked||2|{}|0;a||", Ends),
    ("a chunk size with 0x", "{head}Transfer-Encoding: chunked||0x2|{}|0||", Ends),
    ("a chunk size with a space", "{head}Transfer-Encoding: chunked||2 |{}|0||", Ends),
    ("a chunk size with a space in front", "{head}Transfer-Encoding: chunked|| 2|{}|0||", Ends),
    ("a chunk size with a sign", "{head}Transfer-Encoding: chunked||+2|{}|0||", Ends),
    ("a chunk size that overflows", "{head}Transfer-Encoding: chunked||10000000000000002|{}|0||", Ends),
    ("a chunk size of 32 bits, and one", "{head}Transfer-Encoding: chunked||100000002|{}|0||", Ends),
    ("a chunk size that is empty", "{head}Transfer-Encoding: chunked|||{}|0||", Ends),
    ("a chunk size that ends in a lone LF", "{head}Transfer-Encoding: chunked||2\n{}|0||", Ends),
    ("a chunk size that ends in a lone CR", "{head}Transfer-Encoding: chunked||2\r{}|0||", Ends),
    ("a chunk that ends in a lone LF", "{head}Transfer-Encoding: chunked||2|{}\n0||", Ends),
    ("a chunk that ends in nothing", "{head}Transfer-Encoding: chunked||2|{}0||", Ends),
    ("a chunk that ends in two other bytes", "{head}Transfer-Encoding: chunked||2|{}XX0||", Ends),
    ("a chunk that is longer than it says", "{head}Transfer-Encoding: chunked||2|{} |0||", Ends),
    ("a last chunk that ends in a lone LF", "{head}Transfer-Encoding: chunked||2|{}|0\n|", Ends),
    ("a chunked body that ends in a lone LF", "{head}Transfer-Encoding: chunked||2|{}|0|\n", Ends),
    ("a trailer", "{head}Transfer-Encoding: chunked||2|{}|0|X: y||", Ends),
    ("a trailer that frames", "{head}Transfer-Encoding: chunked||2|{}|0|Content-Length: 50||", Ends),
    ("a declared trailer", "{head}Trailer: X|Transfer-Encoding: chunked||2|{}|0|X: y||", Ends),
    (
        "several chunks, sizes with zeros in front",
        "{head}Transfer-Encoding: chunked||01|{|0{rest-size}|{rest}|000||",
        NOTE,
    ),
    // Lines.
    ("lone LFs", "GET /{t}/notes/{i} HTTP/1.1\nHost: {h}\n\n", Ends),
    ("a lone LF behind the request line", "GET /{t}/notes/{i} HTTP/1.1\nHost: {h}||", Ends),
    ("a lone LF at the end of the head", "GET /{t}/notes/{i} HTTP/1.1|Host: {h}|\n", Ends),
    ("a lone CR in a value", "GET /{t}/notes/{i} HTTP/1.1|Host: {h}|X: a\rb||", Ends),
    ("a NUL in a value", "GET /{t}/notes/{i} HTTP/1.1|Host: {h}|X: a\0b||", Ends),
    ("a NUL in a name", "GET /{t}/notes/{i} HTTP/1.1|Host: {h}|X\0: a||", Ends),
    ("a folded header", "GET /{t}/notes/{i} HTTP/1.1|Host: {h}|X: a| b||", Ends),
    ("a first header that is folded", "GET /{t}/notes/{i} HTTP/1.1| X: a|Host: {h}||", Ends),
    ("a header without a colon", "GET /{t}/notes/{i} HTTP/1.1|Host: {h}|X||", Ends),
    ("a header without a name", "GET /{t}/notes/{i} HTTP/1.1|Host: {h}|: a||", Ends),
    ("a name that is no token", "GET /{t}/notes/{i} HTTP/1.1|Host: {h}|X(y): a||", Ends),
    ("a name beyond ASCII", "GET /{t}/notes/{i} HTTP/1.1|Host: {h}|\u{ff}: a||", Ends),
    ("a lone LF in front of the request", "\nGET /{t}/notes/{i} HTTP/1.1|Host: {h}||", Ends),
    ("empty lines in front of the request", "||GET /{t}/notes/{i} HTTP/1.1|Host: {h}||", GET),
    ("white space around a value", "GET /{t}/notes/{i} HTTP/1.1|Host:  \t{h}\t ||", GET),
    ("a header beyond ASCII that means nothing", "GET /{t}/notes/{i} HTTP/1.1|Host: {h}|X: \u{e4}||", GET),
    (
        "headers that name another path",
        "GET /{t}/notes/{i} HTTP/1.1|Host: {h}|X-Original-URL: /secrets|X-Rewrite-URL: /secrets||",
        GET,
    ),
    (
        "a header that names another method",
        "GET /{t}/notes/{i} HTTP/1.1|Host: {h}|X-HTTP-Method-Override: DELETE||",
        GET,
    ),
    ("the tool's own header", "GET /{t}/notes/{i} HTTP/1.1|Host: {h}|X-Company: 8|x-company: 9||", GET),
    (
        "headers named as the connection's",
        "GET /{t}/notes/{i} HTTP/1.1|Host: {h}|Connection: x-company, host, keep-alive||",
        GET,
    ),
    // The request line.
    ("no version", "GET /{t}/notes/{i}|Host: {h}||", Ends),
    ("HTTP/0.9", "GET /{t}/notes/{i} HTTP/0.9|Host: {h}||", Ends),
    ("HTTP/1.0", "GET /{t}/notes/{i} HTTP/1.0|Host: {h}|Connection: keep-alive||", Ends),
    ("HTTP/1.2", "GET /{t}/notes/{i} HTTP/1.2|Host: {h}||", Ends),
    ("HTTP/2.0", "GET /{t}/notes/{i} HTTP/2.0|Host: {h}||", Ends),
    ("a version in lower case", "GET /{t}/notes/{i} http/1.1|Host: {h}||", Ends),
    ("two spaces", "GET  /{t}/notes/{i} HTTP/1.1|Host: {h}||", Ends),
    ("tabs for spaces", "GET\t/{t}/notes/{i}\tHTTP/1.1|Host: {h}||", Ends),
    ("a space in the target", "GET /{t}/notes/{i} x HTTP/1.1|Host: {h}||", Ends),
    ("a second request line", "GET /{t}/notes/{i} HTTP/1.1|GET /{t}/secrets HTTP/1.1|Host: {h}||", Ends),
    ("a method in lower case", "get /{t}/notes/{i} HTTP/1.1|Host: {h}||", Refused),
    ("a method in mixed case", "Get /{t}/notes/{i} HTTP/1.1|Host: {h}||", Refused),
    ("PUT where there is POST", "PUT /{t}/notes HTTP/1.1|Host: {h}||", Refused),
    ("TRACE", "TRACE /{t}/notes/{i} HTTP/1.1|Host: {h}||", Refused),
    ("a method that is no token", "G@T /{t}/notes/{i} HTTP/1.1|Host: {h}||", Ends),
    // Where to.
    ("no Host", "GET /{t}/notes/{i} HTTP/1.1||", Ends),
    ("two Hosts", "GET /{t}/notes/{i} HTTP/1.1|Host: {h}|Host: {h}||", Ends),
    ("two Hosts, one folded", "GET /{t}/notes/{i} HTTP/1.1|Host: {h}| evil.example||", Ends),
    ("another Host", "GET /{t}/notes/{i} HTTP/1.1|Host: evil.example||", Ends),
    ("an empty Host", "GET /{t}/notes/{i} HTTP/1.1|Host:||", Ends),
    ("Hosts in a list", "GET /{t}/notes/{i} HTTP/1.1|Host: {h}, evil.example||", Ends),
    ("a Host with a user", "GET /{t}/notes/{i} HTTP/1.1|Host: evil.example@{h}||", Ends),
    ("a Host with a path", "GET /{t}/notes/{i} HTTP/1.1|Host: {h}/x||", Ends),
    ("the server's Host", "GET /{t}/notes/{i} HTTP/1.1|Host: {u}||", Ends),
    ("a whole URL", "GET http://{u}/{t}/notes/{i} HTTP/1.1|Host: {u}||", GET),
    ("a whole URL, scheme in capitals", "GET HTTP://{u}/{t}/notes/{i} HTTP/1.1|Host: {u}||", GET),
    ("a whole URL that Host contradicts", "GET http://{u}/{t}/notes/{i} HTTP/1.1|Host: {h}||", Ends),
    ("a whole URL of another host", "GET http://evil.example/{t}/notes/{i} HTTP/1.1|Host: evil.example||", Refused),
    ("a whole URL with a user", "GET http://{u}@evil.example/ HTTP/1.1|Host: evil.example||", Ends),
    ("a whole URL without Host", "GET http://{u}/{t}/notes/{i} HTTP/1.1||", Ends),
    ("a URL without scheme", "GET //{u}/{t}/notes/{i} HTTP/1.1|Host: {h}||", Refused),
    ("no slash in front", "GET {t}/notes/{i} HTTP/1.1|Host: {h}||", Ends),
    ("an asterisk", "OPTIONS * HTTP/1.1|Host: {h}||", Ends),
    ("a tunnel to the server", "CONNECT {u} HTTP/1.1|Host: {u}||", Ends),
    ("a tunnel with a body", "CONNECT {u} HTTP/1.1|Host: {u}|Content-Length: 2||{}", Ends),
    (
        "websocket",
        "GET /{t}/notes/{i} HTTP/1.1|Host: {h}|Connection: Upgrade|Upgrade: websocket|Sec-WebSocket-Version: 13||",
        Ends,
    ),
    (
        "h2c",
        "GET /{t}/notes/{i} HTTP/1.1|Host: {h}|Connection: Upgrade, HTTP2-Settings|Upgrade: h2c|HTTP2-Settings: AAMAAABkAAQ||",
        Ends,
    ),
    ("HTTP/2 by itself", "PRI * HTTP/2.0||SM||", Ends),
    // The path.
    ("two dots", "GET /{t}/notes/../secrets HTTP/1.1|Host: {h}||", Ends),
    ("two dots to another tool", "GET /{t}/../other/notes/{i} HTTP/1.1|Host: {h}||", Ends),
    ("two dots, encoded", "GET /{t}/notes/%2e%2e/secrets HTTP/1.1|Host: {h}||", Ends),
    ("two dots, encoded twice", "GET /{t}/notes/%252e%252e HTTP/1.1|Host: {h}||", Ends),
    ("two dots with a parameter", "GET /{t}/notes/..;x/secrets HTTP/1.1|Host: {h}||", Ends),
    ("one dot", "GET /{t}/./notes/{i} HTTP/1.1|Host: {h}||", Ends),
    ("an encoded slash", "GET /{t}/notes/a%2f{i} HTTP/1.1|Host: {h}||", Ends),
    ("a slash, encoded twice", "GET /{t}/notes/a%252f{i} HTTP/1.1|Host: {h}||", Ends),
    ("a backslash", "GET /{t}/notes\\{i} HTTP/1.1|Host: {h}||", Ends),
    ("an encoded backslash", "GET /{t}/notes/..%5c{i} HTTP/1.1|Host: {h}||", Ends),
    ("an encoded NUL", "GET /{t}/notes/{i}%00 HTTP/1.1|Host: {h}||", Ends),
    ("an encoded line break", "GET /{t}/notes/{i}%0d%0aHost:%20evil.example HTTP/1.1|Host: {h}||", Ends),
    ("an overlong slash", "GET /{t}/notes/%c0%af{i} HTTP/1.1|Host: {h}||", Ends),
    ("half an escape", "GET /{t}/notes/{i}%2 HTTP/1.1|Host: {h}||", Ends),
    ("an empty segment", "GET /{t}//notes/{i} HTTP/1.1|Host: {h}||", Ends),
    ("a slash at the end", "GET /{t}/notes/{i}/ HTTP/1.1|Host: {h}||", Ends),
    ("a fragment", "GET /{t}/notes/{i}#x HTTP/1.1|Host: {h}||", Ends),
    ("a fragment in front of the query", "GET /{t}/notes/{i}#?fields=a HTTP/1.1|Host: {h}||", Ends),
    ("letters beyond ASCII", "GET /{t}/notes/{i}\u{e4} HTTP/1.1|Host: {h}||", Ends),
    (
        "a parameter of the segment",
        "GET /{t}/notes/{i};x=1 HTTP/1.1|Host: {h}||",
        Want::Sent("GET", "/{t}/notes/{i}%3Bx%3D1", ""),
    ),
    ("an escape that need not be", "GET /{t}/%6eotes/{i} HTTP/1.1|Host: {h}||", GET),
    (
        "a plus sign in the query",
        "GET /{t}/notes/{i}?fields=a+b HTTP/1.1|Host: {h}||",
        Want::Sent("GET", "/{t}/notes/{i}?fields=a%20b", ""),
    ),
    ("a query parameter that nobody declared", "GET /{t}/notes/{i}?admin=1 HTTP/1.1|Host: {h}||", Refused),
    (
        "a semicolon in the query",
        "GET /{t}/notes/{i}?fields=a;admin=1 HTTP/1.1|Host: {h}||",
        Want::Sent("GET", "/{t}/notes/{i}?fields=a%3Badmin%3D1", ""),
    ),
    (
        "a second question mark",
        "GET /{t}/notes/{i}?fields=a?b HTTP/1.1|Host: {h}||",
        Want::Sent("GET", "/{t}/notes/{i}?fields=a%3Fb", ""),
    ),
    // Waiting for leave.
    ("100-continue", "{head}Expect: 100-continue|{length}", NOTE),
    ("100-continue for a refused body", "{head}Expect: 100-continue|Content-Length: 5000||", Ends),
    (
        "100-continue with both lengths",
        "{head}Expect: 100-continue|Content-Length: 2|Transfer-Encoding: chunked||",
        Ends,
    ),
    ("another expectation", "{head}Expect: 200-ok|{length}", NOTE),
];

/// All classics for one server.
pub fn vectors(place: &Place) -> Vec<Vector> {
    let numbered = CLASSICS.iter().enumerate();
    numbered.map(|(number, (name, text, want))| vector(place, number, name, text, want)).collect()
}

fn vector(place: &Place, number: usize, name: &'static str, text: &str, want: &Want) -> Vector {
    let id = format!("c{number}");
    let body = format!(r#"{{"text":"{id}"}}"#);
    let smuggled = format!("GET /{}/notes/smuggled-{id} HTTP/1.1\r\nHost: {}\r\n\r\n", place.tool, place.sidecar);
    let fill = |text: &str| {
        let text = text.replace('|', "\r\n");
        let text =
            text.replace("{head}", "POST /{t}/notes HTTP/1.1\r\nHost: {h}\r\nContent-Type: application/json\r\n");
        let text = text.replace("{length}", &format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        let text = text.replace("{size}", &format!("{:X}", body.len())).replace("{body}", &body);
        let text = text.replace("{rest-size}", &format!("{:x}", body.len() - 1)).replace("{rest}", &body[1..]);
        let text = text.replace("{t}", place.tool).replace("{h}", &place.sidecar.to_string());
        text.replace("{u}", &place.upstream.to_string()).replace("{i}", &id).replace("{s}", &smuggled)
    };
    let outcome = match want {
        Ends => Outcome::Ends,
        Refused => Outcome::Refused,
        Want::Sent(method, target, body) => Outcome::Sent(Sent {
            tool: place.tool.to_owned(),
            method: (*method).to_owned(),
            target: fill(target),
            body: fill(body),
        }),
    };
    let mut pieces = vec![Piece { text: fill(text), outcome }];
    match want {
        Ends => pieces.push(Piece { text: smuggled, outcome: Outcome::Ends }),
        // Of a pair, the second is a request of its own, and judged as such.
        _ if text.contains("{s}") => {
            let sent = Draft::get(place, &format!("smuggled-{id}")).sent();
            pieces.push(Piece { text: String::new(), outcome: Outcome::Sent(sent) });
        }
        _ => {}
    }
    let mut random = StdRng::seed_from_u64(0);
    let after = Draft::get(place, &format!("after-{id}")).last(&mut random);
    Vector::new(format!("{}: classic {number}", place.tool), name, pieces, Vec::new(), after)
}
