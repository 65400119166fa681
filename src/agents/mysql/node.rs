//! One instance on this node: its configuration, its server, its cluster, and the time that the action has.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use nix::unistd::User;

use super::config::Config;
use super::decide::election::Risk;
use super::decide::forced::ForcedPromotion;
use super::decide::record::{Instance, Record};
use super::lasting::Lasting;
use crate::agents::mark::Mark;
use crate::deadline::Deadline;
use crate::guard::Guard;
use crate::guard::turn::Turn;
use crate::ocf::env::Invocation;
use crate::ocf::exit::{ExitCode, OcfError};
use crate::pacemaker::{Cluster, View};
use crate::server::client::{Access, Login, Patience, Session, Unavailable, read_credentials};
use crate::server::dialect::Source;
use crate::server::layout::Layout;
use crate::server::process::Daemon;

/// A server that lives answers `SELECT 1` in far less; one that does not within this time hangs.
const ANSWER: Duration = Duration::from_secs(10);

/// How soon a server without a connection to spare is asked again.
const AGAIN: Duration = Duration::from_millis(50);

/// The turn of a guard that works is over before that.
const GUARD: Duration = Duration::from_secs(8);

/// What an action works with.
pub struct Node {
    /// The resource's name.
    pub resource: String,
    /// The parameters.
    pub config: Config,
    /// What is wrong with the parameters: start, promote and reload-agent fail with it, stop and monitor go on.
    pub trouble: Option<OcfError>,
    /// The server's files.
    pub layout: Layout,
    /// The cluster; `None` when the call does not come from one.
    pub cluster: Option<Cluster>,
    /// How many instances the clone may have.
    pub clone_max: Option<usize>,
    /// When the action's waits must have ended.
    pub deadline: Deadline,
    /// Until when the server is still asked: after a wait has ended, for what it waited.
    last_word: Deadline,
    /// Where state is kept that may not survive a reboot.
    pub run_dir: PathBuf,
    access: Access,
}

impl Node {
    /// Reads the parameters and finds the server's files, as far as that is possible; what is wrong stands in
    /// `trouble`.
    ///
    /// # Errors
    /// When this node's name in the cluster cannot be found out.
    pub fn gather(call: &Invocation, time: Duration) -> Result<Self> {
        let (config, mut trouble) = Config::read_leniently(call);
        let layout = Layout::find(&config.given);
        let deadline = Deadline::after(time.saturating_sub(reserve(time)));
        let last_word = Deadline::after(time.saturating_sub(reserve(time) / 2));
        let cluster = match &call.cluster {
            Some(meta) => Some(Cluster::of(&call.resource, meta.node.as_deref(), deadline)?),
            None => None,
        };
        let (access, refused) = find_access(&config, &layout);
        trouble = trouble.or(refused);
        Ok(Self {
            resource: call.resource.clone(),
            access,
            clone_max: call.cluster.as_ref().and_then(|meta| meta.clone_max),
            run_dir: call.run_dir.clone(),
            config,
            trouble,
            layout,
            cluster,
            deadline,
            last_word,
        })
    }

    /// Gives it that much time again: for a process that goes on, while the credentials file may change.
    pub fn renew(&mut self, time: Duration) {
        self.access = find_access(&self.config, &self.layout).0;
        self.last_word = Deadline::after(time.saturating_sub(reserve(time) / 2));
        self.deadline = Deadline::after(time.saturating_sub(reserve(time)));
    }

    /// As whom the server runs.
    ///
    /// # Errors
    /// When there is no such OS user.
    pub fn os_user(&self) -> Result<User, OcfError> {
        let user = User::from_name(&self.layout.user).ok().flatten();
        user.ok_or_else(|| OcfError::new(ExitCode::Installed, format!("there is no OS user {}", self.layout.user)))
    }

    /// The running server, if there is one.
    pub fn daemon(&self) -> Option<Daemon> {
        // The mark first: to look through all processes takes milliseconds where there are many.
        self.start_mark().daemon().or_else(|| Daemon::find(&self.layout.datadir))
    }

    /// The mark of the daemon that this agent started.
    pub fn start_mark(&self) -> Mark {
        Mark::of_start(&self.run_dir, &self.resource)
    }

    /// A session in which each answer may take as long as the action has time.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub fn session(&self) -> Result<Session, Unavailable> {
        let patience = Patience { deadline: self.last_word, answer: Duration::MAX };
        insist(self.deadline, || Session::open(&self.access, patience))
    }

    /// A session with a server of which it is not known whether it answers at all.
    ///
    /// # Errors
    /// When the server cannot be asked, or does not answer soon.
    pub fn quick_session(&self) -> Result<Session, Unavailable> {
        Session::open(&self.access, Patience { deadline: self.last_word, answer: ANSWER })
    }

    /// A session with a patience of its own.
    ///
    /// # Errors
    /// When the server cannot be asked, or does not answer within that.
    pub fn session_with(&self, patience: Patience) -> Result<Session, Unavailable> {
        Session::open(&self.access, patience)
    }

    /// As whom the agent logs in, one after the other.
    pub fn logins(&self) -> Vec<Login> {
        self.access.logins.clone()
    }

    /// The mark of a promotion, if it is this very daemon's.
    pub fn is_marked(&self, daemon: Daemon) -> bool {
        Mark::of(&self.run_dir, &self.resource).is_of(daemon)
    }

    /// The mark's file.
    pub fn mark(&self) -> Mark {
        Mark::of(&self.run_dir, &self.resource)
    }

    /// The cluster at this moment; `None` outside of one.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn view(&self) -> Result<Option<View>> {
        self.cluster.as_ref().map(|cluster| cluster.view(self.deadline)).transpose()
    }

    /// The record of the last promotion; `None` if there was none, or outside of a cluster.
    ///
    /// # Errors
    /// When the cluster cannot be asked, or the record is broken or older than what these data have seen.
    pub fn record(&self) -> Result<Option<Record>> {
        self.record_by(self.deadline)
    }

    /// The same, with a deadline of its own.
    ///
    /// # Errors
    /// As above.
    pub fn record_by(&self, deadline: Deadline) -> Result<Option<Record>> {
        let Some(cluster) = &self.cluster else { return Ok(None) };
        let text = cluster.read_record(deadline)?;
        let record = text.map(|text| Record::parse(&text).map_err(OcfError::generic)).transpose()?;
        self.compare_with_data(record.as_ref())?;
        Ok(record)
    }

    /// Whether acknowledged writes may be given up by the parameters.
    pub fn risk(&self, view: &View) -> Risk {
        if self.config.prefers_availability && view.fencing { Risk::OfThoseGone } else { Risk::Never }
    }

    /// What an operator has ordered for the instance on this node, where the cluster refuses to promote anybody: who has. Asked
    /// only after a refusal.
    pub fn ordered_by(&self, record: Option<&Record>) -> Option<String> {
        let cluster = self.cluster.as_ref()?;
        let text = cluster.read_order(self.deadline).inspect_err(|error| log::warn!("{error:#}")).ok()??;
        let order = ForcedPromotion::parse(&text)?;
        order.is_for(&cluster.node, record).then(|| format!("by order of {} ({})", order.by, order.at))
    }

    /// The cluster's configuration can go back in time: a node that was cut off and wrote more wins when it returns, and
    /// people restore old copies. The data remember the newest promotion that they have seen (objection 4).
    fn compare_with_data(&self, record: Option<&Record>) -> Result<()> {
        let lasting = self.lasting();
        let seen = lasting.epoch()?;
        let epoch = record.map_or(0, |record| record.epoch);
        if epoch < seen {
            let says = record.map_or("has no record of any promotion".into(), |record| {
                format!("says that {} was promoted last, as number {epoch}", record.primary)
            });
            let reason = format!(
                "the cluster's configuration {says}, but the data here have seen promotion {seen}: it is older than the data"
            );
            return Err(OcfError::generic(reason).into());
        }
        if epoch > seen && self.layout.datadir.is_dir() {
            lasting.note_epoch(epoch)?;
        }
        Ok(())
    }

    /// What is kept with the data.
    pub fn lasting(&self) -> Lasting {
        Lasting::of(&self.layout.datadir)
    }

    /// This instance, in the life of its running server. A server that somebody else started begins one now.
    ///
    /// # Errors
    /// When it is not running, or its mark cannot be written.
    pub fn instance(&self) -> Result<Instance> {
        let daemon = self.daemon().context("the server is not running")?;
        let life = match self.start_mark().life_of(daemon) {
            Some(life) => life,
            None => self.begin_new_life()?,
        };
        let node = self.cluster.as_ref().map_or_else(String::new, |cluster| cluster.node.clone());
        Ok(Instance { node, life })
    }

    /// From now on this is another instance: what was said of it, and by it, so far is not true of it any more.
    ///
    /// # Errors
    /// When it is not running, or its mark cannot be written.
    pub fn begin_new_life(&self) -> Result<String> {
        let daemon = self.daemon().context("the server is not running")?;
        let life = new_life();
        self.start_mark().leave_with_life(daemon, &life)?;
        Ok(life)
    }

    /// Waits for the turn of this action: its guard, or an action that Pacemaker gave up, may be changing the same
    /// server. Given back when the value is dropped, also by a process that is killed.
    ///
    /// # Errors
    /// When it is not its turn by the deadline.
    pub fn await_turn(&self, deadline: Deadline) -> Result<Turn> {
        let file = self.turn_file();
        let patience = deadline.at_most(GUARD);
        Turn::take(&file, patience).or_else(|error| {
            if patience == deadline {
                // Who has it may still be working.
                return Err(error);
            }
            if super::provision::is_being_replaced(self) {
                return Err(error.context("the server is being started on new data"));
            }
            // Its guard has long given it back, unless it hangs; the next monitor starts another.
            Guard::of(&self.run_dir, &self.resource).end();
            Turn::take(&file, deadline)
        })
    }

    /// Two that set the same variables by different rules undo each other's work.
    ///
    /// # Errors
    /// When semi-synchronous replication is managed, and the agent `semisync` manages it on this server.
    pub fn refuse_rival(&self, daemon: Daemon) -> Result<(), OcfError> {
        match (self.config.semi_sync, Mark::semisync_of(&self.run_dir, daemon)) {
            (Some(_), Some(rival)) => Err(OcfError::new(
                ExitCode::Args,
                format!(
                    "semi-synchronous replication of this server (pid {}) is managed by the resource {rival} of \
                     ocf:rustha:semisync: remove that, or set semi_sync=off",
                    daemon.pid
                ),
            )),
            _ => Ok(()),
        }
    }

    /// The lock of a start that is under way: it says itself what has become of it.
    pub fn starting_file(&self) -> PathBuf {
        self.run_dir.join(format!("rustha-{}.starting", self.resource))
    }

    /// The file that is locked by whose turn it is.
    pub fn turn_file(&self) -> PathBuf {
        self.run_dir.join(format!("rustha-{}.turn", self.resource))
    }

    /// How a replica reaches the instance on `node`: the parameter, else the node attribute of earlier agents, else the
    /// node's name.
    pub fn source_at(&self, node: &str, view: &View) -> Source {
        let attribute = format!("{}_mysql_master_IP", self.resource);
        let mapped = self.config.mapped_address(node).or_else(|| view.attribute(node, &attribute));
        Source {
            host: mapped.unwrap_or(node).to_string(),
            port: self.config.replication_port,
            user: self.config.replication_user.clone(),
            password: self.config.replication_password.clone(),
            tls: self.config.tls.clone(),
        }
    }
}

/// How the server is reached, and what is wrong with the credentials file if something is.
fn find_access(config: &Config, layout: &Layout) -> (Access, Option<OcfError>) {
    let read = config.credentials.as_deref().map(read_credentials).transpose();
    let refused = read.as_ref().err().map(|error| OcfError::new(ExitCode::Args, format!("{error:#}")));
    let root = Login { user: "root".into(), password: None };
    let logins = read.ok().flatten().into_iter().chain([root]).chain(config.fallback_logins.iter().cloned());
    (Access { socket: layout.socket.clone(), logins: logins.collect() }, refused)
}

/// A name for a life that was never used before on this node.
pub fn new_life() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{:x}", now.as_millis())
}

/// Asks again, until the deadline, while the server has no connection to spare: clients come and go. The one connection
/// that it keeps for privileged accounts, as the agent's is, may be taken: by one of them for as long as it likes, by any
/// other while it is being refused. (MariaDB's extra_port and MySQL's admin_address would not help: where root is known
/// by its socket, nobody is let in by TCP.) A monitor does not insist: that there are many clients is no failure.
///
/// # Errors
/// When the server cannot be asked.
pub fn insist(
    deadline: Deadline,
    mut ask: impl FnMut() -> Result<Session, Unavailable>,
) -> Result<Session, Unavailable> {
    let answer = deadline.wait_for(AGAIN, || match ask() {
        Err(Unavailable::TooManyConnections) => None,
        other => Some(other),
    });
    answer.unwrap_or(Err(Unavailable::TooManyConnections))
}

/// What is kept back of an action's time: Pacemaker kills the whole process group when it is over.
fn reserve(time: Duration) -> Duration {
    Duration::from_secs(5).min(time / 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often a server with these answers was asked, and the last of them.
    fn asked(answers: &[fn() -> Unavailable]) -> (usize, Option<Unavailable>) {
        let mut count = 0;
        let answer = insist(Deadline::after(AGAIN * 3), || {
            count += 1;
            Err(answers[(count - 1).min(answers.len() - 1)]())
        });
        (count, answer.err())
    }

    #[test]
    fn a_server_without_a_connection_to_spare_is_asked_again_until_the_deadline() {
        let (count, last) = asked(&[|| Unavailable::TooManyConnections]);
        assert!(count > 2 && matches!(last, Some(Unavailable::TooManyConnections)), "asked {count} times: {last:?}");
    }

    #[test]
    fn another_answer_ends_the_asking() {
        let (count, last) = asked(&[|| Unavailable::TooManyConnections, || Unavailable::NotListening("gone".into())]);
        assert!(count == 2 && matches!(last, Some(Unavailable::NotListening(_))), "asked {count} times: {last:?}");
    }
}
