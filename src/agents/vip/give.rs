//! `stop`, and `demote` in a clone: the address is given back. Its connections are ended while it is still here, so that
//! clients learn of it: nothing that is sent after it is gone reaches them.

use anyhow::{Result, bail};

use super::node::Node;
use crate::agents::standing::{self, Standing};
use crate::guard::turn::Turn;
use crate::net::{addresses, connections};
use crate::ocf::exit::{ExitCode, Outcome};

/// The same address can be there more than once: with other prefixes, or on other interfaces.
const MOST: usize = 8;

/// The instance is not started any more.
///
/// # Errors
/// When the address cannot be removed.
pub fn stop(node: &Node) -> Outcome {
    let _alone = end_guard(node);
    give_back(node)?;
    node.memory().forget()?;
    if let Some(cluster) = node.cluster.as_ref().filter(|_| node.is_promotable()) {
        standing::withdraw(cluster, node.deadline);
    }
    Ok(ExitCode::Success)
}

/// The instance stands by from now on.
///
/// # Errors
/// When the address cannot be removed.
pub fn demote(node: &Node) -> Outcome {
    let _alone = end_guard(node);
    give_back(node)?;
    if node.memory().read().is_some() {
        node.memory().write(Standing::By)?;
    }
    Ok(ExitCode::Success)
}

/// Ends the guard, and keeps one that is just beginning from renewing the lease for as long as the result lives.
fn end_guard(node: &Node) -> Option<Turn> {
    node.guard().end();
    node.guard().keep_out().inspect_err(|error| log::warn!("{error:#}")).ok()
}

/// Ends the connections of the address and removes it; that it is not here is no error.
///
/// # Errors
/// When it is still here afterwards.
pub fn give_back(node: &Node) -> Result<()> {
    for _ in 0..MOST {
        let Some(held) = node.held()? else { return Ok(()) };
        match connections::end(held.ip) {
            Ok(0) => {}
            Ok(ended) => log::info!("{ended} connections of {} are ended", held.ip),
            Err(error) => log::warn!("connections of {} are left to themselves: {error:#}", held.ip),
        }
        addresses::remove(&held)?;
        log::info!("{}/{} is given back", held.ip, held.prefix);
    }
    bail!("the address is still there, after it was removed {MOST} times: who adds it?");
}
