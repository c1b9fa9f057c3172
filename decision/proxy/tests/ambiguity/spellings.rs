//! Other ways to write a request that the policy allows. Nothing is in doubt about them: each must go through, and come
//! out as it was meant.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};

use crate::draft::{Draft, FOREIGN, Framing, cased};
use crate::vector::{Outcome, Piece, Place};

/// One way of writing.
pub struct Spelling {
    pub name: &'static str,
    write: fn(&mut StdRng, &Place, &str) -> Piece,
}

impl Spelling {
    /// A request of this id, written so.
    pub fn piece(&self, random: &mut StdRng, place: &Place, id: &str) -> Piece {
        (self.write)(random, place, id)
    }
}

/// All of them.
pub const SPELLINGS: &[Spelling] = &[
    Spelling {
        name: "as agents write it, in any case and with any white space",
        write: |random, place, id| Draft::any(random, place, id).piece(random),
    },
    Spelling {
        name: "the whole URL",
        write: |random, place, id| {
            let mut draft = plain(random, place, id);
            draft.target = format!("{}://{}{}", cased(random, "http"), place.upstream, draft.target);
            draft.host = place.upstream.to_string();
            draft.dressed(random).piece(random)
        },
    },
    Spelling {
        name: "a Host by name",
        write: |random, place, id| {
            let mut draft = plain(random, place, id);
            draft.host = format!("{}:{}", cased(random, "localhost"), place.sidecar.port());
            draft.dressed(random).piece(random)
        },
    },
    Spelling {
        name: "escapes that need not be",
        write: |random, place, id| {
            let query = *["", "?fields=a", "?fields=a&fields=b"].choose(random).unwrap();
            let mut draft = Draft::get(place, id);
            draft.path += query;
            draft.target = format!("/{}{}", place.tool, spelled(random, &draft.path, "/?&=", "-"));
            draft.dressed(random).piece(random)
        },
    },
    Spelling {
        name: "a segment of characters that mean something elsewhere",
        write: |random, place, id| {
            let own = some(random, &OWN_IN_PATHS);
            let mut draft = Draft::get(place, id);
            draft.target = format!("/{}/notes/{id}{}", place.tool, spelled(random, &own, "", "!$&'()*+,;=:@~."));
            draft.path = format!("/notes/{id}{}", written(&own));
            draft.dressed(random).piece(random)
        },
    },
    Spelling {
        name: "a query of characters that mean something elsewhere",
        write: |random, place, id| {
            let own = some(random, &OWN_IN_QUERIES);
            let query = spelled(random, &own, "", "!$'()*,;=:@/?~.");
            let query = if random.random() { query.replace("%20", "+") } else { query };
            let mut draft = Draft::get(place, id);
            draft.target = format!("/{}/notes/{id}?fields={query}", place.tool);
            draft.path = format!("/notes/{id}?fields={}", written(&own));
            draft.dressed(random).piece(random)
        },
    },
    Spelling {
        name: "chunks of one byte, with zeros in front of their sizes",
        write: |random, place, id| {
            let draft = Draft::note(place, id, Framing::Chunked).dressed(random);
            let mut body = String::new();
            for byte in draft.body.chars() {
                body.extend(["0".repeat(random.random_range(0..8)), format!("1\r\n{byte}\r\n")]);
            }
            body += &"0".repeat(random.random_range(1..9));
            let field = format!("{}:{}chunked", cased(random, "Transfer-Encoding"), blank(random));
            allowed(&draft, format!("{}{field}\r\n\r\n{body}\r\n\r\n", draft.head()))
        },
    },
    Spelling {
        name: "a length with zeros in front",
        write: |random, place, id| {
            let draft = Draft::note(place, id, Framing::Length).dressed(random);
            let length = format!("{}{}", "0".repeat(random.random_range(1..12)), draft.body.len());
            let field = format!("{}:{}{length}", cased(random, "Content-Length"), blank(random));
            allowed(&draft, format!("{}{field}\r\n\r\n{}", draft.head(), draft.body))
        },
    },
    Spelling {
        name: "a Read that says that it has no body",
        write: |random, place, id| {
            let draft = Draft::get(place, id).dressed(random);
            let body =
                *["Content-Length: 0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"].choose(random).unwrap();
            allowed(&draft, format!("{}{body}", draft.head()))
        },
    },
    Spelling {
        name: "JSON in another spelling",
        write: |random, place, id| {
            let framing = *[Framing::Length, Framing::Chunked].choose(random).unwrap();
            let draft = Draft::note(place, id, framing).dressed(random);
            let mut other = draft.clone();
            let (name, value) = (escaped_json(random, "text"), escaped_json(random, id));
            let mut blanks = (0..5).map(|_| *[" ", "", "\t", "\n", "\r\n"].choose(random).unwrap());
            let mut next = || blanks.next().unwrap_or_default();
            other.body = format!("{{{}\"{name}\"{}:{}\"{value}\"{}}}{}", next(), next(), next(), next(), next());
            allowed(&draft, other.text(random))
        },
    },
    Spelling {
        name: "a media type in another spelling",
        write: |random, place, id| {
            let types = [
                "application/json; charset=utf-8",
                "application/json;charset=UTF-8",
                "Application/JSON ;\tCharset=\"utf-8\"",
                "APPLICATION/JSON",
            ];
            let mut draft = Draft::note(place, id, Framing::Length);
            draft.fields = vec![format!("Content-Type: {}", types.choose(random).unwrap())];
            draft.fields.push("Content-Encoding: Identity".to_owned());
            draft.dressed(random).piece(random)
        },
    },
    Spelling {
        name: "empty lines in front",
        write: |random, place, id| {
            let mut piece = Draft::any(random, place, id).piece(random);
            piece.text.insert_str(0, &"\r\n".repeat(random.random_range(1..5)));
            piece
        },
    },
    Spelling {
        name: "many headers",
        write: |random, place, id| {
            let mut draft = plain(random, place, id);
            for _ in 0..random.random_range(20..50) {
                let at = random.random_range(0..=draft.fields.len());
                draft.fields.insert(at, "X-Many: y".to_owned());
            }
            draft.dressed(random).piece(random)
        },
    },
    Spelling {
        name: "a long header",
        write: |random, place, id| {
            let mut draft = plain(random, place, id);
            draft.fields.push(format!("X-Long: {}", "y".repeat(random.random_range(1_000..6_000))));
            draft.dressed(random).piece(random)
        },
    },
    Spelling {
        name: "a header of any characters but control characters",
        write: |random, place, id| {
            let mut draft = plain(random, place, id);
            let length = random.random_range(1..60);
            let any = |byte: u8| if byte.is_ascii_control() { '\t' } else { char::from(byte) };
            let value: String = (0..length).map(|_| any(random.random())).collect();
            draft.fields.push(format!("X-Any: {value}"));
            draft.dressed(random).piece(random)
        },
    },
    Spelling {
        name: "every header that others obey",
        write: |random, place, id| {
            let mut draft = plain(random, place, id);
            let mut all = FOREIGN;
            all.shuffle(random);
            draft.fields.extend(all.map(str::to_owned));
            draft.dressed(random).piece(random)
        },
    },
    Spelling {
        name: "waiting for leave, and not waiting for it",
        write: |random, place, id| {
            let framing = *[Framing::Length, Framing::Chunked].choose(random).unwrap();
            let mut draft = Draft::note(place, id, framing);
            draft.fields.push(format!("Expect: {}", cased(random, "100-continue")));
            draft.dressed(random).piece(random)
        },
    },
];

/// Characters and groups of them that a segment may hold.
const OWN_IN_PATHS: [&str; 20] = [
    " ",
    "!",
    "\"",
    "$",
    "&",
    "'",
    "(",
    ")",
    "*",
    "+",
    ",",
    ";x=1",
    "=",
    ":",
    "@",
    "~",
    ".",
    "a",
    "\u{e4}",
    "\u{1f600}",
];
/// Characters and groups of them that a parameter may hold.
const OWN_IN_QUERIES: [&str; 20] = [
    " ", "!", "\"", "$", "&admin=1", "'", "(", ")", "*", "+", ",", ";admin=1", "=", ":", "@", "/", "..", "?", "a",
    "\u{e4}",
];

/// A call by path and Host, its headers not yet dressed.
fn plain(random: &mut StdRng, place: &Place, id: &str) -> Draft {
    match random.random_range(0..3) {
        0 => Draft::get(place, id),
        1 => Draft::note(place, id, Framing::Length),
        _ => Draft::note(place, id, Framing::Chunked),
    }
}

/// What the draft means, written like this.
fn allowed(draft: &Draft, text: String) -> Piece {
    Piece { text, outcome: Outcome::Sent(draft.sent()) }
}

/// One to eight of these, one behind another.
fn some(random: &mut StdRng, parts: &[&str]) -> String {
    (0..random.random_range(1..=8)).map(|_| *parts.choose(random).unwrap()).collect()
}

/// What is in `stays` as it stands, letters, digits and what is in `either` as they stand or as escapes, all else as
/// escapes.
fn spelled(random: &mut StdRng, text: &str, stays: &str, either: &str) -> String {
    let mut spelled = String::new();
    for byte in text.bytes() {
        let letter = char::from(byte);
        let may_stand = byte.is_ascii_alphanumeric() || either.contains(letter);
        if stays.contains(letter) || (may_stand && random.random()) {
            spelled.push(letter);
        } else {
            spelled.extend([cased(random, &format!("%{byte:02x}"))]);
        }
    }
    spelled
}

/// As the sidecar must write it: only what RFC 3986 calls unreserved stands as it is.
fn written(text: &str) -> String {
    let mut written = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            written.push(char::from(byte));
        } else {
            written.extend([format!("%{byte:02X}")]);
        }
    }
    written
}

/// The same text of a JSON string, some letters escaped.
fn escaped_json(random: &mut StdRng, text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        if random.random_bool(0.3) {
            escaped.extend([format!("\\u{:04x}", u32::from(letter))]);
        } else {
            escaped.push(letter);
        }
    }
    escaped
}

fn blank(random: &mut StdRng) -> &'static str {
    ["", " ", "\t", "  "].choose(random).copied().unwrap_or_default()
}
