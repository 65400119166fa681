//! The state of the model: what servers, agents and cluster are at one moment. Small and copied: millions of them are
//! looked at. What the product's decisions are asked with is made from it in `words`.

use crate::words::Word;

/// The most nodes that a cluster of the model has.
pub const MOST: usize = 3;
/// The most transactions that are ever written.
pub const LONGEST: usize = 8;

/// A node, by its number.
pub type Id = usize;

/// Transactions in the order in which they were written or received; each has a number of its own in the whole run.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Log {
    length: u8,
    numbers: [u8; LONGEST],
}

impl Log {
    pub fn len(&self) -> u8 {
        self.length
    }

    pub fn all(&self) -> &[u8] {
        &self.numbers[..self.length as usize]
    }

    pub fn push(&mut self, number: u8) {
        self.numbers[self.length as usize] = number;
        self.length += 1;
    }

    pub fn first(&self, length: u8) -> Self {
        let mut log = Self::default();
        self.all().iter().take(length as usize).for_each(|number| log.push(*number));
        log
    }

    pub fn has(&self, number: u8) -> bool {
        self.all().contains(&number)
    }

    pub fn begins(&self, longer: &Self) -> bool {
        longer.all().starts_with(self.all())
    }
}

/// A replica's receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Receiver {
    #[default]
    Stopped,
    Connecting,
    Running,
}

/// One node's server.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Server {
    pub is_up: bool,
    /// The next one begins when it ends, unless it is shut down with everything applied.
    pub life: u8,
    /// Everything that it wrote or received.
    pub log: Log,
    /// So much of it is in its own binary log for sure: MariaDB purges what is only in the relay log at a restart.
    pub applied: u8,
    /// Clients may write.
    pub is_open: bool,
    /// So much is committed and acknowledged to clients; the rest waits (on a primary).
    pub done: u8,
    /// So much was flushed while nothing had to be waited for.
    pub free: u8,
    /// How many acknowledgements a commit waits for; 0: semi-sync is off.
    pub count: u8,
    /// Up to where each replica has acknowledged: MySQL forgets none of it when a replica is lost (objection 6).
    pub acknowledged: [u8; MOST],
    /// Whom it receives from.
    pub source: Option<u8>,
    pub receiver: Receiver,
    /// Its receiver is to acknowledge.
    pub acknowledges: bool,
}

/// What a node tells for the in-sync set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Said {
    #[default]
    Nothing,
    Call {
        epoch: u8,
        /// The record of which the set is told.
        record: Word,
        note: u16,
        position: Word,
    },
    Answer {
        epoch: u8,
        life: u8,
        is_on: bool,
        noted: u16,
    },
}

/// What a node tells of its position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Told {
    pub epoch: u8,
    pub is_sealed: bool,
    pub life: u8,
    /// `None`: it takes no part.
    pub has: Option<Word>,
}

/// A step of the keeper, in the model's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Keeping {
    Write(Word),
    SetServer(u8),
    Note(u16),
    Cut(u8),
    Release,
    /// A replica's guard: let the receiver acknowledge.
    Acknowledge,
    Rest,
}

/// A write to the CIB that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CibWrite {
    pub record: Word,
    /// The record that it replaces: it was decided from that one.
    pub over: Word,
    pub by: Writer,
    /// It is in the copies of those that could be reached; who wrote it has not seen that yet.
    pub is_applied: bool,
}

/// Who writes to the CIB, and waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Writer {
    Guard,
    Promotion,
    Demotion,
}

/// The action that runs on a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Action {
    #[default]
    None,
    /// The others are being told that this one is to be promoted; those in `left` were not yet.
    Notifying { left: u8 },
    /// It has everything, by the record `over`, and is about to claim.
    Ready { record: Word, over: Word },
    /// It writes its claim.
    Claiming,
    /// The claim is confirmed; this is the record with which it is opened.
    Claimed { record: Word },
    /// It is closed, and about to write its last position.
    Closed,
}

/// What the agents of one node remember, and what they have told and heard.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Agent {
    /// The mark of a promotion.
    pub is_marked: bool,
    /// What Pacemaker thinks of it.
    pub is_promoted: bool,
    /// The epoch in which it was opened.
    pub opened: u8,
    /// The newest epoch that its data have seen; on disk.
    pub seen_epoch: u8,
    pub action: Action,
    pub write: Option<CibWrite>,
    /// The guard has decided this and not done it yet; the memory is the one after it.
    pub intent: Option<Keeping>,
    /// The guard's keeper; `None`: it has forgotten everything.
    pub keeper: Option<Word>,
    /// The record that the guard believes.
    pub record: Option<Word>,
    pub note: u16,
    pub note_position: Word,
    /// A replica's guard: what it answered last.
    pub noted: u16,
    pub said: Said,
    pub told: Option<Told>,
    /// What has reached this node from each other one.
    pub hears: [Said; MOST],
    pub hears_told: [Option<Told>; MOST],
    /// Those whose replication account is locked on this primary.
    pub barred: u8,
}

/// One machine.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Node {
    pub is_on: bool,
    /// It provably runs nothing: it was fenced.
    pub is_gone: bool,
    /// It has met the others since it booted (corosync's wait_for_all).
    pub has_met: bool,
    pub server: Server,
    pub agent: Agent,
    /// Its copy of the CIB: the record, how often it was written, and the last promotion that took place (`admin_epoch`,
    /// which counts for more than any number of writes).
    pub cib: Word,
    pub version: u8,
    pub rank: u8,
}

/// Who is cut off from whom: one node, of the cluster's network or of the servers' or of both.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Net {
    pub cluster: Option<u8>,
    pub data: Option<u8>,
    /// The node that is cut off has noticed.
    pub is_noticed_there: bool,
    /// The others have noticed.
    pub is_noticed_here: bool,
}

/// What nobody in the model knows: what clients were told, who was opened with what.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Ghost {
    /// Acknowledged transactions, one bit each.
    pub acknowledged: u16,
    /// Who wrote each transaction, and in which epoch.
    pub writers: [(u8, u8); LONGEST],
    pub written: u8,
    /// The last primary that was opened, its epoch and what it had then.
    pub opener: u8,
    pub opened: u8,
    pub base: Log,
    /// The last record that was confirmed to its writer.
    pub confirmed: Word,
    /// The highest number of a note.
    pub notes: u16,
    pub broken: Option<Broken>,
}

/// A property that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Broken {
    /// P1: an acknowledged write is not in what a later primary has when it opens.
    Lost(u8),
    /// P2: a write was acknowledged after another primary was opened that does not have it.
    SecondWriter(u8),
    /// P3: a write was acknowledged that is on fewer of the set than the record promises.
    Promise(u8),
    /// P5: somebody acknowledges without being in the record by this life.
    Outsider(u8),
    /// P4: with no fault left it does not come back to writing.
    Stuck,
}

/// Everything.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct State {
    pub nodes: [Node; MOST],
    pub net: Net,
    pub ghost: Ghost,
    /// How many faults may still happen.
    pub faults: u8,
    /// How many agents may still die, writes be delayed, messages be late.
    pub hitches: u8,
    pub writes: u8,
    /// Replicas may be so slow that patience ends, although all are connected.
    pub is_slow: bool,
}
