//! One agent for the tests of the feed: its bundles, its views, the keys that sign for it, and what metrics tell.

use std::sync::Arc;

use aegis_decision::agent::{Agent, Lifecycle, Mode, Standing};
use aegis_decision::bundle::{Bundle, BundleSource};
use aegis_decision::egress::Level;
use aegis_decision::feed::Grants;
use aegis_decision::jws::{Purpose, SigningKey};
use aegis_decision::tool::Class;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::hub::{Published, View};
use crate::keys::Keys;

pub const UID: &str = "uid-buyer";

pub fn agent(version: &str) -> Agent {
    Agent {
        namespace: "shop".to_owned(),
        name: "buyer".to_owned(),
        uid: UID.to_owned(),
        tenant: "acme".to_owned(),
        business_unit: "office".to_owned(),
        owner: "Purchasing".to_owned(),
        version: version.to_owned(),
        ceiling: Class::Commit,
        service_account: "buyer-sa".to_owned(),
        max_staleness_seconds: 60,
        token_ttl_seconds: 300,
        level: Level::Mediated,
        egress: Vec::new(),
        mode: Mode::Enforce,
    }
}

/// A bundle of that version, which differs from others by the agent's own.
pub fn published(version: u64, of_agent: &str) -> Arc<Published> {
    let source = BundleSource {
        agent: agent(of_agent),
        tools: Vec::new(),
        policies: Vec::new(),
        registries: Vec::new(),
        tiers: Vec::new(),
    };
    Arc::new(Published { version, bundle: Bundle::assemble(source).unwrap().into() })
}

pub fn view(lifecycle: Lifecycle, bundle: &Arc<Published>) -> View {
    let standing = Standing { lifecycle, review: None };
    View {
        agent: Arc::new(agent("1")),
        workload_bound: true,
        bundle: Some(Arc::clone(bundle)),
        grants: Arc::new(Grants { standing, delegations: Vec::new(), releases: Vec::new(), probe_requested: None }),
    }
}

pub fn keys() -> Arc<Keys> {
    let key = |purpose, seed| SigningKey::from_seed(purpose, &[seed; 32]);
    Arc::new(Keys {
        tokens: key(Purpose::Tokens, 1),
        attestations: key(Purpose::Attestations, 2),
        feed: key(Purpose::Feed, 3),
        releases: key(Purpose::Releases, 4),
    })
}

/// What a metric without labels tells now.
pub fn told(registry: &Registry, metric: &str) -> String {
    let mut text = String::new();
    encode(&mut text, registry).unwrap();
    let mut values = text.lines().filter_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
    values.next().unwrap().to_owned()
}
