//! The server has ended, or hangs: how, and that the cluster is told at once.
//!
//! The promotion score is withdrawn first, and the failure is reported when another instance is promoted: Pacemaker
//! promotes only after all starts of the same transition have ended (an ordering of its promotable clones, seen with 2.1.5
//! to 3.0.3), and the start of a server that was killed takes as long as its recovery.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::super::decide::record::Record;
use super::super::memo;
use super::super::node::Node;
use crate::deadline::Deadline;
use crate::exec::describe_status;
use crate::guard::turn;
use crate::pacemaker::{Cluster, View};
use crate::server::process::{Daemon, last_error};
use crate::state_file;

/// How long it is waited for another promotion before the failure is reported.
const SUCCESSION: Duration = Duration::from_secs(5);

/// So much longer the failure of a primary may wait: the address moves first, and the monitor that begins anew after the
/// demotion has usually found it by then (a report counts as two failures, where a monitor's counts as one).
const SETTLING: Duration = Duration::from_secs(1);

/// How long a start waits until the cluster was told why it is one.
const TELLING: Duration = Duration::from_secs(2);

/// How soon a cluster that did not answer is asked or told again.
const AGAIN: Duration = Duration::from_millis(500);

/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(100);

/// The file that says how the server ended.
pub fn file(node: &Node) -> PathBuf {
    node.run_dir.join(format!("rustha-{}.ended", node.resource))
}

/// How it ended, if that is known.
pub fn read(node: &Node) -> Option<String> {
    fs::read_to_string(file(node)).ok().filter(|how| !how.is_empty())
}

/// Forgets it: another one is started.
pub fn forget(node: &Node) {
    // That there is none is the usual case.
    let _ = fs::remove_file(file(node));
}

/// Notes how the server ended; in words. `killed_for_memory`: whether the kernel ended some process just then.
pub fn note(node: &Node, pid: u32, status: Option<ExitStatus>, killed_for_memory: bool) -> String {
    let mut how = status.map_or_else(|| "ended".into(), describe_status);
    if killed_for_memory && status.is_none_or(|status| status.signal() == Some(Signal::SIGKILL as i32)) {
        how += " (the kernel ended a process for want of memory at that time)";
    }
    let error = i32::try_from(pid).ok().and_then(|pid| last_error(&node.layout.log, pid));
    how += &error.map(|error| format!("; its last error: {error}")).unwrap_or_default();
    if let Err(error) = state_file::write(&file(node), &how) {
        log::warn!("{error:#}");
    }
    how
}

/// How many processes the kernel has ended for want of memory since it was booted (proc(5), vmstat).
pub fn count_killed_for_memory() -> Option<u64> {
    parse_vmstat(&fs::read_to_string("/proc/vmstat").ok()?)
}

fn parse_vmstat(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// Tells the cluster that the server failed. Nothing is told while the resource is not managed: the operator has it; nor
/// of a server that ends while it starts: `start` fails with the reason.
///
/// # Errors
/// When the cluster cannot be asked or told until the deadline: then the next monitor does.
pub fn report(node: &Node, daemon: Daemon, why: &str) -> Result<()> {
    let Some(cluster) = &node.cluster else { return Ok(()) };
    if turn::is_taken(&node.starting_file())? {
        log::info!("{why}, while it was being started");
        return Ok(());
    }
    let was_primary = node.is_marked(daemon);
    log::error!("{why}");
    if insist(node, || cluster.is_left_alone(node.deadline))
        .context("the cluster cannot be asked who has the resource")?
    {
        log::warn!("left to whoever has set maintenance mode or taken the resource over");
        return Ok(());
    }
    memo::forget(node);
    let tell = "the cluster cannot be told that the server failed";
    insist(node, || cluster.withdraw_score(node.deadline)).context(tell)?;
    if was_primary && has_successor(cluster, &insist(node, || cluster.view(node.deadline)).context(tell)?) {
        // The record is written first, and read for a fifth of what a view costs: the machine has better things to do now.
        let is_on_record = || {
            let text = cluster.read_record(node.deadline).ok().flatten();
            text.and_then(|text| Record::parse(&text).ok()).is_some_and(|last| last.primary != cluster.node)
        };
        let is_promoted_elsewhere =
            || is_on_record() && cluster.view(node.deadline).is_ok_and(|view| is_led(cluster, &view));
        if node.deadline.at_most(SUCCESSION).wait_for(LOOK, || is_promoted_elsewhere().then_some(())).is_some() {
            std::thread::sleep(SETTLING);
        }
    }
    // Later than that: each attribute that changes makes Pacemaker plan its transition anew.
    tell_why(node, cluster, why, node.deadline);
    // What the cluster has found meanwhile by itself it recovers already.
    let is_starting = turn::is_taken(&node.starting_file())?;
    let is_another = node.daemon().is_some_and(|now| now != daemon);
    if !is_starting && !is_another {
        insist(node, || cluster.report_failure(node.deadline)).context(tell)?;
        log::info!("reported to the cluster as failed");
    }
    Ok(())
}

/// Tells people why it failed, before it is started again: the guard that was about to do so ends then.
pub fn tell_before_start(node: &Node) {
    if let (Some(cluster), Some(how)) = (&node.cluster, read(node)) {
        tell_why(node, cluster, &format!("the server {how}"), node.deadline.at_most(TELLING));
    }
}

fn tell_why(node: &Node, cluster: &Cluster, why: &str, deadline: Deadline) {
    if let Err(error) = cluster.set_attribute(&failure_attribute(&node.resource), why, deadline) {
        log::warn!("cannot tell why: {error:#}");
    }
}

/// Asks or tells until the deadline: a cluster in trouble may not answer at once, and nobody else tells it soon.
fn insist<T>(node: &Node, mut ask: impl FnMut() -> Result<T>) -> Option<T> {
    node.deadline.wait_for(AGAIN, || ask().inspect_err(|error| log::warn!("{error:#}")).ok())
}

/// The node attribute that says why the server failed last.
fn failure_attribute(resource: &str) -> String {
    format!("{resource}-last-failure")
}

/// Whether there is somebody who may be promoted.
fn has_successor(cluster: &Cluster, view: &View) -> bool {
    let score_of =
        |node: &str| view.attribute(node, &cluster.score_attribute()).and_then(|text| text.parse::<i32>().ok());
    view.instances.keys().any(|node| *node != cluster.node && score_of(node).is_some_and(|score| score > 0))
}

fn is_led(cluster: &Cluster, view: &View) -> bool {
    view.promoted().iter().any(|node| *node != cluster.node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_count_is_read() {
        assert_eq!(parse_vmstat("nr_free 5\noom_kill 3\nx 1\n"), Some(3));
        assert_eq!(parse_vmstat("oom_killer 3\n"), None);
    }
}
