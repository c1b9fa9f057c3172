//! Facts: Reads that the sidecar makes itself before it decides, with permits that the bundle made.

use aegis_decision::call::ToolCall;
use aegis_decision::facts::FactSet;
use aegis_decision::tool::Tool;
use futures::future::join_all;

use crate::forward::{Exchange, Upstream};
use crate::state::View;

/// Reads the facts that the call's operation declares, all at once. One that cannot be read is left out: the rules that
/// need it are then indeterminate.
pub async fn read(upstream: &Upstream, view: &View, call: &ToolCall, tool: &Tool) -> FactSet {
    let bundle = &view.policy.bundle;
    let reads = bundle.fact_permits(call).into_iter().map(|permit| upstream.forward_fact(permit, tool));
    let mut facts = FactSet::default();
    for (name, exchange) in join_all(reads).await {
        let kept = match &exchange {
            Exchange::Answered(answer) if answer.status.is_success() => bundle.keep_fact(call, &name, &answer.body),
            Exchange::Answered(_) | Exchange::Withheld { .. } | Exchange::Fault(_) => None,
        };
        if let Some(value) = kept {
            facts.0.insert(name, value);
        } else {
            tracing::warn!(tool = tool.name, fact = name, status = exchange.status(), "fact not read");
        }
    }
    facts
}
