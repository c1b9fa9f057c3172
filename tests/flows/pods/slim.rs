//! The operator keeps of a pod all that is judged: its verdict on the rest is that on the whole.

use aegis_crds::mesh::{GATEWAY_CONTAINER, SIDECAR_CONTAINER, inspect};
use aegis_decision::egress::Level;
use aegis_operator::pods::slim;
use aegis_tests::pods::{honest_cases, hostile_cases, spoiled};
use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;

use super::rolling;

const NAMESPACE: &str = "shop";

fn has_sidecar(pod: &Pod) -> bool {
    let spec = pod.spec.iter();
    let mut containers = spec.flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
    containers.any(|container| [SIDECAR_CONTAINER, GATEWAY_CONTAINER].contains(&container.name.as_str()))
}

#[test]
fn every_hostile_pod_is_as_hostile_when_it_is_slim() -> Result<()> {
    let (settings, honest) = (rolling(), honest_cases()?);
    let mut compared = 0;
    for case in hostile_cases()? {
        let base = honest.iter().find(|base| base.name == case.base).with_context(|| case.name.clone())?;
        let (agent, level) = match base.agent.as_deref() {
            Some("reader") => ("reader", Level::Mediated),
            Some("buyer") => ("buyer", Level::Captured),
            Some("payer") => ("payer", Level::Sealed),
            // Whose account is nobody's is not judged.
            None => continue,
            Some(other) => bail!("{other} has no level here"),
        };
        let whole = spoiled(base, &case, NAMESPACE, level, &settings).with_context(|| case.name.clone())?;
        let mut slimmed = whole.clone();
        slim(&mut slimmed);
        let verdict = |pod: &Pod| inspect(pod, NAMESPACE, agent, level, &settings);
        let (whole_verdict, slim_verdict) = (verdict(&whole), verdict(&slimmed));
        // Without a sidecar it is ungoverned whatever else it has, and nothing of it is kept.
        if has_sidecar(&whole) {
            ensure!(whole_verdict == slim_verdict, "{}: {whole_verdict:?}, slim {slim_verdict:?}", case.name);
            compared += 1;
        } else {
            ensure!(whole_verdict.is_err() && slim_verdict.is_err(), "{}: {slim_verdict:?}", case.name);
        }
    }
    println!("hostile pods compared: {compared}");
    ensure!(compared >= 130, "only {compared}");
    Ok(())
}
