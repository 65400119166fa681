//! May clients read here? The guard looks each second, and tells what it found to the monitors, and to itself: what changes
//! is told to the cluster at once.

use std::time::Instant;

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
}

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
        let found = judge(age, node.config.max_lag, cold, before);
        self.note(node, daemon, found, age);
        Ok(())
    }

    fn note(&mut self, node: &Node, daemon: Daemon, found: Result<(), Kept>, age: Option<std::time::Duration>) {
        memo::note_readiness(node, daemon, &found.clone().map_err(|kept| kept.to_string()), age);
        self.found = Some(found);
    }

    /// Whether the cluster is to be told something new.
    pub fn is_news(&self) -> bool {
        // A start has said that it is not known yet.
        self.found.is_some()
            && self.found != self.told
            && (self.told.is_some() || self.found != Some(Err(Kept::Unknown)))
    }

    /// The cluster was told what was found last.
    pub fn is_told(&mut self) {
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
