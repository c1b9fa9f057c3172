//! What is done to a plain request to make it ambiguous, with numbers and spellings drawn at random.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use crate::draft::{Draft, Framing, cased, chunks};
use crate::vector::{Outcome, Piece, Place};

/// One way of making a request ambiguous.
pub struct Fault {
    pub name: &'static str,
    outcome: Outcome,
    write: fn(&mut StdRng, Draft, &Place) -> String,
}

impl Fault {
    /// A request with this fault.
    pub fn piece(&self, random: &mut StdRng, draft: Draft, place: &Place) -> Piece {
        Piece { text: (self.write)(random, draft, place), outcome: self.outcome.clone() }
    }
}

const fn ends(name: &'static str, write: fn(&mut StdRng, Draft, &Place) -> String) -> Fault {
    Fault { name, outcome: Outcome::Ends, write }
}

/// All of them.
pub const FAULTS: &[Fault] = &[
    ends("both lengths", |random, draft, place| {
        let inner = inner(random, place);
        let body = format!("{}0\r\n\r\n{inner}", chunks(random, &draft.body));
        let length = *[0, 4, body.len(), body.len() - inner.len()].choose(random).unwrap();
        let fields = [format!("Content-Length: {length}"), format!("Transfer-Encoding: {}", cased(random, "chunked"))];
        framed(random, &draft, &fields, &body)
    }),
    ends("a coding that is not plainly chunked", |random, draft, _| {
        let codings = [
            "xchunked",
            "chunked, identity",
            "identity",
            "identity, chunked",
            "gzip, chunked",
            "chunked, chunked",
            "\"chunked\"",
            "chunked;q=1",
            "chunked ;",
            "chunk",
            "'chunked'",
            "chunked,",
            ",chunked",
            "\u{b}chunked",
            "chunked\u{c}",
            "chunked\0",
            "chunked\u{a0}",
            "",
            "compress",
            "cow",
        ];
        let body = format!("{}0\r\n\r\n", chunks(random, &draft.body));
        let fields = [format!("{}: {}", cased(random, "Transfer-Encoding"), codings.choose(random).unwrap())];
        framed(random, &draft, &fields, &body)
    }),
    ends("two codings", |random, draft, _| {
        let second = *["chunked", "identity", "x", "", "gzip"].choose(random).unwrap();
        let fields =
            ["Transfer-Encoding: chunked".to_owned(), format!("{}: {second}", cased(random, "Transfer-Encoding"))];
        let body = format!("{}0\r\n\r\n", chunks(random, &draft.body));
        framed(random, &draft, &fields, &body)
    }),
    ends("two lengths", |random, draft, _| {
        let length = draft.body.len();
        let second = *[length, 0, length + 1, length * 2].choose(random).unwrap();
        let fields = [format!("Content-Length: {length}"), format!("{}: {second}", cased(random, "content-length"))];
        framed(random, &draft, &fields, &draft.body)
    }),
    ends("a length that is no number", |random, draft, _| {
        let length = draft.body.len();
        let spelled = [
            format!("+{length}"),
            format!("-{length}"),
            format!("0x{length:x}"),
            format!("{length}, {length}"),
            format!("{length},"),
            format!("{length} {length}"),
            format!("{length}.0"),
            format!("{length}e0"),
            format!("\"{length}\""),
            format!("{length}\u{b}"),
            format!("{length}\0"),
            format!("\u{b2}"),
            String::new(),
            format!("{length};"),
            "18446744073709551616".to_owned(),
            "99999999999999999999999999".to_owned(),
            format!("0b{length:b}"),
            format!("{length}_0"),
            "NaN".to_owned(),
            format!("{length}\u{a0}"),
        ];
        let fields = [format!("{}: {}", cased(random, "Content-Length"), spelled.choose(random).unwrap())];
        framed(random, &draft, &fields, &draft.body)
    }),
    ends("a name that is not plainly one", |random, draft, _| {
        let name = *["Transfer-Encoding", "Content-Length", "Host", "X-Any"].choose(random).unwrap();
        let spoiled = [
            format!("{name} : 5"),
            format!("{name}\t: 5"),
            format!(" {name}: 5"),
            format!("\t{name}: 5"),
            format!("{name}\0: 5"),
            format!("{name}\u{b}: 5"),
            format!("{name}\u{7f}: 5"),
            format!("\u{a0}{name}: 5"),
            format!("{name}(: 5"),
            format!("{name}"),
            ": 5".to_owned(),
            format!("\"{name}\": 5"),
            format!("{name}, {name}: 5"),
            format!("\u{ff}{name}: 5"),
            format!("{name}\r: 5"),
            format!("@{name}: 5"),
            format!("{name}/: 5"),
            format!("[{name}]: 5"),
        ];
        let field = spoiled.choose(random).unwrap();
        with(random, draft, field)
    }),
    ends("a folded line", |random, draft, _| {
        let folded = [
            "X-Fold: a\r\n b",
            "X-Fold: a\r\n\tb",
            "Content-Length:\r\n 5",
            "Transfer-Encoding:\r\n chunked",
            "X-Fold:\r\n \r\n b",
        ];
        let field = folded.choose(random).unwrap();
        with(random, draft, field)
    }),
    ends("a lone CR or a control character in a value", |random, draft, _| {
        let byte = *['\r', '\0', '\u{1}', '\u{8}', '\u{b}', '\u{c}', '\u{1b}', '\u{7f}'].choose(random).unwrap();
        with(random, draft, &format!("X-Any: a{byte}Transfer-Encoding: chunked"))
    }),
    ends("a lone LF", |random, draft, _| {
        let text = draft.text(random);
        let head = text.find("\r\n\r\n").unwrap() + 4;
        let ends: Vec<_> = text[..head].match_indices("\r\n").map(|(at, _)| at).collect();
        let mut text = text;
        if random.random() {
            text.remove(*ends.choose(random).unwrap());
        } else {
            // All of them.
            text = text[..head].replace("\r\n", "\n") + &text[head..];
        }
        text
    }),
    ends("a lone CR at the end of a line", |random, draft, _| {
        let mut text = draft.text(random);
        let lines = text.find("\r\n\r\n").unwrap();
        let ends: Vec<_> = text[..lines].match_indices("\r\n").map(|(at, _)| at + 1).collect();
        text.remove(*ends.choose(random).unwrap());
        text
    }),
    ends("a fragment", |random, mut draft, _| {
        let at = random.random_range(draft.target.len() - 2..=draft.target.len());
        draft.target.insert(at, '#');
        draft.text(random)
    }),
    ends("a byte that belongs in no target", |random, mut draft, _| {
        let byte = *[
            '\0', '\t', ' ', '\u{b}', '\u{7f}', '\u{80}', '\u{ff}', '"', '<', '>', '\\', '^', '`', '{', '|', '}', '\r',
        ]
        .choose(random)
        .unwrap();
        draft.target.push(byte);
        draft.text(random)
    }),
    ends("a path that some resolve or decode again", |random, mut draft, _| {
        let spoiled = [
            "/..",
            "/.",
            "/%2e%2e",
            "/.%2E",
            "/..;/x",
            "/%2e%2e%2f",
            "%2f..",
            "%2Fa",
            "%5c..",
            "%5Ca",
            "%00",
            "%0d%0aX: y",
            "%252e",
            "%252f",
            "%25%32%66",
            "%c0%af",
            "%e0%80%af",
            "%ff",
            "%",
            "%2",
            "%zz",
            "%u002e",
            "//",
            "/",
            "//x",
            "/./x",
            "/../x",
            "%C2%85",
        ];
        draft.target = draft.target.split('?').next().unwrap().to_owned() + spoiled.choose(random).unwrap();
        draft.text(random)
    }),
    ends("a target of another form", |random, mut draft, place| {
        let (tool, path, upstream) = (place.tool, draft.path.clone(), place.upstream);
        let targets = [
            "*".to_owned(),
            path.trim_start_matches('/').to_owned(),
            format!("{tool}{path}"),
            format!("ftp://{upstream}/{tool}{path}"),
            format!("http:/{tool}{path}"),
            format!("http:///{tool}{path}"),
            format!("http://u:p@{upstream}/{tool}{path}"),
            format!("http://evil.example/{tool}{path}"),
            format!("http://{upstream}@evil.example/{tool}{path}"),
            format!("http://evil.example\\@{upstream}/{tool}{path}"),
            format!("http://{upstream}.:80/{tool}{path}"),
            format!("http://0x7f.1:{}/{tool}{path}", upstream.port()),
            format!("{upstream}"),
            format!("ws://{upstream}/{tool}{path}"),
        ];
        targets.choose(random).unwrap().clone_into(&mut draft.target);
        draft.text(random)
    }),
    ends("a request line of another form", |random, draft, _| {
        let (method, target) = (draft.method, draft.target.clone());
        let text = draft.text(random);
        let rest = text.split_once("\r\n").unwrap().1;
        let lines = [
            format!("{method}  {target} HTTP/1.1"),
            format!("{method}\t{target}\tHTTP/1.1"),
            format!(" {method} {target} HTTP/1.1"),
            format!("{method} {target}  HTTP/1.1"),
            format!("{method} {target} HTTP/1.1 "),
            format!("{method} {target}"),
            format!("{method} {target} HTTP/1.0"),
            format!("{method} {target} HTTP/1.2"),
            format!("{method} {target} HTTP/2.0"),
            format!("{method} {target} HTTP/0.9"),
            format!("{method} {target} HTTP/01.1"),
            format!("{method} {target} HTTP/1.10"),
            format!("{method} {target} http/1.1"),
            format!("{method} {target} HTTP /1.1"),
            format!("{method} {target} HTTP/1.1 x"),
            format!("{method}\0 {target} HTTP/1.1"),
            format!("{method}: {target} HTTP/1.1"),
            format!("({method}) {target} HTTP/1.1"),
            format!("{target} HTTP/1.1"),
            format!("{method} HTTP/1.1"),
            format!("{method} {target} HTCPCP/1.1"),
        ];
        format!("{}\r\n{rest}", lines.choose(random).unwrap())
    }),
    ends("a Host that is not plainly this one", |random, mut draft, place| {
        let (host, port) = (place.sidecar, place.sidecar.port());
        let hosts = [
            String::new(),
            "evil.example".to_owned(),
            format!("evil.example:{port}"),
            format!("{host}, {host}"),
            format!("u@{host}"),
            format!("{host}@evil.example"),
            format!("{host}:80"),
            format!("127.0.0.1.:{port}"),
            format!("127.1:{port}"),
            format!("2130706433:{port}"),
            format!("[127.0.0.1]:{port}"),
            format!("127.0.0.1:0{port}"),
            "127.0.0.1".to_owned(),
            format!("{host}/"),
            format!("{host}?x"),
            format!("{host}#"),
            format!("http://{host}"),
            format!("{host} {host}"),
            format!("127.0.0.1:+{port}"),
            format!("%31%32%37.0.0.1:{port}"),
            format!("localhost.evil.example:{port}"),
            format!("{host};"),
            format!("\u{ff}127.0.0.1:{port}"),
        ];
        hosts.choose(random).unwrap().clone_into(&mut draft.host);
        draft.text(random)
    }),
    ends("no Host, or two", |random, draft, _| {
        let host = format!("Host: {}\r\n", draft.host);
        let text = draft.text(random);
        let name = cased(random, "host");
        let other = *["evil.example", draft.host.as_str(), ""].choose(random).unwrap();
        let hosts = [String::new(), format!("{host}{name}: {other}\r\n"), format!("{name}: {other}\r\n{host}")];
        text.replacen(&host, hosts.choose(random).unwrap(), 1)
    }),
    ends("an upgrade", |random, draft, _| {
        let protocols = ["websocket", "h2c", "TLS/1.0", "HTTP/2.0", "h2", "x"];
        let protocol = *protocols.choose(random).unwrap();
        let settings = if protocol == "h2c" { "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n" } else { "" };
        with(random, draft, &format!("{settings}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {protocol}"))
    }),
    ends("a tunnel", |random, _, place| {
        let targets = [
            place.upstream.to_string(),
            place.sidecar.to_string(),
            "evil.example:443".to_owned(),
            "evil.example".to_owned(),
            format!("/{}/notes", place.tool),
            format!("u@{}", place.upstream),
            "localhost:0".to_owned(),
            "*".to_owned(),
        ];
        let target = targets.choose(random).unwrap();
        format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n{}", inner(random, place))
    }),
    ends("HTTP/2 or TLS", |random, _, _| {
        let hello = "\u{16}\u{3}\u{1}\0\u{5}\u{1}\0\0\u{1}\0\r\n\r\n";
        let others = [
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0",
            hello,
            "\0\r\n\r\n",
            "{\"jsonrpc\":\"2.0\"}\r\n\r\n",
        ];
        (*others.choose(random).unwrap()).to_owned()
    }),
    ends("a chunk's size of another form", |random, draft, _| {
        let length = draft.body.len();
        let sizes = [
            format!("0x{length:x}"),
            format!("+{length:x}"),
            format!("-{length:x}"),
            format!("{length:x} "),
            format!(" {length:x}"),
            format!("{length:x};a"),
            format!("{length:x};a=b"),
            format!("{length:x};a=\"\n\""),
            format!("{length:x}\t"),
            format!("{length:x}g"),
            format!("{length:x}\0"),
            format!("{length:x}.0"),
            String::new(),
            "ffffffffffffffff".to_owned(),
            "10000000000000002".to_owned(),
            format!("0000000000000000{length:x}"),
            format!("{length:x}\r"),
            format!("\u{b}{length:x}"),
            format!("{length:x};\0"),
            "-1".to_owned(),
        ];
        let body = format!("{}\r\n{}\r\n0\r\n\r\n", sizes.choose(random).unwrap(), draft.body);
        framed(random, &draft, &["Transfer-Encoding: chunked".to_owned()], &body)
    }),
    ends("a chunk that ends elsewhere", |random, draft, place| {
        let (length, text) = (draft.body.len(), draft.body.as_str());
        let inner = inner(random, place);
        let bodies = [
            format!("{length:x}\n{text}\r\n0\r\n\r\n"),
            format!("{length:x}\r\n{text}\n0\r\n\r\n"),
            format!("{length:x}\r\n{text}\r\n0\n\r\n"),
            format!("{length:x}\r\n{text}\r\n0\r\n\n"),
            format!("{length:x}\r{text}\r\n0\r\n\r\n"),
            format!("{length:x}\r\n{text}0\r\n\r\n"),
            format!("{length:x}\r\n{text}x\r\n0\r\n\r\n"),
            format!("{:x}\r\n{text}\r\n0\r\n\r\n{inner}", length + 1),
            format!("{length:x}\r\n{text}\r\r\n0\r\n\r\n"),
            format!("{length:x}\r\n{text}\r\n0\r\n\r\u{b}\n{inner}"),
        ];
        // A body that never came would make a Read of it.
        let body = if text.is_empty() { format!("\r\n{inner}") } else { bodies.choose(random).unwrap().clone() };
        framed(random, &draft, &["Transfer-Encoding: chunked".to_owned()], &body)
    }),
    ends("trailers", |random, draft, _| {
        let trailers = [
            "X-Any: b",
            "Content-Length: 5",
            "Transfer-Encoding: chunked",
            "Host: evil.example",
            " folded",
            "none",
            "X-Any : b",
        ];
        let body = format!("{}0\r\n{}\r\n\r\n", chunks(random, &draft.body), trailers.choose(random).unwrap());
        framed(random, &draft, &["Transfer-Encoding: chunked".to_owned()], &body)
    }),
    ends("too much of a head", |random, draft, _| {
        let many = random.random_range(70..200);
        let long = random.random_range(33_000..60_000);
        let heads = [
            "X-Many: y\r\n".repeat(many),
            format!("X-Long: {}\r\n", "y".repeat(long)),
            format!("{}: y\r\n", "x".repeat(long)),
        ];
        let head = heads.choose(random).unwrap().trim_end();
        with(random, draft, head)
    }),
    ends("a very long target", |random, mut draft, _| {
        draft.target =
            format!("{}{}", draft.target.split('?').next().unwrap(), "a".repeat(random.random_range(8_200..40_000)));
        draft.text(random)
    }),
    ends("a Read with a body", |random, draft, place| {
        let read = Draft::get(place, &draft.id);
        let body = *["{}", "x", "GET / HTTP/1.1\r\n\r\n"].choose(random).unwrap();
        let fields = ["Content-Type: application/json".to_owned(), format!("Content-Length: {}", body.len())];
        framed(random, &read, &fields, body)
    }),
    ends("a header twice that counts", |random, mut draft, _| {
        let twice = [
            "Accept: a/b",
            "Content-Type: application/json",
            "Idempotency-Key: k",
            "Aegis-Run: r",
            "Aegis-Delegation: desk",
        ];
        let field = (*twice.choose(random).unwrap()).to_owned();
        draft.fields.extend([field.clone(), field]);
        draft.text(random)
    }),
    Fault {
        name: "a method in another case, or another one",
        outcome: Outcome::Refused,
        write: |random, mut draft, _| {
            let methods = [
                "get", "Get", "gET", "post", "pOST", "PUT", "PATCH", "TRACE", "OPTIONS", "PROPFIND", "X", "GETX",
                "GET!", "M-SEARCH",
            ];
            let method = *methods.choose(random).unwrap();
            let text = {
                draft.framing = Framing::None;
                draft.fields.clear();
                draft.text(random)
            };
            text.replacen(draft.method, method, 1)
        },
    },
    Fault {
        name: "an operation that is not there",
        outcome: Outcome::Refused,
        write: |random, draft, place| {
            let mut read = Draft::get(place, &draft.id);
            let names = ["Notes", "NOTES", "notes;x=1", "%6eotes;", "note", "n%6ftes.json"];
            read.target = read.target.replacen("notes", names.choose(random).unwrap(), 1);
            read.text(random)
        },
    },
    Fault {
        name: "cut off",
        outcome: Outcome::Cut,
        write: |random, draft, place| {
            let text = Draft::note(place, &draft.id, if random.random() { Framing::Length } else { Framing::Chunked })
                .text(random);
            text[..random.random_range(1..text.len())].to_owned()
        },
    },
];

/// A request that the policy would allow, for smuggling: whoever takes it for one sends something that was not meant.
fn inner(random: &mut StdRng, place: &Place) -> String {
    let number: u32 = random.random();
    Draft::get(place, &format!("smuggled-{number}")).text(random)
}

/// The request with these fields instead of those of its framing, and this body.
fn framed(random: &mut StdRng, draft: &Draft, fields: &[String], body: &str) -> String {
    let mut draft = draft.clone();
    // An agent that waits for leave to send its body does not send one that may be refused.
    draft.fields.retain(|field| !field.to_ascii_lowercase().starts_with("expect"));
    for field in fields {
        let at = random.random_range(0..=draft.fields.len());
        draft.fields.insert(at, field.clone());
    }
    format!("{}\r\n{body}", draft.head())
}

/// The request with a field more, somewhere.
fn with(random: &mut StdRng, mut draft: Draft, field: &str) -> String {
    let at = random.random_range(0..=draft.fields.len());
    draft.fields.insert(at, field.to_owned());
    draft.text(random)
}
