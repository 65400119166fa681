//! Taking a lab down by what exists, not by what is recorded: after a crash of the lab itself this still
//! leaves nothing.

use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpid};

use crate::layout::Layout;
use crate::node::thaw;
use crate::{mounts, network, processes};

/// Removes processes, namespaces, mounts and files of a lab, in this order, since each holds the next.
pub(crate) fn remove(layout: &Layout) -> Result<()> {
    let pids = find_processes(layout)?;
    // What hangs on a frozen disk does not end, and nobody could thaw it once its node is gone.
    let is_first = |pid: &&Pid| processes::has_arguments(**pid, &["node-init", "--name", layout.name()]);
    pids.iter().filter(is_first).for_each(|pid| thaw(*pid));
    for pid in &pids {
        processes::send(*pid, Signal::SIGKILL)?;
    }
    processes::await_end(&format!("the lab {}", layout.name()), &pids, Duration::from_secs(30))?;
    network::remove_namespaces(layout)?;
    mounts::unmount_below(&layout.state())?;
    mounts::remove_tree(&layout.state())
}

/// Its own processes by their arguments, and whatever lives in one of its networks.
fn find_processes(layout: &Layout) -> Result<Vec<Pid>> {
    let own = ["node-boot", "node-init", "power-daemon"];
    let is_own = |pid: &Pid| own.iter().any(|verb| processes::has_arguments(*pid, &[verb, "--name", layout.name()]));
    let mut pids: Vec<_> = processes::all().into_iter().filter(is_own).collect();
    for netns in network::namespaces(layout) {
        let path = std::path::Path::new("/run/netns").join(netns);
        // The file of a namespace whose making was interrupted is an ordinary one: nobody lives in it.
        pids.extend(processes::in_namespace("net", &path)?);
    }
    pids.sort();
    pids.dedup();
    pids.retain(|pid| *pid != getpid());
    Ok(pids)
}
