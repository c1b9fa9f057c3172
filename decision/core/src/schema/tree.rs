//! Arguments as the validator reads them: in place, without a copy in the types of `serde_json`.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::slice;

use jsonschema::JsonType;
use jsonschema::json::{Array, Json, Node, NodeIdentity, Object, cmp, unique};

use crate::json::{self, Number, Text, Value, to_serde};

/// Up to so many members are looked through; of more an index is made, once for a check. Else a schema of many names
/// over an object of many members would cost as much as both multiplied.
const FEW: usize = 16;

/// What an error says of the value where it arose: nothing. Errors are told by place and keyword, and a copy of the value
/// for each would cost more than judging it.
static UNTOLD: serde_json::Value = serde_json::Value::Null;

/// [`Value`], as a representation that the validator knows.
pub(super) struct Tree;

/// Members by name, of one object.
type Index<'a> = HashMap<&'a str, &'a Value>;

/// Indexes of the large objects of one tree, by the object's address.
#[derive(Default)]
pub(super) struct Indexes<'a>(RefCell<HashMap<usize, Rc<Index<'a>>>>);

/// A value of a tree.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    value: &'a Value,
    /// None for a name that is judged like a value (`propertyNames`).
    indexes: Option<&'a Indexes<'a>>,
}

/// An object of a tree.
pub(super) struct Members<'a> {
    object: &'a json::Object,
    index: Option<Rc<Index<'a>>>,
    indexes: Option<&'a Indexes<'a>>,
}

/// An array of a tree.
pub(super) struct Elements<'a> {
    items: &'a [Value],
    indexes: Option<&'a Indexes<'a>>,
}

/// Members in order.
pub(super) struct MembersIter<'a> {
    left: slice::Iter<'a, (Text, Value)>,
    indexes: Option<&'a Indexes<'a>>,
}

/// Elements in order.
pub(super) struct ElementsIter<'a> {
    left: slice::Iter<'a, Value>,
    indexes: Option<&'a Indexes<'a>>,
}

impl<'a> At<'a> {
    /// The top of a tree. One set of indexes serves one tree.
    pub(super) fn top(value: &'a Value, indexes: &'a Indexes<'a>) -> Self {
        Self { value, indexes: Some(indexes) }
    }
}

impl<'a> Indexes<'a> {
    fn of(&self, object: &'a json::Object) -> Rc<Index<'a>> {
        let address = std::ptr::from_ref(object).addr();
        let mut known = self.0.borrow_mut();
        Rc::clone(known.entry(address).or_insert_with(|| Rc::new(object.iter().collect())))
    }
}

impl Json for Tree {
    type Node<'a> = At<'a>;
    type PreparedKey = String;
    type StringBuffer = Name;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>(buffer: &mut Name, string: &str, f: impl FnOnce(At<'_>) -> T) -> T {
        buffer.0 = Value::String(string.into());
        f(At { value: &buffer.0, indexes: None })
    }
}

/// Where the name of a member stands while it is judged.
pub(super) struct Name(Value);

impl Default for Name {
    fn default() -> Self {
        Self(Value::Null)
    }
}

impl<'a> Node<'a, Tree> for At<'a> {
    type Object = Members<'a>;
    type Array = Elements<'a>;
    type Number = serde_json::Number;

    fn as_object(&self) -> Option<Members<'a>> {
        let object = self.value.as_object()?;
        let index = self.indexes.filter(|_| object.len() > FEW).map(|indexes| indexes.of(object));
        Some(Members { object, index, indexes: self.indexes })
    }

    fn as_array(&self) -> Option<Elements<'a>> {
        match self.value {
            Value::Array(items) => Some(Elements { items, indexes: self.indexes }),
            _ => None,
        }
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        self.value.as_str().map(Cow::Borrowed)
    }

    fn as_number(&self) -> Option<serde_json::Number> {
        match self.value {
            Value::Number(number) => as_number(*number),
            _ => None,
        }
    }

    fn as_boolean(&self) -> Option<bool> {
        match self.value {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    fn is_number(&self) -> bool {
        matches!(self.value, Value::Number(_))
    }

    fn json_type(&self) -> JsonType {
        match self.value {
            Value::Null => JsonType::Null,
            Value::Bool(_) => JsonType::Boolean,
            Value::Number(_) => JsonType::Number,
            Value::String(_) => JsonType::String,
            Value::Array(_) => JsonType::Array,
            Value::Object(_) => JsonType::Object,
        }
    }

    fn equals_value(&self, expected: &serde_json::Value) -> bool {
        equal(self.value, expected)
    }

    fn to_value(&self) -> Cow<'a, serde_json::Value> {
        Cow::Borrowed(&UNTOLD)
    }

    fn identity(&self) -> Option<NodeIdentity> {
        Some(NodeIdentity::new(std::ptr::from_ref(self.value).addr()))
    }
}

/// The number as the validator calculates with it: whole within ±2^53, else the double that gives it back.
fn as_number(number: Number) -> Option<serde_json::Number> {
    number.as_i64().map(Into::into).or_else(|| serde_json::Number::from_f64(number.as_f64()))
}

/// Whether a value is the one that a schema names, numbers by their value.
fn equal(value: &Value, expected: &serde_json::Value) -> bool {
    match (value, expected) {
        (Value::Null, serde_json::Value::Null) => true,
        (Value::Bool(value), serde_json::Value::Bool(expected)) => value == expected,
        (Value::String(value), serde_json::Value::String(expected)) => value == expected,
        (Value::Number(number), serde_json::Value::Number(_)) => {
            as_number(*number).is_some_and(|number| cmp::equal(&number.into(), expected))
        }
        (Value::Array(items), serde_json::Value::Array(expected)) => {
            items.len() == expected.len() && items.iter().zip(expected).all(|(item, expected)| equal(item, expected))
        }
        (Value::Object(object), serde_json::Value::Object(expected)) => {
            object.len() == expected.len()
                && object.iter().all(|(key, value)| expected.get(key).is_some_and(|expected| equal(value, expected)))
        }
        _ => false,
    }
}

impl<'a> Object<'a, Tree> for Members<'a> {
    type Node = At<'a>;
    type MemberName = &'a str;
    type MembersIter = MembersIter<'a>;

    fn len(&self) -> usize {
        self.object.len()
    }

    fn get(&self, key: &String) -> Option<At<'a>> {
        let value = match &self.index {
            Some(index) => index.get(key.as_str()).copied(),
            None => self.object.get(key),
        };
        value.map(|value| At { value, indexes: self.indexes })
    }

    fn members(&self) -> MembersIter<'a> {
        MembersIter { left: self.object.entries(), indexes: self.indexes }
    }
}

impl<'a> Iterator for MembersIter<'a> {
    type Item = (&'a str, At<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left.next().map(|(name, value)| (name.as_str(), At { value, indexes: self.indexes }))
    }
}

impl<'a> Array<'a, Tree> for Elements<'a> {
    type Node = At<'a>;
    type ElementsIter = ElementsIter<'a>;

    fn len(&self) -> usize {
        self.items.len()
    }

    fn elements(&self) -> ElementsIter<'a> {
        ElementsIter { left: self.items.iter(), indexes: self.indexes }
    }

    fn is_unique(&self) -> bool {
        let values: Vec<serde_json::Value> = self.items.iter().map(to_serde).collect();
        unique::is_unique(&values)
    }
}

impl<'a> Iterator for ElementsIter<'a> {
    type Item = At<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left.next().map(|value| At { value, indexes: self.indexes })
    }
}

#[cfg(test)]
mod tests {
    use jsonschema::{Draft, ValidationOptions};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::json::parse;

    fn key() -> impl Strategy<Value = String> {
        prop_oneof![4 => "[a-d]", 1 => "[a-zé]{1,30}"]
    }

    fn scalar() -> impl Strategy<Value = serde_json::Value> {
        prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Into::into),
            (-9..9_i64).prop_map(Into::into),
            (-30..30_i32).prop_map(|tenths| json!(f64::from(tenths) / 10.0)),
            Just(json!(9_007_199_254_740_992_i64)),
            "[ab]{0,3}|é{1,2}".prop_map(Into::into),
        ]
    }

    fn value() -> impl Strategy<Value = serde_json::Value> {
        scalar().prop_recursive(4, 60, 24, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..5).prop_map(Into::into),
                vec((key(), inner.clone()), 0..5)
                    .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
                // An object that gets an index.
                vec((key(), inner), 20..24).prop_map(|members| {
                    let mut object: serde_json::Map<_, _> = (0..=FEW).map(|at| (format!("m{at}"), json!(at))).collect();
                    object.extend(members);
                    object.into()
                }),
            ]
        })
    }

    fn keyword(inner: &BoxedStrategy<serde_json::Value>) -> impl Strategy<Value = serde_json::Value> + use<> {
        let inner = || inner.clone();
        let some =
            |name: &'static str, from: BoxedStrategy<serde_json::Value>| from.prop_map(move |it| json!({name: it}));
        let list = || vec(inner(), 1..3).prop_map(serde_json::Value::from).boxed();
        let named = || {
            vec((key(), inner()), 1..4)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into())
                .boxed()
        };
        let types = vec!["null", "boolean", "integer", "number", "string", "array", "object"];
        let types = proptest::sample::select(types).prop_map(serde_json::Value::from).boxed();
        let small = || (0..4_u8).prop_map(serde_json::Value::from).boxed();
        let bound = || (-20..20_i32).prop_map(|tenths| json!(f64::from(tenths) / 10.0)).boxed();
        let keys = || vec(key(), 1..5).prop_map(|keys| json!(std::collections::BTreeSet::from_iter(keys))).boxed();
        let pattern = proptest::sample::select(vec!["^a", "b$", "^[a-d]$", "é"]);
        prop_oneof![
            some("type", types),
            some("const", value().boxed()),
            some("enum", vec(value(), 1..3).prop_map(Into::into).boxed()),
            some("minLength", small()),
            some("maxLength", small()),
            some("minItems", small()),
            some("maxProperties", small()),
            some("minimum", bound()),
            some("exclusiveMaximum", bound()),
            Just(json!({"multipleOf": 0.1})),
            Just(json!({"multipleOf": 2})),
            Just(json!({"uniqueItems": true})),
            pattern.clone().prop_map(|pattern| json!({"pattern": pattern})),
            (pattern, inner()).prop_map(|(pattern, one)| json!({"patternProperties": {pattern: one}})),
            some("required", keys()),
            (key(), keys()).prop_map(|(key, keys)| json!({"dependentRequired": {key: keys}})),
            some("dependentSchemas", named()),
            some("properties", named()),
            (named(), prop_oneof![Just(json!(false)), inner()])
                .prop_map(|(named, other)| json!({"properties": named, "additionalProperties": other})),
            (named(), Just(json!(false)))
                .prop_map(|(named, other)| json!({"properties": named, "unevaluatedProperties": other})),
            some("propertyNames", inner()),
            some("items", inner()),
            (list(), inner()).prop_map(|(first, rest)| json!({"prefixItems": first, "items": rest})),
            (list(), Just(json!(false)))
                .prop_map(|(first, rest)| json!({"prefixItems": first, "unevaluatedItems": rest})),
            (inner(), small()).prop_map(|(one, most)| json!({"contains": one, "maxContains": most})),
            some("not", inner()),
            some("allOf", list()),
            some("anyOf", list()),
            some("oneOf", list()),
            (inner(), inner(), inner()).prop_map(|(when, then, or)| json!({"if": when, "then": then, "else": or})),
        ]
    }

    fn schema() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![Just(json!({})), Just(json!(true)), Just(json!(false))];
        leaf.prop_recursive(4, 40, 4, |inner| {
            vec(keyword(&inner.boxed()), 1..4).prop_map(|keywords| {
                let members = keywords.into_iter().filter_map(|keyword| keyword.as_object().cloned()).flatten();
                members.collect::<serde_json::Map<_, _>>().into()
            })
        })
    }

    fn built<F: Json>(
        options: ValidationOptions<'_, std::sync::Arc<dyn jsonschema::Retrieve>, F>,
    ) -> ValidationOptions<'_, std::sync::Arc<dyn jsonschema::Retrieve>, F> {
        options.with_draft(Draft::Draft202012).should_validate_formats(false).offline()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_tree_fails_where_its_copy_fails(schema in schema(), value in value()) {
            let copied = built(jsonschema::options()).build(&schema).unwrap();
            let in_place = built(jsonschema::options_for::<Tree>()).build(&schema).unwrap();
            let tree = parse(value.to_string().as_bytes()).unwrap();
            let copy = to_serde(&tree);
            let indexes = Indexes::default();
            let top = At::top(&tree, &indexes);
            let told = |pointer: String, keyword: &str| format!("{pointer} {keyword}");
            let found = in_place.iter_errors(top);
            let found: Vec<_> = found.map(|error| told(error.instance_path().to_string(), error.kind().keyword())).collect();
            let expected = copied.iter_errors(&copy);
            let expected: Vec<_> =
                expected.map(|error| told(error.instance_path().to_string(), error.kind().keyword())).collect();
            prop_assert_eq!(in_place.is_valid(top), expected.is_empty());
            prop_assert_eq!(found, expected, "{} by {}", value, schema);
        }
    }

    #[test]
    fn large_objects_are_indexed_once_and_small_ones_never() {
        let small = parse(br#"{"a": {"b": 1}}"#).unwrap();
        let members: Vec<_> = (0..=FEW).map(|at| format!("\"{at}\":1")).collect();
        let large = parse(format!("{{{}}}", members.join(",")).as_bytes()).unwrap();
        let names: Vec<_> = (0..50).map(|at| at.to_string()).collect();
        let schema = json!({"allOf": [{"required": names}, {"properties": {"7": {"type": "number"}}}]});
        let validator = built(jsonschema::options_for::<Tree>()).build(&schema).unwrap();
        for (tree, made) in [(&small, 0), (&large, 1)] {
            let indexes = Indexes::default();
            assert!(!validator.is_valid(At::top(tree, &indexes)));
            assert_eq!(indexes.0.borrow().len(), made);
        }
    }
}
