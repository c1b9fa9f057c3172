//! Condition `aegis.dev/EnforcementVerified` of a pod: what its newest probe found. It stands on the pod, so it outlives
//! the operator and is the same for every replica.

use std::fmt::Write as _;

use aegis_crds::mesh::POD_VERIFIED;
use aegis_decision::egress::Level;
use aegis_decision::probe::ProbeStatement;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::conditions::whole_second;

/// Reason of a pod whose probe got out.
pub const GOT_OUT: &str = "GotOut";
/// Longest list of what got out, in bytes.
const MAX_LIST: usize = 512;

/// What the condition of a pod says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict<'a> {
    /// Nothing got out.
    pub holds: bool,
    /// What got out, or how many attempts were stopped.
    pub message: &'a str,
    /// When the probe ran.
    pub at: Option<Timestamp>,
}

/// The newest verdict on a pod.
pub fn newest(pod: &Pod) -> Option<Verdict<'_>> {
    let found = current(pod)?;
    Some(Verdict {
        holds: found.status == "True",
        message: found.message.as_deref().unwrap_or_default(),
        at: found.last_probe_time.as_ref().map(|time| time.0),
    })
}

fn current(pod: &Pod) -> Option<&PodCondition> {
    pod.status.as_ref()?.conditions.iter().flatten().find(|condition| condition.type_ == POD_VERIFIED)
}

/// The condition that a statement earns. Its transition time moves only with its status.
pub fn condition(pod: &Pod, statement: &ProbeStatement, now: Timestamp) -> PodCondition {
    let holds = statement.got_out.is_empty();
    let status = if holds { "True" } else { "False" };
    let before = current(pod).filter(|before| before.status == status);
    PodCondition {
        type_: POD_VERIFIED.to_owned(),
        status: status.to_owned(),
        reason: Some(if holds { level(statement.level) } else { GOT_OUT }.to_owned()),
        message: Some(message(statement)),
        last_probe_time: Some(Time(whole_second(statement.at))),
        last_transition_time: before
            .and_then(|before| before.last_transition_time.clone())
            .or_else(|| Some(Time(whole_second(now)))),
        observed_generation: None,
    }
}

fn level(level: Level) -> &'static str {
    level.as_str()
}

/// Techniques and targets come from the pod: bounded and printable, whatever they are.
fn message(statement: &ProbeStatement) -> String {
    if statement.got_out.is_empty() {
        return format!("{} attempts to leave were stopped, none got out", statement.blocked);
    }
    let mut text = String::from("got out: ");
    for (at, entry) in statement.got_out.iter().enumerate() {
        let entry: String =
            entry.chars().filter(|char| char.is_ascii_graphic() || *char == ' ').take(MAX_LIST / 4).collect();
        if text.len().saturating_add(entry.len()) > MAX_LIST {
            // Writing to a String does not fail.
            let _ = write!(text, "; {} more", statement.got_out.len().saturating_sub(at));
            break;
        }
        if at > 0 {
            text.push_str("; ");
        }
        text.push_str(&entry);
    }
    text
}

/// Whether it is worth a write: something changed, or what stands there is older than half an interval. One that is
/// older than what stands there changes nothing.
pub fn is_due(pod: &Pod, wanted: &PodCondition, interval: SignedDuration) -> bool {
    let Some(found) = current(pod) else { return true };
    let time = |condition: &PodCondition| condition.last_probe_time.as_ref().map(|time| time.0);
    let (Some(before), Some(after)) = (time(found), time(wanted)) else { return true };
    let differs = found.status != wanted.status || found.reason != wanted.reason || found.message != wanted.message;
    let age = after.duration_since(before);
    !age.is_negative() && (differs || age > interval.checked_div(2).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::statement;
    use super::*;

    fn with(condition: PodCondition) -> Pod {
        let mut pod = Pod::default();
        pod.status.get_or_insert_default().conditions = Some(vec![condition]);
        pod
    }

    fn of(pod: &Pod, second: i64, got_out: &[&str]) -> PodCondition {
        condition(pod, &statement(second, got_out), Timestamp::from_second(second + 1).unwrap())
    }

    #[test]
    fn it_names_what_got_out_and_when_that_began() {
        let pod = with(of(&Pod::default(), 1000, &[]));
        let broken = of(&pod, 2000, &["BYP-2 tcp [2001:db8::1]:443", "BYP-6 icmp\u{1b} 203.0.113.20"]);
        assert_eq!(broken.reason.as_deref(), Some("GotOut"));
        assert_eq!(broken.message.as_deref(), Some("got out: BYP-2 tcp [2001:db8::1]:443; BYP-6 icmp 203.0.113.20"));
        assert_eq!(broken.last_transition_time.as_ref().unwrap().0.as_second(), 2001);
        let still = of(&with(broken), 3000, &["BYP-2 tcp [2001:db8::1]:443"]);
        assert_eq!(still.last_transition_time.unwrap().0.as_second(), 2001);
        let many: Vec<String> = (0..128).map(|number| format!("BYP-1 tcp 203.0.113.{number}:443")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let message = of(&Pod::default(), 1000, &many).message.unwrap();
        assert!(message.len() < MAX_LIST + 16 && message.ends_with(" more"), "{message}");
    }

    #[test]
    fn it_is_written_when_it_changes_or_grows_old_and_never_backwards() {
        let interval = SignedDuration::from_secs(600);
        let pod = with(of(&Pod::default(), 1000, &[]));
        assert!(is_due(&Pod::default(), &of(&pod, 1000, &[]), interval));
        assert!(!is_due(&pod, &of(&pod, 1000, &[]), interval), "the same");
        assert!(!is_due(&pod, &of(&pod, 1300, &[]), interval));
        assert!(is_due(&pod, &of(&pod, 1301, &[]), interval));
        assert!(is_due(&pod, &of(&pod, 1001, &["BYP-1 x"]), interval));
        assert!(!is_due(&pod, &of(&pod, 999, &["BYP-1 x"]), interval), "older than what stands there");
        assert!(newest(&pod).unwrap().holds);
    }
}
