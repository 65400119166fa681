//! What is to be configured, in no tool's language: resources with their parameters and operations, and constraints. Times are those
//! that the agents themselves advertise. Pure.

use core::net::IpAddr;
use std::collections::BTreeSet;

use crate::agents::mysql::Mysql;
use crate::agents::vip::Vip;
use crate::ocf::agent::{Action, Agent};

/// What stands where the password belongs.
const PLACEHOLDER: &str = "REPLACE_ME";

/// What was asked for.
pub struct Given<'a> {
    /// The nodes, each perhaps with an address.
    pub nodes: &'a [String],
    /// The cluster's nodes, if they are known.
    pub members: Option<Vec<String>>,
    /// The writers' address.
    pub ip: IpAddr,
    /// The readers'.
    pub reader_ip: Option<IpAddr>,
    /// What the resources are named after.
    pub name: &'a str,
    /// Who replicates.
    pub replication_user: &'a str,
    /// With which password.
    pub password: Option<&'a str>,
    /// On how many replicas each write is.
    pub acks: u32,
    /// The address is a promotable clone.
    pub has_address_clone: bool,
    /// Nodes are fenced.
    pub fences: bool,
}

/// A resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its name.
    pub id: String,
    /// Its clone, if it is one, and that clone's meta attributes.
    pub clone: Option<(String, Vec<(&'static str, &'static str)>)>,
    /// Its agent.
    pub agent: &'static str,
    /// Its parameters.
    pub parameters: Vec<(&'static str, String)>,
    /// Its operations: name, role, interval in seconds, time-out in seconds.
    pub operations: Vec<(&'static str, Option<&'static str>, Option<u64>, u64)>,
    /// Why it is there.
    pub comment: String,
}

impl Resource {
    /// The operations in the words that both tools have for them.
    pub fn operations(&self) -> Vec<String> {
        let print = |(name, role, interval, timeout): &(&str, Option<&str>, Option<u64>, u64)| {
            let role = role.map(|role| format!(" role={role}")).unwrap_or_default();
            let interval = interval.map(|seconds| format!(" interval={seconds}s")).unwrap_or_default();
            format!("{name}{role}{interval} timeout={timeout}s")
        };
        self.operations.iter().map(print).collect()
    }

    /// The name that constraints use in crm.
    pub fn outer(&self) -> &str {
        self.clone.as_ref().map_or(&self.id, |(clone, _)| clone)
    }
}

/// Everything that is to be configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The nodes.
    pub nodes: Vec<String>,
    /// The database.
    pub database: Resource,
    /// The writers' address.
    pub address: Resource,
    /// The readers'.
    pub readers: Option<Resource>,
    /// The cluster has other nodes, on which nothing of this runs.
    pub has_other_nodes: bool,
    /// Nodes are fenced.
    pub fences: bool,
    /// The password is a placeholder.
    pub needs_password: bool,
    /// What its reader is to be told.
    pub remarks: Vec<String>,
}

impl Plan {
    /// What its reader is to know. `load`: how it is loaded; `stash`: what puts the password away; `devices`: what lists fence
    /// devices.
    pub fn heading(&self, load: &str, stash: &str, devices: &str) -> Vec<String> {
        let mut lines = vec![format!("# MySQL or MariaDB on {}. {load}", self.nodes.join(", "))];
        lines.extend(self.remarks.iter().map(|remark| format!("# {remark}")));
        if self.needs_password {
            lines.push(format!(
                "# Put the password of the account in the place of {PLACEHOLDER}, and then, so that nobody else reads it:"
            ));
            lines.push(format!("# {stash}"));
        }
        if self.fences {
            lines.push(format!("# Each node needs a fence device: {devices}."));
        }
        lines
    }

    /// What follows from what was asked for.
    ///
    /// # Errors
    /// All that does not go together.
    pub fn of(given: &Given<'_>) -> Result<Self, String> {
        let mut wrong = Vec::new();
        let pairs: Vec<(&str, Option<&str>)> = given
            .nodes
            .iter()
            .map(|node| node.split_once(':').map_or((node.as_str(), None), |(node, address)| (node, Some(address))))
            .collect();
        let nodes: Vec<String> = if pairs.is_empty() {
            given.members.clone().unwrap_or_default()
        } else {
            pairs.iter().map(|(node, _)| (*node).to_string()).collect()
        };
        if nodes.len() < 2 {
            wrong.push("at least two nodes are needed".to_string());
        }
        if nodes.iter().collect::<BTreeSet<_>>().len() != nodes.len() || nodes.iter().any(String::is_empty) {
            wrong.push("each node has one name, and is named once".into());
        }
        let members = given.members.clone().unwrap_or_else(|| nodes.clone());
        let strangers: Vec<&str> = nodes.iter().filter(|node| !members.contains(node)).map(String::as_str).collect();
        if !strangers.is_empty() {
            wrong.push(format!("no nodes of this cluster: {}", strangers.join(", ")));
        }
        if given.reader_ip == Some(given.ip) {
            wrong.push("the readers' address is the writers' one".into());
        }
        if [Some(given.ip), given.reader_ip].into_iter().flatten().any(|ip| ip.is_unspecified() || ip.is_loopback()) {
            wrong.push("an address must be one of a network that clients reach".into());
        }
        let is_word = |text: &str| {
            !text.is_empty() && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter))
        };
        if !is_word(given.name) {
            wrong.push("--name is of letters, digits, -, _ and .".into());
        }
        if given.password.is_some_and(|password| password.contains(['\'', '"', '\\', '\n'])) {
            wrong.push("a password with quotes or backslashes cannot be put into this text: leave it out, and set it with cibsecret".into());
        }
        if given.acks == 0 || given.acks as usize >= nodes.len().max(2) {
            wrong.push(format!("--acks is 1 to {}: so many replicas there are", nodes.len().saturating_sub(1).max(1)));
        }
        if !wrong.is_empty() {
            return Err(wrong.join("; "));
        }
        let database = database(given, &pairs);
        let mut remarks = Vec::new();
        if nodes.len() == 2 && !given.fences {
            remarks.push(
                "Two nodes without fencing: when the machine of one is lost, the other one waits until it is back."
                    .to_string(),
            );
        }
        if given.acks > 1 {
            remarks.push("MariaDB waits for one acknowledgement only: --acks above 1 is for MySQL.".into());
        }
        Ok(Self {
            has_other_nodes: members.iter().any(|member| !nodes.contains(member)),
            database,
            address: address(given),
            readers: given.reader_ip.map(|ip| readers(given, ip)),
            fences: given.fences,
            needs_password: given.password.is_none(),
            remarks,
            nodes,
        })
    }
}

/// An agent's time-out for an action, in seconds.
fn timeout(agent: &dyn Agent, action: Action) -> u64 {
    let advertised = agent.actions().iter().filter(|one| one.action == action).map(|one| one.timeout.as_secs());
    advertised.max().unwrap_or(20)
}

fn database(given: &Given<'_>, pairs: &[(&str, Option<&str>)]) -> Resource {
    let mut parameters = vec![
        ("replication_user", given.replication_user.to_string()),
        ("replication_passwd", given.password.unwrap_or(PLACEHOLDER).to_string()),
    ];
    let map: Vec<String> = pairs.iter().filter_map(|(node, address)| Some(format!("{node}:{}", (*address)?))).collect();
    if !map.is_empty() {
        parameters.push(("replication_host_map", map.join(";")));
    }
    if given.acks != 1 {
        parameters.push(("semi_sync_acks", given.acks.to_string()));
    }
    let once = [Action::Start, Action::Stop, Action::Promote, Action::Demote, Action::Notify];
    let mut operations: Vec<_> =
        once.into_iter().map(|action| (action.name(), None, None, timeout(&Mysql, action))).collect();
    let monitor = timeout(&Mysql, Action::Monitor);
    operations.push(("monitor", Some("Promoted"), Some(2), monitor));
    operations.push(("monitor", Some("Unpromoted"), Some(10), monitor));
    let meta = vec![("promotable", "true"), ("notify", "true"), ("interleave", "true")];
    Resource {
        id: format!("p_{}", given.name),
        clone: Some((format!("c_{}", given.name), meta)),
        agent: "ocf:rustha:mysql",
        parameters,
        operations,
        comment: format!(
            "The database: an instance on each node, of which one takes writes. Each write is on {} more when its client is told.",
            if given.acks == 1 { "one node".into() } else { format!("{} nodes", given.acks) }
        ),
    }
}

fn address(given: &Given<'_>) -> Resource {
    let id = format!("p_{}_vip", given.name);
    if !given.has_address_clone {
        return plain_address(id, given.ip, "The address of whoever writes: with the promoted instance.");
    }
    let promote = timeout(&Vip, Action::Promote);
    Resource {
        clone: Some((format!("c_{}_vip", given.name), vec![("promotable", "true"), ("interleave", "true")])),
        operations: vec![
            ("promote", None, None, promote),
            ("monitor", Some("Promoted"), Some(10), timeout(&Vip, Action::Monitor)),
            ("monitor", Some("Unpromoted"), Some(11), timeout(&Vip, Action::Monitor)),
        ],
        ..plain_address(
            id,
            given.ip,
            "The address of whoever writes: it stands by on each node, and is promoted with the database.",
        )
    }
}

fn readers(given: &Given<'_>, ip: IpAddr) -> Resource {
    plain_address(
        format!("p_{}_reader", given.name),
        ip,
        "The address of whoever reads: on a replica that is fit to be read, and with the primary only when there is none.",
    )
}

fn plain_address(id: String, ip: IpAddr, comment: &str) -> Resource {
    Resource {
        id,
        clone: None,
        agent: "ocf:rustha:vip",
        parameters: vec![("ip", ip.to_string())],
        operations: vec![
            ("start", None, None, timeout(&Vip, Action::Start)),
            ("monitor", None, Some(10), timeout(&Vip, Action::Monitor)),
        ],
        comment: comment.into(),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn given<'a>(nodes: &'a [String], members: &[&str]) -> Given<'a> {
        Given {
            nodes,
            members: Some(members.iter().map(|name| (*name).to_string()).collect()),
            ip: "10.0.0.50".parse().expect("an address"),
            reader_ip: None,
            name: "db",
            replication_user: "repl",
            password: None,
            acks: 1,
            has_address_clone: false,
            fences: true,
        }
    }

    #[test]
    fn nodes_are_the_clusters_unless_they_are_named_with_their_addresses() {
        let plan = Plan::of(&given(&[], &["db1", "db2", "db3"])).expect("a plan");
        assert_eq!((plan.nodes.len(), plan.has_other_nodes, plan.needs_password), (3, false, true));
        let named = ["db1:10.1.0.1".to_string(), "db2".to_string()];
        let plan = Plan::of(&given(&named, &["db1", "db2", "db3"])).expect("a plan");
        assert!(plan.has_other_nodes);
        assert!(plan.database.parameters.contains(&("replication_host_map", "db1:10.1.0.1".into())));
    }

    #[test]
    fn all_that_does_not_go_together_is_said_at_once() {
        let named = ["db1".to_string(), "db1".to_string(), "db9".to_string()];
        let wrong = Plan::of(&Given {
            reader_ip: Some("10.0.0.50".parse().expect("an address")),
            name: "a b",
            password: Some("it's"),
            acks: 7,
            ..given(&named, &["db1", "db2"])
        });
        let wrong = wrong.expect_err("wrong");
        for part in ["named once", "db9", "readers' address", "--name", "a password with quotes", "--acks is 1 to 2"] {
            assert!(wrong.contains(part), "{part} is not in: {wrong}");
        }
    }

    #[test]
    fn times_are_those_that_the_agents_advertise() {
        let plan = Plan::of(&given(&[], &["db1", "db2"])).expect("a plan");
        assert!(plan.database.operations.contains(&("start", None, None, 120)));
        assert!(plan.address.operations.contains(&("start", None, None, timeout(&Vip, Action::Start))));
        assert!(timeout(&Vip, Action::Start) >= 40, "a lease and 10 s");
    }
}
