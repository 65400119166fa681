//! What the guard watches besides its turns, each in a thread of its own: the server's end, whether it answers, and the
//! cluster's stack.

use std::process::Child;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::super::node::Node;
use super::super::{demote, replicate};
use super::ending;
use crate::deadline::Deadline;
use crate::ocf::env::Invocation;
use crate::pacemaker::{Cluster, stack};
use crate::server::client::{Patience, Unavailable};
use crate::server::process::Daemon;

/// How often it is asked, and looked.
const EVERY: Duration = Duration::from_secs(1);

/// The time that a report to the cluster has.
const REPORT: Duration = Duration::from_secs(20);

/// The time that it may take to close a primary whose stack is gone; then it is ended.
const CLOSING: Duration = Duration::from_secs(10);

/// Waits for the end of the server, says so to `ends`, and reports it.
///
/// # Errors
/// When the cluster cannot be told.
pub fn end(call: &Invocation, daemon: Daemon, child: Option<Child>, ends: &mpsc::Sender<()>) -> Result<()> {
    let killed_before = ending::count_killed_for_memory();
    daemon.await_end();
    // Nobody may be listening any more.
    let _ = ends.send(());
    let status = child.and_then(|mut child| child.wait().ok());
    let is_for_memory =
        status.is_none_or(|status| !status.success()) && ending::count_killed_for_memory() > killed_before;
    let node = Node::gather(call, REPORT)?;
    let how = ending::note(&node, status, is_for_memory);
    ending::report(&node, daemon, &ending::describe(&node, &how))
}

/// Asks the server each second whether it lives; reports it once it has not answered for the whole of `hang_timeout`. That
/// it refuses us, or has too many connections, is an answer; that it does not listen is none of one that has not listened
/// before, since it may be recovering.
///
/// # Errors
/// When the cluster cannot be told.
pub fn life(call: &Invocation, daemon: Daemon) -> Result<()> {
    let mut node = Node::gather(call, REPORT)?;
    let Some(timeout) = node.config.hang_timeout else { return Ok(()) };
    let mut answered: Option<Instant> = None;
    while daemon.is_alive() {
        let answer = if daemon.is_stopped() {
            Err(Unavailable::Silent(Duration::ZERO))
        } else {
            node.session_with(Patience { deadline: Deadline::after(timeout), answer: timeout }).map(drop)
        };
        match answer {
            Ok(()) | Err(Unavailable::Denied(_) | Unavailable::TooManyConnections) => answered = Some(Instant::now()),
            Err(why) if answered.is_some_and(|answered| answered.elapsed() >= timeout) && daemon.is_alive() => {
                node.renew(REPORT);
                return ending::report(&node, daemon, &format!("the server (pid {}) hangs: {why}", daemon.pid));
            }
            Err(_) => {}
        }
        std::thread::sleep(EVERY);
    }
    Ok(())
}

/// Looks after the cluster's stack. A primary without it is closed after `stack_timeout`: nobody can tell any more whether
/// another one is promoted. A replica stops receiving: nobody could tell it to stop acknowledging (objection 5). Both not
/// so in maintenance mode, or while the resource is unmanaged: then somebody stopped the stack on purpose (objection 23).
///
/// # Errors
/// When the call makes no sense.
pub fn cluster(call: &Invocation, daemon: Daemon) -> Result<()> {
    let mut node = Node::gather(call, REPORT)?;
    let Some(timeout) = node.config.stack_timeout else { return Ok(()) };
    let mut gone_since: Option<Instant> = None;
    let mut is_done = false;
    let mut told = String::new();
    while daemon.is_alive() {
        std::thread::sleep(EVERY);
        let state = stack::look();
        let trouble = state.trouble().unwrap_or_default();
        if trouble != told {
            match trouble.as_str() {
                "" => log::info!("the cluster's stack is whole again"),
                trouble => log::error!("{trouble}"),
            }
            stack::note(&node.run_dir, &node.resource, &trouble);
            told = trouble;
        }
        if !state.is_gone() {
            (gone_since, is_done) = (None, false);
            continue;
        }
        let since = *gone_since.get_or_insert_with(Instant::now);
        if is_done || since.elapsed() < timeout {
            continue;
        }
        node.renew(CLOSING);
        match give_up(&node, daemon) {
            Ok(()) => is_done = true,
            Err(error) => log::error!("the cluster's stack is gone, and this instance goes on: {error:#}"),
        }
    }
    Ok(())
}

/// Takes part in nothing any more.
fn give_up(node: &Node, daemon: Daemon) -> Result<()> {
    let Some(cluster) = &node.cluster else { return Ok(()) };
    if is_left_alone(node, cluster)? {
        log::warn!("the cluster's stack is gone; left as it is: maintenance mode is on, or the resource is unmanaged");
        return Ok(());
    }
    if node.is_marked(daemon) {
        log::error!("the cluster's stack is gone: closing the primary, as another one may be promoted");
        return demote::demote(node).map(drop);
    }
    log::error!("the cluster's stack is gone: this replica receives nothing more");
    let _turn = node.await_turn(node.deadline)?;
    replicate::seal(&mut node.quick_session()?, node.deadline)
}

/// What the configuration said last, as Pacemaker keeps it on the disk.
fn is_left_alone(node: &Node, cluster: &Cluster) -> Result<bool> {
    cluster.view_of_disk(node.deadline).map(|view| view.unmanaged)
}
