//! What really holds for every pod of every agent.

use aegis_crds::api::Agent;
use aegis_crds::api::agent::Level;
use aegis_crds::mesh;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use kube::ResourceExt as _;
use serde::Serialize;

use super::Finding;
use super::gather::Mesh;
use crate::output;

/// One pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Namespace.
    pub namespace: String,
    /// Agent.
    pub agent: String,
    /// Pod.
    pub pod: String,
    /// Level that the agent asks for.
    pub asked: String,
    /// Level that was proven by a probe; `Mediated` where nothing has to be proven; none otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proven: Option<String>,
    /// Why not, or when it was proven.
    pub proof: String,
    /// Whether the pod carries the sidecar that is expected of it.
    pub governed: bool,
    /// Version of the sidecar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sidecar: Option<String>,
    /// Seconds since its token was issued; none: the caller may not ask the sidecar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_age_seconds: Option<u64>,
    /// Digest of the bundle that it judges with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
}

/// The rows of an agent.
pub fn rows(mesh: &Mesh, now: Timestamp) -> Vec<Row> {
    mesh.pods.iter().map(|pod| row(mesh, pod, now)).collect()
}

fn row(mesh: &Mesh, pod: &Pod, now: Timestamp) -> Row {
    let agent = &mesh.agent;
    let asked = agent.spec.enforcement.level;
    let governed = governed(agent, pod);
    let condition = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.iter().flatten().find(|condition| condition.type_ == mesh::POD_VERIFIED));
    let (proven, proof) = proof(asked, governed, condition, now);
    let report = mesh.reports.get(&pod.name_any());
    Row {
        namespace: pod.namespace().unwrap_or_default(),
        agent: agent.name_any(),
        pod: pod.name_any(),
        asked: name(asked).to_owned(),
        proven: proven.map(|level| name(level).to_owned()),
        proof,
        governed,
        sidecar: report
            .map(|report| report.version.clone())
            .filter(|version| !version.is_empty())
            .or_else(|| pod.annotations().get(mesh::SIDECAR_VERSION).cloned()),
        token_age_seconds: report.and_then(|report| report.token_age_seconds),
        bundle: report.and_then(|report| report.bundle.as_ref()).map(|bundle| bundle.digest.clone()),
    }
}

/// The cheap part of what the operator judges: label, sidecar and image. `Agent.status.pods.ungoverned` has its verdict.
fn governed(agent: &Agent, pod: &Pod) -> bool {
    let status = agent.status.as_ref();
    let named = status.and_then(|status| status.pods.as_ref()).map(|pods| pods.ungoverned.contains(&pod.name_any()));
    let images = status.and_then(|status| status.mesh.as_ref()).map(|mesh| mesh.proxy_images.as_slice());
    let spec = pod.spec.as_ref();
    let containers = spec.into_iter().flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
    let ours = |name: &str| name == mesh::SIDECAR_CONTAINER || name == mesh::GATEWAY_CONTAINER;
    let expected = |image: &Option<String>| match (images, image) {
        (Some(images), Some(image)) => images.contains(image),
        _ => false,
    };
    let mut containers = containers;
    pod.labels().get(mesh::AGENT_LABEL) == Some(&agent.name_any())
        && containers.any(|container| ours(&container.name) && expected(&container.image))
        && !named.unwrap_or(false)
}

fn proof(asked: Level, governed: bool, condition: Option<&PodCondition>, now: Timestamp) -> (Option<Level>, String) {
    if !governed {
        return (None, "not governed".to_owned());
    }
    match (asked, condition) {
        (Level::Mediated, _) => (Some(Level::Mediated), "nothing to prove".to_owned()),
        (_, None) => (None, "no probe yet".to_owned()),
        (_, Some(condition)) => {
            let at = condition.last_probe_time.as_ref().or(condition.last_transition_time.as_ref());
            let age = at.map_or(0, |at| now.duration_since(at.0).as_secs().max(0));
            if condition.status == "True" {
                (Some(asked), format!("probed {age} s ago"))
            } else {
                (None, condition.message.clone().or_else(|| condition.reason.clone()).unwrap_or_default())
            }
        }
    }
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Mediated => "Mediated",
        Level::Captured => "Captured",
        Level::Sealed => "Sealed",
    }
}

/// What the rows say as checks.
pub fn findings(rows: &[Row]) -> Vec<Finding> {
    let names = |rows: Vec<&Row>| {
        let names: Vec<String> = rows.iter().map(|row| format!("{}/{}", row.namespace, row.pod)).collect();
        names.join(", ")
    };
    let ungoverned: Vec<&Row> = rows.iter().filter(|row| !row.governed).collect();
    let unproven: Vec<&Row> = rows.iter().filter(|row| row.governed && row.proven.is_none()).collect();
    let governed = if ungoverned.is_empty() {
        Finding::ok("governed-pods", format!("all {} pods of agents are governed", rows.len()))
    } else {
        Finding::failed(
            "governed-pods",
            format!("not governed: {}", names(ungoverned)),
            "they run under an agent's service account without its sidecar: delete them, the webhook injects new ones",
        )
    };
    let proven = if unproven.is_empty() {
        Finding::ok("enforcement", "every governed pod has the level that its agent asks for")
    } else {
        Finding::failed(
            "enforcement",
            format!("level not proven: {}", names(unproven)),
            "see the column PROOF; aegis check --probe asks for a probe now",
        )
    };
    vec![governed, proven]
}

/// The table. Ends with a line break.
pub fn table(rows: &[Row], with_namespace: bool) -> String {
    let dash = || "-".to_owned();
    let cells = |row: &Row| {
        let pod = if with_namespace { format!("{}/{}", row.namespace, row.pod) } else { row.pod.clone() };
        let bundle = row.bundle.as_deref().map(|digest| digest.chars().take(19).collect());
        [
            pod,
            row.agent.clone(),
            row.asked.clone(),
            row.proven.clone().unwrap_or_else(|| "NO".to_owned()),
            row.sidecar.clone().unwrap_or_else(dash),
            row.token_age_seconds.map_or_else(dash, |age| format!("{age}s")),
            bundle.unwrap_or_else(dash),
            row.proof.clone(),
        ]
    };
    output::table(
        ["POD", "AGENT", "ASKED", "PROVEN", "SIDECAR", "TOKEN AGE", "BUNDLE", "PROOF"],
        rows.iter().map(cells),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::Verdict;
    use super::super::gather::{BundleReport, SidecarReport};
    use super::*;
    use serde_json::json;

    fn mesh(level: &str, pod: serde_json::Value) -> Mesh {
        let agent = serde_json::from_value(json!({
            "apiVersion": "aegis.dev/v1alpha1", "kind": "Agent", "metadata": {"name": "buyer", "namespace": "shop"},
            "spec": {"tenant": "t", "businessUnit": "b", "owner": {"name": "o"}, "version": "1",
                "workload": {"serviceAccountName": "buyer"}, "enforcement": {"level": level}},
            "status": {"mesh": {"level": level, "control": "https://c", "proxyImages": ["p:1"], "captureImages": ["c:1"],
                "probeImages": ["b:1"]}},
        }))
        .unwrap();
        let report = SidecarReport {
            version: "0.1.0".to_owned(),
            bundle: Some(BundleReport { digest: "sha256:00".to_owned() }),
            token_age_seconds: Some(7),
        };
        Mesh {
            agent,
            pods: vec![serde_json::from_value(pod).unwrap()],
            reports: BTreeMap::from([("a".to_owned(), report)]),
        }
    }

    fn pod(image: &str, condition: Option<&str>) -> serde_json::Value {
        let conditions: Vec<_> = condition
            .map(|status| {
                json!({"type": mesh::POD_VERIFIED, "status": status, "message": "BYP-3 udp", "lastProbeTime": "2026-01-01T00:00:00Z"})
            })
            .into_iter()
            .collect();
        json!({"metadata": {"name": "a", "namespace": "shop", "labels": {"aegis.dev/agent": "buyer"}},
            "spec": {"containers": [{"name": "agent"}], "initContainers": [{"name": "aegis-sidecar", "image": image}]},
            "status": {"conditions": conditions}})
    }

    fn one(mesh: &Mesh) -> Row {
        rows(mesh, "2026-01-01T00:00:30Z".parse().unwrap()).remove(0)
    }

    #[test]
    fn a_level_counts_when_a_probe_proved_it() {
        let proven = one(&mesh("Captured", pod("p:1", Some("True"))));
        assert_eq!((proven.proven.as_deref(), proven.proof.as_str()), (Some("Captured"), "probed 30 s ago"));
        assert_eq!(proven.token_age_seconds, Some(7));
        let got_out = one(&mesh("Captured", pod("p:1", Some("False"))));
        assert_eq!((got_out.proven, got_out.proof.as_str()), (None, "BYP-3 udp"));
        assert_eq!(one(&mesh("Captured", pod("p:1", None))).proven, None);
        assert_eq!(one(&mesh("Mediated", pod("p:1", None))).proven.as_deref(), Some("Mediated"));
    }

    #[test]
    fn a_pod_with_another_image_or_named_by_the_operator_is_not_governed() {
        assert!(!one(&mesh("Mediated", pod("evil:1", None))).governed);
        let mut named = mesh("Mediated", pod("p:1", None));
        let status = named.agent.status.as_mut().unwrap();
        status.pods =
            Some(aegis_crds::api::agent::PodCounts { ungoverned: vec!["a".to_owned()], ..Default::default() });
        let row = one(&named);
        assert!(!row.governed && row.proven.is_none());
        assert_eq!(findings(&[row]).iter().map(|finding| finding.result).max(), Some(Verdict::Failed));
    }
}
