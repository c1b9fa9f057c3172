//! What an installation needs to be whole.

use jiff::Timestamp;

use super::Finding;
use super::gather::{Installation, Webhook, Workload};

/// Oldest minor version of Kubernetes 1 that is supported: native sidecars are stable from it on.
const OLDEST_MINOR: u32 = 33;
/// A difference of clocks over which tokens of the one are not valid for the other.
const SKEW_SECONDS: i64 = 30;

/// Judges the installation.
pub fn checks(found: &Installation, now: Timestamp) -> Vec<Finding> {
    let mut checks = vec![version(found), clock(found, now)];
    checks.push(all_there(
        "definitions",
        "custom resource definitions",
        &found.missing_definitions,
        "install the chart with crds.enabled=true, or kubectl apply --server-side -f crds/generated",
    ));
    checks.push(all_there(
        "guards",
        "admission policies and bindings",
        &found.missing_guards,
        "no verdict of a person counts until they are back: helm upgrade, or kubectl apply --server-side -f guards",
    ));
    checks.extend(found.webhooks.iter().map(webhook));
    checks.extend(found.workloads.iter().map(workload));
    checks
}

fn version(found: &Installation) -> Finding {
    let minor: u32 = found.minor.trim_end_matches('+').parse().unwrap_or_default();
    let text = format!("Kubernetes {}", found.version);
    if minor >= OLDEST_MINOR {
        Finding::ok("kubernetes-version", text)
    } else {
        Finding::failed("kubernetes-version", text, "Aegis needs Kubernetes 1.33 or newer: native sidecars")
    }
}

fn clock(found: &Installation, now: Timestamp) -> Finding {
    let Some(server) = found.server_time else {
        return Finding::warning("clock", "the API server did not tell its time", "");
    };
    let skew = server.duration_since(now).as_secs();
    if skew.abs() <= SKEW_SECONDS {
        Finding::ok("clock", format!("{} s between this machine and the API server", skew.abs()))
    } else {
        Finding::warning(
            "clock",
            format!("{} s between this machine and the API server", skew.abs()),
            "set one of the clocks; tokens allow for 30 s",
        )
    }
}

fn all_there(id: &'static str, what: &str, missing: &[String], hint: &'static str) -> Finding {
    if missing.is_empty() {
        Finding::ok(id, format!("all {what} are there"))
    } else {
        Finding::failed(id, format!("missing: {}", missing.join(", ")), hint)
    }
}

fn webhook(webhook: &Webhook) -> Finding {
    match webhook {
        Webhook::Missing(name) => Finding::failed(
            "webhook-configuration",
            format!("{name} is missing"),
            "new pods of agents are refused until it is back: helm upgrade",
        ),
        Webhook::Found { name, trusted: false } => Finding::failed(
            "webhook-ca",
            format!("{name} has no caBundle"),
            "the webhook writes it when it starts: kubectl logs deploy/aegis-webhook -n aegis-system",
        ),
        Webhook::Found { name, trusted: true } => Finding::ok("webhook-configuration", format!("{name} is in place")),
    }
}

fn workload(workload: &Workload) -> Finding {
    let Workload { name, wanted, ready } = workload;
    let text = format!("{name}: {ready} of {wanted} replicas ready");
    match (*wanted, *ready) {
        (0, _) => Finding::failed("replicas", format!("{name} is not there"), "helm upgrade, or see helm status aegis"),
        (wanted, ready) if ready >= wanted => Finding::ok("replicas", text),
        (_, 0) => Finding::failed("replicas", text, "kubectl describe pods -n aegis-system says why"),
        _ => Finding::warning("replicas", text, "kubectl describe pods -n aegis-system says why"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn whole() -> Installation {
        Installation {
            version: "v1.36.3".to_owned(),
            minor: "36".to_owned(),
            server_time: Some(Timestamp::UNIX_EPOCH),
            missing_definitions: Vec::new(),
            missing_guards: Vec::new(),
            webhooks: vec![Webhook::Found { name: "aegis".to_owned(), trusted: true }],
            workloads: vec![Workload { name: "aegis-operator".to_owned(), wanted: 2, ready: 2 }],
        }
    }

    fn worst(found: &Installation) -> Verdict {
        checks(found, Timestamp::UNIX_EPOCH).iter().map(|finding| finding.result).max().unwrap()
    }

    #[test]
    fn a_whole_installation_passes() {
        assert_eq!(worst(&whole()), Verdict::Ok);
    }

    #[test]
    fn what_is_missing_fails() {
        let broken: [fn(&mut Installation); 6] = [
            |it| it.minor = "32".to_owned(),
            |it| it.missing_guards.push("ValidatingAdmissionPolicy aegis-pods".to_owned()),
            |it| it.missing_definitions.push("agents.aegis.dev".to_owned()),
            |it| it.webhooks = vec![Webhook::Missing("aegis".to_owned())],
            |it| it.webhooks = vec![Webhook::Found { name: "aegis".to_owned(), trusted: false }],
            |it| it.workloads = vec![Workload { name: "aegis-operator".to_owned(), wanted: 2, ready: 0 }],
        ];
        for change in broken {
            let mut found = whole();
            change(&mut found);
            assert_eq!(worst(&found), Verdict::Failed, "{found:?}");
        }
        let mut one_down = whole();
        one_down.workloads = vec![Workload { name: "aegis-operator".to_owned(), wanted: 2, ready: 1 }];
        assert_eq!(worst(&one_down), Verdict::Warning);
    }
}
