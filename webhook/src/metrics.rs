//! The webhook's metrics. Labels are from closed sets only.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Admission {
    hook: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Hook {
    hook: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Step {
    step: &'static str,
}

/// The metrics, registered once and passed in.
#[derive(Debug, Clone)]
pub struct Metrics {
    admissions: Family<Admission, Counter>,
    duration: Family<Hook, Histogram>,
    steps: Family<Step, Counter>,
    failures: Counter,
    expiry: Gauge,
}

impl Metrics {
    /// Registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            admissions: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.000_25, 2.0, 15))),
            steps: Family::default(),
            failures: Counter::default(),
            expiry: Gauge::default(),
        };
        let registry = registry.sub_registry_with_prefix("aegis_webhook");
        registry.register("admissions", "Questions of the API server, by hook and result", metrics.admissions.clone());
        registry.register_with_unit(
            "admission_duration",
            "Time to answer the API server",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register("certificate_steps", "Steps of the certificates' rotation", metrics.steps.clone());
        registry.register(
            "certificate_failures",
            "Steps of the certificates' rotation that failed, and are tried again",
            metrics.failures.clone(),
        );
        registry.register_with_unit(
            "certificate_expiry_timestamp",
            "When the certificate that is served ends, since 1970",
            Unit::Seconds,
            metrics.expiry.clone(),
        );
        metrics
    }

    /// A question was answered.
    pub fn admitted(&self, hook: &'static str, result: &'static str, took: Duration) {
        self.admissions.get_or_create(&Admission { hook, result }).inc();
        self.duration.get_or_create(&Hook { hook }).observe(took.as_secs_f64());
    }

    /// A step of the rotation was made.
    pub fn stepped(&self, step: &'static str) {
        self.steps.get_or_create(&Step { step }).inc();
    }

    /// A step of the rotation failed.
    pub fn failed(&self) {
        self.failures.inc();
    }

    /// A certificate is served that ends then.
    pub fn expires(&self, at: Duration) {
        self.expiry.set(i64::try_from(at.as_secs()).unwrap_or(i64::MAX));
    }
}
