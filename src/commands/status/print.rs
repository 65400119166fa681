//! How the status looks on a screen of 80 columns. Pure: colours are taken away where there is no terminal.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use super::super::screen::wrap;
use super::assess::{Database, Health, InstanceStatus, Status};

/// How wide a line may be.
const WIDTH: usize = 80;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// A text in a style.
fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

fn mark(health: Health) -> String {
    let (colour, sign) = match health {
        Health::Ok => (AnsiColor::Green, "●"),
        Health::Warning => (AnsiColor::Yellow, "▲"),
        Health::Critical => (AnsiColor::Red, "✗"),
    };
    styled(colour.on_default(), sign)
}

/// The whole screen.
pub fn print(status: &Status) -> String {
    let mut text = String::new();
    let cluster = &status.cluster;
    let online = cluster.nodes.iter().filter(|node| node.state == "online").count();
    let mut line = format!("{online} of {} nodes online", cluster.nodes.len());
    line += if cluster.quorum { ", quorum" } else { ", NO QUORUM" };
    line += if cluster.fencing { ", fencing" } else { ", no fencing" };
    if cluster.maintenance {
        line += ", MAINTENANCE MODE";
    }
    line += &cluster.dc.as_ref().map(|dc| format!(", DC {dc}")).unwrap_or_default();
    let _ = writeln!(text, "{line}");
    for database in &status.databases {
        print_database(&mut text, database);
    }
    if !status.addresses.is_empty() {
        let _ = writeln!(text, "\n{}", styled(BOLD, "addresses"));
        let ip = |address: &super::assess::Address| address.ip.clone().unwrap_or_else(|| "?".into());
        let wide = status.addresses.iter().map(|address| ip(address).len()).max().unwrap_or_default();
        let named = status.addresses.iter().map(|address| address.resource.len()).max().unwrap_or_default();
        for address in &status.addresses {
            let place = if address.nodes.is_empty() { "nowhere".into() } else { address.nodes.join(" AND ") };
            let _ = writeln!(text, "  {:wide$}  {:named$}  {place}", ip(address), address.resource);
        }
    }
    let _ = writeln!(text);
    if status.findings.is_empty() {
        let _ = writeln!(text, "{} all is well", mark(Health::Ok));
    }
    for finding in &status.findings {
        print_wrapped(&mut text, &format!("{} ", mark(finding.health)), "  ", 2, &finding.text, Style::new());
    }
    text
}

fn print_database(text: &mut String, database: &Database) {
    let promotion = database.promotion.map(|number| format!(", promotion {number}")).unwrap_or_default();
    let _ = writeln!(text, "\n{}  ocf:rustha:mysql{promotion}", styled(BOLD, &database.resource));
    let is_here = |name: &str| database.instances.iter().any(|instance| instance.node == name);
    let source = |instance: &InstanceStatus| instance.source.clone().filter(|source| *source != instance.node);
    // Those that replicate from nobody, or from nobody that is shown here, stand at the left.
    let (roots, replicas): (Vec<&InstanceStatus>, Vec<&InstanceStatus>) =
        database.instances.iter().partition(|it| source(it).is_none_or(|source| !is_here(&source)));
    let mut left = replicas;
    let wide = database.instances.iter().map(|instance| instance.node.len()).max().unwrap_or_default();
    for root in roots {
        print_branch(text, root, &mut left, &Place { bars: String::new(), joint: "", below: "" }, wide);
    }
    // In a ring there is nobody to begin with.
    while let Some(instance) = left.first().copied() {
        left.remove(0);
        print_branch(text, instance, &mut left, &Place { bars: String::new(), joint: "", below: "" }, wide);
    }
}

/// Where in the tree a line stands.
struct Place {
    bars: String,
    joint: &'static str,
    below: &'static str,
}

fn print_branch(
    text: &mut String,
    instance: &InstanceStatus,
    left: &mut Vec<&InstanceStatus>,
    place: &Place,
    wide: usize,
) {
    let is_below = |other: &&InstanceStatus| other.source.as_deref() == Some(instance.node.as_str());
    let (children, rest): (Vec<&InstanceStatus>, Vec<&InstanceStatus>) = left.iter().copied().partition(is_below);
    *left = rest;
    let bar = if children.is_empty() { " " } else { "│" };
    let Place { bars, joint, below } = place;
    let name = format!("{:wide$}", instance.node);
    let head = format!("{bars}{joint}{} {}  ", mark(instance.health), styled(BOLD, &name));
    let indent = bars.chars().count() + joint.chars().count() + 2 + wide + 2;
    let rest = format!("{bars}{below}{bar} {:wide$}  ", "");
    let mut said = instance.status.clone();
    // Something is always being monitored.
    if let Some(pending) = instance.pending.as_ref().filter(|pending| *pending != "Monitoring") {
        said += &format!(" ({})", pending.to_lowercase());
    }
    print_wrapped(text, &head, &rest, indent, &said, Style::new());
    print_wrapped(text, &rest, &rest, indent, &details(instance), DIM);
    if let Some(failure) = &instance.last_failure {
        print_wrapped(text, &rest, &rest, indent, &format!("last failure: {failure}"), DIM);
    }
    for (number, child) in children.iter().enumerate() {
        let is_last = number + 1 == children.len();
        let place = Place {
            bars: format!("{bars}{below}"),
            joint: if is_last { "└─ " } else { "├─ " },
            below: if is_last { "   " } else { "│  " },
        };
        print_branch(text, child, left, &place, wide);
    }
}

fn details(instance: &InstanceStatus) -> String {
    let mut parts = Vec::new();
    if let Some(server) = &instance.server {
        parts.push(server.version.clone());
        if let Some(executed) = server.executed.as_ref().filter(|text| text.len() <= WIDTH) {
            parts.push(format!("GTID {}", if executed.is_empty() { "none" } else { executed }));
        } else {
            parts.push(counted(server.transactions, "transaction"));
        }
        if let Some(source) = &server.source {
            let is_well = source.receiver == "connected" && source.applier;
            if !is_well {
                parts.push(format!(
                    "receiver {}, applier {}",
                    source.receiver,
                    if source.applier { "runs" } else { "stopped" }
                ));
            }
            parts.push(source.age.map_or("lag not known".into(), |age| format!("at most {age} s behind")));
            if source.unapplied > 0 {
                parts.push(format!("{} to apply", counted(source.unapplied, "transaction")));
            }
        }
        parts.push(counted(server.clients, "client"));
    }
    parts.extend(instance.trouble.clone());
    if instance.role != "stopped" {
        parts.push(instance.score.as_ref().map_or("no score".into(), |score| format!("score {score}")));
        // The status says why not.
        if instance.readable {
            parts.push("readable".into());
        } else if !instance.status.contains("not readable") {
            parts.push("not readable".into());
        }
    }
    let other = instance.guard.as_ref().filter(|version| *version != env!("CARGO_PKG_VERSION"));
    parts.extend(other.map(|version| format!("rustha {version}")));
    parts.join(", ")
}

/// A number of things, in words.
fn counted(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// A text behind `head`, its further lines behind `rest`, both of which take `indent` columns.
fn print_wrapped(text: &mut String, head: &str, rest: &str, indent: usize, words: &str, style: Style) {
    let room = WIDTH.saturating_sub(indent).max(20);
    for (number, line) in wrap(words, room).iter().enumerate() {
        let start = if number == 0 { head } else { rest };
        let _ = writeln!(text, "{start}{}", styled(style, line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::mysql::report::{Server, Source};

    fn instance(node: &str, source: Option<&str>, status: &str) -> InstanceStatus {
        let server = Server {
            version: "MariaDB 10.11.18".into(),
            executed: Some("0-1-4711".into()),
            source: source.map(|host| Source {
                host: host.into(),
                receiver: "connected".into(),
                applier: true,
                age: Some(1),
                ..Source::default()
            }),
            ..Server::default()
        };
        InstanceStatus {
            node: node.into(),
            role: if source.is_some() { "replica" } else { "primary" },
            health: Health::Ok,
            status: status.into(),
            pending: None,
            score: Some("100".into()),
            readable: true,
            source: source.map(str::to_string),
            last_failure: None,
            guard: Some("0.1.0".into()),
            server: Some(server),
            trouble: None,
        }
    }

    fn plain(database: &Database) -> String {
        let mut text = String::new();
        print_database(&mut text, database);
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn replicas_hang_below_what_they_replicate_from_and_no_line_is_too_wide() {
        let long = "excluded: its SQL thread stopped: error 1062: Duplicate entry '7' for key 'PRIMARY' of a table";
        let database = Database {
            resource: "p_db".into(),
            primary: Some("db1".into()),
            promotion: Some(4),
            acks: Some(1),
            in_sync: vec![],
            joining: vec![],
            risk: None,
            instances: vec![
                instance("db1", None, "primary, each write also on 1 of db2, db3"),
                instance("db2", Some("db1"), "replica of db1, in sync"),
                instance("db3", Some("db2"), long),
            ],
        };
        let text = plain(&database);
        assert!(text.contains("● db1  primary"), "{text}");
        assert!(text.contains("\n└─ ● db2  replica of db1"), "{text}");
        assert!(text.contains("\n   └─ ● db3  excluded"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }

    #[test]
    fn a_ring_is_shown_and_not_followed_for_ever() {
        let instances = vec![instance("db1", Some("db2"), "a"), instance("db2", Some("db1"), "b")];
        let database = Database {
            resource: "p_db".into(),
            primary: None,
            promotion: None,
            acks: None,
            in_sync: vec![],
            joining: vec![],
            risk: None,
            instances,
        };
        assert_eq!(plain(&database).matches("● db").count(), 2);
    }
}
