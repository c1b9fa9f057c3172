//! One watch that fills one store.

use std::fmt::Debug;

use aegis_runtime::shutdown::Drain;
use aegis_runtime::tasks::Tasks;
use futures::StreamExt as _;
use kube::core::NamespaceResourceScope;
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

/// What can be watched: objects of any kind that live in a namespace.
pub trait Watched:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug + Send + Sync + 'static
{
}
impl<K> Watched for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + Sync
        + 'static
{
}

/// Watches all that `api` covers until the drain begins, keeps what `slim` leaves of each object, and hands every event
/// to `note` once the store shows it. A watch that fails is logged as `name` and tried again.
pub fn watch<K: Watched>(
    name: &'static str,
    api: Api<K>,
    slim: impl FnMut(&mut K) + Send + 'static,
    note: impl Fn(watcher::Event<K>) + Send + 'static,
    tasks: &mut Tasks,
    drain: &Drain,
) -> Store<K> {
    let (store, writer) = reflector::store();
    let stream = watcher(api, watcher::Config::default()).default_backoff().modify(slim).reflect(writer);
    let drain = drain.clone();
    tasks.spawn(name, async move {
        let mut stream = std::pin::pin!(stream);
        loop {
            tokio::select! {
                () = drain.begun() => return Ok(()),
                event = stream.next() => match event {
                    Some(Ok(event)) => note(event),
                    Some(Err(error)) => tracing::warn!(name, %error, "watch failed, trying again"),
                    None => return Ok(()),
                }
            }
        }
    });
    store
}
