//! The operator's metrics. Labels are from closed sets only.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

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
}

impl Metrics {
    /// Registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            tokens: Family::default(),
            submissions: Family::default(),
            claims: Family::default(),
            outcomes: Family::default(),
            decided: Family::new_with_constructor(|| Histogram::new(exponential_buckets(1.0, 2.0, 16))),
            guards: Gauge::default(),
            plans: Family::default(),
            probes: Family::default(),
        };
        let registry = registry.sub_registry_with_prefix("aegis_operator");
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
        registry.register("probes", "Statements about probes of pods, by what they say", metrics.probes.clone());
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

    /// A namespace was planned.
    pub fn planned(&self, result: &'static str) {
        self.plans.get_or_create(&Result_ { result }).inc();
    }
}
