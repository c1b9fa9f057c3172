//! Values that are refused: a mistyped setting of a security product must not be ignored.

use aegis_tests::helm::{Helm, RELEASE, chart};
use anyhow::{Result, ensure};
use test_case::test_case;

#[tokio::test]
async fn lint_finds_nothing() -> Result<()> {
    let helm = Helm::offline().await?;
    for set in ["", "minimal", "everything", "namespaces"] {
        let file = if set.is_empty() { chart("values.yaml") } else { chart("ci").join(format!("{set}.yaml")) };
        let said =
            helm.run(["lint", "--strict", &chart("").to_string_lossy(), "--values", &file.to_string_lossy()]).await?;
        ensure!(said.good && !said.out.contains("[WARNING]"), "{set}: {}{}", said.out, said.err);
    }
    Ok(())
}

#[test_case("networkpolicy.enabled=false", "networkpolicy"; "a_wrong_letter")]
#[test_case("networkPolicy.enable=false", "enable"; "a_missing_letter")]
#[test_case("operator.replica=3", "replica"; "deeper")]
#[test_case("images.sidecar.tag=1", "sidecar"; "an_image_that_there_is_not")]
#[test_case("images.proxy.digest=sha256:12", "digest"; "a_short_digest")]
#[test_case("image.pullPolicy=Sometimes", "pullPolicy"; "a_word_that_there_is_not")]
#[test_case("operator.replicas=0", "replicas"; "too_few")]
#[test_case("mesh.probeMinutes=61", "probeMinutes"; "too_many")]
#[test_case("mesh.records.medium=disk", "medium"; "wrong_case")]
#[test_case("crds.keep=maybe", "keep"; "no_boolean")]
#[test_case("networkPolicy.apiServerCIDRs={10.0.0.1}", "apiServerCIDRs"; "an_address_that_is_no_range")]
#[test_case("networkPolicy.metricsFrom[0].namespaceSelectors.a=b", "metricsFrom"; "a_peer_that_would_let_everybody_in")]
#[test_case("operator.namespaces={Shop}", "namespaces"; "a_name_that_cannot_be")]
#[test_case("guards.enabled=false", "guards"; "a_switch_that_there_is_not")]
#[tokio::test]
async fn what_is_mistyped_is_refused(setting: &str, names: &str) -> Result<()> {
    let helm = Helm::offline().await?;
    let said = helm.run(["template", RELEASE, &chart("").to_string_lossy(), "--set", setting]).await?;
    ensure!(!said.good, "{setting} was taken");
    ensure!(said.err.contains("schema") && said.err.contains(names), "{}", said.err);
    Ok(())
}

/// The guards name the namespace, so another one would leave the operator without its account.
#[tokio::test]
async fn another_namespace_is_refused_with_the_reason() -> Result<()> {
    let helm = Helm::offline().await?;
    let said = helm.run(["template", RELEASE, &chart("").to_string_lossy(), "--namespace", "elsewhere"]).await?;
    ensure!(
        !said.good && said.err.contains("must be installed into the namespace aegis-system, not elsewhere"),
        "{}",
        said.err
    );
    Ok(())
}

/// Who installs it is told what stands open.
#[tokio::test]
async fn an_open_port_is_told_at_install() -> Result<()> {
    let helm = Helm::offline().await?;
    let told = "WARNING: every pod can reach port 9443";
    let notes = helm.act("install", &["--dry-run=client"]).await?;
    ensure!(notes.contains(told), "{notes}");
    let closed = "networkPolicy.apiServerCIDRs={10.0.0.10/32}";
    ensure!(!helm.act("install", &["--dry-run=client", "--set", closed]).await?.contains(told));
    Ok(())
}
