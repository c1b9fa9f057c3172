//! The name of a request: agent, short hash, number. The same call finds the same request again.

use crate::digest::Digest;

/// Longest name of a Kubernetes label, and so of a request.
const MAX_BYTES: usize = 63;
/// 64 bits: enough to tell requests apart by name. It does not replace the comparison of digests.
const HASH_DIGITS: usize = 16;

/// Name of the `number`th request for this effect under this delegation (uid, empty for none): a DNS label of at
/// most 63 bytes.
///
/// A name is an address, not a proof: who finds a request by it compares its effect digest.
pub fn request_name(agent: &str, effect: Digest, delegation_uid: &str, number: u32) -> String {
    let hash: String = Digest::of(&("aegis.dev/request-name/v1", effect, delegation_uid))
        .to_string()
        .chars()
        .skip("sha256:".len())
        .take(HASH_DIGITS)
        .collect();
    let tail = format!("-{hash}-{number}");
    let room = MAX_BYTES.saturating_sub(tail.len());
    let label: String =
        agent.chars().map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' }).take(room).collect();
    let label = label.trim_matches('-');
    format!("{}{tail}", if label.is_empty() { "agent" } else { label })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_dns_label(name: &str) -> bool {
        name.len() <= 63
            && !name.starts_with('-')
            && !name.ends_with('-')
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }

    #[test]
    fn reads_as_agent_hash_number() {
        let name = request_name("buyer", Digest::of_bytes(b"x"), "uid-1", 2);
        assert!(name.starts_with("buyer-") && name.ends_with("-2"), "{name}");
        assert_eq!(name.len(), "buyer-".len() + 16 + "-2".len());
    }

    #[test]
    fn differs_by_effect_and_delegation() {
        let effect = Digest::of_bytes(b"x");
        let name = request_name("buyer", effect, "uid-1", 1);
        assert_eq!(name, request_name("buyer", effect, "uid-1", 1));
        assert_ne!(name, request_name("buyer", effect, "uid-2", 1));
        assert_ne!(name, request_name("buyer", Digest::of_bytes(b"y"), "uid-1", 1));
    }

    proptest! {
        #[test]
        fn is_always_a_dns_label(agent in "\\PC{0,80}", uid in "\\PC{0,40}", number: u32) {
            let name = request_name(&agent, Digest::of_bytes(uid.as_bytes()), &uid, number);
            prop_assert!(is_dns_label(&name), "{}", name);
        }
    }
}
