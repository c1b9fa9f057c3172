//! Which delegations to an agent are lent. All of them go to each of its sidecars, signed, whenever one changes, so there is
//! a bound on what they take together, and what is beyond it has no effect.
//!
//! The oldest come first, and the first that finds no room ends the row. So what is lent stays lent until it ends, whatever
//! is created after it and whatever ends beside it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use aegis_crds::api::Delegation as Resource;
use aegis_crds::lower;
use aegis_decision::delegation::Delegation;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// Bytes of a mebibyte.
const MIB: usize = 1_048_576;
/// Most bytes that the delegations to one agent take, as JSON.
const MAX_BYTES: usize = MIB;
/// How long an ended delegation is still told to sidecars, so that a denial can say that it expired.
const REMEMBER_ENDED: SignedDuration = SignedDuration::from_hours(24);

/// The delegations of a namespace by agent, the oldest first.
#[derive(Debug)]
pub struct ByAgent<'a>(BTreeMap<&'a str, Vec<&'a Resource>>);

/// Delegations to an agent that are not lent, though they have not ended: their sizes, by name.
#[derive(Debug, Default)]
pub struct Beyond<'a> {
    sizes: BTreeMap<&'a str, usize>,
    /// Bytes of all that have not ended.
    all: usize,
}

impl<'a> ByAgent<'a> {
    /// Of these delegations.
    pub fn of(delegations: &'a [Arc<Resource>]) -> Self {
        let mut ordered: Vec<&Resource> = delegations.iter().map(Arc::as_ref).collect();
        ordered.sort_by(|one, other| age(one).cmp(&age(other)));
        let mut by_agent: BTreeMap<&str, Vec<&Resource>> = BTreeMap::new();
        for delegation in ordered {
            by_agent.entry(&delegation.spec.agent).or_default().push(delegation);
        }
        Self(by_agent)
    }

    /// What is lent to an agent, and what has ended not long ago, the newest first, as far as there is room left. Ordered by
    /// name; what cannot be read is left out.
    pub fn lent(&self, agent: &str, now: Timestamp) -> Vec<Delegation> {
        let mut room = Room::default();
        let mut lent = room.fill(self.to(agent).filter(|resource| !has_ended(resource, now)));
        // What has ended is told for the words of denials only, so it displaces nothing.
        let mut rest = Room { is_full: false, ..room };
        let ended = self.to(agent).rev().filter(|resource| has_ended(resource, now));
        lent.extend(rest.fill(ended.filter(|resource| is_remembered(resource, now))));
        lent.sort_by(|one, other| one.name.cmp(&other.name));
        lent
    }

    /// What is not lent to an agent, though it has not ended.
    pub fn beyond(&self, agent: &str, now: Timestamp) -> Beyond<'a> {
        let (mut room, mut beyond) = (Room::default(), Beyond::default());
        for resource in self.to(agent).filter(|resource| !has_ended(resource, now)) {
            let Ok(delegation) = lower::delegation(resource) else { continue };
            let bytes = json_bytes(&delegation);
            beyond.all = beyond.all.saturating_add(bytes);
            if !room.takes(bytes) {
                beyond.sizes.insert(resource.metadata.name.as_deref().unwrap_or_default(), bytes);
            }
        }
        beyond
    }

    fn to(&self, agent: &str) -> impl DoubleEndedIterator<Item = &'a Resource> {
        self.0.get(agent).into_iter().flatten().copied()
    }
}

impl Beyond<'_> {
    /// What a delegation says that is one of them, with what to do.
    ///
    /// The total is told in whole mebibytes: each of them is written anew when it changes, which would else be with every
    /// delegation that comes or goes.
    pub fn of(&self, delegation: &str) -> Option<String> {
        let bytes = *self.sizes.get(delegation)?;
        let (most, all) = (MAX_BYTES / MIB, self.all / MIB);
        Some(if bytes > MAX_BYTES {
            format!(
                "has no effect: it is larger than {most} MiB as JSON, which is what all delegations to an agent may take; \
                 create one with fewer grants, inputs and data"
            )
        } else {
            format!(
                "has no effect: the delegations to this agent that have not ended take {all} MiB as JSON or more, and the \
                 oldest are lent up to {most} MiB; revoke or delete older ones, or create them with fewer grants, inputs \
                 and data"
            )
        })
    }
}

/// Room for the delegations to one agent.
#[derive(Debug)]
struct Room {
    left: usize,
    is_full: bool,
}

impl Default for Room {
    fn default() -> Self {
        Self { left: MAX_BYTES, is_full: false }
    }
}

impl Room {
    /// Whether the next one, of so many bytes, is lent. None is after the first that has no room; but one that has none
    /// even alone holds up no other.
    fn takes(&mut self, bytes: usize) -> bool {
        if bytes > MAX_BYTES {
            return false;
        }
        match self.left.checked_sub(bytes) {
            Some(left) if !self.is_full => {
                self.left = left;
                true
            }
            _ => {
                self.is_full = true;
                false
            }
        }
    }

    /// Those that are lent. Once there is no room, no more are looked at.
    fn fill<'a>(&mut self, resources: impl Iterator<Item = &'a Resource>) -> Vec<Delegation> {
        let mut lent = Vec::new();
        for resource in resources {
            if self.is_full {
                break;
            }
            if let Ok(delegation) = lower::delegation(resource)
                && self.takes(json_bytes(&delegation))
            {
                lent.push(delegation);
            }
        }
        lent
    }
}

/// Orders delegations from the oldest.
fn age(resource: &Resource) -> (Option<Timestamp>, Option<&str>) {
    (resource.metadata.creation_timestamp.as_ref().map(|time| time.0), resource.metadata.name.as_deref())
}

fn has_ended(resource: &Resource, now: Timestamp) -> bool {
    resource.spec.revoked || resource.spec.expires_at.0 <= now
}

fn is_remembered(resource: &Resource, now: Timestamp) -> bool {
    now.duration_since(resource.spec.expires_at.0) < REMEMBER_ENDED
}

/// Length of a value as JSON, counted and not kept.
fn json_bytes(value: &impl Serialize) -> usize {
    struct Counter(usize);

    impl io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.saturating_add(bytes.len());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let mut counter = Counter(0);
    serde_json::to_writer(&mut counter, value).map_or(usize::MAX, |()| counter.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KIB: usize = 1024;

    fn at(day: u8) -> Timestamp {
        format!("2026-03-{day:02}T00:00:00Z").parse().unwrap()
    }

    /// A delegation to the buyer of some more than so many KiB, created on that day of March and in force for all of it.
    fn delegation(name: &str, created: u8, kib: usize) -> Resource {
        // With quotes and comma a quarter of a KiB each.
        let values = vec!["s".repeat(253); kib * 4];
        serde_json::from_value(json!({
            "apiVersion": "aegis.dev/v1alpha1", "kind": "Delegation",
            "metadata": {"name": name, "namespace": "shop", "uid": name, "generation": 1, "creationTimestamp": at(created)},
            "spec": {"agent": "buyer", "delegator": "dave", "requestedBy": "carol", "workflow": "restock",
                     "purpose": "Paper.", "grants": [{"tool": "till", "operations": ["*"]}],
                     "data": [{"dimension": "supplier", "in": values}], "notBefore": at(1), "expiresAt": at(31)},
        }))
        .unwrap()
    }

    fn revoked(delegation: Resource) -> Resource {
        let mut delegation = delegation;
        delegation.spec.revoked = true;
        delegation
    }

    fn expired(delegation: Resource, day: u8) -> Resource {
        let mut delegation = delegation;
        delegation.spec.expires_at.0 = at(day);
        delegation
    }

    /// What is lent to the buyer on the tenth, and what is beyond.
    fn told(delegations: Vec<Resource>) -> (Vec<String>, Vec<String>) {
        let all: Vec<Arc<Resource>> = delegations.into_iter().map(Arc::new).collect();
        let by_agent = ByAgent::of(&all);
        let lent = by_agent.lent("buyer", at(10));
        assert!(lent.iter().map(json_bytes).sum::<usize>() <= MAX_BYTES);
        let beyond = by_agent.beyond("buyer", at(10)).sizes.into_keys().map(str::to_owned).collect();
        (lent.into_iter().map(|delegation| delegation.name).collect(), beyond)
    }

    fn names<const N: usize, const M: usize>(lent: [&str; N], beyond: [&str; M]) -> (Vec<String>, Vec<String>) {
        (lent.map(str::to_owned).to_vec(), beyond.map(str::to_owned).to_vec())
    }

    #[test]
    fn the_oldest_are_lent_and_a_new_one_displaces_none() {
        let (first, second) = (delegation("z", 1, 400), delegation("y", 2, 400));
        assert_eq!(told(vec![first.clone(), second.clone()]), names(["y", "z"], []));
        // Neither a large one nor a small one that would have room: it would lose it again to an older one.
        let after = vec![delegation("b", 5, 1), delegation("a", 4, 400), second, first];
        assert_eq!(told(after.clone()), names(["y", "z"], ["a", "b"]));
        // One that ends leaves its room to the next ones.
        let [small, large, second, first] = <[Resource; 4]>::try_from(after).unwrap();
        let ended = vec![small, large, second, revoked(first)];
        assert_eq!(told(ended), names(["a", "b", "y"], []));
    }

    #[test]
    fn of_one_age_the_first_by_name_comes_first() {
        let all = ["c", "a", "b"].map(|name| delegation(name, 3, 400)).to_vec();
        assert_eq!(told(all), names(["a", "b"], ["c"]));
    }

    #[test]
    fn one_that_has_no_room_even_alone_holds_up_no_other() {
        let all = vec![delegation("huge", 1, 1024), delegation("small", 2, 1)];
        assert_eq!(told(all), names(["small"], ["huge"]));
    }

    #[test]
    fn what_has_ended_counts_for_nothing_and_is_told_where_there_is_room() {
        let ended = || {
            let long_ago = expired(delegation("long-ago", 4, 1), 8);
            vec![revoked(delegation("older", 2, 600)), expired(delegation("newer", 3, 600), 10), long_ago]
        };
        assert_eq!(told(ended()), names(["newer"], []), "the newest of them that have room");
        let with = |kib| [ended(), vec![delegation("going", 5, kib)]].concat();
        assert_eq!(told(with(400)), names(["going", "newer"], []));
        assert_eq!(told(with(1000)), names(["going"], []));
    }

    #[test]
    fn agents_have_their_own_room() {
        let mut other = delegation("other", 1, 1000);
        other.spec.agent = "seller".to_owned();
        let all = [other, delegation("own", 2, 1000)].map(Arc::new);
        let by_agent = ByAgent::of(&all);
        for (agent, name) in [("buyer", "own"), ("seller", "other")] {
            let lent = by_agent.lent(agent, at(10));
            assert_eq!(lent.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), [name]);
            assert_eq!(by_agent.beyond(agent, at(10)).all, json_bytes(&lent[0]));
        }
        assert!(by_agent.lent("nobody", at(10)).is_empty());
    }

    #[test]
    fn what_is_not_lent_says_why_and_what_to_do() {
        let sizes = BTreeMap::from([("late", 5 * KIB), ("huge", MIB + 1)]);
        let beyond = Beyond { sizes, all: 2 * MIB + 5 };
        assert_eq!(beyond.of("other"), None);
        let late = beyond.of("late").unwrap();
        assert!(late.contains("take 2 MiB as JSON or more") && late.contains("lent up to 1 MiB; revoke"), "{late}");
        let huge = beyond.of("huge").unwrap();
        assert!(huge.contains("larger than 1 MiB") && huge.contains("create one with fewer"), "{huge}");
    }

    #[test]
    fn json_is_counted_as_it_is_written() {
        let value = json!({"a": ["\"\u{1}\u{e9}", 1.5, null], "b": {}});
        assert_eq!(json_bytes(&value), serde_json::to_vec(&value).unwrap().len());
    }
}
