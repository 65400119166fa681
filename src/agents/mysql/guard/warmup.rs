//! Runs the operator's warmup statements, once in a server's life: with a cold cache a replica is a slow one.

use std::time::Duration;

use anyhow::{Result, bail};

use super::super::memo;
use super::super::node::Node;
use crate::deadline::Deadline;
use crate::guard::turn;
use crate::ocf::env::Invocation;
use crate::server::client::{Patience, Session, server_error};
use crate::server::dialect::{Dialect, code};
use crate::server::process::Daemon;

/// How soon it is tried again to log in.
const LOOK: Duration = Duration::from_millis(300);

/// What all of the statements may take.
const MOST: Duration = Duration::from_secs(3600);

/// The time of the call; nothing here waits for the cluster.
const CALL: Duration = Duration::from_secs(20);

/// Runs them. One that the server refuses is said, and does not keep clients away for good; one whose connection is ended, as
/// a promotion does it, is run again.
///
/// # Errors
/// When the call makes no sense.
pub fn run(call: &Invocation, daemon: Daemon) -> Result<()> {
    let mut node = Node::gather(call, CALL)?;
    if node.config.warmup.is_empty() || memo::is_warmed_up(&node, daemon) {
        return Ok(());
    }
    if memo::readiness(&node, daemon).is_ok() {
        // They are a new parameter of a server that is in use.
        memo::note_warmed_up(&node, daemon);
        return Ok(());
    }
    let deadline = Deadline::after(MOST);
    let statements = node.config.warmup.clone();
    let mut left = (1..).zip(&statements).peekable();
    let mut session = None;
    while let Some((nth, statement)) = left.peek() {
        if !daemon.is_alive() || deadline.is_over() {
            break;
        }
        let Some(open) = &mut session else {
            std::thread::sleep(LOOK);
            node.renew(CALL);
            session = open(&node, daemon, deadline).inspect_err(|error| log::debug!("{error:#}")).ok();
            continue;
        };
        match open.execute(&format!("run warmup statement {nth}"), statement) {
            Err(error) if server_error(&error).is_none_or(|number| code::ENDED.contains(&number)) => session = None,
            done => {
                if let Err(error) = done {
                    log::warn!("{error:#}");
                }
                left.next();
            }
        }
    }
    if daemon.is_alive() {
        log::info!(
            "the warmup is over: {} of {} statements have run",
            statements.len() - left.count(),
            statements.len()
        );
        memo::note_warmed_up(&node, daemon);
    }
    Ok(())
}

/// A session that can only read. What it reads may keep a change of the table waiting, and so the applier.
fn open(node: &Node, daemon: Daemon, deadline: Deadline) -> Result<Session> {
    // Whoever has the turn may be waiting for the applier.
    if turn::is_taken(&node.turn_file())? {
        bail!("not while an action or the guard is at work");
    }
    let mut session = node.session_with(Patience { deadline, answer: MOST })?;
    // That of a guard that was ended goes on, for nobody.
    memo::end_warmup(node, &mut session);
    session.execute("keep the warmup statements from writing", Dialect::READ_ONLY_SESSION)?;
    memo::note_warming_up(node, daemon, session.id()?);
    Ok(session)
}
