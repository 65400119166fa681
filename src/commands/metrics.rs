//! `rustha metrics`: the status as numbers, in text that is valid by OpenMetrics 1.0 and by Prometheus' text format 0.0.4, which
//! node_exporter's textfile collector reads: so there are gauges only. Each node tells of its own server.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use super::status::{self, Health, Scope, Status};
use crate::state_file;

/// Where the metrics go, and of whom they are.
#[derive(Args)]
pub struct Options {
    /// Write them to this file, as a whole or not at all
    #[arg(long, value_name = "FILE")]
    textfile: Option<PathBuf>,
    /// Also of the servers of other nodes; else each node is to tell of its own
    #[arg(long)]
    all_nodes: bool,
}

/// Runs the command; the exit status. That the cluster does not answer is a metric, and no error.
pub fn run(options: &Options) -> i32 {
    let scope = if options.all_nodes { Scope::AllNodes } else { Scope::ThisNode };
    let text = match status::look(None, scope) {
        Ok(status) => print(Some(&status)),
        Err(error) => {
            eprintln!("rustha: {error:#}");
            print(None)
        }
    };
    match &options.textfile {
        None => print!("{text}"),
        Some(path) => {
            if let Err(error) = replace(path, &text) {
                eprintln!("rustha: {error:#}");
                return 1;
            }
        }
    }
    0
}

/// Puts the text in the file's place. The collector runs as another user, and may read at any moment.
fn replace(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    anyhow::ensure!(folder.is_none_or(Path::is_dir), "there is no folder for {}", path.display());
    state_file::write(path, text)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))
        .with_context(|| format!("cannot let others read {}", path.display()))
}

/// A metric: what it is, and its samples.
struct Metric {
    name: &'static str,
    help: &'static str,
    samples: Vec<(Vec<(&'static str, String)>, f64)>,
}

/// The text; `None`: the cluster does not answer.
fn print(status: Option<&Status>) -> String {
    let mut text = String::new();
    for metric in metrics(status).iter().filter(|metric| !metric.samples.is_empty()) {
        let Metric { name, help, samples } = metric;
        let _ = writeln!(text, "# HELP rustha_{name} {help}\n# TYPE rustha_{name} gauge");
        for (labels, value) in samples {
            let labels: Vec<String> =
                labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let _ = writeln!(text, "rustha_{name}{labels} {}", number(*value));
        }
    }
    text + "# EOF\n"
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn number(value: f64) -> String {
    if value == f64::NEG_INFINITY { "-Inf".into() } else { value.to_string() }
}

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

fn metrics(status: Option<&Status>) -> Vec<Metric> {
    let gauge = |name, help| Metric { name, help, samples: Vec::new() };
    let single = |name, help, value| Metric { name, help, samples: vec![(Vec::new(), value)] };
    let mut all = vec![single("cluster_reachable", "Pacemaker answers on this node.", flag(status.is_some()))];
    let Some(status) = status else { return all };
    let health = |wanted| status.findings.iter().filter(|finding| finding.health == wanted).count() as f64;
    all.push(single(
        "health",
        "0: all is well, 1: something is missing, 2: clients cannot write.",
        f64::from(status.health as u8),
    ));
    all.push(Metric {
        samples: [("warning", Health::Warning), ("critical", Health::Critical)]
            .into_iter()
            .map(|(name, wanted)| (vec![("health", name.to_string())], health(wanted)))
            .collect(),
        ..gauge("findings", "What is not as it should be, as rustha status lists it.")
    });
    let cluster = &status.cluster;
    all.push(single("cluster_quorum", "This part of the cluster may act.", flag(cluster.quorum)));
    all.push(single("cluster_maintenance", "Maintenance mode is on.", flag(cluster.maintenance)));
    all.push(single("cluster_fencing", "Nodes are fenced.", flag(cluster.fencing)));
    all.push(single("cluster_failures", "Actions that failed and were not cleaned up.", status.failures.len() as f64));
    all.push(Metric {
        samples: cluster
            .nodes
            .iter()
            .map(|node| (vec![("node", node.name.clone())], flag(node.state == "online")))
            .collect(),
        ..gauge("node_online", "The node takes part in the cluster.")
    });
    let mut database = [
        gauge("database_promotion", "The number of the last promotion."),
        gauge("database_acknowledgements", "On how many other nodes each write is when its client is told."),
        gauge("database_in_sync", "How many replicas have everything that was acknowledged."),
        gauge("database_primaries", "How many instances are promoted."),
    ];
    let mut instance = [
        gauge("instance_promoted", "The instance takes writes."),
        gauge("instance_healthy", "The instance is as it should be."),
        gauge("instance_readable", "Clients may read from the instance."),
        gauge("instance_score", "The promotion score; -Inf: it is never promoted."),
    ];
    let mut server = [
        gauge("server_info", "The server's version."),
        gauge("server_clients", "Connected clients."),
        gauge("server_transactions", "Transactions that the server has; on MariaDB at most."),
        gauge("server_waiting_commits", "Commits that wait for a replica."),
        gauge("replica_connected", "The receiver is connected to its source."),
        gauge("replica_applying", "The applier runs."),
        gauge(
            "replica_unapplied_transactions",
            "Transactions that were received and are not applied; on MariaDB at most.",
        ),
        gauge("replica_lag_seconds", "How old what clients see is at most."),
    ];
    for one in &status.databases {
        let labels = || vec![("resource", one.resource.clone())];
        let primaries = one.instances.iter().filter(|instance| instance.role == "primary").count();
        let values = [
            one.promotion.map(|number| number as f64),
            one.acks.map(f64::from),
            one.acks.map(|_| one.in_sync.len() as f64),
            Some(primaries as f64),
        ];
        for (metric, value) in database.iter_mut().zip(values) {
            metric.samples.extend(value.map(|value| (labels(), value)));
        }
        for it in &one.instances {
            let labels = || vec![("resource", one.resource.clone()), ("node", it.node.clone())];
            let score = it.score.as_deref().and_then(|score| match score {
                "-INFINITY" => Some(f64::NEG_INFINITY),
                other => other.parse().ok(),
            });
            let values =
                [Some(flag(it.role == "primary")), Some(flag(it.health == Health::Ok)), Some(flag(it.readable)), score];
            for (metric, value) in instance.iter_mut().zip(values) {
                metric.samples.extend(value.map(|value| (labels(), value)));
            }
            let Some(told) = &it.server else { continue };
            let mut info = labels();
            info.push(("version", told.version.clone()));
            server[0].samples.push((info, 1.0));
            let source = told.source.as_ref();
            let values = [
                Some(told.clients as f64),
                Some(told.transactions as f64),
                Some(told.waiting_commits as f64),
                source.map(|source| flag(source.receiver == "connected")),
                source.map(|source| flag(source.applier)),
                source.map(|source| source.unapplied as f64),
                source.and_then(|source| source.age).map(|age| age as f64),
            ];
            for (metric, value) in server[1..].iter_mut().zip(values) {
                metric.samples.extend(value.map(|value| (labels(), value)));
            }
        }
    }
    all.extend(database);
    all.extend(instance);
    all.extend(server);
    let address = |one: &status::Address| {
        let ip = one.ip.clone().unwrap_or_default();
        (vec![("resource", one.resource.clone()), ("address", ip)], one.nodes.len() as f64)
    };
    all.push(Metric {
        samples: status.addresses.iter().map(address).collect(),
        ..gauge("address_nodes", "On how many nodes the address is.")
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::mysql::report::{Server, Source};
    use crate::commands::status::tests::sample;

    fn text() -> String {
        let mut status = sample();
        let instance = &mut status.databases[0].instances[1];
        instance.score = Some("-INFINITY".into());
        let source = Source { receiver: "connected".into(), age: Some(2), ..Source::default() };
        instance.server = Some(Server { version: "MySQL \"9\"".into(), source: Some(source), ..Server::default() });
        print(Some(&status))
    }

    #[test]
    fn what_is_known_is_a_sample_and_what_is_not_is_none() {
        let text = text();
        for line in [
            "rustha_cluster_reachable 1",
            "rustha_health 0",
            "rustha_node_online{node=\"db1\"} 1",
            "rustha_instance_promoted{resource=\"p_db\",node=\"db2\"} 1",
            "rustha_instance_score{resource=\"p_db\",node=\"db1\"} -Inf",
            "rustha_server_info{resource=\"p_db\",node=\"db1\",version=\"MySQL \\\"9\\\"\"} 1",
            "rustha_replica_lag_seconds{resource=\"p_db\",node=\"db1\"} 2",
            "rustha_address_nodes{resource=\"p_vip\",address=\"10.77.0.50\"} 1",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is not in:\n{text}");
        }
        assert!(!text.contains("rustha_database_acknowledgements") && text.ends_with("# EOF\n"));
        assert_eq!(
            print(None).lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>(),
            ["rustha_cluster_reachable 0"]
        );
    }

    #[test]
    fn each_metric_is_described_once_before_its_samples() {
        let text = text();
        let names: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        for name in &names {
            assert_eq!(text.matches(&format!("# HELP {name} ")).count(), 1, "{name}");
        }
        let mut last = "";
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().expect("a name");
            assert!(names.contains(&name), "{line}");
            last = name;
        }
        assert_eq!(last, "rustha_address_nodes");
    }

    #[test]
    fn the_dashboard_asks_for_metrics_that_exist() {
        let dashboard = include_str!("../../packaging/grafana/rustha.json");
        let dashboard: serde_json::Value = serde_json::from_str(dashboard).expect("JSON");
        let panels = dashboard["panels"].as_array().expect("panels");
        let names: Vec<&'static str> = metrics(Some(&sample())).iter().map(|metric| metric.name).collect();
        let mut asked = 0;
        for target in panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten()) {
            let expression = target["expr"].as_str().expect("an expression");
            for part in expression.split("rustha_").skip(1) {
                let name: String = part.chars().take_while(|one| one.is_ascii_alphanumeric() || *one == '_').collect();
                assert!(names.contains(&name.as_str()), "{name} in {expression}");
                asked += 1;
            }
        }
        assert!(asked > 8, "{asked}");
    }
}
