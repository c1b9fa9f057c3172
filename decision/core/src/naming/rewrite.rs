//! Sanitized arguments, written back to where they came from: path, query and body.
//!
//! What is judged is then read again from what will be sent, and the request must still be one of its operation: a
//! sanitizer can change what is asked for, never whom.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;

use super::arguments::{check_query, merge};
use super::percent;
use super::router::{Route, Router};
use super::target::unsafe_segment;
use crate::bundle::Bundle;
use crate::call::Encoding;
use crate::json::{self, Limits, Object, Value};
use crate::sanitize::{self, Failure, Sanitation};
use crate::tool::{Operation, Tool};

/// The parts of a request that hold arguments.
pub(super) struct Parts {
    /// The path's parameters, in order.
    pub(super) path: Vec<(String, String)>,
    /// Query pairs in the order received.
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Option<(Arc<Value>, Encoding)>,
}

/// Why arguments that were sanitized cannot be sent. Never holds a value.
type Unsendable = &'static str;

impl Bundle {
    /// The arguments after the operation's `Sanitize` rules; empty where they failed. `rewrite` gets what came out, if it
    /// is not what came in, and gives what will be sent.
    pub(super) fn sanitized(
        &self,
        tool: &Tool,
        operation: &Operation,
        arguments: Arc<Value>,
        rewrite: impl FnOnce(Value) -> Result<Arc<Value>, Unsendable>,
    ) -> (Arc<Value>, Sanitation) {
        let Some(sanitizers) = self.sanitizers(&tool.name, &operation.name) else {
            return (arguments, Sanitation::default());
        };
        let plan = sanitizers.plan(&self.source, &self.policies, &tool.name, operation, &arguments);
        let (changed, mut sanitation) = plan.apply(&arguments);
        match changed {
            None => (arguments, sanitation),
            Some(empty) if sanitation.failure.is_some() => (Arc::new(empty), sanitation),
            Some(changed) => match within_limits(&changed).and_then(|()| rewrite(changed)) {
                Ok(arguments) => (arguments, sanitation),
                Err(reason) => {
                    sanitation.changed.clear();
                    sanitation.failure = Some(Failure {
                        rule: None,
                        field: String::new(),
                        action: "sanitize",
                        reason: reason.to_owned(),
                    });
                    (Arc::new(Value::Object(Object::new())), sanitation)
                }
            },
        }
    }
}

/// `set` may add values; everything else only takes away.
fn within_limits(arguments: &Value) -> Result<(), Unsendable> {
    if sanitize::count(arguments) > Limits::STRICT.nodes {
        return Err("they would have more than 10000 values");
    }
    Ok(())
}

impl Parts {
    /// Takes the arguments in, and gives what the request then says.
    pub(super) fn rewrite(
        &mut self,
        tool: &Tool,
        router: &Router,
        route: &Route,
        operation: &Operation,
        arguments: Value,
    ) -> Result<Arc<Value>, Unsendable> {
        let Value::Object(mut arguments) = arguments else { return Err("they would be no object") };
        self.rewrite_path(&mut arguments)?;
        self.rewrite_query(operation, &mut arguments)?;
        self.rewrite_body(tool, route, arguments)?;
        let tree = self.body.as_ref().map(|(tree, _)| tree);
        if !router.leads_to(route, &self.path, tree.map(|tree| &**tree)) {
            return Err("the request would be one of another operation");
        }
        merge(operation, route, tree, &self.path, &self.query).map_err(|_| "the request would be ambiguous")
    }

    fn rewrite_path(&mut self, arguments: &mut Object) -> Result<(), Unsendable> {
        for (name, value) in &mut self.path {
            match arguments.remove(name) {
                Some(Value::String(text)) if unsafe_segment(&text).is_none() => *value = text.into(),
                _ => return Err("a path parameter would be no segment of a path"),
            }
        }
        Ok(())
    }

    fn rewrite_query(&mut self, operation: &Operation, arguments: &mut Object) -> Result<(), Unsendable> {
        let mut values: BTreeMap<&str, VecDeque<String>> = BTreeMap::new();
        for parameter in &operation.http.query {
            let given = match arguments.remove(&parameter.name) {
                None => Vec::new(),
                Some(Value::Array(items)) if parameter.repeated => items,
                Some(value) => vec![value],
            };
            let texts: Option<_> = given.into_iter().map(query_text).collect();
            values.insert(&parameter.name, texts.ok_or("a query parameter would be no text that a query can hold")?);
        }
        let mut pairs = Vec::with_capacity(self.query.len());
        for (name, _) in &self.query {
            pairs
                .extend(values.get_mut(name.as_str()).and_then(VecDeque::pop_front).map(|value| (name.clone(), value)));
        }
        // What was not there before stands behind what was, in the order of the declaration.
        for parameter in &operation.http.query {
            let added = values.remove(parameter.name.as_str()).into_iter().flatten();
            pairs.extend(added.map(|value| (parameter.name.clone(), value)));
        }
        check_query(operation, &pairs).map_err(|_| "the query would not be as declared")?;
        self.query = pairs;
        Ok(())
    }

    fn rewrite_body(&mut self, tool: &Tool, route: &Route, rest: Object) -> Result<(), Unsendable> {
        let Some((tree, encoding)) = &mut self.body else {
            return if rest.is_empty() {
                Ok(())
            } else {
                Err("an argument was added, and there is no body to hold it")
            };
        };
        let tree = Arc::make_mut(tree);
        put(tree, &route.arguments_from, rest)?;
        let texts = || tree.as_object().is_some_and(|form| form.iter().all(|(_, value)| value.as_str().is_some()));
        if *encoding == Encoding::Form && !texts() {
            return Err("a form holds texts only");
        }
        let bytes = match encoding {
            Encoding::Json => json::emit(tree).len(),
            Encoding::Form => super::form_bytes(tree).len(),
        };
        if u64::try_from(bytes).unwrap_or(u64::MAX) > u64::from(tool.limits.request_bytes) {
            return Err("the body would be larger than the tool allows");
        }
        Ok(())
    }
}

fn query_text(value: Value) -> Option<String> {
    match value {
        Value::String(text) if !text.contains('\0') && percent::once(&text).is_ok() => Some(text.into()),
        _ => None,
    }
}

/// Puts the arguments where `argumentsFrom` says that they are.
fn put(body: &mut Value, keys: &[String], mut arguments: Object) -> Result<(), Unsendable> {
    match (keys.split_first(), body) {
        (Some((key, keys)), Value::Object(object)) => match object.get_mut(key) {
            Some(member) => put(member, keys, arguments),
            None if arguments.is_empty() => Ok(()),
            None => Err("an argument was added, and the body has no object to hold it"),
        },
        (Some(_), _) => Err("the body has no arguments where the tool declares them"),
        (None, Value::Object(object)) => {
            *object = arguments;
            Ok(())
        }
        // A body that is no object is the argument `body`, and nothing else is in it.
        (None, other) => match (arguments.remove("body"), arguments.is_empty()) {
            (Some(whole), true) => {
                *other = whole;
                Ok(())
            }
            _ => Err("a body that is no object can hold no other argument, and cannot be taken away"),
        },
    }
}
