//! Each check fails for what it is there for, and for nothing else.

use super::*;
use crate::agents::mysql::Mysql;
use crate::agents::mysql::checks::catalogue::ALL;
use crate::pacemaker::configuration::{CloneOf, Constraint};
use crate::server::rows::settings::Settings;

fn wanted() -> Wanted {
    Wanted {
        replication_user: Some("repl".into()),
        is_cloned: true,
        is_provided_physically: true,
        prefers_availability: false,
    }
}

fn whole(server_id: u64) -> Facts {
    let settings = Settings {
        listens: "*".into(),
        lower_case_names: "0".into(),
        binlog_format: "ROW".into(),
        is_strict: true,
        replicators: vec!["'repl'@'%'".into()],
        cloners: vec!["'repl'@'%'".into()],
        ..Settings::default()
    };
    let server = Server {
        version: "MySQL 8.4.3".into(),
        vendor: "MySQL".into(),
        number: (8, 4, 3),
        uuid: Some(format!("a-{server_id}")),
        fitness: Fitness { server_id, log_bin: true, log_updates: true, gtid: true },
        durable: true,
        settings,
    };
    Facts { server: Some(server), user: Some((100, 100)), data: 10, free: 1_000_000_000, ..Facts::default() }
}

fn codes(found: &[Finding]) -> Vec<&str> {
    found.iter().map(|one| one.code).collect()
}

/// The codes of a node that is whole but for this.
fn of_node(change: impl Fn(&mut Facts)) -> Vec<&'static str> {
    let mut facts = whole(1);
    change(&mut facts);
    node("db1", &facts, &wanted()).iter().map(|one| one.code).collect()
}

fn of_server(change: impl Fn(&mut Server)) -> Vec<&'static str> {
    of_node(|facts| facts.server.iter_mut().for_each(&change))
}

#[test]
fn a_node_that_is_whole_has_no_findings() {
    assert!(of_node(|_| {}).is_empty());
}

#[test]
fn each_thing_that_is_wrong_on_a_node_has_its_code() {
    assert_eq!(of_server(|server| server.fitness.server_id = 0), ["RHA-0101"]);
    assert_eq!(of_server(|server| server.fitness.log_bin = false), ["RHA-0103"]);
    assert_eq!(of_server(|server| server.fitness.log_updates = false), ["RHA-0104"]);
    assert_eq!(of_server(|server| server.fitness.gtid = false), ["RHA-0105"]);
    assert_eq!(of_server(|server| server.settings.is_strict = false), ["RHA-0106"]);
    assert_eq!(of_server(|server| server.durable = false), ["RHA-0107"]);
    assert_eq!(of_server(|server| server.settings.filters = vec!["Replicate_Do_DB=a".into()]), ["RHA-0109"]);
    assert_eq!(of_server(|server| server.settings.unsafe_tables = vec!["1 of MyISAM".into()]), ["RHA-0110"]);
    assert_eq!(of_server(|server| server.settings.binlog_format = "STATEMENT".into()), ["RHA-0112"]);
    assert_eq!(of_server(|server| server.settings.replicators = vec!["'repl2'@'%'".into()]), ["RHA-0201"]);
    assert_eq!(of_server(|server| server.settings.privileged = vec!["'app'@'%'".into()]), ["RHA-0202"]);
    assert_eq!(of_server(|server| server.settings.cloners.clear()), ["RHA-0203"]);
    for address in ["", "127.0.0.1", "::1, 127.0.0.1"] {
        assert_eq!(of_server(|server| server.settings.listens = address.into()), ["RHA-0301"], "{address}");
    }
    assert_eq!(of_node(|facts| facts.unreached = vec!["db2 (db2:3306): refused".into()]), ["RHA-0302"]);
    assert_eq!(of_node(|facts| facts.units = vec!["mysql.service".into()]), ["RHA-0501"]);
    assert_eq!(of_node(|facts| facts.overridden = vec!["sync-binlog=0".into()]), ["RHA-0503"]);
    assert_eq!(of_node(|facts| facts.cannot_start = Some("no program".into())), ["RHA-0504"]);
    assert_eq!(of_node(|facts| facts.free = 9), ["RHA-0507"]);
    assert_eq!(of_node(|facts| facts.server = None), ["RHA-0601"]);
    assert_eq!(of_node(|facts| facts.lacks_tool = Some("not installed".into())), ["RHA-0508"]);
}

fn between(change: impl Fn(&mut BTreeMap<String, Facts>)) -> Vec<&'static str> {
    let mut facts = BTreeMap::from([("db1".to_string(), whole(1)), ("db2".to_string(), whole(2))]);
    change(&mut facts);
    let versions = BTreeMap::from([("db1".to_string(), "1".to_string()), ("db2".to_string(), "1".to_string())]);
    across(&facts, &versions, Some("db1")).iter().map(|one| one.code).collect()
}

fn server_of<'a>(facts: &'a mut BTreeMap<String, Facts>, node: &str) -> &'a mut Server {
    facts.get_mut(node).and_then(|facts| facts.server.as_mut()).expect("a server")
}

#[test]
fn each_thing_that_is_wrong_between_nodes_has_its_code() {
    assert!(between(|_| {}).is_empty());
    assert_eq!(between(|facts| server_of(facts, "db2").fitness.server_id = 1), ["RHA-0101"]);
    assert_eq!(between(|facts| server_of(facts, "db2").uuid = Some("a-1".into())), ["RHA-0102"]);
    assert_eq!(between(|facts| server_of(facts, "db2").vendor = "MariaDB".into()), ["RHA-0108"]);
    assert_eq!(between(|facts| server_of(facts, "db2").number = (8, 4, 2)), ["RHA-0108"]);
    assert!(between(|facts| server_of(facts, "db2").number = (9, 7, 0)).is_empty(), "replicas are upgraded first");
    assert_eq!(between(|facts| server_of(facts, "db2").settings.lower_case_names = "1".into()), ["RHA-0111"]);
    assert_eq!(between(|facts| facts.get_mut("db2").expect("there").user = Some((101, 100))), ["RHA-0502"]);
    let versions = BTreeMap::from([("db1".to_string(), "1".to_string()), ("db2".to_string(), "2".to_string())]);
    assert_eq!(codes(&across(&BTreeMap::new(), &versions, None)), ["RHA-0506"]);
}

fn operation(name: &str, role: Option<&str>, interval: u64) -> Operation {
    let timeout = Some("2min".to_string());
    Operation { name: name.into(), role: role.map(str::to_string), interval: format!("{interval}s"), timeout }
}

fn constraint(kind: &str, says: &[(&str, &str)]) -> Constraint {
    let attributes = says.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string()));
    Constraint { kind: kind.into(), attributes: attributes.collect() }
}

/// The codes of the README's configuration, with fencing and after this change.
fn of_cluster(change: impl Fn(&mut Configuration, &mut Wanted)) -> Vec<&'static str> {
    let meta = [("promotable", "true"), ("notify", "true")];
    let meta = meta.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let operations = ["start", "stop", "promote", "demote", "notify"].into_iter().map(|name| operation(name, None, 0));
    let monitors = [operation("monitor", Some("Promoted"), 2), operation("monitor", Some("Unpromoted"), 10)];
    let database = Primitive {
        id: "p_db".into(),
        agent: "ocf:rustha:mysql".into(),
        parameters: BTreeMap::from([("replication_passwd".to_string(), "lrm://".to_string())]),
        operations: operations.chain(monitors).collect(),
        clone: Some(CloneOf { id: "c_db".into(), meta }),
        ..Primitive::default()
    };
    let address = Primitive { id: "p_vip".into(), agent: "ocf:rustha:vip".into(), ..Primitive::default() };
    let device = Primitive { id: "f".into(), agent: "stonith:fence_x".into(), ..Primitive::default() };
    let with = [("rsc", "p_vip"), ("with-rsc", "c_db"), ("with-rsc-role", "Promoted"), ("score", "INFINITY")];
    let after = [("first", "c_db"), ("first-action", "promote"), ("then", "p_vip")];
    let mut configuration = Configuration {
        properties: BTreeMap::from([("stonith-enabled".to_string(), "true".to_string())]),
        primitives: vec![database, address, device],
        constraints: vec![constraint("rsc_colocation", &with), constraint("rsc_order", &after)],
        ..Configuration::default()
    };
    let mut wanted = wanted();
    change(&mut configuration, &mut wanted);
    let found = cluster(&configuration, &configuration.primitives[0], &Mysql, &wanted, 3);
    found.iter().map(|one| one.code).collect()
}

fn set(configuration: &mut Configuration, property: &str, value: &str) {
    configuration.properties.insert(property.into(), value.into());
}

#[test]
fn each_thing_that_is_wrong_with_the_configuration_has_its_code() {
    assert!(of_cluster(|_, _| {}).is_empty(), "{:?}", of_cluster(|_, _| {}));
    let without_notify = of_cluster(|configuration, _| {
        configuration.primitives[0].clone.as_mut().expect("a clone").meta.remove("notify");
    });
    assert_eq!(without_notify, ["RHA-0401"]);
    assert_eq!(
        of_cluster(|configuration, _| configuration.primitives[0].operations[6].interval = "2000ms".into()),
        ["RHA-0402"]
    );
    assert_eq!(of_cluster(|configuration, _| drop(configuration.primitives[0].operations.pop())), ["RHA-0402"]);
    assert_eq!(of_cluster(|configuration, _| configuration.primitives[0].operations[0].timeout = None), ["RHA-0403"]);
    assert_eq!(of_cluster(|configuration, _| set(configuration, "stonith-enabled", "false")), ["RHA-0404"]);
    assert_eq!(of_cluster(|configuration, _| drop(configuration.primitives.pop())), ["RHA-0404"]);
    let risky = of_cluster(|configuration, wanted| {
        set(configuration, "stonith-enabled", "false");
        wanted.prefers_availability = true;
    });
    assert_eq!(risky, ["RHA-0405"]);
    assert_eq!(of_cluster(|configuration, _| set(configuration, "no-quorum-policy", "ignore")), ["RHA-0406"]);
    assert_eq!(of_cluster(|configuration, _| set(configuration, "p_db-order", "node=db3")), ["RHA-0411"]);
    let moved = of_cluster(|configuration, _| {
        configuration.constraints.push(constraint("rsc_location", &[("id", "cli-prefer-c_db"), ("rsc", "c_db")]));
    });
    assert_eq!(moved, ["RHA-0407"]);
    for left in [0, 1] {
        assert_eq!(
            of_cluster(|configuration, _| configuration.constraints = vec![configuration.constraints[left].clone()]),
            ["RHA-0408"]
        );
    }
    let clear = of_cluster(|configuration, _| {
        configuration.primitives[0].parameters.insert("replication_passwd".into(), "secret".into());
    });
    assert_eq!(clear, ["RHA-0409"]);
    let unknown = of_cluster(|configuration, _| {
        configuration.primitives[0].parameters.insert("replication_pasword".into(), "x".into());
    });
    assert_eq!(unknown, ["RHA-0410"]);
}

#[test]
fn there_is_a_test_of_each_code() {
    let tests = include_str!("judge_tests.rs");
    for check in ALL {
        assert!(tests.contains(&format!("[\"{}\"]", check.code)), "{} is not tested", check.code);
    }
}
