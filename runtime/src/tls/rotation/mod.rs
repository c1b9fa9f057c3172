//! Rotation of a small authority whose certificate others must trust before it signs anything.
//!
//! ```text
//!          current old
//!             | MakeNext          trusted: old
//!          current old, next new
//!             | Publish, Announce trusted: old, new
//!             | (settle)
//!             | Promote
//!          current new, previous old
//!             | Issue, on every replica
//!             | (leaf, settle)    every leaf of old has expired
//!             | Retire, Publish   trusted: new
//!          current new
//! ```
//! [`evaluate`] is pure; a [`Keeper`] does what it says. Several replicas share the [`Kept`] authorities by compare-and-set, and each has a leaf of its
//! own, in memory. Nobody has to say that they took over: a leaf is out of use when it has expired.
//!
//! For this to hold, a replica reads the places where trust is published before it reads what is kept, and publishes only
//! if the place has not changed since. So nobody with an old view takes a certificate out of the trust again.
//!
//! A place that cannot be written holds up the rotation, and nothing else: who trusts the current authority is served.

mod keeper;
mod kept;
mod metrics;
mod shared;

use std::time::Duration;

pub use keeper::{About, Fault, Keeper, Turn};
pub use kept::Kept;
pub use metrics::Metrics;
pub use shared::{Published, Shared, Stored};

/// How long things last. Times are what they are in a [`State`]: since 1970, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// Validity of an authority. The next one is made at two thirds.
    pub authority: Duration,
    /// Validity of a leaf. It is renewed at two thirds.
    pub leaf: Duration,
    /// Time in which what was published has reached everybody who trusts it. Also more than clocks of replicas differ.
    pub settle: Duration,
}

/// Lifetimes with which a leaf could outlive its authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an authority must last at least three times as long as a leaf and the time to settle together")]
pub struct TooShort;

impl Lifetimes {
    /// Whether no leaf can outlive its authority, and a rotation ends before the next one begins.
    pub fn check(&self) -> Result<(), TooShort> {
        let least = self.leaf.saturating_add(self.settle).saturating_mul(3);
        if self.leaf.is_zero() || self.authority < least { Err(TooShort) } else { Ok(()) }
    }
}

/// The authorities of an installation. Certificates are PEM.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// Signs.
    pub current: Option<Authority>,
    /// Will sign.
    pub next: Option<Next>,
    /// Signed before.
    pub previous: Option<Previous>,
}

/// An authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// Its certificate.
    pub certificate: String,
    /// When it was made.
    pub made: Duration,
}

/// An authority that will sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// It.
    pub authority: Authority,
    /// When its certificate was seen in every place where trust is published.
    pub announced: Option<Duration>,
}

/// An authority that signed before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Previous {
    /// Its certificate.
    pub certificate: String,
    /// When it ceased to sign.
    pub ended: Duration,
}

impl State {
    /// What must be trusted now, oldest first.
    pub fn trusted(&self) -> Vec<&str> {
        let previous = self.previous.iter().map(|previous| &previous.certificate);
        let current = self.current.iter().map(|current| &current.certificate);
        let next = self.next.iter().map(|next| &next.authority.certificate);
        previous.chain(current).chain(next).map(String::as_str).collect()
    }
}

/// The leaf that a replica serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Certificate of the authority that signed it.
    pub issuer: String,
    /// When it was made.
    pub made: Duration,
}

/// What a replica does next. All but [`Step::Issue`], [`Step::Publish`] and [`Step::Wait`] change what is kept, by
/// compare-and-set; after any of them it looks again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Make the first authority.
    MakeFirst,
    /// Make the next authority, which does not sign yet.
    MakeNext,
    /// Publish what must be trusted.
    Publish,
    /// Note that the next authority is trusted in every place.
    Announce,
    /// Let the next authority sign.
    Promote,
    /// Forget the authority that signed before.
    Retire,
    /// Take a new leaf of the current authority.
    Issue,
    /// Nothing before this time.
    Wait(Duration),
}

impl Step {
    /// Its name in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MakeFirst => "make_first",
            Self::MakeNext => "make_next",
            Self::Publish => "publish",
            Self::Announce => "announce",
            Self::Promote => "promote",
            Self::Retire => "retire",
            Self::Issue => "issue",
            Self::Wait(_) => "wait",
        }
    }
}

/// Whether what must be trusted is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Every place holds exactly [`State::trusted`].
    Published,
    /// A place holds something else.
    Missing,
    /// As [`Trust::Missing`], and it cannot be written now.
    Refused,
}

/// What is to be done.
pub fn evaluate(state: &State, trust: Trust, held: Option<&Held>, lifetimes: &Lifetimes, now: Duration) -> Step {
    let Some(current) = &state.current else { return Step::MakeFirst };
    let renew_at =
        held.filter(|held| held.issuer == current.certificate).map(|held| two_thirds(held.made, lifetimes.leaf));
    // A renewal by the same authority waits for nothing: its trust is in place, and a place that cannot be written must
    // not let the leaf expire.
    if renew_at.is_some_and(|at| now >= at) {
        return Step::Issue;
    }
    if trust == Trust::Missing {
        return Step::Publish;
    }
    // What signs was published before it signed.
    let Some(renew_at) = renew_at else { return Step::Issue };
    if trust == Trust::Refused {
        return Step::Wait(renew_at);
    }
    let (due, step) = match (&state.next, &state.previous) {
        (Some(Next { announced: None, .. }), _) => return Step::Announce,
        (Some(Next { announced: Some(at), .. }), _) => (at.saturating_add(lifetimes.settle), Step::Promote),
        (None, Some(previous)) => {
            let last = previous.ended.saturating_add(lifetimes.leaf);
            (last.saturating_add(lifetimes.settle), Step::Retire)
        }
        (None, None) => (two_thirds(current.made, lifetimes.authority), Step::MakeNext),
    };
    if now >= due { step } else { Step::Wait(due.min(renew_at)) }
}

fn two_thirds(from: Duration, life: Duration) -> Duration {
    from.saturating_add(life.saturating_mul(2) / 3)
}

#[cfg(test)]
mod tests;
