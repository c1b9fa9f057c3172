//! Applying YAML to the server as a user would, with server-side apply: any kind, custom ones included, several documents in a file, several files in a folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::{DynamicObject, GroupVersionKind};
use kube::discovery::{ApiCapabilities, ApiResource, Scope, pinned_kind};
use kube::{Api, Client, ResourceExt as _};
use serde_json::Value;

use super::eventually::eventually;
use super::server::Cluster;

/// How long a kind that was just defined may take until the server serves it.
const SERVED_WITHIN: Duration = Duration::from_secs(30);

/// Where the YAML comes from.
#[derive(Clone, Copy, Debug)]
pub enum Manifests<'a> {
    /// The documents themselves.
    Text(&'a str),
    /// A file, or a folder of which every `*.yaml` file is taken in the order of their names.
    Path(&'a Path),
}

impl<'a> From<&'a str> for Manifests<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a Path> for Manifests<'a> {
    fn from(path: &'a Path) -> Self {
        Self::Path(path)
    }
}

impl<'a> From<&'a PathBuf> for Manifests<'a> {
    fn from(path: &'a PathBuf) -> Self {
        Self::Path(path)
    }
}

impl Manifests<'_> {
    fn documents(self) -> Result<Vec<Value>> {
        match self {
            Self::Text(text) => parse(text),
            Self::Path(path) => {
                let mut documents = Vec::new();
                for file in files(path)? {
                    let text =
                        std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
                    documents.extend(parse(&text).with_context(|| format!("in {}", file.display()))?);
                }
                Ok(documents)
            }
        }
    }
}

/// Applies manifests as the client's user, fields owned by `manager` (by force: a scene is set as written). A definition of a custom resource is waited for, so
/// that objects of its kind may follow at once. Namespaced objects that name no namespace go to `default`.
///
/// # Errors
/// With the server's refusal and the object it was about; what stood before it has been applied.
pub async fn apply<'a>(
    client: &Client,
    manifests: impl Into<Manifests<'a>>,
    manager: &str,
) -> Result<Vec<DynamicObject>> {
    apply_in(client, "default", manifests, manager).await
}

/// As [`apply`], with the namespace for objects that name none.
pub async fn apply_in<'a>(
    client: &Client,
    namespace: &str,
    manifests: impl Into<Manifests<'a>>,
    manager: &str,
) -> Result<Vec<DynamicObject>> {
    let mut applied = Vec::new();
    for document in manifests.into().documents()? {
        applied.push(apply_one(client, namespace, document, manager).await?);
    }
    Ok(applied)
}

impl Cluster {
    /// Applies manifests as a user; see [`apply`].
    pub async fn apply<'a>(
        &self,
        user: &str,
        manifests: impl Into<Manifests<'a>>,
        manager: &str,
    ) -> Result<Vec<DynamicObject>> {
        apply(&self.client(user).await?, manifests, manager).await
    }
}

async fn apply_one(client: &Client, namespace: &str, document: Value, manager: &str) -> Result<DynamicObject> {
    let object: DynamicObject = serde_json::from_value(document).context("a document is no Kubernetes object")?;
    let types = object.types.clone().context("a document names no kind")?;
    let name = object.metadata.name.clone().with_context(|| format!("an object of kind {} has no name", types.kind))?;
    let described = format!("{} {name}", types.kind);
    let kind = GroupVersionKind::try_from(&types)?;
    let (resource, capabilities) = served(client, &kind).await?;
    let home = object.metadata.namespace.as_deref().unwrap_or(namespace);
    let api = api_of(client, &resource, &capabilities, home);
    let parameters = PatchParams::apply(manager).force();
    let applied = api
        .patch(&name, &parameters, &Patch::Apply(&object))
        .await
        .with_context(|| format!("cannot apply {described}"))?;
    if kind.kind == "CustomResourceDefinition" {
        until_served(client, &applied).await?;
    }
    Ok(applied)
}

fn api_of(
    client: &Client,
    resource: &ApiResource,
    capabilities: &ApiCapabilities,
    namespace: &str,
) -> Api<DynamicObject> {
    match capabilities.scope {
        Scope::Cluster => Api::all_with(client.clone(), resource),
        Scope::Namespaced => Api::namespaced_with(client.clone(), namespace, resource),
    }
}

async fn served(client: &Client, kind: &GroupVersionKind) -> Result<(ApiResource, ApiCapabilities)> {
    eventually(&format!("the server to serve {} {}", kind.api_version(), kind.kind), SERVED_WITHIN, async || {
        Ok(pinned_kind(client, kind).await?)
    })
    .await
}

/// Waits until objects of a defined kind can be listed in every version that the definition serves.
async fn until_served(client: &Client, definition: &DynamicObject) -> Result<()> {
    let spec = definition.data.get("spec").context("a definition without spec")?;
    let text = |pointer: &str| spec.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let versions = spec.get("versions").and_then(Value::as_array).cloned().unwrap_or_default();
    for version in versions.iter().filter(|version| version.get("served").and_then(Value::as_bool).unwrap_or_default())
    {
        let version = version.get("name").and_then(Value::as_str).unwrap_or_default();
        let kind = GroupVersionKind::gvk(&text("/group"), version, &text("/names/kind"));
        let (resource, _) = served(client, &kind).await?;
        let objects: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        eventually(&format!("{} to be listed", definition.name_any()), SERVED_WITHIN, async || {
            Ok(objects.list(&ListParams::default().limit(1)).await.map(drop)?)
        })
        .await?;
    }
    Ok(())
}

fn parse(text: &str) -> Result<Vec<Value>> {
    Ok(serde_saphyr::from_multiple(text)?)
}

fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "yaml") {
            found.push(file);
        }
    }
    ensure!(!found.is_empty(), "no *.yaml file in {}", path.display());
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_taken_in_the_order_of_names_and_only_its_yaml() {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in
            [("b.yaml", "kind: B"), ("a.yaml", "kind: A\n---\n---\nkind: A2\n"), ("c.txt", "kind: C")]
        {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let kinds: Vec<_> = Manifests::from(folder.path())
            .documents()
            .unwrap()
            .iter()
            .map(|document| document["kind"].clone())
            .collect();
        assert_eq!(kinds, ["A", "A2", "B"]);
    }
}
