//! What the documentation says about the operator's rights, against the roles that are shipped.

use serde_json::Value;

fn roles(file: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(&super::read(file)).expect("the guards are YAML");
    documents.into_iter().filter(|document| document["metadata"]["name"] == "aegis-operator").collect()
}

fn holds(rule: &Value, list: &str, wanted: &str) -> bool {
    rule[list].as_array().into_iter().flatten().any(|item| item == wanted)
}

#[test]
fn the_operator_has_no_wildcard_and_reads_only_its_own_secrets() {
    let all: Vec<Value> = [roles("guards/roles.yaml"), roles("guards/operator.yaml")].concat();
    let mut rules = 0;
    for role in all.iter().filter(|role| role["rules"].is_array()) {
        for rule in role["rules"].as_array().into_iter().flatten() {
            rules += 1;
            for list in ["apiGroups", "resources", "verbs"] {
                assert!(!holds(rule, list, "*"), "a wildcard in {rule}");
            }
            if holds(rule, "resources", "secrets") {
                assert_eq!(role["kind"], "Role", "Secrets of the whole cluster: {rule}");
                let reads = ["get", "list", "watch"].iter().any(|verb| holds(rule, "verbs", verb));
                let own = ["aegis-keys", "aegis-control-ca"].map(|name| serde_json::json!([name]));
                assert!(!reads || own.contains(&rule["resourceNames"]), "{rule}");
            }
        }
    }
    assert!(rules >= 8, "the operator's roles were not found");
}
