//! promote: hear the survivors, fetch what one of them has and this one has not, apply everything, and only then open.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, bail};

use super::decide::election::{Survivor, Verdict, elect};
use super::decide::position::Told;
use super::decide::record::{Record, next_epoch};
use super::node::Node;
use super::publish::{Standing, publish};
use super::replicate;
use super::review::{out_of_it, position_attribute, unfit};
use crate::deadline::Deadline;
use crate::ocf::exit::{ExitCode, OcfError, Outcome};
use crate::pacemaker::{Cluster, View};
use crate::server::client::Session;
use crate::server::process::Daemon;

/// How often it is looked whether the survivors have told their positions.
const LOOK: Duration = Duration::from_millis(20);

/// Survivors tell their positions before promote is called; that takes this long at most, unless one hangs.
const SURVIVORS: Duration = Duration::from_secs(15);

/// Runs the action.
pub fn promote(node: &Node) -> Outcome {
    let Some(daemon) = node.daemon() else {
        return Err(OcfError::generic("the server is not running, and is not started by a promotion").into());
    };
    let mut session = node.session()?;
    let is_writable = session.state()?.is_writable();
    if is_writable && node.is_marked(daemon) {
        log::info!("already promoted");
        return Ok(ExitCode::Success);
    }
    if let Some(cluster) = &node.cluster {
        gather_everything(node, cluster, &mut session)?;
    } else {
        log::info!("not called by a cluster: nobody else is asked");
        replicate::drain(&mut session, node.deadline)?;
    }
    replicate::detach(&mut session)?;
    let view = claim(node, &mut session)?;
    node.mark().leave(daemon)?;
    // Last: no line before this one lets a client write (invariant 2).
    let open = session.dialect().open_for_writes();
    session.execute("open the server for writes", open)?;
    log::info!("promoted: open for writes");
    if let Some(view) = view {
        publish(node, &view, &Standing::primary());
    }
    Ok(ExitCode::Success)
}

/// Takes over a primary that is open for writes already, as it is.
///
/// # Errors
/// When mark or record cannot be written.
pub fn adopt(node: &Node, session: &mut Session, daemon: Daemon) -> Result<()> {
    claim(node, session)?;
    node.mark().leave(daemon)
}

/// Makes sure that this instance has committed everything that any survivor has received (invariant 3).
fn gather_everything(node: &Node, cluster: &Cluster, session: &mut Session) -> Result<()> {
    if let Some(why) = unfit(&session.state()?) {
        bail!(OcfError::generic(format!("it cannot be the primary: {why}")));
    }
    replicate::seal(session)?;
    // Before any change of source, and before anything that may fail: a restart, as well as a change of source, throws
    // the relay log away (objection 2).
    replicate::drain(session, node.deadline)?;
    let record = node.record()?;
    if let Some(why) = out_of_it(session.replica_status()?.as_ref(), &session.state()?.executed, record.as_ref())? {
        bail!(OcfError::generic(format!("it cannot be the primary: {why}")));
    }
    let (survivors, view) = await_survivors(node, cluster, session, next_epoch(record.as_ref()))?;
    loop {
        let mine = session.state()?.executed;
        let (verdict, passed_over) = elect(&mine, &survivors);
        for note in passed_over {
            log::warn!("{note}");
        }
        match verdict {
            Verdict::PromoteMe => return Ok(()),
            Verdict::FetchFrom(survivor) => fetch(node, session, &view, &survivors, &survivor)?,
        }
    }
}

/// Fetches what a survivor has and this instance has not, by ordinary replication from it.
fn fetch(node: &Node, session: &mut Session, view: &View, survivors: &[Survivor], from: &str) -> Result<()> {
    let wanted =
        survivors.iter().find(|survivor| survivor.node == from).and_then(|survivor| survivor.has.as_ref().ok());
    let Some(wanted) = wanted else { bail!("{from} told no position") };
    let missing = wanted.minus(&session.state()?.executed);
    log::info!("fetching {} transactions from {from}: {missing}", missing.count());
    replicate::attach(session, &node.source_at(from, view), node.deadline)?;
    let fetched = replicate::wait_applied(session, wanted, node.deadline);
    replicate::seal(session)?;
    fetched.map_err(|error| {
        OcfError::generic(format!("cannot fetch from {from} what it has and this node has not: {error:#}")).into()
    })
}

/// Waits until every other instance that is there has told its sealed position for this promotion.
fn await_survivors(node: &Node, cluster: &Cluster, session: &Session, epoch: u64) -> Result<(Vec<Survivor>, View)> {
    let vendor = session.dialect().version().vendor;
    let name = position_attribute(&node.resource);
    let deadline = node.deadline.at_most(SURVIVORS);
    loop {
        let view = cluster.view(node.deadline)?;
        if !view.quorate {
            bail!(OcfError::generic("this part of the cluster has no quorum: not promoted"));
        }
        let mut silent: BTreeSet<&str> = view.instances.keys().map(String::as_str).collect();
        silent.remove(cluster.node.as_str());
        let told = cluster.told(&name, node.deadline)?;
        let mut survivors = Vec::new();
        for (from, text) in told.iter().filter(|(from, _)| view.instances.contains_key(*from)) {
            match Told::parse(vendor, text) {
                Ok(told) if told.sealed && told.epoch == epoch => {
                    if silent.remove(from.as_str()) {
                        survivors.push(Survivor { node: from.clone(), has: told.has });
                    }
                }
                Ok(_) => {}
                Err(why) => log::warn!("{from} told something that cannot be read: {why}"),
            }
        }
        if silent.is_empty() {
            return Ok((survivors, view));
        }
        if deadline.is_over() {
            let silent: Vec<&str> = silent.into_iter().collect();
            let reason = format!(
                "not promoted: {} did not tell what it has received, and may have more than this node; see its log",
                silent.join(", ")
            );
            bail!(OcfError::generic(reason));
        }
        std::thread::sleep(LOOK);
    }
}

/// Writes the promotion into the cluster's configuration, before the first write is possible.
fn claim(node: &Node, session: &mut Session) -> Result<Option<View>> {
    let Some(cluster) = &node.cluster else { return Ok(None) };
    let state = session.state()?;
    let record = node.record()?;
    let claimed = Record {
        epoch: next_epoch(record.as_ref()),
        primary: cluster.node.clone(),
        uuid: state.server_uuid,
        base: state.executed.to_string(),
    };
    cluster.write_record(&claimed.to_string(), node.deadline)?;
    log::info!(
        "promotion {} of {}, from {}",
        claimed.epoch,
        node.resource,
        if claimed.base.is_empty() { "nothing" } else { &claimed.base }
    );
    Ok(Some(cluster.view(node.deadline)?))
}

/// What a survivor does before another instance is promoted: it receives nothing more, and tells what it has.
///
/// # Errors
/// When server or cluster cannot be asked or told.
pub fn tell_survivors_position(node: &Node, deadline: Deadline) -> Result<()> {
    let Some(cluster) = &node.cluster else { return Ok(()) };
    let record = node.record()?;
    let epoch = next_epoch(record.as_ref());
    let Some(daemon) = node.daemon() else {
        let told = Told { epoch, sealed: true, has: Err("its server is not running".into()) };
        return super::review::tell(node, cluster, &told);
    };
    let mut session = super::monitor::ask(node, daemon)?;
    replicate::seal(&mut session)?;
    let executed = session.state()?.executed;
    let has = match out_of_it(session.replica_status()?.as_ref(), &executed, record.as_ref())? {
        Some(why) => Err(why),
        None => {
            // A survivor serves only what it has applied and logged (objection 3).
            if let Err(error) = replicate::drain(&mut session, deadline) {
                log::warn!("{error:#}");
            }
            Ok(replicate::received(&mut session)?)
        }
    };
    super::review::tell(node, cluster, &Told { epoch, sealed: true, has })
}
