//! Does what [`evaluate`] says, for one replica: reads what is [`Shared`], takes a step by compare-and-set, looks again.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::super::{Served, TlsError};
use super::{Held, Kept, Lifetimes, Metrics, Published, Shared, Step, Trust, evaluate};

/// Shortest time between two looks.
const SHORTEST_LOOK: Duration = Duration::from_millis(100);
/// Longest time between two looks: so late is a place repaired that somebody else has changed.
const LONGEST_LOOK: Duration = Duration::from_secs(150);
/// Longest time until what failed is tried again.
const RETRY: Duration = Duration::from_secs(15);
/// So long does a start wait for places that cannot be written, before it serves those who trust already.
const PATIENCE: Duration = Duration::from_secs(10);

/// Keeps the certificates of one replica.
pub struct Keeper<S> {
    shared: S,
    about: About,
    metrics: Metrics,
    held: Option<Held>,
    served: Option<Served>,
}

/// What certificates are made of.
#[derive(Debug, Clone)]
pub struct About {
    /// Name of the authorities.
    pub common_name: &'static str,
    /// DNS names and IP literals that clients reach the server by.
    pub names: Vec<String>,
    /// How long they last.
    pub lifetimes: Lifetimes,
}

/// What goes wrong. All of it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Fault<E: std::error::Error + 'static> {
    /// What is shared cannot be read or written.
    #[error(transparent)]
    Shared(E),
    /// The Secret's content, or a certificate that cannot be made.
    #[error("secret {name} is damaged or cannot be used; delete it to make a new one")]
    Tls {
        /// Name of the Secret.
        name: &'static str,
        /// Why.
        source: TlsError,
    },
}

/// What one look came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Something was done, or somebody else was faster: look again.
    Again,
    /// Nothing to do before this time, since 1970.
    Wait(Duration),
    /// Not every place could be written: look again after this time.
    Hindered(Duration),
}

impl<S: Shared> Keeper<S> {
    /// One without a certificate yet.
    pub fn new(shared: S, about: About, metrics: Metrics) -> Self {
        Self { shared, about, metrics, held: None, served: None }
    }

    /// Returns the certificate to serve once there is one that is trusted in every place; where some cannot be written,
    /// once those had their time.
    pub async fn first(&mut self) -> Served {
        let patience = Instant::now() + PATIENCE;
        loop {
            let pause = match self.turn(now()).await {
                Ok(Turn::Again) => continue,
                Ok(turn) => match &self.served {
                    Some(served) if matches!(turn, Turn::Wait(_)) || Instant::now() >= patience => {
                        return served.clone();
                    }
                    _ => SHORTEST_LOOK,
                },
                Err(fault) => {
                    self.note(&fault);
                    self.look_every().min(Duration::from_secs(1))
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Keeps certificates and trust up to date, for ever.
    pub async fn run(mut self) {
        loop {
            let pause = match self.turn(now()).await {
                Ok(Turn::Again) => continue,
                Ok(Turn::Wait(until)) => until.saturating_sub(now()).min(self.look_every()).max(SHORTEST_LOOK),
                Ok(Turn::Hindered(pause)) => pause,
                Err(fault) => {
                    self.note(&fault);
                    self.look_every().min(RETRY)
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.shared.changed() => {}
            }
        }
    }

    /// Looks at what is shared, and takes one step. `now`: since 1970.
    pub async fn turn(&mut self, now: Duration) -> Result<Turn, Fault<S::Error>> {
        // In this order: see [`super`].
        let places = self.shared.places().await.map_err(Fault::Shared)?;
        let stored = self.shared.kept().await.map_err(Fault::Shared)?;
        let kept = match &stored {
            Some(stored) => Kept::from_data(|name| stored.data.get(name).map(Vec::as_slice)).map_err(damaged::<S>)?,
            None => Kept::default(),
        };
        let state = kept.state();
        let bundle = state.trusted().concat();
        let lacking: Vec<&S::Place> = places.iter().filter(|place| !self.shared.holds(place, &bundle)).collect();
        let next = |held: Option<&Held>, trust| evaluate(&state, trust, held, &self.about.lifetimes, now);
        let mut step = next(self.held.as_ref(), if lacking.is_empty() { Trust::Published } else { Trust::Missing });
        if step == Step::Publish {
            let (written, retry) = self.publish(&lacking, &bundle).await;
            if let Some(pause) = retry {
                // Those who trust already are served all the same.
                if next(self.held.as_ref(), Trust::Refused) == Step::Issue {
                    self.issue(&kept, now)?;
                }
                return Ok(Turn::Hindered(pause));
            }
            if written {
                return Ok(Turn::Again);
            }
            // All that lacked it are gone.
            step = next(self.held.as_ref(), Trust::Published);
        }
        match step {
            Step::Wait(until) => return Ok(Turn::Wait(until)),
            Step::Issue => self.issue(&kept, now)?,
            step => {
                let kept = kept.after(step, self.about.common_name, &self.about.lifetimes, now);
                let data = kept.map_err(damaged::<S>)?.to_data();
                let version = stored.as_ref().map(|stored| stored.version.as_str());
                if self.shared.keep(data, version).await.map_err(Fault::Shared)? {
                    self.stepped(step);
                }
            }
        }
        Ok(Turn::Again)
    }

    /// Publishes in each place; one that cannot be written keeps no other from it. Tells whether anything was written, and
    /// after which time to try again where not all is done.
    async fn publish(&self, lacking: &[&S::Place], bundle: &str) -> (bool, Option<Duration>) {
        let (mut written, mut retry) = (false, None);
        for place in lacking {
            match self.shared.publish(place, bundle).await {
                Ok(Published::Written) => written = true,
                Ok(Published::Gone) => {}
                Ok(Published::Outdated) => retry = retry.max(Some(SHORTEST_LOOK)),
                Err(error) => {
                    self.note(&Fault::Shared(error));
                    retry = retry.max(Some(self.look_every().min(RETRY)));
                }
            }
        }
        if written {
            self.stepped(Step::Publish);
        }
        (written, retry)
    }

    fn issue(&mut self, kept: &Kept, now: Duration) -> Result<(), Fault<S::Error>> {
        let life = self.about.lifetimes.leaf;
        let made = kept.leaf(&self.about.names, life, now).map_err(damaged::<S>)?;
        let Some((leaf, held)) = made else { return Ok(()) };
        match &self.served {
            Some(served) => served.replace(&leaf).map_err(damaged::<S>)?,
            None => self.served = Some(Served::new(&leaf).map_err(damaged::<S>)?),
        }
        self.metrics.expires(now.saturating_add(life));
        self.held = Some(held);
        self.stepped(Step::Issue);
        Ok(())
    }

    fn stepped(&self, step: Step) {
        tracing::info!(step = step.as_str(), "certificates");
        self.metrics.stepped(step);
    }

    fn note(&self, fault: &Fault<S::Error>) {
        self.metrics.failed();
        let source = std::error::Error::source(fault).map(ToString::to_string);
        tracing::warn!(error = %fault, source, "certificates, trying again");
    }

    /// Others change what is kept, too: it is looked at well within the time in which a change must be seen.
    fn look_every(&self) -> Duration {
        (self.about.lifetimes.settle / 4).clamp(SHORTEST_LOOK, LONGEST_LOOK)
    }
}

fn damaged<S: Shared>(source: TlsError) -> Fault<S::Error> {
    Fault::Tls { name: S::SECRET, source }
}

/// Since 1970.
fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests;
