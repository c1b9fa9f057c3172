//! Provenance: whether the values of a call came from somewhere that may supply them.
//!
//! A policy protects arguments ([`crate::policy::Provenance`]): a payee, an account, a recipient. Every text and number
//! there must have been supplied by the delegator, the requester, a registry or an earlier answer of a tool that the
//! policy names. What an agent read in a mail, and nowhere else, is of *unknown origin* to an entry that does not name the
//! mail tool, whatever the mail says about itself.
//!
//! Not knowing is never knowing: without a run, with a run that was forgotten and for a value that was evicted, the answer
//! is that the origin is unknown.

mod canonical;
mod judge;
mod mention;
mod protected;
mod table;

pub use canonical::Canonical;
pub(crate) use judge::{Judged, Unknown, Witnesses};
pub(crate) use mention::{MAX_GROUPS, bare};
pub(crate) use table::Guards;
pub use table::{ProvenanceError, ProvenanceProblem};
