//! From resources as people write them to core values, or [`Invalid`] with the field that is wrong.
//!
//! Everything that the API server checks is checked here again: objects also come from files, and a server may hold
//! objects that are older than its rules. What needs several resources is checked by
//! [`Bundle::assemble`](aegis_decision::bundle::Bundle::assemble).

mod agent;
mod approval;
mod check;
mod delegation;
mod dimension;
mod duration;
mod endpoint;
mod fact;
mod operation;
mod policy;
mod predicate;
mod provenance;
mod registry;
mod sanitize;
mod text;
mod tier;
mod tool;

pub use agent::agent;
pub use approval::context_parts;
pub use delegation::delegation;
pub use duration::{seconds, written};
pub use policy::policy;
pub use registry::registry;
pub(crate) use text::is_label;
pub use tier::{duties, tier};
pub use tool::tool;

use crate::api;

/// A field of a resource that cannot be used. Data, not a failure of ours: it becomes a condition or an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct Invalid {
    /// Where, such as `spec.rules[2].when[0].matches`.
    pub field: String,
    /// What is wrong with it. Never repeats a value.
    pub reason: String,
}

impl Invalid {
    pub(crate) fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

impl From<api::Class> for aegis_decision::tool::Class {
    fn from(class: api::Class) -> Self {
        match class {
            api::Class::Read => Self::Read,
            api::Class::Draft => Self::Draft,
            api::Class::Commit => Self::Commit,
        }
    }
}

impl From<aegis_decision::tool::Class> for api::Class {
    fn from(class: aegis_decision::tool::Class) -> Self {
        match class {
            aegis_decision::tool::Class::Read => Self::Read,
            aegis_decision::tool::Class::Draft => Self::Draft,
            aegis_decision::tool::Class::Commit => Self::Commit,
        }
    }
}

impl From<api::Duty> for aegis_decision::tier::Duty {
    fn from(duty: api::Duty) -> Self {
        match duty {
            api::Duty::Requester => Self::Requester,
            api::Duty::Delegator => Self::Delegator,
        }
    }
}

impl From<aegis_decision::tier::Duty> for api::Duty {
    fn from(duty: aegis_decision::tier::Duty) -> Self {
        match duty {
            aegis_decision::tier::Duty::Requester => Self::Requester,
            aegis_decision::tier::Duty::Delegator => Self::Delegator,
        }
    }
}
