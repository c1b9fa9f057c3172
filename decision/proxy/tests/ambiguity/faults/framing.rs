//! Where the body ends, read in different ways.

use rand::Rng;
use rand::seq::IndexedRandom;

use super::{Fault, ends, framed, inner};
use crate::draft::{Draft, Framing, cased, chunks};
use crate::vector::Outcome;

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
            "\u{b2}".to_owned(),
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
    ends("a Read with a body", |random, draft, place| {
        let read = Draft::get(place, &draft.id);
        let body = *["{}", "x", "GET / HTTP/1.1\r\n\r\n"].choose(random).unwrap();
        let fields = ["Content-Type: application/json".to_owned(), format!("Content-Length: {}", body.len())];
        framed(random, &read, &fields, body)
    }),
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
