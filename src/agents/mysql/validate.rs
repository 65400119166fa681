//! validate-all, and what start and reload-agent check and say about the configuration.

use std::time::Duration;

use anyhow::Result;

use super::checks::catalogue::Severity;
use super::config::Config;
use super::node::Node;
use super::parameters::PARAMETERS;
use super::review;
use super::start;
use super::{checks, guard};
use crate::ocf::env::Invocation;
use crate::ocf::exit::{ExitCode, OcfError, Outcome};
use crate::server::layout;

/// The check that holds also for a server without a cluster.
const DURABLE: &str = "RHA-0107";

/// Runs the action. Level 0 looks at the parameters only, level 10 also at this node (OCF 1.1).
pub fn validate(call: &Invocation, time: Duration) -> Outcome {
    Config::read(call)?;
    // A tool that is about to create the resource validates it before it is a clone.
    if call.cluster.as_ref().is_some_and(|meta| meta.promotable) {
        refuse_unsuited_clone(call)?;
    }
    if call.check_level.is_none_or(|level| level < 10) {
        return Ok(ExitCode::Success);
    }
    let node = Node::gather(call, time)?;
    if let Some(trouble) = node.trouble {
        return Err(trouble.into());
    }
    let (binary, _) = start::validate(&node)?;
    start::refuse_impossible_promise(&node, layout::ask_version(&binary)?)?;
    validate_cluster(&node)?;
    if node.daemon().is_some() {
        // Also what somebody has changed since the agent has started the server (objection 7).
        let server = checks::facts::ask(&mut node.quick_session()?)?;
        let found = checks::judge::server("", &server, &checks::Wanted::of(&node.config));
        let is_wrong = |finding: &&checks::Finding| {
            finding.severity == Severity::Error && (call.cluster.is_some() || finding.code == DURABLE)
        };
        if let Some(finding) = found.iter().find(is_wrong) {
            return Err(OcfError::new(ExitCode::Args, format!("{} ({})", finding.text, finding.code)).into());
        }
    }
    Ok(ExitCode::Success)
}

/// What the cluster must be for what was asked of it.
fn validate_cluster(node: &Node) -> Result<()> {
    let Some(view) = node.view()? else { return Ok(()) };
    if node.config.prefers_availability && !view.fencing {
        // Objection 10: a primary that was alone may still acknowledge, and only fencing proves that it does not.
        let why = "durability=available needs fencing (stonith-enabled=true): without it nobody knows whether a lost primary \
                   still acknowledges writes";
        return Err(OcfError::new(ExitCode::Configured, why).into());
    }
    if node.config.semi_sync.is_some() && view.configured == 2 && !view.fencing {
        log::warn!(
            "two nodes without fencing: when the machine of one is lost, writes wait on the other one, or nobody is promoted \
             there, until it is back: configure fencing, or a third node"
        );
    }
    Ok(())
}

/// Under Pacemaker the resource must be a promotable clone that is notified: without the notifications no replica tells
/// what it has before a promotion.
///
/// # Errors
/// When it is not.
pub fn refuse_unsuited_clone(call: &Invocation) -> Result<()> {
    let Some(meta) = &call.cluster else { return Ok(()) };
    let wrong = match (meta.promotable, meta.notify) {
        (false, _) => "the resource must be a promotable clone: set promotable=true",
        (true, false) => "the clone must have the meta attribute notify=true",
        (true, true) => return Ok(()),
    };
    Err(OcfError::new(ExitCode::Configured, wrong).into())
}

/// Says once, at start, which of the given parameters are of the past.
pub fn say_deprecated(call: &Invocation) {
    for parameter in PARAMETERS.iter().filter(|parameter| call.params.contains_key(parameter.name)) {
        if let Some(deprecation) = parameter.deprecated {
            log::warn!("parameter {} is deprecated: {}", parameter.name, deprecation.why);
        }
    }
}

/// reload-agent: parameters that need no restart were changed. A replica gets its account and address anew; everything
/// else is read by each action.
pub fn reload(node: &Node) -> Outcome {
    let Some(daemon) = node.daemon() else {
        return Err(OcfError::new(ExitCode::NotRunning, "the server is not running").into());
    };
    if super::provision::is_being_replaced(node) {
        // The guard that follows reads them.
        return Ok(ExitCode::Success);
    }
    // It was started with the parameters of then.
    guard::end(node);
    guard::ensure(node);
    if node.is_marked(daemon) {
        return Ok(ExitCode::Success);
    }
    let _turn = node.await_turn(node.deadline)?;
    let mut session = node.session()?;
    if let (Some(cluster), Some(view)) = (&node.cluster, node.view()?)
        && let Some(primary) = view.promoted().into_iter().find(|name| *name != cluster.node)
        && session.replica_status()?.is_some()
    {
        let acknowledges = review::place(node, primary)?.is_some();
        let source = node.source_at(primary, &view);
        // A replica that is broken is none of the parameters' fault, and Pacemaker takes a failed reload for a failed start,
        // which is final: the review says what is wrong with it.
        if let Err(error) = super::replicate::attach(&mut session, &source, acknowledges, node.deadline) {
            log::warn!("replicates by the old parameters: {error:#}");
        }
    }
    if let Err(error) = review::review(node, &mut session) {
        // The server runs and is closed: the next monitor makes good what is missing.
        log::warn!("reloaded, but not yet looked at: {error:#}");
    }
    Ok(ExitCode::Success)
}
