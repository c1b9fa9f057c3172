//! Status conditions: set as a whole, with a transition time that moves only when the status does.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// A condition as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Type, such as `Ready`.
    pub kind: &'static str,
    /// True, false, or not known.
    pub status: Option<bool>,
    /// Reason from a closed set.
    pub reason: &'static str,
    /// A sentence; names fields, never values.
    pub message: String,
}

impl Wanted {
    /// A condition.
    pub fn new(kind: &'static str, status: bool, reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind, status: Some(status), reason, message: message.into() }
    }
}

/// The conditions to write: order as wanted, transition times kept where the status is the same.
pub fn set(current: &[Condition], wanted: Vec<Wanted>, generation: Option<i64>, now: Timestamp) -> Vec<Condition> {
    wanted
        .into_iter()
        .map(|wanted| {
            let status = match wanted.status {
                Some(true) => "True",
                Some(false) => "False",
                None => "Unknown",
            };
            let before = current.iter().find(|condition| condition.type_ == wanted.kind);
            let since =
                before.filter(|before| before.status == status).map(|before| before.last_transition_time.clone());
            Condition {
                type_: wanted.kind.to_owned(),
                status: status.to_owned(),
                reason: wanted.reason.to_owned(),
                message: clipped(wanted.message),
                observed_generation: generation,
                last_transition_time: since.unwrap_or_else(|| Time(whole_second(now))),
            }
        })
        .collect()
}

/// `metav1.Time` keeps whole seconds: anything finer would differ from what comes back, and be written for ever.
pub fn whole_second(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

fn clipped(mut message: String) -> String {
    const MAX: usize = 1024;
    message.truncate(message.floor_char_boundary(MAX));
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let (first, later) = (Timestamp::from_second(100).unwrap(), Timestamp::from_second(200).unwrap());
        let start = set(&[], vec![Wanted::new("Ready", true, "Good", "fine")], Some(1), first);
        let same = set(&start, vec![Wanted::new("Ready", true, "Better", "very fine")], Some(2), later);
        assert_eq!((same[0].last_transition_time.0, same[0].reason.as_str()), (first, "Better"));
        let other = set(&same, vec![Wanted::new("Ready", false, "Bad", "not fine")], Some(2), later);
        assert_eq!(other[0].last_transition_time.0, later);
    }
}
