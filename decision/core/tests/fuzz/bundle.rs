//! The bundle reader: what the feed carries is read as it was written, or refused, and only what the key signed counts.

use std::sync::LazyLock;

use aegis_decision::bundle::{Bundle, BundleSource};
use aegis_decision::digest::Digest;
use aegis_decision::feed::{Change, Envelope, FeedError, FeedState};
use aegis_decision::json;
use aegis_decision::jws::{JwsError, KeySet, Purpose, SigningKey};

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_seed(Purpose::Feed, &[1; 32]));
static KEYS: LazyLock<KeySet> = LazyLock::new(|| {
    let mut keys = KeySet::new();
    keys.insert(Purpose::Feed, KEY.public()).expect("a key of the feed");
    keys
});

/// The input is taken as a source, as an item, and as a line of the feed.
pub fn check(bytes: &[u8]) {
    source(bytes);
    if let Ok(item) = serde_json::from_slice(bytes) {
        signed(&item);
    }
    if let Ok(line) = std::str::from_utf8(bytes) {
        unsigned(line);
    }
}

/// The plain reader sees what the strict one sees, and a source survives being written.
fn source(bytes: &[u8]) {
    let Ok(source) = json::read::<BundleSource>(bytes) else { return };
    let digest = Digest::of(&source);
    // Spelled as 5.0 or 5e0 a number is an integer to the strict reader alone.
    if let Ok(plain) = serde_json::from_slice::<BundleSource>(bytes) {
        assert_eq!(Digest::of(&plain), digest, "the two readers see different sources");
    }
    let spelled = json::emit(&json::parse(bytes).expect("it was read"));
    let plain: BundleSource = serde_json::from_slice(&spelled).expect("the plain reader takes what is spelled plainly");
    assert_eq!(Digest::of(&plain), digest, "the two readers see different sources");
    let written = serde_json::to_vec(&source).expect("a source is JSON");
    assert_eq!(json::read::<BundleSource>(&written).ok().as_ref(), Some(&source), "written and read again");

    if let Ok(bundle) = Bundle::assemble(source) {
        assert_eq!(Digest::of(bundle.source()), bundle.digest());
        let again = Bundle::assemble(bundle.source().clone()).expect("a bundle's own source");
        assert_eq!(again.digest(), bundle.digest(), "assembled again");
    }
}

/// An item that the key did sign is judged by what it says, changes the state as a whole or not at all, and counts once.
fn signed(item: &Envelope) {
    let Ok(line) = item.sign(&KEY) else { return };
    let now = item.as_of;
    let mut state = FeedState::new(item.agent_uid.clone());
    match state.accept(&line, &KEYS, now) {
        Ok(change) => {
            assert_eq!(state.as_of(), Some(item.as_of));
            if let Change::Policy { version, digest, source } = change {
                assert_eq!((Digest::of(source.as_ref()), &source.agent.uid), (digest, &item.agent_uid));
                assert_eq!(state.policy(), Some((version, digest)));
            }
            let known = (state.as_of(), state.policy());
            assert_eq!(state.accept(&line, &KEYS, now), Err(FeedError::Sequence), "the same item again");
            assert_eq!((state.as_of(), state.policy()), known, "a refused item counted");
        }
        Err(error) => {
            assert!(!matches!(error, FeedError::Jws(_)), "not read as it was signed: {error}");
            assert_eq!((state.as_of(), state.policy()), (None, None), "a refused item counted");
        }
    }
    let mut other = FeedState::new(format!("{}-2", item.agent_uid));
    assert_eq!(other.accept(&line, &KEYS, now), Err(FeedError::OtherAgent));
}

/// Of all lines, those verify that signing gives: neither forged nor spelled in another way.
fn unsigned(line: &str) {
    match Envelope::verify(line, &KEYS) {
        Ok(item) => assert_eq!(item.sign(&KEY).as_deref(), Ok(line), "signed by nobody"),
        Err(error) => assert_ne!(error, JwsError::Purpose),
    }
}
