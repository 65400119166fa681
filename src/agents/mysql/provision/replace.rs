//! The moment in which old data give way to new ones: the server is stopped, and another one is started on them. Whoever
//! looks meanwhile finds no server, and a lock that says why.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::super::node::Node;
use super::super::staging::Staging;
use super::super::{guard, start, stop};
use super::order::Order;
use super::progress;
use crate::deadline::Deadline;
use crate::guard::turn::{self, Turn};
use crate::ocf::env::Invocation;
use crate::server::process::Daemon;

/// What stopping the server and starting the new one may take, each.
const TIME: Duration = Duration::from_secs(600);

/// What part of the disk must be free for old data to be kept: one in so many.
const LEAST: u64 = 5;

/// How soon a process is gone that was killed.
const KILLED: Duration = Duration::from_secs(5);

/// The server was stopped, and nobody may take that for a failure.
pub struct Replaced {
    _starting: Turn,
    replacing: Turn,
}

fn file(node: &Node) -> PathBuf {
    node.run_dir.join(format!("rustha-{}.replacing", node.resource))
}

/// Whether the data of this instance are being replaced now, so that no server runs.
pub fn is_under_way(node: &Node) -> bool {
    turn::is_taken(&file(node)).unwrap_or_default()
}

/// Ends whoever replaces them: the instance is to be stopped.
pub fn end(node: &Node) {
    let path = file(node);
    if !is_under_way(node) {
        return;
    }
    // What an earlier one has left there names a process that is gone, or is another one by now.
    let replacer = fs::read_to_string(&path).ok().and_then(|text| parse(&text)).filter(|one| one.is_alive());
    if let Some(replacer) = replacer
        && let Err(error) = kill(Pid::from_raw(replacer.pid), Signal::SIGKILL)
    {
        log::debug!("who replaces the data (pid {}) has just ended: {error}", replacer.pid);
    }
    Deadline::after(KILLED).wait_for(Duration::from_millis(10), || (!is_under_way(node)).then_some(()));
}

/// The process that says this of itself.
fn parse(text: &str) -> Option<Daemon> {
    let (pid, started) = text.trim().split_once(' ')?;
    Some(Daemon { pid: pid.parse().ok()?, started: started.parse().ok()? })
}

/// Stops the server and puts the new data into their place.
///
/// # Errors
/// When the server cannot be stopped, or the data cannot be moved.
pub fn replace(node: &Node, daemon: Daemon, is_wanted: impl Fn() -> Result<()>) -> Result<Replaced> {
    progress::say(node, "provisioned: the server is started on its new data");
    let _turn = node.await_turn(node.deadline)?;
    if node.daemon() != Some(daemon) || node.is_marked(daemon) {
        bail!("the new data are not used: this instance was started anew, or promoted, meanwhile");
    }
    is_wanted().context("the new data are not used")?;
    let starting = Turn::take(&node.starting_file(), node.deadline)?;
    let replacing = Turn::take(&file(node), node.deadline)?;
    let me =
        i32::try_from(std::process::id()).ok().and_then(Daemon::of).context("this process does not find itself")?;
    fs::write(file(node), format!("{} {}", me.pid, me.started))
        .with_context(|| format!("cannot write {}", file(node).display()))?;
    stop::end(node, daemon)?;
    let staging = Staging::of(node)?;
    // No line before this one changes the data that are there.
    staging.arm()?;
    staging.settle()?;
    Order::forget(node);
    Ok(Replaced { _starting: starting, replacing })
}

/// Removes what was replaced last, when the disk needs the room: nobody else does, and a full disk ends the server.
pub fn tidy(node: &Node) {
    let Ok(staging) = Staging::of(node) else { return };
    let replaced = staging.replaced();
    if !replaced.is_dir() {
        return;
    }
    let Ok(room) = nix::sys::statvfs::statvfs(&node.layout.datadir) else { return };
    if room.blocks_available() < room.blocks() / LEAST {
        log::warn!("little room is left: removing the data that were replaced ({})", replaced.display());
        if let Err(error) = staging.remove_replaced() {
            log::warn!("{error:#}");
        }
    }
}

/// Starts the server on its new data, as a start action does.
///
/// # Errors
/// When it does not start: the next monitor finds that, and the cluster starts it once more.
pub fn begin_anew(call: &Invocation, replaced: Replaced) -> Result<()> {
    let Replaced { _starting, replacing: _replacing } = replaced;
    drop(_starting);
    let node = Node::gather(call, TIME)?;
    guard::forget_end(&node);
    start::start(&node).map(drop)
}
