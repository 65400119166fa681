//! What can be broken, and how it is undone.

use std::fmt;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::ValueEnum;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::deadline::{Deadline, wait_until};
use crate::node::{Daemon, Node};
use crate::processes;

/// Something that breaks on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// The database server is killed (SIGKILL)
    KillDaemon,
    /// The database server stands still (SIGSTOP)
    HangDaemon,
    /// The process that the agent leaves behind to watch its server stands still (SIGSTOP)
    HangGuard,
    /// The process that the agent leaves behind to watch its server is killed (SIGKILL)
    KillGuard,
    /// The power is cut: all processes and memory are gone, the disk remains
    PowerOff,
    /// The network cable is pulled
    CableOut,
    /// All daemons of Pacemaker are killed (SIGKILL); the resources run on
    KillPacemaker,
    /// Corosync is stopped, cleanly (SIGTERM)
    StopCorosync,
    /// Corosync is killed (SIGKILL)
    KillCorosync,
    /// Corosync stands still (SIGSTOP)
    HangCorosync,
    /// All processes stand still (SIGSTOP); the kernel goes on answering for the node's addresses
    HangMachine,
    /// No free space is left on the disk
    DiskFull,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        out.pad(value.as_ref().map_or("fault", |value| value.get_name()))
    }
}

pub(crate) fn inject(node: &Node, kind: Fault) -> Result<()> {
    match kind {
        Fault::KillDaemon => kill_all(node, Daemon::Database),
        Fault::HangDaemon => hang(node),
        Fault::HangGuard => signal_all(node, Daemon::Guard, Signal::SIGSTOP),
        Fault::KillGuard => signal_all(node, Daemon::Guard, Signal::SIGKILL),
        Fault::PowerOff => node.power_off(),
        Fault::CableOut => node.pull_cable(),
        Fault::KillPacemaker => kill_all(node, Daemon::Pacemaker),
        Fault::StopCorosync => node.end(Daemon::Corosync, "corosync", Duration::from_secs(30)),
        Fault::KillCorosync => kill_all(node, Daemon::Corosync),
        Fault::HangCorosync => signal_all(node, Daemon::Corosync, Signal::SIGSTOP),
        Fault::HangMachine => signal_machine(node, Signal::SIGSTOP),
        Fault::DiskFull => node.fill_disk(),
    }
}

/// Undoes every fault on a node; one that is not there needs nothing.
pub(crate) fn undo(node: &Node) -> Result<()> {
    node.free_disk()?;
    node.put_cable_back()?;
    if !node.is_on() {
        return node.power_on();
    }
    signal_machine(node, Signal::SIGCONT)?;
    node.start_stack()
}

fn kill_all(node: &Node, daemon: Daemon) -> Result<()> {
    pids_there(node, daemon)?;
    node.kill(daemon)
}

/// Returns when they stand still: the signal takes effect when the kernel comes to it.
fn hang(node: &Node) -> Result<()> {
    signal_all(node, Daemon::Database, Signal::SIGSTOP)?;
    let pids = pids_there(node, Daemon::Database)?;
    let deadline = Deadline::after(Duration::from_secs(10));
    wait_until("the database server standing still", deadline, Duration::from_millis(1), || {
        Ok(pids.iter().all(|pid| processes::state(*pid) == Some('T')))
    })
}

/// Twice: a process that was just being started is found the second time.
fn signal_machine(node: &Node, signal: Signal) -> Result<()> {
    for _ in 0..2 {
        node.processes()?.into_iter().try_for_each(|pid| processes::send(pid, signal))?;
    }
    Ok(())
}

fn signal_all(node: &Node, daemon: Daemon, signal: Signal) -> Result<()> {
    pids_there(node, daemon)?.into_iter().try_for_each(|pid| processes::send(pid, signal))
}

/// A fault that hits nobody would let a scenario pass without its fault.
fn pids_there(node: &Node, daemon: Daemon) -> Result<Vec<Pid>> {
    let pids = node.pids_of(daemon)?;
    ensure!(!pids.is_empty(), "{daemon:?} does not run there");
    Ok(pids)
}
