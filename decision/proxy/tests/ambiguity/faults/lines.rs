//! What a line and a header are, read in different ways; and what is no call at all.

use rand::Rng;
use rand::seq::IndexedRandom;

use super::{Fault, ends, with};

/// All of them.
pub const FAULTS: &[Fault] = &[
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
            name.to_owned(),
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
    ends("an upgrade", |random, draft, _| {
        let protocols = ["websocket", "h2c", "TLS/1.0", "HTTP/2.0", "h2", "x"];
        let protocol = *protocols.choose(random).unwrap();
        let settings = if protocol == "h2c" { "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n" } else { "" };
        with(random, draft, &format!("{settings}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {protocol}"))
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
];
