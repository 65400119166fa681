//! The states from which it is played.

use rustha::agents::mysql::decide::record::{InSync, Record, State as Progress};

use crate::guards::Clock;
use crate::setup::Start;
use crate::state::{Id, Receiver, State};
use crate::steps::{Move, World};
use crate::words::{instance, node_name};

impl World {
    pub fn begin(&mut self) -> State {
        let mut state = State {
            faults: self.setup.faults,
            hitches: self.setup.hitches,
            writes: self.setup.writes,
            ..State::default()
        };
        for id in 0..self.setup.nodes {
            let node = &mut state.nodes[id];
            node.is_on = true;
            node.has_met = true;
            node.server.is_up = true;
            node.server.life = 1;
        }
        if self.setup.start != Start::Fresh {
            self.put_primary(&mut state);
            self.settle(&mut state);
        }
        state
    }

    /// db1 is the primary of the first epoch.
    fn put_primary(&mut self, state: &mut State) {
        let members: Vec<Id> = match self.setup.start {
            Start::Whole => (1..self.setup.nodes).collect(),
            Start::Returning => vec![1],
            Start::Alone | Start::Fresh => Vec::new(),
        };
        let acks = members.len().min(self.setup.wanted as usize) as u32;
        let sync =
            InSync { acks, members: members.iter().map(|id| instance(*id, 1)).collect(), joining: Default::default() };
        let record = Record {
            epoch: 1,
            state: Progress::Open,
            primary: node_name(0),
            uuid: Some(self.words.writer(0)),
            sync: Some(sync),
            last: None,
            risk: None,
            base: String::new(),
        };
        let record = self.words.keep_record(record);
        for id in 0..self.setup.nodes {
            let node = &mut state.nodes[id];
            node.cib = record;
            node.version = 1;
            node.rank = 1;
            node.agent.seen_epoch = 1;
            if id > 0 {
                node.server.source = Some(0);
                node.server.receiver = Receiver::Running;
                node.server.acknowledges = members.contains(&id);
            }
        }
        let primary = &mut state.nodes[0];
        primary.agent.is_marked = true;
        primary.agent.is_promoted = true;
        primary.agent.opened = 1;
        primary.server.is_open = true;
        primary.server.count = acks as u8;
        state.ghost.opened = 1;
        state.ghost.confirmed = record;
    }

    /// The guards have met.
    fn settle(&mut self, state: &mut State) {
        let clock = Clock { lost: 0, is_waiting: false, is_patience_over: false };
        let mut steps = vec![Move::Guard(0, clock, None)];
        if self.setup.start == Start::Whole {
            steps.extend((1..self.setup.nodes).map(|id| Move::Answer(id, None)));
            steps.push(Move::Guard(0, clock, None));
        }
        for step in steps {
            *state = self.apply(state, step).unwrap_or(*state);
        }
    }
}
