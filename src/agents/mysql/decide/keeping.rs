//! What the primary and its replicas tell each other while the in-sync set is kept, and what a replica makes of it.

use std::fmt;

use super::record::{Instance, Instances};
use crate::gtid::GtidSet;
use crate::server::rows::parse_gtids;
use crate::server::version::Vendor;

/// What an instance tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// By the primary.
    Primary(Call),
    /// By a replica.
    Replica(Answer),
}

/// What the primary tells its replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its promotion.
    pub epoch: u64,
    /// Who may acknowledge: the in-sync set, as it was confirmed in the CIB.
    pub set: Instances,
    /// The number of the last note; 0: none yet.
    pub note: u64,
    /// The position that it notes.
    pub position: GtidSet,
    /// What it had when it last told so; `None`: never told.
    pub latest: Option<Latest>,
}

/// How much a primary had at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latest {
    /// The moment, by the primary's clock, in milliseconds: only compared.
    pub at: u64,
    /// How much.
    pub amount: Amount,
}

/// How much a server of one history has, in a few bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Amount {
    /// MySQL: so many transactions. The set may be long.
    Count(u64),
    /// MariaDB: up to this position.
    Position(GtidSet),
}

impl Amount {
    /// That of a server that has committed this.
    pub fn of(executed: &GtidSet) -> Self {
        match executed {
            GtidSet::MySql(_) => Self::Count(executed.count()),
            GtidSet::MariaDb(_) => Self::Position(executed.clone()),
        }
    }

    /// Whether a server of the same history has as much. Where replicas commit in another order than their source
    /// (`replica_preserve_commit_order=OFF`), what a single slow transaction changes may be missing yet.
    pub fn is_in(&self, executed: &GtidSet) -> bool {
        match self {
            Self::Count(count) => executed.count() >= *count,
            Self::Position(position) => executed.contains(position),
        }
    }
}

/// What a replica tells the primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The promotion that it answers to.
    pub epoch: u64,
    /// The life of its server.
    pub life: String,
    /// Whether its receiver acknowledges.
    pub receiver: Receiver,
    /// The last note whose position it has received.
    pub noted: u64,
    /// The server_id under which its receiver is registered at the primary.
    pub server_id: u64,
}

/// A replica's receiver, for the in-sync set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// It receives without acknowledging.
    Off,
    /// It acknowledges.
    On,
    /// It has ended for good: the server is about to be stopped.
    Leaving,
}

impl Said {
    /// Reads what a node told.
    ///
    /// # Errors
    /// A text of another form.
    pub fn parse(vendor: Vendor, text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split(' ').collect();
        let broken = || format!("'{text}' is not what an instance tells");
        let number = |word: &str| word.parse::<u64>().map_err(|_| broken());
        match words.as_slice() {
            ["primary", epoch, note, set, at, amount, position] => Ok(Self::Primary(Call {
                epoch: number(epoch)?,
                note: number(note)?,
                set: parse_set(set).ok_or_else(broken)?,
                position: parse_gtids(vendor, position)?,
                latest: match (number(at)?, vendor) {
                    (0, _) => None,
                    (at, Vendor::MySql) => Some(Latest { at, amount: Amount::Count(number(amount)?) }),
                    (at, Vendor::MariaDb) => {
                        Some(Latest { at, amount: Amount::Position(parse_gtids(vendor, amount)?) })
                    }
                },
            })),
            ["replica", epoch, life, receiver, noted, server_id] => Ok(Self::Replica(Answer {
                epoch: number(epoch)?,
                life: (*life).to_string(),
                receiver: match *receiver {
                    "on" => Receiver::On,
                    "off" => Receiver::Off,
                    "leaving" => Receiver::Leaving,
                    _ => return Err(broken()),
                },
                noted: number(noted)?,
                server_id: number(server_id)?,
            })),
            _ => Err(broken()),
        }
    }
}

fn parse_set(text: &str) -> Option<Instances> {
    let instance = |part: &str| {
        let (node, life) = part.rsplit_once(':')?;
        Some(Instance { node: node.to_string(), life: life.to_string() })
    };
    text.split(',').filter(|part| !part.is_empty()).map(instance).collect()
}

impl fmt::Display for Said {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primary(call) => {
                let set: Vec<String> = call.set.iter().map(Instance::to_string).collect();
                let Call { epoch, note, position, latest, .. } = call;
                let at = latest.as_ref().map_or(0, |latest| latest.at);
                let amount = match latest.as_ref().map(|latest| &latest.amount) {
                    None => String::new(),
                    Some(Amount::Count(count)) => count.to_string(),
                    Some(Amount::Position(position)) => position.to_string(),
                };
                write!(formatter, "primary {epoch} {note} {} {at} {amount} {position}", set.join(","))
            }
            Self::Replica(answer) => {
                let receiver = match answer.receiver {
                    Receiver::On => "on",
                    Receiver::Off => "off",
                    Receiver::Leaving => "leaving",
                };
                let Answer { epoch, life, noted, server_id, .. } = answer;
                write!(formatter, "replica {epoch} {life} {receiver} {noted} {server_id}")
            }
        }
    }
}

/// Whether this replica may acknowledge: only while the primary of the newest promotion says that it is in the set.
pub fn may_acknowledge(me: &Instance, call: Option<&Call>) -> bool {
    call.is_some_and(|call| call.set.contains(me))
}

/// The number of the note whose position `received` has; `known` is what was answered to this primary before.
pub fn noted(received: &GtidSet, call: &Call, known: u64) -> u64 {
    if received.contains(&call.position) {
        return call.note;
    }
    // A number that was answered before, but is not older than this note, was of another promotion.
    if known < call.note { known } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::{instance, instances};
    use super::*;

    fn call(note: u64, position: &str) -> Call {
        let position = parse_gtids(Vendor::MariaDb, position).expect("valid");
        let latest = Some(Latest { at: 17, amount: Amount::of(&position) });
        Call { epoch: 4, set: instances("db2 db3:b7"), note, position, latest }
    }

    #[test]
    fn what_is_told_is_read_as_it_was_told() {
        let answer = Answer { epoch: 4, life: "a1".into(), receiver: Receiver::On, noted: 8, server_id: 3 };
        let silent = Call { latest: None, ..call(9, "0-1-7") };
        let calls = [call(9, "0-1-7"), call(9, ""), silent.clone()].map(Said::Primary);
        for said in calls.into_iter().chain([Said::Replica(answer)]) {
            assert_eq!(Said::parse(Vendor::MariaDb, &said.to_string()), Ok(said));
        }
        let set = parse_gtids(Vendor::MySql, "aaaaaaaa-0000-0000-0000-000000000001:1-5:7").expect("valid");
        let latest = Some(Latest { at: 17, amount: Amount::of(&set) });
        let said = Said::Primary(Call { position: set, latest, ..silent });
        assert_eq!(Said::parse(Vendor::MySql, &said.to_string()), Ok(said));
    }

    #[test]
    fn anything_else_is_an_error() {
        for broken in [
            "",
            "primary 4",
            "primary x 1  1 0-1-7 0-1-7",
            "primary 4 1  1 x 0-1-7",
            "replica 4 a1 on 8 x",
            "somebody 4 a1 on 8 3",
        ] {
            assert!(Said::parse(Vendor::MariaDb, broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_domain_that_is_ahead_does_not_make_up_for_one_that_is_behind() {
        let position = |text| parse_gtids(Vendor::MariaDb, text).expect("valid");
        let amount = Amount::of(&position("0-1-100,1-1-100"));
        assert!(amount.is_in(&position("0-1-100,1-1-101")) && !amount.is_in(&position("0-1-50,1-1-200")));
    }

    #[test]
    fn invariant_1_only_this_life_of_an_instance_that_is_in_the_set_may_acknowledge() {
        assert!(may_acknowledge(&instance("db2"), Some(&call(0, ""))));
        assert!(!may_acknowledge(&instance("db3:other"), Some(&call(0, ""))));
        assert!(!may_acknowledge(&instance("db2"), None));
    }

    #[test]
    fn a_note_counts_when_its_position_was_received() {
        let received = parse_gtids(Vendor::MariaDb, "0-1-7").expect("valid");
        assert_eq!((noted(&received, &call(9, "0-1-7"), 3), noted(&received, &call(9, "0-1-8"), 3)), (9, 3));
        assert_eq!(noted(&received, &call(9, "0-1-8"), 12), 0, "a clock that was set back proves nothing");
    }
}
