//! The processes of this machine, seen through /proc: whose they are is told by their namespaces and by the
//! arguments the lab gave them, never by a name alone.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::deadline::{Deadline, wait_until};

/// All processes there are now.
pub(crate) fn all() -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).map(Pid::from_raw).collect()
}

/// Whether it is there and not a zombie: one whose parent never asks counts as gone. A zombie of which other threads
/// live (in a system call that no signal ends) is there.
pub(crate) fn is_alive(pid: Pid) -> bool {
    match state(pid) {
        None | Some('X') => false,
        Some('Z') => threads(pid).into_iter().any(|thread| !matches!(state(thread), None | Some('Z' | 'X'))),
        Some(_) => true,
    }
}

/// The numbers of its threads; /proc knows each under its own, too.
fn threads(pid: Pid) -> Vec<Pid> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).map(Pid::from_raw).collect()
}

/// R, S, D, T, Z …, as in ps.
pub(crate) fn state(pid: Pid) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Its name, cut after 15 characters by the kernel.
pub(crate) fn name(pid: Pid) -> Option<String> {
    Some(fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim_end().to_owned())
}

/// Its arguments.
pub(crate) fn arguments(pid: Pid) -> Vec<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// Whether its arguments contain these, in a row.
pub(crate) fn has_arguments(pid: Pid, wanted: &[&str]) -> bool {
    arguments(pid).windows(wanted.len()).any(|words| words == wanted)
}

/// The processes in the same namespace of this kind ("pid", "net") as `of`, which is /proc/…/ns/… or a file
/// of /run/netns.
pub(crate) fn in_namespace(kind: &str, of: &Path) -> Result<Vec<Pid>> {
    let wanted = fs::metadata(of).with_context(|| format!("cannot look at {}", of.display()))?;
    let same = |pid: &Pid| {
        fs::metadata(format!("/proc/{pid}/ns/{kind}"))
            .is_ok_and(|found| (found.dev(), found.ino()) == (wanted.dev(), wanted.ino()))
    };
    Ok(all().into_iter().filter(same).collect())
}

/// Sends a signal; one who is gone already needs none.
pub(crate) fn send(pid: Pid, signal: Signal) -> Result<()> {
    match kill(pid, signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot send {signal} to process {pid}")),
    }
}

/// Waits until all of them are gone.
pub(crate) fn await_end(what: &str, pids: &[Pid], limit: Duration) -> Result<()> {
    let what = format!("the end of {what}");
    wait_until(&what, Deadline::after(limit), Duration::from_millis(5), || Ok(!pids.iter().any(|pid| is_alive(*pid))))
}
