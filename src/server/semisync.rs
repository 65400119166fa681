//! Semi-synchronous replication on one server: what each half is, switching it on and off, and who is connected. What is
//! on when is the agents' decision, in a cluster and by a promise; here is only how one server is made to keep its part.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::client::{Session, server_error};
use super::dialect::Dialect;
use super::dialect::code;
use super::dialect::semisync::AFTER_SYNC;
use super::peers;
use super::rows::{
    Connection, Receiver, ReplicaSide, SemiSync, SourceRule, SourceSide, parse_flushed, parse_server_id,
};
use super::version::Vendor;
use crate::deadline::Deadline;
use crate::gtid::GtidSet;

pub mod before;

/// How often it is looked whether a receiver is connected, or a connection has ended.
const LOOK: Duration = Duration::from_millis(20);

/// How long a stopping receiver tries to end its connection at a source that does not answer, in seconds: MariaDB's
/// default of 5 is time that a promotion waits for a source that is dead.
const KILL_TIMEOUT: u64 = 1;

/// What was to be done was found done, or was done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was so before.
    Already,
    /// It is so now.
    Done,
}

/// When a change of the replica's half takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The receiver runs, and does it.
    Now,
    /// There is no source, or the receiver is stopped or not connected: its next connection does it.
    AtNextConnection,
}

/// What both halves are.
///
/// # Errors
/// When the server cannot be asked or understood.
pub fn read(session: &mut Session) -> Result<SemiSync> {
    let dialect = session.dialect();
    let rows = session.query("the state of semi-synchronous replication", &dialect.semi_sync())?;
    SemiSync::parse(dialect, &rows).map_err(anyhow::Error::msg)
}

/// From its success on, no client is told of a commit before `acks` replicas have it, whatever happens to them: it waits
/// before any other client sees the commit, has no time-out, and waits also when nobody is connected.
///
/// Lowering the count of a server that waits may release what waits; what is committed before it returns may be
/// acknowledged by the rule that held before.
///
/// # Errors
/// When the server has no such half, or does not do so.
pub fn source_on(session: &mut Session, acks: u64) -> Result<Change> {
    source_on_by(session, SourceRule::lossless(acks))
}

/// The same by a rule that may have a time-out, after which clients are told all the same.
///
/// # Errors
/// When the server has no such half, or does not do so.
pub fn source_on_by(session: &mut Session, rule: SourceRule) -> Result<Change> {
    let acks = rule.acks;
    let side = source_side(session)?;
    ensure!(acks > 0, "a rule of no acknowledgement is none");
    ensure!(acks == 1 || side.names.acks.is_some(), "MariaDB waits for one replica, and not for {acks}");
    let statements = plan_source(&side, rule);
    apply(session, &statements)?;
    let mut change = if statements.is_empty() { Change::Already } else { Change::Done };
    let mut side = source_side(session)?;
    if side.enabled && !side.active {
        // It has switched itself off, and tells every client at once: nobody waits whom switching it off would release.
        log::warn!("the server had switched semi-synchronous replication off: switched on again");
        apply(session, &[Dialect::switch(side.names.enabled, false), Dialect::switch(side.names.enabled, true)])?;
        change = Change::Done;
        side = source_side(session)?;
    }
    match side.weakness_by(rule) {
        None if side.acks == acks => Ok(change),
        None => bail!("semi-synchronous replication waits for {} replicas, and not for {acks}", side.acks),
        Some(why) => bail!("semi-synchronous replication is not on: {why}"),
    }
}

/// What must be said so that the rule holds: the rule first, the switch last, so that nothing is acknowledged by half a
/// rule. Pure.
fn plan_source(side: &SourceSide, rule: SourceRule) -> Vec<String> {
    let names = side.names;
    let mut statements = Vec::new();
    if side.timeout != rule.timeout {
        statements.push(Dialect::set_number(names.timeout, rule.timeout));
    }
    if !side.wait_no_replica {
        statements.push(Dialect::switch(names.wait_no_replica, true));
    }
    if side.wait_point != AFTER_SYNC {
        statements.push(Dialect::set_word(names.wait_point, AFTER_SYNC));
    }
    if let Some(name) = names.acks.filter(|_| side.acks != rule.acks) {
        statements.push(Dialect::set_number(name, rule.acks));
    }
    if !side.enabled {
        statements.push(Dialect::switch(names.enabled, true));
    }
    statements
}

/// Commits wait for nobody any more. **Every client that waits is told that its commit succeeded** (measured on both
/// vendors): where that must not be, end the clients' connections first.
///
/// # Errors
/// When the server does not do so. A server without that half is off already.
pub fn source_off(session: &mut Session) -> Result<Change> {
    let Some(side) = read(session)?.source.filter(|side| side.enabled) else { return Ok(Change::Already) };
    apply(session, &[Dialect::switch(side.names.enabled, false)])?;
    ensure!(!source_side(session)?.enabled, "semi-synchronous replication is still on");
    Ok(Change::Done)
}

/// The receiver acknowledges what it receives. It is started again if it must: it asks for semi-synchronous replication
/// only when it connects.
///
/// What was sent to it before is not acknowledged: a commit that waits on the source goes on waiting until this replica
/// acknowledges a later one (measured on both vendors), such as a marker that is committed after the switch.
///
/// # Errors
/// When the server has no such half, or the receiver does not do so by the deadline although it is connected.
pub fn replica_on(session: &mut Session, deadline: Deadline) -> Result<Effect> {
    let side = replica_side(session)?;
    switch_replica(session, &side, true, deadline)
}

/// The receiver acknowledges nothing any more.
///
/// # Errors
/// When the receiver goes on acknowledging. A server without that half is off already.
pub fn replica_off(session: &mut Session, deadline: Deadline) -> Result<Effect> {
    match read(session)?.replica {
        Some(side) => switch_replica(session, &side, false, deadline),
        None => Ok(Effect::Now),
    }
}

fn switch_replica(session: &mut Session, side: &ReplicaSide, on: bool, deadline: Deadline) -> Result<Effect> {
    let mut statements = Vec::new();
    if let Some(name) = side.names.kill_timeout.filter(|_| side.kill_timeout != Some(KILL_TIMEOUT)) {
        statements.push(Dialect::set_number(name, KILL_TIMEOUT));
    }
    if side.enabled != on {
        statements.push(Dialect::switch(side.names.enabled, on));
    }
    apply(session, &statements)?;
    let status = session.replica_status()?;
    let receiver = status.as_ref().map_or(Receiver::Stopped, |status| status.receiver);
    let takes_effect = match receiver {
        Receiver::Stopped => return Ok(Effect::AtNextConnection),
        Receiver::Running => side.active == on,
        // MariaDB asks when the thread starts, which may have been before the switch; an older one is left to connect.
        Receiver::Connecting => side.enabled == on,
    };
    if !takes_effect {
        let is_applying = status.as_ref().is_some_and(|status| status.applier_running);
        restart_receiver(session, is_applying)?;
    }
    await_effect(session, on, deadline)
}

/// Starts the receiver again, and only it: MariaDB throws the relay log away when it is started with both threads stopped
/// (objection 2), and what is in it may have been acknowledged.
fn restart_receiver(session: &mut Session, is_applying: bool) -> Result<()> {
    let dialect = session.dialect();
    ensure!(
        is_applying || dialect.version().vendor == Vendor::MySql,
        "the receiver cannot be started again for semi-synchronous replication while the applier is stopped: MariaDB \
         would throw away what was received and not applied; START REPLICA SQL_THREAD first"
    );
    session.execute("stop the receiver", &dialect.stop_receiver())?;
    session.execute("start the receiver", &dialect.start_receiver())?;
    log::info!("the receiver was started again for a change of semi-synchronous replication");
    Ok(())
}

/// Waits until the receiver is connected, and looks whether it does what it is to do.
fn await_effect(session: &mut Session, on: bool, deadline: Deadline) -> Result<Effect> {
    loop {
        let is_active = replica_side(session)?.active;
        match session.replica_status()?.map(|status| status.receiver) {
            // One that is not connected acknowledges nothing.
            _ if !on && !is_active => return Ok(Effect::Now),
            Some(Receiver::Running) if on && is_active => return Ok(Effect::Now),
            None | Some(Receiver::Stopped) => return Ok(Effect::AtNextConnection),
            Some(Receiver::Connecting) if deadline.is_over() => return Ok(Effect::AtNextConnection),
            Some(Receiver::Running) if deadline.is_over() && on => {
                bail!("the receiver runs without semi-synchronous replication: its source has no plugin for it")
            }
            Some(Receiver::Running) if deadline.is_over() => bail!("the receiver goes on acknowledging"),
            Some(Receiver::Running | Receiver::Connecting) => std::thread::sleep(LOOK),
        }
    }
}

/// Installs MySQL's plugins of which the server has neither half; for good, as INSTALL PLUGIN does. MariaDB has both.
///
/// # Errors
/// When they cannot be installed: never on a server that is closed for SUPER.
pub fn install(session: &mut Session) -> Result<()> {
    let found = read(session)?;
    let statements = session.dialect().install_semi_sync(found.source.is_some(), found.replica.is_some());
    statements.iter().try_for_each(|statement| {
        log::info!("{statement}");
        session.execute("install the plugin of semi-synchronous replication", statement)
    })
}

/// The server_ids of the replicas that are connected.
///
/// # Errors
/// When the server cannot be asked.
pub fn connected_replicas(session: &mut Session) -> Result<Vec<u64>> {
    let dialect = session.dialect();
    let rows = session.query("the connected replicas", dialect.show_replicas())?;
    Ok(rows.iter().filter_map(|row| parse_server_id(row, dialect.replica_server_id())).collect())
}

/// Ends the connections of the replicas at these addresses, and waits until they have ended; how many there were. Such a
/// replica connects again, unless its account is locked or its receiver is stopped.
///
/// # Errors
/// When one does not end by the deadline.
pub fn end_receivers_from(session: &mut Session, addresses: &[IpAddr], deadline: Deadline) -> Result<usize> {
    let remote_ends = peers::read_remote_ends();
    end_receivers(session, |replica| peers::may_come_from(&replica.host, addresses, &remote_ends), deadline)
}

/// Ends the connections of all replicas, and waits until they have ended; how many there were.
///
/// # Errors
/// When one does not end by the deadline.
pub fn end_all_receivers(session: &mut Session, deadline: Deadline) -> Result<usize> {
    end_receivers(session, |_| true, deadline)
}

fn end_receivers(session: &mut Session, is_meant: impl Fn(&Connection) -> bool, deadline: Deadline) -> Result<usize> {
    let meant: Vec<u64> = receivers(session)?.into_iter().filter(is_meant).map(|replica| replica.id).collect();
    for id in &meant {
        match session.execute("end a replica's connection", &Dialect::kill(*id)) {
            Err(error) if server_error(&error) != Some(code::NO_SUCH_THREAD) => return Err(error),
            _ => {}
        }
    }
    while receivers(session)?.iter().any(|replica| meant.contains(&replica.id)) {
        ensure!(!deadline.is_over(), "a replica's connection does not end although it was killed");
        std::thread::sleep(LOOK);
    }
    Ok(meant.len())
}

/// The connections over which the binary log is read, whoever does so.
///
/// # Errors
/// When the server cannot be asked.
pub fn receivers(session: &mut Session) -> Result<Vec<Connection>> {
    let rows = session.query("the connections", Dialect::CONNECTIONS)?;
    Ok(rows.iter().filter_map(Connection::parse).filter(Connection::is_replica).collect())
}

/// An upper bound of all that was written to the binary log so far, also of what waits for its acknowledgement: nothing
/// was sent to a replica that is not in it. With a session that set a GTID for itself and has not committed it, it holds
/// more than what is written, and nobody has it before that session commits.
///
/// # Errors
/// When the server cannot be asked or understood.
pub fn flushed_position(session: &mut Session) -> Result<GtidSet> {
    let dialect = session.dialect();
    let rows = session.query("what was written to the binary log", dialect.flushed())?;
    let row = rows.first().context("the server did not say what was written to its binary log")?;
    parse_flushed(dialect.version().vendor, row).map_err(anyhow::Error::msg)
}

fn source_side(session: &mut Session) -> Result<SourceSide> {
    let option = session.dialect().semi_sync_option(true);
    let missing =
        || format!("the server has no semi-synchronous replication for a primary: say {option} in its option file");
    read(session)?.source.with_context(missing)
}

fn replica_side(session: &mut Session) -> Result<ReplicaSide> {
    let option = session.dialect().semi_sync_option(false);
    let missing =
        || format!("the server has no semi-synchronous replication for a replica: say {option} in its option file");
    read(session)?.replica.with_context(missing)
}

fn apply(session: &mut Session, statements: &[String]) -> Result<()> {
    statements.iter().try_for_each(|statement| {
        log::info!("{statement}");
        session.execute("change semi-synchronous replication", statement)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::dialect::semisync::ENDLESS;
    use crate::server::version::Version;

    fn side(vendor: Vendor) -> SourceSide {
        SourceSide {
            names: &Dialect::of(Version { vendor, number: (99, 0, 0) }).source_names()[0],
            enabled: true,
            active: true,
            wait_point: AFTER_SYNC.into(),
            timeout: ENDLESS,
            wait_no_replica: true,
            acks: 1,
            clients: 0,
            waiting: 0,
            acknowledged: 0,
            unacknowledged: 0,
        }
    }

    #[test]
    fn a_rule_that_holds_is_not_said_again() {
        assert!(plan_source(&side(Vendor::MySql), SourceRule::lossless(1)).is_empty());
        assert!(plan_source(&side(Vendor::MariaDb), SourceRule::lossless(1)).is_empty());
    }

    #[test]
    fn the_switch_comes_last_so_that_nothing_is_acknowledged_by_half_a_rule() {
        let off = SourceSide {
            enabled: false,
            active: false,
            wait_point: "AFTER_COMMIT".into(),
            timeout: 10_000,
            wait_no_replica: false,
            ..side(Vendor::MySql)
        };
        let names = off.names;
        let plan = plan_source(&off, SourceRule::lossless(2));
        assert_eq!(plan.len(), 5, "{plan:?}");
        assert_eq!(plan.last(), Some(&Dialect::switch(names.enabled, true)));
        assert!(plan.contains(&Dialect::set_number(names.timeout, ENDLESS)));
        assert!(plan.contains(&Dialect::set_number(names.acks.expect("MySQL counts"), 2)));
        assert!(plan.contains(&Dialect::set_word(names.wait_point, AFTER_SYNC)));
    }

    #[test]
    fn only_what_differs_is_said() {
        let short = SourceSide { timeout: 10_000, ..side(Vendor::MariaDb) };
        assert_eq!(plan_source(&short, SourceRule::lossless(1)), [Dialect::set_number(short.names.timeout, ENDLESS)]);
    }
}
