//! What compared calls came to, so that a test can show that they are not all of one kind.

use std::collections::BTreeMap;

use aegis_decision::decision::DecisionOutput;
use aegis_decision::rego;
use anyhow::{Result, ensure};

/// Calls by what they came to, in words such as `allow`, `code schema_violation`, `would hold`, `rego deny`.
#[derive(Debug, Default)]
pub struct Tally {
    /// All calls.
    pub calls: usize,
    kinds: BTreeMap<String, usize>,
}

impl Tally {
    /// Counts one call, once for each word that is true of it.
    pub fn count(&mut self, output: &DecisionOutput) {
        self.calls += 1;
        let verdict = output.verdict.as_str();
        let mut kinds = vec![verdict.to_owned()];
        kinds.extend(output.code.map(|code| format!("code {code}")));
        kinds.extend(output.would.as_ref().map(|would| format!("would {}", would.verdict.as_str())));
        kinds.extend(output.rule.iter().filter(|rule| rule.rule == rego::RULE).map(|_| format!("rego {verdict}")));
        let told = [
            ("effect", output.effect_digest.is_some()),
            ("fact", output.facts.values().any(Option::is_some)),
            ("fact not read", output.facts.values().any(Option::is_none)),
            ("policy on trial", output.would.as_ref().is_some_and(|would| !would.policies.is_empty())),
            ("sanitized", !output.sanitized.is_empty()),
            ("unknown origin", !output.unknown_origins.is_empty()),
        ];
        kinds.extend(told.into_iter().filter(|(_, is)| *is).map(|(word, _)| word.to_owned()));
        for kind in kinds {
            *self.kinds.entry(kind).or_default() += 1;
        }
    }

    /// Adds what another one counted.
    pub fn add(&mut self, other: Self) {
        self.calls += other.calls;
        for (kind, count) in other.kinds {
            *self.kinds.entry(kind).or_default() += count;
        }
    }

    /// That there are so many of each kind.
    ///
    /// # Errors
    /// Names the first kind of which there are fewer, and all that was counted.
    pub fn expect(&self, least: &[(&str, usize)]) -> Result<()> {
        for (kind, least) in least {
            let found = self.kinds.get(*kind).copied().unwrap_or_default();
            ensure!(found >= *least, "too one-sided: {found} of {kind:?}, fewer than {least}: {self:?}");
        }
        Ok(())
    }
}
