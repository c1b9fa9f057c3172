//! What calls are judged with. Each part is swapped whole and atomically; a call takes one [`View`] and keeps it, so a
//! swap in the middle cannot mix two policies.

use std::sync::Arc;
use std::time::Duration;

use aegis_decision::bundle::Bundle;
use aegis_decision::codes::Code;
use aegis_decision::feed::{Freshness, VerifiedGrants, freshness};
use aegis_decision::token::SKEW_SECONDS;
use aegis_decision::tool::Class;
use arc_swap::ArcSwapOption;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;

/// The newest good policy.
#[derive(Debug)]
pub struct Policy {
    /// Compiled.
    pub bundle: Bundle,
    /// `Agent.status.bundle.version`.
    pub version: u64,
}

/// How old the knowledge is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knowledge {
    /// From files: it does not age, since nobody could renew it.
    Fixed,
    /// Complete at that time, as the control service said.
    AsOf(Timestamp),
}

/// When something was heard, on both clocks: how far they drift apart from then on shows a clock that jumped.
#[derive(Debug, Clone, Copy)]
pub struct Heard {
    wall: Timestamp,
    at: Instant,
}

impl Heard {
    /// Now.
    pub fn now() -> Self {
        Self { wall: Timestamp::now(), at: Instant::now() }
    }

    /// Whether the wall clock, which says `now`, still agrees with the time that has passed.
    fn agrees_with(&self, now: Timestamp) -> bool {
        let passed = SignedDuration::try_from(self.at.elapsed()).unwrap_or(SignedDuration::MAX);
        let told = now.duration_since(self.wall);
        told.saturating_sub(passed).unsigned_abs() <= Duration::from_secs(SKEW_SECONDS.unsigned_abs())
    }
}

/// The agent token.
pub struct Token {
    /// Compact JWS; goes to the control service only, never to the agent or a tool.
    pub bearer: String,
    /// When it was asked for, so that its life is never counted too long.
    pub since: Instant,
    /// Its life.
    pub life: Duration,
}

/// What the pod's newest probe found.
#[derive(Debug, Clone, Copy)]
pub struct Capture {
    /// Nothing got out.
    pub holds: bool,
    /// When it says nothing any more.
    pub until: Instant,
}

impl Capture {
    /// Whether it may be relied on now.
    pub fn is_proven(&self) -> bool {
        self.holds && Instant::now() < self.until
    }
}

/// The parts, as they are now.
#[derive(Debug)]
pub struct State {
    policy: ArcSwapOption<Policy>,
    grants: ArcSwapOption<VerifiedGrants>,
    knowledge: ArcSwapOption<(Knowledge, Heard)>,
    token: ArcSwapOption<Token>,
    capture: ArcSwapOption<Capture>,
    changes: watch::Sender<u64>,
}

/// One consistent view.
#[derive(Debug, Clone)]
pub struct View {
    /// Policy.
    pub policy: Arc<Policy>,
    /// Standing, delegations, releases.
    pub grants: Arc<VerifiedGrants>,
    /// How old they are.
    pub knowledge: Knowledge,
    /// When that was heard.
    pub heard: Heard,
    /// The token; none when policy comes from files.
    pub token: Option<Arc<Token>>,
    /// What the pod's probe found, where the pod is captured.
    pub capture: Option<Capture>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            policy: ArcSwapOption::empty(),
            grants: ArcSwapOption::empty(),
            knowledge: ArcSwapOption::empty(),
            token: ArcSwapOption::empty(),
            capture: ArcSwapOption::empty(),
            changes: watch::Sender::new(0),
        }
    }
}

impl State {
    /// Judges with this policy from now on.
    pub fn set_policy(&self, policy: Policy) {
        self.policy.store(Some(Arc::new(policy)));
        self.changed();
    }

    /// Judges with these grants from now on.
    pub fn set_grants(&self, grants: VerifiedGrants) {
        self.grants.store(Some(Arc::new(grants)));
        self.changed();
    }

    /// The knowledge is that old. Hearing the same again confirms nothing: then it counts from the first time.
    pub fn set_knowledge(&self, knowledge: Knowledge) {
        let heard = match self.knowledge.load().as_deref() {
            Some((before, heard)) if *before == knowledge => *heard,
            _ => Heard::now(),
        };
        self.knowledge.store(Some(Arc::new((knowledge, heard))));
    }

    /// A new token.
    pub fn set_token(&self, token: Token) {
        self.token.store(Some(Arc::new(token)));
        self.changed();
    }

    /// The pod's newest probe found this.
    pub fn set_capture(&self, capture: Capture) {
        self.capture.store(Some(Arc::new(capture)));
        self.changed();
    }

    /// What the pod's newest probe found; none where nothing is captured, or before the first.
    pub fn capture(&self) -> Option<Capture> {
        self.capture.load().as_deref().copied()
    }

    /// The token as it is now.
    pub fn token(&self) -> Option<Arc<Token>> {
        self.token.load_full()
    }

    /// What proves the agent to the control service, as it is now; empty without a token.
    pub fn bearer(&self) -> String {
        self.token().map(|token| token.bearer.clone()).unwrap_or_default()
    }

    /// The policy as it is now.
    pub fn policy(&self) -> Option<Arc<Policy>> {
        self.policy.load_full()
    }

    /// The grants as they are now.
    pub fn grants(&self) -> Option<Arc<VerifiedGrants>> {
        self.grants.load_full()
    }

    /// Whether there are grants.
    pub fn has_grants(&self) -> bool {
        self.grants.load().is_some()
    }

    /// How old the knowledge is.
    pub fn knowledge(&self) -> Option<Knowledge> {
        self.knowledge.load().as_deref().map(|(knowledge, _)| *knowledge)
    }

    /// Everything a call needs; none while a part is missing.
    pub fn view(&self) -> Option<View> {
        let (knowledge, heard) = *self.knowledge.load_full()?;
        Some(View {
            policy: self.policy.load_full()?,
            grants: self.grants.load_full()?,
            knowledge,
            heard,
            token: self.token.load_full(),
            capture: self.capture(),
        })
    }

    /// Told after every change of policy, grants or token.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl View {
    /// Whether a call of this class may be decided now: knowledge and token are fresh enough (Draft and
    /// Commit close over `maxStaleness` and at five sixths of the token's life, Read at twice that and at its end). They
    /// also close when the pod's probe got out, or has not been heard of for two intervals.
    ///
    /// Everything closes while this clock and the time that has passed differ by more than the skew that is allowed: a
    /// clock that was set back would make old knowledge look new. What the control service says next opens it again.
    pub fn is_open_for(&self, class: Class, now: Timestamp) -> Result<(), Code> {
        let writes = class != Class::Read;
        if let Knowledge::AsOf(as_of) = self.knowledge {
            if !self.heard.agrees_with(now) {
                return Err(Code::Stale);
            }
            match freshness(as_of, now, self.policy.bundle.agent().max_staleness_seconds) {
                Freshness::Fresh => {}
                Freshness::WritesClosed if !writes => {}
                Freshness::WritesClosed | Freshness::Closed => return Err(Code::Stale),
            }
        }
        if writes && self.capture.is_some_and(|capture| !capture.is_proven()) {
            return Err(Code::CaptureBroken);
        }
        match &self.token {
            Some(token) if token.is_open(writes) => Ok(()),
            Some(_) => Err(Code::TokenNotFresh),
            None if self.knowledge == Knowledge::Fixed => Ok(()),
            None => Err(Code::NotReady),
        }
    }

    /// What proves the agent to the control service; empty without a token.
    pub fn bearer(&self) -> &str {
        self.token.as_ref().map(|token| token.bearer.as_str()).unwrap_or_default()
    }

    /// Whether the call may still be sent: asked once more right before, since a suspension may have come meanwhile.
    pub fn may_still_send(&self, class: Class, now: Timestamp) -> Result<(), Code> {
        self.is_open_for(class, now)?;
        self.grants.standing.may_call(self.policy.bundle.review_digest(), now)
    }
}

impl Token {
    /// Time left.
    pub fn left(&self) -> Duration {
        self.life.saturating_sub(self.since.elapsed())
    }

    fn is_open(&self, writes: bool) -> bool {
        let age = self.since.elapsed();
        if writes { age < self.life * 5 / 6 } else { age < self.life }
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("life", &self.life).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_jumps_does_not_agree_with_the_time_that_has_passed() {
        let heard = Heard::now();
        let after = |seconds| heard.wall + SignedDuration::from_secs(seconds);
        tokio::time::advance(Duration::from_secs(90)).await;
        for (told, agrees) in [(59, false), (60, true), (90, true), (120, true), (121, false), (-3510, false)] {
            assert_eq!(heard.agrees_with(after(told)), agrees, "90 s have passed, and the clock says {told} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_newer_knowledge_counts_from_the_time_that_it_is_heard() {
        let (state, as_of) = (State::default(), Timestamp::now());
        let first_heard = |state: &State| state.knowledge.load().as_deref().map(|(_, heard)| heard.at);
        state.set_knowledge(Knowledge::AsOf(as_of));
        let first = first_heard(&state);
        tokio::time::advance(Duration::from_secs(10)).await;
        state.set_knowledge(Knowledge::AsOf(as_of));
        assert_eq!(first_heard(&state), first, "a heartbeat without news");
        state.set_knowledge(Knowledge::AsOf(as_of + SignedDuration::from_secs(1)));
        assert!(first_heard(&state) > first);
    }

    #[tokio::test(start_paused = true)]
    async fn writes_close_at_five_sixths_of_the_tokens_life_and_reads_at_its_end() {
        let token = Token { bearer: String::new(), since: Instant::now(), life: Duration::from_mins(5) };
        for (age, writes, reads) in
            [(0, true, true), (249, true, true), (250, false, true), (299, false, true), (300, false, false)]
        {
            tokio::time::advance(Duration::from_secs(age).saturating_sub(token.since.elapsed())).await;
            assert_eq!((token.is_open(true), token.is_open(false)), (writes, reads), "{age} s");
        }
    }
}
