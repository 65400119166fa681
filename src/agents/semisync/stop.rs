//! stop: sets everything back to what it was before start.

use anyhow::Result;

use super::demote::let_go;
use super::node::{Node, Server};
use super::publish::withdraw;
use crate::ocf::exit::{ExitCode, Outcome};
use crate::server::semisync::before;

/// Runs the action. A setting that cannot be set back is no reason to fence the node: it is said, and remembered for the
/// next start.
pub fn stop(node: &Node) -> Outcome {
    match node.mark().daemon() {
        None => {
            log::info!("already stopped: there is nothing that it has set");
            node.memory().forget()?;
        }
        Some(daemon) if daemon.is_stopped() => log::warn!("the server is stopped (SIGSTOP): nothing can be set back"),
        Some(_) => {
            if let Err(error) = set_back(node) {
                log::error!("semi-synchronous replication is not set back: {error:#}");
            }
        }
    }
    for mark in [node.promotion(), node.mark()] {
        mark.remove()?;
    }
    withdraw(node);
    Ok(ExitCode::Success)
}

fn set_back(node: &Node) -> Result<()> {
    let Server { mut session, daemon } = node.server()?;
    let Some(was) = node.memory().recall(daemon)? else {
        log::info!("the server was started again since, and has its own settings");
        return Ok(());
    };
    if node.promotion().is_of(daemon) && !was.waits() {
        let_go(&mut session, node.deadline)?;
    }
    before::restore(&mut session, &was, node.deadline)?;
    log::info!("semi-synchronous replication is set back to what it was");
    node.memory().forget()
}
