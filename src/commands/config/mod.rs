//! `rustha config`: a complete, commented cluster configuration, for crm or for pcs. It is printed; nothing is changed.

mod crm;
mod pcs;
mod plan;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::deadline::Deadline;
use crate::pacemaker;
use crate::pacemaker::survey::Survey;
use plan::{Given, Plan};

/// What Pacemaker may take to say which nodes there are.
const ASKING: Duration = Duration::from_secs(10);

/// What the cluster shall have.
#[derive(Args)]
#[command(group = clap::ArgGroup::new("language").required(true))]
pub struct Options {
    /// In crmsh's language: rustha config --crm … | crm configure load update -
    #[arg(long, group = "language")]
    crm: bool,
    /// As pcs commands: rustha config --pcs … | sh -e
    #[arg(long, group = "language")]
    pcs: bool,
    /// The nodes, each with the address for replication where its name is not it; the default are the cluster's
    #[arg(long, value_name = "NODE[:ADDRESS],…", value_delimiter = ',')]
    nodes: Vec<String>,
    /// The address that is where writes are taken
    #[arg(long, value_name = "ADDRESS")]
    ip: IpAddr,
    /// An address for readers
    #[arg(long, value_name = "ADDRESS")]
    reader_ip: Option<IpAddr>,
    /// What the resources are named after
    #[arg(long, default_value = "db")]
    name: String,
    /// The account that replicates
    #[arg(long, default_value = "repl", value_name = "USER")]
    replication_user: String,
    /// A file with its password; else there is a placeholder
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// On how many replicas each write is when its client is told
    #[arg(long, default_value_t = 1)]
    acks: u32,
    /// The address as a promotable clone: it stands by on each node, which saves a start in a failover
    #[arg(long)]
    address_clone: bool,
    /// Nodes are fenced (their devices are configured apart); where the cluster does so already, it goes on
    #[arg(long)]
    fencing: bool,
}

/// Runs the command; the exit status.
pub fn run(options: &Options) -> i32 {
    match make(options) {
        Ok(text) => {
            print!("{text}");
            0
        }
        Err(error) => {
            eprintln!("rustha: {error:#}");
            1
        }
    }
}

fn make(options: &Options) -> Result<String> {
    let survey = pacemaker::survey(Deadline::after(ASKING));
    if options.nodes.is_empty() && survey.is_err() {
        bail!("no cluster answers on this node: say --nodes");
    }
    // A cluster that fences goes on doing so.
    let fences = options.fencing || survey.as_ref().is_ok_and(Survey::fences);
    let members = survey.ok().map(|survey| survey.members.into_iter().map(|member| member.name).collect());
    let password = options.password_file.as_deref().map(read_password).transpose()?;
    let given = Given {
        nodes: &options.nodes,
        members,
        ip: options.ip,
        reader_ip: options.reader_ip,
        name: &options.name,
        replication_user: &options.replication_user,
        password: password.as_deref(),
        acks: options.acks,
        has_address_clone: options.address_clone,
        fences,
    };
    let plan = Plan::of(&given).map_err(anyhow::Error::msg)?;
    Ok(if options.crm { crm::print(&plan) } else { pcs::print(&plan) })
}

fn read_password(path: &std::path::Path) -> Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let password = text.lines().next().unwrap_or_default();
    if password.is_empty() {
        bail!("{} has no password in its first line", path.display());
    }
    Ok(password.to_string())
}
