//! Pods that come again: as they were, changed around our parts, changed in our parts, or from an older version.

use std::collections::BTreeMap;

use aegis_crds::mesh;
use aegis_decision::egress::Level;
use aegis_webhook::Refusal;
use serde_json::{Value, json};

use super::{UID, buyer, injected, settings};

fn bare() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "buyer-0", "namespace": "shop", "labels": {"aegis.dev/agent": "buyer"}},
        "spec": {"serviceAccountName": "buyer", "securityContext": {"runAsUser": 1000},
            "containers": [{"name": "agent", "image": "example.test/agent:1", "ports": [{"containerPort": 8080}]}]},
    })
}

fn captured() -> aegis_webhook::AgentFacts {
    buyer(Level::Captured, &["erp".to_owned()], &BTreeMap::new())
}

fn once() -> Value {
    injected(&bare(), &captured(), &settings(), UID).unwrap().expect("a bare pod is injected")
}

#[test]
fn a_container_that_another_webhook_added_is_governed_too() {
    let mut pod = once();
    let added = json!({"name": "mesh", "image": "example.test/mesh:1", "ports": [{"containerPort": 15090}]});
    pod["spec"]["containers"].as_array_mut().unwrap().push(added);
    let again = injected(&pod, &captured(), &settings(), UID + 1).unwrap().expect("something is to be done");
    let typed = serde_json::from_value(again.clone()).unwrap();
    mesh::inspect(&typed, "shop", "buyer", Level::Captured, &settings()).unwrap();
    assert_eq!(again["spec"]["initContainers"][0]["args"][3], "8080,15090", "the new port is let in");
    assert_eq!(again["spec"]["initContainers"][1]["securityContext"]["runAsUser"], UID, "the user stays");
    assert_eq!(again["spec"]["containers"][1]["env"][0]["name"], "AEGIS_TOOL_ERP_URL");
    assert_eq!(again["spec"]["initContainers"].as_array().unwrap().len(), 3);
    assert_eq!(injected(&again, &captured(), &settings(), UID + 2), Ok(None));
}

#[test]
fn a_container_that_came_before_ours_is_put_behind_them() {
    let mut pod = once();
    let early = json!({"name": "early", "image": "example.test/early:1"});
    pod["spec"]["initContainers"].as_array_mut().unwrap().insert(0, early);
    let again = injected(&pod, &captured(), &settings(), UID + 1).unwrap().expect("something is to be done");
    let names: Vec<_> = again["spec"]["initContainers"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["aegis-capture", "aegis-sidecar", "aegis-probe", "early"]);
}

#[test]
fn the_mount_that_the_api_server_adds_to_every_container_changes_nothing() {
    let mut pod = once();
    let token = json!({"name": "kube-api-access-x1", "mountPath": mesh::inspect::API_TOKEN, "readOnly": true});
    for container in pod["spec"]["initContainers"].as_array_mut().unwrap() {
        let mounts = container.as_object_mut().unwrap().entry("volumeMounts").or_insert(json!([]));
        mounts.as_array_mut().unwrap().push(token.clone());
    }
    assert_eq!(injected(&pod, &captured(), &settings(), UID + 1), Ok(None));
    // Nor where something else has to be done.
    pod["spec"]["containers"][0]["ports"][0]["containerPort"] = json!(8081);
    let again = injected(&pod, &captured(), &settings(), UID + 1).unwrap().expect("something is to be done");
    assert_eq!(again["spec"]["initContainers"][0]["args"][3], "8081");
}

#[test]
fn who_changed_our_parts_is_refused_and_told_which() {
    let mut pod = once();
    pod["spec"]["initContainers"][1]["image"] = json!("example.test/fake:1");
    let refusal = injected(&pod, &captured(), &settings(), UID).unwrap_err();
    assert!(matches!(refusal, Refusal::Altered(_)));
    assert!(refusal.to_string().contains("container aegis-sidecar: image is not as injected"), "{refusal}");
}

#[test]
fn a_pod_of_an_older_version_is_left_while_its_images_are_accepted() {
    let pod = once();
    let mut newer = settings();
    newer.images.previous = [&newer.images.proxy, &newer.images.capture, &newer.images.probe].map(Clone::clone).into();
    newer.images.proxy = "aegis.test/aegis-proxy:0.2.0".to_owned();
    newer.images.capture = "aegis.test/aegis-capture:0.2.0".to_owned();
    newer.images.probe = "aegis.test/aegis-probe:0.2.0".to_owned();
    assert_eq!(injected(&pod, &captured(), &newer, UID), Ok(None));
    // Later it is made anew, since nobody touched it.
    newer.images.previous.clear();
    let again = injected(&pod, &captured(), &newer, UID).unwrap().expect("something is to be done");
    assert_eq!(again["spec"]["initContainers"][1]["image"], "aegis.test/aegis-proxy:0.2.0");
}

#[test]
fn an_agent_that_was_given_another_level_gets_it() {
    let pod = injected(&bare(), &buyer(Level::Mediated, &[], &BTreeMap::new()), &settings(), UID).unwrap().unwrap();
    let again = injected(&pod, &captured(), &settings(), UID).unwrap().expect("something is to be done");
    let typed = serde_json::from_value(again).unwrap();
    mesh::inspect(&typed, "shop", "buyer", Level::Captured, &settings()).unwrap();
}
