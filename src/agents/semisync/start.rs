//! start: notes what the server is set to, and makes a replica acknowledge. It asks for nothing but a server that
//! answers; what is missing is told by the monitor, as degraded.

use anyhow::Result;

use super::decide::Health;
use super::node::{Node, Server};
use super::publish::publish;
use super::{replica, source};
use crate::ocf::exit::{ExitCode, OcfError, Outcome};
use crate::server::semisync;
use crate::server::semisync::before::Before;

/// Runs the action.
pub fn start(node: &Node) -> Outcome {
    let Server { mut session, daemon } = node.server()?;
    node.refuse_rival(daemon)?;
    if node.memory().recall(daemon)?.is_none() {
        node.memory().note(daemon, &Before::of(&semisync::read(&mut session)?))?;
    }
    node.promotion().remove()?;
    node.mark().leave(daemon)?;
    // Beside a primary nothing is changed before the promotion: switching its half off would let go of what waits.
    let health =
        replica::serve(&mut session, node.deadline).unwrap_or_else(|error| Health::Degraded(format!("{error:#}")));
    let is_primary = replica::is_primary(&mut session)?;
    publish(node, &health, is_primary);
    Ok(ExitCode::Success)
}

/// reload-agent: parameters were changed, or somebody changed the server and wants it set again.
pub fn reload(node: &Node) -> Outcome {
    let Server { mut session, daemon } = node.server()?;
    if !node.mark().is_of(daemon) {
        return Err(OcfError::new(ExitCode::NotRunning, "it was not started on this server").into());
    }
    let is_promoted = node.promotion().is_of(daemon);
    let health: Result<Health> =
        if is_promoted { source::serve(node, &mut session) } else { replica::serve(&mut session, node.deadline) };
    publish(node, &health?, is_promoted || replica::is_primary(&mut session)?);
    Ok(ExitCode::Success)
}
