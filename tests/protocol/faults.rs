//! Faults, and how they end: machines without power, cables, dead cluster stacks, fencing.

use crate::state::{Id, Net as Cut, Said, State};
use crate::steps::World;

/// Which network a node is cut off from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Net {
    Cluster,
    Data,
    Both,
}

impl State {
    pub fn crash_machine(&mut self, world: &World, at: Id, loses: bool) -> Option<()> {
        if !self.nodes[at].is_on {
            return None;
        }
        match self.nodes[at].server.is_up {
            true => self.crash_server(at, loses)?,
            false if loses => return None,
            false => {}
        }
        let node = &mut self.nodes[at];
        node.is_on = false;
        node.agent.forget_server();
        node.agent.said = Said::Nothing;
        node.agent.told = None;
        self.forget_absent(world);
        Some(())
    }

    /// The machine is back, and in the cluster as far as that is reached.
    pub fn boot(&mut self, world: &World, at: Id) -> Option<()> {
        if self.nodes[at].is_on {
            return None;
        }
        self.nodes[at].is_on = true;
        self.nodes[at].is_gone = false;
        self.nodes[at].has_met = false;
        self.meet(world);
        self.merge_cib(world, None);
        Some(())
    }

    fn meet(&mut self, world: &World) {
        for id in world.ids() {
            let has_met = world.ids().any(|other| other != id && self.is_reached(id, other));
            self.nodes[id].has_met |= has_met;
            self.deliver(world, id);
        }
    }

    /// A node of which the cluster knows nothing is switched off before anything is done without it.
    pub fn fence(&mut self, world: &World, at: Id) -> Option<()> {
        let fences = |by: Id| {
            by != at && self.nodes[by].is_on && self.has_noticed(by) && self.is_quorate(world, by) && !self.sees(by, at)
        };
        if !world.setup.fences || self.nodes[at].is_gone || !world.ids().any(fences) {
            return None;
        }
        // One that lost its power is switched off once more.
        let _ = self.crash_machine(world, at, false);
        self.nodes[at].is_gone = true;
        Some(())
    }

    pub fn part(&mut self, at: Id, net: Net) -> Option<()> {
        if self.net.cluster.is_some() || self.net.data.is_some() || !self.nodes[at].is_on {
            return None;
        }
        let cut = Some(at as u8);
        self.net = match net {
            Net::Cluster => Cut { cluster: cut, ..Cut::default() },
            Net::Data => Cut { data: cut, ..Cut::default() },
            Net::Both => Cut { cluster: cut, data: cut, ..Cut::default() },
        };
        Some(())
    }

    pub fn heal(&mut self, world: &World, does_other_win: bool) -> Option<()> {
        let other = self.net.cluster.map(Id::from);
        if does_other_win && other.is_none() {
            return None;
        }
        self.net = Cut::default();
        self.meet(world);
        self.merge_cib(world, other.filter(|_| does_other_win));
        Some(())
    }

    /// Corosync's token is lost: the membership is what is reached.
    pub fn notice(&mut self, world: &World, is_there: bool) -> Option<()> {
        let known = if is_there { &mut self.net.is_noticed_there } else { &mut self.net.is_noticed_here };
        if *known || self.net.cluster.is_none() {
            return None;
        }
        *known = true;
        self.forget_absent(world);
        Some(())
    }
}
