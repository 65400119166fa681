//! One instance on this node: its configuration, the server beside it, its cluster, and the time that the action has.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::memory::Memory;
use super::parameters::Config;
use crate::agents::mark::Mark;
use crate::deadline::Deadline;
use crate::ocf::env::Invocation;
use crate::ocf::exit::{ExitCode, OcfError};
use crate::pacemaker::Cluster;
use crate::server::client::{Access, Login, Patience, Session, Unavailable, read_credentials};
use crate::server::dialect::Dialect;
use crate::server::layout::Layout;
use crate::server::process::Daemon;

/// A server that lives answers in far less; one that hangs must not hold up the recovery of the database itself.
const ANSWER: Duration = Duration::from_secs(3);

/// What an action works with.
pub struct Node {
    /// The resource's name.
    pub resource: String,
    /// The parameters.
    pub config: Config,
    /// What is wrong with the parameters.
    pub trouble: Option<OcfError>,
    /// The cluster; `None` when the call does not come from one.
    pub cluster: Option<Cluster>,
    /// When the action's waits must have ended.
    pub deadline: Deadline,
    /// Until when the server is still asked.
    last_word: Deadline,
    run_dir: PathBuf,
    access: Access,
}

/// The server beside this instance.
pub struct Server {
    /// A connection to it.
    pub session: Session,
    /// Its process.
    pub daemon: Daemon,
}

impl Node {
    /// Reads the parameters, as far as that is possible; what is wrong stands in `trouble`.
    ///
    /// # Errors
    /// When this node's name in the cluster cannot be found out.
    pub fn gather(call: &Invocation, time: Duration) -> Result<Self> {
        let (config, mut trouble) = Config::read(call);
        let reserve = Duration::from_secs(4).min(time / 4);
        let deadline = Deadline::after(time.saturating_sub(reserve));
        let cluster = match &call.cluster {
            Some(meta) => Some(Cluster::of(&call.resource, meta.node.as_deref(), deadline)?),
            None => None,
        };
        let mut logins = Vec::new();
        match config.credentials.as_deref().map(read_credentials) {
            Some(Ok(login)) => logins.push(login),
            Some(Err(error)) => trouble = trouble.or(Some(OcfError::new(ExitCode::Args, format!("{error:#}")))),
            None => {}
        }
        logins.push(Login { user: "root".into(), password: None });
        let socket = Layout::find(&config.given).socket;
        Ok(Self {
            resource: call.resource.clone(),
            config,
            trouble,
            cluster,
            deadline,
            last_word: Deadline::after(time.saturating_sub(reserve / 2)),
            run_dir: call.run_dir.clone(),
            access: Access { socket, logins },
        })
    }

    /// The server at the socket.
    ///
    /// # Errors
    /// When it cannot be asked, or does not run on this node.
    pub fn server(&self) -> Result<Server> {
        let mut session =
            Session::open(&self.access, Patience { deadline: self.last_word, answer: ANSWER }).map_err(describe)?;
        let datadir = session.value("the server's data directory", Dialect::DATADIR)?;
        let datadir = datadir.context("the server did not say its data directory")?;
        let daemon = Daemon::find(Path::new(&datadir));
        let daemon = daemon.with_context(|| format!("no process on this node is the server of {datadir}"))?;
        Ok(Server { session, daemon })
    }

    /// The mark of the server on which this instance was started.
    pub fn mark(&self) -> Mark {
        Mark::of_semisync(&self.run_dir, &self.resource)
    }

    /// The mark of the server on which it was promoted.
    pub fn promotion(&self) -> Mark {
        Mark::of_semisync_promotion(&self.run_dir, &self.resource)
    }

    /// What its server was set to before.
    pub fn memory(&self) -> Memory {
        Memory::of(&self.run_dir, &self.resource)
    }

    /// Two that set the same variables by different rules undo each other's work.
    ///
    /// # Errors
    /// When the agent `mysql` manages this server.
    pub fn refuse_rival(&self, daemon: Daemon) -> Result<(), OcfError> {
        match Mark::mysql_of(&self.run_dir, daemon) {
            Some(rival) => Err(OcfError::new(
                ExitCode::Args,
                format!(
                    "this server (pid {}) is managed by the resource {rival} of ocf:rustha:mysql, which keeps \
                     semi-synchronous replication itself: remove {} on this node",
                    daemon.pid, self.resource
                ),
            )),
            None => Ok(()),
        }
    }
}

/// A login that is refused stays refused; everything else may be over at the next try.
fn describe(why: Unavailable) -> OcfError {
    let code = if matches!(why, Unavailable::Denied(_)) { ExitCode::Perm } else { ExitCode::Generic };
    OcfError::new(code, why.to_string())
}
