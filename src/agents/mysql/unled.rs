//! Looking at an instance while nobody is promoted: whether it stays a candidate, or how a cold start goes.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::decide::cold_start::{self, Facts as ColdStart};
use super::decide::election::{Election, Survivor, Verdict, elect};
use super::decide::position::Told;
use super::decide::record::{Instance, Record, State, next_epoch};
use super::node::Node;
use super::publish::{FIRST, PRIMARY, REPLICA, Standing, TARGET};
use super::replicate;
use super::review::{out_of_it, own_score, position_attribute, readiness, since, tell, unfit, without_data};
use crate::pacemaker::{Cluster, View};
use crate::server::client::Session;
use crate::server::process::Daemon;
use crate::server::rows::Receiver;

/// There is a primary.
pub fn forget(node: &Node) {
    // It is there only after a time without a primary; that it is not is the usual case.
    let _ = std::fs::remove_file(file(node));
}

/// What this instance is then; it tells the others what it has.
///
/// # Errors
/// When server or cluster cannot be asked or told.
pub fn review(node: &Node, session: &mut Session, cluster: &Cluster, view: &View) -> Result<Standing> {
    let state = session.state()?;
    if let Some(why) = unfit(&state) {
        return Ok(Standing::excluded(&why));
    }
    let status = session.replica_status()?;
    let own = own_score(cluster, view);
    let record = node.record()?;
    let broken = without_data(node)?
        .map_or_else(|| out_of_it(status.as_ref(), &state.executed, record.as_ref()), |why| Ok(Some(why)))?;
    let position = broken.clone().map_or_else(|| replicate::received(session), |_| Ok(state.executed.clone()))?;
    // Without a receiver nothing more comes; what a survivor told before a promotion must not be taken back.
    let sealed = status.as_ref().is_none_or(|status| status.receiver == Receiver::Stopped);
    let has = broken.clone().map_or(Ok(position.clone()), Err);
    let me = Survivor { instance: node.instance()?, has };
    let life = me.instance.life.clone();
    tell(node, cluster, &Told { epoch: next_epoch(record.as_ref()), sealed, life, has: me.has.clone() })?;
    if let Some(why) = broken {
        return Ok(Standing::excluded(&why));
    }
    if let Some(why) = view.lacks_majority() {
        return Ok(Standing::waiting(None, format!("waiting: {why}")));
    }
    let unled = Unled { node, cluster, view, record: record.as_ref(), me };
    let others = unled.hear(session)?;
    if let Err(why) = unled.decide_right(&others) {
        return Ok(match node.ordered_by(record.as_ref()) {
            Some(by) => Standing::waiting(Some(FIRST), format!("candidate: {by}")),
            None => Standing::excluded(&why),
        });
    }
    if status.is_some() && matches!(own, Some(score) if score == REPLICA || score == TARGET) {
        // It was a good replica when its primary went: it stays a candidate.
        return Ok(Standing::waiting(own, "replica, its primary is gone".into()).with_readiness(readiness(node)));
    }
    let is_closed = |record: &Record| record.primary == cluster.node && record.state == State::Closed;
    if own == Some(PRIMARY) && record.as_ref().is_some_and(is_closed) {
        // A planned move is under way, or has failed: then it goes on, as it has everything.
        return Ok(Standing::waiting(own, "the last primary, closed".into()).with_readiness(readiness(node)));
    }
    Ok(unled.cold_start(&others))
}

/// An instance of a cluster in which nobody is promoted.
struct Unled<'a> {
    node: &'a Node,
    cluster: &'a Cluster,
    view: &'a View,
    record: Option<&'a Record>,
    me: Survivor,
}

impl Unled<'_> {
    /// Whether those that are there have everything that was acknowledged, so that a promotion makes sense. Those that did
    /// not tell yet are trusted to be what the record says: promote asks again.
    fn decide_right(&self, others: &[Survivor]) -> Result<(), String> {
        let mut survivors = others.to_vec();
        let is_heard = |name: &str| others.iter().any(|other| other.instance.node == name);
        let running = self.view.instances.keys().filter(|name| **name != self.cluster.node && !is_heard(name));
        for name in running {
            let known = self.record.and_then(|record| record.sync.as_ref()?.all().find(|one| one.node == *name));
            let life = known.map_or_else(String::new, |one| one.life.clone());
            survivors.push(Survivor { instance: Instance { node: name.clone(), life }, has: self.me.has.clone() });
        }
        let gone = self.view.without_instance();
        let election = Election {
            record: self.record,
            me: &self.me,
            survivors: &survivors,
            gone: &gone,
            risk: self.node.risk(self.view),
        };
        match elect(&election) {
            Verdict::Refuse(why) => Err(why),
            Verdict::PromoteMe(_) | Verdict::FetchFrom(_) => Ok(()),
        }
    }

    /// Applies the cold start's rule to what the instances have told.
    fn cold_start(&self, others: &[Survivor]) -> Standing {
        let positions = others.iter().chain([&self.me]);
        let positions = positions.filter_map(|one| Some((one.instance.node.clone(), one.has.clone().ok()?)));
        let verdict = cold_start::decide(&ColdStart {
            me: &self.cluster.node,
            record: self.record,
            heard: others.len() + 1,
            positions: &positions.collect(),
            expected: self.expected(),
            eligible_elsewhere: self.eligible_elsewhere(),
            waited: self.node.daemon().map_or(Duration::ZERO, Daemon::age).min(since(&file(self.node))),
            patience: self.node.config.cold_start_timeout,
        });
        match verdict {
            cold_start::Verdict::Offer(why) => Standing::waiting(Some(FIRST), format!("candidate: {why}")),
            cold_start::Verdict::Wait(why) => Standing::waiting(None, format!("waiting: {why}")),
        }
    }

    /// How many instances are waited for. Where it is on record who has everything, and those are there, nobody else is
    /// needed.
    fn expected(&self) -> usize {
        let is_known = self.record.is_some_and(|record| record.sync.is_some());
        let running = self.view.instances.len();
        if is_known { running } else { self.node.clone_max.unwrap_or(running) }
    }

    /// What the other instances told for the promotion that comes next.
    fn hear(&self, session: &Session) -> Result<Vec<Survivor>> {
        let vendor = session.dialect().version().vendor;
        let told = self.cluster.told(&position_attribute(&self.node.resource), self.node.deadline)?;
        let mut heard = Vec::new();
        let is_other = |name: &str| name != self.cluster.node && self.view.instances.contains_key(name);
        for (name, text) in told.iter().filter(|(name, _)| is_other(name)) {
            match Told::parse(vendor, text) {
                Ok(told) if told.epoch == next_epoch(self.record) => {
                    heard.push(Survivor { instance: Instance { node: name.clone(), life: told.life }, has: told.has });
                }
                Ok(_) => {}
                Err(why) => log::warn!("{name} told something that cannot be read: {why}"),
            }
        }
        Ok(heard)
    }

    /// A running replica elsewhere that may be promoted.
    fn eligible_elsewhere(&self) -> Option<&str> {
        let is_eligible = |name: &str| {
            self.view.attribute(name, &self.cluster.score_attribute()).is_some_and(|score| score == REPLICA.to_string())
        };
        let others = self.view.instances.keys().filter(|name| **name != self.cluster.node);
        others.map(String::as_str).find(|name| is_eligible(name))
    }
}

/// The file that is there while this instance sees no primary.
fn file(node: &Node) -> PathBuf {
    node.run_dir.join(format!("rustha-{}.unled", node.resource))
}
