//! Keepers over shared places in memory, with places that come, go, or cannot be written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use prometheus_client::registry::Registry;

use super::super::Stored;
use super::*;

const LIFE: Lifetimes =
    Lifetimes { authority: Duration::from_secs(90), leaf: Duration::from_secs(20), settle: Duration::from_secs(10) };
const BEGIN: Duration = Duration::from_secs(1000);

/// What an API server would hold.
#[derive(Default)]
struct World {
    secret: Option<(u64, BTreeMap<String, Vec<u8>>)>,
    /// Version and certificates of each place; none where it is not there.
    places: BTreeMap<&'static str, Option<(u64, String)>>,
    refusing: BTreeSet<&'static str>,
    gone: BTreeSet<&'static str>,
    writes: u64,
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<World>>);

struct Place {
    name: &'static str,
    stored: Option<(u64, String)>,
}

#[derive(Debug, thiserror::Error)]
#[error("{0} cannot be written")]
struct Refusal(&'static str);

impl Shared for Memory {
    type Error = Refusal;
    type Place = Place;
    const SECRET: &'static str = "memory";

    async fn places(&self) -> Result<Vec<Place>, Refusal> {
        let world = self.0.lock().unwrap();
        Ok(world.places.iter().map(|(name, stored)| Place { name, stored: stored.clone() }).collect())
    }

    fn holds(&self, place: &Place, bundle: &str) -> bool {
        place.stored.as_ref().is_some_and(|(_, held)| held == bundle)
    }

    async fn publish(&self, place: &Place, bundle: &str) -> Result<Published, Refusal> {
        let mut world = self.0.lock().unwrap();
        if world.refusing.contains(place.name) {
            return Err(Refusal(place.name));
        }
        if world.gone.contains(place.name) {
            return Ok(Published::Gone);
        }
        let version = |stored: &Option<(u64, String)>| stored.as_ref().map(|(version, _)| *version);
        if world.places.get(place.name).map(version) != Some(version(&place.stored)) {
            return Ok(Published::Outdated);
        }
        world.writes += 1;
        let written = (world.writes, bundle.to_owned());
        world.places.insert(place.name, Some(written));
        Ok(Published::Written)
    }

    async fn kept(&self) -> Result<Option<Stored>, Refusal> {
        let world = self.0.lock().unwrap();
        Ok(world.secret.clone().map(|(version, data)| Stored { data, version: version.to_string() }))
    }

    async fn keep(&self, data: BTreeMap<&'static str, String>, version: Option<&str>) -> Result<bool, Refusal> {
        let mut world = self.0.lock().unwrap();
        if world.secret.as_ref().map(|(version, _)| version.to_string()).as_deref() != version {
            return Ok(false);
        }
        world.writes += 1;
        let data = data.into_iter().map(|(name, text)| (name.to_owned(), text.into_bytes())).collect();
        world.secret = Some((world.writes, data));
        Ok(true)
    }
}

impl Memory {
    fn with(places: &[&'static str]) -> Self {
        let memory = Self::default();
        memory.0.lock().unwrap().places = places.iter().map(|name| (*name, None)).collect();
        memory
    }

    fn keeper(&self) -> Keeper<Self> {
        let about = About { common_name: "test", names: vec!["localhost".to_owned()], lifetimes: LIFE };
        Keeper::new(self.clone(), about, Metrics::new(&mut Registry::default()))
    }

    /// Certificates that a place holds.
    fn held(&self, place: &str) -> usize {
        let world = self.0.lock().unwrap();
        let stored = world.places.get(place).unwrap().as_ref();
        stored.map_or(0, |(_, bundle)| bundle.matches("BEGIN CERTIFICATE").count())
    }

    fn change(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.0.lock().unwrap());
    }
}

/// Takes steps until there is nothing to do now.
async fn settle(keeper: &mut Keeper<Memory>, now: Duration) -> Turn {
    for _ in 0..20 {
        match keeper.turn(now).await.unwrap() {
            Turn::Again => {}
            turn => return turn,
        }
    }
    panic!("it never rests");
}

/// Two thirds of an authority's life: the next one is made.
const DUE: Duration = Duration::from_secs(1060);

#[tokio::test]
async fn two_replicas_share_one_authority_and_publish_it_before_they_serve() {
    let memory = Memory::with(&["shop", "store"]);
    let (mut first, mut second) = (memory.keeper(), memory.keeper());
    assert!(matches!(settle(&mut first, BEGIN).await, Turn::Wait(_)));
    assert_eq!((memory.held("shop"), memory.held("store")), (1, 1));
    assert!(matches!(settle(&mut second, BEGIN).await, Turn::Wait(_)));
    assert_eq!(first.held.as_ref().unwrap().issuer, second.held.as_ref().unwrap().issuer);
    assert!(first.served.is_some() && second.served.is_some());
}

#[tokio::test]
async fn a_place_that_comes_while_it_rotates_gets_all_that_is_trusted_then() {
    let memory = Memory::with(&["shop"]);
    let mut keeper = memory.keeper();
    settle(&mut keeper, BEGIN).await;
    settle(&mut keeper, DUE).await;
    assert_eq!(memory.held("shop"), 2, "old and next");
    memory.change(|world| {
        world.places.insert("late", None);
    });
    settle(&mut keeper, DUE + LIFE.settle / 2).await;
    assert_eq!(memory.held("late"), 2);
    // Promoted, then retired.
    settle(&mut keeper, DUE + LIFE.settle).await;
    settle(&mut keeper, DUE + LIFE.settle * 2 + LIFE.leaf).await;
    assert_eq!((memory.held("shop"), memory.held("late")), (1, 1));
}

#[tokio::test]
async fn a_place_that_goes_away_holds_nothing_up() {
    let memory = Memory::with(&["shop", "leaving"]);
    let mut keeper = memory.keeper();
    settle(&mut keeper, BEGIN).await;
    memory.change(|world| {
        world.gone.insert("leaving");
        world.places.insert("leaving", None);
    });
    let before = keeper.held.clone();
    for at in [DUE, DUE + LIFE.settle] {
        assert!(matches!(settle(&mut keeper, at).await, Turn::Wait(_)));
    }
    assert_ne!(keeper.held.unwrap().issuer, before.unwrap().issuer, "the next one signs");
    assert_eq!(memory.held("leaving"), 0);
}

#[tokio::test]
async fn a_place_that_cannot_be_written_holds_up_the_rotation_and_no_server() {
    let memory = Memory::with(&["shop", "locked"]);
    settle(&mut memory.keeper(), BEGIN).await;
    memory.change(|world| {
        world.refusing.insert("locked");
    });
    let mut keeper = memory.keeper();
    let hindered = Turn::Hindered(LIFE.settle / 4);
    settle(&mut keeper, BEGIN).await;
    // The next one is made and published where it can be, but never signs while one place lacks it.
    for at in [DUE, DUE + LIFE.settle, DUE + LIFE.authority] {
        assert_eq!(settle(&mut keeper, at).await, hindered);
        let held = keeper.held.as_ref().unwrap();
        assert!(at < held.made + LIFE.leaf, "its leaf is renewed");
    }
    assert_eq!((memory.held("shop"), memory.held("locked")), (2, 1));
    // One that starts meanwhile serves those who trust already.
    let mut new = memory.keeper();
    assert_eq!(settle(&mut new, DUE + LIFE.authority).await, hindered);
    assert!(new.served.is_some());
    memory.change(|world| world.refusing.clear());
    let healed = DUE + LIFE.authority * 2;
    settle(&mut keeper, healed).await;
    assert_eq!(memory.held("locked"), 2);
    settle(&mut keeper, healed + LIFE.settle).await;
    assert_ne!(keeper.held.unwrap().issuer, new.held.unwrap().issuer, "it goes on where it was");
}

#[tokio::test]
async fn what_was_changed_since_it_was_read_is_not_overwritten() {
    let memory = Memory::with(&["shop"]);
    let mut keeper = memory.keeper();
    settle(&mut keeper, BEGIN).await;
    let read = memory.places().await.unwrap();
    settle(&mut keeper, DUE).await;
    assert_eq!(memory.publish(&read[0], "old").await.unwrap(), Published::Outdated);
    assert!(!memory.keep(BTreeMap::new(), Some("1")).await.unwrap());
    assert_eq!(memory.held("shop"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_start_waits_for_a_locked_place_only_so_long() {
    let memory = Memory::with(&["shop", "locked"]);
    memory.change(|world| {
        world.refusing.insert("locked");
    });
    let began = Instant::now();
    memory.keeper().first().await;
    assert!(began.elapsed() >= PATIENCE && began.elapsed() < PATIENCE * 2, "{:?}", began.elapsed());
    assert_eq!(memory.held("shop"), 1);
    memory.change(|world| world.refusing.clear());
    let began = Instant::now();
    memory.keeper().first().await;
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_damaged_secret_is_named_and_left_alone() {
    let memory = Memory::with(&["shop"]);
    let damaged = BTreeMap::from([("ca.crt".to_owned(), b"none".to_vec())]);
    memory.change(|world| world.secret = Some((1, damaged)));
    let fault = memory.keeper().turn(BEGIN).await.unwrap_err();
    assert!(fault.to_string().contains("secret memory is damaged"), "{fault}");
    assert_eq!(memory.0.lock().unwrap().writes, 0);
}
