//! What a notification says, and what follows from it. Pure.
//! The lists are the state *before* the transition (Pacemaker Administration, "Clone Resource Agent Requirements").

use std::collections::BTreeMap;

/// Before or after the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The operation has not begun.
    Pre,
    /// The operation has ended.
    Post,
}

/// What is about to happen, or has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Instances start.
    Start,
    /// Instances stop.
    Stop,
    /// Instances are promoted.
    Promote,
    /// Instances are demoted.
    Demote,
}

/// A notification, or the same picture as it goes with the other actions (then without moment and operation).
#[derive(Clone, Debug, Default)]
pub struct Notification {
    /// What this notification is about; `None` if the call is not a notification.
    pub about: Option<(Moment, Operation)>,
    /// Nodes whose instance is promoted before the transition.
    pub promoted: Vec<String>,
    /// Nodes whose instance runs unpromoted before the transition.
    pub unpromoted: Vec<String>,
    /// Nodes where an instance starts.
    pub start: Vec<String>,
    /// Nodes where an instance stops.
    pub stop: Vec<String>,
    /// Nodes where an instance is promoted.
    pub promote: Vec<String>,
    /// Nodes where an instance is demoted.
    pub demote: Vec<String>,
}

impl Notification {
    /// Reads the meta attributes (names without `CRM_meta_`). New names first, then those before 2.1.0.
    pub fn from_meta(meta: &BTreeMap<String, String>) -> Self {
        let nodes = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| meta.get(&format!("notify_{name}_uname")))
                .map(|list| list.split_whitespace().map(str::to_string).collect())
                .unwrap_or_default()
        };
        let moment = match meta.get("notify_type").map(String::as_str) {
            Some("pre") => Some(Moment::Pre),
            Some("post") => Some(Moment::Post),
            _ => None,
        };
        let operation = match meta.get("notify_operation").map(String::as_str) {
            Some("start") => Some(Operation::Start),
            Some("stop") => Some(Operation::Stop),
            Some("promote") => Some(Operation::Promote),
            Some("demote") => Some(Operation::Demote),
            _ => None,
        };
        Self {
            about: moment.zip(operation),
            promoted: nodes(&["promoted", "master"]),
            unpromoted: nodes(&["unpromoted", "slave"]),
            start: nodes(&["start"]),
            stop: nodes(&["stop"]),
            promote: nodes(&["promote"]),
            demote: nodes(&["demote"]),
        }
    }

    /// The nodes whose instance is there while an instance is promoted: those that ran and are not stopped, and those
    /// that were started, each once and in order.
    pub fn present_at_promotion(&self) -> Vec<String> {
        let mut present: Vec<String> = self
            .promoted
            .iter()
            .chain(&self.unpromoted)
            .filter(|node| !self.stop.contains(node))
            .chain(&self.start)
            .cloned()
            .collect();
        present.sort();
        present.dedup();
        present
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| (format!("notify_{name}"), value.to_string())).collect()
    }

    #[test]
    fn convention_15_lists_are_trimmed_and_the_new_names_win_over_the_old() {
        let read = Notification::from_meta(&meta(&[
            ("type", "pre"),
            ("operation", "promote"),
            ("unpromoted_uname", " db2  db3 "),
            ("slave_uname", "db9"),
            ("master_uname", "db1"),
            ("promote_uname", "db2"),
        ]));
        assert_eq!(read.about, Some((Moment::Pre, Operation::Promote)));
        assert_eq!(read.unpromoted, ["db2", "db3"]);
        assert_eq!(read.promoted, ["db1"], "before 2.1.0 only the old name is sent");
        assert_eq!(read.promote, ["db2"]);
    }

    #[test]
    fn convention_15_who_is_there_at_a_promotion_is_derived_from_the_state_before() {
        let read = Notification::from_meta(&meta(&[
            ("promoted_uname", "db1"),
            ("unpromoted_uname", "db2 db3"),
            ("stop_uname", "db1"),
            ("start_uname", "db1"),
            ("promote_uname", "db2"),
        ]));
        assert_eq!(read.present_at_promotion(), ["db1", "db2", "db3"]);
    }

    #[test]
    fn convention_16_the_same_lists_without_a_type_are_no_notification() {
        let read = Notification::from_meta(&meta(&[("promote_uname", "db2")]));
        assert_eq!((read.about, read.promote.len()), (None, 1));
    }

    #[test]
    fn convention_17_without_notify_the_lists_are_empty() {
        assert!(Notification::from_meta(&BTreeMap::new()).present_at_promotion().is_empty());
    }
}
