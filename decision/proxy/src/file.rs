//! Policy from files instead of a control service: for tests and offline trials. The items are verified as those of the
//! feed are; nothing is renewed, nothing ages, and a held call cannot be approved.

use aegis_decision::feed::{FeedError, FeedState};
use aegis_decision::jws::{JwsError, KeyError, Purpose, SigningKey};
use aegis_decision::token::Attestation;
use jiff::Timestamp;

use crate::args::FileSettings;
use crate::feed::{Lost, apply};
use crate::identity::Attested;
use crate::metrics::Metrics;
use crate::state::{Knowledge, State};
use crate::trust::{TrustError, keys, text};

/// Why the files are of no use.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// One cannot be read.
    #[error(transparent)]
    Read(#[from] TrustError),
    /// The attestation is not signed by one of the keys.
    #[error("--attestation")]
    Attestation(#[from] JwsError),
    /// The record key is none.
    #[error("--record-key")]
    RecordKey(#[from] KeyError),
    /// An item cannot be accepted.
    #[error("--bundle: line {line}")]
    Item {
        /// From 1.
        line: usize,
        /// Why.
        source: FeedError,
    },
    /// An item cannot be applied.
    #[error("--bundle")]
    Apply(#[from] Lost),
    /// No policy or no grants, or a policy that does not compile.
    #[error("--bundle holds no policy that compiles, or no grants")]
    Incomplete,
}

/// Reads the files into the state; gives the record key and its attestation.
pub async fn load(
    settings: &FileSettings,
    state: &State,
    metrics: &Metrics,
) -> Result<(SigningKey, Attested), FileError> {
    let keys = keys(&settings.keys).await?;
    let jws = text(&settings.attestation).await?.trim().to_owned();
    let attestation = Attestation::verify(&jws, &keys)?;
    let record_key = SigningKey::from_seed_text(Purpose::Records, text(&settings.record_key).await?.trim())?;
    let mut feed = FeedState::new(attestation.agent.uid.as_str());
    for (at, line) in text(&settings.bundle).await?.lines().enumerate() {
        let change = feed.accept(line, &keys, Timestamp::now());
        let change = change.map_err(|source| FileError::Item { line: at.saturating_add(1), source })?;
        apply(change, state, metrics).await?;
    }
    state.set_knowledge(Knowledge::Fixed);
    if state.view().is_none() {
        return Err(FileError::Incomplete);
    }
    Ok((record_key, Attested { jws, attestation, keys: keys.into() }))
}
