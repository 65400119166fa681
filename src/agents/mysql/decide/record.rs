//! The resource's record in the CIB: the last promotion, and who has everything that was acknowledged since (the in-sync
//! set). One value, which changes as one: nobody ever sees half a change.

use std::collections::BTreeSet;
use std::fmt;

/// One life of a server on a node. What a server had received before it was started anew may be gone with its relay log,
/// so a set of nodes alone would not say who has everything.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance {
    /// The node.
    pub node: String,
    /// Which of its server's lives.
    pub life: String,
}

/// Instances, in the order of their nodes.
pub type Instances = BTreeSet<Instance>;

/// How far a promotion is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Its primary had everything, and acknowledges writes. Written as the last thing before it opens.
    Open,
    /// Its primary was closed, and `last` is everything that it ever acknowledged.
    Closed,
}

/// The last promotion.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// Grows by one with each promotion.
    pub epoch: u64,
    /// How far it is.
    pub state: State,
    /// The node that was promoted.
    pub primary: String,
    /// The identity in the GTIDs of what that primary writes: MySQL's server_uuid, MariaDB's server_id.
    pub uuid: Option<String>,
    /// The in-sync set; `None` where semi-sync is not managed, and nothing is promised.
    pub sync: Option<InSync>,
    /// What the primary had when it was closed.
    pub last: Option<String>,
    /// A promotion that may have lost acknowledged writes: why it was done all the same.
    pub risk: Option<String>,
    /// What the primary had when it was promoted: everything else in its history is its own.
    pub base: String,
}

/// The promise: each write acknowledged in this epoch is on the primary and on at least `acks` of members and joining
/// together, and the members have everything that was acknowledged before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct InSync {
    /// On how many of them; 0: the primary is alone, and nobody else may be promoted.
    pub acks: u32,
    /// Those that have everything.
    pub members: Instances,
    /// Those that may acknowledge, and do not have everything yet.
    pub joining: Instances,
}

impl InSync {
    /// Members and joining: all that may acknowledge.
    pub fn all(&self) -> impl Iterator<Item = &Instance> {
        self.members.iter().chain(&self.joining)
    }

    /// Whether this very life of an instance is among them.
    pub fn has(&self, instance: &Instance) -> bool {
        self.members.contains(instance) || self.joining.contains(instance)
    }

    /// Reads a set that stands for itself.
    pub fn parse(text: &str) -> Option<Self> {
        let words: Vec<(&str, &str)> = text.split_whitespace().filter_map(|word| word.split_once('=')).collect();
        Self::from_words(&words)
    }

    fn from_words(words: &[(&str, &str)]) -> Option<Self> {
        let field = |name: &str| words.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        Some(Self {
            acks: field("acks")?.parse().ok()?,
            members: parse_instances(field("members")?)?,
            joining: parse_instances(field("joining")?)?,
        })
    }

    /// How many of them must be there at a promotion: with fewer, a write may be only where nobody can see it.
    pub fn needed(&self) -> usize {
        (self.members.len() + self.joining.len() + 1).saturating_sub(self.acks as usize)
    }
}

impl Record {
    /// Reads the value; fields that a later version adds are passed over.
    ///
    /// # Errors
    /// A value without epoch, state or primary.
    pub fn parse(text: &str) -> Result<Self, String> {
        let broken = || format!("the resource's record in the cluster's configuration cannot be read: '{text}'");
        let words: Vec<(&str, &str)> = text.split_whitespace().filter_map(|word| word.split_once('=')).collect();
        Self::from_words(&words).ok_or_else(broken)
    }

    fn from_words(words: &[(&str, &str)]) -> Option<Self> {
        let field = |name: &str| words.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        let sync = match field("acks") {
            None => None,
            Some(_) => Some(InSync::from_words(words)?),
        };
        Some(Self {
            epoch: field("epoch")?.parse().ok()?,
            state: match field("state")? {
                "open" => State::Open,
                "closed" => State::Closed,
                _ => return None,
            },
            primary: field("primary").filter(|node| !node.is_empty())?.to_string(),
            uuid: field("uuid").map(str::to_string),
            sync,
            last: field("last").map(str::to_string),
            risk: field("risk").map(|risk| risk.replace('_', " ")),
            base: field("base").unwrap_or_default().to_string(),
        })
    }

    fn words(&self) -> Vec<String> {
        let state = match self.state {
            State::Open => "open",
            State::Closed => "closed",
        };
        let mut words =
            vec![format!("epoch={}", self.epoch), format!("state={state}"), format!("primary={}", self.primary)];
        words.extend(self.uuid.iter().map(|uuid| format!("uuid={uuid}")));
        words.extend(self.sync.iter().map(InSync::to_string));
        words.extend(self.risk.iter().map(|risk| format!("risk={}", in_one_word(risk, "_"))));
        words.extend(self.last.iter().map(|last| format!("last={}", in_one_word(last, ""))));
        words.push(format!("base={}", in_one_word(&self.base, "")));
        words
    }

    /// Whether this instance is in the set, as what.
    pub fn place_of(&self, instance: &Instance) -> Option<Place> {
        let sync = self.sync.as_ref()?;
        if sync.members.contains(instance) {
            Some(Place::Member)
        } else {
            sync.joining.contains(instance).then_some(Place::Joining)
        }
    }
}

/// A place in the in-sync set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It has everything.
    Member,
    /// It may acknowledge.
    Joining,
}

fn in_one_word(text: &str, joint: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(joint)
}

fn parse_instances(text: &str) -> Option<Instances> {
    let instances = text.split(',').filter(|part| !part.is_empty()).map(|part| {
        let (node, life) = part.rsplit_once(':')?;
        Some(Instance { node: node.to_string(), life: life.to_string() })
    });
    instances.collect()
}

fn print_instances(instances: &Instances) -> String {
    instances.iter().map(Instance::to_string).collect::<Vec<_>>().join(",")
}

impl fmt::Display for Instance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.node, self.life)
    }
}

impl fmt::Display for InSync {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (members, joining) = (print_instances(&self.members), print_instances(&self.joining));
        write!(formatter, "acks={} members={members} joining={joining}", self.acks)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.words().join(" "))
    }
}

/// The epoch of the promotion that comes next.
pub fn next_epoch(record: Option<&Record>) -> u64 {
    record.map_or(1, |record| record.epoch + 1)
}

/// The names of instances' nodes, for people.
pub fn names<'a>(instances: impl IntoIterator<Item = &'a Instance>) -> String {
    let names: Vec<&str> = instances.into_iter().map(|instance| instance.node.as_str()).collect();
    if names.is_empty() { "nobody".into() } else { names.join(", ") }
}

#[cfg(test)]
pub(in super::super) mod tests {
    use super::*;

    /// An instance in its first life, unless the name says another: `db2` or `db2:7`.
    pub fn instance(text: &str) -> Instance {
        let (node, life) = text.split_once(':').unwrap_or((text, "1"));
        Instance { node: node.into(), life: life.into() }
    }

    pub(in super::super) fn instances(text: &str) -> Instances {
        text.split_whitespace().map(instance).collect()
    }

    /// An open promotion of db1 with this set.
    pub fn open(acks: u32, members: &str, joining: &str) -> Record {
        Record {
            epoch: 5,
            state: State::Open,
            primary: "db1".into(),
            uuid: None,
            sync: Some(InSync { acks, members: instances(members), joining: instances(joining) }),
            last: None,
            risk: None,
            base: String::new(),
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = Record {
            epoch: 7,
            state: State::Closed,
            uuid: Some("a-b".into()),
            last: Some("a-b:1-9".into()),
            risk: Some("db2 was not there".into()),
            base: "a-b:1-5,\nc:1".into(),
            ..open(2, "db2", "db3:a9")
        };
        let read = Record::parse(&record.to_string()).expect("readable");
        assert_eq!(read, Record { base: "a-b:1-5,c:1".into(), ..record });
    }

    #[test]
    fn an_empty_history_and_an_unmanaged_set_are_read_as_such() {
        let record = Record { sync: None, ..open(0, "", "") };
        assert_eq!(Record::parse(&record.to_string()), Ok(record));
    }

    #[test]
    fn fields_of_a_later_version_are_passed_over_and_a_broken_record_is_an_error() {
        assert_eq!(Record::parse("epoch=3 state=open primary=db1 later=x base=").map(|record| record.epoch), Ok(3));
        for broken in ["primary=db1", "", "epoch=3 state=ajar primary=db1", "epoch=1 state=open primary=db1 acks=1"] {
            assert!(Record::parse(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn with_one_acknowledgement_all_must_be_there_and_with_more_one_less_each() {
        let needed = |acks, members| open(acks, members, "").sync.expect("managed").needed();
        assert_eq!((needed(1, "db2 db3"), needed(2, "db2 db3"), needed(1, "db2")), (2, 1, 1));
        assert_eq!(needed(0, ""), 1, "a primary that is alone has everything alone");
    }
}
