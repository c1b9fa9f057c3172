//! Who the sidecar is: keys made in memory, and a short-lived token for them that is renewed in time.

use std::sync::Arc;
use std::time::Duration;

use aegis_decision::control::TokenAnswer;
use aegis_decision::jws::{JwsError, KeySet, Purpose, SigningKey, base64url, thumbprint};
use aegis_decision::token::{Attestation, prove_record_key};
use aegis_runtime::ready;
use aegis_runtime::shutdown::Drain;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::control::{Control, ControlFault};
use crate::metrics::Metrics;
use crate::probe::{Found, Probe};
use crate::state::{State, Token};
use crate::trust::{TrustError, text};

/// First pause after a failed exchange.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause after a failed exchange.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// A new record key, from the operating system's randomness.
pub fn record_key() -> SigningKey {
    let seed = zeroize::Zeroizing::new(rand::random::<[u8; 32]>());
    SigningKey::from_seed(Purpose::Records, &seed)
}

/// The newest attestation of the record key, with the keys that verified it.
#[derive(Debug, Clone)]
pub struct Attested {
    /// Compact JWS.
    pub jws: String,
    /// What it says.
    pub attestation: Attestation,
    /// Verified with.
    pub keys: Arc<KeySet>,
}

/// Why there is no new token. The old one is kept.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The pod's token cannot be read.
    #[error("the pod's token cannot be read")]
    PodToken(#[from] TrustError),
    /// The control service did not give one.
    #[error(transparent)]
    Control(#[from] ControlFault),
    /// The attestation is not signed as it must be.
    #[error("the attestation is not valid")]
    Attestation(#[from] JwsError),
    /// The attestation is for another key.
    #[error("the attestation is for another key")]
    OtherKey,
}

/// Keeps the token fresh.
pub struct Identity {
    /// Exchanges tokens.
    pub control: Arc<Control>,
    /// File with the pod's token; the kubelet renews it.
    pub token_file: std::path::PathBuf,
    /// The record key, of which possession is proven.
    pub record_key: SigningKey,
    /// Gets the token.
    pub state: Arc<State>,
    /// Gets the attestation.
    pub attested: watch::Sender<Option<Attested>>,
    /// The pod's probe, where the pod is captured.
    pub probe: Option<Arc<Probe>>,
    /// Metrics.
    pub metrics: Metrics,
}

impl Identity {
    /// Exchanges at once, then at a third of the token's life, ±10 %; a failure keeps the old token and is tried again.
    ///
    /// In a captured pod it waits for the first statement about a probe, and every exchange carries the newest one: also
    /// one of a probe that got out, since the control service says so on the pod when it refuses.
    pub async fn keep_fresh(self, ready: ready::Handle, quiet: Drain) {
        let mut ready = Some(ready);
        let mut pause = FIRST_PAUSE;
        let mut found = self.probe.as_ref().map(|probe| probe.found());
        if let Some(found) = &mut found {
            // The probe starts when the sidecar has started, and that takes the control service: nobody else asks it yet.
            tokio::select! {
                () = quiet.begun() => return,
                () = self.reach_control() => {}
            }
            tokio::select! {
                () = quiet.begun() => return,
                first = found.wait_for(Option::is_some) => if first.is_err() { return },
            }
        }
        loop {
            let statement = found.as_mut().and_then(|found| found.borrow_and_update().clone());
            let exchanged = self.exchange(statement.map(|found| found.jws)).await;
            let refused = exchanged.is_err();
            let wait = match exchanged {
                Ok(life) => {
                    if let Some(ready) = ready.take() {
                        ready.release();
                    }
                    pause = FIRST_PAUSE;
                    jittered(life / 3, 0.1)
                }
                Err(error) => {
                    self.metrics.token_failures.inc();
                    tracing::warn!(error = &error as &dyn std::error::Error, "no new token");
                    let wait = jittered(pause, 0.5);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    wait
                }
            };
            tokio::select! {
                () = quiet.begun() => return,
                () = sleep(wait) => {}
                // What was refused may be granted with the next statement.
                () = changed(&mut found), if refused => {}
            }
        }
    }

    /// Returns when the control service was reached: the first thing that a new pod must show.
    async fn reach_control(&self) {
        while let Err(error) = self.control.reach().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "control service not reached");
            sleep(jittered(FIRST_PAUSE * 2, 0.5)).await;
        }
    }

    async fn exchange(&self, statement: Option<String>) -> Result<Duration, ExchangeError> {
        let pod_token = text(&self.token_file).await?;
        let proof = prove_record_key(&self.record_key, &thumbprint(self.control.client_key()));
        let record_key = base64url(self.record_key.public().as_bytes());
        let since = Instant::now();
        let (answer, keys) = self.control.token(pod_token.trim().to_owned(), record_key, proof, statement).await?;
        let TokenAnswer { access_token, expires_in, attestation: jws, .. } = answer;
        let attestation = Attestation::verify(&jws, &keys)?;
        if attestation.key != self.record_key.public() {
            return Err(ExchangeError::OtherKey);
        }
        let life = Duration::from_secs(expires_in.into());
        // The token first: whoever waits for the attestation uses it at once.
        self.state.set_token(Token { bearer: access_token, since, life });
        if let Some(probe) = &self.probe {
            probe.name(&attestation)?;
        }
        self.attested.send_replace(Some(Attested { jws, attestation, keys }));
        tracing::debug!(life_seconds = life.as_secs(), "token renewed");
        Ok(life)
    }
}

/// The next statement, where there is a probe.
async fn changed(found: &mut Option<watch::Receiver<Option<Found>>>) {
    if let Some(found) = found
        && found.changed().await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

/// A time, more or less by a share of it, so that many sidecars do not come at once.
pub fn jittered(time: Duration, share: f64) -> Duration {
    let factor = 1.0 + share * (2.0 * rand::random::<f64>() - 1.0);
    time.mul_f64(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_its_share() {
        for _ in 0..1000 {
            let time = jittered(Duration::from_secs(100), 0.1);
            assert!((Duration::from_secs(90)..=Duration::from_secs(110)).contains(&time), "{time:?}");
        }
    }
}
