//! What an agent's pods are, and what is proven of them: counts, and condition `EnforcementVerified`.
//!
//! | level | pods | condition |
//! | --- | --- | --- |
//! | any | one under the agent's service account is not governed | False, `Ungoverned` |
//! | Mediated | all governed | False, `Mediated`: nothing that could be proven stops a process that dials elsewhere |
//! | Captured, Sealed | a probe got out | False, `GotOut` |
//! | Captured, Sealed | none runs | Unknown, `NoPods` |
//! | Captured, Sealed | one runs without a probe in time | Unknown, `ProbeOverdue` |
//! | Captured, Sealed | the newest probe of every one that runs let nothing out | True, the level |

use std::sync::Arc;

use aegis_crds::api::agent::PodCounts;
use aegis_crds::mesh::{self, Governed, Settings};
use aegis_decision::agent::Agent;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use crate::conditions::Wanted;
use crate::pods::{Verdict, newest};

/// Type of the condition.
pub const VERIFIED: &str = "EnforcementVerified";
/// Its reasons.
pub const REASONS: [&str; 7] = ["Ungoverned", "Mediated", "GotOut", "NoPods", "ProbeOverdue", "Captured", "Sealed"];
/// Pods that are named at most.
const MAX_NAMED: usize = 10;

/// What was found about an agent's pods.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Counts.
    pub counts: PodCounts,
    /// The condition.
    pub condition: Wanted,
    /// When the first probe that counts now is too old.
    pub check_again_at: Option<Timestamp>,
}

/// Judges the pods of a namespace that run under the agent's service account. An agent that does not hold its account
/// has none.
pub fn find(core: &Agent, holds_account: bool, pods: &[Arc<Pod>], settings: &Settings, now: Timestamp) -> Found {
    let own = pods.iter().filter(|pod| holds_account && account(pod) == Some(&core.service_account) && !ended(pod));
    let mut tally = Tally::default();
    for pod in own {
        tally.add(core, pod, settings, now);
    }
    let condition = tally.condition(core);
    Found { counts: tally.counts, condition, check_again_at: tally.check_again_at }
}

fn account(pod: &Pod) -> Option<&String> {
    pod.spec.as_ref()?.service_account_name.as_ref()
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

fn ended(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

#[derive(Default)]
struct Tally {
    counts: PodCounts,
    /// Pods that run, or whose probe ran.
    judged: u32,
    got_out: Vec<String>,
    overdue: Vec<String>,
    ungoverned: u32,
    check_again_at: Option<Timestamp>,
}

impl Tally {
    fn add(&mut self, core: &Agent, pod: &Pod, settings: &Settings, now: Timestamp) {
        let name = pod.name_any();
        let governed = mesh::inspect(pod, &core.namespace, &core.name, core.level, settings);
        if governed.as_ref().is_ok_and(|governed| governed.gateway) {
            return;
        }
        count(&mut self.counts.matched);
        let Ok(Governed { current, .. }) = governed else {
            count(&mut self.ungoverned);
            if self.counts.ungoverned.len() < MAX_NAMED {
                // A container may have been added to a pod whose probe still runs: what it found says more.
                if let Some(Verdict { holds: false, message, .. }) = newest(pod).filter(|_| core.level.is_captured()) {
                    self.got_out.push(format!("{name}: {message}"));
                }
                self.counts.ungoverned.push(name);
            }
            return;
        };
        count(&mut self.counts.injected);
        if current {
            count(&mut self.counts.current);
        }
        if core.level.is_captured() {
            self.probe(pod, name, settings, now);
        }
    }

    fn probe(&mut self, pod: &Pod, name: String, settings: &Settings, now: Timestamp) {
        let verdict = newest(pod);
        // One that has not started proves nothing and endangers nothing yet.
        if verdict.is_none() && phase(pod) != "Running" {
            return;
        }
        count(&mut self.judged);
        let life = SignedDuration::from_mins(i64::from(settings.probe_minutes)).saturating_mul(2);
        let until = |at: Timestamp| at.saturating_add(life).unwrap_or(Timestamp::MAX);
        match verdict {
            Some(Verdict { holds: false, message, .. }) => self.got_out.push(format!("{name}: {message}")),
            Some(Verdict { holds: true, at: Some(at), .. }) if until(at) > now => {
                count(&mut self.counts.verified);
                let before = self.check_again_at.unwrap_or(Timestamp::MAX);
                self.check_again_at = Some(before.min(until(at)));
            }
            Some(_) | None => self.overdue.push(name),
        }
    }

    fn condition(&self, core: &Agent) -> Wanted {
        let is = |status, reason, message: String| Wanted { kind: VERIFIED, status, reason, message };
        if self.ungoverned > 0 {
            let names = named(&self.counts.ungoverned, self.ungoverned);
            let text = format!("pods under spec.workload.serviceAccountName that are not as injected: {names}");
            let all: Vec<String> = std::iter::once(text).chain(self.got_out.iter().cloned()).collect();
            return is(Some(false), "Ungoverned", all.join(" | "));
        }
        if !core.level.is_captured() {
            let text = "level Mediated: nothing stops a process of the agent that dials elsewhere";
            return is(Some(false), "Mediated", text.to_owned());
        }
        if !self.got_out.is_empty() {
            return is(Some(false), "GotOut", self.got_out.join(" | "));
        }
        if self.judged == 0 {
            return is(None, "NoPods", "no pod of the agent runs".to_owned());
        }
        if !self.overdue.is_empty() {
            let all = u32::try_from(self.overdue.len()).unwrap_or(u32::MAX);
            let first: Vec<String> = self.overdue.iter().take(MAX_NAMED).cloned().collect();
            return is(None, "ProbeOverdue", format!("pods without a probe in time: {}", named(&first, all)));
        }
        is(Some(true), core.level.as_str(), format!("the newest probe of each of {} pods let nothing out", self.judged))
    }
}

fn count(number: &mut u32) {
    *number = number.saturating_add(1);
}

/// The first names of so many.
pub(super) fn named(names: &[String], all: u32) -> String {
    let more = usize::try_from(all).unwrap_or(usize::MAX).saturating_sub(names.len());
    let list = names.join(", ");
    if more == 0 { list } else { format!("{list} and {more} more") }
}

#[cfg(test)]
mod tests {
    use aegis_crds::mesh::{Placement, parts};
    use aegis_decision::egress::Level;
    use aegis_decision::tool::Class;
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 10_000;

    fn settings() -> Settings {
        serde_json::from_value(json!({
            "images": {"proxy": "x/aegis-proxy:2", "capture": "x/aegis-capture:2", "probe": "x/aegis-probe:2",
                "previous": ["x/aegis-proxy:1"]},
            "control": "https://control:8443", "systemNamespace": "system",
        }))
        .unwrap()
    }

    fn agent(level: Level) -> Agent {
        Agent {
            namespace: "shop".to_owned(),
            name: "buyer".to_owned(),
            uid: "a".to_owned(),
            tenant: "acme".to_owned(),
            business_unit: "office".to_owned(),
            owner: "Purchasing".to_owned(),
            version: "1".to_owned(),
            ceiling: Class::Commit,
            service_account: "buyer-sa".to_owned(),
            max_staleness_seconds: 60,
            token_ttl_seconds: 300,
            level,
            egress: Vec::new(),
            mode: aegis_decision::agent::Mode::Enforce,
        }
    }

    fn pod(name: &str, level: Level, phase: &str, condition: &Value) -> Pod {
        let placement = Placement {
            namespace: "shop",
            agent: "buyer",
            level,
            sidecar_uid: 31_000,
            agent_uid: 1000,
            inbound: &[],
            brokered: &[],
        };
        let added = parts(&settings(), &placement);
        let mut pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "shop", "labels": {"aegis.dev/agent": "buyer"}},
            "spec": {"serviceAccountName": "buyer-sa", "containers": [{"name": "agent", "image": "i", "securityContext":
                {"runAsUser": 1000, "runAsNonRoot": true, "allowPrivilegeEscalation": false,
                 "capabilities": {"drop": ["ALL"]}}}]},
            "status": {"phase": phase, "conditions": [condition]},
        }))
        .unwrap();
        let spec = pod.spec.as_mut().unwrap();
        spec.init_containers = Some(added.containers);
        spec.volumes = Some(added.volumes);
        pod
    }

    fn verdict(status: &str, message: &str, age: i64) -> Value {
        let at = Timestamp::from_second(NOW - age).unwrap().to_string();
        json!({"type": "aegis.dev/EnforcementVerified", "status": status, "message": message, "lastProbeTime": at})
    }

    fn running(name: &str, condition: &Value) -> Pod {
        pod(name, Level::Captured, "Running", condition)
    }

    fn other() -> Value {
        json!({"type": "Ready", "status": "True"})
    }

    fn plain(name: &str) -> Pod {
        let mut pod = running(name, &other());
        pod.spec.as_mut().unwrap().init_containers = None;
        pod
    }

    fn found(level: Level, pods: Vec<Pod>) -> Found {
        let pods: Vec<_> = pods.into_iter().map(Arc::new).collect();
        find(&agent(level), true, &pods, &settings(), Timestamp::from_second(NOW).unwrap())
    }

    fn told(found: &Found) -> (Option<bool>, &str, &str) {
        (found.condition.status, found.condition.reason, found.condition.message.as_str())
    }

    #[test]
    fn captured_is_true_when_the_newest_probe_of_every_running_pod_let_nothing_out() {
        let good = |age| running("a", &verdict("True", "36 stopped", age));
        let waiting = pod("w", Level::Captured, "Pending", &other());
        let all = found(Level::Captured, vec![good(0), waiting]);
        assert_eq!(told(&all), (Some(true), "Captured", "the newest probe of each of 1 pods let nothing out"));
        assert_eq!((all.counts.matched, all.counts.injected, all.counts.verified), (2, 2, 1));
        assert_eq!(all.check_again_at, Some(Timestamp::from_second(NOW + 1200).unwrap()));
        assert_eq!(told(&found(Level::Captured, vec![good(1199)])).1, "Captured");
        let late = found(Level::Captured, vec![good(1200), running("b", &verdict("True", "", 0))]);
        assert_eq!(told(&late), (None, "ProbeOverdue", "pods without a probe in time: a"));
        assert_eq!(late.counts.verified, 1);
        let silent = found(Level::Captured, vec![running("b", &other())]);
        assert_eq!(told(&silent).1, "ProbeOverdue");
        assert_eq!(told(&found(Level::Captured, vec![])), (None, "NoPods", "no pod of the agent runs"));
    }

    #[test]
    fn what_got_out_is_named_even_of_a_pod_that_is_still_starting() {
        let broken =
            pod("b", Level::Captured, "Pending", &verdict("False", "got out: BYP-2 tcp [2001:db8::1]:443", 5000));
        let all = found(Level::Captured, vec![running("a", &verdict("True", "", 0)), broken]);
        assert_eq!(told(&all), (Some(false), "GotOut", "b: got out: BYP-2 tcp [2001:db8::1]:443"));
        assert_eq!(all.counts.verified, 1);
    }

    #[test]
    fn a_pod_without_the_sidecar_is_named_at_every_level() {
        for level in [Level::Mediated, Level::Captured] {
            let all = found(level, vec![plain("naked")]);
            assert_eq!((all.condition.status, all.condition.reason), (Some(false), "Ungoverned"));
            assert!(all.condition.message.ends_with(": naked"), "{}", all.condition.message);
            assert_eq!((all.counts.matched, all.counts.injected), (1, 0));
        }
        let many = found(Level::Captured, (0..12).map(|number| plain(&format!("p{number}"))).collect());
        assert!(many.condition.message.ends_with("p9 and 2 more"), "{}", many.condition.message);
        assert_eq!((many.counts.ungoverned.len(), many.counts.matched), (10, 12));
        let mut opened = running("a", &verdict("False", "got out: BYP-4 udp 192.0.2.1:443", 0));
        opened.spec.as_mut().unwrap().ephemeral_containers =
            Some(vec![serde_json::from_value(json!({"name": "opener", "securityContext": {"runAsUser": 0}})).unwrap()]);
        let opened = found(Level::Captured, vec![opened]);
        assert_eq!(opened.condition.reason, "Ungoverned");
        let expected = ": a | a: got out: BYP-4 udp 192.0.2.1:443";
        assert!(opened.condition.message.ends_with(expected), "{}", opened.condition.message);
        // Injected, but for another level than the agent has now.
        assert_eq!(found(Level::Sealed, vec![running("a", &other())]).condition.reason, "Ungoverned");
    }

    #[test]
    fn mediated_claims_nothing() {
        let all = found(Level::Mediated, vec![pod("a", Level::Mediated, "Running", &other())]);
        assert_eq!((all.condition.status, all.condition.reason), (Some(false), "Mediated"));
        assert_eq!((all.counts.injected, all.counts.current, all.counts.verified), (1, 1, 0));
    }

    #[test]
    fn an_older_version_is_counted_as_not_current() {
        let mut old = pod("a", Level::Mediated, "Running", &other());
        let spec = old.spec.as_mut().unwrap();
        for container in spec.init_containers.iter_mut().flatten() {
            container.image = Some("x/aegis-proxy:1".to_owned());
        }
        let all = found(Level::Mediated, vec![old]);
        assert_eq!((all.counts.injected, all.counts.current), (1, 0));
    }

    #[test]
    fn pods_of_others_and_pods_that_ended_do_not_count() {
        let mut foreign = plain("db");
        foreign.spec.as_mut().unwrap().service_account_name = Some("default".to_owned());
        let mut done = plain("job");
        done.status.as_mut().unwrap().phase = Some("Succeeded".to_owned());
        assert_eq!(found(Level::Captured, vec![foreign, done]).counts, PodCounts::default());
        let pods = [Arc::new(plain("a"))];
        let taken = find(&agent(Level::Captured), false, &pods, &settings(), Timestamp::from_second(NOW).unwrap());
        assert_eq!(taken.counts.matched, 0, "the account is another agent's");
    }
}
