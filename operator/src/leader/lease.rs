//! The Lease itself: looked at and written until the drain begins, then let go.

use std::time::Duration;

use aegis_runtime::shutdown::Drain;
use aegis_runtime::tasks::TaskResult;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::evaluate::{Act, Record, Seen, evaluate};

/// Name of the Lease in the operator's own namespace.
pub const LEASE: &str = "aegis-operator";
/// A holder that is silent this long is replaced.
const DURATION: Duration = Duration::from_secs(15);
/// A leader that could not renew for this long steps down: before anybody else may take over.
const STEP_DOWN: Duration = Duration::from_secs(10);
/// Time between two looks.
const LOOK: Duration = Duration::from_secs(2);

/// Runs for the Lease, and keeps it, until the drain begins; then lets it go, so that another leads at once.
pub async fn run(
    client: Client,
    namespace: String,
    me: String,
    leads: watch::Sender<bool>,
    drain: Drain,
) -> TaskResult {
    let leases: Api<Lease> = Api::namespaced(client, &namespace);
    let start = Instant::now();
    let mut seen = Seen { record: None, since: Duration::ZERO };
    let mut renewed: Option<Instant> = None;
    loop {
        let turn = timeout(LOOK * 2, turn(&leases, &me, &mut seen, start)).await;
        match turn {
            Ok(Ok(true)) => renewed = Some(Instant::now()),
            Ok(Ok(false)) => renewed = None,
            Ok(Err(error)) => tracing::warn!(%error, "lease not renewed"),
            Err(_) => tracing::warn!("lease not renewed in time"),
        }
        let leading = renewed.is_some_and(|at| at.elapsed() < STEP_DOWN);
        leads.send_if_modified(|before| {
            let changed = *before != leading;
            if changed {
                tracing::info!(leading, holder = me, "leadership");
            }
            *before = leading;
            changed
        });
        tokio::select! {
            () = drain.begun() => break,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    if *leads.borrow() {
        leads.send_replace(false);
        let _ = timeout(LOOK, let_go(&leases, &me)).await;
    }
    Ok(())
}

/// One look and what follows from it; says whether this replica holds the Lease now.
async fn turn(leases: &Api<Lease>, me: &str, seen: &mut Seen, start: Instant) -> Result<bool, kube::Error> {
    let stored = leases.get_opt(LEASE).await?;
    *seen = seen.clone().look(stored.as_ref().map(record), start.elapsed());
    let written = match (evaluate(seen, me, start.elapsed()), stored) {
        (Act::Wait { .. }, _) => return Ok(false),
        (Act::Create, _) | (_, None) => {
            let lease = Lease {
                metadata: ObjectMeta { name: Some(LEASE.to_owned()), ..ObjectMeta::default() },
                spec: Some(held(me, 0, None)),
            };
            leases.create(&PostParams::default(), &lease).await
        }
        (Act::Renew, Some(mut lease)) => {
            let spec = lease.spec.get_or_insert_default();
            spec.renew_time = Some(MicroTime(Timestamp::now()));
            leases.replace(LEASE, &PostParams::default(), &lease).await
        }
        (Act::Take { transitions }, Some(mut lease)) => {
            lease.spec = Some(held(me, transitions, Some(Timestamp::now())));
            leases.replace(LEASE, &PostParams::default(), &lease).await
        }
    };
    match written {
        Ok(lease) => {
            *seen = Seen { record: Some(record(&lease)), since: start.elapsed() };
            Ok(true)
        }
        // Somebody was faster: look again.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}

fn held(me: &str, transitions: i32, acquired: Option<Timestamp>) -> LeaseSpec {
    let now = Timestamp::now();
    LeaseSpec {
        holder_identity: Some(me.to_owned()),
        lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
        acquire_time: Some(MicroTime(acquired.unwrap_or(now))),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(transitions),
        ..LeaseSpec::default()
    }
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or_default();
    Record {
        holder: spec.holder_identity.unwrap_or_default(),
        duration: Duration::from_secs(seconds),
        renewed: spec.renew_time.map_or(0, |time| time.0.as_microsecond()),
        transitions: spec.lease_transitions.unwrap_or_default(),
    }
}

/// Nobody holds it any more, if it is still ours.
async fn let_go(leases: &Api<Lease>, me: &str) -> Result<(), kube::Error> {
    let Some(mut lease) = leases.get_opt(LEASE).await? else { return Ok(()) };
    let spec = lease.spec.get_or_insert_default();
    if spec.holder_identity.as_deref() != Some(me) {
        return Ok(());
    }
    spec.holder_identity = Some(String::new());
    leases.replace(LEASE, &PostParams::default(), &lease).await.map(|_| ())
}
