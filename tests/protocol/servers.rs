//! What the servers do by themselves: write, receive, acknowledge, connect, end and come back. Semi-synchronous
//! replication is modelled as measured: the wait point AFTER_SYNC, no time-out, acknowledgements in order, none of them
//! forgotten with its replica.

use crate::mistakes::Mistake;
use crate::setup::Hitch;
use crate::state::{Action, Agent, Broken, Id, Log, Receiver, Server, State};
use crate::steps::World;
use crate::words::Word;

impl Server {
    pub fn disconnect(&mut self) {
        if self.receiver == Receiver::Running {
            self.receiver = Receiver::Connecting;
        }
    }

    /// How many commits are waited for; what was flushed before semi-sync is switched on waits for nobody, and what waits
    /// when it is switched off is released.
    pub fn set_count(&mut self, count: u8) {
        if (self.count == 0) != (count == 0) {
            self.free = self.log.len();
            self.acknowledged = Default::default();
        }
        self.count = count;
    }

    /// Whether the next transaction is acknowledged to its client now.
    pub fn can_acknowledge(&self) -> bool {
        let next = self.done + 1;
        let heard = self.acknowledged.iter().filter(|upto| **upto >= next).count();
        self.is_open && next <= self.log.len() && (next <= self.free || self.count == 0 || heard >= self.count as usize)
    }

    /// Nothing more is received nor acknowledged, and what was received is applied.
    pub fn seal(&mut self) {
        self.receiver = Receiver::Stopped;
        self.acknowledges = false;
        self.applied = self.log.len();
    }
}

impl State {
    pub fn write(&mut self, at: Id) -> Option<()> {
        let is_room = (self.ghost.written as usize) < crate::state::LONGEST;
        let node = &mut self.nodes[at];
        if self.writes == 0 || !is_room || !node.server.is_up || !node.server.is_open {
            return None;
        }
        let number = self.ghost.written;
        self.ghost.writers[number as usize] = (at as u8, node.agent.opened);
        self.ghost.written += 1;
        self.writes -= 1;
        node.server.log.push(number);
        node.server.applied = node.server.log.len();
        Some(())
    }

    pub fn receive(&mut self, world: &World, by: Id) -> Option<()> {
        let server = self.nodes[by].server;
        let source = server.source? as Id;
        let next = *self.nodes[source].server.log.all().get(server.log.len() as usize)?;
        if server.receiver != Receiver::Running {
            return None;
        }
        self.nodes[by].server.log.push(next);
        let is_barred = self.nodes[source].agent.barred & 1 << by != 0;
        if server.acknowledges && !(is_barred && world.locks()) {
            self.nodes[source].server.acknowledged[by] = server.log.len() + 1;
        }
        Some(())
    }

    /// A client is told that its commit succeeded.
    pub fn acknowledge(&mut self, at: Id) -> Option<()> {
        let Server { log, done, .. } = self.nodes[at].server;
        if !self.nodes[at].server.can_acknowledge() {
            return None;
        }
        let number = log.all()[done as usize];
        self.nodes[at].server.done += 1;
        self.ghost.acknowledged |= 1 << number;
        let is_latest = self.ghost.opener == at as u8 && self.ghost.opened == self.nodes[at].agent.opened;
        if !is_latest && !self.ghost.base.has(number) {
            self.ghost.broken = Some(Broken::SecondWriter(number));
        }
        Some(())
    }

    /// A receiver that lost its source finds it again. One whose transactions its source has not is refused.
    pub fn connect(&mut self, world: &World, by: Id) -> Option<()> {
        let server = self.nodes[by].server;
        let source = server.source? as Id;
        let is_served = self.is_connectable(by, source)
            && self.nodes[source].server.is_up
            && server.log.begins(&self.nodes[source].server.log);
        if server.receiver != Receiver::Connecting || !is_served {
            return None;
        }
        self.nodes[by].server.receiver = Receiver::Running;
        let is_barred = self.nodes[source].agent.barred & 1 << by != 0;
        if is_barred && world.locks() {
            self.nodes[by].server.acknowledges = false;
        }
        Some(())
    }

    /// Connections end with what they run over.
    pub fn end_dead_connections(&mut self, world: &World) {
        for id in world.ids() {
            let server = &self.nodes[id].server;
            let Some(source) = server.source.map(Id::from) else { continue };
            if !self.is_connectable(id, source) || !self.nodes[source].server.is_up {
                self.nodes[id].server.disconnect();
            }
        }
    }

    /// A server is killed. What a replica had received and not applied may be lost with it.
    pub fn crash_server(&mut self, at: Id, loses: bool) -> Option<()> {
        let node = &mut self.nodes[at];
        if !node.server.is_up || loses && node.server.applied == node.server.log.len() {
            return None;
        }
        if loses {
            node.server.log = node.server.log.first(node.server.applied);
        }
        node.server.end(false);
        node.agent.forget_server();
        Some(())
    }

    pub fn start_server(&mut self, world: &World, at: Id) -> Option<()> {
        if !self.nodes[at].is_on || self.nodes[at].server.is_up || !self.is_quorate(world, at) {
            return None;
        }
        let server = &mut self.nodes[at].server;
        server.is_up = true;
        server.applied = server.log.len();
        server.done = server.log.len();
        server.free = server.log.len();
        Some(())
    }
}

impl Server {
    pub fn end(&mut self, is_clean: bool) {
        self.is_up = false;
        self.is_open = false;
        self.life += u8::from(!is_clean);
        self.receiver = Receiver::Stopped;
        self.acknowledges = false;
        self.count = 0;
        self.acknowledged = Default::default();
    }
}

impl Agent {
    /// The guard ends with its server, and the mark names one that is no more.
    pub fn forget_server(&mut self) {
        self.is_marked = false;
        self.is_promoted = false;
        self.die();
    }

    /// The guard or the action that runs is killed; the next one knows nothing of it.
    pub fn die(&mut self) {
        self.action = Action::None;
        self.write = None;
        self.intent = None;
        self.keeper = None;
        self.record = None;
        self.note = 0;
        self.note_position = 0;
        self.noted = 0;
    }
}

impl World {
    /// Everything that a server has received, as its agent tells it.
    pub fn received(&mut self, state: &State, id: Id) -> Word {
        self.words.position(&state.nodes[id].server.log, &state.ghost)
    }

    /// Everything that a primary has written, also of what waits.
    pub fn flushed(&mut self, state: &State, id: Id) -> Word {
        let server = &state.nodes[id].server;
        let length = if self.setup.makes(Mistake::NoteWithoutWaiting) { server.done } else { server.log.len() };
        let log: Log = server.log.first(length);
        self.words.position(&log, &state.ghost)
    }

    /// Whether a primary locks the accounts of those on whose acknowledgements it must not count.
    pub fn locks(&self) -> bool {
        !self.setup.makes(Mistake::ComesBackAcknowledging)
    }

    pub fn may(&self, state: &State, hitch: Hitch) -> bool {
        state.hitches > 0 && self.setup.has(hitch)
    }
}
