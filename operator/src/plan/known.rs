//! What came of lowering and compiling, kept from one plan of a namespace to its next: what has not changed is not made
//! again, and bundles share it. Kept is what the last plan asked for, so it is bounded by what the namespace holds, and no
//! namespace clears another's.

use std::collections::BTreeMap;
use std::sync::Arc;

use aegis_crds::gather::Problem;
use aegis_crds::lowered::Lowered;
use aegis_decision::digest::Digest;
use serde::Serialize;

use super::frozen::Fault;

/// What came of compiling, by the digest of all that went into it, and the resources as core values.
#[derive(Debug, Default)]
pub struct Known {
    pub(super) lowered: Arc<Lowered>,
    parts: BTreeMap<Digest, Result<(), Problem>>,
    faults: BTreeMap<Digest, Fault>,
}

impl Known {
    /// Whether a part compiles: as `before` knows it, else as found now.
    pub(super) fn part(
        &mut self,
        before: &Self,
        made_from: &impl Serialize,
        compile: impl FnOnce() -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        let Ok(bytes) = serde_json::to_vec(made_from) else { return compile() };
        let digest = Digest::of_bytes(&bytes);
        let result = before.parts.get(&digest).cloned().unwrap_or_else(compile);
        self.parts.insert(digest, result.clone());
        result
    }

    /// Why a bundle of this source cannot be made, as far as `before` knows.
    pub(super) fn fault(&mut self, before: &Self, source: Digest) -> Option<Fault> {
        let fault = before.faults.get(&source)?;
        Some(self.keep_fault(source, fault.clone()))
    }

    /// Keeps why a bundle of this source cannot be made.
    pub(super) fn keep_fault(&mut self, source: Digest, fault: Fault) -> Fault {
        self.faults.insert(source, fault.clone());
        fault
    }
}

#[cfg(test)]
mod tests {
    use aegis_crds::lower::Invalid;

    use super::*;

    #[test]
    fn what_has_not_changed_is_not_compiled_again() {
        let wrong = || Err(Problem::Invalid(Invalid { field: "spec".to_owned(), reason: "is wrong".to_owned() }));
        let (mut first, mut second) = (Known::default(), Known::default());
        assert_eq!(first.part(&Known::default(), &("Tool", 1), wrong), wrong());
        assert_eq!(second.part(&first, &("Tool", 1), || panic!("compiled again")), wrong());
        assert_eq!(second.part(&first, &("Tool", 2), || Ok(())), Ok(()));
    }

    #[test]
    fn what_a_plan_does_not_ask_for_is_forgotten() {
        let (mut first, mut second, mut third) = (Known::default(), Known::default(), Known::default());
        first.part(&Known::default(), &1, || Ok(())).unwrap();
        second.part(&first, &2, || Ok(())).unwrap();
        let mut compiled = false;
        third
            .part(&second, &1, || {
                compiled = true;
                Ok(())
            })
            .unwrap();
        assert!(compiled);
    }
}
