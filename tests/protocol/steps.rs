//! Every step that can be taken: which ones there are in a state, and what each does.

use std::fmt;

use crate::faults::Net;
use crate::guards::Clock;
use crate::properties;
use crate::setup::{Fault, Hitch, Setup};
use crate::state::{Action, Id, Keeping, Receiver, State};
use crate::words::{Words, node_name};

/// What is played, and the values that it is played with.
pub struct World {
    pub setup: Setup,
    pub words: Words,
}

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    Write(Id),
    Receive(Id),
    Acknowledge(Id),
    Connect(Id),
    Guard(Id, Clock, Option<Hitch>),
    ReadAgain(Id),
    Answer(Id, Option<Hitch>),
    CarryOut(Id),
    Apply(Id),
    Confirm(Id),
    Deliver(Id),
    Begin(Id),
    Seal(Id),
    MissSeal(Id),
    Gather(Id),
    Claim(Id, Option<Hitch>),
    Open(Id),
    Demote(Id),
    RecordClosed(Id, Option<Hitch>),
    StopWithoutQuorum(Id),
    Start(Id),
    Review(Id),
    Die(Id),
    CrashServer(Id, bool),
    CrashMachine(Id, bool),
    Boot(Id),
    Fence(Id),
    Part(Id, Net),
    Heal(bool),
    NoticeThere,
    NoticeHere,
    SwitchOver(Id),
    Slow,
}

impl Move {
    /// How many kinds there are.
    pub const KINDS: usize = 35;

    /// Which kind it is.
    pub fn kind(self) -> usize {
        match self {
            Self::Write(..) => 0,
            Self::Receive(..) => 1,
            Self::Acknowledge(..) => 2,
            Self::Connect(..) => 3,
            Self::Guard(_, Clock { lost: 0, is_waiting: false, is_patience_over: false }, None) => 4,
            Self::Guard(_, _, None) => 5,
            Self::Guard(_, _, Some(_)) => 6,
            Self::ReadAgain(..) => 7,
            Self::Answer(..) => 8,
            Self::CarryOut(..) => 9,
            Self::Apply(..) => 10,
            Self::Confirm(..) => 11,
            Self::Deliver(..) => 12,
            Self::Begin(..) => 13,
            Self::Seal(..) => 14,
            Self::MissSeal(..) => 15,
            Self::Gather(..) => 16,
            Self::Claim(..) => 17,
            Self::Open(..) => 18,
            Self::Demote(..) => 19,
            Self::RecordClosed(..) => 20,
            Self::StopWithoutQuorum(..) => 21,
            Self::Start(..) => 22,
            Self::Review(..) => 23,
            Self::Die(..) => 24,
            Self::CrashServer(..) => 25,
            Self::CrashMachine(..) => 26,
            Self::Boot(..) => 27,
            Self::Fence(..) => 28,
            Self::Part(..) => 29,
            Self::Heal(..) => 30,
            Self::NoticeThere => 31,
            Self::NoticeHere => 32,
            Self::SwitchOver(..) => 33,
            Self::Slow => 34,
        }
    }
}

impl World {
    pub fn new(setup: Setup) -> Self {
        let words = Words::new(setup.is_mysql, setup.mistakes.clone());
        Self { setup, words }
    }

    pub fn ids(&self) -> std::ops::Range<Id> {
        0..self.setup.nodes
    }

    /// The steps that may be possible in this state.
    pub fn moves(&self, state: &State) -> Vec<Move> {
        let mut moves = Vec::new();
        for id in 0..self.setup.nodes {
            self.add_server(state, id, &mut moves);
            self.add_actions(state, id, &mut moves);
            self.add_guard(state, id, &mut moves);
            self.add_hitches(state, id, &mut moves);
            self.add_faults(state, id, &mut moves);
        }
        if state.net.cluster.is_some() || state.net.data.is_some() {
            moves.extend([Move::Heal(false), Move::Heal(true), Move::NoticeThere, Move::NoticeHere]);
        }
        moves
    }

    /// What servers and machines do by themselves. What is surely not possible is left out, for speed only.
    fn add_server(&self, state: &State, id: Id, moves: &mut Vec<Move>) {
        let node = &state.nodes[id];
        if !node.is_on {
            moves.extend([Move::Boot(id), Move::Fence(id)]);
            return;
        }
        if !node.server.is_up {
            moves.push(Move::Start(id));
        }
        if node.server.is_open && state.writes > 0 {
            moves.push(Move::Write(id));
        }
        if node.server.can_acknowledge() {
            moves.push(Move::Acknowledge(id));
        }
        match node.server.receiver {
            Receiver::Running => moves.extend([Move::Receive(id), Move::Answer(id, None)]),
            Receiver::Connecting => moves.extend([Move::Connect(id), Move::Answer(id, None)]),
            Receiver::Stopped => {}
        }
        if state.net.cluster.is_some() {
            moves.extend([Move::StopWithoutQuorum(id), Move::Fence(id)]);
        } else if self.setup.nodes > 2 {
            moves.push(Move::StopWithoutQuorum(id));
        }
    }

    fn add_actions(&self, state: &State, id: Id, moves: &mut Vec<Move>) {
        let agent = &state.nodes[id].agent;
        match agent.action {
            Action::None if agent.is_marked => moves.extend([Move::Demote(id), Move::ReadAgain(id)]),
            Action::None => moves.extend([Move::Begin(id), Move::Review(id)]),
            Action::Notifying { left: 0 } => moves.push(Move::Gather(id)),
            Action::Notifying { left } => moves.extend(self.ids().filter(|by| left & 1 << by != 0).map(Move::Seal)),
            Action::Ready { .. } => moves.push(Move::Claim(id, None)),
            Action::Claimed { .. } => moves.push(Move::Open(id)),
            Action::Closed if agent.write.is_none() => moves.push(Move::RecordClosed(id, None)),
            Action::Claiming | Action::Closed => {}
        }
        match agent.write {
            Some(write) if write.is_applied => moves.push(Move::Confirm(id)),
            Some(_) => moves.push(Move::Apply(id)),
            None => {}
        }
        if agent.intent.is_some() {
            moves.push(Move::CarryOut(id));
        }
        if self.setup.hitches > 0 && state.is_late(self, id) {
            moves.push(Move::Deliver(id));
        }
    }

    /// The primary's guard with all that the clock may say to it.
    fn add_guard(&self, state: &State, id: Id, moves: &mut Vec<Move>) {
        let agent = &state.nodes[id].agent;
        if !agent.is_marked || !state.is_free(id) {
            return;
        }
        let record = agent.record.unwrap_or(state.nodes[id].cib);
        let missing = state.missing(self, id, record);
        let hitches = [None, Some(Hitch::Hesitation), Some(Hitch::SlowCib), Some(Hitch::SlowTelling)];
        // That writes wait, and for how long, is a trouble of its own while everybody is there.
        let clocks = [(false, false), (true, false), (false, true), (true, true)];
        let is_slow = missing != 0 || state.is_slow;
        for lost in (0..8).filter(|lost| lost & !missing == 0) {
            for (is_waiting, is_patience_over) in clocks.into_iter().take(if is_slow { 4 } else { 1 }) {
                for hitch in hitches.into_iter().filter(|hitch| hitch.is_none_or(|hitch| self.may(state, hitch))) {
                    moves.push(Move::Guard(id, Clock { lost, is_waiting, is_patience_over }, hitch));
                }
            }
        }
    }

    fn add_hitches(&self, state: &State, id: Id, moves: &mut Vec<Move>) {
        let with = [
            (Hitch::Death, Move::Die(id)),
            (Hitch::MissedSeal, Move::MissSeal(id)),
            (Hitch::SlowReplica, Move::Slow),
            (Hitch::SlowCib, Move::Claim(id, Some(Hitch::SlowCib))),
            (Hitch::SlowCib, Move::RecordClosed(id, Some(Hitch::SlowCib))),
            (Hitch::Hesitation, Move::Answer(id, Some(Hitch::Hesitation))),
            (Hitch::SlowTelling, Move::Answer(id, Some(Hitch::SlowTelling))),
        ];
        moves.extend(with.into_iter().filter(|(hitch, _)| self.may(state, *hitch)).map(|(_, step)| step));
    }

    fn add_faults(&self, state: &State, id: Id, moves: &mut Vec<Move>) {
        if state.faults == 0 {
            return;
        }
        for kind in self.setup.kinds {
            match kind {
                Fault::Server => moves.extend([Move::CrashServer(id, false), Move::CrashServer(id, true)]),
                Fault::Machine => moves.extend([Move::CrashMachine(id, false), Move::CrashMachine(id, true)]),
                Fault::Cable => moves.push(Move::Part(id, Net::Both)),
                Fault::Data => moves.push(Move::Part(id, Net::Data)),
                Fault::StackOfPrimary if state.nodes[id].agent.is_marked => {
                    moves.push(Move::Part(id, Net::Cluster));
                }
                Fault::StackOfReplica if !state.nodes[id].agent.is_marked => {
                    moves.push(Move::Part(id, Net::Cluster));
                }
                Fault::StackOfPrimary | Fault::StackOfReplica => {}
                Fault::SwitchOver => moves.push(Move::SwitchOver(id)),
            }
        }
    }

    /// The state after a step, if it is possible and changes anything.
    pub fn apply(&mut self, state: &State, step: Move) -> Option<State> {
        let mut next = *state;
        self.take(&mut next, step)?;
        next.end_dead_connections(self);
        if next == *state {
            return None;
        }
        if self.costs_hitch(step) {
            next.hitches = next.hitches.checked_sub(1)?;
        }
        if matches!(step, Move::CrashServer(..) | Move::CrashMachine(..) | Move::Part(..) | Move::SwitchOver(_)) {
            next.faults = next.faults.checked_sub(1)?;
        }
        if next.ghost.broken.is_none() {
            next.ghost.broken = properties::find_broken(self, &next);
        }
        Some(next)
    }

    fn costs_hitch(&self, step: Move) -> bool {
        matches!(
            step,
            Move::Guard(_, _, Some(_))
                | Move::Answer(_, Some(_))
                | Move::Claim(_, Some(_))
                | Move::RecordClosed(_, Some(_))
                | Move::Die(_)
                | Move::MissSeal(_)
                | Move::Slow
        )
    }

    fn take(&mut self, next: &mut State, step: Move) -> Option<()> {
        match step {
            Move::Write(at) => next.write(at),
            Move::Receive(by) => next.receive(self, by),
            Move::Acknowledge(at) => next.acknowledge(at),
            Move::Connect(by) => next.connect(self, by),
            Move::Guard(at, clock, hitch) => next.guard_primary(self, at, clock, hitch),
            Move::ReadAgain(at) => next.read_again(self, at),
            Move::Answer(at, hitch) => next.guard_replica(self, at, hitch),
            Move::CarryOut(at) => next.carry_out_intent(self, at),
            Move::Apply(at) => {
                next.nodes[at].agent.write.filter(|write| !write.is_applied)?;
                next.apply_write(self, at);
                Some(())
            }
            Move::Confirm(at) => {
                next.nodes[at].agent.write.filter(|write| write.is_applied)?;
                next.end_write(self, at);
                Some(())
            }
            Move::Deliver(from) => next.is_late(self, from).then(|| next.deliver(self, from)),
            Move::Begin(at) => next.begin_promotion(self, at),
            Move::Seal(by) => next.seal(self, by, false),
            Move::MissSeal(by) => next.seal(self, by, true),
            Move::Gather(at) => next.gather(self, at),
            Move::Claim(at, hitch) => next.claim(self, at, hitch),
            Move::Open(at) => next.open(self, at),
            Move::Demote(at) => {
                let agent = &next.nodes[at].agent;
                let is_needed = !agent.is_promoted || next.promoted(self, at).is_some();
                if is_needed { next.demote(self, at) } else { None }
            }
            Move::SwitchOver(at) => next.nodes[at].agent.is_promoted.then(|| next.demote(self, at))?,
            Move::RecordClosed(at, hitch) => next.record_closed(self, at, hitch),
            Move::StopWithoutQuorum(at) => next.stop_without_quorum(self, at),
            Move::Start(at) => next.start_server(self, at),
            Move::Review(at) => next.review(self, at),
            // That it happened shows in what is left of the hitches.
            Move::Slow => {
                next.is_slow = true;
                Some(())
            }
            Move::Die(at) => {
                next.nodes[at].agent.die();
                Some(())
            }
            Move::CrashServer(at, loses) => next.crash_server(at, loses),
            Move::CrashMachine(at, loses) => next.crash_machine(self, at, loses),
            Move::Boot(at) => next.boot(self, at),
            Move::Fence(at) => next.fence(self, at),
            Move::Part(at, net) => next.part(at, net),
            Move::Heal(does_other_win) => next.heal(self, does_other_win),
            Move::NoticeThere => next.notice(self, true),
            Move::NoticeHere => next.notice(self, false),
        }
    }

    /// A step in words, with what a guard decided.
    pub fn describe(&mut self, before: &State, step: Move) -> String {
        let name = node_name;
        match step {
            Move::Write(at) => format!("{}: a client writes", name(at)),
            Move::Receive(by) => format!("{}: receives", name(by)),
            Move::Acknowledge(at) => format!("{}: the client is told of its commit", name(at)),
            Move::Guard(at, clock, hitch) => {
                let mut next = *before;
                let _ = next.guard_primary(self, at, clock, Some(Hitch::Hesitation));
                let decided = match next.nodes[at].agent.intent {
                    Some(Keeping::Write(record)) => {
                        format!("write {:?}", self.words.record(record).map(|r| r.to_string()))
                    }
                    Some(step) => format!("{step:?}"),
                    None => "nothing".into(),
                };
                format!("{}: guard ({clock:?}, {hitch:?}) decides {decided}", name(at))
            }
            Move::Claim(at, hitch) => {
                let record = match before.nodes[at].agent.action {
                    Action::Ready { record, .. } => self.words.record(record).map(|record| record.to_string()),
                    _ => None,
                };
                format!("{}: claims {} {hitch:?}", name(at), record.unwrap_or_default())
            }
            other => format!("{other:?}"),
        }
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, wanted, start, writes, faults, hitches, .. } = self;
        write!(
            formatter,
            "{nodes} nodes, k={wanted}, from {start:?}, writes {writes}, faults {faults}, hitches {hitches}"
        )
    }
}
