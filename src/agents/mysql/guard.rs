//! What the guard of an instance does: on the primary it keeps the in-sync set true (`decide/insync.rs`), on a replica it
//! acknowledges only while the set says so, answers the primary's notes, and looks whether clients may read from it. It looks
//! every second, and more often while something is under way. Everything that it does it decides anew from what it sees, so that it can be killed at any time.

mod ending;
mod launch;
mod primary;
mod readiness;
mod replica;
mod strangers;
mod warmup;
mod watch;

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread::Scope;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::decide::keeping::{Answer, Call, Receiver, Said};
use super::decide::record::{InSync, State};
use super::node::Node;
use super::publish::Standing;
use super::review::review;
use super::{provision, replicate, report};
use crate::deadline::Deadline;
use crate::exec;
use crate::guard::turn::Turn;
use crate::guard::{self, Guard, Stay};
use crate::ocf::env::Invocation;
use crate::pacemaker::{Cluster, Score};
use crate::server::client::{Session, Unavailable};
use crate::server::process::Daemon;

pub use launch::launch;
pub use primary::resolve;
use readiness::Readiness;
use watch::Event;

/// The time that one turn has.
const TURN: Duration = Duration::from_secs(10);

/// Between two turns, when nothing is under way.
const CALM: Duration = Duration::from_secs(1);

/// Between two turns, while somebody waits for something.
const BUSY: Duration = Duration::from_millis(200);

/// Between two turns, while an action that has left something to be done is just ending.
const SOON: Duration = Duration::from_millis(20);

/// So long it is tried again and again to attach a replica to a new primary; later by its monitors.
const FOLLOWING: Duration = Duration::from_secs(90);

/// How long a replica that is stopped waits for being taken out of the set.
const GOOD_BYE: Duration = Duration::from_secs(3);

/// Is the guard, until the server has ended; with an order, of a server that it starts itself.
///
/// # Errors
/// When it cannot find out what to guard.
pub fn run(call: &Invocation, order: Option<&str>) -> Result<()> {
    let answer = |word: &str| order.map_or(Ok(()), |_| exec::answer_and_detach(word));
    let (stay, mut node) = match (Guard::of(&call.run_dir, &call.resource).stay(), Node::gather(call, TURN)) {
        (Ok(Some(stay)), Ok(node)) => (stay, node),
        (Ok(None), _) => return answer("another guard is there"),
        (Err(error), _) | (_, Err(error)) => {
            answer(&format!("{error:#}"))?;
            return Err(error);
        }
    };
    stay.settle();
    let mut child = order.map(|order| launch::carry_out(&node, order)).transpose()?;
    let daemon = match &child {
        Some(child) => i32::try_from(child.id()).ok().and_then(Daemon::of),
        None => node.daemon(),
    };
    let Some(daemon) = daemon else {
        if let Some(child) = &mut child {
            ending::note(&node, child.id(), child.wait().ok(), false);
        }
        return Ok(());
    };
    let seen = &watch::Seen::default();
    let replaced = Mutex::new(None);
    let new_data = &replaced;
    std::thread::scope(|scope| {
        in_background(scope, move || watch::life(call, daemon));
        in_background(scope, move || watch::cluster(call, daemon, seen));
        in_background(scope, move || watch::controller(call, daemon, seen));
        let (events, happened) = mpsc::channel();
        let ear = stay.listen().inspect_err(|error| log::warn!("{error:#}: actions do its work themselves"));
        if let Ok(ear) = ear {
            let events = events.clone();
            in_background(scope, move || watch::calls(&ear, daemon, &events));
        }
        in_background(scope, move || watch::end(call, daemon, child, seen, &events));
        in_background(scope, move || warmup::run(call, daemon));
        in_background(scope, move || strangers::watch(call, daemon));
        in_background(scope, move || provision::serve(call, daemon));
        in_background(scope, move || report::serve(call, daemon));
        in_background(scope, move || {
            let replaced = provision::watch(call, daemon)?;
            *new_data.lock().unwrap_or_else(PoisonError::into_inner) = replaced;
            Ok(())
        });
        take_turns(&mut node, daemon, &stay, &happened)
    })?;
    // The guard of the new server takes this one's place.
    drop(stay);
    match replaced.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(replaced) => provision::begin_anew(call, replaced),
        None => Ok(()),
    }
}

/// Whether there is one.
pub fn is_there(node: &Node) -> bool {
    Guard::of(&node.run_dir, &node.resource).is_there()
}

/// What was noted of the last server's end is no failure.
pub fn forget_end(node: &Node) {
    ending::forget(node);
}

/// Does something in a thread of its own. A guard that lost one would be taken for a whole one: it ends, and the next monitor
/// starts another.
fn in_background<'scope>(scope: &'scope Scope<'scope, '_>, what: impl FnOnce() -> Result<()> + Send + 'scope) {
    scope.spawn(move || match catch_unwind(AssertUnwindSafe(what)) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => log::error!("{error:#}"),
        Err(_) => guard::leave(),
    });
}

/// Takes turn after turn until the server has ended.
fn take_turns(node: &mut Node, daemon: Daemon, stay: &Stay, events: &mpsc::Receiver<Event>) -> Result<()> {
    let mut memory = Memory::default();
    let mut last_trouble = String::new();
    // While it starts, it does not listen.
    while node.quick_session().is_err_and(|why| matches!(why, Unavailable::NotListening(_))) {
        if !memory.goes_on_after(BUSY, events) {
            return Ok(());
        }
        // A recovery may take long.
        stay.show_life()?;
    }
    loop {
        node.renew(TURN);
        if !stay.is_known() {
            log::warn!("the files of this guard were removed: it ends, and the next monitor starts another");
            guard::leave();
        }
        let turn = stay.show_life().and_then(|()| match daemon.is_stopped() {
            // It answers nobody, and who has to act on it shall not wait for this guard.
            true => Ok(None),
            false => Turn::try_take(&node.turn_file()),
        });
        let pause = match turn {
            Err(error) => Err(error),
            // Whoever has called has it for a moment yet.
            Ok(None) if memory.called.is_some_and(|called| called.elapsed() < CALM) => Ok(SOON),
            Ok(None) => Ok(BUSY),
            Ok(Some(_turn)) => memory.take_turn(node, daemon),
        };
        let pause = pause.unwrap_or_else(|error| {
            let trouble = format!("{error:#}");
            if trouble != last_trouble {
                log::warn!("{trouble}");
                last_trouble = trouble;
            }
            CALM
        });
        if !memory.goes_on_after(pause, events) {
            return Ok(());
        }
    }
}

/// What the guard remembers between its turns. All of it can be lost.
#[derive(Default)]
struct Memory {
    primary: primary::Memory,
    replica: replica::Memory,
    readiness: Readiness,
    /// Since when an action has left something to be done that is not done yet.
    called: Option<Instant>,
}

impl Memory {
    /// One turn; how long to wait before the next one.
    fn take_turn(&mut self, node: &Node, daemon: Daemon) -> Result<Duration> {
        let pause = if node.is_marked(daemon) {
            let pause = primary::turn(node, &mut self.primary);
            self.readiness.note_primary(node, daemon)?;
            pause?
        } else {
            self.primary = primary::Memory::default();
            let mut session = node.quick_session()?;
            // What matters more is done all the same.
            if let Err(error) = self.readiness.look(node, &mut session, daemon) {
                log::debug!("{error:#}");
            }
            let reviewed = self.called.map(|_| review(node, &mut session));
            if matches!(reviewed, Some(Ok(_))) {
                self.readiness.is_told();
            }
            let pause = replica::turn(node, &mut session, &mut self.replica, &mut self.readiness)?;
            if self.readiness.is_news() {
                match review(node, &mut session) {
                    Ok(_) => self.readiness.is_told(),
                    Err(error) => self.readiness.is_not_told(&error),
                }
            }
            // It may have much to apply before it can be attached.
            let is_attached = |it: &Standing| it.score != Some(Score::Never) || it.attached;
            let is_done = matches!(&reviewed, Some(Ok(standing)) if is_attached(standing));
            if !is_done && self.called.is_some_and(|called| called.elapsed() < FOLLOWING) {
                return reviewed.transpose().map(|_| pause);
            }
            pause
        };
        self.called = None;
        Ok(pause)
    }

    /// Waits; whether there is a next turn.
    fn goes_on_after(&mut self, pause: Duration, events: &mpsc::Receiver<Event>) -> bool {
        match events.recv_timeout(pause) {
            Ok(Event::Called) => self.called = Some(Instant::now()),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Ok(Event::Ended) | Err(mpsc::RecvTimeoutError::Disconnected) => return false,
        }
        true
    }
}

/// Leaves it to the guard of this instance to review it now; whether it does.
pub fn leave_review(node: &Node) -> bool {
    Guard::of(&node.run_dir, &node.resource).call()
}

/// Leaves it to the guard to tell the cluster soon what a new primary is; whether it does.
pub fn leave_telling(node: &Node) -> bool {
    Guard::of(&node.run_dir, &node.resource).is_at_work()
}

/// Starts the guard of this instance, unless it is there or there is nothing for it to do.
pub fn ensure(node: &Node) {
    if node.cluster.is_none() {
        return;
    }
    if let Err(error) = Guard::of(&node.run_dir, &node.resource).ensure("mysql") {
        log::warn!("{error:#}");
    }
}

/// Ends the guard of this instance.
pub fn end(node: &Node) {
    Guard::of(&node.run_dir, &node.resource).end();
}

/// How the server ended, in one sentence.
pub fn describe_end(node: &Node) -> String {
    format!("the server {}", ending::read(node).unwrap_or_else(|| "is not running".into()))
}

/// The name under which instances tell each other what they need for the in-sync set.
fn attribute(node: &Node) -> String {
    format!("{}-sync", node.resource)
}

/// What the instances have told, by node.
fn hear(node: &Node, cluster: &Cluster, session: &Session) -> Result<BTreeMap<String, Said>> {
    let vendor = session.dialect().version().vendor;
    let told = cluster.told(&attribute(node), node.deadline)?;
    let said = told.iter().filter_map(|(name, text)| match Said::parse(vendor, text) {
        Ok(said) => Some((name.clone(), said)),
        Err(why) => {
            log::warn!("{name}: {why}");
            None
        }
    });
    Ok(said.collect())
}

fn say(node: &Node, cluster: &Cluster, said: &Said) -> Result<()> {
    cluster.tell(&attribute(node), &said.to_string(), node.deadline)
}

/// Who calls as primary of the newest promotion, and which that is.
///
/// # Errors
/// When the cluster cannot be asked.
pub fn calling(node: &Node, cluster: &Cluster, session: &Session) -> Result<Option<(String, u64)>> {
    let call = newest_call(hear(node, cluster, session)?, &cluster.node);
    Ok(call.map(|(name, call)| (name, call.epoch)))
}

/// What the primary of the newest promotion calls, and on which node it is.
fn newest_call(told: BTreeMap<String, Said>, me: &str) -> Option<(String, Call)> {
    let calls = told.into_iter().filter_map(|(name, said)| match said {
        Said::Primary(call) if name != me => Some((name, call)),
        _ => None,
    });
    calls.max_by_key(|(_, call)| call.epoch)
}

/// Ends a replica's part in the set, before its server is stopped or because it may not be promoted any more: it receives
/// nothing more, says so, and waits a little until the primary does not count on it, so that no write has to wait for it.
///
/// # Errors
/// When server or cluster cannot be asked or told.
pub fn say_good_bye(node: &Node, session: &mut Session) -> Result<()> {
    let Some(cluster) = &node.cluster else { return Ok(()) };
    replicate::seal(session, node.deadline)?;
    let me = node.instance()?;
    let Some((_, call)) = newest_call(hear(node, cluster, session)?, &cluster.node) else { return Ok(()) };
    if !call.set.contains(&me) {
        return Ok(());
    }
    if node.record().is_ok_and(|record| record.is_some_and(|record| record.state == State::Closed)) {
        // Nobody writes, and so nobody waits.
        return Ok(());
    }
    let server_id = session.state()?.server_id;
    let answer = Answer { epoch: call.epoch, life: me.life.clone(), receiver: Receiver::Leaving, noted: 0, server_id };
    say(node, cluster, &Said::Replica(answer))?;
    let deadline = node.deadline.at_most(GOOD_BYE);
    let is_out = deadline.wait_for(BUSY / 4, || {
        let call = newest_call(hear(node, cluster, session).ok()?, &cluster.node);
        call.is_none_or(|(_, call)| !call.set.contains(&me)).then_some(())
    });
    if is_out.is_none() {
        log::warn!("the primary still counts on this replica: its writes may wait for up to semi_sync_degrade");
    }
    Ok(())
}

/// Takes back what was told, when the instance is stopped.
pub fn fall_silent(node: &Node, deadline: Deadline) {
    if let Some(cluster) = &node.cluster
        && let Err(error) = cluster.remove_attribute(&attribute(node), deadline)
    {
        log::debug!("{error:#}");
    }
}

fn state_file(node: &Node) -> PathBuf {
    node.run_dir.join(format!("rustha-{}.insync", node.resource))
}

/// What the primary's monitor says, without having to ask anybody.
pub struct Kept {
    /// The set that was confirmed last.
    pub sync: InSync,
    /// What was risked with the promotion.
    pub risk: Option<String>,
    /// Why writes wait now.
    pub trouble: Option<String>,
}

/// Keeps what was confirmed for the monitor, and why writes wait now if they do.
pub fn write_state(node: &Node, sync: Option<&InSync>, risk: Option<&str>, trouble: Option<&str>) {
    let (risk, trouble) = (risk.unwrap_or_default(), trouble.unwrap_or_default());
    let text = sync.map(|sync| format!("{sync}\n{risk}\n{trouble}")).unwrap_or_default();
    if fs::read_to_string(state_file(node)).is_ok_and(|known| known == text) {
        return;
    }
    if let Err(error) = fs::write(state_file(node), text) {
        log::warn!("cannot write {}: {error}", state_file(node).display());
    }
}

/// What was kept; `None` where semi-sync is not managed.
pub fn read_state(node: &Node) -> Option<Kept> {
    let text = fs::read_to_string(state_file(node)).ok()?;
    let (sync, rest) = text.split_once('\n')?;
    let (risk, trouble) = rest.split_once('\n')?;
    let unless_empty = |text: &str| (!text.is_empty()).then(|| text.to_string());
    Some(Kept { sync: InSync::parse(sync)?, risk: unless_empty(risk), trouble: unless_empty(trouble) })
}

/// Forgets it: this instance is no primary any more.
pub fn forget_state(node: &Node) {
    // That there is none is the usual case.
    let _ = fs::remove_file(state_file(node));
}
