//! `cargo lab`: the clap tree, and the names this binary is called by. Nothing else.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use rustha_lab::bench::measured;
use rustha_lab::commands::{Which, bench, build_root, demo, down, exec, fault, heal, shell, status, test, up};
use rustha_lab::{boot, fencing, host, init};

/// Real Pacemaker clusters with MySQL or MariaDB on this machine.
///
/// A lab is a set of nodes (db1, db2 …) and a client in a network of their own. Nothing of it remains after
/// `down`, whatever happened in between.
#[derive(Parser)]
#[command(name = "cargo lab", bin_name = "cargo lab", max_term_width = 100, infer_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// See a failover: a cluster of three, a client writing, the primary killed
    #[command(after_help = "Example: cargo lab demo --root sid --keep")]
    Demo(demo::Demo),
    /// Make a lab; returns when all its nodes are online
    #[command(after_help = "Example: cargo lab up --root sid --fencing")]
    Up(up::Up),
    /// Show a lab's nodes and what the cluster says
    #[command(after_help = "Example: cargo lab status")]
    Status(Which),
    /// Run a program in a node
    #[command(after_help = "Example: cargo lab exec db1 crm_mon -1")]
    Exec(exec::Exec),
    /// Open a shell in a node
    #[command(after_help = "Example: cargo lab shell db1")]
    Shell(shell::Shell),
    /// Break something in a node
    #[command(after_help = "Example: cargo lab fault cable-out db1")]
    Fault(fault::Fault),
    /// Undo all faults; returns when all nodes are online
    #[command(after_help = "Example: cargo lab heal")]
    Heal(Which),
    /// Take a lab down, or what is left of one
    #[command(after_help = "Example: cargo lab down --name lab")]
    Down(Which),
    /// Check everything: formatting, lints, unit tests, the OCF contract, scenarios on real clusters
    #[command(after_help = "Example: cargo lab test cold-start --root sid")]
    Test(test::Test),
    /// Measure: this agent beside those of today, in one run
    #[command(after_help = "Example: cargo lab bench kill-daemon --root deb12 --runs 3")]
    Bench(bench::Bench),
    /// Build the root file systems nodes are made from; `up` does so by itself
    #[command(after_help = "Example: cargo lab build-root deb12 sid")]
    BuildRoot(build_root::BuildRoot),
    /// Make a node's namespaces and start its first process
    #[command(hide = true)]
    NodeBoot(Member),
    /// Be a node's first process
    #[command(hide = true)]
    NodeInit(Member),
    /// Be the switchable power socket of a lab
    #[command(hide = true)]
    PowerDaemon(Which),
}

#[derive(clap::Args)]
struct Member {
    #[command(flatten)]
    which: Which,
    #[arg(long)]
    node: String,
}

fn main() -> ExitCode {
    let called = std::env::args_os().next().unwrap_or_default();
    if Path::new(&called).file_name().is_some_and(|name| name == fencing::AGENT) {
        return fencing::agent();
    }
    if measured::is_called(Path::new(&called)) {
        return measured::run();
    }
    match run(Cli::parse().verb) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<ExitCode> {
    host::become_root()?;
    match verb {
        Verb::Up(options) => up::run(options),
        Verb::Status(which) => status::run(&which),
        Verb::Exec(options) => exec::run(&options),
        Verb::Shell(options) => shell::run(&options),
        Verb::Fault(options) => fault::run(&options),
        Verb::Heal(which) => heal::run(&which),
        Verb::Down(which) => down::run(&which),
        Verb::Demo(options) => return demo::run(&options).map(good_if),
        Verb::Bench(options) => bench::run(&options),
        Verb::Test(options) => return test::run(&options).map(good_if),
        Verb::BuildRoot(options) => build_root::run(&options),
        Verb::NodeBoot(member) => boot(&member.which.name, &member.node),
        Verb::NodeInit(member) => init(&member.which.name, &member.node),
        Verb::PowerDaemon(which) => fencing::daemon(&which.name),
    }
    .map(|()| ExitCode::SUCCESS)
}

/// For verbs that judge, and have said already what is not good.
fn good_if(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
