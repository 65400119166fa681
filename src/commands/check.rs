//! `rustha check`: whether servers, nodes and the cluster's configuration are as they must be, one line a check. Nothing is changed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;

use super::choose_database;
use crate::agents::mysql::Mysql;
use crate::agents::mysql::checks::catalogue::{ACROSS, ALL, Severity};
use crate::agents::mysql::checks::facts::Facts;
use crate::agents::mysql::checks::{self, Finding, Wanted, judge};
use crate::agents::mysql::report::{self, Question, Report};
use crate::deadline::Deadline;
use crate::ocf::env::Invocation;
use crate::pacemaker::configuration::{Configuration, Primitive};
use crate::pacemaker::survey::Survey;
use crate::pacemaker::{self, Cluster};

/// What Pacemaker may take to answer.
const ASKING: Duration = Duration::from_secs(15);

/// How long the guards on other nodes may take: they look at their data directories, and try each other's servers.
const ANSWERING: Duration = Duration::from_secs(20);

/// The exit status when it could not be checked.
const UNKNOWN: i32 = 3;

/// What is to be checked.
#[derive(Args)]
pub struct Options {
    /// The database; not needed where the cluster has one only
    #[arg(long, short)]
    resource: Option<String>,
    /// All nodes, and how they go together; else this node and the cluster's configuration
    #[arg(long)]
    all_nodes: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The answer.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Checked {
    /// The database.
    resource: String,
    /// The nodes that were looked at.
    nodes: Vec<String>,
    /// What is wrong.
    findings: Vec<Finding>,
    /// The codes of the checks that have found nothing.
    passed: Vec<&'static str>,
}

/// Runs the command; the exit status: 0 all is well (notes aside), 1 warnings, 2 errors, 3 it could not be checked.
pub fn run(options: &Options) -> i32 {
    let outcome = check(options);
    let code = outcome.as_ref().map_or(UNKNOWN, |checked| {
        let worst = checked.findings.iter().map(|finding| finding.severity).max();
        match worst {
            Some(Severity::Error) => 2,
            Some(Severity::Warning) => 1,
            Some(Severity::Note) | None => 0,
        }
    });
    let shown = outcome.and_then(|checked| Ok((serde_json::to_value(&checked)?, print(&checked))));
    super::answer(options.json, shown);
    code
}

fn check(options: &Options) -> Result<Checked> {
    let deadline = Deadline::after(ASKING);
    let survey = pacemaker::survey(deadline).context("Pacemaker does not answer on this node")?;
    let resource = choose_database(&survey, options.resource.as_deref())?;
    let configuration = pacemaker::configuration(deadline)?;
    let database = configuration.primitives.iter().find(|primitive| primitive.id == resource);
    let database = database.with_context(|| format!("{resource} is not in the configuration any more"))?;
    let cluster = Cluster::of(&resource, None, deadline)?;
    let call = call(database, &cluster.node);
    let wanted = Wanted::by(&call);
    let reports = if options.all_nodes { ask(&survey, &cluster, &resource)? } else { BTreeMap::new() };
    let mut facts = BTreeMap::from([(cluster.node.clone(), checks::here(&call)?)]);
    facts.extend(reports.iter().filter_map(|(node, report)| Some((node.clone(), report.facts.clone()?))));
    let mut versions = BTreeMap::from([(cluster.node.clone(), env!("CARGO_PKG_VERSION").to_string())]);
    versions.extend(reports.iter().map(|(node, report)| (node.clone(), report.rustha.clone())));
    let mut findings = judge_all(&survey, &configuration, database, &facts, &versions, &wanted);
    if options.all_nodes {
        let silent = survey.running(&resource).map(|(node, _)| node).filter(|node| !facts.contains_key(*node));
        findings.extend(silent.map(silence));
    }
    findings.sort_by(|one, other| (one.code, &one.node).cmp(&(other.code, &other.node)));
    let failed: BTreeSet<&str> = findings.iter().map(|finding| finding.code).collect();
    let is_checked = |code: &&str| !failed.contains(code) && (options.all_nodes || !ACROSS.contains(code));
    let passed = ALL.iter().map(|check| check.code).filter(is_checked).collect();
    Ok(Checked { resource, nodes: facts.into_keys().collect(), findings, passed })
}

fn judge_all(
    survey: &Survey,
    configuration: &Configuration,
    database: &Primitive,
    facts: &BTreeMap<String, Facts>,
    versions: &BTreeMap<String, String>,
    wanted: &Wanted,
) -> Vec<Finding> {
    let mut findings = judge::cluster(configuration, database, &Mysql, wanted, survey.members.len());
    findings.extend(facts.iter().flat_map(|(name, facts)| judge::node(name, facts, wanted)));
    findings.extend(judge::across(facts, versions, survey.promoted(&database.id).first().copied()));
    findings
}

fn silence(node: &str) -> Finding {
    Finding {
        code: "RHA-0601",
        severity: Severity::Warning,
        node: Some(node.to_string()),
        text: "its guard did not answer".into(),
    }
}

/// The resource as Pacemaker would call it on this node.
fn call(database: &Primitive, node: &str) -> Invocation {
    let parameters = database.parameters.iter().map(|(name, value)| (format!("OCF_RESKEY_{name}"), value.clone()));
    let own = [
        ("OCF_RESOURCE_INSTANCE", database.id.as_str()),
        ("OCF_RESKEY_crm_feature_set", "by hand"),
        ("OCF_RESKEY_CRM_meta_on_node", node),
    ];
    Invocation::from_pairs(parameters.chain(own.into_iter().map(|(name, value)| (name.to_string(), value.to_string()))))
}

/// What the instances on other nodes say.
fn ask(survey: &Survey, cluster: &Cluster, resource: &str) -> Result<BTreeMap<String, Report>> {
    let others = survey.running(resource).map(|(node, _)| node.to_string()).filter(|node| *node != cluster.node);
    report::ask_all(cluster, resource, &others.collect(), Question::Checks, Deadline::after(ANSWERING))
}

fn print(checked: &Checked) -> String {
    let mut lines = vec![format!("{} on {}", checked.resource, checked.nodes.join(", "))];
    for check in ALL {
        let mut found = checked.findings.iter().filter(|finding| finding.code == check.code).peekable();
        if found.peek().is_none() {
            let word = if checked.passed.contains(&check.code) { styled(AnsiColor::Green, "ok") } else { "- ".into() };
            let how = if checked.passed.contains(&check.code) { "" } else { ": with --all-nodes" };
            lines.push(format!("{word}       {}  {}{how}", check.code, check.title));
        }
        for finding in found {
            let (colour, word) = match finding.severity {
                Severity::Error => (AnsiColor::Red, "ERROR"),
                Severity::Warning => (AnsiColor::Yellow, "warning"),
                Severity::Note => (AnsiColor::Cyan, "note"),
            };
            let place = finding.node.as_ref().map(|node| format!("{node}: ")).unwrap_or_default();
            let room = " ".repeat(9 - word.len());
            lines.push(format!("{}{room}{}  {place}{}", styled(colour, word), check.code, finding.text));
        }
    }
    let count = |severity| checked.findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    lines.push(format!("{errors} errors, {warnings} warnings; rustha explain CODE says what each means"));
    lines.join("\n")
}

fn styled(colour: AnsiColor, text: &str) -> String {
    let style: Style = colour.on_default();
    format!("{style}{text}{style:#}")
}
