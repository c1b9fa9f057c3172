//! The token that proves a pod to Aegis comes from the pod's node: nobody else gets one, whatever their rights.

use aegis_tests::cluster::{eventually, until_refused};
use aegis_tests::install::{impersonate, shared};
use anyhow::{Result, ensure};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::{Api, Client};

use super::scene::{PATIENCE, refused};

const FOR_NODES: &str = "only the node that runs the pod gets it";

/// As most namespaces have their people: the stock role lets them create tokens of service accounts.
const RIGHTS: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: buyer}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: editors}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects: [{kind: User, name: mallory}]
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_for_aegis_is_given_to_nodes_only() -> Result<()> {
    let cluster = shared().await?;
    cluster
        .in_namespace("tokens", async |namespace| {
            let admin = cluster.admin().await?;
            namespace.apply("admin", RIGHTS, "platform").await?;
            let mallory = cluster.client("mallory").await?;
            let ask = async |client: &Client, audiences: &[&str]| {
                let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace.name());
                let spec = TokenRequestSpec {
                    audiences: Some(audiences.iter().map(|&audience| audience.to_owned()).collect()),
                    ..TokenRequestSpec::default()
                };
                let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
                accounts.create_token_request("buyer", &PostParams::default(), &request).await
            };
            let node = impersonate(cluster, "kubelet", &["system:nodes", "system:masters"]).await?;
            ensure!(ask(&node, &["aegis"]).await.is_ok(), "the node must get it");
            for (name, who) in [("mallory", &mallory), ("admin", &admin)] {
                // RBAC takes up the binding a moment after it was stored, and the server the guard.
                eventually("a token for somebody else", PATIENCE, async || Ok(ask(who, &["somebody-else"]).await?))
                    .await?;
                until_refused("a token for aegis", FOR_NODES, PATIENCE, async || ask(who, &["aegis"]).await).await?;
                refused(name, ask(who, &["somebody-else", "aegis"]).await, FOR_NODES)?;
            }
            Ok(())
        })
        .await
}
