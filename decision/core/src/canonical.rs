//! RFC 8785 (JSON Canonicalization Scheme): the one spelling of a value, which is hashed and signed.
//!
//! All of a document is written into one buffer. The members of an object are put in order when it ends, where they are
//! not already. Digests and records take most of a call's time, so this is ours; tests compare it with
//! `serde_json_canonicalizer`.

mod order;

use std::cmp::Ordering;
use std::io;
use std::ops::Range;

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{CharEscape, Formatter};

pub(crate) use order::Key;
use order::{Head, by_units};

use crate::json::{self, Value as Tree};

/// Integers up to here are doubles of their own, and written as they are.
const EXACT: u64 = 1 << 53;

/// The canonical form of a value. Fails for a map with keys that are neither texts nor numbers, for a key given twice, and
/// as the value's own `Serialize` fails. A double that is no number is written as `null`; this crate's types hold none.
pub(crate) fn to_vec<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<Vec<u8>> {
    let mut document = Document {
        out: Vec::with_capacity(512),
        keys: String::with_capacity(128),
        members: Vec::with_capacity(16),
        ..Document::default()
    };
    value.serialize(&mut Serializer::with_formatter(io::sink(), Canonical(&mut document)))?;
    Ok(document.out)
}

/// An object that is written member by member, with names that need no escape. Their order does not matter; in that of
/// their names it takes least.
pub(crate) struct Members(Document);

impl Members {
    /// None is written yet.
    pub(crate) fn new() -> Self {
        let mut document = Document::default();
        document.begin_object();
        Self(document)
    }

    /// Writes a member. Fails as [`to_vec`] does.
    pub(crate) fn add<T: Serialize + ?Sized>(mut self, name: &'static str, value: &T) -> serde_json::Result<Self> {
        self.begin(name);
        value.serialize(&mut Serializer::with_formatter(io::sink(), Canonical(&mut self.0)))?;
        self.0.end_member();
        Ok(self)
    }

    /// Writes a member that is a tree: as [`Self::add`] does, and in half the time.
    pub(crate) fn add_tree(mut self, name: &'static str, value: &Tree) -> Self {
        self.begin(name);
        self.0.put(&json::emit_sorted(value));
        self.0.end_member();
        self
    }

    /// All of it. Fails for a name that was given twice.
    pub(crate) fn into_vec(mut self) -> serde_json::Result<Vec<u8>> {
        self.0.end_object().map_err(serde_json::Error::io)?;
        Ok(self.0.out)
    }

    fn begin(&mut self, name: &str) {
        let Self(document) = self;
        document.begin_member();
        document.out.push(b'"');
        document.put(name);
        document.out.extend_from_slice(b"\":");
        document.end_key();
    }
}

/// What is written so far.
#[derive(Default)]
struct Document {
    out: Vec<u8>,
    /// Keys of the members below, unescaped, one after another.
    keys: String,
    /// Whether a key is being written.
    is_key: bool,
    /// Members of all objects that are open, the outermost first.
    members: Vec<Member>,
    /// For each open object where its members begin.
    objects: Vec<usize>,
    scratch: Vec<u8>,
}

/// `"key":value,`.
struct Member {
    key: Range<usize>,
    text: Range<usize>,
    head: Head,
}

impl Document {
    /// Writes characters that need no escape, of a value or of a key.
    fn put(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
        if self.is_key {
            self.keys.push_str(text);
        }
    }

    fn number(&mut self, value: f64) {
        let mut buffer = ryu_js::Buffer::new();
        self.put(buffer.format(value));
    }

    fn begin_object(&mut self) {
        self.out.push(b'{');
        self.objects.push(self.members.len());
    }

    fn begin_member(&mut self) {
        let (key, text) = (self.keys.len(), self.out.len());
        self.members.push(Member { key: key..key, text: text..text, head: Head::default() });
        self.is_key = true;
    }

    fn end_key(&mut self) {
        self.is_key = false;
        if let Some(member) = self.members.last_mut() {
            member.key.end = self.keys.len();
            member.head = Head::of(self.keys.get(member.key.clone()).unwrap_or_default());
        }
    }

    fn end_member(&mut self) {
        self.out.push(b',');
        // Members of values within are gone again, so the last one is this.
        if let Some(member) = self.members.last_mut() {
            member.text.end = self.out.len();
        }
    }

    fn end_object(&mut self) -> io::Result<()> {
        let Self { out, keys, members: all, objects, scratch, .. } = self;
        let first = objects.pop().unwrap_or_default();
        let members = all.get_mut(first..).unwrap_or_default();
        let begin = members.first().map(|member| (member.key.start, member.text.start));
        let key = |member: &Member| keys.get(member.key.clone()).unwrap_or_default();
        let order = |a: &Member, b: &Member| a.head.order(b.head).unwrap_or_else(|| by_units(key(a), key(b)));
        if !members.is_sorted_by(|a, b| order(a, b) == Ordering::Less) {
            members.sort_unstable_by(order);
            if members.windows(2).any(|pair| matches!(pair, [a, b] if a.head == b.head && key(a) == key(b))) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a key is given twice"));
            }
            scratch.clear();
            scratch.reserve(out.len().saturating_sub(begin.map_or(0, |(_, text)| text)));
            for member in members.iter() {
                scratch.extend_from_slice(out.get(member.text.clone()).unwrap_or_default());
            }
            out.truncate(begin.map_or(out.len(), |(_, text)| text));
            out.append(scratch);
        }
        all.truncate(first);
        if let Some((key, _)) = begin {
            keys.truncate(key);
            // The comma behind the last one.
            out.pop();
        }
        out.push(b'}');
        Ok(())
    }
}

/// Writes into the document, whatever writer it is given.
struct Canonical<'a>(&'a mut Document);

/// All numbers are doubles (RFC 8785, 3.2.2.3), so the integer that is nearest to one is written.
macro_rules! integers {
    ($($name:ident: $integer:ty),*) => {
        $(
            #[allow(clippy::cast_precision_loss, clippy::cast_lossless)]
            fn $name<W: ?Sized + io::Write>(&mut self, _: &mut W, value: $integer) -> io::Result<()> {
                match u64::try_from(value) {
                    Ok(exact) if exact <= EXACT => self.0.put(itoa::Buffer::new().format(exact)),
                    _ => self.0.number(value as f64),
                }
                Ok(())
            }
        )*
    };
}

impl Formatter for Canonical<'_> {
    integers!(
        write_i8: i8, write_i16: i16, write_i32: i32, write_i64: i64, write_i128: i128,
        write_u8: u8, write_u16: u16, write_u32: u32, write_u64: u64, write_u128: u128
    );

    fn write_f32<W: ?Sized + io::Write>(&mut self, _: &mut W, value: f32) -> io::Result<()> {
        self.0.number(value.into());
        Ok(())
    }

    fn write_f64<W: ?Sized + io::Write>(&mut self, _: &mut W, value: f64) -> io::Result<()> {
        self.0.number(value);
        Ok(())
    }

    fn write_number_str<W: ?Sized + io::Write>(&mut self, _: &mut W, value: &str) -> io::Result<()> {
        let value: f64 = value.parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "no number"))?;
        if !value.is_finite() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a number beyond doubles"));
        }
        self.0.number(value);
        Ok(())
    }

    fn write_null<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.0.put("null");
        Ok(())
    }

    fn write_bool<W: ?Sized + io::Write>(&mut self, _: &mut W, value: bool) -> io::Result<()> {
        self.0.put(if value { "true" } else { "false" });
        Ok(())
    }

    fn begin_string<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.0.out.push(b'"');
        Ok(())
    }

    fn end_string<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.0.out.push(b'"');
        Ok(())
    }

    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, _: &mut W, fragment: &str) -> io::Result<()> {
        self.0.put(fragment);
        Ok(())
    }

    fn write_char_escape<W: ?Sized + io::Write>(&mut self, _: &mut W, escape: CharEscape) -> io::Result<()> {
        let (character, written) = match escape {
            CharEscape::Quote => ('"', "\\\""),
            CharEscape::ReverseSolidus => ('\\', "\\\\"),
            CharEscape::Solidus => ('/', "/"),
            CharEscape::Backspace => ('\u{8}', "\\b"),
            CharEscape::FormFeed => ('\u{c}', "\\f"),
            CharEscape::LineFeed => ('\n', "\\n"),
            CharEscape::CarriageReturn => ('\r', "\\r"),
            CharEscape::Tab => ('\t', "\\t"),
            CharEscape::AsciiControl(byte) => (char::from(byte), ""),
        };
        if written.is_empty() {
            io::Write::write_fmt(&mut self.0.out, format_args!("\\u{:04x}", u32::from(character)))?;
        } else {
            self.0.out.extend_from_slice(written.as_bytes());
        }
        if self.0.is_key {
            self.0.keys.push(character);
        }
        Ok(())
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.0.out.push(b'[');
        Ok(())
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.0.out.push(b']');
        Ok(())
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, _: &mut W, first: bool) -> io::Result<()> {
        if !first {
            self.0.out.push(b',');
        }
        Ok(())
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.0.begin_object();
        Ok(())
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.0.end_object()
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, _: &mut W, _: bool) -> io::Result<()> {
        self.0.begin_member();
        Ok(())
    }

    fn end_object_key<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.0.end_key();
        Ok(())
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.0.out.push(b':');
        Ok(())
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.0.end_member();
        Ok(())
    }

    fn write_raw_fragment<W: ?Sized + io::Write>(&mut self, _: &mut W, _: &str) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "text that may be of any spelling"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::{Value, json};
    use test_case::test_case;

    use super::*;

    fn both(value: &impl Serialize) -> (Option<String>, Option<String>) {
        let text = |bytes: serde_json::Result<Vec<u8>>| bytes.ok().map(|bytes| String::from_utf8(bytes).unwrap());
        (text(to_vec(value)), text(serde_json_canonicalizer::to_vec(value)))
    }

    // RFC 8785, 3.2.2 and 3.2.3.
    #[test]
    fn the_examples_of_the_standard() {
        let value = json!({
            "numbers": [333_333_333.333_333_3, 1E30, 4.50, 2e-3, 0.000_000_000_000_000_000_000_000_001],
            "string": "\u{20ac}$\u{f}\nA'B\"\\\\\"/",
            "literals": [null, true, false],
        });
        let expected = "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
            \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
        assert_eq!(both(&value), (Some(expected.to_owned()), Some(expected.to_owned())));
        let keys = json!({"\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1f600}": 5, "\u{80}": 6, "\u{f6}": 7});
        let expected = "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\u{fb33}\":3}";
        assert_eq!(both(&keys), (Some(expected.to_owned()), Some(expected.to_owned())));
    }

    #[test_case(&json!(9_007_199_254_740_993_u64))]
    #[test_case(&json!(u64::MAX))]
    #[test_case(&json!(i64::MIN))]
    #[test_case(&json!(-1))]
    #[test_case(&json!(-0.0))]
    #[test_case(&json!({}))]
    #[test_case(&json!([[], {}, {"b": {}, "a": [{}]}]))]
    fn edges(value: &Value) {
        let (ours, theirs) = both(value);
        assert!(ours.is_some() && ours == theirs, "{ours:?} {theirs:?}");
    }

    #[test]
    fn long_short_and_strange_keys_are_in_order() {
        let keys =
            ["", "a", "a\0", "a\0b", "abcdefgh", "abcdefgh\0", "abcdefghi", "abcdefgi", "abcdefg\u{e000}", "é", "b"];
        let value: serde_json::Map<String, Value> = keys.iter().map(|key| ((*key).to_owned(), json!(1))).collect();
        let (ours, theirs) = both(&value);
        assert!(ours.is_some() && ours == theirs, "{ours:?} {theirs:?}");
    }

    #[test]
    fn an_object_member_by_member_is_the_same() {
        let tree = json::parse(br#"{"b":[1.50,{"z":null,"y":"\u00e9\n"}],"a":1e2}"#).unwrap();
        let written = Members::new().add("v", "1").unwrap().add_tree("body", &tree).add("at", &[true]).unwrap();
        let expected = json!({"v": "1", "body": json::to_serde(&tree), "at": [true]});
        assert_eq!(written.into_vec().ok(), to_vec(&expected).ok());
        assert_eq!(Members::new().into_vec().unwrap(), b"{}");
        assert!(Members::new().add("a", "1").unwrap().add("a", "2").unwrap().into_vec().is_err());
    }

    #[derive(Serialize)]
    struct Twice {
        #[serde(rename = "a")]
        one: u8,
        b: u8,
        #[serde(rename = "a")]
        two: u8,
    }

    #[test]
    fn keys_are_texts_or_numbers_and_stand_once() {
        let (ours, theirs) = both(&BTreeMap::from([(10, "a"), (9, "b"), (-1, "c")]));
        assert_eq!((ours.as_deref(), theirs.as_deref()), (Some(r#"{"-1":"c","10":"a","9":"b"}"#), ours.as_deref()));
        assert_eq!(both(&BTreeMap::from([((1, 2), "a")])), (None, None));
        assert_eq!(both(&Twice { one: 1, b: 2, two: 3 }), (None, None));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_filter("JSON has no others", |value| value.is_finite()).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        let key = || prop_oneof!["[a-c\u{0}-\u{1f}\"\\\\\u{e000}\u{1f600}é]{0,3}", any::<String>()];
        leaf.prop_recursive(6, 64, 8, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((key(), inner), 0..8).prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

        #[test]
        fn the_same_as_another_implementation(value in value()) {
            let (ours, theirs) = both(&value);
            prop_assert!(ours.is_some());
            prop_assert_eq!(&ours, &theirs);
            // What is strict JSON is a tree, too.
            if let Ok(tree) = json::parse(value.to_string().as_bytes()) {
                prop_assert_eq!(Some(json::emit_sorted(&tree)), theirs);
            }
        }
    }
}
