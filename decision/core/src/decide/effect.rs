//! The effect digest: everything that is sent, not only the arguments.

use serde::Serialize;

use crate::agent::Agent;
use crate::call::ToolCall;
use crate::digest::Digest;
use crate::json::Value;

/// All that makes an effect. Never the credential, the idempotency key, `accept*` or trace headers.
///
/// The body is the tree as emitted, with the way it is written: one tree as JSON and as a form are two effects. An absent
/// body has neither member: it is not a body of `null`. Keys are sorted (RFC 8785), so their order is no effect.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Effect<'a> {
    v: &'static str,
    agent_uid: &'a str,
    tool: &'a str,
    operation: &'a str,
    method: &'a str,
    url: &'a str,
    headers: &'a [(String, String)],
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a Value>,
}

/// Digest of the effect; none when there is nothing to send, or when the agent was not read from a server.
pub(super) fn digest(agent: &Agent, call: &ToolCall) -> Option<Digest> {
    let request = call.request.as_ref()?;
    if agent.uid.is_empty() {
        return None;
    }
    Some(Digest::of(&Effect {
        v: "aegis.dev/effect/v1",
        agent_uid: &agent.uid,
        tool: &call.tool,
        operation: &call.operation,
        method: &request.method,
        url: &request.url,
        headers: &request.headers,
        encoding: request.body.as_ref().map(|_| request.encoding.media_type()),
        body: request.body.as_ref(),
    }))
}
