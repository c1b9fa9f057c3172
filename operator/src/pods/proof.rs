//! What a sidecar's statement about its pod's probe is worth. Pure: the time is an argument.

use aegis_decision::egress::Level;
use aegis_decision::probe::ProbeStatement;
use aegis_decision::token::{PodName, SKEW_SECONDS};
use jiff::{SignedDuration, Timestamp};

/// Age that the first statement of a sidecar may have: it does not know its pod by name yet.
const FIRST: SignedDuration = SignedDuration::from_mins(2);

/// What a statement must be about.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The pod that the API server says it comes from.
    pub pod: &'a PodName,
    /// Uid of the pod's agent.
    pub agent_uid: &'a str,
    /// Level of the agent.
    pub level: Level,
    /// Time between two probes.
    pub interval: SignedDuration,
}

/// Why a capture is not proven.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofFault {
    /// No statement.
    #[error("no statement about a probe was given")]
    Missing,
    /// Not signed by this sidecar's record key.
    #[error("the statement is not signed by the sidecar's record key")]
    Signature,
    /// About another pod or agent.
    #[error("the statement is about another pod or agent")]
    OtherPod,
    /// About another level.
    #[error("the sidecar is set up for another level than the agent's; start the pod anew")]
    OtherLevel,
    /// Too old.
    #[error("the probe is too old")]
    Old,
    /// Made in the future.
    #[error("the probe lies ahead of the control service's clock")]
    Ahead,
    /// No attempt was stopped.
    #[error("the probe tried nothing")]
    Nothing,
    /// Something left the pod.
    #[error("something got out of the pod")]
    GotOut,
}

/// Judges a statement whose signature was verified. `GotOut` comes last: only a statement that counts can accuse.
pub fn judge(statement: &ProbeStatement, expected: &Expected<'_>, now: Timestamp) -> Result<(), ProofFault> {
    let ProbeStatement { pod, agent, level, version: _, report: _, blocked, got_out, at } = statement;
    if pod.as_ref().is_some_and(|pod| pod != expected.pod)
        || agent.as_ref().is_some_and(|agent| agent.uid != expected.agent_uid)
    {
        return Err(ProofFault::OtherPod);
    }
    if *level != expected.level {
        return Err(ProofFault::OtherLevel);
    }
    let age = now.duration_since(*at);
    let oldest = if pod.is_some() { expected.interval.saturating_mul(2) } else { FIRST };
    if age > oldest {
        return Err(ProofFault::Old);
    }
    if age < SignedDuration::from_secs(-SKEW_SECONDS) {
        return Err(ProofFault::Ahead);
    }
    if !got_out.is_empty() {
        return Err(ProofFault::GotOut);
    }
    if *blocked == 0 {
        return Err(ProofFault::Nothing);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use aegis_decision::token::AgentName;

    use super::super::fixture::statement;
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn pod(uid: &str) -> PodName {
        PodName { name: "buyer-1".to_owned(), uid: uid.to_owned() }
    }

    fn first() -> ProbeStatement {
        statement(1000, &[])
    }

    fn of(pod_uid: &str, agent_uid: &str) -> ProbeStatement {
        let agent = AgentName {
            namespace: "shop".to_owned(),
            name: "buyer".to_owned(),
            uid: agent_uid.to_owned(),
            version: "1".to_owned(),
        };
        ProbeStatement { pod: Some(pod(pod_uid)), agent: Some(agent), ..first() }
    }

    fn judged(statement: &ProbeStatement, now: i64) -> Result<(), ProofFault> {
        let pod = pod("p");
        let interval = SignedDuration::from_mins(10);
        let expected = Expected { pod: &pod, agent_uid: "a", level: Level::Captured, interval };
        judge(statement, &expected, at(now))
    }

    #[test]
    fn the_first_counts_for_two_minutes_and_later_ones_for_two_intervals() {
        assert_eq!(judged(&first(), 1000), Ok(()));
        assert_eq!(judged(&first(), 1120), Ok(()));
        assert_eq!(judged(&first(), 1121), Err(ProofFault::Old));
        assert_eq!(judged(&of("p", "a"), 1000 + 1200), Ok(()));
        assert_eq!(judged(&of("p", "a"), 1000 + 1201), Err(ProofFault::Old));
        assert_eq!(judged(&first(), 970), Ok(()), "within the clocks' skew");
        assert_eq!(judged(&first(), 969), Err(ProofFault::Ahead));
    }

    #[test]
    fn it_must_be_about_this_pod_and_level_and_let_nothing_out() {
        assert_eq!(judged(&of("q", "a"), 1000), Err(ProofFault::OtherPod));
        assert_eq!(judged(&of("p", "b"), 1000), Err(ProofFault::OtherPod));
        for level in [Level::Mediated, Level::Sealed] {
            assert_eq!(judged(&ProbeStatement { level, ..first() }, 1000), Err(ProofFault::OtherLevel));
        }
        assert_eq!(judged(&ProbeStatement { blocked: 0, ..first() }, 1000), Err(ProofFault::Nothing));
        let out = ProbeStatement { got_out: vec!["BYP-2 tcp [2001:db8::1]:443".to_owned()], ..first() };
        assert_eq!(judged(&out, 1000), Err(ProofFault::GotOut));
        assert_eq!(judged(&out, 2000), Err(ProofFault::Old), "an old one accuses nobody");
    }
}
