//! Keeping the in-sync set true while the primary acknowledges writes: who enters, who becomes a member, who is taken
//! out, and for how many acknowledgements the server waits. One small step at a time, each decided from what is seen
//! then, so that whoever takes them may die between any two.
//!
//! The order of the steps is the promise of [`InSync`]. The record is written before the effect: an instance is entered
//! before it may acknowledge, and taken out before writes go on without it. What was acknowledged before a change is
//! proven by a *note*: the position of everything in the primary's binary log, taken after the change, also of what still
//! waits there for its acknowledgement. Who has received the noted position has everything that was acknowledged before.

use std::collections::{BTreeMap, BTreeSet};

use super::record::{InSync, Instance};

/// What another instance says of itself, and what the primary sees of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer {
    /// Which life of its server this is.
    pub life: String,
    /// Its receiver acknowledges what it receives.
    pub acknowledges: bool,
    /// The number of the last note whose position it has received; 0: of none.
    pub noted: u64,
    /// Its receiver is connected to the primary.
    pub connected: bool,
}

/// What the primary sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The other instances that say something for this epoch, by node.
    pub peers: BTreeMap<String, Peer>,
    /// Nodes that have not been connected, or have said nothing, for too long.
    pub lost: BTreeSet<String>,
    /// Nodes whose receivers have ended for good, as they said themselves.
    pub left: BTreeSet<String>,
    /// Commits wait for acknowledgements, and none comes.
    pub waiting: bool,
    /// Writes have waited, or fewer than promised could acknowledge, for `semi_sync_degrade`.
    pub patience_is_over: bool,
    /// Writes have waited for longer than those take who have what they wait for, and acknowledge.
    pub is_stalled: bool,
    /// For how many acknowledgements the server waits; 0: its semi-sync is off.
    pub server: u32,
    /// For how many it has to wait in any case: 1 where writes must never go on alone.
    pub floor: u32,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write the set to the CIB, and have it confirmed.
    Write(InSync),
    /// Let the server wait for so many acknowledgements; 0: switch its semi-sync off.
    SetServer(u32),
    /// Take a new note and tell it under this number.
    Note(u64),
    /// End the connection of this node's receiver.
    Cut(String),
    /// End the connections of the clients that wait: those that must acknowledge have everything that waits, and do not say
    /// so any more. A replica says it once, for what it receives; one that lost its connection in between, or that began
    /// to acknowledge after it had received, never says it (measured on MariaDB 10.11, 11.8 and MySQL 9.7), and on MariaDB
    /// no later commit begins before. Their clients are told nothing, and the next ones go on.
    Release,
    /// There is nothing to do, or something is to be waited for.
    Rest,
}

/// What is remembered between the steps. Losing it is harmless: everything is noted anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Keeper {
    /// The number of the last note.
    note: u64,
    /// Nothing has changed since that note was taken.
    is_fresh: bool,
    /// The first note since writes began to wait.
    wait_note: Option<u64>,
    /// The instances that the note covers, each with whether it acknowledged when the note was taken.
    covered: BTreeSet<(Instance, bool)>,
    /// Those of the set that were lost and cut off, or whose life was found over, and have been lost ever since. Only a note
    /// from after that covers what they acknowledged last.
    ended: BTreeSet<Instance>,
}

impl Keeper {
    /// One that numbers its notes from here on; numbers must never be used twice in an epoch.
    pub fn new(first: u64) -> Self {
        Self { note: first, ..Self::default() }
    }

    /// Whether anything is under way, so that it is worth to look again soon.
    pub fn is_settled(&self, sync: &InSync, seen: &Seen, wanted: u32) -> bool {
        !seen.waiting && sync.joining.is_empty() && sync.acks == wanted && seen.lost.is_empty()
    }

    /// Decides the next step and remembers that it is taken; after one that failed the next is decided anew.
    pub fn next(&mut self, sync: &InSync, seen: &Seen, wanted: u32) -> Step {
        if !seen.waiting {
            self.wait_note = None;
        }
        let lost: BTreeSet<Instance> = sync.all().filter(|instance| self.is_lost(instance, seen)).cloned().collect();
        self.ended.retain(|instance| lost.contains(instance));
        let step = self.decide(sync, seen, wanted);
        match &step {
            Step::Note(number) => {
                self.note = *number;
                self.is_fresh = true;
                self.wait_note = self.wait_note.or(seen.waiting.then_some(*number));
                self.covered = peers(seen).map(|(instance, peer)| (instance, peer.acknowledges)).collect();
                self.ended.extend(lost.into_iter().filter(|instance| is_over(instance, seen)));
            }
            Step::SetServer(_) => self.is_fresh = false,
            Step::Cut(node) => {
                self.is_fresh = false;
                self.ended.extend(lost.into_iter().filter(|instance| instance.node == *node));
            }
            Step::Release => self.wait_note = None,
            // What those that go have acknowledged alone is not covered by a note from before, and no more is promised by it.
            Step::Write(next) => self.is_fresh &= next.acks >= sync.acks && sync.all().all(|one| next.has(one)),
            Step::Rest => {}
        }
        step
    }

    fn decide(&self, sync: &InSync, seen: &Seen, wanted: u32) -> Step {
        if seen.server < sync.acks {
            // Somebody switched it off: what was acknowledged since is perhaps nowhere else. All have to prove
            // themselves again.
            return Step::Write(InSync { acks: 0, members: BTreeSet::new(), joining: sync.all().cloned().collect() });
        }
        if let Some(node) = self.trespasser(sync, seen) {
            return Step::Cut(node);
        }
        let rest: BTreeSet<&Instance> = sync.all().filter(|instance| !self.is_lost(instance, seen)).collect();
        let able = rest.iter().filter(|instance| acknowledges(instance, seen)).count() as u32;
        if let Some(step) = self.take_out(sync, seen, &rest, able) {
            return step;
        }
        let needed = wanted.min(able).max(sync.acks).max(seen.floor);
        if seen.server != needed && (able >= needed || needed < seen.server || needed == seen.floor) {
            return Step::SetServer(needed);
        }
        if let Some(step) = self.let_in(sync, seen, wanted) {
            return step;
        }
        if self.needs_note(sync, seen, wanted) {
            return Step::Note(self.note + 1);
        }
        if self.is_unsaid(sync, seen) { Step::Release } else { Step::Rest }
    }

    /// Whether enough have received what waits, and nobody acknowledges it.
    fn is_unsaid(&self, sync: &InSync, seen: &Seen) -> bool {
        let has_all = |instance: &&Instance| {
            acknowledges(instance, seen)
                && peer_of(instance, seen).zip(self.wait_note).is_some_and(|(peer, note)| peer.noted >= note)
        };
        let holders = sync.all().filter(has_all).count() as u32;
        seen.is_stalled && seen.server > 0 && holders >= seen.server
    }

    /// A node whose receiver acknowledges without being in the set, or one to be taken out that is still connected: its
    /// acknowledgements would count.
    fn trespasser(&self, sync: &InSync, seen: &Seen) -> Option<String> {
        let outside = peers(seen).filter(|(instance, peer)| peer.acknowledges && !sync.has(instance));
        let lost = peers(seen).filter(|(instance, _)| sync.has(instance) && self.is_lost(instance, seen));
        outside.chain(lost).find(|(_, peer)| peer.connected).map(|(instance, _)| instance.node)
    }

    fn is_lost(&self, instance: &Instance, seen: &Seen) -> bool {
        let Some(peer) = peer_of(instance, seen) else {
            // Silent, or in another life: that one has nothing to do with what this one received.
            let has_left = seen.left.contains(&instance.node);
            return has_left || seen.lost.contains(&instance.node) || seen.peers.contains_key(&instance.node);
        };
        let is_stuck = seen.patience_is_over && self.wait_note.is_some_and(|note| peer.noted < note);
        seen.lost.contains(&instance.node) || is_stuck
    }

    /// Takes out who is lost: at once where enough others acknowledge, else when patience is over.
    fn take_out(&self, sync: &InSync, seen: &Seen, rest: &BTreeSet<&Instance>, able: u32) -> Option<Step> {
        let is_whole = rest.len() == sync.members.len() + sync.joining.len();
        // Nobody waits for one that said good-bye.
        let have_left = sync.all().filter(|one| !rest.contains(one)).all(|one| seen.left.contains(&one.node));
        let is_agreed = have_left && rest.iter().all(|instance| acknowledges(instance, seen));
        let is_time = seen.patience_is_over || is_agreed;
        if able < sync.acks && !is_time {
            return self.replace(sync, seen, rest);
        }
        if is_whole && able >= sync.acks {
            return None;
        }
        let acks = able.min(sync.acks);
        let stay = |set: &BTreeSet<Instance>| set.iter().filter(|one| rest.contains(one)).cloned().collect();
        if acks == 0 {
            // It goes on alone: from now on nobody has everything.
            let joining = rest.iter().map(|instance| (*instance).clone()).collect();
            return Some(Step::Write(InSync { acks: 0, members: BTreeSet::new(), joining }));
        }
        let mut unended = sync.all().filter(|one| !rest.contains(one) && !self.ended.contains(one)).peekable();
        let is_ended = unended.peek().is_none();
        // Also one that is not connected: it could come back for a moment, acknowledge, and be lost again.
        if let Some(instance) = unended.find(|instance| !is_over(instance, seen)) {
            return Some(Step::Cut(instance.node.clone()));
        }
        if !self.is_fresh || !is_ended {
            return Some(Step::Note(self.note + 1));
        }
        let proven = rest.iter().filter(|instance| self.has_note(instance, seen)).count() as u32;
        (proven >= acks)
            .then(|| Step::Write(InSync { acks, members: stay(&sync.members), joining: stay(&sync.joining) }))
    }

    /// Puts new lives of lost instances into their places: they have everything, and nobody needs to wait for the old ones,
    /// which are over.
    fn replace(&self, sync: &InSync, seen: &Seen, rest: &BTreeSet<&Instance>) -> Option<Step> {
        let is_ended = sync.all().all(|instance| rest.contains(instance) || self.ended.contains(instance));
        if !self.is_fresh || !is_ended {
            return None;
        }
        let is_new_life = |(instance, peer): &(Instance, &Peer)| {
            self.asks(instance, peer) && sync.all().any(|one| one.node == instance.node && one.life != instance.life)
        };
        let new: BTreeSet<Instance> = peers(seen).filter(is_new_life).map(|(instance, _)| instance).collect();
        let proven = rest.iter().filter(|instance| self.has_note(instance, seen)).count() + new.len();
        if new.is_empty() || (proven as u32) < sync.acks {
            return None;
        }
        let stay = |set: &BTreeSet<Instance>| set.iter().filter(|one| rest.contains(one)).cloned().collect();
        let mut next = InSync { acks: sync.acks, members: stay(&sync.members), joining: stay(&sync.joining) };
        next.joining.extend(new);
        Some(Step::Write(next))
    }

    /// Whether this one, which does not acknowledge, has everything and may be entered.
    fn asks(&self, instance: &Instance, peer: &Peer) -> bool {
        peer.connected
            && !peer.acknowledges
            && peer.noted >= self.note
            && self.covered.contains(&(instance.clone(), false))
    }

    /// Makes members of those that have everything, promises more acknowledgements, and enters those that ask.
    fn let_in(&self, sync: &InSync, seen: &Seen, wanted: u32) -> Option<Step> {
        let mut next = sync.clone();
        let is_ready = |instance: &&Instance| {
            acknowledges(instance, seen)
                && self.has_note(instance, seen)
                && self.covered.contains(&((*instance).clone(), true))
        };
        if self.is_fresh {
            let ready: Vec<Instance> = sync.joining.iter().filter(is_ready).cloned().collect();
            for instance in ready {
                next.joining.remove(&instance);
                next.members.insert(instance);
            }
            let proven = sync.all().filter(|instance| self.has_note(instance, seen)).count() as u32;
            next.acks = sync.acks.max(proven.min(wanted).min(seen.server));
        }
        let asking = peers(seen)
            .filter(|(instance, peer)| self.asks(instance, peer) && !sync.all().any(|one| one.node == instance.node));
        next.joining.extend(asking.map(|(instance, _)| instance));
        (next != *sync).then_some(Step::Write(next))
    }

    /// Whether somebody waits for a position that covers it.
    fn needs_note(&self, sync: &InSync, seen: &Seen, wanted: u32) -> bool {
        let is_covered = |instance: &Instance, acknowledges| self.covered.contains(&(instance.clone(), acknowledges));
        let is_asked = peers(seen).any(|(instance, peer)| {
            peer.connected && (!sync.members.contains(&instance)) && !is_covered(&instance, peer.acknowledges)
        });
        let can_promise_more = sync.acks < wanted.min(seen.server);
        let is_open = !self.is_fresh && (!sync.joining.is_empty() || can_promise_more);
        is_asked || is_open || (seen.waiting && self.wait_note.is_none())
    }

    fn has_note(&self, instance: &Instance, seen: &Seen) -> bool {
        peer_of(instance, seen).is_some_and(|peer| peer.noted >= self.note)
    }
}

/// The peers with the instances that they are.
fn peers(seen: &Seen) -> impl Iterator<Item = (Instance, &Peer)> {
    seen.peers.iter().map(|(node, peer)| (Instance { node: node.clone(), life: peer.life.clone() }, peer))
}

/// What this very life of an instance says.
fn peer_of<'a>(instance: &Instance, seen: &'a Seen) -> Option<&'a Peer> {
    seen.peers.get(&instance.node).filter(|peer| peer.life == instance.life)
}

/// Whether its node speaks in another life.
fn is_over(instance: &Instance, seen: &Seen) -> bool {
    seen.peers.get(&instance.node).is_some_and(|peer| peer.life != instance.life)
}

/// Whether its acknowledgements arrive.
fn acknowledges(instance: &Instance, seen: &Seen) -> bool {
    peer_of(instance, seen).is_some_and(|peer| peer.connected && peer.acknowledges)
}

#[cfg(test)]
#[path = "insync_tests.rs"]
mod tests;
