//! The gateway of a Sealed agent: the sidecar's program in a pod of its own. It alone holds the tools' credentials.

use aegis_decision::egress::Level;
use k8s_openapi::api::core::v1::{Container, PodSpec, Volume};

use super::names::{GATEWAY_CONTAINER, GATEWAY_PORT};
use super::parts::{
    Brokered, admin_get, base_mounts, base_volumes, common_env, container, credential_mount, credential_volume,
    every_second, hardened, sidecar_resources, variable,
};
use super::settings::Settings;
use k8s_openapi::api::core::v1::{ContainerPort, Probe};

/// User of every gateway: its pod holds nothing else.
pub const GATEWAY_UID: i64 = 65_532;

/// The pod of an agent's gateway.
pub fn pod_spec(
    settings: &Settings,
    namespace: &str,
    agent: &str,
    service_account: &str,
    brokered: &[Brokered],
) -> PodSpec {
    PodSpec {
        service_account_name: Some(service_account.to_owned()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        containers: vec![gateway(settings, namespace, agent, brokered)],
        volumes: Some(volumes(settings, brokered)),
        termination_grace_period_seconds: Some(45),
        ..PodSpec::default()
    }
}

/// Its container.
pub fn gateway(settings: &Settings, namespace: &str, agent: &str, brokered: &[Brokered]) -> Container {
    let mut env = common_env(settings, namespace, agent, Level::Sealed);
    env.push(variable("AEGIS_GATEWAY_LISTEN", &format!("0.0.0.0:{GATEWAY_PORT}")));
    let mut mounts = base_mounts();
    mounts.extend(brokered.iter().map(credential_mount));
    Container {
        env: Some(env),
        ports: Some(vec![ContainerPort {
            name: Some("gateway".to_owned()),
            container_port: GATEWAY_PORT,
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        readiness_probe: Some(Probe {
            http_get: Some(admin_get("/ready")),
            failure_threshold: Some(3),
            ..every_second()
        }),
        resources: Some(sidecar_resources(settings)),
        security_context: Some(hardened(GATEWAY_UID)),
        volume_mounts: Some(mounts),
        ..container(GATEWAY_CONTAINER, &settings.images.proxy, settings)
    }
}

/// Its volumes.
pub fn volumes(settings: &Settings, brokered: &[Brokered]) -> Vec<Volume> {
    base_volumes(settings).into_iter().chain(brokered.iter().map(credential_volume)).collect()
}
