//! May clients read here? The guard looks each second, and tells what it found to the monitors, and to itself: what changes
//! is told to the cluster at once.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::super::decide::freshness::{Freshness, Kept, judge};
use super::super::decide::keeping::Call;
use super::super::memo;
use super::super::node::Node;
use crate::server::client::Session;
use crate::server::process::Daemon;

/// What the guard remembers of it. All of it can be lost.
#[derive(Default)]
pub struct Readiness {
    freshness: Option<Freshness>,
    found: Option<Result<(), Kept>>,
    /// What the cluster was told of that.
    told: Option<Result<(), Kept>>,
    is_loaded: bool,
    /// When this was the primary last.
    was_primary: Option<Instant>,
    /// When the cluster could not be told last.
    failed: Option<Instant>,
}

/// So long a former primary is read from until the next one says how much it has: a planned move takes less.
const FORMER: Duration = Duration::from_secs(10);

/// How soon it is tried again to tell the cluster.
const AGAIN: Duration = Duration::from_secs(10);

impl Readiness {
    /// Takes what the primary has told of how much it has.
    pub fn hear(&mut self, call: &Call) {
        if let (Some(freshness), Some(latest)) = (&mut self.freshness, &call.latest) {
            freshness.hear(Instant::now(), call.epoch, latest);
        }
    }

    /// Notes that this is the primary.
    ///
    /// # Errors
    /// When it is not known of which promotion.
    pub fn note_primary(&mut self, node: &Node, daemon: Daemon) -> Result<()> {
        self.freshness = Some(Freshness::of_primary(node.lasting().epoch()?));
        self.was_primary = Some(Instant::now());
        self.note(node, daemon, Ok(()), None);
        Ok(())
    }

    /// Looks at a replica, and leaves what was found to the monitors.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub fn look(&mut self, node: &Node, session: &mut Session, daemon: Daemon) -> Result<()> {
        if node.config.reader_attribute.is_none() {
            return Ok(());
        }
        let now = Instant::now();
        let cold = self.find_cold(node, session, daemon)?;
        let executed = session.state()?.executed;
        let freshness = self.freshness.get_or_insert_with(|| known_before(node, daemon, now));
        let age = freshness.age(now, &executed);
        let before = self.found.as_ref().and_then(|found| found.as_ref().err());
        let is_former = age.is_none() && self.was_primary.is_some_and(|last| last.elapsed() < FORMER);
        let found = if is_former { Ok(()) } else { judge(age, node.config.max_lag, cold, before) };
        self.note(node, daemon, found, age);
        Ok(())
    }

    fn note(&mut self, node: &Node, daemon: Daemon, found: Result<(), Kept>, age: Option<Duration>) {
        memo::note_readiness(node, daemon, &found.clone().map_err(|kept| kept.to_string()), age);
        self.found = Some(found);
    }

    /// Whether the cluster is to be told something new.
    pub fn is_news(&self) -> bool {
        // A start has said that it is not known yet.
        let is_new = self.told.is_some() || self.found != Some(Err(Kept::Unknown));
        let may_try = self.failed.is_none_or(|failed| failed.elapsed() >= AGAIN);
        is_new && self.found.is_some() && self.found != self.told && may_try
    }

    /// The cluster could not be told.
    pub fn is_not_told(&mut self, error: &anyhow::Error) {
        log::debug!("{error:#}");
        self.failed = Some(Instant::now());
    }

    /// The cluster was told what was found last.
    pub fn is_told(&mut self) {
        self.failed = None;
        self.told.clone_from(&self.found);
    }

    /// Why readers would find nothing in memory.
    fn find_cold(&mut self, node: &Node, session: &mut Session, daemon: Daemon) -> Result<Option<&'static str>> {
        if !node.config.warmup.is_empty() {
            return Ok((!memo::is_warmed_up(node, daemon)).then_some("the warmup statements run"));
        }
        self.is_loaded = self.is_loaded || !session.is_loading_buffer_pool()?;
        Ok((!self.is_loaded).then_some("its buffer pool is being loaded"))
    }
}

/// What an earlier guard of this server knew a moment ago.
fn known_before(node: &Node, daemon: Daemon, now: Instant) -> Freshness {
    let age = memo::noted_age(node, daemon);
    age.and_then(|age| now.checked_sub(age)).map_or_else(Freshness::default, Freshness::known_at)
}
