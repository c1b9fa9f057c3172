//! The operator's keys: one Ed25519 key per purpose, in one Secret that it makes at its first start and never overwrites.

use std::collections::BTreeMap;

use aegis_decision::jws::{KeySet, KeySetError, Purpose, SigningKey};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::{Api, Client};
use zeroize::Zeroizing;

/// Name of the Secret.
pub const SECRET: &str = "aegis-keys";

/// Keys that sign, by purpose.
#[derive(Debug)]
pub struct Keys {
    /// Signs agent tokens.
    pub tokens: SigningKey,
    /// Signs attestations of sidecars' record keys.
    pub attestations: SigningKey,
    /// Signs the feed.
    pub feed: SigningKey,
    /// Signs releases and claim receipts.
    pub releases: SigningKey,
}

/// Why the keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The API server refused or could not be reached.
    #[error("secret {SECRET}")]
    Api(#[from] kube::Error),
    /// The Secret is there but lacks or garbles a key.
    #[error(
        "secret {SECRET}: data.{0} is missing or malformed; restore it from a backup, or delete the Secret to make new keys (every sidecar must then start again)"
    )]
    Malformed(&'static str),
    /// Two purposes have one key.
    #[error("two purposes share one key")]
    Shared(#[from] KeySetError),
}

const SEEDS: [&str; 4] = ["tokens", "attestations", "feed", "releases"];

impl Keys {
    /// Reads the Secret, or makes it. Of several replicas that start at once, one makes it and all read that one.
    pub async fn load(client: Client, namespace: &str) -> Result<Self, KeysError> {
        let secrets: Api<Secret> = Api::namespaced(client, namespace);
        if let Some(secret) = secrets.get_opt(SECRET).await? {
            return Self::parse(&secret);
        }
        match secrets.create(&PostParams::default(), &make(namespace)).await {
            Ok(secret) => {
                tracing::info!(secret = SECRET, "made new keys");
                Self::parse(&secret)
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Self::parse(&secrets.get(SECRET).await?),
            Err(error) => Err(error.into()),
        }
    }

    fn parse(secret: &Secret) -> Result<Self, KeysError> {
        let data = secret.data.as_ref();
        let bytes = |name: &'static str| data.and_then(|data| data.get(name)).ok_or(KeysError::Malformed(name));
        let key = |purpose: Purpose, name| {
            let seed: Zeroizing<[u8; 32]> =
                Zeroizing::new(bytes(name)?.0.as_slice().try_into().map_err(|_| KeysError::Malformed(name))?);
            Ok::<_, KeysError>(SigningKey::from_seed(purpose, &seed))
        };
        let keys = Self {
            tokens: key(Purpose::Tokens, "tokens")?,
            attestations: key(Purpose::Attestations, "attestations")?,
            feed: key(Purpose::Feed, "feed")?,
            releases: key(Purpose::Releases, "releases")?,
        };
        keys.public()?;
        Ok(keys)
    }

    /// The public halves, as sidecars and auditors get them.
    pub fn public(&self) -> Result<KeySet, KeySetError> {
        let mut set = KeySet::new();
        for key in [&self.tokens, &self.attestations, &self.feed, &self.releases] {
            set.insert(key.purpose(), key.public())?;
        }
        Ok(set)
    }
}

fn make(namespace: &str) -> Secret {
    let data = SEEDS.iter().map(|name| ((*name).to_owned(), ByteString(rand::random::<[u8; 32]>().to_vec())));
    Secret {
        metadata: kube::core::ObjectMeta {
            name: Some(SECRET.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some(BTreeMap::from([("app.kubernetes.io/part-of".to_owned(), "aegis".to_owned())])),
            ..Default::default()
        },
        type_: Some("aegis.dev/keys".to_owned()),
        immutable: Some(true),
        data: Some(data.collect()),
        ..Default::default()
    }
}
