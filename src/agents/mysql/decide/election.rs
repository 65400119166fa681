//! May this instance be promoted, and what does it fetch first? Pacemaker picks by score; this makes its pick right, or
//! refuses it with the reason.
//!
//! The right to be promoted follows from the record. With one acknowledgement each write is on one of the set, so all of
//! the set must be there; with more, correspondingly fewer ([`InSync::needed`]). What those have together is everything,
//! and the chosen one fetches what it lacks from the others by ordinary replication.

use std::cmp::Reverse;

use super::record::{InSync, Instance, Instances, Record, State, names};
use crate::gtid::GtidSet;

/// An instance that has promised to acknowledge nothing more for the sake of older promotions (objection 1), or the one
/// that is to be promoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survivor {
    /// Which instance, in which life of its server.
    pub instance: Instance,
    /// Everything that it has received, or why it takes no part.
    pub has: Result<GtidSet, String>,
}

impl Survivor {
    fn set(&self) -> Option<&GtidSet> {
        self.has.as_ref().ok()
    }
}

/// What an election is decided from.
#[derive(Clone, Debug)]
pub struct Election<'a> {
    /// The record; `None`: nobody was ever promoted.
    pub record: Option<&'a Record>,
    /// The one that is to be promoted.
    pub me: &'a Survivor,
    /// The other sealed survivors.
    pub survivors: &'a [Survivor],
    /// Nodes that provably run nothing: they left cleanly, or were fenced.
    pub gone: &'a [String],
    /// Whether what may have been acknowledged elsewhere may be given up.
    pub risk: Risk,
}

/// Whether acknowledged writes may be given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Risk {
    /// No.
    Never,
    /// If all that may have them are provably gone.
    OfThoseGone,
    /// An operator has ordered it, and answers for those that are not there.
    Ordered,
}

/// What the chosen one has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has everything; or it may be promoted all the same, with this risk on record.
    PromoteMe(Option<String>),
    /// It first fetches what this survivor has.
    FetchFrom(String),
    /// It must not be promoted.
    Refuse(String),
}

/// Decides.
pub fn elect(election: &Election<'_>) -> Verdict {
    let risk = match decide_right(election) {
        Ok(()) => None,
        Err(why) if may_risk(election) => Some(why),
        Err(why) => return Verdict::Refuse(why),
    };
    match best(election) {
        Some(survivor) => Verdict::FetchFrom(survivor.instance.node.clone()),
        None => Verdict::PromoteMe(risk),
    }
}

/// Whether those that are there have, together, everything that was acknowledged.
///
/// # Errors
/// Why not, and who would have to be there.
pub fn decide_right(election: &Election<'_>) -> Result<(), String> {
    if let Err(why) = &election.me.has {
        return Err(why.clone());
    }
    let Some(record) = election.record else { return Ok(()) };
    let Some(sync) = &record.sync else { return Ok(()) };
    if holds_base(election, record) || has_last(election, record) {
        return Ok(());
    }
    decide_by_set(election, record, sync)
}

/// Whether the server of the record's primary is there, with what it had then: an older backup that was restored on its
/// node is another server.
fn holds_base(election: &Election<'_>, record: &Record) -> bool {
    let primary = all(election).find(|survivor| survivor.instance.node == record.primary);
    primary.and_then(Survivor::set).is_some_and(|has| contains(has, &record.base))
}

fn contains(has: &GtidSet, text: &str) -> bool {
    has.parse_like(text).is_ok_and(|set| has.contains(&set))
}

/// Whether somebody has all that a closed primary had.
fn has_last(election: &Election<'_>, record: &Record) -> bool {
    let Some(last) = record.last.as_deref().filter(|_| record.state == State::Closed) else { return false };
    all(election).filter_map(Survivor::set).any(|has| contains(has, last))
}

fn decide_by_set(election: &Election<'_>, record: &Record, sync: &InSync) -> Result<(), String> {
    if sync.acks == 0 {
        let primary = &record.primary;
        return Err(format!("{primary} was alone when it was lost: only it has everything that it acknowledged"));
    }
    let everybody: Instances = sync.all().cloned().collect();
    let there = visible(election, &everybody).count();
    if visible(election, &sync.members).next().is_none() {
        let members = names(&sync.members);
        return Err(format!(
            "none of those that have everything is there: {members}, or the last primary {}",
            record.primary
        ));
    }
    if there < sync.needed() {
        let missing = everybody.iter().filter(|one| !visible(election, &everybody).any(|seen| seen == *one));
        return Err(format!(
            "{} may have acknowledged writes that nobody else has: {} of {} must be there, or the last primary {}",
            names(missing),
            sync.needed(),
            names(&everybody),
            record.primary
        ));
    }
    Ok(())
}

/// Those of `set` that are there, in the same life, and take part.
fn visible<'a>(election: &'a Election<'_>, set: &'a Instances) -> impl Iterator<Item = &'a Instance> {
    let there = all(election).filter(|survivor| survivor.has.is_ok()).map(|survivor| &survivor.instance);
    there.filter(|instance| set.contains(instance))
}

fn all<'a>(election: &'a Election<'_>) -> impl Iterator<Item = &'a Survivor> {
    std::iter::once(election.me).chain(election.survivors)
}

/// Writes may be given up only when nobody that may have them can still acknowledge any (objection 10), or by order.
fn may_risk(election: &Election<'_>) -> bool {
    let Some(record) = election.record else { return false };
    match election.risk {
        Risk::Never => return false,
        Risk::Ordered => return election.me.has.is_ok(),
        Risk::OfThoseGone => {}
    }
    let others = record.sync.iter().flat_map(InSync::all).map(|instance| &instance.node).chain([&record.primary]);
    let is_safe = |node: &String| {
        election.gone.contains(node)
            || election.me.instance.node == *node
            || election.survivors.iter().any(|survivor| survivor.instance.node == *node)
    };
    election.me.has.is_ok() && others.into_iter().all(is_safe)
}

/// The survivor with the most that this one lacks; any of them, when each has something.
fn best<'a>(election: &'a Election<'_>) -> Option<&'a Survivor> {
    let mine = election.me.set()?;
    let lacking = |survivor: &&Survivor| survivor.set().is_some_and(|has| !mine.contains(has));
    let extra = |survivor: &&Survivor| survivor.set().map_or(0, |has| has.minus(mine).count());
    // Among equals the first by name, whatever the order in which they were heard.
    election.survivors.iter().filter(lacking).max_by_key(|survivor| (extra(survivor), Reverse(&survivor.instance.node)))
}

/// What becomes of the survivors in the new epoch: who has as much as its primary is a member at once, and who has less
/// of the same history may acknowledge at once (its acknowledgements come in order, so what it lacked before the promotion
/// it then has as well, and it becomes a member as soon as it says so).
pub fn found_set(mine: &GtidSet, survivors: &[Survivor], wanted: u32) -> InSync {
    let mut set = InSync::default();
    for survivor in survivors {
        match survivor.set() {
            Some(has) if has == mine => set.members.insert(survivor.instance.clone()),
            Some(has) if mine.contains(has) => set.joining.insert(survivor.instance.clone()),
            _ => false,
        };
    }
    let able = u32::try_from(set.members.len() + set.joining.len()).unwrap_or(u32::MAX);
    set.acks = wanted.min(able);
    set
}

#[cfg(test)]
#[path = "election_tests.rs"]
mod tests;
