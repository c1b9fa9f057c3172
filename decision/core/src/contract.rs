//! The documented input of a decision: what `aegis eval` reads, and what a sidecar sends for a held call.
//!
//! The output is [`DecisionOutput`], written with `serde_json::to_string`: its members come in the order of the struct,
//! absent ones are left out, nothing is indented. For the same bundle, request, evidence and time these are the bytes
//! that a sidecar records, if the input gives the request as `http` and the resources were read from a server (they have
//! uid and generation). An input that gives `operation` and `arguments` is judged by the same rules, but nothing would be
//! sent, so it has no digests and cannot be released.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::agent::Standing;
use crate::approval::Release;
use crate::bundle::Bundle;
use crate::call::{HttpRequest, ToolCall};
use crate::decide::{self, Evidence};
use crate::decision::{Decision, DecisionOutput, Outcome};
use crate::delegation::Delegation;
use crate::facts::FactSet;
use crate::json::{self, Object, Value};
use crate::naming::Malformed;
use crate::rego::Worker;
use crate::run::{RunIndex, RunView};

/// One call to judge, with the evidence that is not in the bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DecisionInput {
    /// `namespace/name` of the agent.
    pub agent: String,
    /// Tool.
    pub tool: String,
    /// The request as it came in; excludes `operation` and `arguments`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpInput>,
    /// Operation, where there is no request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Arguments, where there is no request: an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Value>,
    /// Delegation that the agent names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegation: Option<String>,
    /// Run that the agent names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Facts by name, as narrowed to the declared paths; a fact that is not here could not be read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, Value>,
    /// What was known of the run; absent: nothing, as for a call without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_view: Option<RunView>,
    /// When it is judged.
    pub at: Timestamp,
}

/// A request as it came in, after the tool's base path was taken off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpInput {
    /// Method.
    pub method: String,
    /// Path, percent-encoded, starts with `/`.
    pub path: String,
    /// Query without `?`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Headers in the order received, names in lower case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Body as text. A body that is not UTF-8 is malformed before it gets here.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
}

impl DecisionInput {
    /// Of an agent by its full name: without a call yet, and without evidence.
    pub fn new(agent: impl Into<String>, tool: impl Into<String>, at: Timestamp) -> Self {
        Self {
            agent: agent.into(),
            tool: tool.into(),
            http: None,
            operation: None,
            arguments: None,
            delegation: None,
            run: None,
            facts: BTreeMap::new(),
            run_view: None,
            at,
        }
    }
}

impl Bundle {
    /// Judges an input: the output only, as `aegis eval` prints it. Without releases, so a call that needs an approval
    /// is held.
    pub fn judge_input(
        &self,
        input: &DecisionInput,
        standing: &Standing,
        delegations: &[Delegation],
    ) -> DecisionOutput {
        self.decide_input(input, standing, delegations, &[]).output
    }

    /// As [`Bundle::judge_input`], for those who judge many inputs one after another: on the Rego machines of a worker, and
    /// of an input that is not needed any more, so that its arguments are not copied. An input that does not say what was
    /// known of its run is judged by what `runs` knows.
    pub fn judge_input_once(
        &self,
        mut input: DecisionInput,
        standing: &Standing,
        delegations: &[Delegation],
        runs: &RunIndex,
        worker: &mut Worker,
    ) -> DecisionOutput {
        let arguments = input.arguments.take();
        let called = self.call_with(&input, arguments);
        if let (None, Ok(call)) = (&input.run_view, &called) {
            input.run_view = self.run_view(call, runs, input.at);
        }
        let decide =
            |bundle: &Self, call, evidence: &Evidence<'_>, now| decide::decide_on(bundle, call, evidence, now, worker);
        self.decide_called(decide, called, &input, standing, delegations, &[]).output
    }

    /// Judges an input exactly as a sidecar judges the request: named by the same router, facts narrowed to the declared
    /// paths, decided by [`decide::decide`] at `input.at`. The releases' signatures were verified by the caller.
    pub fn decide_input(
        &self,
        input: &DecisionInput,
        standing: &Standing,
        delegations: &[Delegation],
        releases: &[Release],
    ) -> Decision {
        self.decide_called(decide::decide, self.call_of_input(input), input, standing, delegations, releases)
    }

    fn decide_called(
        &self,
        decide: impl FnOnce(&Self, ToolCall, &Evidence<'_>, Timestamp) -> Decision,
        called: Result<ToolCall, Malformed>,
        input: &DecisionInput,
        standing: &Standing,
        delegations: &[Delegation],
        releases: &[Release],
    ) -> Decision {
        match called {
            Ok(call) => {
                let facts = self.narrowed(&call, &input.facts);
                let run = input.run_view.as_ref();
                decide(self, call, &Evidence { standing, delegations, facts: &facts, run, releases }, input.at)
            }
            Err(malformed) => Decision {
                outcome: Outcome::Deny(malformed.code),
                output: decide::malformed(self, &input.tool, malformed),
            },
        }
    }

    /// Judges an input as [`Bundle::decide_input`] does, with every rule of the operation in the output whatever the
    /// verdict, see [`decide::decide_in_full`].
    pub fn decide_input_in_full(
        &self,
        input: &DecisionInput,
        standing: &Standing,
        delegations: &[Delegation],
        releases: &[Release],
    ) -> Decision {
        self.decide_called(decide::decide_in_full, self.call_of_input(input), input, standing, delegations, releases)
    }

    /// Judges an input by the operation's table alone, see [`decide::decide_by_table_alone`].
    #[doc(hidden)]
    pub fn decide_input_by_table_alone(
        &self,
        input: &DecisionInput,
        standing: &Standing,
        delegations: &[Delegation],
        releases: &[Release],
    ) -> Decision {
        let called = self.call_of_input(input);
        self.decide_called(decide::decide_by_table_alone, called, input, standing, delegations, releases)
    }

    /// The call that an input describes.
    pub fn call_of_input(&self, input: &DecisionInput) -> Result<ToolCall, Malformed> {
        self.call_with(input, input.arguments.clone())
    }

    fn call_with(&self, input: &DecisionInput, arguments: Option<Value>) -> Result<ToolCall, Malformed> {
        let agent = self.agent();
        if input.agent.split_once('/') != Some((&agent.namespace, &agent.name)) {
            return Err(Malformed::request(format!("the call is of another agent than {}", agent.full_name())));
        }
        let mut call = match (&input.http, &input.operation, arguments) {
            (Some(http), None, None) => self.name_call(&input.tool, &http.as_request())?,
            (None, Some(operation), arguments) => {
                let arguments = arguments.unwrap_or_else(|| Value::Object(Object::new()));
                self.call_of(&input.tool, operation, arguments)?
            }
            _ => return Err(Malformed::request("a call is given either as http or by operation and arguments")),
        };
        call.delegation = agreed("delegation", call.delegation, input.delegation.as_ref())?;
        call.run = agreed("run", call.run, input.run.as_ref())?;
        Ok(call)
    }

    /// Facts as the sidecar keeps them. Narrowing a fact that is narrowed already changes nothing.
    fn narrowed(&self, call: &ToolCall, facts: &BTreeMap<String, Value>) -> FactSet {
        let narrow = |(name, value): (&String, &Value)| {
            self.keep_fact(call, name, &json::emit(value)).map(|kept| (name.clone(), kept))
        };
        FactSet(facts.iter().filter_map(narrow).collect())
    }
}

impl HttpInput {
    fn as_request(&self) -> HttpRequest<'_> {
        HttpRequest {
            method: &self.method,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.headers,
            body: self.body.as_bytes(),
        }
    }
}

/// The name that request and input agree on; either may leave it out.
fn agreed(what: &str, of_request: Option<String>, of_input: Option<&String>) -> Result<Option<String>, Malformed> {
    match (of_request, of_input) {
        (Some(request), Some(input)) if request != *input => {
            Err(Malformed::request(format!("the request's headers and the input name different {what}s")))
        }
        (request, input) => Ok(request.or_else(|| input.cloned())),
    }
}
