//! What `rustha status` makes of what it has found out.

use super::*;
use crate::pacemaker::survey::read;

const XML: &str = include_str!("../../../tests/fixtures/crm_mon-3.0.3.xml");

/// The cluster of the fixture, in which db1 has failed once and come back, after this change.
fn status_of(change: impl Fn(&mut Survey)) -> Status {
    let mut survey = read(XML).expect("readable");
    survey.failures.clear();
    change(&mut survey);
    let known = Known { resource: "p_db".into(), reader_attribute: Some("readable".into()), ..Known::default() };
    assess(&survey, &[known], &BTreeMap::from([("p_vip".to_string(), Some("10.77.0.50".to_string()))]))
}

/// A cluster in which all is well.
pub fn sample() -> Status {
    status_of(|_| {})
}

fn texts(status: &Status) -> Vec<&str> {
    status.findings.iter().map(|finding| finding.text.as_str()).collect()
}

#[test]
fn a_cluster_in_which_all_is_well_has_no_findings() {
    let status = status_of(|_| {});
    assert_eq!((status.health, texts(&status)), (Health::Ok, vec![]));
    let database = &status.databases[0];
    assert_eq!(database.primary.as_deref(), Some("db2"));
    let roles: Vec<(&str, &str)> = database.instances.iter().map(|it| (it.node.as_str(), it.role)).collect();
    assert_eq!(roles, [("db2", "primary"), ("db1", "replica"), ("db3", "replica")]);
    assert!(database.instances.iter().all(|instance| instance.readable));
    assert_eq!(status.addresses[0].nodes, ["db2"]);
}

#[test]
fn without_a_primary_nobody_can_write() {
    let status = status_of(|survey| {
        for instance in survey.instances.iter_mut().filter(|instance| instance.resource == "p_db") {
            instance.role = Some(Role::Unpromoted);
        }
    });
    assert_eq!(status.health, Health::Critical);
    assert_eq!(texts(&status)[0], "p_db: nobody is promoted");
}

#[test]
fn a_replica_that_is_excluded_is_named_with_its_reason() {
    let why = "excluded: its SQL thread stopped: error 1062";
    let status = status_of(|survey| {
        survey.attributes.get_mut("db3").expect("a node").insert("p_db-status".into(), why.into());
    });
    assert_eq!((status.health, texts(&status)), (Health::Warning, vec![format!("p_db on db3: {why}").as_str()]));
}

#[test]
fn a_node_that_is_away_is_one_finding() {
    let status = status_of(|survey| {
        survey.members[2].online = false;
        survey.instances.retain(|instance| instance.node.as_deref() != Some("db3"));
        survey.attributes.remove("db3");
    });
    assert_eq!((status.health, texts(&status)), (Health::Warning, vec!["db3 is offline"]));
    assert_eq!(status.databases[0].instances[2].status, "offline: nothing is known of it");
}

#[test]
fn an_instance_of_the_address_that_stands_by_does_not_have_it() {
    let status = status_of(|survey| {
        let of_address = |node: &str, role| Instance {
            resource: "p_vip".into(),
            node: Some(node.into()),
            role: Some(role),
            is_promotable: true,
            ..Instance::default()
        };
        survey.instances.retain(|instance| instance.resource != "p_vip");
        survey.instances.extend([of_address("db1", Role::Unpromoted), of_address("db2", Role::Promoted)]);
    });
    assert_eq!(status.addresses[0].nodes, ["db2"]);
    assert_eq!(status.health, Health::Ok);
}

#[test]
fn what_failed_is_a_finding_until_it_is_cleaned_up() {
    let failure =
        Failure { resource: "p_db".into(), action: "monitor".into(), node: "db1".into(), ..Failure::default() };
    let status =
        status_of(|survey| survey.failures = vec![Failure { status: "Not running".into(), ..failure.clone() }]);
    assert_eq!(texts(&status), ["p_db: monitor failed on db1: Not running"]);
}
