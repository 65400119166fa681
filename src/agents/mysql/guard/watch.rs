//! What the guard watches besides its turns, each in a thread of its own: the server's end, whether it answers, and the
//! cluster's stack.

use std::process::Child;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::super::node::Node;
use super::super::{demote, replicate};
use super::ending;
use crate::deadline::Deadline;
use crate::guard::call::Ear;
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

/// How often the cluster's controller is asked whether it lives. Its process is looked at more often.
const ASKING: Duration = Duration::from_secs(5);

/// What does not wait for the guard's next turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The server has ended.
    Ended,
    /// An action has left something to be done.
    Called,
}

/// What the threads tell each other.
#[derive(Default)]
pub struct Seen {
    /// How many processes the kernel had ended for want of memory a moment ago.
    killed_for_memory: AtomicU64,
    /// Since when the controller has not answered; `None`: it has.
    silent_since: Mutex<Option<Instant>>,
}

impl Seen {
    fn silence(&self) -> Option<Duration> {
        self.silent_since.lock().unwrap_or_else(PoisonError::into_inner).map(|since| since.elapsed())
    }
}

/// Waits for the end of the server, says so, and reports it.
///
/// # Errors
/// When the cluster cannot be told.
pub fn end(
    call: &Invocation,
    daemon: Daemon,
    child: Option<Child>,
    seen: &Seen,
    events: &mpsc::Sender<Event>,
) -> Result<()> {
    daemon.await_end();
    // Nobody may be listening any more.
    let _ = events.send(Event::Ended);
    let status = child.and_then(|mut child| child.wait().ok());
    let killed = ending::count_killed_for_memory().unwrap_or_default();
    let is_for_memory = killed > seen.killed_for_memory.load(Ordering::Relaxed);
    let node = Node::gather(call, REPORT)?;
    let how = ending::note(&node, daemon.pid.unsigned_abs(), status, is_for_memory);
    ending::report(&node, daemon, &format!("the server {how}"))
}

/// Listens for calls of actions as long as the server lives.
///
/// # Errors
/// When it cannot be listened.
pub fn calls(ear: &Ear, daemon: Daemon, events: &mpsc::Sender<Event>) -> Result<()> {
    while daemon.is_alive() {
        if ear.listen().context("this guard does not hear any more")? {
            // Nobody may be listening any more.
            let _ = events.send(Event::Called);
        }
    }
    Ok(())
}

/// Asks the server each second whether it lives; reports it once it has not answered for the whole of `hang_timeout`, and
/// again only when it has answered in between. That it refuses us, or has too many connections, is an answer; that it does
/// not listen is none of one that has not listened before, since it may be recovering.
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
                answered = None;
                node.renew(REPORT);
                ending::report(&node, daemon, &format!("the server (pid {}) hangs: {why}", daemon.pid))?;
            }
            Err(_) => {}
        }
        node.renew(REPORT);
        std::thread::sleep(EVERY);
    }
    Ok(())
}

/// Asks the controller whether it lives: one that hangs, and is not stopped, looks like any other. Its answer may take as
/// long as `stack_timeout`, since a busy machine is no reason to close a primary.
///
/// # Errors
/// When the call makes no sense.
pub fn controller(call: &Invocation, daemon: Daemon, seen: &Seen) -> Result<()> {
    let node = Node::gather(call, REPORT)?;
    let (Some(cluster), Some(timeout)) = (&node.cluster, node.config.stack_timeout) else { return Ok(()) };
    while daemon.is_alive() {
        let asked = Instant::now();
        let is_silent = cluster.is_controller_silent(Deadline::after(timeout));
        let mut since = seen.silent_since.lock().unwrap_or_else(PoisonError::into_inner);
        *since = is_silent.then(|| since.unwrap_or(asked));
        drop(since);
        let next = Deadline::after(ASKING);
        // Its end is seen soon by whoever waits for this thread.
        while daemon.is_alive() && !next.is_over() {
            std::thread::sleep(EVERY.min(next.remaining()));
        }
    }
    Ok(())
}

/// Looks after the cluster's stack, and says what is wrong with it. A primary without it is closed after `stack_timeout`:
/// nobody can tell any more whether another one is promoted. A replica stops receiving: nobody could tell it to stop
/// acknowledging (objection 5). Both not so in maintenance mode, or while the resource is unmanaged: then somebody stopped
/// the stack on purpose (objection 23).
///
/// # Errors
/// When the call makes no sense.
pub fn cluster(call: &Invocation, daemon: Daemon, seen: &Seen) -> Result<()> {
    let mut node = Node::gather(call, REPORT)?;
    let mut gone_since: Option<Instant> = None;
    let mut is_done = false;
    // What an earlier guard has noted may not be true any more.
    let mut told: Option<String> = None;
    while daemon.is_alive() {
        let killed = ending::count_killed_for_memory().unwrap_or_default();
        std::thread::sleep(EVERY);
        seen.killed_for_memory.store(killed, Ordering::Relaxed);
        let state = stack::look();
        let silence = seen.silence().filter(|silence| node.config.stack_timeout.is_some_and(|time| *silence >= time));
        let is_gone = state.is_gone() || silence.is_some();
        let hung = silence.map(|_| "pacemaker-controld does not answer".to_string());
        let trouble = state.trouble().or(hung).unwrap_or_default();
        if told.as_ref() != Some(&trouble) {
            match (trouble.as_str(), &told) {
                ("", None) => {}
                ("", Some(_)) => log::info!("the cluster's stack is whole again"),
                (trouble, _) => log::error!("{trouble}"),
            }
            stack::note(&node.run_dir, &node.resource, &trouble);
            told = Some(trouble);
        }
        if !is_gone {
            (gone_since, is_done) = (None, false);
            continue;
        }
        let since = *gone_since.get_or_insert_with(|| {
            Instant::now().checked_sub(silence.unwrap_or_default()).unwrap_or_else(Instant::now)
        });
        if is_done || node.config.stack_timeout.is_none_or(|timeout| since.elapsed() < timeout) {
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

/// Takes part in nothing any more. What cannot be found out counts as managed, and a primary that cannot be closed is
/// ended: a node without a cluster must not acknowledge.
fn give_up(node: &Node, daemon: Daemon) -> Result<()> {
    let Some(cluster) = &node.cluster else { return Ok(()) };
    if is_left_alone(node, cluster) {
        log::warn!("the cluster's stack is gone; left as it is: maintenance mode is on, or the resource is unmanaged");
        return Ok(());
    }
    if node.is_marked(daemon) {
        log::error!("the cluster's stack is gone: closing the primary, as another one may be promoted");
        return demote::demote(node)
            .or_else(|error| demote::kill(node, daemon, &format!("cannot be closed ({error:#})")))
            .map(drop);
    }
    log::error!("the cluster's stack is gone: this replica receives nothing more");
    // This guard's own turn may hang with the stack.
    let turn = node.await_turn(Deadline::after(node.deadline.remaining() / 4));
    if let Err(error) = &turn {
        log::warn!("{error:#}");
    }
    replicate::seal(&mut node.quick_session()?, node.deadline)
}

/// What the configuration said last, as Pacemaker keeps it on the disk.
fn is_left_alone(node: &Node, cluster: &Cluster) -> bool {
    cluster.was_left_alone(Deadline::after(node.deadline.remaining() / 4)).unwrap_or_else(|error| {
        log::error!("whether the resource is managed is not known, and taken for granted: {error:#}");
        false
    })
}
