//! `cargo lab down`.

use anyhow::Result;

use super::Which;
use crate::lab::Lab;

/// Takes a lab down.
pub fn run(which: &Which) -> Result<()> {
    Lab::down(&which.name)?;
    println!("The lab {} is down.", which.name);
    Ok(())
}
