//! Closing a primary for writes: the one story for demote and for stop, every step bounded.
//!
//! A planned closing keeps the replicas' connections, since they must still receive the last transactions. `SET read_only`
//! waits for commits and locks that are in the way (MySQL bug 96644); what is in its way after a moment is ended.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::deadline::Deadline;
use crate::server::client::{Session, server_error};
use crate::server::dialect::{Dialect, code};

/// How long running statements may go on before their connections are ended.
const GRACE: Duration = Duration::from_secs(1);

/// Closes the server for writes and ends all clients, so that they look for the new primary at once. Afterwards no write
/// is acknowledged here, by anybody who is not privileged to write to a closed server.
///
/// # Errors
/// When it is not closed by the deadline.
pub fn close(session: &mut Session, deadline: Deadline) -> Result<()> {
    let statements = session.dialect().close_for_writes(GRACE);
    loop {
        let closed =
            statements.iter().try_for_each(|statement| session.execute("close the server for writes", statement));
        match closed {
            Ok(()) => break,
            Err(error) if server_error(&error) != Some(code::LOCK_WAIT_TIMEOUT) => return Err(error),
            Err(_) if deadline.is_over() => {
                bail!("a statement or a lock kept the server open for writes until the time was over")
            }
            Err(_) => log::info!("ended {} clients that kept the server open for writes", end_clients(session)?),
        }
    }
    let state = session.state()?;
    if state.is_writable() || state.super_read_only == Some(false) {
        bail!("the server is still open for writes after it was closed");
    }
    log::info!("closed for writes, ended {} clients", end_clients(session)?);
    Ok(())
}

/// Ends all clients' connections; how many there were.
fn end_clients(session: &mut Session) -> Result<usize> {
    let clients = session.clients()?;
    for client in &clients {
        match session.execute("end a client's connection", &Dialect::kill(client.id)) {
            Err(error) if server_error(&error) != Some(code::NO_SUCH_THREAD) => {
                return Err(error).with_context(|| format!("connection {} of {}", client.id, client.user));
            }
            _ => {}
        }
    }
    Ok(clients.len())
}
