//! The guard of a replica: it acknowledges only while the primary of the newest promotion counts on it, and says what it
//! has received.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::super::decide::keeping::{Answer, Receiver, Said, may_acknowledge, noted};
use super::super::memo;
use super::super::node::Node;
use super::super::replicate;
use super::readiness::Readiness;
use super::{BUSY, CALM, hear, newest_call, say};
use crate::server::client::Session;
use crate::server::rows::Receiver as Thread;
use crate::server::semisync;

/// How long a change may take to take effect: a promotion may be waiting for its turn meanwhile.
const EFFECT: Duration = Duration::from_secs(2);

/// What a replica's guard remembers. All of it can be lost.
#[derive(Default)]
pub struct Memory {
    noted: u64,
    /// When it last listened, where it only does so for its readers.
    heard: Option<Instant>,
}

/// Takes a turn; how long to wait before the next one.
///
/// # Errors
/// When server or cluster cannot be asked or told: what was not done is done by a later turn.
pub fn turn(node: &Node, session: &mut Session, memory: &mut Memory, readiness: &mut Readiness) -> Result<Duration> {
    let Some(cluster) = &node.cluster else { return Ok(CALM) };
    if node.config.semi_sync.is_none() {
        semisync::replica_off(session, node.deadline.at_most(EFFECT))?;
        if node
            .config
            .telling_period()
            .is_some_and(|period| memory.heard.is_none_or(|heard| heard.elapsed() >= period / 2))
        {
            memory.heard = Some(Instant::now());
            if let Some((_, call)) = newest_call(hear(node, cluster, session)?, &cluster.node) {
                readiness.hear(&call);
            }
        }
        return Ok(CALM);
    }
    let status = session.replica_status()?;
    // One that is sealed for a promotion receives nothing, and must not begin again by itself.
    let Some(status) = status.filter(|status| status.receiver != Thread::Stopped) else { return Ok(CALM) };
    let told = hear(node, cluster, session)?;
    let known = told.get(&cluster.node).cloned();
    let Some((primary, call)) = newest_call(told, &cluster.node) else { return Ok(CALM) };
    memo::note_heard(node, &primary, &call);
    if call.epoch < node.lasting().epoch()? {
        // The primary of the newest promotion has not called yet: what the record said when this replica was attached holds.
        return Ok(BUSY);
    }
    readiness.hear(&call);
    let me = node.instance()?;
    let may = may_acknowledge(&me, Some(&call));
    let Some(side) = semisync::read(session)?.replica else { return Ok(CALM) };
    match (may, side.enabled) {
        (true, false) => {
            log::info!("in the in-sync set of {primary}: acknowledges from now on");
            semisync::replica_on(session, node.deadline.at_most(EFFECT))?;
        }
        (false, true) => {
            log::info!("not in the in-sync set of {primary}: does not acknowledge");
            semisync::replica_off(session, node.deadline.at_most(EFFECT))?;
        }
        _ => {}
    }
    let is_on = semisync::read(session)?.replica.is_some_and(|side| side.active);
    memory.noted = noted(&replicate::received(session)?, &call, memory.noted);
    let answer = Answer {
        epoch: call.epoch,
        life: me.life,
        receiver: if is_on { Receiver::On } else { Receiver::Off },
        noted: memory.noted,
        server_id: session.state()?.server_id,
    };
    // Compared with what the cluster has: an action may have said good-bye for this instance in the meantime.
    let said = Said::Replica(answer);
    let is_new = known.as_ref() != Some(&said);
    if is_new && status.receiver == Thread::Running {
        say(node, cluster, &said)?;
    }
    Ok(if is_new || memory.noted < call.note || may != is_on { BUSY } else { CALM })
}
