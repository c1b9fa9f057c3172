//! Changes to JSON documents that keep them documents: most changes of single bytes end in the parser, these reach what
//! is behind it.

use serde_json::{Value, json};

/// A small generator (splitmix64): the same numbers for the same seed.
#[derive(Debug, Clone)]
pub struct Numbers(pub u64);

impl Numbers {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below the bound, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).expect("a bound of 64 bits");
        usize::try_from(self.next() % bound).expect("less than a bound of usize")
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// A document with one to three changes; none where the bytes are no document.
///
/// A place is found by walking down, so that a small part is changed as often as a large one beside it. Most changes keep
/// the type, or take a value from a place of the same name: what is behind the reader of a type is reached.
pub fn document(bytes: &[u8], numbers: &mut Numbers) -> Option<Vec<u8>> {
    let mut root: Value = serde_json::from_slice(bytes).ok()?;
    for _ in 0..=numbers.below(3) {
        let place = walk(&root, numbers);
        let all = places(&root);
        let kin: Vec<String> = all.iter().filter(|other| name(other) == name(&place)).cloned().collect();
        let from = if numbers.below(8) == 0 { &all } else { &kin };
        let donor = root.pointer(numbers.pick::<String>(from)).cloned().unwrap_or_default();
        change(root.pointer_mut(&place)?, donor, numbers);
    }
    serde_json::to_vec(&root).ok()
}

/// A pointer to a leaf, or now and then to something above one.
fn walk(root: &Value, numbers: &mut Numbers) -> String {
    let mut pointer = String::new();
    while let Some(value) = root.pointer(&pointer) {
        let below = inner(value);
        if below.is_empty() || numbers.below(8) == 0 {
            break;
        }
        let token = numbers.pick::<String>(&below);
        pointer = format!("{pointer}/{token}");
    }
    pointer
}

/// The member that a pointer leads to; for an element, that of its list.
fn name(pointer: &str) -> Option<&str> {
    pointer.rsplit('/').find(|token| token.parse::<usize>().is_err())
}

fn change(value: &mut Value, donor: Value, numbers: &mut Numbers) {
    let same_type = std::mem::discriminant(value) == std::mem::discriminant(&donor);
    match value {
        Value::Array(items) if !items.is_empty() && numbers.below(2) == 0 => {
            let (one, other) = (numbers.below(items.len()), numbers.below(items.len()));
            match numbers.below(3) {
                0 => drop(items.remove(one)),
                1 => items.swap(one, other),
                _ => items.insert(one, items[other].clone()),
            }
        }
        Value::Object(members) if !members.is_empty() && numbers.below(2) == 0 => {
            let names: Vec<String> = members.keys().cloned().collect();
            let removed = members.shift_remove(numbers.pick::<String>(&names)).unwrap_or_default();
            if numbers.below(2) == 0 {
                members.insert(numbers.pick::<String>(&names).clone(), removed);
            }
        }
        _ if same_type && numbers.below(2) == 0 => *value = donor,
        _ => {
            let other = interesting(numbers);
            let fits = std::mem::discriminant(value) == std::mem::discriminant(&other);
            if fits || numbers.below(8) == 0 {
                *value = other;
            } else if same_type {
                *value = donor;
            }
        }
    }
}

/// Values at the edges of what rules compare.
fn interesting(numbers: &mut Numbers) -> Value {
    let texts = [
        "",
        "*",
        "0",
        "5",
        "5.00",
        "-0.01",
        "1e2",
        "EUR",
        "17",
        "s-2",
        "buyer",
        "shop",
        "manager",
        "orders.create",
        "amount",
        "lines[*].price",
        "lines[?]",
        "$fact.order.total",
        "$delegation.purpose",
        "$call.time",
        "$agent.tenant",
        "a[",
        ".*",
        "(a|b)+$",
        "DE89370400440532013000",
        "a@b.example",
        "2026-06-01T12:00:00Z",
        "2026-02-30",
        "/orders/{id}",
        "/",
        "GET",
        "{\"amount\":1,\"amount\":2}",
        "\u{212A}",
        "\u{130}",
        "ß",
        "\u{0}",
    ];
    match numbers.below(6) {
        0 => Value::Null,
        1 => json!(numbers.below(2) == 0),
        2 => json!(numbers.pick(&[0_i64, 1, -1, 5, 300, 301, 9_007_199_254_740_992, i64::MAX, i64::MIN])),
        3 => json!(numbers.pick(&[0.1_f64, -0.5, 1e-7, 1e21, 149.9, 1e300])),
        _ => json!(numbers.pick(&texts)),
    }
}

/// Pointers (RFC 6901) to all values.
fn places(root: &Value) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut at = 0;
    while let Some(pointer) = found.get(at).cloned() {
        found.extend(
            root.pointer(&pointer).iter().flat_map(|value| inner(value)).map(|token| format!("{pointer}/{token}")),
        );
        at += 1;
    }
    found
}

/// Tokens (RFC 6901) of the values directly inside.
fn inner(value: &Value) -> Vec<String> {
    match value {
        Value::Object(members) => members.keys().map(|key| key.replace('~', "~0").replace('/', "~1")).collect(),
        Value::Array(items) => (0..items.len()).map(|index| index.to_string()).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

/// Bytes with one to four changes.
#[allow(clippy::unnecessary_wraps, reason = "has the form of `document`")]
pub fn bytes(bytes: &[u8], numbers: &mut Numbers) -> Option<Vec<u8>> {
    let pieces: [&[u8]; 20] = [
        b"0", b"1e", b"-", b".", b"\"", b"\\", b"\\u00", b"{", b"}", b"[", b"]", b",", b":", b" ", b"%2F", b"%", b"/",
        b";", b"\xFF", b"\n",
    ];
    let mut bytes = bytes.to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len() + 1);
        match (numbers.below(5), bytes.get_mut(at)) {
            (0, Some(byte)) => *byte ^= 1 << numbers.below(8),
            (1, Some(_)) => drop(bytes.remove(at)),
            (2, Some(_)) => {
                let until = at + numbers.below((bytes.len() - at).min(16) + 1);
                let taken = bytes[at..until].to_vec();
                let to = numbers.below(bytes.len() + 1);
                bytes.splice(to..to, taken);
            }
            _ => drop(bytes.splice(at..at, numbers.pick(&pieces).iter().copied())),
        }
    }
    Some(bytes)
}
