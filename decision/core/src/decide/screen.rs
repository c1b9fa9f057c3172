//! Step 0: what is refused before any rule is looked at, and without any fact.

use jiff::Timestamp;

use super::refusal::Refusal;
use crate::agent::{Lifecycle, Standing};
use crate::bundle::Bundle;
use crate::call::ToolCall;
use crate::codes::Code;
use crate::decision::FailedCheck;
use crate::tool::{Class, Operation};

/// The operation, once the agent may call, it is below the ceiling, and the sanitized arguments fit.
pub(super) fn screen<'a>(
    bundle: &'a Bundle,
    call: &ToolCall,
    standing: &Standing,
    now: Timestamp,
) -> Result<&'a Operation, Box<Refusal>> {
    may_call(bundle, standing, now)?;
    let operation = declared(bundle, call)?;
    below_ceiling(bundle, operation)?;
    sanitized(call)?;
    fits_schema(bundle, call, operation)?;
    Ok(operation)
}

fn may_call(bundle: &Bundle, standing: &Standing, now: Timestamp) -> Result<(), Box<Refusal>> {
    let Err(code) = standing.may_call(bundle.review_digest(), now) else { return Ok(()) };
    let name = format!("agent {}", bundle.agent().full_name());
    let detail = match (standing.lifecycle, &standing.review) {
        (Lifecycle::Registered, _) => format!("{name} is registered but not active; its owner must activate it"),
        (Lifecycle::Suspended, _) => format!("{name} is suspended; every call is refused until it is active again"),
        (Lifecycle::Retired, _) => format!("{name} is retired; it makes no calls any more"),
        (Lifecycle::Active, None) => format!("{name} was not reviewed; a reviewer must look at it first"),
        (Lifecycle::Active, Some(review)) => match review.expires {
            Some(end) if now >= end => format!("the review of {name} ended at {end}; it must be reviewed again"),
            _ => format!("{name} was changed after its review; it must be reviewed again"),
        },
    };
    Err(Box::new(Refusal::plain(code, detail)))
}

fn declared<'a>(bundle: &'a Bundle, call: &ToolCall) -> Result<&'a Operation, Box<Refusal>> {
    let Some(tool) = bundle.tool(&call.tool) else {
        let detail = format!("there is no tool {} for this agent", call.tool);
        return Err(Box::new(Refusal::plain(Code::UnknownTool, detail)));
    };
    // A call of another class than the tool declares was named by another bundle.
    tool.operation(&call.operation).filter(|operation| operation.class == call.class).ok_or_else(|| {
        let detail =
            format!("tool {} declares no operation {} of class {}", call.tool, call.operation, call.class.as_str());
        Box::new(Refusal::plain(Code::UnknownOperation, detail))
    })
}

fn below_ceiling(bundle: &Bundle, operation: &Operation) -> Result<(), Box<Refusal>> {
    let ceiling = bundle.agent().ceiling;
    if operation.class <= ceiling {
        return Ok(());
    }
    let (name, class, ceiling) = (&operation.name, operation.class.as_str(), ceiling.as_str());
    let mut refusal = Refusal::plain(
        Code::ClassAboveCeiling,
        format!("{name}: it is a {class} operation and this agent may do {ceiling} at most"),
    );
    refusal.allowed = Some(format!("operations of class {ceiling} or lower"));
    Err(Box::new(refusal))
}

/// A call whose arguments could not be sanitized has none that may be sent, and nothing to send.
fn sanitized(call: &ToolCall) -> Result<(), Box<Refusal>> {
    let Some(failure) = &call.sanitation.failure else { return Ok(()) };
    let mut refusal = Refusal::plain(Code::SanitizeFailed, format!("{}: {failure}", call.operation));
    refusal.rule.clone_from(&failure.rule);
    refusal.failed = vec![FailedCheck {
        field: failure.field.clone(),
        check: failure.action.to_owned(),
        limit: None,
        value: None,
        indeterminate: false,
    }];
    Err(Box::new(refusal))
}

fn fits_schema(bundle: &Bundle, call: &ToolCall, operation: &Operation) -> Result<(), Box<Refusal>> {
    let name = &operation.name;
    let Some(schema) = bundle.schema(&call.tool, name) else {
        // `Bundle::assemble` refuses a Commit without schema; what slips through is refused here.
        return if operation.arguments.is_none() && operation.class != Class::Commit {
            Ok(())
        } else {
            Err(Box::new(Refusal::plain(Code::SchemaViolation, format!("{name}: its arguments have no schema"))))
        };
    };
    let Err(failures) = schema.check(&call.arguments) else { return Ok(()) };
    let places: Vec<_> = failures
        .iter()
        .map(|failure| {
            let place = if failure.pointer.is_empty() { "the top" } else { &failure.pointer };
            format!("{place} ({})", failure.keyword)
        })
        .collect();
    let mut refusal = Refusal::plain(
        Code::SchemaViolation,
        format!("{name}: the arguments do not fit the schema at {}", places.join(", ")),
    );
    refusal.failed = failures
        .into_iter()
        .map(|failure| FailedCheck {
            field: failure.pointer,
            check: failure.keyword,
            limit: None,
            value: None,
            indeterminate: false,
        })
        .collect();
    Err(Box::new(refusal))
}
