//! The webhook's metrics. Labels are from closed sets only.

use std::time::Duration;

use aegis_runtime::tls::rotation;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
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

/// The metrics, registered once and passed in.
#[derive(Debug, Clone)]
pub struct Metrics {
    admissions: Family<Admission, Counter>,
    duration: Family<Hook, Histogram>,
    /// Of the webhook's certificates.
    pub certificates: rotation::Metrics,
}

impl Metrics {
    /// Registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("aegis_webhook");
        let metrics = Self {
            admissions: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.000_25, 2.0, 15))),
            certificates: rotation::Metrics::new(registry),
        };
        registry.register("admissions", "Questions of the API server, by hook and result", metrics.admissions.clone());
        registry.register_with_unit(
            "admission_duration",
            "Time to answer the API server",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        metrics
    }

    /// A question was answered.
    pub fn admitted(&self, hook: &'static str, result: &'static str, took: Duration) {
        self.admissions.get_or_create(&Admission { hook, result }).inc();
        self.duration.get_or_create(&Hook { hook }).observe(took.as_secs_f64());
    }
}
