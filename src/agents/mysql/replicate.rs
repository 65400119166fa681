//! Being a replica: attach to a source, stop receiving, apply what was received. The order is always the same: what is
//! in the relay log is applied before anything that would throw the relay log away (objection 2).

use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::decide::health;
use crate::deadline::Deadline;
use crate::gtid::GtidSet;
use crate::server::client::Session;
use crate::server::dialect::Source;
use crate::server::rows::{Receiver, ReplicaStatus};
use crate::server::semisync;
use crate::server::version::Vendor;

/// How long a wait inside the server lasts before it is looked at again.
const STEP: Duration = Duration::from_secs(2);

/// How often a thread of the server is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What was received is not applied yet, and nothing is wrong.
#[derive(Debug)]
pub struct StillApplying(String);

impl std::fmt::Display for StillApplying {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for StillApplying {}

/// Everything that this server has: committed, or in a relay log that will be applied.
///
/// # Errors
/// When the server cannot be asked.
pub fn received(session: &mut Session) -> Result<GtidSet> {
    let executed = session.state()?.executed;
    match session.replica_status()? {
        Some(status) if counts(session, &status) => Ok(executed.union(&status.received)?),
        _ => Ok(executed),
    }
}

/// Whether the relay log counts: MariaDB purges it when a replica starts with both threads stopped, so that what is in
/// it is evidence only while the applier runs (objection 2).
pub fn counts(session: &Session, status: &ReplicaStatus) -> bool {
    status.applier_running || session.dialect().version().vendor == Vendor::MySql
}

/// Receives nothing more, acknowledges nothing more, and goes on applying.
///
/// # Errors
/// When the server does not do so.
pub fn seal(session: &mut Session, deadline: Deadline) -> Result<()> {
    stop_receiver(session)?;
    semisync::replica_off(session, deadline).map(drop)
}

fn stop_receiver(session: &mut Session) -> Result<()> {
    match session.replica_status()? {
        Some(status) if status.receiver != Receiver::Stopped => {
            if !status.applier_running && status.applier_error.is_none() {
                // Somebody stopped it: with both threads stopped, MariaDB would purge what was received.
                let statement = session.dialect().start_applier();
                session.execute("start the applier", &statement)?;
            }
            let statement = session.dialect().stop_receiver();
            session.execute("stop the receiver", &statement)
        }
        _ => Ok(()),
    }
}

/// Applies everything that was received.
///
/// # Errors
/// A broken applier, or not done by the deadline; the message says how much is left.
pub fn drain(session: &mut Session, deadline: Deadline) -> Result<()> {
    let Some(status) = session.replica_status()? else { return Ok(()) };
    if let Some(why) = health::applier_broken(&status) {
        bail!("the relay log cannot be applied: {why}");
    }
    let executed = session.state()?.executed;
    if !counts(session, &status) || executed.contains(&status.received) {
        return Ok(());
    }
    let left = status.received.minus(&executed).count();
    log::info!("waits until the {left} transactions are applied that were received and not applied yet");
    if !status.applier_running {
        let statement = session.dialect().start_applier();
        session.execute("start the applier", &statement)?;
    }
    wait_applied(session, &status.received, deadline)
}

/// Waits until the server has committed `set`.
///
/// # Errors
/// A broken applier, or not done by the deadline.
pub fn wait_applied(session: &mut Session, set: &GtidSet, deadline: Deadline) -> Result<()> {
    loop {
        let executed = session.state()?.executed;
        if executed.contains(set) {
            return Ok(());
        }
        if let Some(status) = session.replica_status()? {
            if let Some(why) = health::applier_broken(&status) {
                bail!("{set} cannot be applied: {why}");
            }
            let has_all = executed.union(&status.received).is_ok_and(|has| has.contains(set));
            if let Some(why) = health::receiver_broken(&status).filter(|_| !has_all) {
                bail!("{set} cannot be received: {why}");
            }
        }
        if deadline.is_over() {
            let left = set.minus(&executed);
            bail!(StillApplying(format!("{} transactions are still to be applied: {left}", left.count())));
        }
        log::debug!("waiting for {} transactions", set.minus(&executed).count());
        let query = session.dialect().wait_applied(&set.to_string(), deadline.remaining().min(STEP));
        // The answer is not needed: what was committed is asked again.
        session.value("the applier's progress", &query)?;
    }
}

/// Makes this server a replica of `source` from what it has, and starts it. What is in the relay log is applied first.
/// It acknowledges what it receives only if it is in the in-sync set.
///
/// # Errors
/// When the server does not do so, or has not applied its relay log by the deadline.
pub fn attach(session: &mut Session, source: &Source, acknowledges: bool, deadline: Deadline) -> Result<()> {
    seal(session, deadline)?;
    drain(session, deadline).with_context(|| format!("not yet a replica of {}", source.host))?;
    stop(session, deadline)?;
    let dialect = session.dialect();
    let executed = session.state()?.executed.to_string();
    for statement in dialect.change_source(source, &executed) {
        session.execute(&format!("make {} the source", source.host), &statement)?;
    }
    if acknowledges {
        semisync::replica_on(session, deadline)?;
    }
    session.execute("start replication", &dialect.start_replica())?;
    log::info!(
        "replica of {}:{} from {}",
        source.host,
        source.port,
        if executed.is_empty() { "the start" } else { &executed }
    );
    Ok(())
}

/// Ends being a replica, for good: only when the relay log has been applied, or nobody counts on what is in it.
///
/// # Errors
/// When the server does not do so.
pub fn detach(session: &mut Session, deadline: Deadline) -> Result<()> {
    if session.replica_status()?.is_none() {
        return Ok(());
    }
    stop(session, deadline)?;
    let statement = session.dialect().forget_source();
    session.execute("forget the source", &statement)
}

/// Ends receiver and applier, all that was received being applied.
fn stop(session: &mut Session, deadline: Deadline) -> Result<()> {
    drop_torn(session, deadline)?;
    let statement = session.dialect().stop_replica();
    session.execute("stop replication", &statement)
}

/// What is still being applied when all that was received is applied, is a transaction whose source has died in the
/// midst of sending it. Told to stop, MySQL's applier waits up to 60 s for the rest of it (SLAVE_WAIT_GROUP_DONE), and
/// does not listen to anything else then: it is ended before, and what it has done of it is rolled back.
///
/// # Errors
/// When the server does not do so.
pub fn drop_torn(session: &mut Session, deadline: Deadline) -> Result<()> {
    let Some(query) = session.dialect().busy_coordinator() else { return Ok(()) };
    let Some(coordinator) = session.value("whether a transaction is being applied", query)? else { return Ok(()) };
    let id = coordinator.parse().with_context(|| format!("'{coordinator}' is not the number of a connection"))?;
    log::info!("of a transaction only a part was received: its applier is ended, without waiting for the rest");
    session.kill("end the applier", id)?;
    while session.replica_status()?.is_some_and(|status| status.applier_running) && !deadline.is_over() {
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// Waits until the receiver is connected, or says why it is not; the status at the end.
///
/// # Errors
/// When the server cannot be asked.
pub fn await_receiver(session: &mut Session, deadline: Deadline) -> Result<Option<ReplicaStatus>> {
    let mut last = session.replica_status()?;
    while let Some(status) = &last {
        if status.receiver == Receiver::Running || status.receiver_error.is_some() || deadline.is_over() {
            break;
        }
        std::thread::sleep(LOOK);
        last = session.replica_status()?;
    }
    Ok(last)
}
