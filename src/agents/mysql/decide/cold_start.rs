//! No instance is promoted, and none may be by what the cluster already knows: who goes first?
//!
//! The rule: 1. where a running replica is eligible already, it is left to that one. 2. The primary of the last
//! promotion has everything by itself and goes first at once. 3. When all instances that the clone may have were heard,
//! the one that has everything that the others have goes first, among equals the first by name. 4. With an instance
//! missing, that is decided among those that were heard after `cold_start_timeout`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::record::Record;
use crate::gtid::{GtidSet, Relation};

/// What is known.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// This node.
    pub me: &'a str,
    /// The last promotion, if there was one.
    pub record: Option<&'a Record>,
    /// What the instances have, by node, this one among them; an instance that is excluded is not here.
    pub positions: &'a BTreeMap<String, GtidSet>,
    /// Instances that were heard, the excluded ones counted.
    pub heard: usize,
    /// How many instances the clone may have.
    pub expected: usize,
    /// A running replica that may be promoted.
    pub eligible_elsewhere: Option<&'a str>,
    /// How long this instance has been up without a primary.
    pub waited: Duration,
    /// For how long a missing instance is waited for.
    pub patience: Duration,
}

/// What this instance does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It offers itself; why.
    Offer(String),
    /// It does not, for now; why.
    Wait(String),
}

/// Applies the rule.
pub fn decide(facts: &Facts<'_>) -> Verdict {
    if let Some(node) = facts.eligible_elsewhere {
        return Verdict::Wait(format!("{node} is to be promoted"));
    }
    if let Some(record) = facts.record
        && record.primary == facts.me
    {
        return Verdict::Offer("was the last primary".into());
    }
    let missing = facts.expected.saturating_sub(facts.heard);
    if missing > 0 && facts.waited < facts.patience {
        return Verdict::Wait(match facts.record {
            Some(record) => format!("waiting for {missing} more, among them the last primary {}", record.primary),
            None => format!("waiting for {missing} more"),
        });
    }
    match most_advanced(facts.positions) {
        Some(node) if node == facts.me => Verdict::Offer("is the most advanced".into()),
        Some(node) => Verdict::Wait(format!("{node} is the most advanced")),
        None => {
            Verdict::Wait("no instance has everything that the others have: decide by hand which data count".into())
        }
    }
}

/// The one that has everything that the others have; among equals the first by name.
fn most_advanced(positions: &BTreeMap<String, GtidSet>) -> Option<&str> {
    let has_all = |set: &GtidSet| {
        positions.values().all(|other| matches!(set.relation_to(other), Relation::Equal | Relation::Ahead))
    };
    positions.iter().find(|(_, set)| has_all(set)).map(|(node, _)| node.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::open;
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    struct Case {
        positions: BTreeMap<String, GtidSet>,
        record: Option<Record>,
        eligible_elsewhere: Option<&'static str>,
        waited: Duration,
    }

    impl Case {
        fn new(positions: &[(&str, &str)]) -> Self {
            let parse = |set: &str| GtidSet::parse_mariadb(set).expect("valid");
            Self {
                positions: positions.iter().map(|(node, set)| (node.to_string(), parse(set))).collect(),
                record: None,
                eligible_elsewhere: None,
                waited: Duration::ZERO,
            }
        }

        /// The nodes of three that offer themselves.
        fn offers(&self) -> Vec<&str> {
            let offers = |me: &&String| {
                let facts = Facts {
                    me,
                    record: self.record.as_ref(),
                    positions: &self.positions,
                    heard: self.positions.len(),
                    expected: 3,
                    eligible_elsewhere: self.eligible_elsewhere,
                    waited: self.waited,
                    patience: PATIENCE,
                };
                matches!(decide(&facts), Verdict::Offer(_))
            };
            self.positions.keys().filter(offers).map(String::as_str).collect()
        }
    }

    fn record(primary: &str) -> Option<Record> {
        Some(Record { primary: primary.into(), sync: None, ..open(0, "", "") })
    }

    #[test]
    fn an_empty_new_cluster_elects_one_at_once() {
        assert_eq!(Case::new(&[("db1", ""), ("db2", ""), ("db3", "")]).offers(), ["db1"]);
    }

    #[test]
    fn of_a_used_cluster_the_most_advanced_goes_first() {
        assert_eq!(Case::new(&[("db1", "0-1-5"), ("db2", "0-1-9"), ("db3", "0-1-9")]).offers(), ["db2"]);
    }

    #[test]
    fn the_last_primary_goes_first_without_waiting_for_anybody() {
        let case = Case { record: record("db3"), ..Case::new(&[("db3", "0-1-9")]) };
        assert_eq!(case.offers(), ["db3"]);
    }

    #[test]
    fn a_missing_node_is_waited_for_but_not_for_ever() {
        let case = Case { record: record("db1"), ..Case::new(&[("db2", "0-1-5"), ("db3", "0-1-9")]) };
        assert!(case.offers().is_empty());
        assert_eq!(Case { waited: PATIENCE, ..case }.offers(), ["db3"]);
    }

    #[test]
    fn nobody_offers_itself_while_a_running_replica_is_eligible() {
        let case = Case { record: record("db1"), eligible_elsewhere: Some("db2"), ..Case::new(&[("db1", "0-1-9")]) };
        assert!(case.offers().is_empty());
    }

    #[test]
    fn nobody_goes_first_where_histories_diverge_unless_one_was_the_last_primary() {
        let case = Case::new(&[("db1", "0-1-9"), ("db2", "0-2-9"), ("db3", "")]);
        assert!(case.offers().is_empty());
        assert_eq!(Case { record: record("db2"), ..case }.offers(), ["db2"]);
    }
}
