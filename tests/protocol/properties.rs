//! What must hold in every state. P1 and P2 are seen where they would break, when a primary is opened and when a client is
//! told of its commit (`promotions.rs`, `servers.rs`); here is what the record promises.
//!
//! - P1: when a primary opens, it has every write that was acknowledged to a client before (with durability=strict).
//! - P2: one writer: whoever tells a client of a commit is the one that was opened last, or the write is in what the one
//!   that was opened last had then.
//! - P3: each write acknowledged in the epoch of the last confirmed record is on at least `acks` of its members and
//!   joining together. One of them whose life is over counts as having it, since no promotion may do without it.
//! - P4: with no fault left it comes back to writing (`fair.rs`).
//! - P5: whoever acknowledges to the primary stands on record, by this life.

use rustha::agents::mysql::decide::record::{Record, State as Progress};

use crate::state::{Broken, Id, Receiver, State};
use crate::steps::World;
use crate::words::{Word, place};

pub fn find_broken(world: &World, state: &State) -> Option<Broken> {
    let confirmed = world.words.record(state.ghost.confirmed)?;
    if confirmed.state != Progress::Open {
        return None;
    }
    broken_promise(state, confirmed).or_else(|| outsider(world, state))
}

fn broken_promise(state: &State, confirmed: &Record) -> Option<Broken> {
    let sync = confirmed.sync.as_ref()?;
    let is_of_epoch = |number: &u8| u64::from(state.ghost.writers[*number as usize].1) == confirmed.epoch;
    let is_acknowledged = |number: &u8| state.ghost.acknowledged & 1 << number != 0;
    let has = |(id, life): (Id, u8), number: u8| {
        let server = &state.nodes[id].server;
        server.life != life || server.log.has(number)
    };
    let on = |number: u8| sync.all().map(place).filter(|one| has(*one, number)).count();
    (0..state.ghost.written)
        .filter(is_of_epoch)
        .filter(is_acknowledged)
        .find(|number| on(*number) < sync.acks as usize)
        .map(Broken::Promise)
}

fn outsider(world: &World, state: &State) -> Option<Broken> {
    let primary = Id::from(state.ghost.opener);
    let of = &state.nodes[primary];
    let is_primary = of.server.is_open && of.agent.opened == state.ghost.opened;
    let is_its_record = u64::from(of.agent.opened) == u64::from(world.words.epoch(state.ghost.confirmed));
    if !is_primary || !is_its_record || !world.locks() {
        return None;
    }
    let records = [Some(state.ghost.confirmed), Some(of.cib), of.agent.write.map(|write| write.record)];
    let stands = |word: Option<Word>, one: (Id, u8)| {
        let record = word.and_then(|word| world.words.record(word));
        record.is_some_and(|record| record.sync.iter().flat_map(|sync| sync.all()).map(place).any(|known| known == one))
    };
    let is_outsider = |id: &Id| {
        let server = &state.nodes[*id].server;
        server.receiver == Receiver::Running
            && server.acknowledges
            && server.source == Some(primary as u8)
            && of.agent.barred & 1 << id == 0
            && !records.iter().any(|record| stands(*record, (*id, server.life)))
    };
    world.ids().find(is_outsider).map(|id| Broken::Outsider(id as u8))
}
