//! Where a path leads to in a tree that is changed, and how two such paths meet.

use std::cmp::Ordering;

use super::transform::{change, constant_value};
use crate::json::Value;
use crate::path::Step;
use crate::policy::Transform;
use crate::policy::transform::Action;

/// Why a place cannot be changed. Says nothing of what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// An object, a list or a scalar where the path needs another of the three.
    #[error("what stands there, or on the way there, is not of the kind that the path names")]
    Place,
    /// Mask and truncate change texts.
    #[error("it is no text")]
    NotText,
    /// Round changes decimals.
    #[error("it is no decimal of at most 28 digits")]
    NotDecimal,
}

impl Transform {
    /// Does it to a tree; tells whether anything changed. On an error some places may have been changed already: the tree
    /// is then of no use.
    pub fn apply(&self, tree: &mut Value) -> Result<bool, Unfit> {
        apply(tree, &self.field.steps, &self.action)
    }
}

/// Does an action wherever the path leads; tells whether anything changed. On an error some places may have been changed
/// already: the tree is then of no use.
pub(super) fn apply(tree: &mut Value, steps: &[Step], action: &Action) -> Result<bool, Unfit> {
    let Some((last, parents)) = steps.split_last() else { return change(tree, action) };
    each(tree, parents, &mut |parent| at(parent, last, action))
}

/// Visits every value that the path leads to. What is absent, or `null` on the way, is not visited.
pub(super) fn each(
    tree: &mut Value,
    steps: &[Step],
    visit: &mut dyn FnMut(&mut Value) -> Result<bool, Unfit>,
) -> Result<bool, Unfit> {
    let Some((step, rest)) = steps.split_first() else { return visit(tree) };
    match (step, tree) {
        (_, Value::Null) => Ok(false),
        (Step::Key(key), Value::Object(object)) => {
            object.get_mut(key).map_or(Ok(false), |member| each(member, rest, visit))
        }
        (Step::Index(index), Value::Array(items)) => {
            items.get_mut(*index).map_or(Ok(false), |item| each(item, rest, visit))
        }
        (Step::All | Step::Any, Value::Array(items)) => {
            items.iter_mut().try_fold(false, |changed, item| Ok(each(item, rest, visit)? || changed))
        }
        _ => Err(Unfit::Place),
    }
}

/// The action at the last step, seen from the value around it.
fn at(parent: &mut Value, last: &Step, action: &Action) -> Result<bool, Unfit> {
    match (last, parent, action) {
        (Step::Key(key), Value::Object(object), Action::Remove) => Ok(object.remove(key).is_some()),
        (Step::Key(key), Value::Object(object), Action::Set(constant)) if object.get(key).is_none() => {
            let _free = object.insert(key.as_str(), constant_value(constant)?);
            Ok(true)
        }
        (Step::All | Step::Any, Value::Array(items), Action::Remove) => {
            let any = !items.is_empty();
            items.clear();
            Ok(any)
        }
        (last, parent, action) => each(parent, std::slice::from_ref(last), &mut |value| change(value, action)),
    }
}

/// Whether some value could be, or be within, what both paths lead to.
pub(super) fn meet(one: &[Step], other: &[Step]) -> bool {
    one.iter().zip(other).all(|(one, other)| match (one, other) {
        (Step::All | Step::Any, Step::All | Step::Any | Step::Index(_)) | (Step::Index(_), Step::All | Step::Any) => {
            true
        }
        (one, other) => one == other,
    })
}

/// Whether two changes could make two different things of one value, depending on which comes first.
pub(super) fn conflict(one: (&[Step], &Action), other: (&[Step], &Action)) -> bool {
    let ((steps, action), (others, other)) = (one, other);
    // Taking away a value and a part of it takes away the value; all else must be the same at the same place.
    let harmless = action == other && (steps.len() == others.len() || *action == Action::Remove);
    meet(steps, others) && !harmless
}

/// The order in which places are changed: what is taken away whole is so before a part of it.
pub(super) fn order(one: &[Step], other: &[Step]) -> Ordering {
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

/// Values in a tree, the tree itself included. At most one deeper than what the parser lets through.
pub(crate) fn count(tree: &Value) -> usize {
    let within = match tree {
        Value::Array(items) => items.iter().map(count).fold(0, usize::saturating_add),
        Value::Object(object) => object.iter().map(|(_, value)| count(value)).fold(0, usize::saturating_add),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    };
    within.saturating_add(1)
}

#[cfg(test)]
mod tests {
    // A helper fails as a test does.
    #![allow(clippy::unwrap_in_result)]

    use test_case::test_case;

    use super::*;
    use crate::json::{emit, parse};
    use crate::path::Path;
    use crate::policy::transform::{Constant, End};

    fn steps(path: &str) -> Vec<Step> {
        path.parse::<Path>().unwrap().steps
    }

    fn done(path: &str, action: &Action, json: &str) -> Result<(String, bool), Unfit> {
        let mut tree = parse(json.as_bytes()).unwrap();
        let changed = apply(&mut tree, &steps(path), action)?;
        Ok((String::from_utf8(emit(&tree)).unwrap(), changed))
    }

    #[test_case("a", r#"{"a":1,"b":2}"#, r#"{"b":2}"#)]
    #[test_case("a.b", r#"{"a":{"b":1,"c":2}}"#, r#"{"a":{"c":2}}"#)]
    #[test_case("a[*].b", r#"{"a":[{"b":1},{"c":2},null,{"b":3}]}"#, r#"{"a":[{},{"c":2},null,{}]}"#)]
    #[test_case("a[*]", r#"{"a":[1,2]}"#, r#"{"a":[]}"#)]
    #[test_case("a[1].b", r#"{"a":[{"b":1},{"b":2}]}"#, r#"{"a":[{"b":1},{}]}"#)]
    #[test_case("a[5].b", r#"{"a":[{"b":1}]}"#, r#"{"a":[{"b":1}]}"#; "not so many")]
    #[test_case("x.y", r#"{"a":1}"#, r#"{"a":1}"#; "absent")]
    #[test_case("a.b", r#"{"a":null}"#, r#"{"a":null}"#; "null on the way")]
    fn removes(path: &str, json: &str, rest: &str) {
        assert_eq!(done(path, &Action::Remove, json), Ok((rest.to_owned(), rest != json)));
    }

    #[test_case("a.b", r#"{"a":"text"}"#)]
    #[test_case("a.b", r#"{"a":[{"b":1}]}"#; "a list where an object should be")]
    #[test_case("a[*].b", r#"{"a":{"b":1}}"#; "an object where a list should be")]
    #[test_case("a[*]", r#"{"a":7}"#; "a scalar where a list should be")]
    #[test_case("a[0].b", r#"{"a":{"0":{"b":1}}}"#)]
    fn another_kind_is_not_passed_over(path: &str, json: &str) {
        assert_eq!(done(path, &Action::Remove, json), Err(Unfit::Place));
        assert_eq!(done(path, &Action::Mask { keep: 0, end: End::End }, json), Err(Unfit::Place));
    }

    #[test_case("a", r#"{"b":1}"#, r#"{"b":1,"a":true}"#; "added")]
    #[test_case("a", r#"{"a":{"b":1}}"#, r#"{"a":true}"#; "replaced whole")]
    #[test_case("a.b", r#"{"a":{}}"#, r#"{"a":{"b":true}}"#)]
    #[test_case("a.b", "{}", "{}"; "nothing to hold it")]
    #[test_case("a[*].b", r#"{"a":[{},{"b":1}]}"#, r#"{"a":[{"b":true},{"b":true}]}"#)]
    #[test_case("a[0]", r#"{"a":[1,2]}"#, r#"{"a":[true,2]}"#)]
    #[test_case("a[2]", r#"{"a":[1,2]}"#, r#"{"a":[1,2]}"#; "no list grows")]
    fn sets(path: &str, json: &str, after: &str) {
        let action = Action::Set(Constant::Boolean(true));
        assert_eq!(done(path, &action, json), Ok((after.to_owned(), after != json)));
        assert_eq!(done(path, &action, after), Ok((after.to_owned(), false)), "twice is once");
    }

    #[test_case("a", "b", false)]
    #[test_case("a", "a", true)]
    #[test_case("a", "a.b", true; "one within the other")]
    #[test_case("a[*].b", "a[3].b", true)]
    #[test_case("a[1]", "a[2]", false)]
    #[test_case("a[*].b", "a[*].c", false)]
    #[test_case("a[*]", "a.b", false)]
    fn paths_meet(one: &str, other: &str, expected: bool) {
        assert_eq!(meet(&steps(one), &steps(other)), expected);
        assert_eq!(meet(&steps(other), &steps(one)), expected);
    }

    #[test]
    fn conflicts_are_two_outcomes_for_one_value() {
        let (mask, remove) = (Action::Mask { keep: 2, end: End::End }, Action::Remove);
        let clash = |one: (&str, &Action), other: (&str, &Action)| {
            let (first, second) = (steps(one.0), steps(other.0));
            conflict((&first, one.1), (&second, other.1))
        };
        assert!(clash(("a", &mask), ("a", &remove)));
        assert!(clash(("a", &mask), ("a", &Action::Mask { keep: 3, end: End::End })));
        assert!(clash(("a", &remove), ("a.b", &mask)));
        assert!(clash(("a", &mask), ("a.b", &mask)), "one of them cannot be done");
        assert!(!clash(("a", &mask), ("a", &mask)));
        assert!(!clash(("a", &remove), ("a.b", &remove)));
        assert!(!clash(("a[*]", &mask), ("a[0]", &mask)));
        assert!(!clash(("a", &mask), ("b", &remove)));
    }
}
