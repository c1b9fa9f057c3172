//! Agents that keep their last bundle, because none can be made of what is there now. What else concerns them may be valid,
//! and is still not in force: it says so itself, and does not leave it to the agents' statuses.

use std::sync::Arc;

use aegis_crds::gather::{Problem, Ungathered};
use aegis_decision::bundle::AssembleError;
use aegis_decision::outline::Outline;
use aegis_decision::policy::Policy;
use aegis_decision::registry::Registry;
use aegis_decision::tool::Tool;

use super::pods::named;
use crate::hub::Published;

/// Agents that are named at most.
const MAX_NAMED: usize = 10;

/// Why no bundle can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Of what kind it is.
    pub cause: Cause,
    /// What is wrong, and where.
    pub message: String,
}

/// Kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A resource cannot be used, or is missing.
    Invalid,
    /// All of it together is more than a bundle may be.
    TooLarge,
}

/// An agent that keeps its last bundle.
#[derive(Debug)]
pub struct Frozen {
    /// Its name.
    pub agent: String,
    /// Why.
    pub fault: Fault,
    /// The bundle that it keeps, if it ever had one.
    pub last: Option<Arc<Published>>,
}

impl Cause {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Invalid, Self::TooLarge];

    /// Reason of a condition.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Invalid => "Invalid",
            Self::TooLarge => "TooLarge",
        }
    }

    /// As metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::TooLarge => "too_large",
        }
    }
}

impl From<Ungathered> for Fault {
    fn from(fault: Ungathered) -> Self {
        let cause = match fault.problem {
            Problem::Invalid(_) | Problem::ReferenceNotFound { .. } => Cause::Invalid,
            Problem::TooLarge(_) => Cause::TooLarge,
        };
        Self { cause, message: fault.to_string() }
    }
}

impl From<AssembleError> for Fault {
    fn from(fault: AssembleError) -> Self {
        let cause = if fault.is_too_large() { Cause::TooLarge } else { Cause::Invalid };
        Self { cause, message: fault.to_string() }
    }
}

impl Frozen {
    /// Whether the bundle that it keeps has the tool as it is now.
    pub fn has_tool(&self, tool: &Tool) -> bool {
        self.kept().is_some_and(|kept| kept.tool(&tool.name) == Some(tool))
    }

    /// Whether the bundle that it keeps has the policy as it is now.
    pub fn has_policy(&self, policy: &Policy) -> bool {
        self.kept().is_some_and(|kept| kept.policy(&policy.name) == Some(policy))
    }

    /// Whether the bundle that it keeps has the registry as it is now.
    pub fn has_registry(&self, registry: &Registry) -> bool {
        self.kept().is_some_and(|kept| kept.registry(&registry.name) == Some(registry))
    }

    fn kept(&self) -> Option<&Outline> {
        self.last.as_ref().map(|last| &last.bundle)
    }
}

/// What a resource says that these agents lack as it is now. Nothing where it is none.
pub fn unserved<'a>(lacking: impl Iterator<Item = &'a Frozen>) -> Option<String> {
    let lacking: Vec<&Frozen> = lacking.collect();
    let first = lacking.first()?;
    let names: Vec<String> = lacking.iter().take(MAX_NAMED).map(|frozen| frozen.agent.clone()).collect();
    let all = u32::try_from(lacking.len()).unwrap_or(u32::MAX);
    let agents = if all == 1 { "agent" } else { "agents" };
    let mut text = format!("not served to {all} {agents} ({}), kept on the last bundle: ", named(&names, all));
    text.push_str(&first.fault.message);
    if lacking.iter().any(|frozen| frozen.fault != first.fault) {
        text.push_str("; other agents have other faults, see their PolicyAccepted");
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frozen(agent: &str, fault: impl Into<Fault>) -> Frozen {
        Frozen { agent: agent.to_owned(), fault: fault.into(), last: None }
    }

    fn missing(name: &str) -> AssembleError {
        AssembleError::Missing { by: "policy p".to_owned(), kind: "tool", name: name.to_owned() }
    }

    #[test]
    fn a_fault_tells_too_much_from_wrong() {
        let large = Fault::from(AssembleError::TooManyPlaces);
        assert_eq!(
            (large.cause, large.cause.reason(), large.cause.as_str()),
            (Cause::TooLarge, "TooLarge", "too_large")
        );
        assert!(large.message.contains("name operations in rules instead of *"), "{}", large.message);
        assert_eq!(Fault::from(AssembleError::TooLarge { bytes: 7 }).cause, Cause::TooLarge);
        assert_eq!(Fault::from(missing("t")).cause, Cause::Invalid);
    }

    #[test]
    fn a_resource_names_the_agents_that_lack_it_and_why() {
        let told = |all: &[Frozen]| unserved(all.iter());
        assert_eq!(told(&[]), None);
        let one = told(&[frozen("buyer", missing("t"))]).unwrap();
        assert_eq!(
            one,
            "not served to 1 agent (buyer), kept on the last bundle: policy p names tool t, which does not exist"
        );
        let two = told(&[frozen("buyer", missing("t")), frozen("seller", missing("u"))]).unwrap();
        assert!(two.starts_with("not served to 2 agents (buyer, seller), "), "{two}");
        assert!(two.ends_with("; other agents have other faults, see their PolicyAccepted"), "{two}");
        let many: Vec<_> = (0..12).map(|at| frozen(&format!("a{at}"), missing("t"))).collect();
        let many = told(&many).unwrap();
        assert!(many.contains("a9 and 2 more), ") && many.ends_with("does not exist"), "{many}");
    }
}
