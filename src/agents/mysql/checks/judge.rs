//! From what is known to what is wrong. Pure.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::decide::rejoin::check_room;
use super::catalogue::find;
use super::facts::{Facts, Fitness, Server};
use super::{Finding, Wanted};
use crate::ocf::agent::{Action, Agent};
use crate::ocf::params::parse_time;
use crate::pacemaker::configuration::{Configuration, Operation, Primitive};
use crate::pacemaker::order_name;

/// What an operation gets that says no time-out.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);

/// The agents that have an address, which their parameter `ip` says.
pub const ADDRESSES: &[&str] = &["ocf:rustha:vip", "ocf:heartbeat:IPaddr2"];

fn finding(code: &'static str, node: Option<&str>, text: impl Into<String>) -> Finding {
    let severity = find(code).expect("every code is in the catalogue").severity;
    Finding { code, severity, node: node.map(str::to_string), text: text.into() }
}

/// What is wrong on one node, whatever the others are.
pub fn node(name: &str, facts: &Facts, wanted: &Wanted) -> Vec<Finding> {
    let mut found = match &facts.server {
        Some(asked) => server(name, asked, wanted),
        None => vec![finding("RHA-0601", Some(name), "no server answers")],
    };
    let mut find = |code, text: String| found.push(finding(code, Some(name), text));
    for other in &facts.unreached {
        find("RHA-0302", format!("does not reach {other}"));
    }
    for unit in &facts.units {
        find("RHA-0501", format!("{unit} is enabled"));
    }
    if !facts.overridden.is_empty() {
        find("RHA-0503", format!("in the option file, and not used: {}", facts.overridden.join(", ")));
    }
    if let Some(why) = &facts.cannot_start {
        find("RHA-0504", why.clone());
    }
    if let Err(why) = check_room(facts.data, facts.free, "the disk") {
        find("RHA-0507", why);
    }
    if let Some(why) = facts.lacks_tool.as_ref().filter(|_| wanted.is_provided_physically) {
        find("RHA-0508", why.clone());
    }
    found
}

/// What a server lacks to be part of replication by GTID, in the order in which it matters, each with its code.
pub fn unfit(server: &Fitness) -> impl Iterator<Item = (&'static str, &'static str)> {
    let needs = [
        (server.log_bin, "RHA-0103", "log_bin is off: set it in the option file's group [mysqld]"),
        (server.log_updates, "RHA-0104", "log_slave_updates (log_replica_updates) is off"),
        (
            server.gtid,
            "RHA-0105",
            "gtid_mode is not ON: set gtid_mode=ON and enforce_gtid_consistency=ON in the option file",
        ),
        (server.server_id != 0, "RHA-0101", "server_id is 0: give each node a number of its own in the option file"),
    ];
    needs.into_iter().filter(|(is_met, ..)| !is_met).map(|(_, code, why)| (code, why))
}

/// What is wrong with a server.
pub fn server(name: &str, server: &Server, wanted: &Wanted) -> Vec<Finding> {
    let mut found: Vec<Finding> = unfit(&server.fitness).map(|(code, why)| finding(code, Some(name), why)).collect();
    let mut find = |code, text: String| found.push(finding(code, Some(name), text));
    let settings = &server.settings;
    if !settings.is_strict {
        find("RHA-0106", "gtid_strict_mode (MariaDB) or enforce_gtid_consistency (MySQL) is off".into());
    }
    if !server.durable {
        find("RHA-0107", "sync_binlog or innodb_flush_log_at_trx_commit is not 1".into());
    }
    if !settings.filters.is_empty() {
        find("RHA-0109", settings.filters.join(", "));
    }
    if !settings.unsafe_tables.is_empty() {
        find("RHA-0110", format!("tables without transactions: {}", settings.unsafe_tables.join(", ")));
    }
    if settings.binlog_format.eq_ignore_ascii_case("statement") {
        find("RHA-0112", "binlog_format is STATEMENT".into());
    }
    if let Some(user) = wanted.replication_user.as_deref() {
        let is_its = |grantee: &String| grantee.starts_with(&format!("'{user}'@"));
        if !settings.replicators.iter().any(is_its) {
            find("RHA-0201", format!("no account of {user} has REPLICATION SLAVE"));
        }
        if wanted.is_cloned && server.vendor == "MySQL" && !settings.cloners.iter().any(is_its) {
            find("RHA-0203", format!("no account of {user} has BACKUP_ADMIN"));
        }
    }
    if !settings.privileged.is_empty() {
        find("RHA-0202", format!("may write although it is read-only: {}", settings.privileged.join(", ")));
    }
    let is_loopback =
        |address: &str| address == "localhost" || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if settings.listens.split(',').map(str::trim).all(|address| address.is_empty() || is_loopback(address)) {
        let address = if settings.listens.is_empty() { "nowhere (skip_networking)" } else { &settings.listens };
        find("RHA-0301", format!("it listens at {address}"));
    }
    found
}

/// What is wrong between nodes. `versions`: of the guards; `primary`: where somebody is promoted.
pub fn across(
    facts: &BTreeMap<String, Facts>,
    versions: &BTreeMap<String, String>,
    primary: Option<&str>,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let servers: BTreeMap<&str, &Server> =
        facts.iter().filter_map(|(name, facts)| Some((name.as_str(), facts.server.as_ref()?))).collect();
    let ids = servers.iter().map(|(name, server)| (*name, server.fitness.server_id)).filter(|(_, id)| *id != 0);
    for (id, names) in shared(ids) {
        found.push(finding("RHA-0101", None, format!("{names} have the same server_id {id}")));
    }
    for (uuid, names) in shared(servers.iter().filter_map(|(name, server)| Some((*name, server.uuid.clone()?)))) {
        found.push(finding("RHA-0102", None, format!("{names} have the same server_uuid {uuid}")));
    }
    found.extend(judge_versions(&servers, primary));
    let cases = servers.iter().map(|(name, server)| (*name, server.settings.lower_case_names.clone()));
    if let Some(text) = different(cases) {
        found.push(finding("RHA-0111", None, format!("lower_case_table_names: {text}")));
    }
    let users = facts.iter().filter_map(|(name, facts)| {
        let (uid, gid) = facts.user?;
        Some((name.as_str(), format!("{uid}:{gid}")))
    });
    if let Some(text) = different(users) {
        found.push(finding("RHA-0502", None, format!("user and group: {text}")));
    }
    if let Some(text) = different(versions.iter().map(|(name, version)| (name.as_str(), version.clone()))) {
        found.push(finding("RHA-0506", None, text));
    }
    found
}

fn judge_versions(servers: &BTreeMap<&str, &Server>, primary: Option<&str>) -> Option<Finding> {
    let said = || {
        let each: Vec<String> = servers.iter().map(|(name, server)| format!("{name} {}", server.version)).collect();
        each.join(", ")
    };
    let vendors: BTreeSet<&str> = servers.values().map(|server| server.vendor.as_str()).collect();
    if vendors.len() > 1 {
        return Some(finding("RHA-0108", None, format!("different vendors: {}", said())));
    }
    let of_primary = servers.get(primary?)?;
    let older: Vec<&str> =
        servers.iter().filter(|(_, server)| server.number < of_primary.number).map(|(name, _)| *name).collect();
    if older.is_empty() {
        return None;
    }
    Some(finding("RHA-0108", None, format!("{} older than the primary: {}", older.join(", "), said())))
}

/// The values that more than one has, with their names.
fn shared<'a, T: Ord>(values: impl Iterator<Item = (&'a str, T)>) -> Vec<(T, String)> {
    let mut by_value: BTreeMap<T, Vec<&str>> = BTreeMap::new();
    for (name, value) in values {
        by_value.entry(value).or_default().push(name);
    }
    by_value
        .into_iter()
        .filter(|(_, names)| names.len() > 1)
        .map(|(value, names)| (value, names.join(" and ")))
        .collect()
}

/// All values, if they are not all the same.
fn different<'a>(values: impl Iterator<Item = (&'a str, String)>) -> Option<String> {
    let values: Vec<(&str, String)> = values.collect();
    let is_same = values.windows(2).all(|two| two[0].1 == two[1].1);
    (!is_same).then(|| values.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", "))
}

/// What is wrong with the cluster's configuration of this database. `nodes`: how many there are.
pub fn cluster(
    configuration: &Configuration,
    database: &Primitive,
    agent: &dyn Agent,
    wanted: &Wanted,
    nodes: usize,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut find = |code, text: String| found.push(finding(code, None, text));
    if !database.has("promotable") || !database.has("notify") {
        let lacks: Vec<&str> = ["promotable", "notify"].into_iter().filter(|name| !database.has(name)).collect();
        find("RHA-0401", format!("{} has not {}=true", database.outer(), lacks.join("=true, ")));
    }
    if let Some(why) = judge_monitors(database) {
        find("RHA-0402", why);
    }
    let short = too_short(configuration, database, agent);
    if !short.is_empty() {
        find("RHA-0403", short.join(", "));
    }
    let is_on = configuration.is_on("stonith-enabled", true) && configuration.is_on("fencing-enabled", true);
    let has_device = configuration.primitives.iter().any(|one| one.agent.starts_with("stonith:"));
    let fences = is_on && has_device;
    if !fences && wanted.prefers_availability {
        find("RHA-0405", "durability=available, and nobody fences".into());
    } else if !fences {
        let two = if nodes == 2 { ", and there are two nodes only: a lost one makes the other wait" } else { "" };
        let why = if is_on { "there is no fence device" } else { "stonith-enabled=false" };
        find("RHA-0404", format!("it does not: {why}{two}"));
    }
    if configuration.properties.get("no-quorum-policy").is_some_and(|policy| policy == "ignore") {
        find("RHA-0406", "no-quorum-policy=ignore".into());
    }
    let left = configuration.constraints.iter().filter(|one| {
        let is_by_hand =
            ["cli-prefer-", "cli-ban-", "cli-standby-"].iter().any(|begin| one.says("id").starts_with(begin));
        one.kind == "rsc_location" && is_by_hand
    });
    for constraint in left {
        find(
            "RHA-0407",
            format!("{} ties {} to a node, or keeps it from one", constraint.says("id"), constraint.says("rsc")),
        );
    }
    if let Some(why) = judge_address(configuration, database) {
        find("RHA-0408", why);
    }
    let secrets = agent.parameters().iter().filter(|parameter| parameter.secret).map(|parameter| parameter.name);
    for name in secrets {
        // What cibsecret has put away.
        if database.parameters.get(name).is_some_and(|value| !value.starts_with("lrm://")) {
            find("RHA-0409", format!("{name} of {} is there in clear text", database.id));
        }
    }
    if let Some(order) = configuration.properties.get(&order_name(&database.id)) {
        find("RHA-0411", order.clone());
    }
    let is_known = |name: &str| agent.parameters().iter().any(|parameter| parameter.name == name);
    let unknown: Vec<&str> = database.parameters.keys().map(String::as_str).filter(|name| !is_known(name)).collect();
    if !unknown.is_empty() {
        find("RHA-0410", format!("{} has {}, which the agent does not know", database.id, unknown.join(", ")));
    }
    found
}

fn judge_monitors(database: &Primitive) -> Option<String> {
    let interval = |one: &Operation| parse_time(&one.interval).unwrap_or_default();
    let recurring = || database.operations.iter().filter(|one| one.name == "monitor" && !interval(one).is_zero());
    let of_role =
        |role: &'static str| recurring().filter(move |one| one.role.as_deref().unwrap_or("Unpromoted") == role);
    for role in ["Promoted", "Unpromoted"] {
        if of_role(role).next().is_none() {
            return Some(format!("no monitor with role={role}"));
        }
    }
    let is_shared = of_role("Promoted").any(|one| of_role("Unpromoted").any(|other| interval(other) == interval(one)));
    is_shared.then(|| "the monitors of both roles have the same interval".into())
}

/// The operations that have less time than the agent advertises.
fn too_short(configuration: &Configuration, database: &Primitive, agent: &dyn Agent) -> Vec<String> {
    let default = configuration.operation_defaults.get("timeout").and_then(|text| parse_time(text));
    let needed = |action: Action| {
        let of_action = agent.actions().iter().filter(|one| one.action == action);
        of_action.map(|one| one.timeout).max().unwrap_or_default()
    };
    let actions = [Action::Start, Action::Stop, Action::Promote, Action::Demote, Action::Notify, Action::Monitor];
    let timeout = |one: &Operation| one.timeout.as_deref().and_then(parse_time);
    let mut short = Vec::new();
    for action in actions {
        let configured: Vec<_> = database.operations.iter().filter(|one| one.name == action.name()).collect();
        let mut given: Vec<Duration> =
            configured.iter().map(|one| timeout(one).or(default).unwrap_or(DEFAULT_TIMEOUT)).collect();
        if configured.is_empty() {
            given.push(default.unwrap_or(DEFAULT_TIMEOUT));
        }
        if let Some(least) = given.into_iter().min().filter(|least| *least < needed(action)) {
            short.push(format!("{} has {} s, not {} s", action.name(), least.as_secs(), needed(action).as_secs()));
        }
    }
    short
}

/// Why no address follows the primary.
fn judge_address(configuration: &Configuration, database: &Primitive) -> Option<String> {
    let addresses: Vec<&Primitive> =
        configuration.primitives.iter().filter(|one| ADDRESSES.contains(&one.agent.as_str())).collect();
    if addresses.is_empty() {
        return Some("there is no address".into());
    }
    let is_promoted = |role: &str| ["Promoted", "Master"].contains(&role);
    let follows = |address: &&&Primitive| {
        configuration.constraints.iter().any(|one| {
            one.kind == "rsc_colocation"
                && [address.outer(), address.id.as_str()].contains(&one.says("rsc"))
                && one.says("with-rsc") == database.outer()
                && is_promoted(one.says("with-rsc-role"))
                && !one.says("score").starts_with('-')
        })
    };
    let Some(address) = addresses.iter().find(follows) else {
        return Some(format!("none is colocated with the promoted instance of {}", database.outer()));
    };
    let is_after = configuration.constraints.iter().any(|one| {
        one.kind == "rsc_order"
            && one.says("first") == database.outer()
            && one.says("first-action") == "promote"
            && [address.outer(), address.id.as_str()].contains(&one.says("then"))
    });
    (!is_after).then(|| format!("{} is not started after the promotion", address.id))
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
