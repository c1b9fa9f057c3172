//! A namespace of its own for each test, so that many tests share one server without meeting.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::core::DynamicObject;
use kube::{Api, Resource};

use super::eventually::eventually;
use super::manifests::{Manifests, apply_in};
use super::server::Cluster;

/// A namespace that belongs to one test. It is not deleted, which would take the server five seconds and more: the server is thrown away.
///
/// When its test fails, all that the cluster knows about it is printed: by [`Cluster::in_namespace`] when the test answers an error, by drop when it panics.
#[derive(Debug)]
pub struct TestNamespace<'a> {
    cluster: &'a Cluster,
    name: String,
    logs: Mutex<Vec<PathBuf>>,
}

impl Cluster {
    /// Makes a namespace whose name begins with `prefix` and is unique in this server, ready for Pods.
    pub async fn namespace(&self, prefix: &str) -> Result<TestNamespace<'_>> {
        let name = format!("{prefix}-{:08x}", rand::random::<u32>());
        let admin = self.admin().await?;
        let wanted = Namespace {
            metadata: ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() },
            ..Namespace::default()
        };
        Api::all(admin.clone())
            .create(&PostParams::default(), &wanted)
            .await
            .with_context(|| format!("cannot make namespace {name}"))?;
        let accounts: Api<ServiceAccount> = Api::namespaced(admin, &name);
        eventually(&format!("the default service account of {name}"), Duration::from_secs(30), async || {
            Ok(accounts.get("default").await.map(drop)?)
        })
        .await?;
        Ok(TestNamespace { cluster: self, name, logs: Mutex::default() })
    }

    /// Runs a test in a namespace of its own and prints what the cluster knows about it when the test fails.
    pub async fn in_namespace<T>(
        &self,
        prefix: &str,
        test: impl AsyncFnOnce(&TestNamespace<'_>) -> Result<T>,
    ) -> Result<T> {
        let namespace = self.namespace(prefix).await?;
        let result = test(&namespace).await;
        if result.is_err() {
            namespace.print();
        }
        result
    }
}

impl TestNamespace<'_> {
    /// The namespace's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The server that it is on.
    pub fn cluster(&self) -> &Cluster {
        self.cluster
    }

    /// The objects of one kind in this namespace, reached as a user.
    pub async fn api<K>(&self, user: &str) -> Result<Api<K>>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Ok(Api::namespaced(self.cluster.client(user).await?, &self.name))
    }

    /// Applies manifests as a user; objects that name no namespace go to this one. See [`apply`](super::apply).
    pub async fn apply<'a>(
        &self,
        user: &str,
        manifests: impl Into<Manifests<'a>>,
        manager: &str,
    ) -> Result<Vec<DynamicObject>> {
        apply_in(&self.cluster.client(user).await?, &self.name, manifests, manager).await
    }

    /// Adds the log of a process that belongs to this test to what is printed when it fails.
    pub fn watch_log(&self, log: &Path) {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner).push(log.to_owned());
    }

    fn print(&self) {
        let logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        eprintln!("{}", self.cluster.dump(&self.name, &logs));
    }
}

impl Drop for TestNamespace<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.print();
        }
    }
}
