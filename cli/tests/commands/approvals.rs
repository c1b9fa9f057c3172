//! How requests are listed and shown. Reaching a server is a flow of its own (`tests/flows/cli.rs`).

use aegis_cli::Exit;
use aegis_cli::approvals::{list, show};
use aegis_crds::api::ApprovalRequest;
use serde_json::{Value, json};

use crate::aegis;

fn request(name: &str, minute: u8, change: impl Fn(&mut Value)) -> ApprovalRequest {
    let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
    let mut value = json!({
        "apiVersion": "aegis.dev/v1alpha1",
        "kind": "ApprovalRequest",
        "metadata": {"name": name, "namespace": "shop", "uid": "request-1"},
        "spec": {
            "agent": {"name": "buyer", "uid": "agent-1", "version": "1.0"},
            "delegation": {"name": "office-supplies", "uid": "delegation-1", "generation": 2, "delegator": "purchasing-lead"},
            "requester": "office-manager",
            "action": {
                "tool": "erp", "operation": "purchases.confirm", "class": "Commit",
                "target": {"method": "POST", "url": "https://erp.example/rest/model/purchase.purchase/7/confirm"},
                "effectDigest": digest("1"), "contextDigest": digest("2"),
                "contextParts": {"rules": digest("3"), "registries": digest("4"), "facts": digest("5"),
                    "delegation": digest("6"), "tool": digest("7")},
            },
            "preview": [
                {"path": "id", "value": "7"},
                {"path": "$fact.order.total_amount.decimal", "value": "1240.00"},
                {"path": "$fact.order.party.name", "value": "Nordwind\\u{202e} Office", "flags": ["Escaped", "Confusable"]},
            ],
            "previewDigest": digest("8"),
            "requirements": [
                {"tier": "finance", "minimum": 1, "separationOfDuties": ["Requester", "Delegator"], "decideWithin": "2h",
                    "releaseTTL": "15m", "askedBy": [{"policy": "purchasing", "rule": "large-orders", "reason": "order_above_limit"}]},
                {"tier": "legal", "minimum": 1, "separationOfDuties": [], "decideWithin": "2h", "releaseTTL": "15m",
                    "askedBy": [{"policy": "contracts", "rule": "any"}, {"policy": "contracts", "rule": "new"}]},
            ],
            "requestedAt": format!("2026-05-04T10:{minute:02}:00Z"),
            "expiresAt": format!("2026-05-04T12:{minute:02}:00Z"),
            "releaseTTL": "15m",
        },
    });
    change(&mut value);
    serde_json::from_value(value).unwrap()
}

fn decided(verdict: &str) -> Value {
    json!({"verdict": verdict, "effectDigest": format!("sha256:{}", "1".repeat(64)),
        "by": {"username": "ana", "uid": "ana-1"}, "reason": "budget\u{1b}[31m is there"})
}

fn requests() -> Vec<ApprovalRequest> {
    vec![
        request("buyer-denied", 2, |value| {
            value["spec"]["decision"] = decided("Denied");
            value["status"] = json!({"phase": "Denied", "execution": "NotStarted"});
        }),
        request("buyer-done", 1, |value| {
            value["spec"]["decision"] = decided("Approved");
            value["status"] = json!({"phase": "Approved", "execution": "Succeeded", "decidedAt": "2026-05-04T10:05:00Z",
                "claim": {"pod": "pod-1", "nonce": "n", "jti": "j", "at": "2026-05-04T10:06:00Z"},
                "receipt": {"sent": true, "status": 200, "record": "d-7", "at": "2026-05-04T10:06:01Z"}});
        }),
        request("buyer-open-later", 29, |_| ()),
        request("buyer-open", 10, |value| value["status"] = json!({"phase": "Pending", "execution": "NotStarted"})),
        request("buyer-unseen", 11, |value| {
            value["spec"]["decision"] = decided("Approved");
            value["status"] = json!({"phase": "Pending", "execution": "NotStarted"});
        }),
        request("buyer-stale", 4, |value| {
            value["status"] = json!({"phase": "Stale", "execution": "NotStarted", "changed": ["registries", "facts"]});
        }),
        request("buyer-over", 20, |value| value["spec"]["expiresAt"] = "2026-05-04T10:29:59Z".into()),
    ]
}

#[test]
fn those_that_wait_come_first_and_the_most_urgent_on_top() {
    let mut requests = requests();
    list::sort(&mut requests);
    insta::assert_snapshot!("list", list::table(&requests, false, "2026-05-04T10:30:00Z".parse().unwrap()));
    let everywhere = list::table(&requests[..1], true, "2026-05-07T13:30:00Z".parse().unwrap());
    insta::assert_snapshot!("list_everywhere", everywhere);
}

#[test]
fn a_request_shows_all_that_a_decision_is_about() {
    for request in requests() {
        let text = show::text(&request);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        let name = request.metadata.name.unwrap();
        if ["buyer-open", "buyer-done", "buyer-stale"].contains(&name.as_str()) {
            insta::assert_snapshot!(format!("show_{name}"), text);
        }
    }
}

#[test]
fn without_a_cluster_the_way_to_one_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().join("none");
    for command in [&["approvals", "list"][..], &["approvals", "show", "x"], &["approve", "x", "--yes"], &["deny", "x"]]
    {
        let ran = aegis(&[command, &["--kubeconfig", none.to_str().unwrap()]].concat(), "");
        assert_eq!((ran.exit, ran.out.as_str()), (Exit::Failed, ""), "{command:?}");
        assert!(ran.err.starts_with("error: cannot use --kubeconfig"), "{}", ran.err);
    }
}
