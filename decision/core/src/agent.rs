//! An agent as the core sees it: who it is, what it may reach, and whether it is in good standing.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::codes::Code;
use crate::digest::Digest;
use crate::egress::{Egress, Level};
use crate::tool::Class;

/// Identity and limits of one agent. Part of a bundle; does not change when the agent is suspended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Agent {
    /// Namespace of the resource.
    pub namespace: String,
    /// Name of the resource.
    pub name: String,
    /// Uid of the resource; empty when the resource was not read from a server.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// DNS label of the tenant.
    pub tenant: String,
    /// DNS label of the business unit.
    pub business_unit: String,
    /// Accountable person or team.
    pub owner: String,
    /// Version of the agent's configuration, as its owner writes it.
    pub version: String,
    /// Highest class of operation it may use.
    pub ceiling: Class,
    /// Service account that its pods run under.
    pub service_account: String,
    /// Age of the feed, in seconds, over which Draft and Commit close (twice that: Read too).
    pub max_staleness_seconds: u32,
    /// Life of its tokens in seconds, 60 to 900.
    pub token_ttl_seconds: u32,
    /// How much its pods are bound to their sidecars.
    #[serde(default, skip_serializing_if = "Level::is_mediated")]
    pub level: Level,
    /// Hosts beside tools that it may reach.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub egress: Vec<Egress>,
    /// What becomes of its calls.
    #[serde(default, skip_serializing_if = "Mode::is_enforce")]
    pub mode: Mode,
}

/// What becomes of an agent's calls once they are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Mode {
    /// A verdict has its effect.
    #[default]
    Enforce,
    /// A Read goes as the verdict says. A Draft or Commit is judged and never sent: what is not refused is a proposal.
    Propose,
    /// What policies refuse or hold goes all the same, and is reported. Who the agent is, whether it may act at all, its
    /// delegation and the form of its calls are judged as ever.
    Audit,
}

impl Mode {
    /// What becomes of calls of a class: a Read is nothing to propose.
    #[must_use]
    pub fn on(self, class: Class) -> Self {
        if self == Self::Propose && class == Class::Read { Self::Enforce } else { self }
    }

    /// For `skip_serializing_if`: the default is left out, so that digests of agents without it stay.
    pub fn is_enforce(&self) -> bool {
        *self == Self::Enforce
    }
}

impl Agent {
    /// `namespace/name`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// What a review attests: ceiling, version, workload, level, egress and mode. A change of one of them makes the review
    /// void.
    pub fn review_digest(&self) -> Digest {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Reviewed<'a> {
            v: &'static str,
            uid: &'a str,
            ceiling: Class,
            version: &'a str,
            service_account: &'a str,
            max_staleness_seconds: u32,
            token_ttl_seconds: u32,
            #[serde(skip_serializing_if = "Level::is_mediated")]
            level: Level,
            #[serde(skip_serializing_if = "<[Egress]>::is_empty")]
            egress: &'a [Egress],
            #[serde(skip_serializing_if = "Mode::is_enforce")]
            mode: Mode,
        }
        Digest::of(&Reviewed {
            v: "aegis.dev/review/v1",
            uid: &self.uid,
            ceiling: self.ceiling,
            version: &self.version,
            service_account: &self.service_account,
            max_staleness_seconds: self.max_staleness_seconds,
            token_ttl_seconds: self.token_ttl_seconds,
            level: self.level,
            egress: &self.egress,
            mode: self.mode,
        })
    }
}

/// Where an agent stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Lifecycle {
    /// Known, but every call is refused.
    Registered,
    /// At work; needs a valid review.
    Active,
    /// Stopped; every call is refused until it is active again.
    Suspended,
    /// Stopped for ever.
    Retired,
}

/// A person's statement that they looked at the agent as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Review {
    /// Who reviewed.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// When the review ends; none: it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// What was reviewed ([`Agent::review_digest`]).
    pub digest: Digest,
}

/// What changes at once: lifecycle and review. Travels with the grants, so a suspension needs no new bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Standing {
    /// Where the agent stands in its life.
    pub lifecycle: Lifecycle,
    /// The review that was given, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
}

impl Standing {
    /// Whether the agent may call at `now`, or the code that tells why not. `agent` is what a review of it attests as it is
    /// ([`Agent::review_digest`]).
    pub fn may_call(&self, agent: Digest, now: Timestamp) -> Result<(), Code> {
        match self.lifecycle {
            Lifecycle::Active => {}
            Lifecycle::Registered | Lifecycle::Suspended | Lifecycle::Retired => return Err(Code::AgentNotActive),
        }
        match &self.review {
            None => Err(Code::AgentNotReviewed),
            Some(review) if review.digest != agent => Err(Code::AgentNotReviewed),
            Some(review) if review.expires.is_some_and(|end| now >= end) => Err(Code::AgentNotReviewed),
            Some(_) => Ok(()),
        }
    }
}
