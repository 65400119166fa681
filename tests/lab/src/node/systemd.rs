//! systemd on a node, which the lab's own first process does not replace: it is the first process of a pid, a mount and a
//! cgroup namespace inside of the node's, and starts Corosync and Pacemaker as the distribution's units do. The node's disk
//! and network are the same.

use std::time::Duration;

use anyhow::{Context, Result};

use super::Node;
use crate::deadline::{Deadline, wait_until};

/// The unit that is booted into: the cluster's stack, and what that needs.
const TARGET: &str = "[Unit]
Requires=dbus.service corosync.service pacemaker.service
After=dbus.service corosync.service pacemaker.service
AllowIsolate=yes
";

/// Where a node sees the host's control groups.
const GROUPS: &str = "/run/rustha-lab-groups";

/// What booting and shutting down may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(100);

/// A node on which systemd runs. When the value is dropped it is ended, with all that it has started.
pub struct Systemd<'a> {
    node: &'a Node,
    group: String,
}

impl Node {
    /// Boots systemd on this node, whose stack must have been stopped.
    pub fn boot_systemd(&self) -> Result<Systemd<'_>> {
        self.write_file("/etc/systemd/system/lab.target", TARGET, 0o644)?;
        let group = format!("{GROUPS}/{}", self.layout.netns_name(&self.name));
        let machine = Systemd { node: self, group };
        let inside = "mount -t proc proc /proc && mount -t cgroup2 cgroup2 /sys/fs/cgroup && \
                      exec env -i container=lab PATH=\"$PATH\" /usr/lib/systemd/systemd --unit=lab.target";
        let unshare = "setsid unshare --pid --fork --kill-child --mount --cgroup -- sh -c \"$1\" >/dev/null 2>&1 &";
        // Waited for: with the end of the call its process group is killed, which it may not have left yet.
        let outside = format!(
            "mkdir -p {GROUPS} && {{ mountpoint -q {GROUPS} || mount -t cgroup2 cgroup2 {GROUPS}; }} && mkdir -p \"$1\" && \
             {{ sh -c 'echo 0 >\"$0/cgroup.procs\" && {unshare}' \"$1\" \"$2\"; }} && \
             until pgrep -x systemd >/dev/null; do sleep 0.1; done"
        );
        self.run(&["sh", "-c", &outside, "sh", &machine.group, inside])?;
        wait_until("systemd", Deadline::after(PATIENCE), LOOK, || {
            Ok(machine.run(&["systemctl", "is-active", "lab.target"]).is_ok())
        })?;
        Ok(machine)
    }
}

impl Systemd<'_> {
    /// Runs a program where systemd is the first process; fails unless it succeeds.
    pub fn run(&self, argv: &[&str]) -> Result<String> {
        let first = self.first()?;
        let enter = ["nsenter", "-t", &first, "-m", "-p", "-C", "--"];
        self.node.run(&[&enter[..], argv].concat())
    }

    /// Shuts the machine down as its operator would; returns when its first process has ended.
    pub fn power_off(self) -> Result<()> {
        // The answer may not come any more.
        let _ = self.run(&["systemctl", "poweroff", "--no-block"]);
        wait_until("the shutdown", Deadline::after(PATIENCE), LOOK, || Ok(self.first().is_err()))
    }

    /// The number of systemd's process, as the node counts.
    fn first(&self) -> Result<String> {
        let found = self.node.run(&["pgrep", "--oldest", "-x", "systemd"]).context("systemd does not run")?;
        Ok(found.trim().to_owned())
    }
}

impl Drop for Systemd<'_> {
    fn drop(&mut self) {
        if let Ok(first) = self.first() {
            let _ = self.node.run(&["kill", "-KILL", &first]);
        }
        // Those of a machine that was switched off in the middle stay, and are empty.
        let _ = self.node.run(&["find", &self.group, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"]);
    }
}
