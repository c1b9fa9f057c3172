//! Verdicts that differ between two sides, counted by verdict and by rule, and the limits on them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::str::FromStr;

use aegis_decision::codes::Code;
use aegis_decision::decision::{DecisionOutput, RuleRef, Verdict};
use serde::Serialize;

use crate::output::table;

/// Most combinations of verdicts and rules that are counted by themselves.
const MAX_GROUPS: usize = 10_000;
/// Calls that are named for each of them.
const EXAMPLES: usize = 3;

/// What a call came to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Side {
    /// `allow`, `hold`, `deny` or `propose`. What was allowed once was held before, and counts as that.
    verdict: &'static str,
    /// The rule that decided, as `policy/rule`.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
}

impl Side {
    pub(crate) fn new(verdict: Verdict, rule: Option<&RuleRef>, code: Option<Code>) -> Self {
        let verdict = if verdict == Verdict::AllowOnce { Verdict::Hold } else { verdict };
        Self { verdict: verdict.as_str(), rule: rule.map(ToString::to_string), code: code.map(Code::as_str) }
    }

    pub(crate) fn of(output: &DecisionOutput) -> Self {
        Self::new(output.verdict, output.rule.as_ref(), output.code)
    }

    /// Rule, else code.
    fn words(&self) -> String {
        self.rule.clone().or_else(|| self.code.map(str::to_owned)).unwrap_or_default()
    }
}

/// Calls whose verdict differs in one way for the same rules.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    from: Side,
    to: Side,
    count: u64,
    /// The first of them.
    examples: Vec<String>,
}

/// All that was counted.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Flips {
    /// Calls that both sides judged.
    judged: u64,
    /// Of these, those whose verdict differs.
    flipped: u64,
    /// Of the others, those with another rule or code.
    other_reason: u64,
    /// By kind, such as `allow->deny`.
    kinds: BTreeMap<String, u64>,
    #[serde(serialize_with = "values")]
    by_rule: BTreeMap<(Side, Side), Group>,
    /// Flips beyond the combinations that are counted by themselves.
    #[serde(skip_serializing_if = "is_zero")]
    not_listed: u64,
}

impl Flips {
    /// Counts one call, which `name` finds again.
    pub(crate) fn add(&mut self, from: Side, to: Side, name: impl FnOnce() -> String) {
        self.judged = self.judged.saturating_add(1);
        if from.verdict == to.verdict {
            self.other_reason = self.other_reason.saturating_add(u64::from(from != to));
            return;
        }
        self.flipped = self.flipped.saturating_add(1);
        let kind = self.kinds.entry(format!("{}->{}", from.verdict, to.verdict)).or_default();
        *kind = kind.saturating_add(1);
        let full = self.by_rule.len() >= MAX_GROUPS;
        match self.by_rule.entry((from.clone(), to.clone())) {
            std::collections::btree_map::Entry::Vacant(_) if full => {
                self.not_listed = self.not_listed.saturating_add(1);
            }
            entry => {
                let group = entry.or_insert_with(|| Group { from, to, count: 0, examples: Vec::new() });
                group.count = group.count.saturating_add(1);
                if group.examples.len() < EXAMPLES {
                    group.examples.push(name());
                }
            }
        }
    }

    /// The limits that are not kept, in words.
    pub(crate) fn beyond(&self, limits: &Limits<'_>) -> Vec<String> {
        let most = limits.max_flips.filter(|most| self.flipped > *most);
        let mut beyond: Vec<String> =
            most.map(|most| format!("{} flips are more than {most}", self.flipped)).into_iter().collect();
        for kind in limits.fail_on {
            let matching = self.by_kind().filter(|(from, to, _)| kind.is(from, to)).map(|(_, _, count)| count);
            let count = matching.fold(0_u64, u64::saturating_add);
            if count > 0 {
                beyond.push(format!("{count} flips {}->{}", kind.from, kind.to));
            }
        }
        beyond
    }

    /// Whether nothing was compared.
    pub(crate) fn is_empty(&self) -> bool {
        self.judged == 0
    }

    fn by_kind(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        self.kinds.iter().filter_map(|(kind, count)| kind.split_once("->").map(|(from, to)| (from, to, *count)))
    }

    /// For people. Ends with a line break.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        if !self.by_rule.is_empty() {
            let mut groups: Vec<&Group> = self.by_rule.values().collect();
            groups.sort_by_key(|group| std::cmp::Reverse(group.count));
            let rows = groups.into_iter().map(|group| {
                let flip = format!("{}->{}", group.from.verdict, group.to.verdict);
                [flip, group.from.words(), group.to.words(), group.count.to_string(), group.examples.join(", ")]
            });
            text.push_str(&table(["FLIP", "BEFORE", "AFTER", "CALLS", "SUCH AS"], rows));
            text.push('\n');
        }
        let kinds: Vec<String> = self.kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let kinds = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{} calls judged, {} flips{kinds}, {} with the same verdict for another reason",
            self.judged, self.flipped, self.other_reason
        );
        text
    }
}

/// What may differ.
pub(crate) struct Limits<'a> {
    pub(crate) max_flips: Option<u64>,
    pub(crate) fail_on: &'a [FlipKind],
}

/// A kind of flip, such as `allow->deny` or `any->allow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlipKind {
    from: String,
    to: String,
}

impl FlipKind {
    fn is(&self, from: &str, to: &str) -> bool {
        (self.from == "any" || self.from == from) && (self.to == "any" || self.to == to)
    }
}

impl FromStr for FlipKind {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = |verdict: &str| matches!(verdict, "allow" | "hold" | "deny" | "propose" | "any");
        match text.split_once("->") {
            Some((from, to)) if known(from) && known(to) && (from != to || from == "any") => {
                Ok(Self { from: from.to_owned(), to: to.to_owned() })
            }
            _ => Err("write FROM->TO, of allow, hold, deny, propose and any, such as allow->deny"),
        }
    }
}

fn values<S: serde::Serializer>(groups: &BTreeMap<(Side, Side), Group>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(groups.values())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(verdict: Verdict, rule: &str) -> Side {
        Side::new(verdict, Some(&RuleRef { policy: "p".to_owned(), rule: rule.to_owned(), reason: None }), None)
    }

    fn flips() -> Flips {
        let mut flips = Flips::default();
        for line in 1..=5 {
            flips.add(side(Verdict::Allow, "a"), side(Verdict::Deny, "d"), || line.to_string());
        }
        flips.add(side(Verdict::Deny, "d"), side(Verdict::Hold, "h"), || "6".to_owned());
        flips.add(side(Verdict::Allow, "a"), side(Verdict::Allow, "b"), || unreachable!("no flip"));
        flips.add(side(Verdict::AllowOnce, "a"), side(Verdict::Hold, "a"), || unreachable!("no flip"));
        flips
    }

    fn beyond(max_flips: Option<u64>, fail_on: &[&str]) -> Vec<String> {
        let fail_on: Vec<FlipKind> = fail_on.iter().map(|kind| kind.parse().unwrap()).collect();
        flips().beyond(&Limits { max_flips, fail_on: &fail_on })
    }

    #[test]
    fn flips_are_counted_by_kind_and_rule() {
        let flips = serde_json::to_value(flips()).unwrap();
        assert_eq!((&flips["judged"], &flips["flipped"], &flips["otherReason"]), (&8.into(), &6.into(), &1.into()));
        assert_eq!(flips["kinds"]["allow->deny"], 5);
        assert_eq!(flips["byRule"][0]["examples"], serde_json::json!(["1", "2", "3"]));
    }

    #[test]
    fn limits_say_what_is_beyond_them() {
        assert!(beyond(None, &[]).is_empty() && beyond(Some(6), &["hold->deny", "deny->allow"]).is_empty());
        assert_eq!(beyond(Some(5), &[]), ["6 flips are more than 5"]);
        assert_eq!(beyond(None, &["allow->deny"]), ["5 flips allow->deny"]);
        assert_eq!(beyond(None, &["any->hold", "any->any"]), ["1 flips any->hold", "6 flips any->any"]);
        for wrong in ["allow", "allow->allow", "allow->no", "->", ""] {
            assert!(wrong.parse::<FlipKind>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_counted_is_bounded() {
        let mut flips = Flips::default();
        for at in 0..MAX_GROUPS + 5 {
            flips.add(side(Verdict::Allow, &at.to_string()), side(Verdict::Deny, ""), String::new);
        }
        assert_eq!((flips.by_rule.len(), flips.not_listed, flips.flipped), (MAX_GROUPS, 5, 10_005));
    }
}
