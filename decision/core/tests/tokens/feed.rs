//! The feed's receiver: what it accepts, in which order, and for how long.

use std::collections::BTreeMap;

use aegis_decision::agent::{Agent, Lifecycle, Standing};
use aegis_decision::approval::Release;
use aegis_decision::bundle::{Bundle, BundleSource, MAX_SOURCE_BYTES};
use aegis_decision::digest::Digest;
use aegis_decision::feed::{Change, Envelope, FeedError, FeedItem, FeedState, Freshness, Grants, freshness};
use aegis_decision::jws::{JwsError, KeySet, Purpose, SigningKey, Typ, sign};
use aegis_decision::registry::{ByKey, Entry, Registry};
use aegis_decision::tool::Class;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use test_case::test_case;

fn at(seconds: i64) -> Timestamp {
    "2026-03-04T05:06:07Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

fn key(purpose: Purpose) -> SigningKey {
    let seed = if purpose == Purpose::Feed { 1 } else { 2 };
    SigningKey::from_seed(purpose, &[seed; 32])
}

fn keys() -> KeySet {
    let mut keys = KeySet::new();
    keys.insert(Purpose::Feed, key(Purpose::Feed).public()).unwrap();
    keys.insert(Purpose::Releases, key(Purpose::Releases).public()).unwrap();
    keys
}

fn source(version: &str) -> BundleSource {
    BundleSource {
        agent: Agent {
            namespace: "shop".to_owned(),
            name: "buyer".to_owned(),
            uid: "a-1".to_owned(),
            tenant: "acme".to_owned(),
            business_unit: "supply".to_owned(),
            owner: "dana".to_owned(),
            version: version.to_owned(),
            ceiling: Class::Commit,
            service_account: "buyer".to_owned(),
            max_staleness_seconds: 60,
            token_ttl_seconds: 600,
            level: aegis_decision::egress::Level::Mediated,
            egress: Vec::new(),
            mode: aegis_decision::agent::Mode::Enforce,
        },
        tools: Vec::new(),
        policies: Vec::new(),
        registries: vec![Registry {
            name: "suppliers".to_owned(),
            key: "supplierId".to_owned(),
            entries: BTreeMap::from([("S-1".to_owned(), Entry::new())]).into(),
            documents: ByKey::default(),
        }],
        tiers: Vec::new(),
    }
}

fn policy(version: u64, content: &str) -> FeedItem {
    let source = source(content);
    FeedItem::Policy { version, digest: Digest::of(&source), source: Box::new(source) }
}

fn grants(releases: Vec<String>) -> FeedItem {
    let standing = Standing { lifecycle: Lifecycle::Active, review: None };
    FeedItem::Grants(Grants { standing, delegations: Vec::new(), releases, probe_requested: None })
}

fn release(agent: &str) -> Release {
    Release {
        request_name: "buyer-1".to_owned(),
        request_uid: "r-1".to_owned(),
        agent_uid: agent.to_owned(),
        effect_digest: Digest::of_bytes(b"effect"),
        context_digest: Digest::of_bytes(b"context"),
        expires_at: at(900),
    }
}

fn line(sequence: u64, as_of: i64, item: FeedItem) -> String {
    let envelope = Envelope { agent_uid: "a-1".to_owned(), sequence, as_of: at(as_of), item };
    envelope.sign(&key(Purpose::Feed)).unwrap()
}

/// Accepts at second 100.
fn accept(state: &mut FeedState, line: &str) -> Result<Change, FeedError> {
    state.accept(line, &keys(), at(100))
}

#[test]
fn items_are_accepted_in_order() {
    let mut state = FeedState::new("a-1");
    let Ok(Change::Policy { version: 3, digest, source: received }) = accept(&mut state, &line(1, 10, policy(3, "7")))
    else {
        panic!("a policy")
    };
    assert_eq!((*received, digest), (source("7"), Digest::of(&source("7"))));
    let token = release("a-1").sign(&key(Purpose::Releases)).unwrap();
    let Ok(Change::Grants(grants)) = accept(&mut state, &line(2, 10, grants(vec![token]))) else { panic!("grants") };
    assert_eq!(grants.releases, [release("a-1")]);
    assert_eq!(accept(&mut state, &line(5, 20, FeedItem::Heartbeat)), Ok(Change::Nothing));
    assert_eq!((state.as_of(), state.policy()), (Some(at(20)), Some((3, digest))));
}

#[test]
fn sequence_grows_within_a_connection() {
    let mut state = FeedState::new("a-1");
    accept(&mut state, &line(4, 10, FeedItem::Heartbeat)).unwrap();
    for again in [4, 3, 0] {
        assert_eq!(accept(&mut state, &line(again, 20, FeedItem::Heartbeat)), Err(FeedError::Sequence));
    }
    assert_eq!(state.as_of(), Some(at(10)), "a refused item moves nothing");
    state.connected();
    assert_eq!(accept(&mut state, &line(1, 20, FeedItem::Heartbeat)), Ok(Change::Nothing));
}

#[test]
fn as_of_never_goes_back_nor_far_ahead() {
    let mut state = FeedState::new("a-1");
    accept(&mut state, &line(1, 50, FeedItem::Heartbeat)).unwrap();
    state.connected();
    assert_eq!(accept(&mut state, &line(1, 49, grants(Vec::new()))), Err(FeedError::AsOfBack), "not by reconnecting");
    assert_eq!(accept(&mut state, &line(2, 131, FeedItem::Heartbeat)), Err(FeedError::AsOfAhead));
    assert_eq!(accept(&mut state, &line(2, 130, FeedItem::Heartbeat)), Ok(Change::Nothing));
}

#[test]
fn policy_versions_never_go_back() {
    let mut state = FeedState::new("a-1");
    accept(&mut state, &line(1, 10, policy(3, "7"))).unwrap();
    state.connected();
    assert_eq!(accept(&mut state, &line(1, 10, policy(3, "7"))), Ok(Change::Nothing), "what is in use already");
    assert_eq!(accept(&mut state, &line(2, 10, policy(3, "8"))), Err(FeedError::VersionReused));
    assert_eq!(accept(&mut state, &line(2, 10, policy(2, "7"))), Err(FeedError::VersionBack));
    assert!(matches!(accept(&mut state, &line(2, 10, policy(4, "8"))), Ok(Change::Policy { version: 4, .. })));
}

#[test]
fn a_policy_is_what_its_digest_says_and_for_this_agent() {
    let mut state = FeedState::new("a-1");
    let wrong = FeedItem::Policy { version: 1, digest: Digest::of_bytes(b"other"), source: Box::new(source("7")) };
    assert_eq!(accept(&mut state, &line(1, 10, wrong)), Err(FeedError::Digest));
    let mut foreign = source("7");
    foreign.agent.uid = "a-2".to_owned();
    let foreign = FeedItem::Policy { version: 1, digest: Digest::of(&foreign), source: Box::new(foreign) };
    assert_eq!(accept(&mut state, &line(1, 10, foreign)), Err(FeedError::PolicyForOther));
    assert_eq!(state.policy(), None);
}

#[test]
fn an_item_for_another_agent_is_refused() {
    let mut state = FeedState::new("a-2");
    assert_eq!(accept(&mut state, &line(1, 10, FeedItem::Heartbeat)), Err(FeedError::OtherAgent));
}

#[test]
fn one_bad_release_refuses_the_whole_item() {
    let mut state = FeedState::new("a-1");
    let good = release("a-1").sign(&key(Purpose::Releases)).unwrap();
    let foreign = release("a-2").sign(&key(Purpose::Releases)).unwrap();
    let forged = release("a-1").sign(&SigningKey::from_seed(Purpose::Releases, &[9; 32])).unwrap();
    for (bad, error) in [
        (foreign, FeedError::ReleaseForOther),
        (forged, FeedError::Release(JwsError::UnknownKey)),
        ("x".to_owned(), FeedError::Release(JwsError::Form)),
    ] {
        assert_eq!(accept(&mut state, &line(1, 10, grants(vec![good.clone(), bad]))), Err(error));
    }
    assert_eq!(state.as_of(), None);
    assert!(accept(&mut state, &line(1, 10, grants(vec![good]))).is_ok());
}

#[test]
fn only_the_feed_key_signs_items() {
    let envelope = Envelope { agent_uid: "a-1".to_owned(), sequence: 1, as_of: at(1), item: FeedItem::Heartbeat };
    assert_eq!(envelope.sign(&key(Purpose::Releases)), Err(JwsError::Purpose));
    let forged = envelope.sign(&SigningKey::from_seed(Purpose::Feed, &[9; 32])).unwrap();
    let mut state = FeedState::new("a-1");
    assert_eq!(accept(&mut state, &forged), Err(FeedError::Jws(JwsError::UnknownKey)));
}

#[test]
fn unknown_members_and_kinds_are_refused() {
    let mut state = FeedState::new("a-1");
    let envelope = |item: serde_json::Value| {
        let value = serde_json::json!({"agentUid": "a-1", "sequence": 1, "asOf": at(1), "item": item});
        sign(&key(Purpose::Feed), Typ::FeedItem, &value).unwrap()
    };
    assert_eq!(accept(&mut state, &envelope("heartbeat".into())), Ok(Change::Nothing));
    for item in [
        serde_json::json!("allowEverything"),
        serde_json::json!({"grants": {"standing": {"lifecycle": "Active"}, "failOpen": true}}),
        serde_json::json!({"grants": {"standing": {"lifecycle": "Asleep"}}}),
    ] {
        state.connected();
        assert_eq!(accept(&mut state, &envelope(item)), Err(FeedError::Jws(JwsError::Payload)));
    }
}

#[test]
fn the_largest_bundle_fits_in_an_item_and_a_larger_one_is_none() {
    let with_keys = |longest: usize| {
        let mut source = source("7");
        // Every second byte is one that JSON escapes: nothing is longer on its way than it was measured to be.
        let keys = (0..1_000).map(|n| (format!("{n:04}{}", "\"x".repeat(longest / 2)), BTreeMap::new()));
        source.registries[0].entries = keys.collect();
        source
    };
    let largest =
        (3_400..3_500).rev().step_by(2).find_map(|longest| Bundle::assemble(with_keys(longest)).ok()).unwrap();
    let (source, digest) = (Box::new(largest.source().clone()), largest.digest());
    assert!(serde_json::to_vec(&source).unwrap().len() > MAX_SOURCE_BYTES - 10_000);
    let item = FeedItem::Policy { version: 1, digest, source };
    let line =
        Envelope { agent_uid: "a-1".to_owned(), sequence: 1, as_of: at(1), item }.sign(&key(Purpose::Feed)).unwrap();
    assert!(accept(&mut FeedState::new("a-1"), &line).is_ok());

    let error = Bundle::assemble(with_keys(4_000)).unwrap_err().to_string();
    assert!(error.contains(&format!("at most {MAX_SOURCE_BYTES} are possible")), "{error}");
    let item = FeedItem::Policy { version: 1, digest, source: Box::new(with_keys(6_000)) };
    let line = Envelope { agent_uid: "a-1".to_owned(), sequence: 1, as_of: at(1), item }.sign(&key(Purpose::Feed));
    assert_eq!(line, Err(JwsError::TooLong), "nor is it signed");
}

#[test_case(-31, Freshness::Closed; "from the future")]
#[test_case(-30, Freshness::Fresh; "ahead within the skew")]
#[test_case(60, Freshness::Fresh; "at the bound")]
#[test_case(61, Freshness::WritesClosed; "over the bound")]
#[test_case(120, Freshness::WritesClosed; "at twice the bound")]
#[test_case(121, Freshness::Closed; "over twice the bound")]
fn knowledge_ages(age: i64, expected: Freshness) {
    assert_eq!(freshness(at(0), at(age), 60), expected);
}

#[test]
fn extreme_ages_do_not_overflow() {
    assert_eq!(freshness(Timestamp::MIN, Timestamp::MAX, u32::MAX), Freshness::Closed);
    assert_eq!(freshness(Timestamp::MAX, Timestamp::MIN, u32::MAX), Freshness::Closed);
}

proptest! {
    #[test]
    fn arbitrary_lines_never_count(text in "\\PC{0,300}") {
        let mut state = FeedState::new("a-1");
        prop_assert!(accept(&mut state, &text).is_err());
        prop_assert_eq!(state.as_of(), None);
    }

    /// Whatever order a hostile network makes of honest items, what was accepted never goes back.
    #[test]
    fn nothing_accepted_ever_goes_back(
        items in prop::collection::vec((0_u64..6, 0_i64..60, 0_u64..5, any::<bool>()), 1..12),
    ) {
        let mut state = FeedState::new("a-1");
        for (sequence, as_of, version, reconnect) in items {
            if reconnect {
                state.connected();
            }
            let before = (state.as_of(), state.policy().map(|(version, _)| version));
            let item = if version == 0 { FeedItem::Heartbeat } else { policy(version, &version.to_string()) };
            let _ = accept(&mut state, &line(sequence, as_of, item));
            let after = (state.as_of(), state.policy().map(|(version, _)| version));
            prop_assert!(after.0 >= before.0 && after.1 >= before.1);
        }
    }
}
