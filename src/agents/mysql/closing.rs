//! Closing a primary for writes: the one story for demote, for stop, and for a server that was opened behind the cluster's
//! back. Every step is bounded.
//!
//! A planned closing keeps the replicas' connections, since they must still receive the last transactions. `SET read_only`
//! waits for commits and locks that are in the way (MySQL bug 96644); what is in its way after a moment is ended. What is
//! in its way even then is a commit that waits for an acknowledgement which does not come, and it must not be let go while
//! its client is there: letting it go acknowledges it. How it is let go differs (measured on MySQL 9.7 and MariaDB 10.11):
//!
//! - MySQL: a commit goes on waiting whose connection is ended, until semi-sync is switched off. So all connections are ended, and
//!   no new ones are let in; then semi-sync is switched off; then the server is closed.
//! - MariaDB: one connection waits for all that commit with it (group commit), and ending that one lets all of them go, and those that
//!   queue behind them: of twenty clients that were ended one after the other, up to fifteen were acknowledged. So `SET read_only`
//!   is left waiting first, and then nobody begins to write any more; the connections that queue are ended; and then the one
//!   that waits for them.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::node::Node;
use crate::deadline::Deadline;
use crate::server::client::{Session, server_error};
use crate::server::dialect::code;
use crate::server::rows::Connection;
use crate::server::semisync;

/// How long running statements may go on before their connections are ended.
const GRACE: Duration = Duration::from_secs(1);

/// How often clients are ended that are in the way.
const PAUSE: Duration = Duration::from_millis(20);

/// Closes the server for writes and ends all clients, so that they look for the new primary at once. Afterwards no write
/// is acknowledged here, by anybody who is not privileged to write to a closed server.
///
/// # Errors
/// When it is not closed by the deadline.
pub fn close(node: &Node, session: &mut Session, deadline: Deadline) -> Result<()> {
    if !is_closed_within(session, GRACE)? {
        match session.dialect().lock_out() {
            Some((lock, _)) => {
                let ended = end_clients(session)?;
                log::info!("ended {ended} clients that kept the server open for writes");
                if !is_closed_within(session, GRACE)? {
                    release_and_close(node, session, lock, deadline)?;
                }
            }
            None => close_while_ending(node, session, deadline, end_clients_in_order)?,
        }
    }
    let state = session.state()?;
    if state.is_writable() || state.super_read_only == Some(false) {
        bail!("the server is still open for writes after it was closed");
    }
    log::info!("closed for writes, ended {} clients", end_clients(session)?);
    // Also one that was locked by a closing that did not come to its end.
    let_in(session)?;
    semisync::source_off(session).map(drop)
}

/// Lets clients and replicas in again, where the server can lock them out.
///
/// # Errors
/// When the server does not do so.
pub fn let_in(session: &mut Session) -> Result<()> {
    match session.dialect().lock_out() {
        Some((_, unlock)) => session.execute("let clients and replicas in", unlock),
        None => Ok(()),
    }
}

/// Closes it, unless something is in the way for that long.
fn is_closed_within(session: &mut Session, patience: Duration) -> Result<bool> {
    let statements = session.dialect().close_for_writes(patience);
    match statements.iter().try_for_each(|statement| session.execute("close the server for writes", statement)) {
        Ok(()) => Ok(true),
        Err(error) if server_error(&error) == Some(code::LOCK_WAIT_TIMEOUT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Closes a server on which commits wait for acknowledgements that do not come, and which can lock clients out.
fn release_and_close(node: &Node, session: &mut Session, lock: &str, deadline: Deadline) -> Result<()> {
    log::warn!("commits wait for acknowledgements: their clients are ended without one, and then they are released");
    session.execute("lock clients out", lock)?;
    end_clients(session)?;
    // Those that are privileged are not locked out, but ended by now, and what they begin anew waits for nothing: the
    // server is closed before that.
    semisync::source_off(session)?;
    let end_all = |session: &mut Session, closer| end_clients_but(session, Some(closer)).map(drop);
    let closed = close_while_ending(node, session, deadline, end_all);
    let_in(session)?;
    closed
}

/// Ends all clients of an open server without an acknowledgement, also those whose commits wait for one. It is open again
/// afterwards.
///
/// # Errors
/// When the server does not do so by the deadline.
pub fn release(node: &Node, session: &mut Session, deadline: Deadline) -> Result<()> {
    if session.dialect().lock_out().is_some() {
        return end_clients(session).map(drop);
    }
    let closed = close_while_ending(node, session, deadline, end_clients_in_order);
    // Also when it was not closed in time: the server may do so yet. Not when it was demoted meanwhile.
    if node.daemon().is_some_and(|daemon| node.is_marked(daemon)) {
        session.execute("open the server for writes again", session.dialect().open_for_writes())?;
    }
    closed
}

/// Closes it on one connection, and ends from another one what is in the way, until it is closed. `end` is told the number
/// of the connection that closes it.
fn close_while_ending(
    node: &Node,
    session: &mut Session,
    deadline: Deadline,
    end: impl Fn(&mut Session, u64) -> Result<()>,
) -> Result<()> {
    let mut closer = node.session()?;
    let spared = closer.id()?;
    std::thread::scope(|scope| {
        let closing = scope.spawn(move || is_closed_within(&mut closer, deadline.remaining()));
        while !closing.is_finished() {
            end(session, spared)?;
            std::thread::sleep(PAUSE);
        }
        match closing.join() {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => bail!("a statement or a lock kept the server open for writes until the time was over"),
            Ok(Err(error)) => Err(error),
            Err(_) => bail!("the closing of the server broke off"),
        }
    })
}

/// One round, once the connection `closer` waits, so that nobody begins to write any more: whoever can still commit is among
/// those that are there now. First all that somebody else's commit would take along, then those that wait for an
/// acknowledgement.
fn end_clients_in_order(session: &mut Session, closer: u64) -> Result<()> {
    let connections = session.connections()?;
    if !connections.iter().any(|connection| connection.id == closer && connection.awaits_lock()) {
        return Ok(());
    }
    let own = session.id()?;
    let is_to_end = |one: &&Connection| one.is_client() && one.id != own && one.id != closer;
    let (waiting, others): (Vec<_>, Vec<_>) =
        connections.iter().filter(is_to_end).partition(|connection| connection.awaits_acknowledgement());
    if !waiting.is_empty() {
        log::warn!("commits wait for acknowledgements: {} clients are ended without one", others.len() + waiting.len());
    }
    others.iter().chain(&waiting).try_for_each(|connection| end_client(session, connection))
}

/// Ends all clients' connections; how many there were.
///
/// # Errors
/// When the server does not do so.
pub fn end_clients(session: &mut Session) -> Result<usize> {
    end_clients_but(session, None)
}

fn end_clients_but(session: &mut Session, spared: Option<u64>) -> Result<usize> {
    let clients = session.clients()?;
    clients.iter().filter(|client| Some(client.id) != spared).try_for_each(|client| end_client(session, client))?;
    Ok(clients.len())
}

fn end_client(session: &mut Session, client: &Connection) -> Result<()> {
    session
        .kill("end a client's connection", client.id)
        .with_context(|| format!("connection {} of {}", client.id, client.user))
}
