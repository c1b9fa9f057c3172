//! What is meant and where it goes, read in different ways.

use rand::Rng;
use rand::seq::IndexedRandom;

use super::{Fault, ends, inner};
use crate::draft::{Draft, Framing, cased};
use crate::vector::Outcome;

/// All of them.
pub const FAULTS: &[Fault] = &[
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
    ends("a very long target", |random, mut draft, _| {
        draft.target =
            format!("{}{}", draft.target.split('?').next().unwrap(), "a".repeat(random.random_range(8_200..40_000)));
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
];
