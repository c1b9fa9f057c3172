//! The test bed itself: the server is a real one, it says why it cannot start, and it leaves nothing behind.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aegis_tests::cluster::process::{Process, ProcessSpec, Signal};
use aegis_tests::cluster::{BoundPod, Cluster, Options, TokenFor, eventually, until_refused};
use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt as _};

/// Longer than anything here takes on a machine that compiles beside it.
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn kubectl_reaches_the_server_as_the_user_it_is_run_for() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let listed = cluster.kubectl("admin", &["get", "ns", "--output=name"]).await?;
    ensure!(listed.status.success(), "{listed:?}");
    let names = String::from_utf8(listed.stdout)?;
    ensure!(names.lines().any(|name| name == "namespace/kube-system"), "{names}");

    let whoami = cluster.kubectl("ana", &["auth", "whoami", "--output=json"]).await?;
    let review: serde_json::Value = serde_json::from_slice(&whoami.stdout)?;
    assert_eq!(review["status"]["userInfo"]["username"], "ana");
    assert_eq!(review["status"]["userInfo"]["uid"], cluster.user("ana")?.uid.as_str());
    assert_eq!(review["status"]["userInfo"]["groups"], serde_json::json!(["system:authenticated"]));
    Ok(())
}

#[tokio::test]
async fn rbac_refuses_and_the_audit_log_says_so() -> Result<()> {
    let cluster = Cluster::shared().await?;
    cluster
        .in_namespace("refused", async |namespace| {
            let maps: Api<ConfigMap> = namespace.api("mallory").await?;
            let wanted = config_map("loot");
            let refusal = maps.create(&PostParams::default(), &wanted).await.expect_err("mallory has no rights");
            let kube::Error::Api(status) = refusal else { bail!("not refused by the server: {refusal}") };
            assert_eq!(status.code, 403);
            assert!(
                status.message.contains(r#"User "mallory" cannot create resource "configmaps""#),
                "{}",
                status.message
            );

            let event = eventually("the refusal in the audit log", PATIENCE, async || {
                let events = cluster.audit_events()?;
                let about = |object: &aegis_tests::cluster::AuditObject| {
                    object.resource == "configmaps" && object.namespace == namespace.name()
                };
                events
                    .into_iter()
                    .find(|event| {
                        event.user.username.as_deref() == Some("mallory")
                            && event.object_ref.as_ref().is_some_and(about)
                    })
                    .context("no such event")
            })
            .await?;
            assert_eq!((event.verb.as_str(), event.code()), ("create", Some(403)));
            assert_eq!(event.annotations.get("authorization.k8s.io/decision").map(String::as_str), Some("forbid"));
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_service_account_has_its_own_rights_and_no_others() -> Result<()> {
    let cluster = Cluster::shared().await?;
    cluster
        .in_namespace("account", async |namespace| {
            let rights = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: clerk}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [''], resources: [configmaps], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: clerk-reads}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: clerk}]
";
            namespace.apply("admin", rights, "flows").await?;
            let folder = tempfile::tempdir()?;
            let kubeconfig = cluster.service_account_kubeconfig(namespace.name(), "clerk", folder.path()).await?;
            let client = client_from(&kubeconfig).await?;
            let maps: Api<ConfigMap> = Api::namespaced(client, namespace.name());
            // The server learns of new rights by watching them, a moment after they were written.
            eventually("the role to be in force", PATIENCE, async || {
                Ok(maps.list(&ListParams::default()).await.map(drop)?)
            })
            .await?;
            until_refused("a right that was not given", "cannot create resource", PATIENCE, async || {
                maps.create(&PostParams::default(), &config_map("more")).await
            })
            .await?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_token_bound_to_a_pod_that_nothing_runs_names_that_pod_and_audience() -> Result<()> {
    let cluster = Cluster::shared().await?;
    cluster
        .in_namespace("bound", async |namespace| {
            let pod = "
apiVersion: v1
kind: Pod
metadata: {name: buyer}
spec: {containers: [{name: main, image: none}]}
";
            namespace.apply("admin", pod, "flows").await?;
            let uid =
                namespace.api::<Pod>("admin").await?.get("buyer").await?.uid().context("a stored Pod without uid")?;
            let wanted = TokenFor {
                namespace: namespace.name(),
                name: "default",
                audiences: &["aegis"],
                pod: Some(BoundPod { name: "buyer", uid: Some(&uid) }),
                life: Duration::from_mins(10),
            };
            let token = cluster.service_account_token(&wanted).await?;
            let review = |audience: &str| TokenReview {
                spec: TokenReviewSpec { token: token.clone(), audiences: Some(vec![audience.to_owned()]) },
                ..TokenReview::default()
            };
            let reviews: Api<TokenReview> = Api::all(cluster.admin().await?);
            let known = reviews.create(&PostParams::default(), &review("aegis")).await?.status.context("no status")?;
            assert_eq!(known.authenticated, Some(true));
            let extra = known.user.and_then(|user| user.extra).context("no claims about the pod")?;
            assert_eq!(extra.get("authentication.kubernetes.io/pod-uid"), Some(&vec![uid]));
            let stranger =
                reviews.create(&PostParams::default(), &review("other")).await?.status.context("no status")?;
            assert_ne!(stranger.authenticated, Some(true));
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_new_kind_and_its_first_object_can_stand_in_one_file() -> Result<()> {
    let cluster = Cluster::start(Options::default()).await?;
    let manifests = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ledgers.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Ledger, plural: ledgers, singular: ledger, categories: [aegis]}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {owner: {type: string}}}}}}
---
apiVersion: example.com/v1
kind: Ledger
metadata: {name: first}
spec: {owner: ana}
";
    let namespace = cluster.namespace("ledgers").await?;
    let applied = namespace.apply("admin", manifests, "flows").await?;
    assert_eq!(applied.len(), 2);
    // What a failed test prints: the object of the category, the components' logs and who wrote it.
    let dump = cluster.dump(namespace.name(), &[PathBuf::from("/nonexistent/process.log")]);
    for expected in ["owner: ana", "log of kube-apiserver", "/nonexistent/process.log", "fieldManager=flows"] {
        assert!(dump.contains(expected), "{expected} is missing in:\n{dump}");
    }
    Ok(())
}

#[tokio::test]
async fn two_clusters_run_at_once_and_dropping_one_leaves_no_process_and_no_file() -> Result<()> {
    let (one, two) = tokio::try_join!(Cluster::start(Options::default()), Cluster::start(Options::default()))?;
    assert_ne!(one.ready().server, two.ready().server);
    let in_one = one.namespace("only-in-one").await?.name().to_owned();
    let seen = two.kubectl("admin", &["get", "ns", &in_one]).await?;
    assert!(String::from_utf8_lossy(&seen.stderr).contains("NotFound"), "{seen:?}");

    let (pids, folder) = (one.ready().pids.clone(), one.ready().dir.clone());
    assert_eq!(pids.keys().collect::<Vec<_>>(), ["etcd", "kube-apiserver", "kube-controller-manager"]);
    assert!(pids.values().all(|&pid| runs(pid)) && folder.exists());
    drop(one);
    assert!(!pids.values().any(|&pid| runs(pid)), "left behind: {pids:?}");
    assert!(!folder.exists());
    let alive = two.kubectl("admin", &["get", "--raw=/readyz"]).await?;
    assert_eq!(String::from_utf8_lossy(&alive.stdout), "ok");
    Ok(())
}

#[tokio::test]
async fn a_bed_that_cannot_start_says_why() {
    let nowhere = Cluster::start(Options::default().dir("/dev/null/bed")).await.expect_err("/dev/null is no folder");
    assert!(format!("{nowhere:#}").contains("mkdir /dev/null: not a directory"), "{nowhere:#}");

    let misspelt = Options::default().flag("kube-controller-manager", "--controllers=no-such-controller");
    let ended = Cluster::start(misspelt).await.expect_err("there is no such controller");
    let message = format!("{ended:#}");
    assert!(message.contains("kube-controller-manager ended by itself"), "{message}");
    assert!(message.contains("is not in the list of known controllers"), "{message}");
}

#[tokio::test]
async fn a_bed_whose_owner_is_killed_takes_everything_along() -> Result<()> {
    // The bed runs under a shell that stands for a test process; killing that closes the bed's standard input, as the end of any owner does.
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("bed.log");
    let bed = aegis_tests::tools::testbed().await?;
    let script = format!("exec sleep 600 | '{}' up --dir '{}'", bed.display(), folder.path().join("bed").display());
    let owner = Process::spawn(ProcessSpec::new("/bin/sh", &log).args(["-c", &script])).await?;
    let line = owner.wait_for_log("\"pids\"", PATIENCE).await?;
    let ready: aegis_tests::cluster::Ready = serde_json::from_str(&line)?;
    assert!(ready.pids.values().all(|&pid| runs(pid)));
    // SIGKILL to the whole group: the bed itself has no chance to clean up, the kernel does it.
    drop(owner);
    eventually("the components to end with their bed", PATIENCE, async || {
        ensure!(!ready.pids.values().any(|&pid| runs(pid)), "still there: {:?}", ready.pids);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_process_reports_how_it_ended_and_takes_its_children_along() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let script = "trap 'echo drained; exit 7' TERM; sleep 600 & echo child $!; while :; do wait; done";
    let spawn = |name: &str| {
        Process::spawn(ProcessSpec::new("/bin/sh", folder.path().join(name)).args(["-c", script]).env("PLACE", "here"))
    };
    let (drained, killed) = tokio::try_join!(spawn("drained.log"), spawn("killed.log"))?;
    let mut children = Vec::new();
    for process in [&drained, &killed] {
        let line = process.wait_for_log("child ", PATIENCE).await?;
        children.push(line.trim_start_matches("child ").parse::<u32>()?);
    }
    assert!(children.iter().all(|&pid| runs(pid)));

    drained.terminate()?;
    assert_eq!(drained.wait_exit(PATIENCE).await?, 7);
    assert!(drained.logs()?.ends_with("drained\n"));

    killed.signal(Signal::Stop)?;
    eventually("the process to be frozen", PATIENCE, async || {
        ensure!(state(killed.pid()) == Some('T'), "state {:?}", state(killed.pid()));
        Ok(())
    })
    .await?;
    killed.kill9()?;
    assert_eq!(killed.wait_exit(PATIENCE).await?, 137);
    assert!(!runs(killed.pid()));
    eventually("the children to end with them", PATIENCE, async || {
        ensure!(!children.iter().any(|&pid| runs(pid)), "still there: {children:?}");
        Ok(())
    })
    .await?;

    let missing = Process::spawn(ProcessSpec::new("/nonexistent/program", folder.path().join("missing.log"))).await;
    let reason = format!("{:#}", missing.expect_err("there is no such program"));
    assert!(reason.contains("/nonexistent/program: no such file or directory"), "{reason}");
    Ok(())
}

/// Whether a process is there; a zombie that nobody has waited for has ended.
fn runs(pid: u32) -> bool {
    !matches!(state(pid), None | Some('Z' | 'X'))
}

/// The state of a process as proc(5) gives it: the letter after the name, which stands in parentheses and may hold any character.
fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

fn config_map(name: &str) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.to_owned());
    map
}

async fn client_from(kubeconfig: &Path) -> Result<kube::Client> {
    let read = kube::config::Kubeconfig::read_from(kubeconfig)?;
    Ok(kube::Client::try_from(
        kube::Config::from_custom_kubeconfig(read, &kube::config::KubeConfigOptions::default()).await?,
    )?)
}
