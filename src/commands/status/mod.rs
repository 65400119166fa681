//! `rustha status`: what the cluster, its databases and addresses are now, from any node of it. Nothing is changed.

mod assess;
mod print;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;

use super::{DATABASE, RUN_DIR, choose_database, reader_attribute};
use crate::agents::mysql::checks::judge::ADDRESSES;
use crate::agents::mysql::decide::record::Record;
use crate::agents::mysql::report::{self, Question, Report};
use crate::deadline::Deadline;
use crate::guard;
use crate::ocf::env::Invocation;
use crate::pacemaker::survey::Survey;
use crate::pacemaker::{self, Cluster};
use assess::Known;
#[cfg(test)]
pub use assess::tests;
pub use assess::{Address, Health, Status};

/// What Pacemaker may take to answer.
const ASKING: Duration = Duration::from_secs(15);

/// How long the guards on other nodes may take to answer: they look every three seconds.
const ANSWERING: Duration = Duration::from_secs(6);

/// How often the live screen is drawn anew.
const EVERY: Duration = Duration::from_secs(2);

/// The exit status when it is not known how things are.
const UNKNOWN: i32 = 3;

/// How the status is to be shown.
#[derive(Args)]
pub struct Options {
    /// Only this database
    #[arg(long, short)]
    resource: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Show it again every two seconds, until it is interrupted
    #[arg(long, conflicts_with = "json")]
    watch: bool,
}

/// Runs the command; the exit status: 0 all is well, 1 something is missing, 2 clients cannot write, 3 not known.
pub fn run(options: &Options) -> i32 {
    loop {
        let outcome = look(options.resource.as_deref(), Scope::AllNodes);
        let code = outcome.as_ref().map_or(UNKNOWN, |status| status.health as i32);
        if options.watch {
            // The screen is cleared when the new one is there, so that it does not flicker.
            anstream::print!("\x1b[H\x1b[2J");
        }
        match outcome {
            Ok(status) if options.json => match serde_json::to_string_pretty(&status) {
                Ok(text) => println!("{text}"),
                Err(error) => eprintln!("rustha: {error}"),
            },
            Ok(status) => anstream::print!("{}", print::print(&status)),
            Err(error) if options.json => println!("{:#}", json!({ "error": format!("{error:#}") })),
            Err(error) => eprintln!("rustha: {error:#}"),
        }
        if !options.watch {
            return code;
        }
        std::thread::sleep(EVERY);
    }
}

/// Whose servers are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those of all nodes, by their guards.
    AllNodes,
    /// That of this node.
    ThisNode,
}

/// How things are.
///
/// # Errors
/// When the cluster does not answer, or has no such database.
pub fn look(resource: Option<&str>, scope: Scope) -> Result<Status> {
    let deadline = Deadline::after(ASKING);
    let survey = pacemaker::survey(deadline).map_err(|error| without_cluster(&error))?;
    let resources = match resource {
        Some(_) => vec![choose_database(&survey, resource)?],
        None => survey.resources_of(DATABASE).into_iter().map(str::to_string).collect(),
    };
    // All databases at the same time, each of which waits for its guards.
    let known = std::thread::scope(|threads| {
        let survey = &survey;
        let asked: Vec<_> =
            resources.iter().map(|resource| threads.spawn(move || ask(survey, resource, scope, deadline))).collect();
        let joined =
            asked.into_iter().map(|asked| asked.join().unwrap_or_else(|_| bail!("a thread of this program ended")));
        joined.collect::<Result<Vec<Known>>>()
    })?;
    let mut addresses = BTreeMap::new();
    for resource in ADDRESSES.iter().flat_map(|agent| survey.resources_of(agent)) {
        addresses.insert(resource.to_string(), pacemaker::parameter(resource, "ip", deadline)?);
    }
    Ok(assess::assess(&survey, &known, &addresses))
}

/// What there is to know of a database beside what Pacemaker shows.
fn ask(survey: &Survey, resource: &str, scope: Scope, deadline: Deadline) -> Result<Known> {
    let cluster = Cluster::of(resource, None, deadline)?;
    let record = cluster.read_record(deadline)?.and_then(|text| Record::parse(&text).ok());
    let reader_attribute = reader_attribute(resource, deadline)?;
    let mut reports = BTreeMap::new();
    let mut nodes: BTreeSet<String> = survey.running(resource).map(|(node, _)| node.to_string()).collect();
    // The one here can be asked itself.
    if let Some(report) = here(resource) {
        nodes.remove(&cluster.node);
        reports.insert(cluster.node.clone(), report);
    }
    if scope == Scope::AllNodes {
        reports.extend(report::ask_all(&cluster, resource, &nodes, Question::Status, deadline.at_most(ANSWERING))?);
    }
    Ok(Known { resource: resource.to_string(), record, reader_attribute, reports })
}

/// What the instance on this node says, if there is one.
fn here(resource: &str) -> Option<Report> {
    let guards = guard::all(Path::new(RUN_DIR), "mysql");
    let (_, pid) = guards.into_iter().find(|(name, _)| name == resource)?;
    // It may have ended just now.
    report::here(&Invocation::of_process(pid).ok()?).ok()
}

/// What can be said where Pacemaker does not answer.
fn without_cluster(error: &anyhow::Error) -> anyhow::Error {
    let guards = guard::all(Path::new(RUN_DIR), "mysql");
    let servers = guards.iter().filter_map(|(resource, pid)| {
        let report = report::here(&Invocation::of_process(*pid).ok()?).ok()?;
        let server = match (report.server, report.trouble) {
            (Some(server), _) if server.writable => format!("{}, open for writes", server.version),
            (Some(server), _) => format!("{}, closed for writes", server.version),
            (None, trouble) => trouble.unwrap_or_default(),
        };
        Some(format!("; {resource} on this node: {server}"))
    });
    anyhow::anyhow!("Pacemaker does not answer on this node: {error:#}{}", servers.collect::<String>())
}
