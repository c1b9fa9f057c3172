//! The Tools of the cookbook name the requests that the services' own clients send: one real request each.

use std::fs;
use std::path::Path;

use aegis_crds::{load, lower};
use serde_json::{Value, json};

use crate::aegis;
use crate::cookbook::cookbook;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// Recipe, method, path and query, content type, body, facts: each is allowed.
const REQUESTS: [(&str, &str, &str, &str, &str, &str); 12] = [
    (
        "refund-limits",
        "POST",
        "/refunds",
        FORM,
        "charge=ch_3MmlLrLkdIwHu7ix0snN0B15&amount=1000&reason=requested_by_customer",
        r#"{"charge": {"amount": 9900, "amount_refunded": 0, "currency": "eur", "disputed": false}}"#,
    ),
    (
        "travel-spend",
        "POST",
        "/orders",
        JSON,
        r#"{"data": {"type": "instant", "selected_offers": ["off_00009htyDGjIfajdNBZRlw"],
            "payments": [{"type": "balance", "currency": "EUR", "amount": "90.80"}],
            "passengers": [{"id": "pas_00009hj8USM7Ncg31cBCLL", "email": "one@acme.example"}]}}"#,
        r#"{"offer": {"data": {"total_amount": "90.80", "total_currency": "EUR",
            "slices": [{"segments": [{"passengers": [{"cabin_class": "economy"}]}]}]}}}"#,
    ),
    (
        "po-ceiling",
        "POST",
        "/v3/company/4620816365/purchaseorder?minorversion=75",
        JSON,
        r#"{"VendorRef": {"value": "41"}, "CurrencyRef": {"value": "EUR"}, "APAccountRef": {"value": "33"},
            "Line": [{"Amount": 25.0, "DetailType": "ItemBasedExpenseLineDetail",
            "ItemBasedExpenseLineDetail": {"ItemRef": {"value": "11"}, "Qty": 1, "UnitPrice": 25}}]}"#,
        "{}",
    ),
    (
        "github-merge",
        "PUT",
        "/repos/acme/shop/pulls/1347/merge",
        JSON,
        r#"{"sha": "6dcb09b5b57875f334f61aebed695e2e4193db5e", "merge_method": "squash", "commit_title": "cart (#1347)"}"#,
        r#"{"pull": {"base": {"ref": "main"}, "head": {"sha": "6dcb09b5b57875f334f61aebed695e2e4193db5e"}, "draft": false,
            "mergeable_state": "clean", "changed_files": 1}, "files": [{"filename": "src/cart.rs"}]}"#,
    ),
    (
        "chat-posting",
        "POST",
        "/chat.postMessage",
        JSON,
        r#"{"channel": "C0123ORDERS", "text": "order 7 is confirmed", "unfurl_links": false, "unfurl_media": false}"#,
        "{}",
    ),
    (
        "pii-redaction",
        "PUT",
        "/tickets/35436",
        JSON,
        r#"{"ticket": {"status": "solved", "comment": {"body": "Your order is on its way.", "public": true}}}"#,
        "{}",
    ),
    (
        "data-residency",
        "POST",
        "/projects/acme-data/jobs",
        JSON,
        r#"{"jobReference": {"projectId": "acme-data", "location": "EU"}, "configuration": {"extract": {
            "sourceTable": {"projectId": "acme-data", "datasetId": "orders_eu", "tableId": "y2026"},
            "destinationUris": ["gs://acme-eu-exports/orders-*.csv"], "destinationFormat": "CSV"}}}"#,
        "{}",
    ),
    ("read-only-agent", "GET", "/search/jql?jql=project%20%3D%20SHOP&maxResults=50", JSON, "", "{}"),
    (
        "iban-change",
        "PUT",
        "/thirdparties/2/bankaccounts/11",
        JSON,
        r#"{"iban": "DE89370400440532013000", "bic": "COBADEFFXXX", "label": "main"}"#,
        "{}",
    ),
    (
        "file-path-jail",
        "POST",
        "/files/move_v2",
        JSON,
        r#"{"from_path": "/Agents/invoices/in/7.pdf", "to_path": "/Agents/invoices/done/7.pdf"}"#,
        "{}",
    ),
    (
        "split-orders",
        "POST",
        "/purchaseorders?organization_id=10234695",
        JSON,
        r#"{"vendor_id": "460000000026049", "line_items": [{"item_id": "460000000027009", "quantity": 4, "rate": 112}]}"#,
        r#"{"drafts": {"purchaseorders": []}, "open": {"purchaseorders": [], "page_context": {"has_more_page": false}}}"#,
    ),
    (
        "shipment-after-submission",
        "PUT",
        "/shipments/se-28529731/cancel",
        JSON,
        "",
        r#"{"shipment": {"shipment_status": "pending"}}"#,
    ),
];

/// The recipe with an agent at work and a delegation in force.
fn at_work(recipe: &str, folder: &Path) -> String {
    for file in ["tool.yaml", "policy.yaml", "lists.yaml"] {
        let source = cookbook().join(recipe).join(file);
        if source.exists() {
            fs::copy(source, folder.join(file)).unwrap();
        }
    }
    let agent = |more: &str| {
        format!(
            "{{apiVersion: aegis.dev/v1alpha1, kind: Agent, metadata: {{name: helper}}, spec: {{tenant: acme, \
             businessUnit: shop, owner: {{name: Shop}}, version: '1', ceiling: Commit, \
             workload: {{serviceAccountName: helper}}{more}}}}}\n"
        )
    };
    let digest = lower::agent(&load::load("agent", &agent("")).unwrap().agents[0]).unwrap().0.review_digest();
    let reviewed = format!(", lifecycle: Active, review: {{by: r, at: '2026-05-01T00:00:00Z', digest: '{digest}'}}");
    let tools = load::load("tool", &fs::read_to_string(folder.join("tool.yaml")).unwrap()).unwrap().tools;
    let tool = tools[0].metadata.name.clone().unwrap();
    let delegation = format!(
        "---\n{{apiVersion: aegis.dev/v1alpha1, kind: Delegation, metadata: {{name: d}}, spec: {{agent: helper, \
         requestedBy: lead, delegator: lead, workflow: shop, purpose: a test, grants: [{{tool: {tool}, \
         operations: ['*']}}], notBefore: '2026-05-01T00:00:00Z', expiresAt: '2026-06-01T00:00:00Z'}}}}\n"
    );
    fs::write(folder.join("agent.yaml"), agent(&reviewed) + &delegation).unwrap();
    tool
}

#[test]
fn real_requests_are_named_and_allowed() {
    for (recipe, method, target, media, body, facts) in REQUESTS {
        let folder = tempfile::tempdir().unwrap();
        let tool = at_work(recipe, folder.path());
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let mut headers = vec![["aegis-run", "r1"]];
        if !body.is_empty() {
            headers.push(["content-type", media]);
        }
        let mut http = json!({"method": method, "path": path, "headers": headers, "body": body});
        if let Some(query) = query {
            http["query"] = query.into();
        }
        let facts: Value = serde_json::from_str(facts).unwrap();
        let call = json!({"agent": "default/helper", "tool": tool, "http": http, "facts": facts});
        let ran =
            aegis(&["eval", "--resources", folder.path().to_str().unwrap(), "--calls", "-"], &format!("{call}\n"));
        let output: Value = serde_json::from_str(&ran.out).unwrap_or_default();
        assert_eq!(output["verdict"], "allow", "{recipe}: {}", ran.whole());
    }
}
