//! From what Pacemaker shows, what is on record and what the instances say, to what an operator wants to know. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::agents::mysql::decide::record::{Record, State};
use crate::agents::mysql::report::{Report, Server};
use crate::pacemaker::parse::Role;
use crate::pacemaker::survey::{Failure, Instance, Member, Survey};

/// How well something is; the number is the exit status, as monitoring plugins have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// As it should be.
    Ok = 0,
    /// It works, and something is missing: the next failure may not be survived.
    Warning = 1,
    /// Clients cannot write.
    Critical = 2,
}

/// The answer of `rustha status`.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Status {
    /// How well the whole is.
    pub health: Health,
    /// What is not as it should be, the worst first.
    pub findings: Vec<Finding>,
    /// The cluster.
    pub cluster: ClusterStatus,
    /// The resources of `ocf:rustha:mysql`.
    pub databases: Vec<Database>,
    /// The addresses, and where they are.
    pub addresses: Vec<Address>,
    /// What failed and was not cleaned up.
    pub failures: Vec<FailureStatus>,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Finding {
    /// How bad it is.
    pub health: Health,
    /// What it is, in one sentence.
    pub text: String,
}

/// The cluster.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ClusterStatus {
    /// This part of it may act.
    pub quorum: bool,
    /// It fences.
    pub fencing: bool,
    /// Its maintenance mode is on.
    pub maintenance: bool,
    /// The node whose controller decides.
    pub dc: Option<String>,
    /// Its nodes.
    pub nodes: Vec<NodeStatus>,
}

/// A node.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// `online`, `offline`, `unclean`, `joining`, `standby` or `maintenance`.
    pub state: &'static str,
}

/// A database: one resource.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Database {
    /// Its name.
    pub resource: String,
    /// The node that is promoted.
    pub primary: Option<String>,
    /// How often somebody was promoted.
    pub promotion: Option<u64>,
    /// On how many other nodes each write is when its client is told; null: not managed.
    pub acks: Option<u32>,
    /// The nodes that have everything that was acknowledged.
    pub in_sync: Vec<String>,
    /// The nodes that are about to.
    pub joining: Vec<String>,
    /// What was risked with the last promotion.
    pub risk: Option<String>,
    /// Its instances, by node.
    pub instances: Vec<InstanceStatus>,
}

/// An instance on a node.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InstanceStatus {
    /// The node.
    pub node: String,
    /// `primary`, `replica` or `stopped`, as Pacemaker has it.
    pub role: &'static str,
    /// How well it is.
    pub health: Health,
    /// What it says of itself, in one sentence.
    pub status: String,
    /// What Pacemaker is doing with it.
    pub pending: Option<String>,
    /// Its promotion score; null: it has none.
    pub score: Option<String>,
    /// Clients may read here.
    pub readable: bool,
    /// The node, or the address where that is of no node, from which it replicates.
    pub source: Option<String>,
    /// How its server ended last.
    pub last_failure: Option<String>,
    /// The version of its guard; null: it did not answer.
    pub guard: Option<String>,
    /// Its server; null: not known.
    pub server: Option<Server>,
    /// Why that is not known.
    pub trouble: Option<String>,
}

/// An address.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Address {
    /// Its resource.
    pub resource: String,
    /// The address; null: the configuration does not say it.
    pub ip: Option<String>,
    /// Where it is.
    pub nodes: Vec<String>,
}

/// Something that failed.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FailureStatus {
    /// The resource.
    pub resource: String,
    /// The action.
    pub action: String,
    /// Where.
    pub node: String,
    /// Why.
    pub reason: String,
    /// When.
    pub time: String,
}

/// What is known of a database beside what Pacemaker shows.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The resource.
    pub resource: String,
    /// The record of its last promotion.
    pub record: Option<Record>,
    /// The name of its reader attribute.
    pub reader_attribute: Option<String>,
    /// What its instances say, by node.
    pub reports: BTreeMap<String, Report>,
}

/// What an operator wants to know. `addresses`: the address of each resource that is one, where the configuration says it.
pub fn assess(survey: &Survey, known: &[Known], addresses: &BTreeMap<String, Option<String>>) -> Status {
    let databases: Vec<Database> = known.iter().map(|known| database(survey, known)).collect();
    let nodes = survey.members.iter().map(|member| NodeStatus { name: member.name.clone(), state: state(member) });
    let address = |(resource, ip): (&String, &Option<String>)| Address {
        resource: resource.clone(),
        ip: ip.clone(),
        nodes: places(survey, resource),
    };
    let mut status = Status {
        health: Health::Ok,
        findings: Vec::new(),
        cluster: ClusterStatus {
            quorum: survey.quorate,
            fencing: survey.fences(),
            maintenance: survey.maintenance,
            dc: survey.dc.clone(),
            nodes: nodes.collect(),
        },
        addresses: addresses.iter().map(address).collect(),
        failures: survey.failures.iter().map(failure).collect(),
        databases,
    };
    status.findings = findings(&status);
    status.health = status.findings.first().map_or(Health::Ok, |worst| worst.health);
    status
}

fn state(member: &Member) -> &'static str {
    match member {
        Member { unclean: true, .. } => "unclean",
        Member { online: false, .. } => "offline",
        Member { pending: true, .. } => "joining",
        Member { standby: true, .. } => "standby",
        Member { maintenance: true, .. } => "maintenance",
        _ => "online",
    }
}

/// Where an address is: where its resource runs, or is promoted if it is a promotable clone.
fn places(survey: &Survey, resource: &str) -> Vec<String> {
    let promoted = survey.promoted(resource);
    let stands_by =
        |instance: &Instance| instance.is_promotable && !promoted.contains(&instance.node.as_deref().unwrap_or(""));
    survey.running(resource).filter(|(_, it)| !stands_by(it)).map(|(node, _)| node.to_string()).collect()
}

fn failure(failure: &Failure) -> FailureStatus {
    let reason = if failure.reason.is_empty() { &failure.status } else { &failure.reason };
    FailureStatus {
        resource: failure.resource.clone(),
        action: failure.action.clone(),
        node: failure.node.clone(),
        reason: reason.clone(),
        time: failure.time.clone(),
    }
}

fn database(survey: &Survey, known: &Known) -> Database {
    let promoted = survey.promoted(&known.resource);
    let record = known.record.as_ref();
    let sync = record.filter(|record| record.state == State::Open).and_then(|record| record.sync.as_ref());
    let names =
        |set: &crate::agents::mysql::decide::record::Instances| set.iter().map(|one| one.node.clone()).collect();
    let mut instances: Vec<InstanceStatus> =
        survey.members.iter().filter_map(|member| instance(survey, known, member)).collect();
    instances.sort_by_key(|instance| instance.role != "primary");
    Database {
        resource: known.resource.clone(),
        primary: promoted.first().map(|node| (*node).to_string()),
        promotion: record.map(|record| record.epoch),
        acks: sync.map(|sync| sync.acks),
        in_sync: sync.map(|sync| names(&sync.members)).unwrap_or_default(),
        joining: sync.map(|sync| names(&sync.joining)).unwrap_or_default(),
        risk: record.and_then(|record| record.risk.clone()),
        instances,
    }
}

fn instance(survey: &Survey, known: &Known, member: &Member) -> Option<InstanceStatus> {
    let resource = &known.resource;
    let running = survey.running(resource).find(|(node, _)| *node == member.name).map(|(_, instance)| instance);
    let role = match running.and_then(|instance| instance.role) {
        Some(Role::Promoted) => "primary",
        Some(Role::Unpromoted) => "replica",
        None => "stopped",
    };
    let attribute = |name: String| survey.attribute(&member.name, &name).map(str::to_string);
    let told = attribute(format!("{resource}-status")).filter(|_| running.is_some());
    let report = known.reports.get(&member.name);
    let server = report.and_then(|report| report.server.clone());
    let status = match (&told, running) {
        (Some(told), _) => told.clone(),
        (None, None) if member.online => "stopped".into(),
        (None, None) => format!("{}: nothing is known of it", state(member)),
        (None, Some(_)) => "says nothing of itself yet".into(),
    };
    let readable = known.reader_attribute.as_ref().and_then(|name| attribute(name.clone()));
    let source = server.as_ref().and_then(|server| server.source.as_ref()).map(|source| {
        let by_attribute = survey.members.iter().map(|member| &member.name).find(|name| {
            let address = survey.attribute(name, &format!("{resource}_mysql_master_IP"));
            address == Some(source.host.as_str())
        });
        source.node.as_ref().or(by_attribute).unwrap_or(&source.host).clone()
    });
    let health = match (role, status.as_str()) {
        ("primary", told) if told.starts_with("primary, each write") || told == "primary" => Health::Ok,
        ("primary", told) if told.starts_with("primary, writes wait") => Health::Critical,
        ("replica", told) if told.starts_with("replica of ") && !told.contains("not in sync") => Health::Ok,
        _ => Health::Warning,
    };
    Some(InstanceStatus {
        node: member.name.clone(),
        role,
        health,
        status,
        pending: running.and_then(|instance| instance.pending.clone()),
        score: attribute(format!("master-{resource}")),
        readable: readable.as_deref() == Some("1"),
        source,
        last_failure: attribute(format!("{resource}-last-failure")),
        guard: report.map(|report| report.rustha.clone()).filter(|version| !version.is_empty()),
        trouble: report
            .and_then(|report| report.trouble.clone())
            .or_else(|| (running.is_some() && server.is_none()).then(|| "its guard did not answer".to_string())),
        server,
    })
}

/// What is not as it should be, the worst first.
fn findings(status: &Status) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut find = |health, text: String| found.push(Finding { health, text });
    let cluster = &status.cluster;
    if !cluster.quorum {
        find(Health::Critical, "this part of the cluster has no quorum".into());
    }
    if cluster.maintenance {
        find(Health::Warning, "maintenance mode: nothing is recovered".into());
    }
    for node in cluster.nodes.iter().filter(|node| node.state != "online") {
        find(Health::Warning, format!("{} is {}", node.name, node.state));
    }
    if status.databases.is_empty() {
        find(Health::Critical, "the cluster has no resource of ocf:rustha:mysql".into());
    }
    for database in &status.databases {
        let resource = &database.resource;
        let primaries: Vec<&str> =
            database.instances.iter().filter(|it| it.role == "primary").map(|it| it.node.as_str()).collect();
        match primaries.as_slice() {
            [] => find(Health::Critical, format!("{resource}: nobody is promoted")),
            [_] => {}
            several => find(Health::Critical, format!("{resource}: promoted on {}", several.join(" and "))),
        }
        if let Some(risk) = &database.risk {
            find(Health::Warning, format!("{resource}: promoted at a risk: {risk}"));
        }
        for instance in database.instances.iter().filter(|instance| instance.health != Health::Ok) {
            let is_away = cluster.nodes.iter().any(|node| node.name == instance.node && node.state != "online");
            if !is_away || instance.role != "stopped" {
                find(instance.health, format!("{resource} on {}: {}", instance.node, instance.status));
            }
        }
    }
    for address in status.addresses.iter().filter(|address| address.nodes.len() != 1) {
        let name = address.ip.as_ref().unwrap_or(&address.resource);
        match address.nodes.as_slice() {
            [] => find(Health::Warning, format!("{name} ({}) is nowhere", address.resource)),
            several => find(Health::Critical, format!("{name} ({}) is on {}", address.resource, several.join(" and "))),
        }
    }
    for failure in &status.failures {
        let FailureStatus { resource, action, node, reason, .. } = failure;
        find(Health::Warning, format!("{resource}: {action} failed on {node}: {reason}"));
    }
    found.sort_by_key(|finding| std::cmp::Reverse(finding.health));
    found
}

#[cfg(test)]
#[path = "assess_tests.rs"]
pub mod tests;
