//! What is counted. Labels come from closed sets only: verdicts, codes, and names of declared tools.

use std::time::Duration;

use aegis_decision::codes::Code;
use aegis_decision::decision::Verdict;
use aegis_decision::record::{Ended, RecordedExecution, Way};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry, Unit};

use crate::feed::Rejection;

/// The sidecar's metrics: a struct, registered once, passed in.
#[derive(Debug, Clone)]
pub struct Metrics {
    calls: Family<CallLabels, Counter>,
    would: Family<WouldLabels, Counter>,
    outcomes: Family<OutcomeLabels, Counter>,
    decision_seconds: Histogram,
    call_seconds: Histogram,
    /// Calls under way.
    pub in_flight: Gauge,
    /// Records that are durable.
    pub records: Counter,
    /// Batches that are durable, heartbeats included.
    pub batches: Counter,
    /// Batches that could not be written and were taken back.
    pub record_failures: Counter,
    fsync_seconds: Histogram,
    /// Version of the bundle in use.
    pub bundle_version: Gauge,
    bundles_rejected: Family<RejectionLabels, Counter>,
    /// Age of the knowledge (`asOf`), seconds.
    pub knowledge_age_seconds: Gauge,
    /// Feed items that were refused.
    pub feed_refusals: Counter,
    /// Connections to the feed that were begun.
    pub feed_connections: Counter,
    /// Seconds left of the agent token.
    pub token_left_seconds: Gauge,
    /// Token exchanges that failed.
    pub token_failures: Counter,
    /// Reads of what is trusted that failed; what was read last is used on.
    pub trust_failures: Counter,
    /// Calls that were submitted for approval.
    pub holds: Counter,
    /// Claims that were won.
    pub claims: Counter,
    /// Connections of the agent that were not HTTP, or broke.
    pub broken_connections: Counter,
    probes: Family<ProbeLabels, Counter>,
    connections: Family<ConnectionLabels, Counter>,
    connection_ends: Family<EndLabels, Counter>,
    /// Tunnels that are open.
    pub tunnels: Gauge,
    tunnel_bytes: Family<ByteLabels, Counter>,
    dns_questions: Family<DnsLabels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    verdict: &'static str,
    tool: String,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WouldLabels {
    verdict: &'static str,
    actual: &'static str,
    tool: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RejectionLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProbeLabels {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
    tool: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConnectionLabels {
    way: &'static str,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabels {
    ended: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByteLabels {
    direction: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DnsLabels {
    answer: &'static str,
}

impl Metrics {
    /// Makes and registers them, under the registry's prefix.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            calls: metric(registry, "calls", "Calls by verdict, tool and code"),
            would: metric(
                registry,
                "would",
                "Calls for which something is tried out, by what they would come to if it were enforced and what they came to",
            ),
            outcomes: metric(registry, "outcomes", "Forwarded calls by how they ended"),
            decision_seconds: seconds(
                registry,
                "decision",
                "From the request's last byte to the verdict, facts included",
            ),
            call_seconds: seconds(registry, "call", "From the request's head to the answer"),
            in_flight: metric(registry, "calls_in_flight", "Calls under way"),
            records: metric(registry, "records", "Records that are durable"),
            batches: metric(registry, "record_batches", "Batches that are durable, heartbeats included"),
            record_failures: metric(registry, "record_failures", "Batches that could not be written"),
            fsync_seconds: seconds(registry, "record_fsync", "Writing and syncing one batch"),
            bundle_version: metric(registry, "bundle_version", "Version of the bundle in use"),
            bundles_rejected: metric(registry, "bundles_rejected", "Bundles that came and were not used, by reason"),
            knowledge_age_seconds: metric(registry, "knowledge_age_seconds", "Age of what the sidecar knows"),
            feed_refusals: metric(registry, "feed_refusals", "Feed items that were refused"),
            feed_connections: metric(registry, "feed_connections", "Connections to the feed that were begun"),
            token_left_seconds: metric(registry, "token_left_seconds", "Life left of the agent token"),
            token_failures: metric(registry, "token_failures", "Token exchanges that failed"),
            trust_failures: metric(registry, "trust_failures", "Reads of what is trusted that failed"),
            holds: metric(registry, "holds", "Calls submitted for approval"),
            claims: metric(registry, "claims", "Claims that were won"),
            broken_connections: metric(
                registry,
                "broken_connections",
                "Connections of the agent that were not HTTP, or broke",
            ),
            probes: metric(registry, "probes", "Runs of the pod's probe by what they found"),
            connections: metric(registry, "connections", "Connections that asked for a tunnel, by way in and code"),
            connection_ends: metric(registry, "connection_ends", "Tunnels by what ended them"),
            tunnels: metric(registry, "tunnels_open", "Tunnels that are open"),
            tunnel_bytes: metric(registry, "tunnel_bytes", "Bytes carried in tunnels that ended"),
            dns_questions: metric(registry, "dns_questions", "Questions to the DNS stub by answer"),
        };
        // The first one may be the only one for long: its series has to be there before it.
        for reason in Rejection::ALL {
            metrics.bundles_rejected.get_or_create(&RejectionLabels { reason: reason.as_str() }).inc_by(0);
        }
        metrics
    }

    /// A bundle came and is not used; the last good one stays.
    pub fn bundle_rejected(&self, reason: Rejection) {
        self.bundles_rejected.get_or_create(&RejectionLabels { reason: reason.as_str() }).inc();
    }

    /// A call was answered. `tool` is a declared one, or none. Without a verdict Aegis could not decide.
    pub fn answered(&self, verdict: Option<Verdict>, tool: Option<&str>, code: Option<Code>, time: Duration) {
        let labels = CallLabels {
            verdict: verdict.map_or("none", Verdict::as_str),
            tool: tool.unwrap_or("unknown").to_owned(),
            code: code.map_or("none", Code::as_str),
        };
        self.calls.get_or_create(&labels).inc();
        self.call_seconds.observe(time.as_secs_f64());
    }

    /// A call was judged by what is tried out too.
    pub fn tried_out(&self, would: Verdict, actual: Verdict, tool: Option<&str>) {
        let tool = tool.unwrap_or("unknown").to_owned();
        let labels = WouldLabels { verdict: would.as_str(), actual: actual.as_str(), tool };
        self.would.get_or_create(&labels).inc();
    }

    /// A call was decided.
    pub fn decided(&self, time: Duration) {
        self.decision_seconds.observe(time.as_secs_f64());
    }

    /// The pod's probe ran.
    pub fn probed(&self, holds: bool) {
        self.probes.get_or_create(&ProbeLabels { result: if holds { "held" } else { "got_out" } }).inc();
    }

    /// A forwarded call ended.
    pub fn ended(&self, outcome: RecordedExecution, tool: &str) {
        self.outcomes.get_or_create(&OutcomeLabels { outcome: outcome.as_str(), tool: tool.to_owned() }).inc();
    }

    /// A connection asked for a tunnel; without a code it was let through.
    pub fn connected(&self, way: Way, code: Option<Code>) {
        let labels = ConnectionLabels { way: way.as_str(), code: code.map_or("none", Code::as_str) };
        self.connections.get_or_create(&labels).inc();
    }

    /// A tunnel ended.
    pub fn disconnected(&self, ended: Ended, sent: u64, received: u64) {
        self.connection_ends.get_or_create(&EndLabels { ended: ended.as_str() }).inc();
        self.tunnel_bytes.get_or_create(&ByteLabels { direction: "sent" }).inc_by(sent);
        self.tunnel_bytes.get_or_create(&ByteLabels { direction: "received" }).inc_by(received);
    }

    /// The DNS stub answered a question.
    pub fn asked(&self, answer: &'static str) {
        self.dns_questions.get_or_create(&DnsLabels { answer }).inc();
    }

    /// A batch was written and synced.
    pub fn synced(&self, records: u64, time: Duration) {
        self.records.inc_by(records);
        self.batches.inc();
        self.fsync_seconds.observe(time.as_secs_f64());
    }
}

/// A new one, registered.
fn metric<M: Metric + Default + Clone>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

/// As [`metric`], of times from 50 microseconds to some 26 seconds.
fn seconds(registry: &mut Registry, name: &str, help: &str) -> Histogram {
    let metric = Histogram::new(exponential_buckets(0.000_05, 2.0, 20));
    registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
    metric
}
