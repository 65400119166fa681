//! What an instance says of itself to an operator on another node: the guard answers whoever asks, through the cluster, so
//! that nobody needs a login of another server, and nothing listens for it. A command asks by an attribute of its node, the
//! guards look for one every few seconds, and tell a report under the question's number.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};

use super::checks::facts::{self, Facts};
use super::node::Node;
use super::{memo, replicate};
use crate::deadline::Deadline;
use crate::gtid::GtidSet;
use crate::ocf::env::Invocation;
use crate::pacemaker::Cluster;
use crate::server::client::{Patience, Session};
use crate::server::process::Daemon;
use crate::server::rows::{Receiver, ReplicaStatus};
use crate::server::semisync;

/// How often it is looked whether somebody asks.
const EVERY: Duration = Duration::from_secs(3);

/// The same while somebody has asked a moment ago, and may go on doing so.
const OFTEN: Duration = Duration::from_secs(1);

/// How long that lasts, and how long a question is waited for at most.
const ATTENTION: Duration = Duration::from_secs(30);

/// What a look and an answer may take.
const LOOK: Duration = Duration::from_secs(10);

/// How long the server may take to answer: one that hangs shall not keep the operator waiting.
const ANSWER: Duration = Duration::from_secs(2);

/// How often the asking one looks for answers.
const AGAIN: Duration = Duration::from_millis(100);

/// A set of transactions that is longer than this is not sent: a program's argument has room for 128 KiB.
const LONGEST: usize = 32 * 1024;

/// What an instance says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The version of the guard's program.
    pub rustha: String,
    /// The server; null: it does not run, or could not be asked.
    pub server: Option<Server>,
    /// Why the server could not be asked.
    pub trouble: Option<String>,
    /// What the checks look at, where that was asked for.
    pub facts: Option<Facts>,
}

/// A server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Server {
    /// Vendor and version, for example `MariaDB 10.11.18`.
    pub version: String,
    /// The number of its process.
    pub pid: i32,
    /// Its number in replication.
    pub server_id: u64,
    /// MySQL's server_uuid.
    pub uuid: Option<String>,
    /// Clients can write here.
    pub writable: bool,
    /// Everything that it has committed; null: too long to be told.
    pub executed: Option<String>,
    /// How many transactions that are; on MariaDB at most.
    pub transactions: u64,
    /// How many clients are connected.
    pub clients: u64,
    /// What it replicates from.
    pub source: Option<Source>,
    /// It waits for so many acknowledgements of each commit; 0: for none.
    pub awaited_acks: u64,
    /// How many commits wait for one now.
    pub waiting_commits: u64,
    /// It acknowledges what it receives.
    pub acknowledges: bool,
    /// Why clients may not read here; null: they may.
    pub not_readable: Option<String>,
}

/// What a replica replicates from, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Source {
    /// Its address.
    pub host: String,
    /// Its node, where the parameter replication_host_map says it.
    pub node: Option<String>,
    /// Its port.
    pub port: Option<u16>,
    /// `connected`, `connecting` or `stopped`.
    pub receiver: String,
    /// What it has received is being applied.
    pub applier: bool,
    /// How many transactions were received and are not applied yet; on MariaDB at most.
    pub unapplied: u64,
    /// What clients see here is at most so old, in seconds; null: not known.
    pub age: Option<u64>,
    /// What the server itself says it is behind, in seconds: 0 also when nothing is received.
    pub seconds_behind: Option<u64>,
    /// Why it does not receive or apply.
    pub error: Option<String>,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// How it is.
    Status,
    /// That, and what the checks look at.
    Checks,
}

/// How the number of a question ends that asks for what the checks look at.
const WITH_CHECKS: char = '!';

/// What the instance on this node says of itself, whose guard was called so.
///
/// # Errors
/// When this node's name in the cluster cannot be found out.
pub fn here(call: &Invocation) -> Result<Report> {
    Ok(gather(&Node::gather(call, LOOK)?, Question::Status))
}

/// What this instance says of itself now.
fn gather(node: &Node, question: Question) -> Report {
    let facts = (question == Question::Checks).then(|| facts::gather(node, node.view().ok().flatten().as_ref()));
    let report = Report { rustha: env!("CARGO_PKG_VERSION").into(), facts, ..Report::default() };
    let Some(daemon) = node.daemon() else {
        return Report { trouble: Some(super::guard::describe_end(node)), ..report };
    };
    let patience = Patience { deadline: node.deadline, answer: ANSWER };
    let asked = node.session_with(patience).map_err(Into::into).and_then(|mut session| ask(node, &mut session, daemon));
    match asked {
        Ok(server) => Report { server: Some(server), ..report },
        Err(error) => Report { trouble: Some(format!("{error:#}")), ..report },
    }
}

fn ask(node: &Node, session: &mut Session, daemon: Daemon) -> Result<Server> {
    let state = session.state()?;
    let status = session.replica_status()?;
    let semi_sync = semisync::read(session)?;
    let source = status.as_ref().map(|status| describe(node, session, daemon, status, &state.executed));
    Ok(Server {
        version: session.dialect().version().to_string(),
        pid: daemon.pid,
        server_id: state.server_id,
        uuid: state.server_uuid.clone(),
        writable: state.is_writable(),
        transactions: state.executed.count(),
        executed: Some(state.executed.to_string()).filter(|text| text.len() <= LONGEST),
        clients: session.clients()?.len() as u64,
        source,
        awaited_acks: semi_sync.source.as_ref().filter(|side| side.active).map_or(0, |side| side.acks),
        waiting_commits: semi_sync.source.map_or(0, |side| side.waiting),
        acknowledges: semi_sync.replica.is_some_and(|side| side.active),
        not_readable: memo::readiness(node, daemon).err(),
    })
}

fn describe(node: &Node, session: &Session, daemon: Daemon, status: &ReplicaStatus, executed: &GtidSet) -> Source {
    let receiver = match status.receiver {
        Receiver::Running => "connected",
        Receiver::Connecting => "connecting",
        Receiver::Stopped => "stopped",
    };
    let unapplied = if replicate::counts(session, status) { status.received.minus(executed).count() } else { 0 };
    let error = status.applier_error.as_ref().or(status.receiver_error.as_ref());
    Source {
        host: status.source_host.clone(),
        node: node.config.node_at(&status.source_host).map(str::to_string),
        port: status.source_port,
        receiver: receiver.into(),
        applier: status.applier_running,
        unapplied,
        age: memo::noted_age(node, daemon).map(|age| age.as_secs()),
        seconds_behind: status.lag,
        error: error.map(|error| format!("error {}: {}", error.number, error.text)),
    }
}

/// The names under which it is asked, and answered.
fn attributes(resource: &str) -> (String, String) {
    (format!("{resource}-ask"), format!("{resource}-report"))
}

/// Answers whoever asks, as long as the server lives.
///
/// # Errors
/// When the call makes no sense.
pub fn serve(call: &Invocation, daemon: Daemon) -> Result<()> {
    let mut node = Node::gather(call, LOOK)?;
    let Some(cluster) = node.cluster.clone() else { return Ok(()) };
    let (ask, answer) = attributes(&node.resource);
    // Since when a question is there. Whoever was killed while it asked leaves its question, for which nobody waits.
    let mut asked: BTreeMap<String, Instant> = BTreeMap::new();
    let mut answered = BTreeSet::new();
    while daemon.is_alive() {
        let is_asked = asked.values().any(|since| since.elapsed() < ATTENTION);
        let next = Deadline::after(if is_asked { OFTEN } else { EVERY });
        while daemon.is_alive() && !next.is_over() {
            std::thread::sleep(OFTEN.min(next.remaining()));
        }
        node.renew(LOOK);
        let Ok(told) = cluster.told(&ask, node.deadline) else { continue };
        let there: BTreeSet<String> = told.into_values().collect();
        asked.retain(|question, _| there.contains(question));
        for question in there {
            asked.entry(question).or_insert_with(Instant::now);
        }
        let is_awaited =
            |(question, since): (&String, &Instant)| (since.elapsed() < ATTENTION).then(|| question.clone());
        let questions: BTreeSet<String> = asked.iter().filter_map(is_awaited).collect();
        if questions == answered {
            continue;
        }
        let outcome = if questions.is_empty() {
            cluster.remove_attribute(&answer, node.deadline)
        } else {
            let has_checks = questions.iter().any(|question| question.ends_with(WITH_CHECKS));
            let question = if has_checks { Question::Checks } else { Question::Status };
            // Anew: what was there when the guard began may be gone.
            let now = Node::gather(call, LOOK);
            pack(&questions, &gather(now.as_ref().unwrap_or(&node), question))
                .and_then(|text| cluster.tell(&answer, &text, Deadline::after(LOOK)))
        };
        match outcome {
            Ok(()) => answered = questions,
            Err(error) => log::debug!("{error:#}"),
        }
    }
    Ok(())
}

/// The numbers of the questions, and the answer to all of them.
fn pack(questions: &BTreeSet<String>, report: &Report) -> Result<String> {
    let numbers: Vec<&str> = questions.iter().map(String::as_str).collect();
    // What Pacemaker's tools print is to be read as it was written: no quotes, no line breaks.
    Ok(format!("{} {}", numbers.join(","), BASE64.encode(serde_json::to_vec(report)?)))
}

/// The answer to this question, if it is one.
fn unpack(text: &str, question: &str) -> Option<Result<Report>> {
    let (numbers, report) = text.split_once(' ')?;
    if !numbers.split(',').any(|number| number == question) {
        return None;
    }
    let read = || -> Result<Report> { Ok(serde_json::from_slice(&BASE64.decode(report)?)?) };
    Some(read().context("an answer that cannot be read: is another version of rustha there?"))
}

/// Asks the instances on these nodes; what they say, as far as they answer in time.
///
/// # Errors
/// When the cluster cannot be asked.
pub fn ask_all(
    cluster: &Cluster,
    resource: &str,
    nodes: &BTreeSet<String>,
    question: Question,
    deadline: Deadline,
) -> Result<BTreeMap<String, Report>> {
    let mut reports = BTreeMap::new();
    if nodes.is_empty() {
        return Ok(reports);
    }
    let (ask, answer) = attributes(resource);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut number = format!("{:x}-{:x}", now.as_millis(), std::process::id());
    if question == Question::Checks {
        number.push(WITH_CHECKS);
    }
    cluster.tell(&ask, &number, Deadline::after(LOOK))?;
    let _silence = Silence { cluster, attribute: &ask };
    while reports.len() < nodes.len() && !deadline.is_over() {
        std::thread::sleep(AGAIN);
        for (node, text) in
            cluster.told(&answer, Deadline::after(LOOK))?.iter().filter(|(node, _)| nodes.contains(*node))
        {
            if let Some(report) = unpack(text, &number) {
                let trouble =
                    |error: anyhow::Error| Report { trouble: Some(format!("{error:#}")), ..Report::default() };
                reports.insert(node.clone(), report.unwrap_or_else(trouble));
            }
        }
    }
    Ok(reports)
}

/// Asks nothing any more when it ends.
struct Silence<'a> {
    cluster: &'a Cluster,
    attribute: &'a str,
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.cluster.remove_attribute(self.attribute, Deadline::after(LOOK)) {
            log::debug!("{error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_as_it_was_told_by_whoever_asked() {
        let error = Some("error 1062: Duplicate entry '7' for key \"PRIMARY\"\n".to_string());
        let source = Some(Source { host: "db1".into(), receiver: "connected".into(), error, ..Source::default() });
        let report = Report { server: Some(Server { source, ..Server::default() }), ..Report::default() };
        let text = pack(&BTreeSet::from(["a-1".into(), "b-2".into()]), &report).expect("JSON");
        assert!(!text.contains(['"', '\n']) && text.len() < 1000, "{text}");
        assert_eq!(unpack(&text, "b-2").expect("an answer").expect("readable"), report);
        assert!(unpack(&text, "c-3").is_none());
    }

    #[test]
    fn what_another_version_says_more_or_less_is_no_error() {
        let text = format!("a {}", BASE64.encode(r#"{"rustha":"9.9","server":{"version":"MySQL 9.7.4","new":1}}"#));
        let report = unpack(&text, "a").expect("an answer").expect("readable");
        assert_eq!(report.server.expect("a server").version, "MySQL 9.7.4");
        assert!(unpack("a nonsense", "a").expect("an answer").is_err());
    }
}
