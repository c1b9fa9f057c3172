//! Bundles to judge with, compiled when they are asked for. Views hold [outlines](aegis_decision::outline::Outline): what a
//! bundle was compiled to may take 25 MB, there is one for each agent, and few agents have calls held at a time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aegis_decision::bundle::{AssembleError, Bundle};
use aegis_decision::digest::Digest;
use tokio::sync::Semaphore;

use super::{Refusal, Turns};
use crate::hub::Published;

/// Bundles that are kept.
const KEPT: usize = 4;
/// Bundles that are compiled at once.
const COMPILED_AT_ONCE: usize = 2;

/// Compiles bundles, and keeps those that were asked for last.
#[derive(Debug)]
pub struct Compiled {
    kept: Arc<Mutex<Recent<Bundle>>>,
    /// Held while a bundle is compiled, by its digest.
    compiling: Turns,
    slots: Arc<Semaphore>,
}

impl Default for Compiled {
    fn default() -> Self {
        Self { kept: Arc::default(), compiling: Turns::default(), slots: Arc::new(Semaphore::new(COMPILED_AT_ONCE)) }
    }
}

impl Compiled {
    /// The bundle, compiled if it is none of those that are kept.
    pub async fn of(&self, published: &Arc<Published>) -> Result<Arc<Bundle>, Refusal> {
        let (digest, published) = (published.bundle.digest(), Arc::clone(published));
        self.made(digest, move || published.bundle.compile()).await
    }

    /// The bundle of that digest, made off the threads that serve if it is none of those that are kept. Who asks for the
    /// same one meanwhile waits for it.
    async fn made(
        &self,
        digest: Digest,
        make: impl FnOnce() -> Result<Bundle, AssembleError> + Send + 'static,
    ) -> Result<Arc<Bundle>, Refusal> {
        if let Some(known) = lock(&self.kept).get(digest) {
            return Ok(known);
        }
        // Both are held until the work ends, also where nobody waits for it any more.
        let turn = self.compiling.of(&digest.to_string()).lock_owned().await;
        if let Some(known) = lock(&self.kept).get(digest) {
            return Ok(known);
        }
        // Never closed.
        let slot = Arc::clone(&self.slots).acquire_owned().await.ok();
        let kept = Arc::clone(&self.kept);
        let done = tokio::task::spawn_blocking(move || {
            let bundle = make().map(Arc::new);
            if let Ok(bundle) = &bundle {
                lock(&kept).put(digest, Arc::clone(bundle));
            }
            drop((turn, slot));
            bundle
        });
        match done.await {
            Ok(Ok(bundle)) => Ok(bundle),
            // An outline is made from a bundle, so this is a fault of the operator's.
            Ok(Err(error)) => {
                tracing::error!(%digest, %error, "a bundle that was compiled before cannot be compiled");
                Err(Refusal::NotCompiled)
            }
            Err(error) => {
                tracing::error!(%digest, %error, "a bundle was not compiled to the end");
                Err(Refusal::NotCompiled)
            }
        }
    }
}

fn lock(kept: &Mutex<Recent<Bundle>>) -> MutexGuard<'_, Recent<Bundle>> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A few values by digest, those that were asked for last.
#[derive(Debug)]
struct Recent<T>(VecDeque<(Digest, Arc<T>)>);

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Recent<T> {
    fn get(&mut self, digest: Digest) -> Option<Arc<T>> {
        let place = self.0.iter().position(|(known, _)| *known == digest)?;
        let found = self.0.remove(place)?;
        let value = Arc::clone(&found.1);
        self.0.push_back(found);
        Some(value)
    }

    /// Keeps a value that is not there. The one that was not asked for the longest leaves.
    fn put(&mut self, digest: Digest, value: Arc<T>) {
        self.0.push_back((digest, value));
        if self.0.len() > KEPT {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use aegis_decision::bundle::BundleSource;
    use aegis_decision::outline::Outline;
    use futures::FutureExt as _;
    use futures::future::join_all;
    use serde_json::json;

    use super::*;

    fn published(version: usize) -> Arc<Published> {
        let source: BundleSource = serde_json::from_value(json!({
            "agent": {"namespace": "shop", "name": "buyer", "uid": "a", "tenant": "acme", "businessUnit": "office",
                      "owner": "Purchasing", "version": version.to_string(), "ceiling": "Commit",
                      "serviceAccount": "buyer-sa", "maxStalenessSeconds": 60, "tokenTtlSeconds": 300},
            "tools": [], "policies": [], "registries": [], "tiers": [],
        }))
        .unwrap();
        Arc::new(Published { version: 1, bundle: Outline::from(Bundle::assemble(source).unwrap()) })
    }

    #[test]
    fn the_one_that_was_not_asked_for_the_longest_leaves() {
        let mut recent = Recent::default();
        let digest = |number: usize| Digest::of(&number);
        for number in 0..KEPT {
            recent.put(digest(number), Arc::new(number));
        }
        assert_eq!(recent.get(digest(0)).as_deref(), Some(&0));
        recent.put(digest(KEPT), Arc::new(KEPT));
        assert_eq!(recent.get(digest(1)), None);
        for kept in [2, 3, 0, KEPT] {
            assert_eq!(recent.get(digest(kept)).as_deref(), Some(&kept));
        }
    }

    #[tokio::test]
    async fn who_asks_for_the_same_bundle_gets_one_that_is_compiled_once() {
        let (compiled, made, published) = (Compiled::default(), Arc::new(AtomicUsize::new(0)), published(1));
        let digest = published.bundle.digest();
        let ask = |_| {
            let (made, published) = (Arc::clone(&made), Arc::clone(&published));
            compiled.made(digest, move || {
                made.fetch_add(1, Ordering::SeqCst);
                published.bundle.compile()
            })
        };
        let all = join_all((0..8).map(ask)).await;
        let bundles: Vec<_> = all.into_iter().map(Result::unwrap).collect();
        assert!(bundles.iter().all(|bundle| Arc::ptr_eq(bundle, &bundles[0])));
        let later = compiled.of(&published).await.unwrap();
        assert!(Arc::ptr_eq(&later, &bundles[0]) && later.digest() == digest);
        assert_eq!(made.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn few_are_compiled_at_once() {
        let compiled = Compiled::default();
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let ask = |number| {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            let published = published(number);
            compiled.made(published.bundle.digest(), move || {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(5));
                running.fetch_sub(1, Ordering::SeqCst);
                published.bundle.compile()
            })
        };
        let all = join_all((0..6).map(ask)).await;
        assert!(all.iter().all(Result::is_ok));
        assert!((1..=COMPILED_AT_ONCE).contains(&most.load(Ordering::SeqCst)));
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_compiled_to_the_end_and_kept() {
        let (compiled, published) = (Compiled::default(), published(1));
        let digest = published.bundle.digest();
        let (go, wait) = mpsc::channel();
        let first = compiled.made(digest, move || {
            wait.recv().unwrap();
            published.bundle.compile()
        });
        assert!(first.now_or_never().is_none());
        go.send(()).unwrap();
        let bundle = compiled.made(digest, || panic!("compiled again")).await.unwrap();
        assert_eq!(bundle.digest(), digest);
    }

    #[tokio::test]
    async fn what_cannot_be_compiled_is_refused_and_not_kept() {
        let (compiled, published) = (Compiled::default(), published(1));
        let digest = published.bundle.digest();
        let faults: [fn() -> Result<Bundle, AssembleError>; 2] =
            [|| Err(AssembleError::TooManyPlaces), || panic!("a fault")];
        for fail in faults {
            let refused = compiled.made(digest, fail).await;
            assert!(matches!(refused, Err(Refusal::NotCompiled)));
        }
        assert!(compiled.of(&published).await.is_ok());
    }
}
