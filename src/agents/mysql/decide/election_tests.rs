//! Tests of the election: over all orders of the candidates, and for the sets that are hard to compare.

use super::super::record::tests::{instance, open};
use super::*;

fn maria(position: &str) -> GtidSet {
    GtidSet::parse_mariadb(position).expect("valid")
}

fn survivor(name: &str, has: &str) -> Survivor {
    Survivor { instance: instance(name), has: Ok(maria(has)) }
}

fn excluded(name: &str) -> Survivor {
    Survivor { instance: instance(name), has: Err("its SQL thread stopped".into()) }
}

/// The verdict, which must not depend on the order in which the survivors are heard.
fn elect_in_all_orders(
    record: Option<&Record>,
    me: &Survivor,
    survivors: &[Survivor],
    gone: &[&str],
    risk: Risk,
) -> Verdict {
    let gone: Vec<String> = gone.iter().map(|node| node.to_string()).collect();
    let verdicts: Vec<Verdict> = orders(survivors)
        .iter()
        .map(|survivors| elect(&Election { record, me, survivors, gone: &gone, risk }))
        .collect();
    assert!(verdicts.iter().all(|verdict| *verdict == verdicts[0]), "{verdicts:?}");
    verdicts[0].clone()
}

fn orders(survivors: &[Survivor]) -> Vec<Vec<Survivor>> {
    if survivors.is_empty() {
        return vec![vec![]];
    }
    let with_first = |first: usize| {
        let mut rest = survivors.to_vec();
        let first = rest.remove(first);
        orders(&rest).into_iter().map(move |mut order| {
            order.insert(0, first.clone());
            order
        })
    };
    (0..survivors.len()).flat_map(with_first).collect()
}

fn decide(record: &Record, me: Survivor, survivors: &[Survivor]) -> Verdict {
    elect_in_all_orders(Some(record), &me, survivors, &[], Risk::Never)
}

fn refusal(verdict: Verdict) -> String {
    match verdict {
        Verdict::Refuse(why) => why,
        other => panic!("must be refused, not {other:?}"),
    }
}

const PROMOTE: Verdict = Verdict::PromoteMe(None);

#[test]
fn with_one_acknowledgement_the_whole_set_must_be_there() {
    let record = open(1, "db2 db3", "");
    assert_eq!(decide(&record, survivor("db2", "0-1-9"), &[survivor("db3", "0-1-9")]), PROMOTE);
    let why = refusal(decide(&record, survivor("db2", "0-1-9"), &[]));
    assert!(why.contains("db3 may have acknowledged writes") && why.contains("db1"), "{why}");
}

#[test]
fn with_two_acknowledgements_one_of_the_set_may_be_missing() {
    assert_eq!(decide(&open(2, "db2 db3", ""), survivor("db2", "0-1-9"), &[]), PROMOTE);
}

#[test]
fn invariant_3_who_is_not_in_the_set_is_promoted_only_when_the_set_is_there_to_fetch_from() {
    let record = open(1, "db3", "");
    assert!(refusal(decide(&record, survivor("db2", "0-1-7"), &[])).contains("db3"));
    let with_member = decide(&record, survivor("db2", "0-1-7"), &[survivor("db3", "0-1-9")]);
    assert_eq!(with_member, Verdict::FetchFrom("db3".into()));
}

#[test]
fn invariant_3_joining_alone_is_not_enough() {
    let record = open(1, "", "db2");
    assert!(refusal(decide(&record, survivor("db2", "0-1-9"), &[])).contains("none of those"));
}

#[test]
fn objection_2_another_life_of_a_member_has_perhaps_not_what_the_first_received() {
    assert!(matches!(decide(&open(1, "db2:1", ""), survivor("db2:2", "0-1-9"), &[]), Verdict::Refuse(_)));
}

#[test]
fn the_last_primary_has_everything_by_itself() {
    let record = Record { base: "0-3-5".into(), ..open(1, "db2 db3", "") };
    assert_eq!(decide(&record, survivor("db1:9", "0-1-9"), &[]), PROMOTE);
    assert_eq!(
        decide(&record, survivor("db2", "0-1-8"), &[survivor("db1:9", "0-1-9")]),
        Verdict::FetchFrom("db1".into())
    );
}

#[test]
fn an_older_backup_on_the_last_primarys_node_is_another_server() {
    let record = Record { base: "0-3-50".into(), ..open(1, "db2 db3", "") };
    assert!(matches!(decide(&record, survivor("db1:9", "0-3-40"), &[]), Verdict::Refuse(_)));
}

#[test]
fn objection_10_nobody_is_promoted_over_a_primary_that_was_alone() {
    let record = open(0, "", "db2 db3");
    let why = refusal(decide(&record, survivor("db2", "0-1-9"), &[survivor("db3", "0-1-9")]));
    assert!(why.contains("alone"), "{why}");
}

#[test]
fn after_a_clean_closing_who_has_the_last_position_has_everything() {
    let record = Record { state: State::Closed, last: Some("0-1-9".into()), ..open(0, "", "") };
    assert_eq!(decide(&record, survivor("db2:7", "0-1-9"), &[]), PROMOTE);
    assert!(matches!(decide(&record, survivor("db2:7", "0-1-8"), &[]), Verdict::Refuse(_)));
    let fetch = decide(&record, survivor("db2:7", "0-1-8"), &[survivor("db3:7", "0-1-9")]);
    assert_eq!(fetch, Verdict::FetchFrom("db3".into()));
}

#[test]
fn objection_9_a_promotion_that_ended_before_it_opened_leaves_its_node_and_its_equals_eligible() {
    let record = Record { primary: "db2".into(), base: "0-1-9".into(), ..open(1, "db1 db3", "") };
    assert_eq!(decide(&record, survivor("db2", "0-1-9"), &[]), PROMOTE);
    assert_eq!(decide(&record, survivor("db1", "0-1-9"), &[survivor("db3", "0-1-9")]), PROMOTE);
}

#[test]
fn a_risk_is_taken_only_where_it_is_allowed_and_everybody_else_is_gone() {
    let record = open(1, "db2 db3", "");
    let risk = |gone: &[&str], may| elect_in_all_orders(Some(&record), &survivor("db3", "0-1-9"), &[], gone, may);
    assert!(matches!(risk(&["db1", "db2"], Risk::Never), Verdict::Refuse(_)));
    assert!(matches!(risk(&["db1"], Risk::OfThoseGone), Verdict::Refuse(_)), "db2 may still acknowledge");
    assert!(matches!(risk(&["db1", "db2"], Risk::OfThoseGone), Verdict::PromoteMe(Some(why)) if why.contains("db2")));
    assert!(matches!(risk(&[], Risk::Ordered), Verdict::PromoteMe(Some(why)) if why.contains("db2")));
}

#[test]
fn an_order_does_not_let_a_broken_one_be_promoted_nor_forget_what_others_have() {
    let record = open(1, "db2", "");
    let ordered =
        |me: &Survivor, others: &[Survivor]| elect_in_all_orders(Some(&record), me, others, &[], Risk::Ordered);
    assert!(matches!(ordered(&excluded("db3"), &[]), Verdict::Refuse(_)));
    let other = survivor("db4", "0-1-9");
    assert_eq!(ordered(&survivor("db3", "0-1-8"), &[other]), Verdict::FetchFrom("db4".into()));
}

#[test]
fn a_survivor_that_is_excluded_counts_as_not_there_and_blocks_nobody() {
    assert_eq!(decide(&open(1, "db2", ""), survivor("db2", "0-1-9"), &[excluded("db3")]), PROMOTE);
    assert!(matches!(
        decide(&open(1, "db2 db3", ""), survivor("db2", "0-1-9"), &[excluded("db3")]),
        Verdict::Refuse(_)
    ));
    assert!(refusal(decide(&open(1, "db2", ""), excluded("db2"), &[])).contains("SQL thread"));
}

#[test]
fn the_one_with_the_most_is_fetched_from_and_any_that_has_something_else() {
    let record = open(1, "db2 db3 db4", "");
    let fetch = |mine, third, fourth| {
        decide(&record, survivor("db2", mine), &[survivor("db3", third), survivor("db4", fourth)])
    };
    assert_eq!(fetch("0-1-7", "0-1-8", "0-1-9"), Verdict::FetchFrom("db4".into()));
    assert_eq!(fetch("0-1-9", "0-1-8", "0-1-9"), PROMOTE);
    // Several domains: each has something, so it is fetched from one after the other.
    assert_eq!(fetch("0-1-9,1-1-5", "0-1-9,1-1-7", "0-1-8,1-1-5"), Verdict::FetchFrom("db3".into()));
}

#[test]
fn mysql_sets_of_ten_thousand_intervals_and_tags_are_told_apart_by_one_transaction() {
    let uuid = "aaaaaaaa-0000-0000-0000-000000000001";
    let fragments: Vec<String> = (0..10_000).map(|n| (n * 3 + 1).to_string()).collect();
    let text = format!("{uuid}:{}:tag:1-5", fragments.join(":"));
    let mysql = |name: &str, text: &str| Survivor {
        instance: instance(name),
        has: Ok(GtidSet::parse_mysql(text).expect("valid")),
    };
    let more = text.replace(":tag:1-5", ":tag:1-6");
    let verdict = decide(&open(1, "db2 db3", ""), mysql("db2", &text), &[mysql("db3", &more)]);
    assert_eq!(verdict, Verdict::FetchFrom("db3".into()));
    assert_eq!(decide(&open(1, "db2 db3", ""), mysql("db2", &more), &[mysql("db3", &text)]), PROMOTE);
}

#[test]
fn a_cluster_in_which_nobody_was_promoted_yet_takes_who_has_everything() {
    let verdict =
        |mine, other| elect_in_all_orders(None, &survivor("db1", mine), &[survivor("db2", other)], &[], Risk::Never);
    assert_eq!(verdict("", ""), PROMOTE);
    assert_eq!(verdict("0-1-1", "0-1-4"), Verdict::FetchFrom("db2".into()));
}

#[test]
fn who_has_as_much_is_a_member_of_the_new_epoch_and_who_has_less_may_acknowledge() {
    let survivors =
        [survivor("db2", "0-1-9"), survivor("db3", "0-1-8"), excluded("db4"), survivor("db5", "0-1-9,7-7-7")];
    let set = found_set(&maria("0-1-9"), &survivors, 1);
    assert_eq!((names(&set.members), names(&set.joining), set.acks), ("db2".into(), "db3".into(), 1));
    assert_eq!(found_set(&maria("0-1-9"), &[], 1).acks, 0);
}
