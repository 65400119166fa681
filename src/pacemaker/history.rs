//! What the cluster has on record of a resource's operations on each node: where something may still be that was started
//! there, also on a node that nobody sees any more. Pure.
//!
//! Pacemaker forgets a node's operations once it has fenced it (controld, `controld_delete_node_state`), and keeps those of a
//! node that was only lost. So a node that is gone and is said to have it may have it, and nobody knows better.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use quick_xml::Reader;
use quick_xml::events::Event;

use super::parse::attributes_of;

/// What is known of the resource on one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The node is a member of the cluster, and its Pacemaker takes part.
    pub is_member: bool,
    /// Whether it is there, by the last operation that tells.
    pub last: Last,
    /// When that came to be, by the node's own clock, since 1970.
    pub since: Option<Duration>,
    /// What tells that operation from all others of its node.
    pub operation: String,
    /// It failed to start, or to be promoted.
    pub has_failed: bool,
}

/// What the last operation says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// It may be there: nothing says for certain that it is not.
    MayBeThere,
    /// It was stopped, or demoted.
    GivenBack,
    /// It was looked for, and not found; or is an instance that only stands by.
    NotThere,
}

/// What makes an instance have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Being started.
    Start,
    /// Being promoted: the resource is a promotable clone.
    Promotion,
}

/// An operation as it is on record.
#[derive(Debug)]
struct Operation {
    name: String,
    /// In the order in which they were done; `None`: it has not ended.
    number: Option<i64>,
    code: i64,
    changed: Option<Duration>,
}

/// Reads the `node_state` elements that `cibadmin --query --xpath` found.
///
/// # Errors
/// When the text is not XML.
pub fn read(xml: &str, resource: &str, by: By) -> Result<BTreeMap<String, Seen>> {
    let mut reader = Reader::from_str(xml);
    let mut found = BTreeMap::new();
    let (mut node, mut is_ours) = (None, false);
    let mut operations: Vec<Operation> = Vec::new();
    loop {
        match reader.read_event().context("it is not XML")? {
            Event::Start(element) | Event::Empty(element) => {
                let attributes = attributes_of(&element)?;
                let get = |name: &str| attributes.get(name).map(String::as_str).unwrap_or_default();
                match element.name().as_ref() {
                    "node_state" => {
                        let is_there = is_true(get("in_ccm")) && is_true(get("crmd")) && get("join") == "member";
                        node = Some((get("uname").to_string(), is_there));
                        operations.clear();
                    }
                    "lrm_resource" => is_ours = get("id").split(':').next() == Some(resource),
                    "lrm_rsc_op" if is_ours => operations.push(Operation {
                        name: get("operation").to_string(),
                        number: get("call-id").parse().ok().filter(|number| *number >= 0),
                        code: get("rc-code").parse().unwrap_or(-1),
                        changed: get("last-rc-change").parse().ok().map(Duration::from_secs),
                    }),
                    _ => {}
                }
            }
            Event::End(element) if element.name().as_ref() == "node_state" => {
                if let Some((name, is_member)) = node.take()
                    && let Some((operation, last)) = judge(&operations, by)
                {
                    let has_failed = operations.iter().any(is_failed_start);
                    let (since, operation) = (operation.changed, operation.identity());
                    found.insert(name, Seen { is_member, last, since, operation, has_failed });
                }
            }
            Event::Eof => return Ok(found),
            _ => {}
        }
    }
}

/// A state, or since when it holds: newer versions note times.
fn is_true(value: &str) -> bool {
    matches!(value, "true" | "online") || value.parse::<u64>().is_ok_and(|time| time > 0)
}

fn is_failed_start(operation: &Operation) -> bool {
    matches!(operation.name.as_str(), "start" | "promote") && operation.number.is_some() && operation.code != 0
}

impl Operation {
    fn identity(&self) -> String {
        let number = self.number.map_or("pending".into(), |number| number.to_string());
        format!("{number}.{}", self.changed.unwrap_or_default().as_secs())
    }
}

/// The last operation that tells, and what it says; `None`: none of them tells.
fn judge(operations: &[Operation], by: By) -> Option<(&Operation, Last)> {
    let telling = operations.iter().filter_map(|operation| Some((operation, tells(operation, by)?)));
    telling.max_by_key(|(operation, _)| operation.number.unwrap_or(i64::MAX))
}

/// What this one says. What has failed, or has not ended, leaves it open.
fn tells(operation: &Operation, by: By) -> Option<Last> {
    let is_under_way = operation.number.is_none();
    match (operation.name.as_str(), by) {
        ("start", By::Start) | ("promote", By::Promotion) => Some(Last::MayBeThere),
        ("start", By::Promotion) => Some(Last::NotThere),
        // Of a clone, also an instance is stopped that only stood by.
        ("stop", By::Promotion) if operation.code == 0 && !is_under_way => Some(Last::NotThere),
        ("stop", _) | ("demote", By::Promotion) if operation.code == 0 && !is_under_way => Some(Last::GivenBack),
        ("stop", _) | ("demote", By::Promotion) => Some(Last::MayBeThere),
        ("monitor", _) if is_under_way => None,
        // OCF's codes: running, not running, and 190, running with something amiss.
        ("monitor", By::Start) if operation.code == 7 => Some(Last::NotThere),
        ("monitor", By::Promotion) if matches!(operation.code, 0 | 7 | 190) => Some(Last::NotThere),
        ("monitor", _) => Some(Last::MayBeThere),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Last::*;
    use super::*;

    fn operation(name: &str, number: i64, code: i64) -> String {
        format!(
            "<lrm_rsc_op operation=\"{name}\" call-id=\"{number}\" rc-code=\"{code}\" last-rc-change=\"{number}\"/>"
        )
    }

    fn state(name: &str, there: &str, operations: &[String]) -> String {
        format!(
            "<node_state uname=\"{name}\" in_ccm=\"{there}\" crmd=\"{there}\" join=\"member\"><lrm><lrm_resources>\
             <lrm_resource id=\"p_other\"><lrm_rsc_op operation=\"start\" call-id=\"99\" rc-code=\"0\"/></lrm_resource>\
             <lrm_resource id=\"p_vip\">{}</lrm_resource></lrm_resources></lrm></node_state>",
            operations.concat()
        )
    }

    fn last(operations: &[(&str, i64, i64)], by: By) -> Option<Last> {
        let operations: Vec<String> =
            operations.iter().map(|(name, number, code)| operation(name, *number, *code)).collect();
        let xml = format!("<xpath-query>{}</xpath-query>", state("db1", "true", &operations));
        read(&xml, "p_vip", by).expect("readable").get("db1").map(|seen| seen.last)
    }

    #[test]
    fn what_was_started_and_not_stopped_may_be_there() {
        let with = |operations: &[(&str, i64, i64)]| last(operations, By::Start);
        assert_eq!(with(&[]), None);
        assert_eq!(with(&[("monitor", 5, 7)]), Some(NotThere), "a probe that has found nothing");
        assert_eq!(with(&[("monitor", 5, 7), ("start", 8, 0), ("monitor", 9, 0)]), Some(MayBeThere));
        assert_eq!(with(&[("monitor", 9, 0), ("stop", 12, 0)]), Some(GivenBack));
        assert_eq!(with(&[("monitor", 9, 0), ("stop", 12, 1)]), Some(MayBeThere), "it could not be stopped");
        assert_eq!(with(&[("stop", 12, 0), ("start", -1, -1)]), Some(MayBeThere), "a start that is under way");
        assert_eq!(with(&[("start", 8, 0), ("stop", -1, -1)]), Some(MayBeThere), "a stop that has not ended");
        assert_eq!(with(&[("start", 8, 1)]), Some(MayBeThere), "a start that failed half-way");
    }

    #[test]
    fn of_a_clone_only_the_promoted_instance_may_have_it() {
        let with = |operations: &[(&str, i64, i64)]| last(operations, By::Promotion);
        assert_eq!(with(&[("start", 8, 0), ("monitor", 9, 0)]), Some(NotThere));
        assert_eq!(with(&[("start", 8, 0), ("promote", 11, 0)]), Some(MayBeThere));
        assert_eq!(with(&[("promote", 11, 0), ("monitor", 12, 8)]), Some(MayBeThere));
        assert_eq!(with(&[("monitor", 12, 8), ("demote", 15, 0)]), Some(GivenBack));
        assert_eq!(with(&[("monitor", 12, 8), ("demote", -1, -1)]), Some(MayBeThere));
    }

    #[test]
    fn a_start_that_failed_is_remembered_after_the_stop_that_follows() {
        let xml = state("db1", "true", &[operation("start", 8, 1), operation("stop", 9, 0)]);
        let seen = &read(&xml, "p_vip", By::Start).expect("readable")["db1"];
        assert!(seen.has_failed && seen.last == GivenBack);
    }

    #[test]
    fn a_node_is_a_member_by_a_word_or_by_a_time() {
        for (there, is_member) in [("true", true), ("1764274000", true), ("false", false), ("0", false)] {
            let xml = state("db1", there, &[operation("start", 3, 0)]);
            let seen = &read(&xml, "p_vip", By::Start).expect("readable")["db1"];
            assert_eq!((seen.is_member, seen.since), (is_member, Some(Duration::from_secs(3))), "{there}");
        }
        // As they write it for crmd.
        assert!(is_true("online") && !is_true("offline") && !is_true(""));
    }
}
