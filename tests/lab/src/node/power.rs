//! On and off. Off is what a power cut is: nothing in the node gets to say another word.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::Signal;

use super::Node;
use crate::deadline::{Deadline, wait_until};
use crate::network::{self, Cable};
use crate::process::Program;
use crate::processes;

impl Node {
    /// Switches the node on, over the disk it had; Corosync and Pacemaker start by themselves. Returns when
    /// programs can be run in it, which is before it is a member of the cluster.
    pub fn power_on(&self) -> Result<()> {
        let _lock = self.lock()?;
        if self.is_on() {
            return Ok(());
        }
        network::plug_in(&self.layout, &self.name, self.address())?;
        if self.pulled().exists() {
            network::set_cable(&self.layout, &self.name, Cable::Out)?;
        }
        let name = self.layout.name();
        let argv = ["node-boot", "--name", name, "--node", &self.name].map(str::to_owned);
        let program = self.record.program.display().to_string();
        let started = Program::new([program].into_iter().chain(argv)).limit(Duration::from_secs(20)).run();
        started.map(drop).with_context(|| {
            let console = fs::read_to_string(self.console()).unwrap_or_default();
            format!("cannot switch {} on; its console says: {}", self.name, console.trim())
        })
    }

    /// Switches the node off, at once. Its disk remains.
    pub fn power_off(&self) -> Result<()> {
        let _lock = self.lock()?;
        let Some(pid) = self.pid() else {
            return network::pull_out(&self.layout, &self.name);
        };
        // The cable first: the kernel, which is not off, would go on answering for the node's addresses.
        network::set_cable(&self.layout, &self.name, Cable::Out)?;
        processes::send(pid, Signal::SIGKILL)?;
        // The first process is gone only after all others: the kernel ends the whole pid namespace before it.
        processes::await_end(&format!("{}'s first process", self.name), &[pid], Duration::from_secs(20))?;
        network::pull_out(&self.layout, &self.name)
    }

    /// Pulls the network cable. It stays out when the node is switched off and on (fenced, for that very cable).
    pub(crate) fn pull_cable(&self) -> Result<()> {
        let _lock = self.lock()?;
        File::create(self.pulled()).context("cannot note that the cable is out")?;
        match self.is_on() {
            true => network::set_cable(&self.layout, &self.name, Cable::Out),
            false => Ok(()),
        }
    }

    /// Puts the network cable back.
    pub(crate) fn put_cable_back(&self) -> Result<()> {
        let _lock = self.lock()?;
        if self.pulled().exists() {
            fs::remove_file(self.pulled()).context("cannot note that the cable is in")?;
        }
        match self.is_on() {
            true => network::set_cable(&self.layout, &self.name, Cable::In),
            false => Ok(()),
        }
    }

    fn pulled(&self) -> PathBuf {
        self.layout.node(&self.name).join("cable-out")
    }

    /// Two who switch at once (a test and the power daemon) would end with two first processes over one disk.
    fn lock(&self) -> Result<Flock<File>> {
        let path = self.layout.node(&self.name).join("power.lock");
        let mut held = None;
        let what = format!("the power switch of {}", self.name);
        wait_until(&what, Deadline::after(Duration::from_secs(60)), Duration::from_millis(10), || {
            let file = File::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => held = Some(lock),
                Err((_, Errno::EWOULDBLOCK)) => {}
                Err((_, error)) => {
                    return Err(Error::new(error).context(format!("cannot lock {}", path.display())));
                }
            }
            Ok(held.is_some())
        })?;
        held.ok_or_else(|| anyhow!("{what}: the lock was lost"))
    }
}
