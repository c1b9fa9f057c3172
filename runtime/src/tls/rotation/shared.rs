//! What the replicas of a server share, and what a program must say about it.

use std::collections::BTreeMap;
use std::future::Future;

/// The data of a Secret with its version.
pub struct Stored {
    /// What it holds, by name.
    pub data: BTreeMap<String, Vec<u8>>,
    /// Changes with every write.
    pub version: String,
}

/// What became of an attempt to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// The place holds it.
    Written,
    /// Somebody changed the place since it was read: it must be looked at anew.
    Outdated,
    /// The place is going away, and nobody there has to trust.
    Gone,
}

/// What replicas share: the kept authorities, and the places where trust in them is published. All writes are
/// compare-and-set, against the versions that were read.
pub trait Shared: Send + Sync {
    /// What goes wrong with it.
    type Error: std::error::Error + Send + Sync + 'static;
    /// A place as it was read, with its version.
    type Place: Send + Sync;
    /// Name of the Secret, for messages.
    const SECRET: &'static str;

    /// Every place where trust is or must be published, as it is now: also one that is not there yet.
    fn places(&self) -> impl Future<Output = Result<Vec<Self::Place>, Self::Error>> + Send;

    /// Whether a place holds exactly these certificates, PEM, oldest first.
    fn holds(&self, place: &Self::Place, bundle: &str) -> bool;

    /// Publishes these certificates there, if nobody has changed the place since it was read.
    fn publish(&self, place: &Self::Place, bundle: &str)
    -> impl Future<Output = Result<Published, Self::Error>> + Send;

    /// The Secret; none where there is none yet.
    fn kept(&self) -> impl Future<Output = Result<Option<Stored>, Self::Error>> + Send;

    /// Writes the Secret if it still has this version, or, without one, if there still is none. Tells whether it did.
    fn keep(
        &self,
        data: BTreeMap<&'static str, String>,
        version: Option<&str>,
    ) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Returns when there may be a new place. By default never: they are looked at regularly all the same.
    fn changed(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}
