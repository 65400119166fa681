//! `cargo lab fault`.

use anyhow::Result;
use clap::Args;

use super::Which;
use crate::fault::Fault as Kind;
use crate::lab::Lab;

/// What `fault` is told.
#[derive(Args, Debug)]
pub struct Fault {
    #[command(flatten)]
    which: Which,
    /// What breaks
    kind: Kind,
    /// Where
    node: String,
}

/// Breaks something.
pub fn run(fault: &Fault) -> Result<()> {
    Lab::attach(&fault.which.name)?.fault(fault.kind, &fault.node)?;
    println!("{}: {}. Undo it with: cargo lab heal --name {}", fault.node, fault.kind, fault.which.name);
    Ok(())
}
