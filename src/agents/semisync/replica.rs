//! The unpromoted side: a replica that acknowledges what it receives.

use std::time::Duration;

use anyhow::Result;

use super::decide::{Health, Verdict, judge_replica, replicates};
use crate::deadline::Deadline;
use crate::server::client::Session;
use crate::server::semisync::{self, Effect};

/// How long a receiver that was started again may take to connect, before it is left to the next monitor.
const CONNECT: Duration = Duration::from_secs(3);

/// Makes the server acknowledge; what it is then.
///
/// # Errors
/// When the server cannot be asked, or does not do so.
pub fn serve(session: &mut Session, deadline: Deadline) -> Result<Health> {
    if semisync::read(session)?.replica.is_none() {
        return Ok(Health::Degraded(missing(session)));
    }
    if !is_primary(session)? {
        // A source's half that is on makes a replica wait for replicas of its own with each transaction it applies.
        semisync::source_off(session)?;
    }
    // Also on a server that is not a replica yet, as after a demotion, which comes before the database's.
    semisync::replica_on(session, deadline.at_most(CONNECT))?;
    look(session).map(|verdict| match verdict {
        Verdict::Leave(health) => health,
        Verdict::Restart => Health::Degraded("its receiver runs without acknowledging".into()),
    })
}

/// What it is, and what is to be done about it.
///
/// # Errors
/// When the server cannot be asked.
pub fn look(session: &mut Session) -> Result<Verdict> {
    let Some(side) = semisync::read(session)?.replica else {
        return Ok(Verdict::Leave(Health::Degraded(missing(session))));
    };
    let status = session.replica_status()?;
    let is_writable = session.state()?.is_writable();
    Ok(judge_replica(&side, status.as_ref(), is_writable))
}

/// Starts a receiver again that runs without acknowledging: it connected to a source that had no plugin yet, or before
/// the variable was set.
pub fn restart(session: &mut Session, deadline: Deadline) -> Health {
    match semisync::replica_on(session, deadline.at_most(CONNECT)) {
        Ok(Effect::Now) => Health::Degraded("its receiver ran without acknowledging, and was started again".into()),
        Ok(Effect::AtNextConnection) => {
            Health::Degraded("its receiver was started again and is not connected yet".into())
        }
        Err(error) => Health::Degraded(format!("it does not acknowledge: {error:#}")),
    }
}

/// Whether the server takes writes and replicates from nobody.
///
/// # Errors
/// When it cannot be asked.
pub fn is_primary(session: &mut Session) -> Result<bool> {
    Ok(session.state()?.is_writable() && !session.replica_status()?.as_ref().is_some_and(replicates))
}

fn missing(session: &Session) -> String {
    format!(
        "the server has no plugin to acknowledge with: say {} in its option file and start it again, or promote it once \
         (super_read_only blocks INSTALL PLUGIN, so the agent installs plugins only where it is promoted)",
        session.dialect().semi_sync_option(false)
    )
}
