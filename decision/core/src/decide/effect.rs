//! The effect digest: everything that is sent, not only the arguments.

use crate::agent::Agent;
use crate::call::{Emitted, ToolCall};
use crate::canonical::Members;
use crate::digest::Digest;

/// Digest of the effect; none when there is nothing to send, or when the agent was not read from a server.
///
/// All that makes an effect is in it, and never the credential, the idempotency key, `accept*` or trace headers.
pub(super) fn digest(agent: &Agent, call: &ToolCall) -> Option<Digest> {
    let request = call.request.as_ref()?;
    if agent.uid.is_empty() {
        return None;
    }
    Some(Digest::of_canonical(written(agent, call, request)))
}

/// The body is the tree as emitted, with the way it is written: one tree as JSON and as a form are two effects. An absent
/// body has neither member: it is not a body of `null`. Keys are sorted (RFC 8785), so their order is no effect.
fn written(agent: &Agent, call: &ToolCall, request: &Emitted) -> serde_json::Result<Vec<u8>> {
    let mut effect = Members::new().add("agentUid", &agent.uid)?;
    if let Some(body) = &request.body {
        effect = effect.add_tree("body", body).add("encoding", request.encoding.media_type())?;
    }
    effect
        .add("headers", &request.headers)?
        .add("method", &request.method)?
        .add("operation", &call.operation)?
        .add("tool", &call.tool)?
        .add("url", &request.url)?
        .add("v", "aegis.dev/effect/v1")?
        .into_vec()
}
