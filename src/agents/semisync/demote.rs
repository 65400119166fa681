//! demote: commits wait for nobody any more, and a replica acknowledges. The database is demoted after it.

use std::time::Duration;

use anyhow::Result;

use super::decide::Health;
use super::node::{Node, Server};
use super::publish::publish;
use super::replica;
use crate::deadline::Deadline;
use crate::ocf::exit::{ExitCode, Outcome};
use crate::server::client::{Session, server_error};
use crate::server::dialect::{Dialect, code};
use crate::server::semisync;

/// Commits that are acknowledged at all are so within this time.
const STUCK: Duration = Duration::from_secs(1);

/// How often it is looked whether they are.
const LOOK: Duration = Duration::from_millis(20);

/// Runs the action. A server that cannot be asked is the database agent's to end; failing here would hold it up
/// (objection 16).
pub fn demote(node: &Node) -> Outcome {
    if node.mark().daemon().is_none_or(|daemon| daemon.is_stopped()) {
        log::warn!("the server does not run, or is stopped (SIGSTOP): nothing to switch off");
    } else if let Err(error) = step_down(node) {
        log::warn!("semi-synchronous replication may still be on for the primary's side: {error:#}");
    }
    node.promotion().remove()?;
    Ok(ExitCode::Success)
}

fn step_down(node: &Node) -> Result<()> {
    let Server { mut session, .. } = node.server()?;
    let_go(&mut session, node.deadline)?;
    let health =
        replica::serve(&mut session, node.deadline).unwrap_or_else(|error| Health::Degraded(format!("{error:#}")));
    publish(node, &health, false);
    Ok(())
}

/// Switches the source's half off. What waits is told that it succeeded (measured on both vendors), so clients of
/// commits that nobody acknowledges lose their connections first; those of commits that are just under way do not.
///
/// # Errors
/// When the server does not do so.
pub fn let_go(session: &mut Session, deadline: Deadline) -> Result<()> {
    if is_stuck(session, deadline.at_most(STUCK))? {
        let ended = end_writers(session)?;
        log::warn!(
            "commits waited for acknowledgements that did not come: ended {ended} clients, who were told nothing"
        );
    }
    semisync::source_off(session).map(drop)
}

/// Whether commits wait, and none is acknowledged until the deadline.
fn is_stuck(session: &mut Session, deadline: Deadline) -> Result<bool> {
    let mut acknowledged = None;
    loop {
        let Some(side) = semisync::read(session)?.source.filter(|side| side.active && side.waiting > 0) else {
            return Ok(false);
        };
        if *acknowledged.get_or_insert(side.acknowledged) != side.acknowledged {
            return Ok(false);
        }
        if deadline.is_over() {
            return Ok(true);
        }
        std::thread::sleep(LOOK);
    }
}

/// Ends the connections of all clients that are doing something; how many there were.
fn end_writers(session: &mut Session) -> Result<usize> {
    let writers: Vec<_> = session.clients()?.into_iter().filter(|client| client.command != "Sleep").collect();
    for writer in &writers {
        match session.execute("end a client's connection", &Dialect::kill(writer.id)) {
            Err(error) if server_error(&error) != Some(code::NO_SUCH_THREAD) => return Err(error),
            _ => {}
        }
    }
    Ok(writers.len())
}
