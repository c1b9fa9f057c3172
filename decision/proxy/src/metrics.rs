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
use prometheus_client::registry::{Registry, Unit};

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
    /// Bundles that were accepted but did not compile; the last good one stayed.
    pub bundles_rejected: Counter,
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
    /// Connections of the agent that were not HTTP.
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
            calls: Family::default(),
            would: Family::default(),
            outcomes: Family::default(),
            decision_seconds: seconds(),
            call_seconds: seconds(),
            in_flight: Gauge::default(),
            records: Counter::default(),
            batches: Counter::default(),
            record_failures: Counter::default(),
            fsync_seconds: seconds(),
            bundle_version: Gauge::default(),
            bundles_rejected: Counter::default(),
            knowledge_age_seconds: Gauge::default(),
            feed_refusals: Counter::default(),
            feed_connections: Counter::default(),
            token_left_seconds: Gauge::default(),
            token_failures: Counter::default(),
            trust_failures: Counter::default(),
            holds: Counter::default(),
            claims: Counter::default(),
            broken_connections: Counter::default(),
            probes: Family::default(),
            connections: Family::default(),
            connection_ends: Family::default(),
            tunnels: Gauge::default(),
            tunnel_bytes: Family::default(),
            dns_questions: Family::default(),
        };
        let unit = || Unit::Seconds;
        registry.register("calls", "Calls by verdict, tool and code", metrics.calls.clone());
        registry.register(
            "would",
            "Calls for which something is tried out, by what they would come to if it were enforced and what they came to",
            metrics.would.clone(),
        );
        registry.register("outcomes", "Forwarded calls by how they ended", metrics.outcomes.clone());
        registry.register_with_unit(
            "decision",
            "From the request's last byte to the verdict, facts included",
            unit(),
            metrics.decision_seconds.clone(),
        );
        registry.register_with_unit(
            "call",
            "From the request's head to the answer",
            unit(),
            metrics.call_seconds.clone(),
        );
        registry.register("calls_in_flight", "Calls under way", metrics.in_flight.clone());
        registry.register("records", "Records that are durable", metrics.records.clone());
        registry.register("record_batches", "Batches that are durable, heartbeats included", metrics.batches.clone());
        registry.register("record_failures", "Batches that could not be written", metrics.record_failures.clone());
        registry.register_with_unit(
            "record_fsync",
            "Writing and syncing one batch",
            unit(),
            metrics.fsync_seconds.clone(),
        );
        registry.register("bundle_version", "Version of the bundle in use", metrics.bundle_version.clone());
        registry.register("bundles_rejected", "Bundles that did not compile", metrics.bundles_rejected.clone());
        registry.register(
            "knowledge_age_seconds",
            "Age of what the sidecar knows",
            metrics.knowledge_age_seconds.clone(),
        );
        registry.register("feed_refusals", "Feed items that were refused", metrics.feed_refusals.clone());
        registry.register(
            "feed_connections",
            "Connections to the feed that were begun",
            metrics.feed_connections.clone(),
        );
        registry.register("token_left_seconds", "Life left of the agent token", metrics.token_left_seconds.clone());
        registry.register("token_failures", "Token exchanges that failed", metrics.token_failures.clone());
        registry.register("trust_failures", "Reads of what is trusted that failed", metrics.trust_failures.clone());
        registry.register("holds", "Calls submitted for approval", metrics.holds.clone());
        registry.register("claims", "Claims that were won", metrics.claims.clone());
        registry.register(
            "broken_connections",
            "Connections of the agent that were not HTTP",
            metrics.broken_connections.clone(),
        );
        registry.register("probes", "Runs of the pod's probe by what they found", metrics.probes.clone());
        registry.register(
            "connections",
            "Connections that asked for a tunnel, by way in and code",
            metrics.connections.clone(),
        );
        registry.register("connection_ends", "Tunnels by what ended them", metrics.connection_ends.clone());
        registry.register("tunnels_open", "Tunnels that are open", metrics.tunnels.clone());
        registry.register("tunnel_bytes", "Bytes carried in tunnels that ended", metrics.tunnel_bytes.clone());
        registry.register("dns_questions", "Questions to the DNS stub by answer", metrics.dns_questions.clone());
        metrics
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

/// 50 microseconds to some 26 seconds.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_05, 2.0, 20))
}
