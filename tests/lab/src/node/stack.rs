//! Corosync and Pacemaker on a node: started by its first process, stopped from outside in the order an
//! administrator would.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::Node;
use crate::deadline::{Deadline, wait_until};
use crate::process::Program;
use crate::processes;

/// A daemon of the cluster stack or what it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Daemon {
    /// Membership and messages.
    Corosync,
    /// pacemakerd and all it started itself (not the resources).
    Pacemaker,
    /// mysqld or mariadbd.
    Database,
    /// The process that the agent leaves behind; its actions have the agent's name.
    Guard,
}

impl Daemon {
    /// Whether a process of this name (which the kernel cuts after 15 characters) belongs to it.
    fn owns(self, name: &str) -> bool {
        match self {
            Daemon::Corosync => name == "corosync",
            Daemon::Pacemaker => name.starts_with("pacemaker"),
            Daemon::Database => ["mysqld", "mariadbd"].contains(&name),
            Daemon::Guard => name == "rustha",
        }
    }
}

impl Node {
    /// The processes of a daemon on this node, as the host counts.
    pub fn pids_of(&self, daemon: Daemon) -> Result<Vec<Pid>> {
        let mut pids = self.processes()?;
        pids.retain(|pid| processes::is_alive(*pid) && processes::name(*pid).is_some_and(|name| daemon.owns(&name)));
        Ok(pids)
    }

    /// Whether a daemon runs here, and does not stand still (SIGSTOP).
    pub fn has_live(&self, daemon: Daemon) -> bool {
        let pids = self.pids_of(daemon).unwrap_or_default();
        pids.iter().any(|pid| processes::state(*pid) != Some('T'))
    }

    /// Starts what of Corosync and Pacemaker does not run; returns when both do. A Pacemaker that lost its
    /// Corosync is ended first: 3.0.3 lingers and was not back in the cluster after 90 s, and a machine's systemd
    /// (`Requires=corosync.service`) restarts both, too.
    pub fn start_stack(&self) -> Result<()> {
        let pid = self.pid().with_context(|| format!("{} is off", self.name))?;
        if self.pids_of(Daemon::Corosync)?.is_empty() {
            self.kill(Daemon::Pacemaker)?;
        }
        processes::send(pid, Signal::SIGUSR1)?;
        let what = format!("Corosync and Pacemaker on {}", self.name);
        wait_until(&what, Deadline::after(Duration::from_secs(20)), Duration::from_millis(50), || {
            Ok(!self.pids_of(Daemon::Corosync)?.is_empty() && !self.pids_of(Daemon::Pacemaker)?.is_empty())
        })
    }

    /// Stops Pacemaker, which stops the node's resources first, and then Corosync.
    pub fn stop_stack(&self) -> Result<()> {
        self.end(Daemon::Pacemaker, "pacemakerd", Duration::from_secs(180))?;
        self.end(Daemon::Corosync, "corosync", Duration::from_secs(20))
    }

    /// Kills a daemon; returns when it is gone.
    pub(crate) fn kill(&self, daemon: Daemon) -> Result<()> {
        let pids = self.pids_of(daemon)?;
        pids.iter().try_for_each(|pid| processes::send(*pid, Signal::SIGKILL))?;
        processes::await_end(&format!("{daemon:?} on {}", self.name), &pids, Duration::from_secs(20))
    }

    /// Asks the process of this name to end, and waits for all of the daemon.
    pub(crate) fn end(&self, daemon: Daemon, leader: &str, limit: Duration) -> Result<()> {
        let pids = self.pids_of(daemon)?;
        for pid in pids.iter().filter(|pid| processes::name(**pid).as_deref() == Some(leader)) {
            processes::send(*pid, Signal::SIGTERM)?;
        }
        processes::await_end(&format!("{daemon:?} on {}", self.name), &pids, limit)
    }
}

/// The daemons the first process has started, by their pids inside the node.
#[derive(Default)]
pub(super) struct Stack {
    running: HashMap<Daemon, Pid>,
}

impl Stack {
    /// Starts what does not run. Tells the console of a failure: there is nobody else to tell.
    pub(super) fn start_missing(&mut self) {
        let started = self.start(Daemon::Corosync, &["/usr/sbin/corosync", "-f"]).and_then(|()| {
            // Without this wait pacemakerd finds no Corosync and pauses for a second before it looks again.
            wait_until("Corosync", Deadline::after(Duration::from_secs(5)), Duration::from_millis(20), || Ok(is_up()))?;
            self.start(Daemon::Pacemaker, &["/usr/sbin/pacemakerd", "-f"])
        });
        if let Err(error) = started {
            eprintln!("cannot start the cluster stack: {error:#}");
        }
    }

    /// A process ended.
    pub(super) fn forget(&mut self, pid: Pid) {
        self.running.retain(|_, running| *running != pid);
    }

    fn start(&mut self, daemon: Daemon, argv: &[&str]) -> Result<()> {
        // SIGCHLD may still be waiting behind the signal that brought us here: look, do not trust the list.
        if self.running.get(&daemon).is_some_and(|pid| processes::is_alive(*pid)) {
            return Ok(());
        }
        let log = fs::File::options().create(true).append(true).open(Path::new("/var/log/console"))?;
        let pid = Program::new(argv).clean_env().spawn_daemon(log)?;
        self.running.insert(daemon, pid);
        Ok(())
    }
}

/// Corosync answers when the abstract socket of its configuration map is there.
fn is_up() -> bool {
    fs::read_to_string("/proc/net/unix").is_ok_and(|table| has_socket(&table, "cmap"))
}

/// libqb gives the kernel the whole address, zeros and all, which the table shows as a tail of @.
fn has_socket(table: &str, name: &str) -> bool {
    let paths = table.lines().filter_map(|line| line.split_whitespace().nth(7)?.strip_prefix('@'));
    paths.map(|path| path.trim_end_matches('@')).any(|found| found == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_abstract_socket_is_found_under_its_padding() {
        let table = "Num RefCount Protocol Flags Type St Inode Path\n\
                     0: 00000002 00000000 00010000 0001 01 125280 @cmap@@@@@\n";
        assert!(has_socket(table, "cmap") && !has_socket(table, "cma"));
    }
}
