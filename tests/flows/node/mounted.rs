//! What the kubelet has mounted into a pod, as it is on the node now.

use std::path::PathBuf;

use aegis_tests::node::Node;
use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

/// Folder of a pod's volume, such as `kubernetes.io~configmap/aegis-trust`. Some are file systems of their own, which
/// only the node sees.
pub fn volume(node: &Node, pod: &Pod, volume: &str) -> Result<PathBuf> {
    let ready = node.cluster.ready();
    let first = ready.node.as_ref().context("this cluster has no node of its own")?.pid;
    let uid = pod.uid().context("the pod has no uid")?;
    let pods = ready.dir.join("kubelet/pods");
    let pods = pods.strip_prefix("/").context("the bed's folder is no absolute path")?;
    Ok(PathBuf::from(format!("/proc/{first}/root")).join(pods).join(uid).join("volumes").join(volume))
}
