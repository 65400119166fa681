//! `cargo lab up`.

use std::time::Instant;

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::Which;
use crate::lab::{Lab, UpOptions};
use crate::roots::Root;
use crate::scenario::Bed;

/// What `up` is told.
#[derive(Args, Debug)]
pub struct Up {
    #[command(flatten)]
    which: Which,
    /// How many nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
    nodes: u8,
    /// What the nodes are made from: deb12, deb13 (MariaDB) or sid (MySQL)
    #[arg(long, default_value_t = Root::Deb13)]
    root: Root,
    /// Let the nodes switch each other off, and tell Pacemaker so
    #[arg(long)]
    fencing: bool,
    /// Configure the cluster with this agent, by the README's commands, and wait until it is healthy
    #[arg(long)]
    agent: Option<Agent>,
}

/// An agent that the README shows how to configure.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Agent {
    /// ocf:rustha:mysql, with the service address
    Mysql,
}

/// Makes a lab.
pub fn run(up: Up) -> Result<()> {
    let start = Instant::now();
    let name = up.which.name;
    let options = UpOptions { name: name.clone(), nodes: up.nodes.into(), root: up.root, fencing: up.fencing };
    let lab = Lab::up(&options)?;
    let names: Vec<_> = lab.nodes().iter().map(|node| node.name()).collect();
    println!(
        "The lab {name} is up after {:.1} s: {} on {}.",
        start.elapsed().as_secs_f32(),
        names.join(" "),
        lab.root()
    );
    if let Some(Agent::Mysql) = up.agent {
        let bed = Bed::new(lab);
        let primary = match up.fencing {
            true => bed.standard_configuration_with("property stonith-enabled=false\n", "")?,
            false => bed.standard_configuration()?,
        };
        println!("ocf:rustha:mysql is configured, and {primary} is the primary.");
    }
    println!("Go in with: cargo lab shell --name {name} db1");
    Ok(())
}
