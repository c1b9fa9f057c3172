//! Documents: honest ones in every spelling, and those that two readers may take differently.

use crate::mutate::{self, Numbers};

/// Names that mean something to some language, that look alike, or that are one name in two spellings.
const NAMES: [&str; 18] = [
    "a",
    "\\u0061",
    "b",
    "amount",
    "",
    "0",
    "1",
    "10",
    "-1",
    "__proto__",
    "constructor",
    "length",
    "\u{e9}",
    "e\u{301}",
    "\\u00e9",
    "\\ud83d\\ude00",
    "\u{1F600}",
    "a\\u0000b",
];
/// Pieces of texts.
const PIECES: [&str; 22] = [
    "a",
    "17",
    " ",
    "\\n",
    "\\/",
    "/",
    "\\\"",
    "\\\\",
    "\\u0000",
    "\\u001f",
    "\u{7f}",
    "\u{e4}",
    "\\u00E4",
    "\u{2028}",
    "\u{FEFF}",
    "\u{FFFD}",
    "\u{1F600}",
    "\\uD83D\\uDE00",
    "\u{10FFFF}",
    "\\uFFFF",
    "<",
    "\u{212A}",
];
/// Pieces that only some readers take.
const HOSTILE: [&str; 8] = ["\\ud800", "\\udc00\\ud800", "\\ud800\\u0041", "\\x41", "\\'", "\t", "\\u12", "\\U0041"];

/// One document.
pub fn document(numbers: &mut Numbers, suite: &[Vec<u8>]) -> Vec<u8> {
    match numbers.below(10) {
        0..=4 => honest(numbers),
        5 => number(numbers).into_bytes(),
        6 => changed(&honest(numbers), numbers),
        7 => changed(numbers.pick::<Vec<u8>>(suite), numbers),
        8 => numbers.pick::<Vec<u8>>(suite).clone(),
        _ => hostile(numbers),
    }
}

fn honest(numbers: &mut Numbers) -> Vec<u8> {
    let mut text = String::new();
    space(numbers, &mut text);
    value(numbers, 4, &mut text);
    space(numbers, &mut text);
    text.into_bytes()
}

fn changed(document: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    mutate::bytes(document, numbers).expect("bytes can always be changed")
}

/// A document around something that readers differ about.
fn hostile(numbers: &mut Numbers) -> Vec<u8> {
    let (one, other) = (*numbers.pick(&NAMES), *numbers.pick(&NAMES));
    let (first, second) = (number(numbers), number(numbers));
    match numbers.below(6) {
        0 | 1 => format!("{{\"{one}\":{first},\"{other}\":{second}}}").into_bytes(),
        2 => format!("[{{\"x\":{{\"{one}\":[],\"b\":1,\"{one}\":{second}}}}}]").into_bytes(),
        3 => format!("[\"{}{}\"]", numbers.pick(&PIECES), numbers.pick(&HOSTILE)).into_bytes(),
        4 => {
            let depth = 28 + numbers.below(10);
            format!("{}{first}{}", "[".repeat(depth), "]".repeat(depth)).into_bytes()
        }
        _ => {
            let wrong = [
                "NaN",
                "Infinity",
                "-Infinity",
                "nan",
                "undefined",
                "0x10",
                "1_000",
                "'a'",
                "True",
                "//",
                "1 2",
                "[1,]",
            ];
            let word = *numbers.pick(&wrong);
            let mark: &[u8] = if numbers.below(4) == 0 { b"\xEF\xBB\xBF" } else { b"" };
            [mark, word.as_bytes()].concat()
        }
    }
}

fn value(numbers: &mut Numbers, depth: usize, text: &mut String) {
    match numbers.below(if depth == 0 { 6 } else { 10 }) {
        0 => text.push_str(numbers.pick::<&str>(&["null", "true", "false"])),
        1 | 2 => string(numbers, text),
        3..=5 => text.push_str(&number(numbers)),
        6 | 7 => {
            text.push('[');
            list(numbers, text, |numbers, text, _| value(numbers, depth - 1, text));
            text.push(']');
        }
        _ => {
            text.push('{');
            // Mostly names of their own; two that are one name are for `hostile`.
            let start = numbers.below(NAMES.len());
            list(numbers, text, |numbers, text, index| {
                text.extend(["\"", NAMES[(start + index * 5) % NAMES.len()], "\""]);
                space(numbers, text);
                text.push(':');
                space(numbers, text);
                value(numbers, depth - 1, text);
            });
            text.push('}');
        }
    }
}

fn list(numbers: &mut Numbers, text: &mut String, mut item: impl FnMut(&mut Numbers, &mut String, usize)) {
    space(numbers, text);
    for index in 0..numbers.below(5) {
        if index > 0 {
            text.push(',');
            space(numbers, text);
        }
        item(numbers, text, index);
        space(numbers, text);
    }
}

fn space(numbers: &mut Numbers, text: &mut String) {
    if numbers.below(4) == 0 {
        text.push_str(numbers.pick::<&str>(&[" ", "\n", "\t", "\r\n", "  "]));
    }
}

fn string(numbers: &mut Numbers, text: &mut String) {
    text.push('"');
    for _ in 0..numbers.below(6) {
        text.push_str(numbers.pick::<&str>(&PIECES));
    }
    text.push('"');
}

/// A number in one of its spellings, within what a double keeps, at its edge, or beyond.
fn number(numbers: &mut Numbers) -> String {
    let sign = if numbers.below(3) == 0 { "-" } else { "" };
    let digits = |numbers: &mut Numbers, most: usize| {
        let count = 1 + numbers.below(most);
        let mut digits: String =
            (0..count).map(|_| char::from(b'0' + u8::try_from(numbers.below(10)).expect("a digit"))).collect();
        digits.replace_range(0..1, numbers.pick::<&str>(&["1", "2", "5", "7", "9"]));
        digits
    };
    let power = |numbers: &mut Numbers, size: usize| {
        let letter = numbers.pick::<&str>(&["e", "E", "e+", "e-", "E-", "e-0", "e0"]);
        format!("{letter}{}", numbers.below(size))
    };
    let unsigned = match numbers.below(12) {
        0 => (*numbers.pick::<&str>(&["0", "0.0", "0e5", "0E-999999999", "0.000e+400"])).to_owned(),
        1 | 2 => numbers.below(100_000).to_string(),
        3 => format!("{}.{}", numbers.below(10_000), digits(numbers, 2)),
        4 => format!("{}.{}", digits(numbers, 9), digits(numbers, 8)),
        5 => format!("{}{}", digits(numbers, 15), power(numbers, 20)),
        6 => format!("{}{}", digits(numbers, 15), power(numbers, 320)),
        7 => format!("{}.{}{}", digits(numbers, 1), digits(numbers, 14), power(numbers, 310)),
        8 => (9_007_199_254_740_980 + numbers.next() % 24).to_string(),
        9 => digits(numbers, 24),
        10 => format!("{}{}", digits(numbers, 4), "0".repeat(numbers.below(30))),
        _ => format!("0.{}{}", "0".repeat(numbers.below(12)), digits(numbers, 17)),
    };
    format!("{sign}{unsigned}")
}
