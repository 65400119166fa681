//! P4: with no fault left it comes back to writing. All is healed, what was delayed arrives, and then everybody takes turns
//! for a bounded number of rounds, until a new write has been acknowledged.

use rustha::agents::mysql::decide::cold_start::{Facts, Verdict, decide};
use std::collections::BTreeMap;
use std::time::Duration;

use crate::guards::Clock;
use crate::state::{Action, Id, LONGEST, MOST, Receiver, State};
use crate::steps::{Move, World};
use crate::words::{Elected, Other, node_name, place};

/// So many rounds are enough.
const ROUNDS: usize = 30;
/// After so many rounds in which nothing came, patience is over.
const PATIENCE: usize = 4;

/// A run from a state on.
struct Run<'a> {
    world: &'a mut World,
    state: State,
    way: Vec<String>,
    waited: usize,
    /// The write by which it is known that it writes again.
    probe: Option<u8>,
}

/// Whether a new write is acknowledged; the way that it went if not.
///
/// # Errors
/// The steps that were taken.
pub fn comes_back(world: &mut World, state: &State) -> Result<(), Vec<String>> {
    let mut run = Run { world, state: *state, way: vec!["-- all faults are healed".into()], waited: 0, probe: None };
    run.heal();
    for round in 0..ROUNDS {
        if run.round(round) {
            return Ok(());
        }
    }
    run.way.push(format!("-- no write after {ROUNDS} rounds"));
    Err(run.way)
}

impl Run<'_> {
    fn take(&mut self, step: Move) -> bool {
        let Some(next) = self.world.apply(&self.state, step) else { return false };
        if self.way.len() < 400 {
            let text = self.world.describe(&self.state, step);
            self.way.push(text);
        }
        self.state = next;
        true
    }

    fn ids(&self) -> std::ops::Range<Id> {
        0..self.world.setup.nodes
    }

    fn heal(&mut self) {
        self.state.faults = 0;
        self.state.hitches = 0;
        self.take(Move::Heal(false));
        for id in self.ids() {
            self.take(Move::Boot(id));
        }
        for id in self.ids() {
            for step in [Move::Deliver(id), Move::CarryOut(id), Move::Apply(id), Move::Confirm(id)] {
                self.take(step);
            }
        }
    }

    /// Everybody has a turn; whether it writes again.
    fn round(&mut self, round: usize) -> bool {
        for id in self.ids() {
            for step in [Move::Start(id), Move::Seal(id)] {
                self.take(step);
            }
        }
        for id in self.ids() {
            for step in [Move::Gather(id), Move::Open(id), Move::Claim(id, None), Move::Open(id), Move::Demote(id)] {
                self.take(step);
            }
            self.take(Move::RecordClosed(id, None));
        }
        if self.primary().is_none() {
            self.promote(round);
        }
        for id in self.ids() {
            self.take(Move::Review(id));
            self.take(Move::Connect(id));
            while self.take(Move::Receive(id)) {}
            self.take(Move::Answer(id, None));
        }
        for id in self.ids() {
            self.guard(id);
            while self.take(Move::Acknowledge(id)) {}
        }
        self.is_writing()
    }

    fn primary(&self) -> Option<Id> {
        self.ids().find(|id| self.state.nodes[*id].agent.is_promoted)
    }

    /// The primary's guard, with a clock that says what is.
    fn guard(&mut self, id: Id) {
        for _ in 0..6 {
            let agent = &self.state.nodes[id].agent;
            if !agent.is_marked {
                return;
            }
            let record = agent.record.unwrap_or(self.state.nodes[id].cib);
            let is_late = self.waited >= PATIENCE;
            let lost = if self.waited >= 2 { self.state.missing(self.world, id, record) } else { 0 };
            let is_waiting = self.state.is_waiting(id);
            let is_patience_over = is_late && (is_waiting || self.state.is_short(self.world, id, record));
            let clock = Clock { lost, is_waiting, is_patience_over };
            if !self.take(Move::Guard(id, clock, None)) {
                break;
            }
        }
        self.take(Move::ReadAgain(id));
    }

    /// A client whose connection ends without an answer tries again.
    fn is_writing(&mut self) -> bool {
        let Some(primary) = self.primary() else { return false };
        let server = self.state.nodes[primary].server;
        let place = self.probe.and_then(|probe| server.log.all().iter().position(|number| *number == probe));
        let is_acknowledged = self.probe.is_some_and(|probe| self.state.ghost.acknowledged & 1 << probe != 0);
        if place.is_none_or(|place| place < server.done as usize && !is_acknowledged) {
            if usize::from(self.state.ghost.written) == LONGEST {
                return true;
            }
            self.state.writes = 1;
            let written = self.state.ghost.written;
            if self.take(Move::Write(primary)) {
                self.probe = Some(written);
                self.waited = 0;
            }
        }
        self.waited += 1;
        is_acknowledged
    }

    /// Pacemaker promotes one that the product's own rules offer.
    fn promote(&mut self, round: usize) {
        for id in self.ids() {
            self.take(Move::Review(id));
        }
        let offered: Vec<Id> = self.ids().filter(|id| self.is_offered(*id)).collect();
        let Some(id) = offered.get(round % offered.len().max(1)).copied() else { return };
        self.take(Move::Begin(id));
        for other in self.ids() {
            self.take(Move::Seal(other));
        }
        for step in [Move::Gather(id), Move::Claim(id, None), Move::Open(id)] {
            self.take(step);
        }
    }

    /// `without_primary`: those that are there have everything, and this one is a replica that was in sync, or goes first.
    fn is_offered(&mut self, id: Id) -> bool {
        let state = self.state;
        if !state.is_free(id) || state.nodes[id].agent.is_marked {
            return false;
        }
        let record = state.nodes[id].cib;
        let epoch = self.world.words.epoch(record);
        if epoch < state.nodes[id].agent.seen_epoch {
            return false;
        }
        let others: [Option<Other>; MOST] = std::array::from_fn(|other| {
            let agent = &state.nodes[id].agent;
            let told = if other == id { agent.told? } else { agent.hears_told[other]? };
            (told.epoch == epoch + 1).then_some(Other { id: other, life: told.life, has: told.has })
        });
        if others[id].is_none_or(|me| me.has.is_none())
            || self.world.words.elect(record, id, others) == Elected::Refused
        {
            return false;
        }
        let is_replica =
            state.nodes[id].server.source.is_some() && state.nodes[id].server.receiver != Receiver::Stopped;
        let me = (id, state.nodes[id].server.life);
        let record = self.world.words.record(record);
        let sync = record.and_then(|record| record.sync.as_ref());
        let is_member = sync.is_some_and(|sync| sync.members.iter().map(place).any(|one| one == me));
        is_replica && is_member || self.goes_first(id, &others, record)
    }

    fn goes_first(
        &self,
        id: Id,
        others: &[Option<Other>; MOST],
        record: Option<&rustha::agents::mysql::decide::record::Record>,
    ) -> bool {
        let heard = others.iter().flatten();
        let positions: BTreeMap<String, _> =
            heard.filter_map(|one| Some((node_name(one.id), self.world.words.set(one.has?).clone()))).collect();
        let verdict = decide(&Facts {
            me: &node_name(id),
            record,
            positions: &positions,
            heard: others.iter().flatten().count(),
            expected: self.world.setup.nodes,
            eligible_elsewhere: None,
            waited: Duration::from_secs(1000),
            patience: Duration::from_secs(60),
        });
        matches!(verdict, Verdict::Offer(_)) && self.state.nodes[id].agent.action == Action::None
    }
}
