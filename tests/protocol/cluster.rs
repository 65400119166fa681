//! What the cluster does for the agents: membership and quorum, private attributes, and the CIB, whose copies go apart in
//! a partition and of which the one that was written most often wins when it heals.

use crate::mistakes::Mistake;
use crate::state::{Action, CibWrite, Id, Said, State, Told, Writer};
use crate::steps::World;
use crate::words::{Word, place};

impl State {
    fn is_cut_off(side: Option<u8>, a: Id, b: Id) -> bool {
        a != b && side.is_some_and(|cut| cut as Id == a || cut as Id == b)
    }

    /// Whether messages of the cluster pass.
    pub fn is_reached(&self, a: Id, b: Id) -> bool {
        self.nodes[a].is_on && self.nodes[b].is_on && !Self::is_cut_off(self.net.cluster, a, b)
    }

    /// Whether servers reach each other.
    pub fn is_connectable(&self, a: Id, b: Id) -> bool {
        self.nodes[a].is_on && self.nodes[b].is_on && !Self::is_cut_off(self.net.data, a, b)
    }

    /// Whether `a` has noticed what the cluster's network is like now.
    pub fn has_noticed(&self, a: Id) -> bool {
        match self.net.cluster {
            None => true,
            Some(cut) if cut as Id == a => self.net.is_noticed_there,
            Some(_) => self.net.is_noticed_here,
        }
    }

    /// Whether `b` is a member of the cluster as `a` sees it.
    pub fn sees(&self, a: Id, b: Id) -> bool {
        self.nodes[a].is_on && self.nodes[b].is_on && (self.is_reached(a, b) || !self.has_noticed(a))
    }

    pub fn is_quorate(&self, world: &World, a: Id) -> bool {
        let members = world.ids().filter(|b| self.sees(a, *b)).count();
        if world.setup.nodes == 2 { self.nodes[a].has_met } else { members * 2 > world.setup.nodes }
    }

    /// Whether this part of the cluster may act: with quorum, and everybody else fenced where it fences.
    pub fn may_act(&self, world: &World, a: Id) -> bool {
        let is_safe = |b: Id| self.sees(a, b) || self.nodes[b].is_gone || !world.setup.fences;
        self.has_noticed(a) && self.is_quorate(world, a) && world.ids().all(is_safe)
    }

    /// The instance that is promoted, as Pacemaker shows it to `a`: of two the one on record, if it is among them.
    pub fn promoted(&self, world: &World, a: Id) -> Option<Id> {
        let mut all = world.ids().filter(|b| *b != a && self.sees(a, *b) && self.nodes[*b].agent.is_promoted);
        let is_on_record = |b: &Id| world.is_open_record_of(self.nodes[a].cib, *b);
        all.clone().find(is_on_record).or_else(|| all.next())
    }

    pub fn say(&mut self, world: &World, from: Id, said: Said, is_late: bool) {
        self.nodes[from].agent.said = said;
        if !is_late {
            self.deliver(world, from);
        }
    }

    pub fn tell(&mut self, world: &World, from: Id, told: Told) {
        self.nodes[from].agent.told = Some(told);
        self.deliver(world, from);
    }

    /// What a node has told reaches the others.
    pub fn deliver(&mut self, world: &World, from: Id) {
        for to in world.ids().filter(|to| *to != from) {
            if self.is_reached(from, to) {
                self.nodes[to].agent.hears[from] = self.nodes[from].agent.said;
                self.nodes[to].agent.hears_told[from] = self.nodes[from].agent.told;
            }
        }
    }

    /// Whether something that a node has told is still on its way.
    pub fn is_late(&self, world: &World, from: Id) -> bool {
        let agent = &self.nodes[from].agent;
        world.ids().any(|to| {
            let other = &self.nodes[to].agent;
            to != from
                && self.is_reached(from, to)
                && (other.hears[from] != agent.said || other.hears_told[from] != agent.told)
        })
    }

    /// The values of those that left the cluster are dropped.
    pub fn forget_absent(&mut self, world: &World) {
        for (to, from) in world.ids().flat_map(|to| world.ids().map(move |from| (to, from))) {
            if to != from && !self.sees(to, from) {
                self.nodes[to].agent.hears[from] = Said::Nothing;
                self.nodes[to].agent.hears_told[from] = None;
            }
        }
    }

    /// Those that can reach each other have the same CIB again: the copy of the highest rank that was written most often
    /// wins, among equals that of the majority, or the other one.
    pub fn merge_cib(&mut self, world: &World, does_other_win: Option<Id>) {
        let on: Vec<Id> = world.ids().filter(|id| self.nodes[*id].is_on).collect();
        for one in &on {
            let group: Vec<Id> = on.iter().copied().filter(|other| self.is_reached(*one, *other)).collect();
            let version = |id: &Id| (self.nodes[*id].rank, self.nodes[*id].version);
            let Some(highest) = group.iter().map(version).max() else { continue };
            let mut best: Vec<Id> = group.iter().copied().filter(|id| version(id) == highest).collect();
            best.sort_by_key(|id| {
                (does_other_win != Some(*id), does_other_win.is_none() && self.has_own_cib(&group, *id))
            });
            let winner = self.nodes[best[0]];
            for id in group {
                self.nodes[id].cib = winner.cib;
                self.nodes[id].version = winner.version;
                self.nodes[id].rank = winner.rank;
            }
        }
    }

    /// A promotion that took place is marked as such in the CIB, so that no copy without it ever wins.
    pub fn outrank(&mut self, world: &World, id: Id) {
        if world.setup.makes(Mistake::ClaimDoesNotOutrank) {
            return;
        }
        let rank = self.nodes[id].agent.opened;
        for other in world.ids().filter(|other| self.is_reached(id, *other)).collect::<Vec<_>>() {
            self.nodes[other].rank = rank;
        }
    }

    fn has_own_cib(&self, group: &[Id], id: Id) -> bool {
        group.iter().filter(|other| self.nodes[**other].cib == self.nodes[id].cib).count() == 1
    }

    /// Begins to write a record, and goes on at once unless it is slow.
    pub fn write_cib(&mut self, world: &mut World, id: Id, write: CibWrite, is_slow: bool) {
        // A part of the cluster that was just cut off takes what the others never see, and its copy may win later.
        let is_asked = !world.setup.makes(Mistake::WritesWithoutAsking);
        // The last position of a primary that is closed is true wherever it is read: nobody is asked before it is left.
        let is_asked = is_asked && write.by != Writer::Demotion;
        if !self.is_quorate(world, id) || is_asked && !self.is_confirmed(world, id, self.nodes[id].cib) {
            return self.fail_write(id, write.by);
        }
        self.nodes[id].agent.write = Some(write);
        if !is_slow {
            self.apply_write(world, id);
            self.end_write(world, id);
        }
    }

    /// The write is carried out by the cluster, as far as it is reached from this node.
    pub fn apply_write(&mut self, world: &World, id: Id) {
        let Some(write) = self.nodes[id].agent.write.as_mut() else { return };
        write.is_applied = true;
        let write = *write;
        let found = self.nodes[id].cib;
        let is_same_epoch = world.words.epoch(found) == world.words.epoch(write.over);
        let is_right = found == write.over
            || world.setup.makes(Mistake::UnconditionalWrite)
            || world.setup.makes(Mistake::ConditionOnEpochOnly) && is_same_epoch;
        if !is_right {
            return;
        }
        let version = self.nodes[id].version + 1;
        for other in world.ids().filter(|other| self.is_reached(id, *other) || *other == id).collect::<Vec<_>>() {
            self.nodes[other].cib = write.record;
            self.nodes[other].version = version;
        }
    }

    /// Who wrote it looks whether a majority has it.
    pub fn end_write(&mut self, world: &mut World, id: Id) {
        let Some(write) = self.nodes[id].agent.write.take() else { return };
        let is_taken = world.setup.makes(Mistake::UnconfirmedTaken) && self.nodes[id].cib == write.record;
        if is_taken || self.is_confirmed(world, id, write.record) {
            self.finish_write(world, id, write);
        } else {
            self.fail_write(id, write.by);
        }
    }

    /// Whether a majority of the nodes that are not gone have this record, and this one is in the quorate part.
    pub fn is_confirmed(&self, world: &World, id: Id, record: Word) -> bool {
        let gone = world.ids().filter(|other| self.nodes[*other].is_gone).count();
        let majority = (world.setup.nodes - gone) / 2 + 1;
        let has = |other: &Id| self.is_reached(id, *other) && self.sees(id, *other) && self.nodes[*other].cib == record;
        self.is_quorate(world, id) && world.ids().filter(has).count() >= majority
    }

    fn finish_write(&mut self, world: &mut World, id: Id, write: CibWrite) {
        if world.words.epoch(write.record) >= world.words.epoch(self.ghost.confirmed) {
            self.ghost.confirmed = write.record;
        }
        match write.by {
            Writer::Guard => {
                self.nodes[id].agent.record = Some(write.record);
                self.bar_outsiders(world, id, write.record);
                self.call(world, id, false);
            }
            Writer::Promotion if self.nodes[id].agent.action == Action::Claiming => {
                self.nodes[id].agent.action = Action::Claimed { record: write.record };
                self.bar_outsiders(world, id, write.record);
            }
            Writer::Demotion if self.nodes[id].agent.action == Action::Closed => {
                self.nodes[id].agent.action = Action::None;
            }
            Writer::Promotion | Writer::Demotion => {}
        }
    }

    /// The accounts of those that are not in the set (any more) are locked, and their connections ended; those of the set
    /// are unlocked.
    pub fn bar_outsiders(&mut self, world: &World, id: Id, record: Word) {
        let Some(record) = world.words.record(record) else { return };
        let set: Vec<(Id, u8)> = record.sync.iter().flat_map(|sync| sync.all()).map(place).collect();
        for other in world.ids().filter(|other| *other != id) {
            if set.contains(&(other, self.nodes[other].server.life)) {
                self.nodes[id].agent.barred &= !(1 << other);
            } else if world.locks() {
                self.nodes[id].agent.barred |= 1 << other;
                let server = &mut self.nodes[other].server;
                if server.source == Some(id as u8) && server.acknowledges {
                    server.disconnect();
                }
            }
        }
    }

    fn fail_write(&mut self, id: Id, by: Writer) {
        let agent = &mut self.nodes[id].agent;
        agent.write = None;
        match by {
            Writer::Guard => {
                agent.record = None;
                agent.keeper = None;
            }
            Writer::Promotion | Writer::Demotion => agent.action = Action::None,
        }
    }
}
