//! Properties of the parser and the emitter, and what each refusal says.

// Helpers of tests may panic as tests do; the lints' own exceptions cover test functions only.
#![allow(
    clippy::expect_used,
    clippy::float_cmp,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::result_large_err,
    clippy::unwrap_in_result,
    clippy::unwrap_used
)]

use aegis_decision::json::{self, Limits, Number, Object, ParseErrorKind, Value, emit, parse, parse_with};
use proptest::prelude::*;
use test_case::test_case;

fn number() -> impl Strategy<Value = Number> {
    let decimal = (any::<bool>(), 0_u64..1_000_000_000_000_000, -300_i32..285).prop_map(|(negative, digits, power)| {
        let text = format!("{}{digits}e{power}", if negative { "-" } else { "" });
        Number::from_text(&text).unwrap()
    });
    let integer = (-9_007_199_254_740_992_i64..=9_007_199_254_740_992)
        .prop_map(|integer| Number::from_text(&integer.to_string()).unwrap());
    prop_oneof![decimal, integer]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number().prop_map(Value::Number),
        any::<String>().prop_map(|text| Value::String(text.into())),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        let members = prop::collection::vec((".{0,8}", inner.clone()), 0..8).prop_map(|members| {
            let mut object = Object::new();
            for (key, value) in members {
                let _taken = object.insert(key, value);
            }
            Value::Object(object)
        });
        prop_oneof![prop::collection::vec(inner, 0..8).prop_map(Value::Array), members]
    })
}

/// Texts that look like JSON, so that the parser is driven deep before something is wrong.
fn json_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        &b"{"[..],
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\"",
        b"\\",
        b"\\u",
        b"\\ud83d",
        b"\\ude00",
        b"0",
        b"-",
        b"1e",
        b"9007199254740993",
        b".5",
        b"true",
        b"null",
        b" ",
        b"\"a\":",
        b"\"a\":1,",
        b"\xFF",
        b"\xEF\xBB\xBF",
        b"\0",
        b"\xF0\x9F\x98\x80",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_end_in_a_value_or_an_error_in_the_document(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        if let Err(error) = parse(&bytes) {
            prop_assert!(error.offset <= bytes.len());
        }
    }

    #[test]
    fn what_is_accepted_serde_json_reads_alike(bytes in json_like()) {
        match parse(&bytes) {
            Ok(value) => {
                let canonical = |bytes: &[u8]| {
                    let value: serde_json::Value = serde_json::from_slice(bytes).unwrap();
                    serde_json_canonicalizer::to_vec(&value).unwrap()
                };
                prop_assert_eq!(serde_json_canonicalizer::to_vec(&value).unwrap(), canonical(&bytes));
            }
            Err(error) => prop_assert!(error.offset <= bytes.len()),
        }
    }

    #[test]
    fn a_tree_survives_being_written(value in value()) {
        let written = emit(&value);
        let read = parse(&written).unwrap();
        prop_assert_eq!(&read, &value);
        prop_assert_eq!(emit(&read), written);
    }

    #[test]
    fn a_tree_survives_serde(value in value()) {
        let text = serde_json::to_string(&value).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Value>(&text).unwrap(), &value);
        prop_assert_eq!(&json::read::<Value>(text.as_bytes()).unwrap(), &value);
        // Sorting keys is all that tells the canonical form from the emitted one.
        let sorted: serde_json::Value = serde_json::from_slice(&emit(&value)).unwrap();
        prop_assert_eq!(serde_json_canonicalizer::to_vec(&value).unwrap(), serde_json_canonicalizer::to_vec(&sorted).unwrap());
    }

    #[test]
    fn a_number_is_exact_everywhere(number in number()) {
        let token = number.to_string();
        prop_assert_eq!(Number::from_text(&token), Ok(number));
        prop_assert_eq!(serde_json_canonicalizer::to_string(&number).unwrap(), token.clone());
        prop_assert_eq!(Number::from_text(&format!("{:e}", number.as_f64())), Ok(number));
        if let Some(decimal) = number.to_decimal() {
            prop_assert_eq!(Number::from_text(&decimal.to_string()), Ok(number));
        }
    }

    #[test]
    fn an_integer_beyond_2_to_53_is_refused_or_has_few_digits(integer in 9_007_199_254_740_993_u64..) {
        let accepted = Number::from_text(&integer.to_string()).is_ok();
        prop_assert_eq!(accepted, integer.to_string().trim_end_matches('0').len() <= 15);
    }
}

#[test_case("", "a JSON value is expected, there is none at byte 0"; "nothing")]
#[test_case("\u{feff}{}", "JSON is accepted in UTF-8 without byte order mark only at byte 0"; "byte order mark")]
#[test_case("{\"a\":1,\"\\u0061\":2}", "a key may be given once per object, this one is repeated at byte 7"; "escaped duplicate")]
#[test_case("{\"x\":[{\"a\":1,\"a\":1}]}", "a key may be given once per object, this one is repeated at byte 13"; "deep duplicate")]
#[test_case("{\"a\":1}{", "one JSON value is accepted, something follows it at byte 7"; "trailing data")]
#[test_case("[1,]", "expected a JSON value at byte 3"; "trailing comma")]
#[test_case("{a:1}", "expected a key in double quotes at byte 1"; "bare key")]
#[test_case("{\"a\" 1}", "expected a colon after the key at byte 5"; "no colon")]
#[test_case("[1 2]", "expected a comma or the end of the array at byte 3"; "no comma")]
#[test_case("{\"a\":1", "the JSON value is not complete at byte 6"; "cut")]
#[test_case("\"\\ud800\"", "surrogates are accepted in pairs only at byte 1"; "lone surrogate")]
#[test_case("\"\\ud800\\ud800\"", "surrogates are accepted in pairs only at byte 1"; "two high surrogates")]
#[test_case("\"a\nb\"", "control characters in strings must be escaped at byte 2"; "line break")]
#[test_case("[NaN]", "expected a JSON value at byte 1"; "not a number")]
#[test_case("[1e400]", "accepted are 0 and numbers between 1e-300 and 1e300 in size at byte 1"; "infinite")]
#[test_case("[9007199254740993]", "accepted are integers up to 2^53 and decimals of at most 15 significant digits; send a longer one as a string at byte 1"; "inexact")]
fn a_refusal_says_what_is_accepted_and_where(text: &str, message: &str) {
    assert_eq!(parse(text.as_bytes()).unwrap_err().to_string(), message);
}

#[test]
fn a_refusal_repeats_nothing_of_the_document() {
    for text in
        ["{\"s3cret\":1,\"s3cret\":2}", "[s3cret]", "\"\\s3cret\"", "[12345678901234567890.s3cret]", "{} s3cret"]
    {
        assert!(!parse(text.as_bytes()).unwrap_err().to_string().contains("s3cret"), "{text}");
    }
}

#[test]
fn limits_hold_at_their_edges() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(nested(32).as_bytes()).is_ok());
    assert_eq!(parse(nested(33).as_bytes()).unwrap_err().kind, ParseErrorKind::Depth(32));
    assert!(serde_json::from_str::<Value>(&nested(32)).is_ok());
    assert!(serde_json::from_str::<Value>(&nested(33)).is_err());

    let list = |values: usize| format!("[{}]", vec!["0"; values].join(","));
    assert!(parse(list(9_999).as_bytes()).is_ok());
    assert_eq!(parse(list(10_000).as_bytes()).unwrap_err().kind, ParseErrorKind::Nodes(10_000));
    assert!(serde_json::from_str::<Value>(&list(10_000)).is_err());

    let key = |bytes: usize| format!("{{\"{}\":0}}", "k".repeat(bytes));
    assert!(parse(key(256).as_bytes()).is_ok());
    assert_eq!(parse(key(257).as_bytes()).unwrap_err().kind, ParseErrorKind::KeyLength(256));
    assert!(serde_json::from_str::<Value>(&key(257)).is_err());

    let wide = Limits { depth: usize::MAX, nodes: usize::MAX, key_bytes: usize::MAX };
    assert_eq!(parse_with(nested(100_000).as_bytes(), wide).unwrap_err().kind, ParseErrorKind::Depth(128));
}

#[test]
fn many_keys_are_told_apart() {
    let members: Vec<_> = (0..9_999).map(|index| format!("\"k{index}\":{index}")).collect();
    let object = parse(format!("{{{}}}", members.join(",")).as_bytes()).unwrap();
    assert_eq!(object.as_object().unwrap().len(), 9_999);
    for (at, taken) in [(20, 3), (17, 16), (9_000, 8_999), (5_000, 0)] {
        let mut members = members.clone();
        members[at] = format!("\"k{taken}\":0");
        let error = parse(format!("{{{}}}", members.join(",")).as_bytes()).unwrap_err();
        assert_eq!(error.kind, ParseErrorKind::DuplicateKey);
    }
}

#[test]
fn documents_of_our_own_types_are_read_strictly() {
    type Plain = std::collections::BTreeMap<String, f64>;
    assert_eq!(json::read::<Plain>(br#"{"a": 0.1}"#).unwrap()["a"], 0.1);
    assert!(json::read::<Plain>(br#"{"a": 1, "a": 2}"#).is_err());
    assert!(json::read::<Plain>(br#"{"a": "x"}"#).is_err());
    assert!(serde_json::from_str::<Value>(r#"{"a": 1, "a": 2}"#).is_err());
    assert!(serde_json::from_str::<Value>("9007199254740993").is_err());
    assert!(serde_json::from_str::<Object>("[]").is_err());
}

#[test]
fn the_order_of_keys_is_kept_and_tokens_are_canonical() {
    let value = parse(b" { \"b\" : 1.50 , \"a\" : [ -0, 1E2, \"\\u0041\\/\\u001f\\u20ac\" ] } ").unwrap();
    assert_eq!(String::from_utf8(emit(&value)).unwrap(), "{\"b\":1.5,\"a\":[0,100,\"A/\\u001f€\"]}");
}
