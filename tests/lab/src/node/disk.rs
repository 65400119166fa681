//! The database's own disk, which can be made to hang: a file system on a loop device, frozen (fsfreeze). Who writes to
//! it sleeps in the kernel, and no signal ends that. The last one out would wait for ever, so there are three who thaw:
//! the value that stands for the hanging disk, a process that outlives the scenario, and the taking down of a lab.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use nix::sys::stat::minor;
use nix::unistd::Pid;

use super::Node;
use crate::process::Program;

/// The data directory in a node.
const DATA: &str = "/var/lib/mysql";

/// The disk's size; what is not written takes no memory.
const SIZE: u64 = 1 << 30;

/// A disk that hangs, until this is dropped.
#[derive(Debug)]
pub struct StuckDisk<'a> {
    node: &'a Node,
    /// Who thaws it when nobody else does.
    second: Pid,
}

impl Node {
    /// Moves the data directory, on which no server runs yet, onto a disk of its own. It is gone when the node is
    /// switched off.
    pub fn separate_data(&self) -> Result<()> {
        let image = self.layout.disk(&self.name).join("data.img");
        File::create(&image)?.set_len(SIZE).with_context(|| format!("cannot make {}", image.display()))?;
        Program::new([PathBuf::from("mkfs.ext4"), "-q".into(), image.clone()]).run()?;
        let argv = [PathBuf::from("losetup"), "--find".into(), "--show".into(), image];
        let device = Program::new(argv).run()?.trim().to_owned();
        let number = minor(std::fs::metadata(&device)?.rdev()).to_string();
        let moved = self.run(&["mknod", &device, "b", "7", &number]).and_then(|_| self.move_data(&device));
        // As long as it is mounted it stays; then the kernel lets go of it.
        Program::new(["losetup", "--detach", &device]).run()?;
        moved
    }

    fn move_data(&self, device: &str) -> Result<()> {
        let fill = [
            &["mount", device, "/mnt"][..],
            &["rmdir", "/mnt/lost+found"],
            &["cp", "-a", &format!("{DATA}/."), "/mnt"],
            &["umount", "/mnt"],
            &["mount", device, DATA],
        ];
        fill.iter().try_for_each(|argv| self.run(argv).map(drop))
    }

    /// Makes that disk hang, for `limit` at most.
    pub fn stick_disk(&self, limit: Duration) -> Result<StuckDisk<'_>> {
        let pid = self.pid().with_context(|| format!("{} is off", self.name))?.to_string();
        let thaw = format!("sleep {}; fsfreeze --unfreeze {DATA}", limit.as_secs());
        // Only in the node's mounts, not among its processes: those end with the node.
        let second = Program::new(["nsenter", "-t", &pid, "-m", "--", "sh", "-c", &thaw]).clean_env();
        let stuck = StuckDisk { node: self, second: second.spawn_daemon(File::create("/dev/null")?)? };
        self.run(&["fsfreeze", "--freeze", DATA])?;
        Ok(stuck)
    }
}

impl Drop for StuckDisk<'_> {
    fn drop(&mut self) {
        if let Some(pid) = self.node.pid() {
            thaw(pid);
        }
        // It is gone if its time is over.
        let _ = killpg(self.second, Signal::SIGKILL);
    }
}

/// Thaws the data directory of the node with this first process; that it was not frozen is the usual case.
pub(crate) fn thaw(first: Pid) {
    let place = format!("/proc/{first}/root{DATA}");
    let _ = Program::new(["fsfreeze", "--unfreeze", &place]).limit(Duration::from_secs(10)).output();
}
