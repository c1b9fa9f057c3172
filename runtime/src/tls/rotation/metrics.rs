//! What is counted of a rotation, under the prefix of its program.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::Step;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    step: &'static str,
}

/// The metrics, registered once and passed in.
#[derive(Debug, Clone)]
pub struct Metrics {
    steps: Family<StepLabels, Counter>,
    failures: Counter,
    expiry: Gauge,
}

impl Metrics {
    /// Registers them, under the registry's prefix.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self { steps: Family::default(), failures: Counter::default(), expiry: Gauge::default() };
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

    pub(super) fn stepped(&self, step: Step) {
        self.steps.get_or_create(&StepLabels { step: step.as_str() }).inc();
    }

    pub(super) fn failed(&self) {
        self.failures.inc();
    }

    /// A certificate is served that ends then, since 1970.
    pub(super) fn expires(&self, at: Duration) {
        self.expiry.set(i64::try_from(at.as_secs()).unwrap_or(i64::MAX));
    }
}
