//! From a request to a call: which operation it is, with which arguments, and what would be sent.
//!
//! Everything is read once and strictly, and what is sent is written from what was read. The agent's bytes never reach
//! the tool: paths and queries are encoded again, the body is emitted from its tree, headers are made or dropped.
//!
//! `Sanitize` rules ([`crate::sanitize`]) take their part before a call is there at all, so that nothing that looks at a
//! call can see what they took away.
//!
//! A refusal names declared things and what is accepted, never a value of the request.

mod arguments;
mod declaration;
mod error;
mod fact_binding;
mod headers;
pub(crate) mod media;
mod percent;
mod request;
mod rewrite;
mod router;
mod target;
mod template;

pub use error::{BindingError, Malformed};
pub use router::Router;

pub(crate) use arguments::{check_query, merge};
pub(crate) use headers::CallHeaders;
pub(crate) use media::form_bytes;
pub(crate) use request::emitted;
pub(crate) use router::Route;
pub(crate) use target::unsafe_segment;

use std::sync::Arc;

use crate::bundle::Bundle;
use crate::call::{HttpRequest, ToolCall};
use crate::codes::Code;
use crate::json::Value;
use crate::tool::Tool;
use rewrite::Parts;
use target::RequestPath;

/// Most operations or tools that a refusal names.
const NEAREST: usize = 4;

impl Route {
    /// Names of the path's parameters, in order.
    pub(crate) fn path_parameters(&self) -> impl Iterator<Item = &str> {
        self.template.parameters()
    }
}

impl Bundle {
    /// Names the call that a request to a tool makes, and sanitizes it.
    pub fn name_call(&self, tool: &str, request: &HttpRequest<'_>) -> Result<ToolCall, Malformed> {
        let (tool, router) = self.tool_and_router(tool)?;
        let path = RequestPath::parse(request.path)?;
        if path.trailing_slash && !path.segments.is_empty() && !router.knows_trailing_slash() {
            return Err(Malformed::request("the path must not end with a slash"));
        }
        let candidates = router.candidates(request.method, &path);
        if candidates.is_empty() {
            let detail = format!("no operation has this method and path; {}", nearest(tool, router, &path));
            return Err(Malformed::new(Code::UnknownOperation, detail));
        }
        // What is wrong from here on is wrong with this operation, where the body has no say in which it is.
        let only = match candidates.as_slice() {
            [one] if one.route.discriminators.is_empty() => tool.operations.get(one.route.operation),
            _ => None,
        };
        let blame = |malformed: Malformed| only.map_or(malformed.clone(), |operation| malformed.of(operation));

        let headers = CallHeaders::read(request).map_err(blame)?;
        let body = media::read(request, tool.limits.request_bytes).map_err(blame)?;
        let chosen = router::select(candidates, body.as_ref().map(|(tree, _)| &**tree));
        let Some((chosen, operation)) =
            chosen.and_then(|chosen| tool.operations.get(chosen.route.operation).map(|operation| (chosen, operation)))
        else {
            let detail = format!("no operation has these body fields; {}", nearest(tool, router, &path));
            return Err(Malformed::new(Code::UnknownOperation, detail));
        };
        let blame = |malformed: Malformed| malformed.of(operation);

        let query = target::query(request.query).map_err(blame)?;
        check_query(operation, &query).map_err(blame)?;
        let tree = body.as_ref().map(|(tree, _)| tree);
        let arguments = merge(operation, chosen.route, tree, &chosen.path, &query).map_err(blame)?;
        let mut parts = Parts { path: chosen.path, query, body };
        let rewrite = |arguments| parts.rewrite(tool, router, chosen.route, operation, arguments);
        let (arguments, sanitation) = self.sanitized(tool, operation, arguments, rewrite);
        let CallHeaders { run, delegation, approval, plan, idempotency_key, traceparent, passed } = headers;
        let sendable = sanitation.failure.is_none();
        Ok(ToolCall {
            tool: tool.name.clone(),
            operation: operation.name.clone(),
            class: operation.class,
            request: sendable.then(|| emitted(tool, chosen.route, &parts.path, &parts.query, parts.body, passed)),
            arguments,
            sanitation,
            delegation,
            run,
            approval,
            plan,
            idempotency_key,
            traceparent,
        })
    }

    /// The call of an operation that is named outright, sanitized. It has no request: it is judged, and cannot be sent.
    pub fn call_of(&self, tool: &str, operation: &str, arguments: Value) -> Result<ToolCall, Malformed> {
        let (tool, _) = self.tool_and_router(tool)?;
        let Some(operation) = tool.operation(operation) else {
            let names: Vec<_> = tool.operations.iter().map(|operation| operation.name.as_str()).take(16).collect();
            let detail = format!("the tool has no operation of that name; it has: {}", names.join(", "));
            return Err(Malformed::new(Code::UnknownOperation, detail));
        };
        if arguments.as_object().is_none() {
            return Err(Malformed::new(Code::MalformedBody, "the arguments must be an object").of(operation));
        }
        let (arguments, sanitation) =
            self.sanitized(tool, operation, Arc::new(arguments), |changed| Ok(Arc::new(changed)));
        Ok(ToolCall {
            tool: tool.name.clone(),
            operation: operation.name.clone(),
            class: operation.class,
            request: None,
            arguments,
            sanitation,
            delegation: None,
            run: None,
            approval: None,
            plan: None,
            idempotency_key: None,
            traceparent: None,
        })
    }

    fn tool_and_router(&self, name: &str) -> Result<(&Tool, &Router), Malformed> {
        self.tool(name).zip(self.routers.get(name)).ok_or_else(|| {
            let names: Vec<_> = self.source.tools.iter().map(|tool| tool.name.as_str()).take(NEAREST).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            Malformed::new(Code::UnknownTool, format!("the first path segment must name a tool; there are: {names}"))
        })
    }
}

fn nearest(tool: &Tool, router: &Router, path: &RequestPath) -> String {
    let near: Vec<_> = router
        .nearest(path)
        .into_iter()
        .filter_map(|index| tool.operations.get(index))
        .take(NEAREST)
        .map(|operation| format!("{} {}", operation.http.method, operation.http.path))
        .collect();
    if near.is_empty() { "the tool declares none".to_owned() } else { format!("nearest are: {}", near.join(", ")) }
}
