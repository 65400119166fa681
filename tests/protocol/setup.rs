//! What is played: how many nodes, how many acknowledgements, which faults and how many of them, from where.

use crate::mistakes::Mistake;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A server is killed.
    Server,
    /// A machine loses its power.
    Machine,
    /// A node's cable is out: neither cluster nor servers reach it.
    Cable,
    /// Only the servers of a node are cut off.
    Data,
    /// A node's cluster stack is dead, or cut off, while its server and its guard go on: the primary's (objection 1).
    StackOfPrimary,
    /// The same on a replica (objection 5).
    StackOfReplica,
    /// Not a fault: a planned switch-over.
    SwitchOver,
}

/// A little trouble on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hitch {
    /// An agent dies between two steps.
    Death,
    /// A write to the CIB is under way for a while.
    SlowCib,
    /// What a node tells reaches the others later.
    SlowTelling,
    /// A guard acts later on what it saw.
    Hesitation,
    /// A pre-promote notification does nothing.
    MissedSeal,
    /// Replicas that are connected are slower than the primary's patience.
    SlowReplica,
}

/// From where it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// A primary and all others in sync.
    Whole,
    /// A primary, one replica in sync, and one that is attached and not in the set.
    Returning,
    /// A primary that is alone, the replicas attached.
    Alone,
    /// Nobody was ever promoted.
    Fresh,
}

/// What is played.
#[derive(Clone, Debug)]
pub struct Setup {
    pub nodes: usize,
    /// Acknowledgements that are wanted: more than one only on MySQL.
    pub wanted: u8,
    pub is_mysql: bool,
    pub fences: bool,
    pub start: Start,
    pub writes: u8,
    pub faults: u8,
    pub kinds: &'static [Fault],
    pub hitches: u8,
    pub hitch_kinds: &'static [Hitch],
    pub mistakes: Vec<Mistake>,
}

/// All that a cluster has to stand.
pub const FAULTS: &[Fault] = &[
    Fault::Server,
    Fault::Machine,
    Fault::Cable,
    Fault::Data,
    Fault::StackOfPrimary,
    Fault::StackOfReplica,
    Fault::SwitchOver,
];

/// All that can be in the way.
pub const HITCHES: &[Hitch] =
    &[Hitch::Death, Hitch::SlowCib, Hitch::SlowTelling, Hitch::Hesitation, Hitch::MissedSeal, Hitch::SlowReplica];

impl Setup {
    /// Three nodes of MariaDB with one acknowledgement, and no trouble.
    pub fn three() -> Self {
        Self {
            nodes: 3,
            wanted: 1,
            is_mysql: false,
            fences: false,
            start: Start::Whole,
            writes: 2,
            faults: 0,
            kinds: FAULTS,
            hitches: 0,
            hitch_kinds: HITCHES,
            mistakes: Vec::new(),
        }
    }

    /// Two nodes with fencing.
    pub fn two() -> Self {
        Self { nodes: 2, fences: true, ..Self::three() }
    }

    /// Three nodes of MySQL with two acknowledgements.
    pub fn three_with_two() -> Self {
        Self { wanted: 2, is_mysql: true, ..Self::three() }
    }

    pub fn makes(&self, mistake: Mistake) -> bool {
        self.mistakes.contains(&mistake)
    }

    pub fn has(&self, hitch: Hitch) -> bool {
        self.hitch_kinds.contains(&hitch)
    }
}
