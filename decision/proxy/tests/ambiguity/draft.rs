//! A plain request, in one of the spellings that mean the same.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use crate::vector::{Outcome, Piece, Place, Sent};

/// How the body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    None,
    Length,
    Chunked,
}

/// A request before it is written down.
#[derive(Debug, Clone)]
pub struct Draft {
    pub id: String,
    pub method: &'static str,
    /// Path and query behind the tool's name.
    pub path: String,
    /// The target as written.
    pub target: String,
    /// The value of Host.
    pub host: String,
    /// Headers but Host and those of the framing, each without its end.
    pub fields: Vec<String>,
    pub framing: Framing,
    pub body: String,
    place: Place,
}

/// Headers that mean something to other programs and nothing to a call.
pub const FOREIGN: [&str; 14] = [
    "X-HTTP-Method-Override: DELETE",
    "X-Original-URL: /secrets",
    "X-Rewrite-URL: /secrets",
    "X-Forwarded-Host: evil.example",
    "X-Forwarded-For: 127.0.0.1",
    "Forwarded: for=127.0.0.1;host=evil.example",
    "X-Real-IP: 127.0.0.1",
    "Connection: keep-alive, x-company, content-length",
    "Keep-Alive: timeout=5",
    "TE: trailers",
    "Proxy-Connection: keep-alive",
    "Transfer_Encoding: chunked",
    "Content_Length: 1000",
    "X-Company: 8",
];

impl Draft {
    /// A call that the policy allows.
    pub fn any(random: &mut StdRng, place: &Place, id: &str) -> Self {
        let mut draft = match random.random_range(0..5) {
            0 => Self::get(place, id),
            1 => Self::of(place, id, "GET", &format!("/notes/{id}?fields=a&fields=b"), Framing::None, ""),
            2 => Self::note(place, id, Framing::Length),
            3 => Self::note(place, id, Framing::Chunked),
            _ => {
                let body = r#"{"amount":"50.00","to":"ann"}"#;
                Self::of(place, id, "POST", &format!("/payments/{id}"), Framing::Length, body)
            }
        };
        draft.dress(random);
        draft
    }

    /// A Read.
    pub fn get(place: &Place, id: &str) -> Self {
        Self::of(place, id, "GET", &format!("/notes/{id}"), Framing::None, "")
    }

    /// A Draft, whose body names it.
    pub fn note(place: &Place, id: &str, framing: Framing) -> Self {
        Self::of(place, id, "POST", "/notes", framing, &format!(r#"{{"text":"{id}"}}"#))
    }

    fn of(place: &Place, id: &str, method: &'static str, path: &str, framing: Framing, body: &str) -> Self {
        let typed = framing != Framing::None;
        Self {
            id: id.to_owned(),
            method,
            path: path.to_owned(),
            target: format!("/{}{path}", place.tool),
            host: place.sidecar.to_string(),
            fields: typed.then(|| "Content-Type: application/json".to_owned()).into_iter().collect(),
            framing,
            body: body.to_owned(),
            place: *place,
        }
    }

    /// Changes of spelling that change nothing.
    fn dress(&mut self, random: &mut StdRng) {
        if random.random_bool(0.15) {
            // By its whole URL, as a client with a proxy.
            self.target = format!("http://{}/{}{}", self.place.upstream, self.place.tool, self.path);
            self.host = self.place.upstream.to_string();
        } else if random.random_bool(0.3) {
            // An unreserved character, encoded.
            self.target = self.target.replace(&self.id, &format!("%{:02x}{}", self.id.as_bytes()[0], &self.id[1..]));
        }
        self.dress_fields(random);
    }

    /// With headers that change nothing, and each header in some spelling.
    pub fn dressed(mut self, random: &mut StdRng) -> Self {
        self.dress_fields(random);
        self
    }

    fn dress_fields(&mut self, random: &mut StdRng) {
        for _ in 0..random.random_range(0..4) {
            self.fields.push((*FOREIGN.choose(random).unwrap()).to_owned());
        }
        if random.random_bool(0.1) {
            self.fields.push("Expect: 100-continue".to_owned());
        }
        self.fields = self.fields.iter().map(|field| respelled(random, field)).collect();
    }

    /// What the server must see.
    pub fn sent(&self) -> Sent {
        Sent {
            tool: self.place.tool.to_owned(),
            method: self.method.to_owned(),
            target: format!("/{}{}", self.place.tool, self.path),
            body: self.body.clone(),
        }
    }

    /// Request line, Host and headers, without those of the framing and without the empty line.
    pub fn head(&self) -> String {
        let mut text = format!("{} {} HTTP/1.1\r\nHost: {}\r\n", self.method, self.target, self.host);
        for field in &self.fields {
            text += field;
            text += "\r\n";
        }
        text
    }

    /// As written, with a body in chunks of random sizes.
    pub fn text(&self, random: &mut StdRng) -> String {
        let head = self.head();
        match self.framing {
            Framing::None => format!("{head}\r\n"),
            Framing::Length => {
                format!("{head}{}: {}\r\n\r\n{}", cased(random, "Content-Length"), self.body.len(), self.body)
            }
            Framing::Chunked => {
                let field = cased(random, "Transfer-Encoding");
                let coding = cased(random, "chunked");
                format!("{head}{field}: {coding}\r\n\r\n{}0\r\n\r\n", chunks(random, &self.body))
            }
        }
    }

    /// As a piece that is allowed.
    pub fn piece(&self, random: &mut StdRng) -> Piece {
        Piece { text: self.text(random), outcome: Outcome::Sent(self.sent()) }
    }

    /// As a piece that is the last of its connection.
    pub fn last(mut self, random: &mut StdRng) -> Piece {
        self.fields.push("Connection: close".to_owned());
        Piece { text: self.text(random), outcome: Outcome::Last(self.sent()) }
    }
}

/// The body in chunks, without the last one.
pub fn chunks(random: &mut StdRng, body: &str) -> String {
    let (mut text, mut rest) = (String::new(), body);
    while !rest.is_empty() {
        let (chunk, next) = rest.split_at(random.random_range(1..=rest.len()));
        let zeros = "0".repeat(random.random_range(0..3));
        text.extend([zeros, cased(random, &format!("{:x}\r\n", chunk.len())), format!("{chunk}\r\n")]);
        rest = next;
    }
    text
}

/// The same letters, each in some case.
pub fn cased(random: &mut StdRng, text: &str) -> String {
    let letter = |letter: char| if random.random() { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
    text.chars().map(letter).collect()
}

/// A header with its name in some case and white space around its value.
fn respelled(random: &mut StdRng, field: &str) -> String {
    let (name, value) = field.split_once(": ").unwrap();
    let blanks = ["", " ", "\t", "  ", " \t "];
    let (before, after) = (blanks.choose(random).unwrap(), blanks.choose(random).unwrap());
    format!("{}:{before}{value}{after}", cased(random, name))
}
