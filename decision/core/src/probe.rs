//! What a probe found when it tried to leave a pod as the agent's user, and the statement that a sidecar signs about it.
//!
//! The probe speaks with its sidecar over a unix socket (HTTP/1.1, JSON) in a volume that only the two mount:
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /next` | 200 [`ProbeOrder`] when a run is due; 204 when none was due for a minute: ask again |
//! | `POST /result` [`ProbeReport`] | 202; 400 for a report that is not of the ordered run |
//! | `GET /state` | 200 [`ProbeState`] |

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::egress::Level;
use crate::jws::{self, JwsError, KeySet, PublicKey, Purpose, SigningKey, Typ};
use crate::token::{AgentName, PodName};

/// Attempts of one report at most.
pub const MAX_ATTEMPTS: usize = 128;
/// Longest text of a report in bytes.
pub const MAX_TEXT_BYTES: usize = 256;
/// Longest report in bytes of JSON.
pub const MAX_REPORT_BYTES: usize = 64 * 1024;

/// Asks the probe to run now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProbeOrder {
    /// 128 random bits, base64url without padding. The report repeats it.
    pub run: String,
    /// The sidecar's user: no other process may become it.
    pub sidecar_uid: u32,
    /// Addresses beside the built-in ones that must not be reached, as `host:port`: API server, node, control service.
    pub targets: Vec<String>,
}

/// What the probe found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProbeReport {
    /// The order's `run`.
    pub run: String,
    /// The probe's own user.
    pub uid: u32,
    /// When the last attempt ended.
    pub at: Timestamp,
    /// Every attempt, in order.
    pub attempts: Vec<Attempt>,
}

/// One way out that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Attempt {
    /// Number of the technique in docs/enforcement.md, such as `BYP-3`.
    pub technique: String,
    /// Where to, such as `udp 203.0.113.20:53`.
    pub target: String,
    /// What came of it.
    pub outcome: Outcome,
    /// Why, in a few words: an error's name, or what answered.
    pub detail: String,
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// Stopped.
    Blocked,
    /// Something left the pod, or the boundary inside it was crossed.
    GotOut,
    /// This kernel or pod does not have what it takes to try.
    NotApplicable,
}

/// Where the sidecar stands, for the probe's startup check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProbeState {
    /// The newest report let nothing out.
    pub verified: bool,
    /// The sidecar can judge a call: it holds an agent token, policy and grants, and can write records.
    pub ready: bool,
}

/// Why a report says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// Of another run.
    #[error("report is not of the run that was ordered")]
    OtherRun,
    /// Nothing was really tried.
    #[error("report holds no attempt that was blocked or got out")]
    Nothing,
    /// Too many attempts or too long a text.
    #[error("report is larger than {MAX_ATTEMPTS} attempts with texts of {MAX_TEXT_BYTES} bytes")]
    TooLarge,
    /// Ran as the sidecar itself.
    #[error("report was made by the sidecar's own user, which is not held back")]
    OwnUser,
}

impl ProbeReport {
    /// Judges the report against its order.
    pub fn check(&self, order: &ProbeOrder) -> Result<(), ReportError> {
        if self.run != order.run {
            return Err(ReportError::OtherRun);
        }
        if self.uid == order.sidecar_uid {
            return Err(ReportError::OwnUser);
        }
        let fits = |text: &str| text.len() <= MAX_TEXT_BYTES;
        let small = self.attempts.len() <= MAX_ATTEMPTS
            && self.attempts.iter().all(|a| fits(&a.technique) && fits(&a.target) && fits(&a.detail));
        if !small {
            return Err(ReportError::TooLarge);
        }
        if self.attempts.iter().all(|attempt| attempt.outcome == Outcome::NotApplicable) {
            return Err(ReportError::Nothing);
        }
        Ok(())
    }

    /// What a run does not say about TCP, which carries everything: each attempt of BYP-1, or of BYP-2 where the pod has
    /// no IPv4, must have been stopped. None if it does say so, or names what got out.
    pub fn unproven(&self) -> Option<String> {
        let all = |technique: &str, outcome| {
            let mut of = self.attempts.iter().filter(|attempt| attempt.technique == technique).peekable();
            of.peek().is_some() && of.all(|attempt| attempt.outcome == outcome)
        };
        let proven = all("BYP-1", Outcome::Blocked)
            || all("BYP-1", Outcome::NotApplicable) && all("BYP-2", Outcome::Blocked)
            || self.attempts.iter().any(|attempt| attempt.outcome == Outcome::GotOut);
        (!proven).then(|| "BYP-1 (it cannot be told)".to_owned())
    }

    /// What got out, as `technique target`.
    pub fn got_out(&self) -> Vec<String> {
        let out = self.attempts.iter().filter(|attempt| attempt.outcome == Outcome::GotOut);
        out.map(|attempt| format!("{} {}", attempt.technique, attempt.target)).collect()
    }
}

/// `typ: aegis-probe+jwt`: what the probe of this pod found, signed by the sidecar's record key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeStatement {
    /// The pod. Empty until the sidecar knows it from its first token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodName>,
    /// The agent, when the sidecar knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentName>,
    /// The level that the sidecar was configured for.
    pub level: Level,
    /// Version of the sidecar.
    pub version: String,
    /// Digest of the whole report, which the sidecar's log holds.
    pub report: Digest,
    /// Attempts that were made and stopped.
    pub blocked: u32,
    /// What got out ([`ProbeReport::got_out`]), or that it cannot be told ([`ProbeReport::unproven`]); empty: nothing did.
    pub got_out: Vec<String>,
    /// When the last attempt ended.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub at: Timestamp,
}

impl ProbeStatement {
    /// Signs it with the sidecar's record key.
    pub fn sign(&self, key: &SigningKey) -> Result<String, JwsError> {
        jws::sign(key, Typ::ProbeStatement, self)
    }

    /// Verifies it with the record key that the same request proved possession of, or that its attestation names.
    pub fn verify(token: &str, key: &PublicKey) -> Result<Self, JwsError> {
        let mut keys = KeySet::new();
        keys.insert(Purpose::Records, *key).map_err(|_| JwsError::UnknownKey)?;
        jws::verify(&keys, Typ::ProbeStatement, token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> ProbeOrder {
        ProbeOrder { run: "r".to_owned(), sidecar_uid: 30_000, targets: Vec::new() }
    }

    fn report(outcomes: &[Outcome]) -> ProbeReport {
        let attempt = |&outcome| Attempt {
            technique: "BYP-1".to_owned(),
            target: "tcp 203.0.113.20:443".to_owned(),
            outcome,
            detail: "refused".to_owned(),
        };
        let attempts = outcomes.iter().map(attempt).collect();
        ProbeReport { run: "r".to_owned(), uid: 1000, at: Timestamp::UNIX_EPOCH, attempts }
    }

    #[test]
    fn a_report_must_be_of_the_order_and_say_something() {
        assert_eq!(report(&[Outcome::Blocked]).check(&order()), Ok(()));
        assert_eq!(report(&[]).check(&order()), Err(ReportError::Nothing));
        assert_eq!(report(&[Outcome::NotApplicable]).check(&order()), Err(ReportError::Nothing));
        let other = ProbeReport { run: "x".to_owned(), ..report(&[Outcome::Blocked]) };
        assert_eq!(other.check(&order()), Err(ReportError::OtherRun));
        let own = ProbeReport { uid: 30_000, ..report(&[Outcome::Blocked]) };
        assert_eq!(own.check(&order()), Err(ReportError::OwnUser));
        assert_eq!(report(&[Outcome::Blocked; MAX_ATTEMPTS + 1]).check(&order()), Err(ReportError::TooLarge));
    }

    #[test]
    fn only_stopped_tcp_proves_that_it_is_stopped() {
        use Outcome::{Blocked, GotOut, NotApplicable};
        let unproven = |outcomes: &[(&str, Outcome)]| {
            let mut run = report(&[]);
            run.attempts = outcomes
                .iter()
                .map(|(technique, outcome)| Attempt {
                    technique: (*technique).to_owned(),
                    target: String::new(),
                    outcome: *outcome,
                    detail: String::new(),
                })
                .collect();
            run.unproven().is_some()
        };
        assert!(!unproven(&[("BYP-1", Blocked), ("BYP-1", Blocked), ("BYP-2", NotApplicable)]));
        assert!(!unproven(&[("BYP-1", NotApplicable), ("BYP-2", Blocked)]), "a pod without IPv4");
        assert!(!unproven(&[("BYP-1", GotOut)]), "this is said by its own name");
        assert!(unproven(&[("BYP-1", NotApplicable), ("BYP-4", Blocked)]));
        assert!(unproven(&[("BYP-1", Blocked), ("BYP-1", NotApplicable), ("BYP-2", Blocked)]));
        assert!(unproven(&[("BYP-1", NotApplicable), ("BYP-2", Blocked), ("BYP-2", NotApplicable)]));
        assert!(unproven(&[("BYP-2", Blocked)]), "IPv4 was not tried at all");
        assert!(unproven(&[]));
    }

    #[test]
    fn a_statement_is_verified_with_the_key_that_signed_it_only() {
        let key = SigningKey::from_seed(Purpose::Records, &[7; 32]);
        let found = report(&[Outcome::GotOut]);
        let statement = ProbeStatement {
            pod: None,
            agent: None,
            level: Level::Captured,
            version: "1".to_owned(),
            report: Digest::of(&found),
            blocked: 0,
            got_out: found.got_out(),
            at: found.at,
        };
        let token = statement.sign(&key).unwrap();
        assert_eq!(ProbeStatement::verify(&token, &key.public()).unwrap(), statement);
        let other = SigningKey::from_seed(Purpose::Records, &[8; 32]);
        ProbeStatement::verify(&token, &other.public()).unwrap_err();
    }
}
