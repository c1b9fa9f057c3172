//! The operator's metrics. Labels are from closed sets only.

use aegis_runtime::tls::rotation;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::plan::{Cause, REASONS};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Result_ {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Verdict {
    verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Enforcement {
    agent_namespace: String,
    enforcement: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Freeze {
    agent_namespace: String,
    cause: &'static str,
}

/// The metrics, registered once and passed in.
#[derive(Debug, Clone)]
pub struct Metrics {
    tokens: Family<Result_, Counter>,
    submissions: Family<Result_, Counter>,
    claims: Family<Result_, Counter>,
    outcomes: Family<Outcome, Counter>,
    decided: Family<Verdict, Histogram>,
    guards: Gauge,
    plans: Family<Result_, Counter>,
    probes: Family<Result_, Counter>,
    trial_reports: Family<Result_, Counter>,
    trial_writes: Family<Result_, Counter>,
    agents: Family<Enforcement, Gauge>,
    agents_frozen: Family<Freeze, Gauge>,
    feeds: Gauge,
    feeds_displaced: Counter,
    feeds_waiting: Gauge,
    feeds_too_slow: Counter,
    /// Of the control service's certificates.
    pub certificates: rotation::Metrics,
}

impl Metrics {
    /// Registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("aegis_operator");
        let metrics = Self {
            tokens: Family::default(),
            submissions: Family::default(),
            claims: Family::default(),
            outcomes: Family::default(),
            decided: Family::new_with_constructor(|| Histogram::new(exponential_buckets(1.0, 2.0, 16))),
            guards: Gauge::default(),
            plans: Family::default(),
            probes: Family::default(),
            trial_reports: Family::default(),
            trial_writes: Family::default(),
            agents: Family::default(),
            agents_frozen: Family::default(),
            feeds: Gauge::default(),
            feeds_displaced: Counter::default(),
            feeds_waiting: Gauge::default(),
            feeds_too_slow: Counter::default(),
            certificates: rotation::Metrics::new(registry),
        };
        registry.register("tokens", "Token exchanges by result", metrics.tokens.clone());
        registry.register("approval_submissions", "Held calls submitted, by result", metrics.submissions.clone());
        registry.register("approval_claims", "Claims on approved requests, by result", metrics.claims.clone());
        registry.register("approval_outcomes", "Outcomes of claimed calls", metrics.outcomes.clone());
        registry.register_with_unit(
            "approval_cycle",
            "Time from a held call to its decision",
            Unit::Seconds,
            metrics.decided.clone(),
        );
        registry.register(
            "guard_faults",
            "Guards in the API server that are missing or altered",
            metrics.guards.clone(),
        );
        registry.register("plans", "Plans of a namespace, by result", metrics.plans.clone());
        registry.register("agents", "Agents by what holds of their pods", metrics.agents.clone());
        registry.register(
            "agents_frozen",
            "Agents that keep their last bundle because no newer one can be made, by cause",
            metrics.agents_frozen.clone(),
        );
        registry.register("feeds", "Feeds that are open", metrics.feeds.clone());
        registry.register(
            "feeds_displaced",
            "Feeds that ended because their pod opened newer ones",
            metrics.feeds_displaced.clone(),
        );
        registry.register(
            "feeds_waiting",
            "Feeds that wait for room for a bundle among those on their way",
            metrics.feeds_waiting.clone(),
        );
        registry.register(
            "feeds_too_slow",
            "Feeds that ended because a line was not taken in time",
            metrics.feeds_too_slow.clone(),
        );
        registry.register("probes", "Statements about probes of pods, by what they say", metrics.probes.clone());
        registry.register("trial_reports", "Reports of trials, by result", metrics.trial_reports.clone());
        registry.register("trial_writes", "Writes of what trials came to, by result", metrics.trial_writes.clone());
        metrics
    }

    /// A token exchange.
    pub fn tokens(&self, result: &'static str) {
        self.tokens.get_or_create(&Result_ { result }).inc();
    }

    /// A held call was submitted.
    pub fn submitted(&self, result: &'static str) {
        self.submissions.get_or_create(&Result_ { result }).inc();
    }

    /// A claim was tried.
    pub fn claimed(&self, result: &'static str) {
        self.claims.get_or_create(&Result_ { result }).inc();
    }

    /// A claimed call ended.
    pub fn ended(&self, outcome: &'static str) {
        self.outcomes.get_or_create(&Outcome { outcome }).inc();
    }

    /// A person decided after so many seconds.
    pub fn decided(&self, verdict: &'static str, seconds: f64) {
        self.decided.get_or_create(&Verdict { verdict }).observe(seconds);
    }

    /// So many guards are missing or altered.
    pub fn guards(&self, faults: usize) {
        self.guards.set(i64::try_from(faults).unwrap_or(i64::MAX));
    }

    /// A sidecar said what its pod's probe found.
    pub fn probed(&self, result: &'static str) {
        self.probes.get_or_create(&Result_ { result }).inc();
    }

    /// A sidecar told how trials go.
    pub fn trials_told(&self, result: &'static str) {
        self.trial_reports.get_or_create(&Result_ { result }).inc();
    }

    /// What a trial came to was written, or not.
    pub fn trial_written(&self, result: &'static str) {
        self.trial_writes.get_or_create(&Result_ { result }).inc();
    }

    /// How the agents of a namespace stand: for each the reason of its condition `EnforcementVerified`.
    pub fn enforced(&self, namespace: &str, agents: &[&str]) {
        for enforcement in REASONS {
            let labels = Enforcement { agent_namespace: namespace.to_owned(), enforcement };
            // What is not there has no series: a namespace without agents leaves none behind.
            let count = agents.iter().filter(|reason| **reason == enforcement).count();
            if count == 0 {
                self.agents.remove(&labels);
            } else {
                self.agents.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
            }
        }
    }

    /// Which agents of a namespace keep their last bundle: for each why.
    pub fn frozen(&self, namespace: &str, causes: &[Cause]) {
        for cause in Cause::ALL {
            let labels = Freeze { agent_namespace: namespace.to_owned(), cause: cause.as_str() };
            let count = causes.iter().filter(|one| **one == cause).count();
            if count == 0 {
                self.agents_frozen.remove(&labels);
            } else {
                self.agents_frozen.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
            }
        }
    }

    /// So many feeds are open.
    pub fn feeds(&self, open: usize) {
        self.feeds.set(i64::try_from(open).unwrap_or(i64::MAX));
    }

    /// A feed ended because its pod opened newer ones.
    pub fn feed_displaced(&self) {
        self.feeds_displaced.inc();
    }

    /// A feed waits for room for a bundle.
    pub fn feed_waits(&self) {
        self.feeds_waiting.inc();
    }

    /// A feed has room for its bundle, or ended.
    pub fn feed_waits_no_more(&self) {
        self.feeds_waiting.dec();
    }

    /// A feed ended because a line was not taken in time.
    pub fn feed_too_slow(&self) {
        self.feeds_too_slow.inc();
    }

    /// A namespace was planned.
    pub fn planned(&self, result: &'static str) {
        self.plans.get_or_create(&Result_ { result }).inc();
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    fn told(registry: &Registry, metric: &str) -> Vec<String> {
        let mut text = String::new();
        encode(&mut text, registry).unwrap();
        text.lines().filter(|line| line.starts_with(&format!("{metric}{{"))).map(str::to_owned).collect()
    }

    #[test]
    fn agents_are_counted_by_what_holds_and_leave_nothing_behind() {
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        metrics.enforced("shop", &["GotOut", "Captured", "Captured"]);
        metrics.enforced("store", &["Ungoverned"]);
        let mut lines = told(&registry, "aegis_operator_agents");
        lines.sort();
        let line = |of: &str, enforcement: &str, count: u8| {
            format!("aegis_operator_agents{{agent_namespace=\"{of}\",enforcement=\"{enforcement}\"}} {count}")
        };
        assert_eq!(lines, [line("shop", "Captured", 2), line("shop", "GotOut", 1), line("store", "Ungoverned", 1)]);
        metrics.enforced("shop", &["Captured"]);
        metrics.enforced("store", &[]);
        assert_eq!(told(&registry, "aegis_operator_agents"), [line("shop", "Captured", 1)]);
    }

    #[test]
    fn frozen_agents_are_counted_by_cause_and_leave_nothing_behind() {
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        metrics.frozen("shop", &[Cause::TooLarge, Cause::TooLarge]);
        metrics.frozen("store", &[]);
        let name = "aegis_operator_agents_frozen";
        assert_eq!(told(&registry, name), [format!("{name}{{agent_namespace=\"shop\",cause=\"too_large\"}} 2")]);
        metrics.frozen("shop", &[]);
        assert_eq!(told(&registry, name), [""; 0]);
    }
}
