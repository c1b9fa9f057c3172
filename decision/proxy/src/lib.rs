//! The sidecar: every call of one agent comes in here, is judged, recorded, and only then sent on.
//!
//! [`gate`] shows the flow on one screen: [`ingress`] (bytes become a call), [`facts`], decide (in aegis-decision),
//! [`send`] ([`record`] write-ahead, [`forward`], outcome), [`answer`]. Around it: [`worker`] (one current-thread runtime per
//! core), [`state`] (what calls are judged with, swapped atomically), [`feed`], [`identity`] and [`control`] (the
//! control service), [`ways`] (what else leads to the gate, or beside it: proxy, capture, DNS), [`budget`] (what bodies may take together), [`status`], [`hold`] and [`claim`] (a call that a person must approve), [`start`] (the process).
//!
//! Deliberately absent: Kubernetes. The sidecar cannot even parse a custom resource.

pub mod answer;
pub mod args;
pub mod budget;
pub mod claim;
pub mod control;
pub mod facts;
pub mod failpoint;
pub mod feed;
pub mod file;
pub mod forward;
pub mod framing;
pub mod gate;
pub mod heads;
pub mod hold;
pub mod identity;
pub mod ingress;
pub mod metrics;
pub mod patience;
pub mod pause;
pub mod plan;
pub mod probe;
pub mod record;
pub mod report;
pub mod resolve;
pub mod runs;
pub mod sealed;
pub mod send;
pub mod slots;
pub mod start;
pub mod state;
pub mod status;
pub mod trials;
pub mod trust;
pub mod ways;
pub mod worker;
