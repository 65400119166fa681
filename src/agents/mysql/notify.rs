//! notify: what the other instances do around a promotion. Pacemaker ignores the result, so nothing here is what safety
//! rests on: a survivor that did not tell its position makes promote wait and refuse, and one that did not follow the new
//! primary is attached by its next monitor.

use std::time::Duration;

use anyhow::Result;

use super::decide::position::Told;
use super::decide::record::{State, next_epoch};
use super::node::Node;
use super::review::{position_attribute, review};
use super::{guard, memo, promote, replicate};
use crate::deadline::Deadline;
use crate::ocf::env::Invocation;
use crate::ocf::exit::{ExitCode, Outcome};
use crate::ocf::notify::{Moment, Notification, Operation};
use crate::server::process::Daemon;
use crate::server::rows::Receiver;

/// How long a replica waits for the last transactions of a demoted primary.
const LAST_TRANSACTIONS: Duration = Duration::from_secs(10);

/// How long what a demoted primary told takes to reach the other nodes.
const TELLING: Duration = Duration::from_secs(2);

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(20);

/// Runs the action: always a success.
pub fn notify(node: &Node, call: &Invocation) -> Outcome {
    let Some(meta) = &call.cluster else { return Ok(ExitCode::Success) };
    let me = node.cluster.as_ref().map_or("", |cluster| cluster.node.as_str());
    let note = &meta.notification;
    if let Some((moment, operation)) = note.about
        && let Err(error) = react(node, me, note, moment, operation)
    {
        log::warn!("{moment:?}-{operation:?} notification: {error:#}");
    }
    Ok(ExitCode::Success)
}

fn react(node: &Node, me: &str, note: &Notification, moment: Moment, operation: Operation) -> Result<()> {
    let is_about_me = |nodes: &[String]| nodes.iter().any(|name| name == me);
    let daemon = node.daemon();
    if daemon.is_some_and(|daemon| node.is_marked(daemon)) {
        return Ok(());
    }
    let tells = (moment, operation) == (Moment::Pre, Operation::Promote) && !is_about_me(&note.promote);
    if daemon.is_none() && !tells {
        return Ok(());
    }
    let follows = (moment, operation) == (Moment::Post, Operation::Promote) && !is_about_me(&note.promote);
    if follows && guard::leave_review(node) {
        // The resources that wait for the promotion, as the address does, wait for all notifications of it.
        return Ok(());
    }
    // What its guard does at the same time could start the receiver that is stopped here.
    let _turn = node.await_turn(Deadline::after(node.deadline.remaining() / 2))?;
    match (moment, operation) {
        (Moment::Pre, Operation::Promote) if tells && is_promoted_already(node, &note.promote).unwrap_or(false) => {
            Ok(())
        }
        (Moment::Pre, Operation::Promote) if tells => {
            promote::tell_survivors_position(node, Deadline::after(node.deadline.remaining() / 2))
        }
        (Moment::Pre, Operation::Promote) => daemon.map_or(Ok(()), |daemon| seal_early(node, daemon)),
        (Moment::Post, Operation::Demote) => {
            note.demote.iter().filter(|from| *from != me).try_for_each(|from| await_last_transactions(node, from))
        }
        (Moment::Post, Operation::Promote) if follows => review(node, &mut node.session()?).map(drop),
        // A cold start is decided when all instances are there, not at the next monitor.
        (Moment::Post, Operation::Start) => review(node, &mut node.session()?).map(drop),
        _ => Ok(()),
    }
}

/// Whether the one that is to be promoted is the primary already, and alive. Pacemaker (2.1.5, 3.0.3) takes an instance that was
/// reloaded after a clean-up for one that is not promoted, and promotes it again; to seal the replicas for that would hold up
/// writes. Should it be wrong, the promotion waits for sealed survivors in vain (15 s), and the next one finds them sealed.
fn is_promoted_already(node: &Node, promoted: &[String]) -> Result<bool> {
    let (Some(cluster), Some((primary, epoch))) = (&node.cluster, memo::heard_primary(node)) else { return Ok(false) };
    if *promoted != [primary] || node.daemon().is_none() {
        return Ok(false);
    }
    let is_led = node.record()?.is_some_and(|record| {
        record.epoch == epoch && record.state == State::Open && promoted.contains(&record.primary)
    });
    if !is_led {
        return Ok(false);
    }
    let mut session = node.quick_session()?;
    let receives = session.replica_status()?.is_some_and(|status| status.receiver == Receiver::Running);
    // Whoever stops takes back what it called: it was not stopped since it called.
    let calls = guard::calling(node, cluster, &session)? == Some((promoted[0].clone(), epoch));
    let may_pass = receives && calls && memo::let_pass(node);
    if may_pass {
        log::info!("{} is the primary already: goes on receiving from it", promoted.join(", "));
    }
    Ok(may_pass)
}

/// The one that is to be promoted receives nothing more, as the others do at the same time: from a machine that is off,
/// MariaDB's STOP takes as long as rpl_semi_sync_slave_kill_conn_timeout, which is a second at least (measured on 10.11.18; to
/// switch semi-sync off before does not shorten it, and with 0 it took two). `promote` makes sure of it. One whose applier
/// somebody has stopped is left as it is: `promote` may have to refuse it.
fn seal_early(node: &Node, daemon: Daemon) -> Result<()> {
    let mut session = super::monitor::ask(node, daemon)?;
    match session.replica_status()? {
        Some(status) if status.applier_running => replicate::seal(&mut session, node.deadline),
        _ => Ok(()),
    }
}

/// Waits until this replica has received the final position of a demoted primary, which may be stopped next.
fn await_last_transactions(node: &Node, from: &str) -> Result<()> {
    let Some(cluster) = &node.cluster else { return Ok(()) };
    let mut session = node.session()?;
    let Some(status) = session.replica_status()? else { return Ok(()) };
    if status.receiver == Receiver::Stopped || !replicate::counts(&session, &status) {
        log::warn!("its receiver or its applier is stopped: the last transactions of {from} are not waited for");
        return Ok(());
    }
    let vendor = session.dialect().version().vendor;
    let epoch = next_epoch(node.record()?.as_ref());
    let name = position_attribute(&node.resource);
    let told = node.deadline.at_most(TELLING).wait_for(LOOK, || {
        let told = cluster.told(&name, node.deadline).ok()?;
        Told::parse(vendor, told.get(from)?).ok().filter(|told| told.epoch == epoch && told.sealed)
    });
    let last = match told.map(|told| told.has) {
        Some(Ok(last)) => last,
        Some(Err(why)) => {
            log::info!("nothing more comes from {from}: {why}");
            return Ok(());
        }
        None => {
            log::warn!("{from} was demoted and did not tell its final position");
            return Ok(());
        }
    };
    let has_all = node
        .deadline
        .at_most(LAST_TRANSACTIONS)
        .wait_for(LOOK, || replicate::received(&mut session).is_ok_and(|mine| mine.contains(&last)).then_some(()));
    match has_all {
        Some(()) => log::info!("has everything that {from} had when it was demoted"),
        None => log::warn!("did not receive everything that {from} had when it was demoted: {last}"),
    }
    Ok(())
}
