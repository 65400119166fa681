//! What a verdict says about records made by hand.
#![allow(clippy::unwrap_used)]

use super::super::book::Acknowledged;
use super::super::event::{Event, What};
use super::super::final_data::NodeData;
use super::super::span::Reading;
use super::*;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn span(from: u64, to: u64) -> Span {
    let reading = |at: u64| Reading { asked: ms(at), answered: ms(at + 1) };
    Span { first: reading(from), last: reading(to) }
}

/// Ids 1 to 100, acknowledged every 10 ms from 10 ms on, but none from 500 ms to 2500 ms.
fn record() -> Record {
    let at = |id: u64| ms(10 * id + if id > 50 { 2000 } else { 0 });
    Record {
        ended: ms(3005),
        counted_gap: ms(100),
        acknowledged: (1..=100).map(|id| Acknowledged { id, sent: at(id) - ms(1), at: at(id) }).collect(),
        unknown: vec![101, 102],
        writable: vec![("db1".into(), vec![span(0, 400)]), ("db2".into(), vec![span(600, 3000)])],
        vip: vec![("db1".into(), vec![span(0, 450)]), ("db2".into(), vec![span(550, 3000)])],
        events: vec![Event { at: ms(495), what: What::Mark("fault: kill-daemon db1".into()) }],
        ..Record::default()
    }
}

fn node(name: &str, ids: impl IntoIterator<Item = u64>) -> NodeData {
    NodeData { node: name.into(), ids: ids.into_iter().collect(), checksum: Some(7) }
}

fn good_data() -> FinalData {
    FinalData { nodes: vec![node("db1", 1..=101), node("db2", 1..=101)] }
}

fn message(check: Result<()>) -> String {
    check.expect_err("should not hold").to_string()
}

#[test]
fn a_clean_failover_is_sound() {
    let verdict = record().verdict(&good_data());
    verdict.assert_sound().unwrap();
    assert_eq!(
        verdict.to_string(),
        "✓ acknowledged writes     100 in 3.0 s\n\
         ✓ longest time without    2.010 s, from 0.500s to 2.510s, after \"fault: kill-daemon db1\"\n\
         ✓ acknowledged and lost   none\n\
         · outcome unknown         2 (1 of them in the table); refused while read-only: 0\n\
         ✓ two writable nodes      never\n\
         ✓ two holders of the VIP  never\n\
         ✓ same data at the end    101 rows on db1, db2\n\
         · failed attempts         none"
    );
}

#[test]
fn an_acknowledged_row_that_is_nowhere_is_lost() {
    let without = || (1..=101).filter(|id| *id != 42);
    let data = FinalData { nodes: vec![node("db1", without()), node("db2", without())] };
    let verdict = record().verdict(&data);
    assert_eq!(
        message(verdict.assert_nothing_lost()),
        "acknowledged writes were lost: 1 row (42) on db1; 1 row (42) on db2"
    );
    verdict.assert_same_data().unwrap();
}

#[test]
fn an_acknowledged_row_that_one_node_lacks_is_lost_there_and_the_data_differs() {
    let data = FinalData { nodes: vec![node("db1", 1..=101), node("db2", 5..=101)] };
    let verdict = record().verdict(&data);
    assert!(message(verdict.assert_nothing_lost()).ends_with("4 rows (1, 2, 3, …) on db2"));
    assert_eq!(message(verdict.assert_same_data()), "the nodes' data differs: db2 lacks 4 rows (1, 2, 3, …)");
}

#[test]
fn a_row_of_unknown_outcome_may_be_missing() {
    let data = FinalData { nodes: vec![node("db1", 1..=100), node("db2", 1..=100)] };
    record().verdict(&data).assert_sound().unwrap();
}

#[test]
fn a_row_of_unknown_outcome_on_one_node_only_is_a_difference() {
    let data = FinalData { nodes: vec![node("db1", 1..=101), node("db2", 1..=100)] };
    let verdict = record().verdict(&data);
    verdict.assert_nothing_lost().unwrap();
    assert!(verdict.assert_same_data().is_err());
}

#[test]
fn same_ids_with_other_contents_differ() {
    let mut data = good_data();
    data.nodes[1].checksum = Some(8);
    let verdict = record().verdict(&data);
    assert!(message(verdict.assert_same_data()).contains("checksum"));
}

#[test]
fn two_writable_nodes_are_named_with_the_time() {
    let mut record = record();
    record.writable[1].1 = vec![span(300, 3000)];
    assert_eq!(
        message(record.verdict(&good_data()).assert_one_writer()),
        "two nodes were writable 1×, longest 0.101 s (db1 and db2 from 0.300s)"
    );
}

#[test]
fn two_holders_of_the_vip_are_named() {
    let mut record = record();
    record.vip[1].1 = vec![span(300, 3000)];
    let verdict = record.verdict(&good_data());
    verdict.assert_one_writer().unwrap();
    assert!(message(verdict.assert_one_vip()).starts_with("two nodes held the VIP 1×"));
}

#[test]
fn nothing_seen_is_nothing_proven() {
    let verdict = Record::default().verdict(&FinalData::default());
    assert!(verdict.assert_nothing_lost().is_err());
    assert!(verdict.assert_one_writer().is_err());
    assert!(verdict.assert_one_vip().is_err());
    assert!(verdict.assert_same_data().is_err());
    assert!(verdict.assert_flowing().is_err());
    assert!(verdict.assert_gap_within(Duration::MAX).is_err());
}

#[test]
fn writes_that_did_not_come_back_are_told() {
    let mut record = record();
    record.ended = ms(9000);
    let verdict = record.verdict(&good_data());
    assert!(message(verdict.assert_flowing()).contains("6.000 s, from 3.000s to the end at 9.000s"));
}

#[test]
fn a_gap_is_held_against_the_limit() {
    let verdict = record().verdict(&good_data());
    verdict.assert_gap_within(ms(2010)).unwrap();
    assert!(verdict.assert_gap_within(ms(2009)).is_err());
}
