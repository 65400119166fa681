//! The guards: what `guard/primary.rs` and `guard/replica.rs` do with the product's decisions.

use crate::mistakes::Mistake;
use crate::setup::Hitch;
use crate::state::{Action, CibWrite, Id, Keeping, Receiver, Said, State, Writer};
use crate::steps::World;
use crate::words::{Look, SeenPeer, Word, place};

/// What the clock says to the primary's guard, which may be anything that its looks allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Of those that are missing, these have been for too long.
    pub lost: u8,
    pub is_waiting: bool,
    pub is_patience_over: bool,
}

impl State {
    /// One step of the primary's guard.
    pub fn guard_primary(&mut self, world: &mut World, at: Id, clock: Clock, hitch: Option<Hitch>) -> Option<()> {
        let agent = &self.nodes[at].agent;
        if !self.is_free(at) || !agent.is_marked {
            return None;
        }
        let record = match agent.record {
            Some(record) => record,
            None => {
                if self.is_superseded(world, at) && !world.setup.makes(Mistake::OldPrimaryStays) {
                    self.close(world, at);
                    return Some(());
                }
                let record = self.read_own_record(world, at)?;
                self.bar_outsiders(world, at, record);
                record
            }
        };
        self.nodes[at].agent.record = Some(record);
        if self.hears_newer(world, at, record) && !world.setup.makes(Mistake::DeafToNewerPromotion) {
            self.close(world, at);
            return Some(());
        }
        let look = self.look(world, at, record, clock)?;
        self.unbar(world, at, record);
        let first = self.ghost.notes.max(look.peers.iter().flatten().map(|peer| peer.noted).max().unwrap_or(0));
        let keeper = self.nodes[at].agent.keeper.unwrap_or_else(|| world.words.new_keeper(first));
        let (step, keeper) = world.words.keep(keeper, record, look, world.setup.wanted);
        self.nodes[at].agent.keeper = Some(keeper);
        if hitch == Some(Hitch::Hesitation) {
            self.nodes[at].agent.intent = Some(step);
            return (step != Keeping::Rest).then_some(());
        }
        self.carry_out(world, at, step, hitch);
        Some(())
    }

    /// Whether another node was promoted after this one.
    fn hears_newer(&self, world: &World, at: Id, record: Word) -> bool {
        self.newest_call(world, at).is_some_and(|(epoch, ..)| epoch > world.words.epoch(record))
    }

    /// Whether the record names another primary: one that was promoted after this one.
    fn is_superseded(&mut self, world: &World, at: Id) -> bool {
        let record = self.own_record(world, at).and_then(|record| world.words.record(record));
        record.is_some_and(|record| record.primary != crate::words::node_name(at))
    }

    /// Whether nothing else has the turn on this node.
    pub fn is_free(&self, at: Id) -> bool {
        let node = &self.nodes[at];
        let agent = &node.agent;
        node.server.is_up && agent.action == Action::None && agent.write.is_none() && agent.intent.is_none()
    }

    /// The record in the own copy of the CIB, if the data have not seen a newer one.
    pub fn own_record(&mut self, world: &World, at: Id) -> Option<Word> {
        let record = self.nodes[at].cib;
        let epoch = world.words.epoch(record);
        if world.setup.makes(Mistake::EpochForgotten) {
            return Some(record);
        }
        if epoch < self.nodes[at].agent.seen_epoch {
            return None;
        }
        self.nodes[at].agent.seen_epoch = epoch;
        Some(record)
    }

    /// The record of this primary's promotion.
    fn read_own_record(&mut self, world: &World, at: Id) -> Option<Word> {
        let record = self.own_record(world, at)?;
        let is_mine = world.is_open_record_of(record, at);
        let is_confirmed = self.is_confirmed(world, at, record);
        if is_mine && is_confirmed {
            self.ghost.confirmed = record;
        }
        (is_mine && (is_confirmed || world.setup.makes(Mistake::OwnCopyBelieved))).then_some(record)
    }

    /// The record is read again; one that has gone back in time is written again.
    pub fn read_again(&mut self, world: &mut World, at: Id) -> Option<()> {
        let agent = &self.nodes[at].agent;
        let mine = agent.record?;
        if !self.is_free(at) || !agent.is_marked || self.nodes[at].cib == mine {
            return None;
        }
        let epoch = world.words.epoch(mine);
        let over = self.nodes[at].cib;
        if world.words.epoch(over) < agent.seen_epoch && agent.seen_epoch == epoch {
            let write = CibWrite { record: mine, over, by: Writer::Guard, is_applied: false };
            let keeper = agent.keeper;
            self.write_cib(world, at, write, false);
            self.nodes[at].agent.keeper = keeper;
            return Some(());
        }
        self.nodes[at].agent.record = self.read_own_record(world, at);
        Some(())
    }

    /// The nodes of the set from which nobody is connected.
    pub fn missing(&self, world: &World, at: Id, record: Word) -> u8 {
        let Some(record) = world.words.record(record) else { return 0 };
        let set = record.sync.iter().flat_map(|sync| sync.all()).map(|one| place(one).0);
        let is_there = |id: Id| {
            matches!(self.nodes[at].agent.hears[id], Said::Answer { epoch, .. } if u64::from(epoch) == record.epoch)
                && self.is_connected_to(id, at)
        };
        set.filter(|id| !is_there(*id)).fold(0, |mask, id| mask | 1 << id)
    }

    pub fn is_connected_to(&self, id: Id, source: Id) -> bool {
        let server = &self.nodes[id].server;
        server.receiver == Receiver::Running && server.source == Some(source as u8)
    }

    /// Whether commits wait for acknowledgements that are not there.
    pub fn is_waiting(&self, at: Id) -> bool {
        let server = &self.nodes[at].server;
        server.is_open && server.done < server.log.len() && !server.can_acknowledge()
    }

    /// Whether fewer than promised could acknowledge, as the guard measures it.
    pub fn is_short(&self, world: &World, at: Id, record: Word) -> bool {
        let Some(sync) = world.words.record(record).and_then(|record| record.sync.as_ref()) else { return false };
        let able = sync.all().map(place).filter(|(id, life)| {
            matches!(self.nodes[at].agent.hears[*id], Said::Answer { life: said, is_on: true, .. } if said == *life)
                && self.is_connected_to(*id, at)
        });
        able.count() < sync.acks as usize
    }

    fn look(&self, world: &World, at: Id, record: Word, clock: Clock) -> Option<Look> {
        let missing = self.missing(world, at, record);
        let is_waiting = self.is_waiting(at);
        let may_be_over = is_waiting && clock.is_waiting || self.is_short(world, at, record);
        if clock.lost & !missing != 0 || clock.is_waiting && !is_waiting || clock.is_patience_over && !may_be_over {
            return None;
        }
        let of = world.words.epoch(record);
        let peer = |id: Id| match self.nodes[at].agent.hears[id] {
            Said::Answer { epoch, life, is_on, noted } if epoch == of && id != at => {
                let is_connected = self.is_connected_to(id, at);
                Some(SeenPeer { life, is_on, noted, is_connected })
            }
            _ => None,
        };
        Some(Look {
            peers: std::array::from_fn(peer),
            lost: clock.lost,
            is_waiting: clock.is_waiting,
            is_patience_over: clock.is_patience_over,
            server: self.nodes[at].server.count,
        })
    }

    /// An account is unlocked when its replica says that it does not acknowledge.
    fn unbar(&mut self, world: &World, at: Id, record: Word) {
        let Some(sync) = world.words.record(record).and_then(|record| record.sync.clone()) else { return };
        for (id, _) in sync.all().map(place) {
            if matches!(self.nodes[at].agent.hears[id], Said::Answer { is_on: false, .. })
                && self.is_connected_to(id, at)
            {
                self.nodes[at].agent.barred &= !(1 << id);
            }
        }
    }

    pub fn carry_out(&mut self, world: &mut World, at: Id, step: Keeping, hitch: Option<Hitch>) {
        let is_late = hitch == Some(Hitch::SlowTelling);
        match step {
            Keeping::Write(record) => {
                if world.setup.makes(Mistake::EffectBeforeCib) {
                    let acks = world.words.record(record).and_then(|record| record.sync.as_ref()).map(|sync| sync.acks);
                    self.nodes[at].server.set_count(acks.unwrap_or(0) as u8);
                }
                let over = self.nodes[at].agent.record.unwrap_or_default();
                let write = CibWrite { record, over, by: Writer::Guard, is_applied: false };
                return self.write_cib(world, at, write, hitch == Some(Hitch::SlowCib));
            }
            Keeping::SetServer(count) => {
                let less = u8::from(world.setup.makes(Mistake::ServerWaitsForLess));
                self.nodes[at].server.set_count(count.saturating_sub(less));
            }
            Keeping::Note(number) => {
                let is_kept = world.setup.makes(Mistake::TakeOutByOldNote) && self.is_anybody_missing(world, at);
                let position = match is_kept {
                    true => self.nodes[at].agent.note_position,
                    false => world.flushed(self, at),
                };
                self.nodes[at].agent.note = number;
                self.nodes[at].agent.note_position = position;
                self.ghost.notes = self.ghost.notes.max(number);
            }
            Keeping::Cut(id) => self.cut(world, at, id as Id),
            // The clients that wait are ended: they are told nothing, and what waits is committed.
            Keeping::Release => self.nodes[at].server.done = self.nodes[at].server.log.len(),
            Keeping::Acknowledge | Keeping::Rest => {}
        }
        self.call(world, at, is_late);
    }

    fn is_anybody_missing(&self, world: &World, at: Id) -> bool {
        self.nodes[at].agent.record.is_some_and(|record| self.missing(world, at, record) != 0)
    }

    fn cut(&mut self, world: &World, at: Id, id: Id) {
        if world.setup.makes(Mistake::TakeOutBeforeCut) {
            // What is seen of it from now on is what would be seen if it had been cut.
            self.nodes[at].agent.hears[id] = Said::Nothing;
            return;
        }
        if self.is_connected_to(id, at) {
            self.nodes[id].server.disconnect();
        }
        if world.locks() {
            self.nodes[at].agent.barred |= 1 << id;
        }
    }

    /// The primary tells its set and its note.
    pub fn call(&mut self, world: &World, at: Id, is_late: bool) {
        let agent = &self.nodes[at].agent;
        let Some(record) = agent.record else { return };
        let epoch = world.words.epoch(record);
        let said = Said::Call { epoch, record, note: agent.note, position: agent.note_position };
        if said != agent.said {
            self.say(world, at, said, is_late);
        }
    }

    /// One turn of a replica's guard.
    pub fn guard_replica(&mut self, world: &mut World, at: Id, hitch: Option<Hitch>) -> Option<()> {
        let node = &self.nodes[at];
        if !self.is_free(at) || node.agent.is_marked || node.server.receiver == Receiver::Stopped {
            return None;
        }
        let (epoch, from, record, note, position) = self.newest_call(world, at)?;
        if epoch < node.agent.seen_epoch {
            return None;
        }
        let life = node.server.life;
        let is_followed = node.server.source == Some(from as u8) || world.setup.makes(Mistake::AcknowledgesToAnother);
        // A source that has locked its account lets it connect only without acknowledging.
        let is_locked_out = world.locks() && self.nodes[from].agent.barred & 1 << at != 0;
        let may = is_followed && !is_locked_out && world.words.may_acknowledge(at, life, record, note, position);
        if may && !node.server.acknowledges && hitch == Some(Hitch::Hesitation) {
            self.nodes[at].agent.intent = Some(Keeping::Acknowledge);
            return Some(());
        }
        self.nodes[at].server.acknowledges = may;
        let has = world.received(self, at);
        let noted = world.words.noted(has, record, note, position, self.nodes[at].agent.noted);
        self.nodes[at].agent.noted = noted;
        let is_running = self.nodes[at].server.receiver == Receiver::Running;
        let said = Said::Answer { epoch, life, is_on: may && is_running, noted };
        if is_running && said != self.nodes[at].agent.said {
            self.say(world, at, said, hitch == Some(Hitch::SlowTelling));
        }
        Some(())
    }

    fn newest_call(&self, world: &World, at: Id) -> Option<(u8, Id, Word, u16, Word)> {
        let calls = world.ids().filter_map(|from| match self.nodes[at].agent.hears[from] {
            Said::Call { epoch, record, note, position } if from != at => Some((epoch, from, record, note, position)),
            _ => None,
        });
        calls.max_by_key(|call| call.0)
    }

    /// A guard does what it had decided: a receiver that was stopped meanwhile is started again, as `restart_receiver` does.
    pub fn carry_out_intent(&mut self, world: &mut World, at: Id) -> Option<()> {
        let intent = self.nodes[at].agent.intent.take()?;
        if intent == Keeping::Acknowledge {
            let server = &mut self.nodes[at].server;
            server.acknowledges = true;
            if server.receiver == Receiver::Stopped {
                server.receiver = Receiver::Connecting;
            }
        } else {
            self.carry_out(world, at, intent, None);
        }
        Some(())
    }
}

impl World {
    /// Whether this is the record of an open promotion of this node.
    pub fn is_open_record_of(&self, record: Word, id: Id) -> bool {
        self.words.record(record).is_some_and(|record| {
            record.primary == crate::words::node_name(id)
                && record.state == rustha::agents::mysql::decide::record::State::Open
        })
    }
}
