//! The promoted side: a primary whose commits wait for acknowledgements.

use anyhow::{Context, Result};

use super::decide::{Acks, Health, decide_rule, judge_source, replicates};
use super::node::{Node, Server};
use super::publish::publish;
use crate::ocf::exit::{ExitCode, OcfError, Outcome};
use crate::server::client::Session;
use crate::server::rows::{SourceRule, SourceSide};
use crate::server::semisync::{self, Change};

/// promote: from its success on, commits wait.
pub fn promote(node: &Node) -> Outcome {
    let Server { mut session, daemon } = node.server()?;
    if !node.mark().is_of(daemon) {
        return Err(OcfError::generic("it was not started on this server").into());
    }
    node.refuse_rival(daemon)?;
    let health = serve(node, &mut session)?;
    node.promotion().leave(daemon)?;
    publish(node, &health, true);
    Ok(ExitCode::Success)
}

/// Makes commits wait; what the server is then.
///
/// # Errors
/// When it is a replica, has no plugin, or does not do so.
pub fn serve(node: &Node, session: &mut Session) -> Result<Health> {
    if let Some(status) = session.replica_status()?.filter(replicates) {
        // Each transaction that it applies would wait, for replicas that it does not have.
        let why = format!(
            "the server is a replica of {}: colocate with the promoted database, and order the promotion after its",
            status.source_host
        );
        return Err(OcfError::generic(why).into());
    }
    install(session)?;
    let rule = rule(node, session)?;
    if semisync::source_on_by(session, rule)? == Change::Already {
        log::info!("already on");
    }
    semisync::replica_off(session, node.deadline)?;
    look(session, rule)
}

/// The rule, with the replicas that are connected now.
///
/// # Errors
/// When the server cannot be asked, or knows no such rule.
pub fn rule(node: &Node, session: &mut Session) -> Result<SourceRule> {
    let connected = semisync::connected_replicas(session)?.len();
    let is_counted = side(session)?.names.acks.is_some();
    if let (Acks::Fixed(number @ 2..), false) = (node.config.acks, is_counted) {
        let why = format!("acks is {number}, but MariaDB waits for one replica: set it to 1 or auto");
        return Err(OcfError::new(ExitCode::Args, why).into());
    }
    Ok(decide_rule(node.config.acks, node.config.timeout, connected, is_counted))
}

/// What it is, by this rule.
///
/// # Errors
/// When the server cannot be asked.
pub fn look(session: &mut Session, rule: SourceRule) -> Result<Health> {
    let is_writable = session.state()?.is_writable();
    Ok(judge_source(&side(session)?, rule, is_writable))
}

/// The source's half.
///
/// # Errors
/// When the server cannot be asked, or has not got it.
pub fn side(session: &mut Session) -> Result<SourceSide> {
    let option = session.dialect().semi_sync_option(true);
    let missing =
        || format!("the server has no plugin for a primary: say {option} in its option file and start it again");
    semisync::read(session)?.source.with_context(missing)
}

/// MySQL's plugins, where they are missing: also the replica's, for the time after the next demotion, when the server is
/// closed and does not take it any more.
fn install(session: &mut Session) -> Result<()> {
    let Err(error) = semisync::install(session) else { return Ok(()) };
    if semisync::read(session)?.source.is_some() {
        log::warn!("the replica's plugin cannot be installed, but is not needed here now: {error:#}");
        return Ok(());
    }
    let option = session.dialect().semi_sync_option(true);
    Err(error).context(format!(
        "semi-synchronous replication cannot be installed (super_read_only blocks it: order this promotion after the \
         database's), say {option} in the server's option file instead"
    ))
}
