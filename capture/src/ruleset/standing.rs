//! Compares `nft -j list ruleset` with what was loaded.

use std::collections::BTreeSet;

use serde_json::Value;

/// What differs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The listing is not what libnftables-json(5) describes.
    #[error("nft's listing cannot be read")]
    Listing,
    /// Other chains in our tables, or chains with another type, hook, priority or policy.
    #[error("chains are {found:?}, expected {expected:?}")]
    Chains {
        /// What stands.
        found: BTreeSet<String>,
        /// What should stand.
        expected: BTreeSet<String>,
    },
    /// Other interfaces under the second layer.
    #[error("interfaces are {found:?}, expected {expected:?}")]
    Devices {
        /// What stands.
        found: BTreeSet<String>,
        /// What should stand.
        expected: BTreeSet<String>,
    },
    /// Other rules in a chain.
    #[error("rules of {chain} end in {found:?}, expected {expected:?}")]
    Rules {
        /// The chain.
        chain: &'static str,
        /// What each rule does.
        found: Vec<String>,
        /// What each rule should do.
        expected: Vec<String>,
    },
    /// Other ports in the set of inbound ports.
    #[error("inbound ports of {table} are {found:?}")]
    Inbound {
        /// The table.
        table: String,
        /// What stands.
        found: Vec<u64>,
    },
}

/// What each rule of a chain does, in order; `uid` stands for a match on the sidecar's user.
const CAPTURE: &[&str] = &["uid return", "return", "redirect 15053", "redirect 15001"];
const LEAVE: &[&str] =
    &["accept", "uid accept", "accept", "accept", "accept", "accept", "accept", "uid>=0 drop", "accept"];
const WIRE: &[&str] = &["accept", "not-uid drop"];

/// Checks our tables and names those of others.
pub(super) fn check(listing: &[u8], uid: u32, inbound: &[u16], netdev: bool) -> Result<Vec<String>, Mismatch> {
    let listing: Value = serde_json::from_slice(listing).map_err(|_| Mismatch::Listing)?;
    let objects = listing.get("nftables").and_then(Value::as_array).ok_or(Mismatch::Listing)?;

    let mut expected = BTreeSet::from([
        "inet aegis capture nat output -100 accept".to_owned(),
        "inet aegis leave filter output 0 drop".to_owned(),
    ]);
    if netdev {
        expected.insert("netdev aegis_egress wire filter egress 0 accept".to_owned());
    }
    let of = |kind: &'static str| objects.iter().filter_map(move |object| object.get(kind));
    let found: BTreeSet<String> = of("chain").filter(|chain| ours(chain)).map(chain_text).collect();
    if found != expected {
        return Err(Mismatch::Chains { found, expected });
    }

    let chains: &[(&'static str, &[&str])] = &[("capture", CAPTURE), ("leave", LEAVE), ("wire", WIRE)];
    for (chain, rules) in chains.iter().filter(|(name, _)| *name != "wire" || netdev) {
        let standing = of("rule").filter(|rule| ours(rule) && text(rule, "chain") == *chain);
        let found: Vec<String> = standing.map(|rule| rule_text(rule, uid)).collect();
        if !found.iter().eq(rules.iter()) {
            let expected = rules.iter().map(|&rule| rule.to_owned()).collect();
            return Err(Mismatch::Rules { chain, found, expected });
        }
    }
    for set in of("set").filter(|set| ours(set)) {
        let elements = set.get("elem").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut found: Vec<u64> = elements.iter().filter_map(Value::as_u64).collect();
        found.sort_unstable();
        if elements.len() != inbound.len() || !found.iter().copied().eq(inbound.iter().copied().map(u64::from)) {
            return Err(Mismatch::Inbound { table: text(set, "table").to_owned(), found });
        }
    }
    Ok(others(objects))
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn ours(object: &Value) -> bool {
    let table = if object.get("table").is_some() { "table" } else { "name" };
    matches!((text(object, "family"), text(object, table)), ("inet", "aegis") | ("netdev", "aegis_egress"))
}

fn chain_text(chain: &Value) -> String {
    let priority = chain.get("prio").and_then(Value::as_i64).unwrap_or_default().to_string();
    let mut line: Vec<&str> = ["family", "table", "name", "type", "hook"].iter().map(|key| text(chain, key)).collect();
    line.extend([priority.as_str(), text(chain, "policy")]);
    line.join(" ")
}

/// The second layer guards other interfaces than these. Read from nft's plain listing: its JSON leaves them out (1.0.6).
pub(super) fn check_devices(listing: &[u8], devices: &[String]) -> Result<(), Mismatch> {
    let listing = String::from_utf8_lossy(listing);
    let hook = listing.lines().find(|line| line.contains("hook egress")).ok_or(Mismatch::Listing)?;
    let named = hook.split_once("device").and_then(|(_, rest)| rest.split_once("priority")).ok_or(Mismatch::Listing)?.0;
    let words = named.split(|c: char| !(c.is_ascii_alphanumeric() || "_.-".contains(c)));
    // "device" may be the plural: its last letter is no interface, the equals sign after it tells.
    let words = words.filter(|word| !(word.is_empty() || *word == "s" && named.contains('=')));
    let found: BTreeSet<String> = words.map(str::to_owned).collect();
    let expected: BTreeSet<String> = devices.iter().cloned().collect();
    if found == expected { Ok(()) } else { Err(Mismatch::Devices { found, expected }) }
}

/// The rule's verdict, and whether it looks at the user.
fn rule_text(rule: &Value, uid: u32) -> String {
    let expressions = rule.get("expr").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut words = Vec::new();
    for found in expressions.iter().filter_map(|expression| expression.get("match")) {
        if found.pointer("/left/meta/key").and_then(Value::as_str) != Some("skuid") {
            continue;
        }
        let right = found.get("right").and_then(Value::as_u64);
        words.push(match (text(found, "op"), right) {
            ("==", Some(value)) if value == u64::from(uid) => "uid".to_owned(),
            ("!=", Some(value)) if value == u64::from(uid) => "not-uid".to_owned(),
            (operator, value) => format!("uid{operator}{}", value.map_or_else(String::new, |value| value.to_string())),
        });
    }
    let verdict = expressions.last().and_then(Value::as_object).and_then(|last| last.iter().next());
    words.push(match verdict {
        Some((name, value)) => match value.get("port") {
            Some(port) => format!("{name} {port}"),
            None => name.clone(),
        },
        None => "nothing".to_owned(),
    });
    words.join(" ")
}

/// `family name (hooks)` of every table that is not ours.
fn others(objects: &[Value]) -> Vec<String> {
    let of = |kind: &'static str| objects.iter().filter_map(move |object| object.get(kind));
    let name = |table: &Value| {
        let hooks: BTreeSet<&str> = of("chain")
            .filter(|chain| {
                text(chain, "family") == text(table, "family") && text(chain, "table") == text(table, "name")
            })
            .map(|chain| text(chain, "hook"))
            .filter(|hook| !hook.is_empty())
            .collect();
        let hooks: Vec<&str> = hooks.into_iter().collect();
        format!("{} {} ({})", text(table, "family"), text(table, "name"), hooks.join(", "))
    };
    of("table").filter(|table| !ours(table)).map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn interfaces_are_read_from_either_form() {
        let one = b"\t\ttype filter hook egress device \"eth0\" priority filter; policy accept;";
        check_devices(one, &names(&["eth0"])).unwrap();
        check_devices(one, &names(&["eth1"])).unwrap_err();
        let two = b"\t\ttype filter hook egress devices = { eth0, net1 } priority filter; policy accept;";
        check_devices(two, &names(&["net1", "eth0"])).unwrap();
        check_devices(two, &names(&["eth0"])).unwrap_err();
        check_devices(b"nothing", &names(&["eth0"])).unwrap_err();
    }
}
