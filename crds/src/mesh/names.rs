//! Names, ports and paths that webhook, operator, guards, chart and sidecar agree on.

use std::ops::RangeInclusive;

/// Label of namespaces in which pods are injected; value [`INJECT_ENABLED`].
pub const INJECT_LABEL: &str = "aegis.dev/inject";
/// Value of [`INJECT_LABEL`] that switches injection on.
pub const INJECT_ENABLED: &str = "enabled";
/// Label of an agent's pods: the agent's name.
pub const AGENT_LABEL: &str = "aegis.dev/agent";
/// Label of pods that Aegis makes for an agent; value [`GATEWAY`].
pub const COMPONENT_LABEL: &str = "aegis.dev/component";
/// Value of [`COMPONENT_LABEL`] for gateways.
pub const GATEWAY: &str = "gateway";
/// Annotation of injected pods: version of the sidecar.
pub const SIDECAR_VERSION: &str = "aegis.dev/sidecar-version";
/// Annotation of injected pods: digest of what was injected.
pub const INJECTION_DIGEST: &str = "aegis.dev/injection-digest";
/// Annotation of an Agent that asks for a probe of its pods now: an RFC 3339 time.
pub const PROBE_REQUESTED: &str = "aegis.dev/probe-requested";
/// Condition of a pod that the operator writes: what its newest probe found.
pub const POD_VERIFIED: &str = "aegis.dev/EnforcementVerified";

/// Init container that loads the packet rules.
pub const CAPTURE_CONTAINER: &str = "aegis-capture";
/// Native sidecar that judges calls.
pub const SIDECAR_CONTAINER: &str = "aegis-sidecar";
/// Native sidecar that tries to get out.
pub const PROBE_CONTAINER: &str = "aegis-probe";
/// The only container of a gateway.
pub const GATEWAY_CONTAINER: &str = "aegis-gateway";

/// Users that sidecars run as, one per pod; no other container may run as one of them. Below 65536, so that pods with a
/// user namespace of their own have them too.
pub const SIDECAR_UIDS: RangeInclusive<i64> = 30_000..=59_999;

/// Port for base URLs and proxied requests, on the pod's loopback.
pub const CALL_PORT: i32 = 15_080;
/// Port that captured TCP connections are redirected to.
pub const CAPTURE_PORT: i32 = 15_001;
/// Port that DNS questions are redirected to.
pub const DNS_PORT: i32 = 15_053;
/// Admin port, on all interfaces: `/live`, `/ready`, `/startup`, `/metrics`, `/status`. Changes nothing.
pub const ADMIN_PORT: i32 = 15_020;
/// Port of a gateway.
pub const GATEWAY_PORT: i32 = 15_443;

/// ConfigMap in every agent's namespace: the control service's CA and key set.
pub const TRUST_CONFIG_MAP: &str = "aegis-trust";
/// Audience of the pod's token.
pub const TOKEN_AUDIENCE: &str = "aegis";
/// Life of the pod's token in seconds: the least that the API server gives.
pub const TOKEN_SECONDS: i64 = 600;

/// Name of a gateway's Deployment and Service.
pub fn gateway_name(agent: &str) -> String {
    format!("{agent}-{GATEWAY}")
}

/// Name of the variable that tells an agent a tool's base URL: `AEGIS_TOOL_<NAME>_URL`.
pub fn tool_variable(tool: &str) -> String {
    format!("AEGIS_TOOL_{}_URL", tool.to_ascii_uppercase().replace('-', "_"))
}
