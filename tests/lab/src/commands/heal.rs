//! `cargo lab heal`.

use anyhow::Result;

use super::Which;
use crate::lab::Lab;

/// Undoes all faults.
pub fn run(which: &Which) -> Result<()> {
    Lab::attach(&which.name)?.heal()?;
    println!("The lab {} is whole again: all its nodes are online.", which.name);
    Ok(())
}
