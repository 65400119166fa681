//! The command line, and how the name by which the program was called becomes an agent: `…/rustha/mysql start` is the
//! same as `rustha agent mysql start`, with no shell in between.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::Path;

use clap::{CommandFactory, Parser, Subcommand};

use crate::agents;
use crate::agents::mysql::provision::Order;
use crate::commands::{self, Here};
use crate::logging;
use crate::ocf::agent::{Action, Agent, find_action};
use crate::ocf::env::Invocation;
use crate::ocf::exit::{ExitCode, describe};
use crate::ocf::metadata;
use crate::server::dialect::backup::Method;

/// High availability for MySQL and MariaDB under Pacemaker.
///
/// Installed as OCF resource agents: `crm configure primitive p_db ocf:rustha:mysql …`. This command is for people.
#[derive(Parser)]
#[command(name = "rustha", version, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run an action of an agent by hand, as Pacemaker would
    ///
    /// Parameters come from the environment, as for any OCF agent.
    #[command(after_help = "Example: rustha agent mysql meta-data")]
    Agent {
        /// The agent's name.
        #[arg(value_parser = agents::ALL.iter().map(|agent| agent.name()).collect::<Vec<_>>())]
        agent: String,
        /// The action, for example meta-data, validate-all, monitor.
        action: Option<String>,
    },
    /// Show the cluster, its databases and addresses: who replicates from whom, and what is not well
    ///
    /// Exit status: 0 all is well, 1 something is missing, 2 clients cannot write, 3 it is not known.
    #[command(after_help = "Example: rustha status --watch")]
    Status(commands::status::Options),
    /// Check servers, nodes and the cluster's configuration, one line a check
    ///
    /// Exit status: 0 all is well, 1 there are warnings, 2 there are errors, 3 it could not be checked.
    #[command(after_help = "Example: rustha check --all-nodes")]
    Check(commands::check::Options),
    /// Say what a code of 'rustha check' means, and what to do
    #[command(after_help = "Example: rustha explain RHA-0101")]
    Explain {
        /// The code; without one all are listed
        code: Option<String>,
    },
    /// Print a complete cluster configuration, for crm or for pcs
    #[command(after_help = "Example: rustha config --crm --ip 10.0.0.50 --reader-ip 10.0.0.51 > db.crm")]
    Config(commands::config::Options),
    /// Move the primary to another node, on purpose
    ///
    /// The old primary closes, the target proves that it has everything, and if it cannot, the old one goes on. Exit status: 0
    /// the target is the primary, 1 it is not.
    #[command(after_help = "Example: rustha switchover --to db2")]
    Switchover(commands::switchover::Options),
    /// Promote an instance that the cluster refuses to promote, and accept that acknowledged writes may be lost
    ///
    /// The way out when those that have everything do not come back. It says what may be lost and where it could still be, asks,
    /// and puts on record who has done it. Exit status: 0 it is promoted, 1 it is not.
    #[command(after_help = "Example: rustha promote --force db3 --accept-loss")]
    Promote(commands::promote::Options),
    /// Print metrics in OpenMetrics text, for node_exporter's textfile collector
    #[command(after_help = "Example: rustha metrics --textfile /var/lib/prometheus/node-exporter/rustha.prom")]
    Metrics(commands::metrics::Options),
    /// Let this node come back to the cluster: replicate, or get the data of another node
    #[command(after_help = "Example: rustha rejoin --dry-run")]
    Rejoin {
        #[command(flatten)]
        here: Here,
        /// Only say what would happen, and why
        #[arg(long)]
        dry_run: bool,
        /// Also when what only this node has cannot be saved
        #[arg(long)]
        discard_unsaved: bool,
    },
    /// Replace the data of this node by those of another one
    #[command(after_help = "Example: rustha provision --from db3 --method logical")]
    Provision {
        #[command(flatten)]
        here: Here,
        /// Only say what would happen, and why
        #[arg(long)]
        dry_run: bool,
        /// From this node; the default is a replica before the primary
        #[arg(long, value_name = "NODE")]
        from: Option<String>,
        /// How; the default is the first that works
        #[arg(long, value_parser = Method::ALL.map(Method::name))]
        method: Option<String>,
        /// Also when what only this node has cannot be saved
        #[arg(long)]
        discard_unsaved: bool,
    },
    /// List what only this node has or had, and where it was saved
    #[command(after_help = "Example: rustha divergence")]
    Divergence {
        #[command(flatten)]
        here: Here,
    },
    /// The process that an agent leaves behind for as long as its resource is started.
    #[command(hide = true)]
    Guard {
        /// The agent's name.
        agent: String,
        /// Read on standard input what is to be done first, and answer on standard output.
        #[arg(long)]
        order: bool,
    },
}

/// The command line, for whoever makes documents of it.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the program; its exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> i32 {
    let args: Vec<OsString> = args.into_iter().collect();
    let called = args.first().map(Path::new).and_then(Path::file_name).and_then(|name| name.to_str());
    if let Some(agent) = called.and_then(agents::find) {
        // Further arguments are ignored, as the specification asks.
        let action = args.get(1).map(|action| action.to_string_lossy().into_owned());
        return run_agent(agent, action.as_deref());
    }
    match Cli::parse_from(args).verb {
        Verb::Agent { agent, action } => match agents::find(&agent) {
            Some(agent) => run_agent(agent, action.as_deref()),
            None => ExitCode::Args.number(),
        },
        Verb::Status(options) => commands::status::run(&options),
        Verb::Check(options) => commands::check::run(&options),
        Verb::Config(options) => commands::config::run(&options),
        Verb::Promote(options) => commands::promote::run(&options),
        Verb::Metrics(options) => commands::metrics::run(&options),
        Verb::Explain { code } => commands::explain::run(code.as_deref()),
        Verb::Switchover(options) => commands::switchover::run(&options),
        Verb::Rejoin { here, dry_run, discard_unsaved } => {
            let order = Order { discards_unsaved: discard_unsaved, ..Order::default() };
            commands::rejoin::run(&here, &order, dry_run)
        }
        Verb::Provision { here, dry_run, from, method, discard_unsaved } => {
            let method = method.as_deref().and_then(Method::parse);
            let order = Order { is_for_new_data: true, method, donor: from, discards_unsaved: discard_unsaved };
            commands::rejoin::run(&here, &order, dry_run)
        }
        Verb::Divergence { here } => commands::divergence::run(&here),
        Verb::Guard { agent, order } => match agents::find(&agent) {
            Some(agent) => run_guard(agent, order),
            None => ExitCode::Args.number(),
        },
    }
}

/// Runs an agent's action; the exit code that Pacemaker reads. A failure has exactly one exit reason.
fn run_agent(agent: &'static dyn Agent, action: Option<&str>) -> i32 {
    let action = match action {
        Some("usage" | "help" | "--help" | "-h") => return print(&usage(agent), ExitCode::Success),
        Some("meta-data") => {
            return match metadata::render(agent) {
                Ok(xml) => print(&xml, ExitCode::Success),
                Err(error) => fail(&error),
            };
        }
        Some(name) => find_action(agent, name),
        None => None,
    };
    let Some(action) = action else {
        eprint!("{}", usage(agent));
        return ExitCode::Unimplemented.number();
    };
    let call = Invocation::from_env();
    logging::start(&format!("{}({}) {}", agent.name(), call.resource, action.name()));
    // An agent that panics must still exit with a code that the specification knows.
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| agent.run(action, &call)));
    match outcome {
        Ok(Ok(code)) => code.number(),
        Ok(Err(error)) => fail(&error),
        Err(_) => {
            fail(&anyhow::anyhow!("the agent itself failed in {}: please report this, with the log", action.name()))
        }
    }
}

/// Is an agent's guard, until its resource is stopped.
fn run_guard(agent: &'static dyn Agent, is_ordered: bool) -> i32 {
    let call = Invocation::from_env();
    logging::start(&format!("{}({}) guard", agent.name(), call.resource));
    let mut order = String::new();
    if is_ordered && let Err(error) = std::io::stdin().read_to_string(&mut order) {
        return fail(&anyhow::Error::new(error).context("cannot read what is to be done"));
    }
    agent
        .guard(&call, is_ordered.then_some(order.as_str()))
        .map_or_else(|error| fail(&error), |()| ExitCode::Success.number())
}

fn fail(error: &anyhow::Error) -> i32 {
    let described = describe(error);
    // Every monitor of a degraded instance says why; the agent has logged it when it became so.
    if !matches!(described.code, ExitCode::Degraded | ExitCode::DegradedPromoted) {
        log::error!("{}", described.reason);
    }
    eprintln!("ocf-exit-reason:{}", described.reason);
    described.code.number()
}

fn print(text: &str, code: ExitCode) -> i32 {
    // A reader that went away is no error of ours.
    let _ = std::io::stdout().write_all(text.as_bytes());
    code.number()
}

fn usage(agent: &dyn Agent) -> String {
    let mut names: Vec<&str> = agent.actions().iter().map(|advertised| advertised.action).map(Action::name).collect();
    names.dedup();
    format!(
        "usage: {} {{{}}}\n\n{}. An OCF resource agent: Pacemaker calls it with its parameters in the\n\
         environment. What they are: crm ra info ocf:rustha:{}, or pcs resource describe ocf:rustha:{}.\n",
        agent.name(),
        names.join("|"),
        agent.short(),
        agent.name(),
        agent.name()
    )
}
