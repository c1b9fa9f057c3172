//! Policies that are tried out: beside those in force, or on a share of the runs.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Whether a policy's rules have effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Mode {
    /// They decide.
    #[default]
    Enforce,
    /// They decide nothing, and allow nothing either. What they would change is reported.
    Audit,
}

impl Mode {
    /// For `skip_serializing_if`: the default is left out, so that digests of policies without it stay.
    pub fn is_enforce(&self) -> bool {
        *self == Self::Enforce
    }
}

/// The share of runs on which a policy has effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rollout {
    /// Size of the share, 0 to 100: the policy has effect on calls whose [`Share`] is below it.
    pub percent: u8,
    /// Name of a policy that has effect outside the share only, on the tools of both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
}

/// Where the calls of one run stand among a hundred, from 0 to 99. All policies ask the same number, so a run that is in a
/// small share is in every larger one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u8);

impl Share {
    /// The SHA-256 of the canonical JSON `["aegis.dev/rollout/v1", uid, run]`, its first 8 bytes as a big-endian number,
    /// modulo 100. Calls without a run have `null` there, so all of an agent's stand in one place.
    pub fn of(agent_uid: &str, run: Option<&str>) -> Self {
        let digest = Digest::of(&("aegis.dev/rollout/v1", agent_uid, run));
        let first = digest.as_bytes().first_chunk::<8>().copied().unwrap_or_default();
        // A remainder by 100 fits.
        Self(u8::try_from(u64::from_be_bytes(first) % 100).unwrap_or(u8::MAX))
    }

    /// The last place below a bound of 1 to 100.
    pub(crate) fn last_below(bound: u8) -> Self {
        Self(bound.saturating_sub(1))
    }

    /// Whether it lies in a share of that size.
    pub fn is_below(self, percent: u8) -> bool {
        self.0 < percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_the_documented_one() {
        // printf '["aegis.dev/rollout/v1","u1","r1"]' | sha256sum
        let digest = Digest::of_bytes(br#"["aegis.dev/rollout/v1","u1","r1"]"#);
        let first = u64::from_be_bytes(*digest.as_bytes().first_chunk().unwrap());
        assert_eq!(u64::from(Share::of("u1", Some("r1")).0), first % 100);
        let without = Digest::of_bytes(br#"["aegis.dev/rollout/v1","u1",null]"#);
        let first = u64::from_be_bytes(*without.as_bytes().first_chunk().unwrap());
        assert_eq!(u64::from(Share::of("u1", None).0), first % 100);
    }

    #[test]
    fn runs_spread_evenly_and_no_share_is_none() {
        let places: Vec<_> = (0..10_000).map(|run| Share::of("u1", Some(&run.to_string()))).collect();
        for percent in [1, 10, 50, 90] {
            let within = places.iter().filter(|place| place.is_below(percent)).count();
            let expected = usize::from(percent) * 100;
            assert!(within.abs_diff(expected) < 250, "{within} of 10000 runs are in a share of {percent} percent");
        }
        assert!(places.iter().all(|place| place.is_below(100) && !place.is_below(0)));
    }
}
