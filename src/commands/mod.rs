//! The operator's verbs, one file each. Text and JSON come from the same values.

pub mod check;
pub mod config;
pub mod divergence;
pub mod explain;
mod interrupt;
pub mod metrics;
pub mod promote;
pub mod rejoin;
mod screen;
pub mod status;
pub mod switchover;

use std::path::Path;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::Value;

use crate::agents::mysql::Mysql;
use crate::agents::mysql::decide::record::{Record, State};
use crate::deadline::Deadline;
use crate::guard;
use crate::ocf::agent::Agent;
use crate::ocf::env::Invocation;
use crate::pacemaker::survey::Survey;
use crate::pacemaker::{self, Cluster};

/// Where Pacemaker's agents keep what may not survive a reboot (HA_RSCTMP).
const RUN_DIR: &str = "/run/resource-agents";

/// What the commands print with `--json`, by the commands' names. Where there is no answer it is an object with `error`.
#[cfg(feature = "schema")]
pub fn schemas() -> Vec<(&'static str, schemars::Schema)> {
    vec![
        ("status", schemars::schema_for!(status::Status)),
        ("check", schemars::schema_for!(check::Checked)),
        ("switchover", schemars::schema_for!(switchover::Answer)),
        ("promote", schemars::schema_for!(promote::Forced)),
        ("rejoin-dry-run", schemars::schema_for!(rejoin::Planned)),
        ("rejoin", schemars::schema_for!(rejoin::Ended)),
        ("divergence", schemars::schema_for!(divergence::Divergence)),
    ]
}

/// Which instance on this node is meant, and how the answer is to look.
#[derive(Args)]
pub struct Here {
    /// The resource; not needed where this node has one database only
    #[arg(long, short)]
    pub resource: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl Here {
    /// The instance on this node: as its guard knows it.
    ///
    /// # Errors
    /// When there is none, or it is not clear which one is meant.
    pub fn find(&self) -> Result<Invocation> {
        let guards = guard::all(Path::new(RUN_DIR), "mysql");
        let names = guards.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        let wanted = guards.iter().filter(|(name, _)| self.resource.as_ref().is_none_or(|wanted| wanted == name));
        match (wanted.clone().count(), wanted.clone().next()) {
            (1, Some((_, pid))) => Ok(Invocation::of_process(*pid)?),
            (0, _) if guards.is_empty() => {
                bail!("no database of rustha's runs on this node: is the resource started here?")
            }
            (0, _) => bail!("there is no such resource on this node; there is: {names}"),
            _ => bail!("which one? --resource, one of: {names}"),
        }
    }
}

/// The agent whose resources are databases.
const DATABASE: &str = "ocf:rustha:mysql";

/// The database of the cluster that is meant.
///
/// # Errors
/// When there is none, or it is not clear which one is meant.
fn choose_database(survey: &Survey, wanted: Option<&str>) -> Result<String> {
    let resources = survey.resources_of(DATABASE);
    match (wanted, resources.as_slice()) {
        (_, []) => bail!("the cluster has no resource of {DATABASE}"),
        (Some(wanted), _) if resources.contains(&wanted) => Ok(wanted.to_string()),
        (Some(wanted), _) => bail!("there is no database {wanted}; there is: {}", resources.join(", ")),
        (None, [one]) => Ok((*one).to_string()),
        (None, _) => bail!("which one? --resource, one of: {}", resources.join(", ")),
    }
}

/// The name of the attribute that says where clients may read; `None` where there is none.
///
/// # Errors
/// When the cluster cannot be asked.
fn reader_attribute(resource: &str, deadline: Deadline) -> Result<Option<String>> {
    const NAME: &str = "reader_attribute";
    let default = Mysql.parameters().iter().find(|parameter| parameter.name == NAME);
    let default = default.and_then(|parameter| parameter.default).map(str::to_string);
    Ok(pacemaker::parameter(resource, NAME, deadline)?.or(default))
}

/// The record of a database's last promotion; `None` if there was none.
///
/// # Errors
/// When the cluster cannot be asked, or the record is broken.
fn read_record(cluster: &Cluster, deadline: Deadline) -> Result<Option<Record>> {
    let text = cluster.read_record(deadline)?;
    text.map(|text| Record::parse(&text).map_err(anyhow::Error::msg)).transpose()
}

/// Whether the instance on this node was promoted after that promotion. Pacemaker calls one promoted from when it begins with it,
/// and also one that has refused: the record is written when it has everything, right before it opens.
fn is_promoted_after(epoch: u64, node: &str, record: Option<&Record>) -> bool {
    record.is_some_and(|record| record.epoch > epoch && record.primary == node && record.state == State::Open)
}

/// Prints the answer, or why there is none; the exit status.
fn answer(json: bool, outcome: Result<(Value, String)>) -> i32 {
    match outcome {
        Ok((value, _)) if json => println!("{value:#}"),
        Ok((_, text)) => anstream::println!("{text}"),
        Err(error) if json => println!("{:#}", serde_json::json!({ "error": format!("{error:#}") })),
        Err(error) => {
            eprintln!("rustha: {error:#}");
            return 1;
        }
    }
    0
}
