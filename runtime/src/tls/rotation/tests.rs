//! The rotation with several replicas, old views, and trust that reaches the other side late.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const LIFE: Lifetimes =
    Lifetimes { authority: Duration::from_secs(90), leaf: Duration::from_secs(20), settle: Duration::from_secs(10) };
/// What was published reaches everybody in this time, and a replica acts on what it read in this time.
const LAG: Duration = Duration::from_secs(4);

/// What a replica read.
#[derive(Clone)]
struct Seen {
    place: usize,
    version: usize,
    state: State,
    published: bool,
    at: Duration,
}

#[derive(Default, Clone)]
struct Replica {
    seen: Option<Seen>,
    held: Option<Held>,
}

/// Secret and place of the trust, with versions, as an API server has them.
struct World {
    now: Duration,
    state: State,
    version: usize,
    /// What was published, and when; the index is the version.
    trust: Vec<(Duration, Vec<String>)>,
    /// Whether the place cannot be written.
    refuses: bool,
    replicas: Vec<Replica>,
    made: usize,
}

impl World {
    fn new(replicas: usize) -> Self {
        Self {
            now: Duration::from_secs(1000),
            state: State::default(),
            version: 0,
            trust: vec![(Duration::ZERO, Vec::new())],
            refuses: false,
            replicas: vec![Replica::default(); replicas],
            made: 0,
        }
    }

    fn read(&mut self, who: usize) {
        let place = self.trust.len() - 1;
        let published = self.trust[place].1 == self.state.trusted();
        let seen = Seen { place, version: self.version, state: self.state.clone(), published, at: self.now };
        self.replicas[who].seen = Some(seen);
    }

    /// Acts on what was read, however old it is, within [`LAG`].
    fn act(&mut self, who: usize) -> Step {
        let now = self.now;
        let seen = self.replicas[who].seen.take().filter(|seen| now.saturating_sub(seen.at) <= LAG);
        let Some(seen) = seen else { return Step::Wait(now) };
        let held = self.replicas[who].held.clone();
        let next = |trust| evaluate(&seen.state, trust, held.as_ref(), &LIFE, now);
        let mut step = next(if seen.published { Trust::Published } else { Trust::Missing });
        if step == Step::Publish && self.refuses {
            step = next(Trust::Refused);
            assert!(matches!(step, Step::Issue | Step::Wait(_)), "{step:?} while a place cannot be written");
        }
        match step {
            Step::Wait(until) => assert!(until > self.now, "waits for the past"),
            Step::Issue => {
                let issuer = seen.state.current.unwrap().certificate;
                self.replicas[who].held = Some(Held { issuer, made: self.now });
            }
            Step::Publish if seen.place == self.trust.len() - 1 => {
                let trusted = seen.state.trusted().into_iter().map(str::to_owned).collect();
                self.trust.push((self.now, trusted));
            }
            Step::Publish => {}
            _ if seen.version != self.version => {}
            step => {
                self.made += 1;
                let new = Authority { certificate: format!("authority {}", self.made), made: self.now };
                let mut state = seen.state;
                match step {
                    Step::MakeFirst => state.current = Some(new),
                    Step::MakeNext => state.next = Some(Next { authority: new, announced: None }),
                    Step::Announce => state.next.as_mut().unwrap().announced = Some(self.now),
                    Step::Promote => {
                        let certificate =
                            state.current.replace(state.next.take().unwrap().authority).unwrap().certificate;
                        state.previous = Some(Previous { certificate, ended: self.now });
                    }
                    Step::Retire => state.previous = None,
                    Step::Publish | Step::Issue | Step::Wait(_) => unreachable!("handled above"),
                }
                self.state = state;
                self.version += 1;
            }
        }
        step
    }

    /// Every leaf that has not expired is trusted by all that may still be in force somewhere.
    fn check(&self) {
        let in_force = |at: usize| {
            let ended = self.trust.get(at + 1).map(|(at, _)| *at);
            ended.is_none_or(|ended| self.now.saturating_sub(ended) < LAG)
        };
        for held in self.replicas.iter().filter_map(|replica| replica.held.as_ref()) {
            if self.now >= held.made + LIFE.leaf {
                continue;
            }
            // Before the first authority was ever published, nobody can be trusted.
            for (at, (_, trust)) in self.trust.iter().enumerate().skip(1).filter(|(at, _)| in_force(*at)) {
                assert!(trust.contains(&held.issuer), "{held:?} is not trusted by version {at}: {trust:?}");
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Event {
    Read(usize),
    Act(usize),
    Both(usize),
    Restart(usize),
    Pass(u64),
    Refuse(bool),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0..3_usize).prop_map(Event::Read),
        3 => (0..3_usize).prop_map(Event::Act),
        6 => (0..3_usize).prop_map(Event::Both),
        1 => (0..3_usize).prop_map(Event::Restart),
        5 => (0..3000_u64).prop_map(Event::Pass),
        1 => any::<bool>().prop_map(Event::Refuse),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_leaf_in_use_is_always_trusted(events in prop::collection::vec(event(), 0..400)) {
        let mut world = World::new(3);
        for event in events {
            match event {
                Event::Read(who) => world.read(who),
                Event::Act(who) => {
                    world.act(who);
                }
                Event::Both(who) => {
                    world.read(who);
                    world.act(who);
                }
                Event::Restart(who) => world.replicas[who] = Replica::default(),
                Event::Refuse(refuses) => world.refuses = refuses,
                Event::Pass(millis) => world.now += Duration::from_millis(millis),
            }
            world.check();
        }
    }
}

#[test]
fn replicas_that_look_regularly_rotate_for_ever_and_never_serve_an_expired_leaf() {
    let mut world = World::new(2);
    let mut current = BTreeSet::new();
    let mut trusted = BTreeSet::new();
    for _ in 0..2000 {
        for who in 0..2 {
            // A step at a time, until there is nothing to do.
            while !matches!(
                {
                    world.read(who);
                    world.act(who)
                },
                Step::Wait(_)
            ) {}
        }
        world.check();
        for replica in &world.replicas {
            let held = replica.held.as_ref().unwrap();
            assert!(world.now < held.made + LIFE.leaf, "an expired leaf is served");
            assert!(held.made + LIFE.leaf <= signed_until(&world, &held.issuer), "a leaf outlives its authority");
        }
        current.insert(world.state.current.as_ref().unwrap().certificate.clone());
        trusted.insert(world.state.trusted().len());
        world.now += Duration::from_millis(500);
    }
    assert!(current.len() > 10, "rotated only {} times", current.len());
    assert_eq!(trusted, BTreeSet::from([1, 2]), "one, or two while it rotates");
}

/// End of an authority that is current or was so last.
fn signed_until(world: &World, certificate: &str) -> Duration {
    let current = world.state.current.as_ref().unwrap();
    if current.certificate == certificate { current.made + LIFE.authority } else { world.now + LIFE.leaf }
}

#[test]
fn lifetimes_must_leave_room() {
    assert_eq!(LIFE.check(), Ok(()));
    assert_eq!(Lifetimes { leaf: Duration::from_secs(21), ..LIFE }.check(), Err(TooShort));
    assert_eq!(Lifetimes { leaf: Duration::ZERO, ..LIFE }.check(), Err(TooShort));
}

#[test]
fn what_is_kept_is_read_back_through_a_whole_rotation() {
    let now = Duration::from_secs(1000);
    let mut kept = Kept::default();
    for step in [Step::MakeFirst, Step::MakeNext, Step::Announce, Step::Promote, Step::Retire] {
        kept = kept.after(step, "test", &LIFE, now).unwrap();
        let data = kept.to_data();
        let read = Kept::from_data(|name| data.get(name).map(String::as_bytes)).unwrap();
        assert_eq!(read.state(), kept.state(), "{step:?}");
        assert_eq!(read.to_data().keys().collect::<Vec<_>>(), data.keys().collect::<Vec<_>>(), "{step:?}");
        kept = read;
    }
    assert_eq!(kept.state().trusted().len(), 1);
    let (_, held) = kept.leaf(&["localhost".to_owned()], LIFE.leaf, now).unwrap().unwrap();
    assert_eq!(held.issuer, kept.state().current.unwrap().certificate);
    assert!(Kept::default().leaf(&[], LIFE.leaf, now).unwrap().is_none());
}

#[test]
fn a_damaged_secret_is_an_error_and_not_an_empty_one() {
    assert!(Kept::from_data(|name| (name == "ca.crt").then_some(b"no PEM".as_slice())).is_err());
}
