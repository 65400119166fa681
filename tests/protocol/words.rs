//! The product's own values and decisions, for a state that is made of numbers: each value is kept once and named by its
//! number, and each decision is asked once for the same question. Nothing is decided here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;

use rustha::agents::mysql::decide::election::{Election, Risk, Survivor, Verdict, elect, found_set};
use rustha::agents::mysql::decide::errant::find_errant;
use rustha::agents::mysql::decide::insync::{Keeper, Peer, Seen, Step};
use rustha::agents::mysql::decide::keeping::{Call, may_acknowledge, noted};
use rustha::agents::mysql::decide::record::{InSync, Instance, Instances, Record};
use rustha::gtid::GtidSet;

use crate::mistakes::Mistake;
use crate::state::{Ghost, Id, Keeping, Log, MOST};

/// The number of a value.
pub type Word = u16;

/// No record.
pub const NOTHING: Word = 0;

/// Values of one kind.
struct Kept<T> {
    values: Vec<T>,
    numbers: HashMap<T, Word>,
}

impl<T: Clone + Eq + Hash> Kept<T> {
    fn new(nothing: T) -> Self {
        Self { values: vec![nothing.clone()], numbers: HashMap::from([(nothing, NOTHING)]) }
    }

    fn keep(&mut self, value: T) -> Word {
        if let Some(number) = self.numbers.get(&value) {
            return *number;
        }
        let number = Word::try_from(self.values.len()).expect("few values");
        self.values.push(value.clone());
        self.numbers.insert(value, number);
        number
    }
}

/// What the primary's guard sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Look {
    pub peers: [Option<SeenPeer>; MOST],
    pub lost: u8,
    pub is_waiting: bool,
    pub is_patience_over: bool,
    pub server: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SeenPeer {
    pub life: u8,
    pub is_on: bool,
    pub noted: u16,
    pub is_connected: bool,
}

/// Another instance, for an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Other {
    pub id: Id,
    pub life: u8,
    pub has: Option<Word>,
}

/// What an election says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elected {
    Promote,
    FetchFrom(Id),
    Refused,
}

type Question = (Word, Word, Look, u8);

/// All values of one search.
pub struct Words {
    is_mysql: bool,
    mistakes: Vec<Mistake>,
    records: Kept<Option<Record>>,
    sets: Kept<GtidSet>,
    keepers: Vec<Keeper>,
    keeper_numbers: BTreeMap<Keeper, Word>,
    positions: HashMap<[u8; 9], Word>,
    kept: HashMap<Question, (Keeping, Word)>,
    elected: HashMap<(Word, [Option<Other>; MOST]), Elected>,
    errant: HashMap<(Word, Word), bool>,
}

pub fn node_name(id: Id) -> String {
    format!("db{}", id + 1)
}

fn id_of(name: &str) -> Id {
    name.trim_start_matches("db").parse::<Id>().expect("a node's name") - 1
}

pub fn instance(id: Id, life: u8) -> Instance {
    Instance { node: node_name(id), life: life.to_string() }
}

pub fn place(instance: &Instance) -> (Id, u8) {
    (id_of(&instance.node), instance.life.parse().expect("a number"))
}

impl Words {
    pub fn new(is_mysql: bool, mistakes: Vec<Mistake>) -> Self {
        let empty = if is_mysql { GtidSet::parse_mysql("") } else { GtidSet::parse_mariadb("") };
        Self {
            is_mysql,
            mistakes,
            records: Kept::new(None),
            sets: Kept::new(empty.expect("valid")),
            keepers: Vec::new(),
            keeper_numbers: BTreeMap::new(),
            positions: HashMap::new(),
            kept: HashMap::new(),
            elected: HashMap::new(),
            errant: HashMap::new(),
        }
    }

    pub fn makes(&self, mistake: Mistake) -> bool {
        self.mistakes.contains(&mistake)
    }

    pub fn record(&self, word: Word) -> Option<&Record> {
        self.records.values[word as usize].as_ref()
    }

    pub fn epoch(&self, word: Word) -> u8 {
        self.record(word).map_or(0, |record| record.epoch as u8)
    }

    pub fn keep_record(&mut self, record: Record) -> Word {
        self.records.keep(Some(record))
    }

    pub fn set(&self, word: Word) -> &GtidSet {
        &self.sets.values[word as usize]
    }

    /// The identity that a node's transactions bear.
    pub fn writer(&self, id: Id) -> String {
        let letter = ["aaaaaaaa", "bbbbbbbb", "cccccccc"][id];
        if self.is_mysql { format!("{letter}-0000-0000-0000-000000000001") } else { (id + 1).to_string() }
    }

    /// The position of a server that has these transactions.
    pub fn position(&mut self, log: &Log, ghost: &Ghost) -> Word {
        let mut key = [0; 9];
        key[0] = log.len();
        for (place, number) in log.all().iter().enumerate() {
            key[place + 1] = ghost.writers[*number as usize].0;
        }
        if let Some(word) = self.positions.get(&key) {
            return *word;
        }
        let writers: Vec<Id> = key[1..=log.len() as usize].iter().map(|writer| *writer as Id).collect();
        let word = self.sets.keep(self.set_by(&writers));
        self.positions.insert(key, word);
        word
    }

    fn set_by(&self, writers: &[Id]) -> GtidSet {
        if !self.is_mysql {
            let last = writers.last().map(|writer| format!("0-{}-{}", self.writer(*writer), writers.len()));
            return GtidSet::parse_mariadb(&last.unwrap_or_default()).expect("valid");
        }
        let wrote = |id: Id| writers.iter().filter(|writer| **writer == id).count();
        let parts = (0..MOST).filter(|id| wrote(*id) > 0).map(|id| format!("{}:1-{}", self.writer(id), wrote(id)));
        GtidSet::parse_mysql(&parts.collect::<Vec<_>>().join(",")).expect("valid")
    }

    pub fn contains(&self, set: Word, other: Word) -> bool {
        self.set(set).contains(self.set(other))
    }

    fn keep_keeper(&mut self, keeper: Keeper) -> Word {
        if let Some(number) = self.keeper_numbers.get(&keeper) {
            return *number;
        }
        let number = Word::try_from(self.keepers.len()).expect("few values");
        self.keepers.push(keeper.clone());
        self.keeper_numbers.insert(keeper, number);
        number
    }

    pub fn new_keeper(&mut self, first: u16) -> Word {
        self.keep_keeper(Keeper::new(first.into()))
    }

    /// `Keeper::next`.
    pub fn keep(&mut self, keeper: Word, record: Word, look: Look, wanted: u8) -> (Keeping, Word) {
        if let Some(known) = self.kept.get(&(keeper, record, look, wanted)) {
            return *known;
        }
        let of = self.record(record).expect("a primary's record").clone();
        let sync = of.sync.clone().unwrap_or_default();
        let seen = self.seen(&sync, &look);
        let mut memory = self.keepers[keeper as usize].clone();
        let step = match memory.next(&sync, &seen, wanted.into()) {
            Step::Write(next) => Keeping::Write(self.keep_record(Record { sync: Some(next), ..of })),
            Step::SetServer(count) => Keeping::SetServer(count as u8),
            Step::Note(number) => Keeping::Note(number as u16),
            Step::Cut(name) => Keeping::Cut(id_of(&name) as u8),
            Step::Release => Keeping::Release,
            Step::Rest => Keeping::Rest,
        };
        let answer = (step, self.keep_keeper(memory));
        self.kept.insert((keeper, record, look, wanted), answer);
        answer
    }

    fn seen(&self, sync: &InSync, look: &Look) -> Seen {
        let mut peers = BTreeMap::new();
        for (id, peer) in look.peers.iter().enumerate() {
            let Some(peer) = peer else { continue };
            let name = node_name(id);
            let known = sync.all().find(|one| one.node == name);
            let life = match known {
                Some(known) if self.makes(Mistake::LifeIgnored) => known.life.clone(),
                _ => peer.life.to_string(),
            };
            let is_joining = sync.joining.iter().any(|one| one.node == name);
            let is_proven = is_joining && self.makes(Mistake::MemberWithoutNote)
                || !is_joining && self.makes(Mistake::TakeOutWithoutNote);
            let noted = if is_proven { u64::MAX } else { peer.noted.into() };
            peers.insert(name, Peer { life, acknowledges: peer.is_on, noted, connected: peer.is_connected });
        }
        let lost: BTreeSet<String> = (0..MOST).filter(|id| look.lost & 1 << id != 0).map(node_name).collect();
        Seen {
            peers,
            lost,
            left: BTreeSet::new(),
            waiting: look.is_waiting,
            patience_is_over: look.is_patience_over,
            is_stalled: look.is_waiting,
            server: look.server.into(),
            floor: 0,
        }
    }

    /// `may_acknowledge`, for the set of a record.
    pub fn may_acknowledge(&self, id: Id, life: u8, record: Word, note: u16, position: Word) -> bool {
        self.makes(Mistake::AcknowledgesBeforeEntered)
            || may_acknowledge(&instance(id, life), Some(&self.call(record, note, position)))
    }

    fn call(&self, record: Word, note: u16, position: Word) -> Call {
        let record = self.record(record).expect("a primary's record");
        let mut set: Instances = record.sync.iter().flat_map(InSync::all).cloned().collect();
        if self.makes(Mistake::LifeIgnored) {
            let lives = |one: &Instance| (0..8).map(|life| instance(id_of(&one.node), life)).collect::<Vec<_>>();
            set = set.iter().flat_map(lives).collect();
        }
        Call { epoch: record.epoch, set, note: note.into(), position: self.set(position).clone(), latest: None }
    }

    /// `noted`.
    pub fn noted(&self, has: Word, record: Word, note: u16, position: Word, known: u16) -> u16 {
        noted(self.set(has), &self.call(record, note, position), known.into()) as u16
    }

    /// `find_errant`.
    pub fn is_errant(&mut self, has: Word, record: Word) -> bool {
        if let Some(known) = self.errant.get(&(has, record)) {
            return *known;
        }
        let is_errant = self
            .record(record)
            .is_some_and(|record| find_errant(self.set(has), record).expect("a record that can be read").is_some());
        self.errant.insert((has, record), is_errant);
        is_errant
    }

    /// `elect`, with durability=strict. `me` stands among `all`.
    pub fn elect(&mut self, record: Word, me: Id, all: [Option<Other>; MOST]) -> Elected {
        let key = (record * MOST as Word + me as Word, all);
        if let Some(known) = self.elected.get(&key) {
            return *known;
        }
        let known = self.record(record).and_then(|record| record.sync.clone()).unwrap_or_default();
        let survivor = |one: &Other| self.in_known_life(self.survivor(one), &known);
        let survivors: Vec<Survivor> = all.iter().flatten().filter(|one| one.id != me).map(survivor).collect();
        let myself = survivor(&all[me].expect("it takes part"));
        let record = self.record(record).map(|record| self.mistake_record(record));
        let election =
            Election { record: record.as_ref(), me: &myself, survivors: &survivors, gone: &[], risk: Risk::Never };
        let answer = match elect(&election) {
            Verdict::FetchFrom(_) if self.makes(Mistake::NoFetch) => Elected::Promote,
            Verdict::PromoteMe(_) => Elected::Promote,
            Verdict::FetchFrom(name) => Elected::FetchFrom(id_of(&name)),
            Verdict::Refuse(_) => Elected::Refused,
        };
        self.elected.insert(key, answer);
        answer
    }

    fn survivor(&self, other: &Other) -> Survivor {
        let has = other.has.map(|has| self.set(has).clone()).ok_or_else(|| "it takes no part".to_string());
        Survivor { instance: instance(other.id, other.life), has }
    }

    fn in_known_life(&self, survivor: Survivor, sync: &InSync) -> Survivor {
        match sync.all().find(|one| one.node == survivor.instance.node) {
            Some(known) if self.makes(Mistake::LifeIgnored) => Survivor { instance: known.clone(), ..survivor },
            _ => survivor,
        }
    }

    /// The record as a mistaken election reads it.
    fn mistake_record(&self, record: &Record) -> Record {
        let mut record = record.clone();
        let Some(sync) = record.sync.as_mut() else { return record };
        if self.makes(Mistake::JoiningCountsAsMember) {
            sync.members.append(&mut sync.joining);
        }
        if self.makes(Mistake::NeededOneLess) {
            sync.acks += 1;
        }
        if self.makes(Mistake::PromotesOverAlone) && sync.acks == 0 {
            record.sync = None;
        }
        record
    }

    /// `found_set`.
    pub fn found_set(&self, has: Word, others: &[Other], wanted: u8) -> InSync {
        let survivors: Vec<Survivor> = others.iter().map(|one| self.survivor(one)).collect();
        let mut set = found_set(self.set(has), &survivors, wanted.into());
        if self.makes(Mistake::FoundAllMembers) {
            set.members.append(&mut set.joining);
        }
        set
    }
}
