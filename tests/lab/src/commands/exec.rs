//! `cargo lab exec`.

use anyhow::Result;
use clap::Args;

use super::Which;
use crate::lab::Lab;
use crate::layout::CLIENT;

/// What `exec` is told.
#[derive(Args, Debug)]
pub struct Exec {
    #[command(flatten)]
    which: Which,
    /// db1, db2 …, or client: the lab's network with this machine's programs
    node: String,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Becomes a program in a node; its exit status is the command's.
pub fn run(exec: &Exec) -> Result<()> {
    let argv: Vec<_> = exec.command.iter().map(String::as_str).collect();
    enter(&exec.which, &exec.node, &argv)
}

pub(super) fn enter(which: &Which, node: &str, argv: &[&str]) -> Result<()> {
    let lab = Lab::attach(&which.name)?;
    let program = if node == CLIENT { lab.client_program(argv) } else { lab.node(node)?.program(argv)? };
    Err(program.become_it())
}
