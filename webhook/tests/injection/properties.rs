//! What holds for every pod: injected twice is injected once, and what was injected is governed.

use std::collections::BTreeMap;

use aegis_crds::mesh::{self, SIDECAR_UIDS};
use aegis_decision::egress::Level;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{buyer, injected, settings};

fn level() -> impl Strategy<Value = Level> {
    prop_oneof![Just(Level::Mediated), Just(Level::Captured), Just(Level::Sealed)]
}

/// A value, or the member left out, or null.
fn maybe(values: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Option<Value>> {
    prop_oneof![3 => Just(None), 1 => Just(Some(Value::Null)), 4 => values.prop_map(Some)].boxed()
}

fn object(members: Vec<(&'static str, BoxedStrategy<Option<Value>>)>) -> BoxedStrategy<Value> {
    let (names, values): (Vec<_>, Vec<_>) = members.into_iter().unzip();
    let assemble = move |values: Vec<Option<Value>>| {
        Value::Object(names.iter().zip(values).filter_map(|(&name, value)| Some((name.to_owned(), value?))).collect())
    };
    values.prop_map(assemble).boxed()
}

fn of(values: &[Value]) -> BoxedStrategy<Value> {
    prop::sample::select(values.to_vec()).boxed()
}

fn list(items: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    prop::collection::vec(items, 0..3).prop_map(Value::Array).boxed()
}

fn security() -> BoxedStrategy<Value> {
    object(vec![
        ("runAsUser", maybe(of(&[json!(0), json!(1000), json!(1001), json!(29_999), json!(30_000), json!(60_000)]))),
        ("runAsNonRoot", maybe(of(&[json!(true), json!(true), json!(false)]))),
        ("allowPrivilegeEscalation", maybe(of(&[json!(false), json!(false), json!(true)]))),
        ("privileged", maybe(of(&[json!(false), json!(false), json!(true)]))),
        (
            "capabilities",
            maybe(object(vec![
                ("add", maybe(list(of(&[json!("CHOWN"), json!("NET_BIND_SERVICE"), json!("NET_RAW")])))),
                ("drop", maybe(list(of(&[json!("ALL"), json!("NET_RAW")])))),
            ])),
        ),
    ])
}

fn container(names: &'static [&'static str]) -> BoxedStrategy<Value> {
    let names: Vec<Value> = names.iter().map(|&name| json!(name)).collect();
    let port = (1_i32..=16_000, of(&[json!("TCP"), json!("UDP")]))
        .prop_map(|(port, protocol)| json!({"containerPort": port, "protocol": protocol}));
    let variable = of(&[json!("HTTP_PROXY"), json!("all_proxy"), json!("AEGIS_TOOL_ERP_URL"), json!("MODE")])
        .prop_map(|name| json!({"name": name, "value": "own"}));
    object(vec![
        ("name", of(&names).prop_map(Some).boxed()),
        ("image", Just(Some(json!("example.test/agent:1"))).boxed()),
        ("env", maybe(list(variable.boxed()))),
        ("ports", maybe(list(port.boxed()))),
        ("securityContext", maybe(security())),
        ("volumeMounts", maybe(list(of(&[json!({"name": "work", "mountPath": "/work"})])))),
    ])
}

fn pod() -> BoxedStrategy<Value> {
    let spec = object(vec![
        ("serviceAccountName", Just(Some(json!("buyer"))).boxed()),
        ("securityContext", maybe(security_of_pod())),
        ("initContainers", maybe(list(container(&["fetch", "migrate"])))),
        (
            "containers",
            prop::collection::vec(container(&["agent", "worker"]), 1..3).prop_map(|all| Some(json!(all))).boxed(),
        ),
        ("volumes", maybe(list(of(&[json!({"name": "work", "emptyDir": {}})])))),
        ("hostUsers", maybe(of(&[json!(false)]))),
    ]);
    let annotations = maybe(of(&[json!({}), json!({"note": "kept"})]));
    (spec, annotations)
        .prop_map(|(spec, annotations)| {
            let mut metadata = json!({"name": "buyer-0", "labels": {"aegis.dev/agent": "buyer"}});
            if let Some(annotations) = annotations {
                metadata["annotations"] = annotations;
            }
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        })
        .boxed()
}

fn security_of_pod() -> BoxedStrategy<Value> {
    object(vec![
        ("runAsUser", maybe(of(&[json!(1000), json!(1000), json!(0), json!(59_999)]))),
        ("runAsNonRoot", maybe(of(&[json!(true), json!(true), json!(false)]))),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn injected_twice_is_injected_once_and_governed(
        pod in pod(),
        level in level(),
        credential in any::<bool>(),
        first in SIDECAR_UIDS,
        second in SIDECAR_UIDS,
    ) {
        let tools = ["erp".to_owned(), "payments".to_owned()];
        let credentials = BTreeMap::from([("erp".to_owned(), ("erp-key".to_owned(), "token".to_owned()))]);
        let agent = buyer(level, &tools, if credential { &credentials } else { const { &BTreeMap::new() } });
        let settings = settings();
        if let Ok(once) = injected(&pod, &agent, &settings, first) {
            let once = once.expect("a bare pod is injected or refused");
            let typed = serde_json::from_value(once.clone()).expect("still a pod");
            prop_assert!(mesh::inspect(&typed, "shop", "buyer", level, &settings).is_ok());
            prop_assert_eq!(injected(&once, &agent, &settings, second), Ok(None));
        }
    }
}

#[test]
fn the_property_is_not_empty() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut count = |wanted: Level| {
        let agent = buyer(wanted, &[], &BTreeMap::new());
        let taken = (0..150).filter(|_| {
            let pod = pod().new_tree(&mut runner).expect("a pod is made").current();
            injected(&pod, &agent, &settings(), 30_000).is_ok()
        });
        taken.count()
    };
    let (mediated, captured) = (count(Level::Mediated), count(Level::Captured));
    assert!(mediated > 60 && captured > 6, "injected of 150: {mediated} Mediated, {captured} Captured");
}
