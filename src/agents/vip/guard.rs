//! What the guard of an address does: it renews its lease at a third of it, as long as there is a cluster here that may
//! say where the address is; it gives the address back when there is none any more; and it tells the network now and then
//! where the address is. Killed or stopped, it renews nothing, and the kernel lets the address go by itself.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::give;
use super::node::Node;
use super::place::{self, Place};
use crate::deadline::Deadline;
use crate::guard::{self, Stay};
use crate::net::addresses;
use crate::net::announce::{announce, renounce};
use crate::net::probe::Listener;
use crate::ocf::env::Invocation;
use crate::pacemaker::{Cluster, stack};

/// The time that one turn has.
const TURN: Duration = Duration::from_secs(10);

/// Between two turns.
const EVERY: Duration = Duration::from_secs(1);

/// How long the cluster may take to answer. One that hangs is none.
const ANSWER: Duration = Duration::from_secs(2);

/// Without a lease it is looked so often whether the address is in order.
const USUAL: Duration = Duration::from_secs(10);

/// How often it is said that the address was given back, and the time between.
const RENOUNCED: usize = 3;
const BETWEEN: Duration = Duration::from_millis(100);

/// Whoever does not get from the one line to the next within this time was stopped in between.
const STOPPED: Duration = Duration::from_secs(1);

/// Starts the guard of an address that was just taken, in place of an earlier one; whether there is one now, which tells the
/// network where the address is.
pub fn begin(node: &Node) -> bool {
    if node.cluster.is_some() {
        node.guard().end();
    }
    ensure(node)
}

/// Starts the guard unless it is there and works; whether there is one now.
pub fn ensure(node: &Node) -> bool {
    node.cluster.is_some() && node.guard().ensure("vip").inspect_err(|error| log::warn!("{error:#}")).is_ok()
}

/// Is the guard, until the address is given back.
///
/// # Errors
/// When it cannot find out what to guard.
pub fn run(call: &Invocation) -> Result<()> {
    let node = Node::gather(call, TURN)?;
    let Some(cluster) = node.cluster.clone() else { return Ok(()) };
    // Who gives the address back ends whoever has this, and keeps others from it: nothing is announced after that.
    let Some(stay) = node.guard().stay()? else { return Ok(()) };
    let mut watch = Watch::new(cluster, &node);
    if let Err(error) = watch.announce(&node) {
        log::warn!("{error:#}");
    }
    stay.settle();
    while node.is_at_work() {
        show_life(&stay);
        if !stay.is_known() {
            log::warn!("the files of this guard were removed: it ends, and the next monitor starts another");
            guard::leave();
        }
        match watch.turn(&node, &stay) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => watch.say(format!("{error:#}")),
        }
        sleep(watch.pause());
    }
    Ok(())
}

/// A full disk is no reason to let the address go.
fn show_life(stay: &Stay) {
    if let Err(error) = stay.show_life() {
        log::debug!("{error:#}");
    }
}

/// What the guard knows between its turns.
struct Watch {
    cluster: Cluster,
    /// When the lease was renewed last, as far as this process knows.
    renewed: Option<Instant>,
    /// When it is tried again.
    next_renewal: Instant,
    /// Since when the stack is gone.
    gone_since: Option<Instant>,
    /// Hears then whether another node is about to take the address.
    listener: Option<Listener>,
    /// What the configuration on the disk said when it was found gone, until the cluster is whole again.
    was_left_alone: Option<bool>,
    /// How many announcements are left of those after the address was taken.
    announcements: u64,
    next_announcement: Option<Instant>,
    trouble: String,
}

impl Watch {
    fn new(cluster: Cluster, node: &Node) -> Self {
        let now = Instant::now();
        let announcements = if node.config.announces_later { node.config.announcements } else { 0 };
        let mut watch = Self {
            cluster,
            renewed: None,
            next_renewal: now,
            gone_since: None,
            listener: None,
            was_left_alone: None,
            announcements,
            next_announcement: Some(now),
            trouble: String::new(),
        };
        if announcements == 0 {
            watch.plan_announcement(node);
        }
        watch
    }

    /// Says what is wrong, once.
    fn say(&mut self, trouble: String) {
        if trouble != self.trouble {
            match (trouble.is_empty(), self.trouble.is_empty()) {
                (true, _) => log::info!("the lease is renewed again"),
                (false, _) => log::warn!("{trouble}"),
            }
            self.trouble = trouble;
        }
    }

    fn pause(&self) -> Duration {
        let next = self.next_announcement.map_or(EVERY, |next| next.saturating_duration_since(Instant::now()));
        next.min(EVERY)
    }

    /// One turn; whether there is another one.
    fn turn(&mut self, node: &Node, stay: &Stay) -> Result<bool> {
        let state = stack::look();
        if !state.is_gone() {
            (self.gone_since, self.listener) = (None, None);
        } else if !self.outlive_stack(node, state.trouble().unwrap_or_default())? {
            return Ok(false);
        }
        if Instant::now() >= self.next_renewal && !self.renew(node, stay)? {
            return Ok(false);
        }
        self.announce(node)?;
        Ok(true)
    }

    /// Whether the address stays without the cluster's stack: for `stack_timeout`, or until another node asks for it.
    fn outlive_stack(&mut self, node: &Node, trouble: String) -> Result<bool> {
        let since = *self.gone_since.get_or_insert_with(|| {
            log::error!("{trouble}");
            // Who cannot hear gives it back when the time is over.
            let listen = || place::find(&node.config).and_then(|it| Listener::on_link(it.address.ip, &it.interface));
            self.listener = listen().inspect_err(|error| log::warn!("{error:#}")).ok().flatten();
            Instant::now()
        });
        if self.is_left_alone_on_disk() {
            return Ok(true);
        }
        let asked = self.listener.as_ref().and_then(Listener::heard);
        if asked.is_none() && node.config.stack_timeout.is_none_or(|timeout| since.elapsed() < timeout) {
            return Ok(true);
        }
        let why = asked.map_or("as another node may take it".into(), |mac| format!("as {mac} asks for it"));
        log::error!("the cluster's stack is gone: the address is given back, {why}");
        let place = place::find(&node.config);
        give::give_back(node)?;
        node.memory().forget()?;
        if let Ok(place) = place {
            // One packet may be lost.
            for _ in 0..RENOUNCED {
                renounce(place.address.ip, &place.interface)?;
                sleep(BETWEEN);
            }
        }
        Ok(false)
    }

    /// Whether the operator has the resource, by what Pacemaker keeps on the disk. Asked once: what holds when the stack
    /// is found gone holds until it is back (objection 23). What cannot be found out counts as managed.
    fn is_left_alone_on_disk(&mut self) -> bool {
        if let Some(known) = self.was_left_alone {
            return known;
        }
        match self.cluster.was_left_alone(Deadline::after(ANSWER)) {
            Ok(found) => {
                if found {
                    log::warn!("left as it is: maintenance mode is on, or the resource is unmanaged");
                }
                *self.was_left_alone.insert(found)
            }
            Err(error) => {
                self.say(format!("whether the resource is managed is not known, and taken for granted: {error:#}"));
                false
            }
        }
    }

    /// Renews the lease if the cluster is there; whether the address is still here.
    fn renew(&mut self, node: &Node, stay: &Stay) -> Result<bool> {
        let every = node.config.lease.map_or(USUAL, |lease| lease / 3);
        let asked = Instant::now();
        let reason = self.what_forbids();
        // Asking may have taken its time.
        show_life(stay);
        let Some(held) = node.held()? else { return self.report_loss(node) };
        let is_over = |since: Instant| node.config.lifetime().is_some_and(|time| since.elapsed() >= time);
        if self.renewed.is_some_and(is_over) {
            log::error!("this node stood still for longer than the lease: the address is given back");
            give::give_back(node)?;
            return self.report_loss(node);
        }
        if let Some(reason) = reason {
            // The kernel lets the address go when this lasts.
            self.say(format!("the lease is not renewed: {reason}"));
            self.next_renewal = asked + EVERY;
            return Ok(true);
        }
        self.say(String::new());
        let mut address = place::find(&node.config)?.address;
        // As it is here, which may have been done by another agent.
        (address.prefix, address.index) = (held.prefix, held.index);
        // What was answered long ago is no answer any more.
        if asked.elapsed() > ANSWER + STOPPED {
            self.next_renewal = Instant::now();
            return Ok(true);
        }
        addresses::set(&address)?;
        if asked.elapsed() > ANSWER + STOPPED {
            log::error!("this process stood still: the address is given back");
            give::give_back(node)?;
            return self.report_loss(node);
        }
        self.renewed = Some(asked);
        self.next_renewal = asked + every;
        Ok(true)
    }

    /// Why the lease must not be renewed now.
    fn what_forbids(&mut self) -> Option<String> {
        if self.gone_since.is_some() {
            let is_left_alone = self.is_left_alone_on_disk();
            return (!is_left_alone).then(|| "the cluster's stack is gone".into());
        }
        let deadline = Deadline::after(ANSWER);
        let reason = match self.cluster.is_quorate(deadline) {
            Ok(true) => {
                self.was_left_alone = None;
                return None;
            }
            Ok(false) => "this part of the cluster has no quorum".to_string(),
            Err(error) => format!("{error:#}"),
        };
        // It was, and the stack is just starting again; or it still starts on the others. That only this node is in maintenance
        // says nothing: the others may be about to take the address.
        let is_left_alone = self.was_left_alone == Some(true)
            || self.cluster.view(deadline).is_ok_and(|view| view.maintenance)
            || self.cluster.ignores_quorum(deadline).unwrap_or_default();
        (!is_left_alone).then_some(reason)
    }

    /// The address is gone, and nobody has stopped it here: the cluster is told at once.
    fn report_loss(&mut self, node: &Node) -> Result<bool> {
        if !node.is_at_work() {
            return Ok(false);
        }
        log::error!("the address is gone from this node: its lease ran out, or somebody removed it");
        let deadline = Deadline::after(TURN);
        if self.gone_since.is_none() && !self.cluster.is_left_alone(deadline)? {
            self.cluster.report_failure(deadline)?;
        }
        Ok(false)
    }

    fn plan_announcement(&mut self, node: &Node) {
        let config = &node.config;
        let pause = if self.announcements > 0 { Some(config.announce_every) } else { config.refresh };
        self.next_announcement = pause.map(|pause| Instant::now() + pause);
    }

    fn announce(&mut self, node: &Node) -> Result<()> {
        if self.next_announcement.is_none_or(|next| Instant::now() < next) {
            return Ok(());
        }
        self.announcements = self.announcements.saturating_sub(1);
        self.plan_announcement(node);
        let Place { interface, address } = place::find(&node.config)?;
        match node.held()? {
            Some(_) => announce(address.ip, &interface),
            None => Ok(()),
        }
    }
}
