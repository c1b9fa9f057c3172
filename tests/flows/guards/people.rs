//! Who may do what in a test's namespace, by RBAC alone. Everybody can reach what they are refused, so that a refusal is the guards' and not RBAC's.
//!
//! | person | may |
//! | --- | --- |
//! | ana | approve every tier |
//! | bob | approve `finance` only |
//! | carol | approve every tier; she is the requester of every task here |
//! | dave | approve every tier; he is the delegator of every task here |
//! | erin | approve every tier but the eighth, and everything on requests: create, change, delete, write their status |
//! | mallory | change requests, approve nothing |

use aegis_crds::api::GROUP;
use aegis_tests::cluster::{TestNamespace, eventually};
use anyhow::{Result, ensure};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};

use super::scene::PATIENCE;

/// The eight tiers that exist. A request names the first of them, in this order.
pub const TIERS: [&str; 8] = ["finance", "legal", "security", "works-council", "tax", "board", "bank", "auditor"];
/// A node that this cluster does not have; it has every right that ana has.
pub const NODE: &str = "system:node:worker-1";
/// A service account of the namespace with every right that ana has.
pub const ROBOT: &str = "robot";

/// Gives everybody their rights and waits until the server knows of them.
pub async fn arrive(namespace: &TestNamespace<'_>) -> Result<()> {
    let everybody = "
  - {kind: User, name: ana}
  - {kind: User, name: bob}
  - {kind: User, name: carol}
  - {kind: User, name: dave}
  - {kind: User, name: erin}
  - {kind: User, name: mallory}
  - {kind: User, name: 'system:node:worker-1'}
  - {kind: ServiceAccount, name: robot}";
    let seven = TIERS.iter().take(7).copied().collect::<Vec<_>>().join(", ");
    let rights = format!(
        "
apiVersion: v1
kind: ServiceAccount
metadata: {{name: robot}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: approvers}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: aegis-approver}}
subjects:{everybody}
---
{}---
{}---
{}---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: everything}}
rules:
- {{apiGroups: [aegis.dev], resources: [approvalrequests, approvalrequests/status], verbs: ['*']}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: everything}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: everything}}
subjects: [{{kind: User, name: erin}}]
",
        approves(
            "all-tiers",
            &TIERS.join(", "),
            &[("User", "ana"), ("User", "carol"), ("User", "dave"), ("User", NODE), ("ServiceAccount", ROBOT)]
        ),
        approves("seven-tiers", &seven, &[("User", "erin")]),
        approves("one-tier", "finance", &[("User", "bob")]),
    );
    namespace.apply("admin", rights.as_str(), "flows").await?;
    let tiers: String = TIERS
        .map(|tier| {
            format!("apiVersion: aegis.dev/v1alpha1\nkind: ApprovalTier\nmetadata: {{name: {tier}}}\nspec: {{}}\n---\n")
        })
        .concat();
    namespace.apply("admin", tiers.as_str(), "flows").await?;
    for (user, verb, resource, name) in [
        ("ana", "approve", "approvaltiers", "auditor"),
        ("bob", "approve", "approvaltiers", "finance"),
        ("carol", "approve", "approvaltiers", "auditor"),
        ("dave", "approve", "approvaltiers", "auditor"),
        ("erin", "approve", "approvaltiers", "bank"),
        ("erin", "deletecollection", "approvalrequests", ""),
        ("mallory", "patch", "approvalrequests", ""),
    ] {
        until_allowed(namespace, user, verb, resource, name).await?;
    }
    Ok(())
}

/// Waits until RBAC lets a user do something; the server learns of new rights a moment after they were stored.
pub async fn until_allowed(
    namespace: &TestNamespace<'_>,
    user: &str,
    verb: &str,
    resource: &str,
    name: &str,
) -> Result<()> {
    let client = namespace.cluster().client(user).await?;
    client_until_allowed(client, namespace.name(), verb, resource, name).await
}

/// As [`until_allowed`], for whoever the client acts as.
pub async fn client_until_allowed(
    client: Client,
    namespace: &str,
    verb: &str,
    resource: &str,
    name: &str,
) -> Result<()> {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some(GROUP.to_owned()),
                namespace: Some(namespace.to_owned()),
                verb: Some(verb.to_owned()),
                resource: Some(resource.to_owned()),
                subresource: Some(subresource.to_owned()),
                name: Some(name.to_owned()),
                ..ResourceAttributes::default()
            }),
            non_resource_attributes: None,
        },
        ..SelfSubjectAccessReview::default()
    };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client);
    eventually(&format!("the right to {verb} {resource}/{name}"), PATIENCE, async || {
        let answer = reviews.create(&PostParams::default(), &review).await?;
        ensure!(answer.status.is_some_and(|status| status.allowed), "not allowed");
        Ok(())
    })
    .await
}

/// A role with the verb approve on some tiers, and who has it.
fn approves(role: &str, tiers: &str, subjects: &[(&str, &str)]) -> String {
    let subjects: Vec<String> =
        subjects.iter().map(|(kind, name)| format!("- {{kind: {kind}, name: '{name}'}}")).collect();
    let subjects = subjects.join("\n");
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: {role}}}
rules:
- {{apiGroups: [aegis.dev], resources: [approvaltiers], resourceNames: [{tiers}], verbs: [approve]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: {role}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {role}}}
subjects:
{subjects}
"
    )
}
