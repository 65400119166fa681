//! Promotion and demotion as Pacemaker plays them: one at a time in a part of the cluster that may act, the notifications
//! before, the action in steps between which it can die, and the reviews after.

use rustha::agents::mysql::decide::record::{Record, State as Progress};

use crate::mistakes::Mistake;
use crate::setup::Hitch;
use crate::state::{Action, Broken, CibWrite, Id, Receiver, State, Told, Writer};
use crate::steps::World;
use crate::words::{Elected, NOTHING, Other, Word, node_name};

impl State {
    /// Pacemaker begins to promote an instance. Any that runs, whatever its score: that promote refuses what is wrong does
    /// not rest on the scores.
    pub fn begin_promotion(&mut self, world: &World, at: Id) -> Option<()> {
        if !self.nodes[at].server.is_up || !self.may_act(world, at) {
            return None;
        }
        let is_busy = |id: Id| {
            let agent = &self.nodes[id].agent;
            self.sees(at, id) && (agent.is_promoted || agent.is_marked || agent.action != Action::None)
        };
        if world.ids().any(is_busy) {
            return None;
        }
        let others = world.ids().filter(|id| *id != at && self.sees(at, *id));
        let left = others.fold(0, |mask, id| mask | 1 << id);
        self.nodes[at].agent.action = Action::Notifying { left };
        Some(())
    }

    /// Who is to be promoted and has `by` still on its list.
    fn promotion_to_notify(&self, world: &World, by: Id) -> Option<Id> {
        world.ids().find(|id| matches!(self.nodes[*id].agent.action, Action::Notifying { left } if left & 1 << by != 0))
    }

    /// The pre-promote notification on a survivor.
    pub fn seal(&mut self, world: &mut World, by: Id, is_missed: bool) -> Option<()> {
        let promoted = self.promotion_to_notify(world, by)?;
        // Its guard is in the middle of a turn.
        let is_its_turn = self.nodes[by].agent.intent.is_none() || world.setup.makes(Mistake::SealsWithoutTurn);
        let is_reached = self.is_reached(promoted, by);
        if is_reached && !is_its_turn && !is_missed {
            return None;
        }
        if let Action::Notifying { left } = &mut self.nodes[promoted].agent.action {
            *left &= !(1 << by);
        }
        if is_reached && !is_missed && !self.nodes[by].agent.is_marked {
            self.tell_sealed(world, by);
        }
        Some(())
    }

    /// `tell_survivors_position`.
    fn tell_sealed(&mut self, world: &mut World, by: Id) {
        let Some(record) = self.own_record(world, by) else { return };
        let epoch = world.words.epoch(record) + 1;
        if !self.nodes[by].server.is_up {
            return self.tell(world, by, Told { epoch, is_sealed: true, life: 0, has: None });
        }
        if world.setup.makes(Mistake::NoSeal) {
            self.nodes[by].server.applied = self.nodes[by].server.log.len();
        } else {
            self.nodes[by].server.seal();
        }
        let told = self.position_for(world, by, epoch, true, record);
        self.tell(world, by, told);
    }

    /// What it has, or that it takes no part.
    fn position_for(&self, world: &mut World, by: Id, epoch: u8, is_sealed: bool, record: Word) -> Told {
        let has = world.received(self, by);
        let is_errant = world.words.is_errant(has, record);
        Told { epoch, is_sealed, life: self.nodes[by].server.life, has: (!is_errant).then_some(has) }
    }

    /// `gather_everything`: seals itself, hears the survivors, fetches, and is ready or fails.
    pub fn gather(&mut self, world: &mut World, at: Id) -> Option<()> {
        if self.nodes[at].agent.action != (Action::Notifying { left: 0 }) || self.nodes[at].agent.intent.is_some() {
            return None;
        }
        // What was told before the notifications were answered has arrived: one order for all that the cluster sends.
        world.ids().for_each(|id| self.deliver(world, id));
        self.nodes[at].agent.action = match self.try_gather(world, at) {
            Some((record, over)) => Action::Ready { record, over },
            None => Action::None,
        };
        Some(())
    }

    fn try_gather(&mut self, world: &mut World, at: Id) -> Option<(Word, Word)> {
        if !self.is_quorate(world, at) {
            return None;
        }
        self.nodes[at].server.seal();
        let record = self.own_record(world, at)?;
        let epoch = world.words.epoch(record) + 1;
        let has = world.received(self, at);
        if world.words.is_errant(has, record) {
            return None;
        }
        let mut all = self.survivors(world, at, epoch);
        for _ in 0..2 * world.setup.nodes {
            let has = world.received(self, at);
            all[at] = Some(Other { id: at, life: self.nodes[at].server.life, has: Some(has) });
            match world.words.elect(record, at, all) {
                Elected::Promote => return Some((self.claim_of(world, at, record, all, has), record)),
                Elected::FetchFrom(from) => self.fetch(world, at, from, all[from]?.has?)?,
                Elected::Refused => return None,
            }
        }
        None
    }

    /// Who told a sealed position for this epoch.
    fn survivors(&self, world: &World, at: Id, epoch: u8) -> [Option<Other>; crate::state::MOST] {
        std::array::from_fn(|id| {
            let told = self.nodes[at].agent.hears_told[id].filter(|_| id != at && self.sees(at, id))?;
            let is_current = told.epoch == epoch || world.setup.makes(Mistake::StaleSealBelieved);
            (told.is_sealed && is_current).then_some(Other { id, life: told.life, has: told.has })
        })
    }

    /// Ordinary replication from a survivor, without acknowledging.
    fn fetch(&mut self, world: &mut World, at: Id, from: Id, wanted: Word) -> Option<()> {
        let source = self.nodes[from].server;
        let mine = self.nodes[at].server.log;
        if !self.is_connectable(at, from) || !source.is_up || !mine.begins(&source.log) {
            return None;
        }
        self.nodes[at].server.log = source.log;
        self.nodes[at].server.source = Some(from as u8);
        self.nodes[at].server.seal();
        let has = world.received(self, at);
        world.words.contains(has, wanted).then_some(())
    }

    fn claim_of(
        &self,
        world: &mut World,
        at: Id,
        record: Word,
        all: [Option<Other>; crate::state::MOST],
        has: Word,
    ) -> Word {
        let others: Vec<Other> = all.into_iter().flatten().filter(|other| other.id != at).collect();
        let sync = world.words.found_set(has, &others, world.setup.wanted);
        let claim = Record {
            epoch: u64::from(world.words.epoch(record)) + 1,
            state: Progress::Open,
            primary: node_name(at),
            uuid: Some(world.words.writer(at)),
            sync: Some(sync),
            last: None,
            risk: None,
            base: world.words.set(has).to_string(),
        };
        world.words.keep_record(claim)
    }

    /// `claim`: the mark, the server's count, the epoch with the data, the record.
    pub fn claim(&mut self, world: &mut World, at: Id, hitch: Option<Hitch>) -> Option<()> {
        let Action::Ready { record, over } = self.nodes[at].agent.action else { return None };
        let epoch = world.words.epoch(record);
        let promised = world.words.record(record).and_then(|record| record.sync.as_ref()).map_or(0, |sync| sync.acks);
        let node = &mut self.nodes[at];
        node.server.source = None;
        node.server.set_count(promised as u8);
        node.server.free = node.server.log.len();
        node.server.done = node.server.log.len();
        node.agent.is_marked = true;
        node.agent.opened = epoch;
        node.agent.keeper = None;
        node.agent.record = None;
        if world.setup.makes(Mistake::OpensBeforeClaim) {
            node.agent.action = Action::Claimed { record: node.cib };
            return Some(());
        }
        if world.setup.makes(Mistake::EpochNotedBeforeClaim) {
            node.agent.seen_epoch = epoch;
        }
        node.agent.action = Action::Claiming;
        let write = CibWrite { record, over, by: Writer::Promotion, is_applied: false };
        self.write_cib(world, at, write, hitch == Some(Hitch::SlowCib));
        Some(())
    }

    /// The last line of promote.
    pub fn open(&mut self, world: &World, at: Id) -> Option<()> {
        let Action::Claimed { record } = self.nodes[at].agent.action else { return None };
        if !world.setup.makes(Mistake::ClaimDoesNotOutrank) && !self.is_confirmed(world, at, record) {
            self.nodes[at].agent.action = Action::None;
            return Some(());
        }
        self.outrank(world, at);
        let agent = &mut self.nodes[at].agent;
        agent.action = Action::None;
        agent.is_promoted = true;
        agent.seen_epoch = agent.seen_epoch.max(agent.opened);
        self.nodes[at].server.is_open = true;
        let log = self.nodes[at].server.log;
        let opened = self.nodes[at].agent.opened;
        if opened < self.ghost.opened {
            // It was overtaken: what it acknowledges is held against what the newer one had (P2).
            return Some(());
        }
        let lost =
            (0..self.ghost.written).find(|number| self.ghost.acknowledged & 1 << number != 0 && !log.has(*number));
        if let Some(number) = lost {
            self.ghost.broken = Some(Broken::Lost(number));
        }
        self.ghost.opener = at as u8;
        self.ghost.opened = opened;
        self.ghost.base = log;
        Some(())
    }

    /// `close_primary`: no write is acknowledged any more; what waited is committed without its client being told.
    pub fn close(&mut self, world: &mut World, at: Id) {
        let node = &mut self.nodes[at];
        node.server.is_open = false;
        node.server.set_count(0);
        node.server.done = node.server.log.len();
        node.agent.is_marked = false;
        node.agent.is_promoted = false;
        node.agent.keeper = None;
        node.agent.record = None;
        node.agent.barred = 0;
        node.agent.note = 0;
        node.agent.note_position = NOTHING;
        if let Some(record) = self.own_record(world, at) {
            let has = world.received(self, at);
            let epoch = world.words.epoch(record) + 1;
            let life = self.nodes[at].server.life;
            self.tell(world, at, Told { epoch, is_sealed: true, life, has: Some(has) });
        }
    }

    /// Demote, up to where the last position is to be written.
    pub fn demote(&mut self, world: &mut World, at: Id) -> Option<()> {
        if !self.is_free(at) || !self.nodes[at].agent.is_marked {
            return None;
        }
        self.close(world, at);
        self.nodes[at].agent.action = Action::Closed;
        Some(())
    }

    /// `record_closed`.
    pub fn record_closed(&mut self, world: &mut World, at: Id, hitch: Option<Hitch>) -> Option<()> {
        if self.nodes[at].agent.action != Action::Closed || self.nodes[at].agent.write.is_some() {
            return None;
        }
        let record = self.own_record(world, at);
        let known = record.and_then(|record| world.words.record(record)).cloned();
        let Some(known) = known.filter(|known| known.primary == node_name(at)) else {
            self.nodes[at].agent.action = Action::None;
            return Some(());
        };
        let has = world.received(self, at);
        let over = record.unwrap_or_default();
        let last = Some(world.words.set(has).to_string());
        let record = world.words.keep_record(Record { state: Progress::Closed, last, ..known });
        let write = CibWrite { record, over, by: Writer::Demotion, is_applied: false };
        self.write_cib(world, at, write, hitch == Some(Hitch::SlowCib));
        Some(())
    }

    /// Without quorum Pacemaker stops what runs.
    pub fn stop_without_quorum(&mut self, world: &mut World, at: Id) -> Option<()> {
        let node = &self.nodes[at];
        if !node.is_on || !node.server.is_up || !self.has_noticed(at) || self.is_quorate(world, at) {
            return None;
        }
        self.nodes[at].agent.die();
        if self.nodes[at].agent.is_marked {
            self.close(world, at);
        } else {
            self.nodes[at].server.seal();
        }
        self.nodes[at].server.end(true);
        self.nodes[at].agent.forget_server();
        self.say(world, at, crate::state::Said::Nothing, false);
        Some(())
    }

    /// `review` of an instance that is not promoted.
    pub fn review(&mut self, world: &mut World, at: Id) -> Option<()> {
        if !self.is_free(at) || self.nodes[at].agent.is_marked {
            return None;
        }
        // While it is being notified its other actions wait.
        if self.promotion_to_notify(world, at).is_some_and(|id| self.is_reached(id, at)) {
            return None;
        }
        match self.promoted(world, at) {
            Some(primary) => self.follow(world, at, primary),
            // Where nothing goes wrong all is told anew when a promotion begins.
            None if world.setup.hitches == 0 && self.faults > 0 => None,
            None => self.tell_position(world, at),
        }
    }

    /// `with_primary`: attaches, unless it is attached or has something of its own.
    fn follow(&mut self, world: &mut World, at: Id, primary: Id) -> Option<()> {
        let record = self.own_record(world, at)?;
        let server = self.nodes[at].server;
        let is_attached = server.source == Some(primary as u8) && server.receiver != Receiver::Stopped;
        let has = world.received(self, at);
        // One that was overtaken may still show as promoted, and what it writes now must not spread.
        let is_on_record = world.words.record(record).is_none_or(|record| record.primary == node_name(primary));
        if is_attached || world.words.is_errant(has, record) {
            return None;
        }
        if !is_on_record && !world.setup.makes(Mistake::FollowsAnyPrimary) {
            return None;
        }
        self.nodes[at].server.seal();
        // Somebody may be promoted with what it promised: it is another instance from now on, of which the primary must
        // write before it counts on it again, and that write and the other's claim exclude each other.
        let is_bound =
            self.nodes[at].agent.told.is_some_and(|told| told.is_sealed && told.epoch > world.words.epoch(record));
        if is_bound && !world.setup.makes(Mistake::LifeGoesOnAfterSeal) {
            self.nodes[at].server.life += 1;
        }
        let server = self.nodes[at].server;
        if !world.setup.makes(Mistake::NoUnseal) {
            let epoch = world.words.epoch(record) + 1;
            self.tell(world, at, Told { epoch, is_sealed: false, life: server.life, has: Some(has) });
        }
        let me = crate::words::instance(at, server.life);
        let is_placed = world.is_open_record_of(record, primary)
            && world.words.record(record).is_some_and(|record| record.place_of(&me).is_some());
        let server = &mut self.nodes[at].server;
        server.source = Some(primary as u8);
        server.receiver = Receiver::Connecting;
        server.acknowledges = is_placed || world.setup.makes(Mistake::AcknowledgesBeforeEntered);
        let _ = self.connect(world, at);
        Some(())
    }

    /// `without_primary`: tells what it has; without a receiver nothing more comes.
    fn tell_position(&mut self, world: &mut World, at: Id) -> Option<()> {
        let record = self.own_record(world, at)?;
        let epoch = world.words.epoch(record) + 1;
        let is_sealed = self.nodes[at].server.receiver == Receiver::Stopped;
        let told = self.position_for(world, at, epoch, is_sealed, record);
        if self.nodes[at].agent.told == Some(told) {
            return None;
        }
        self.tell(world, at, told);
        Some(())
    }
}
