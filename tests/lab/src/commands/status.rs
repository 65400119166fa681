//! `cargo lab status`.

use std::io::{Write, stdout};
use std::time::Duration;

use anyhow::Result;

use super::Which;
use crate::lab::Lab;

/// Shows a lab's nodes, and the cluster as the first node that is on sees it.
pub fn run(which: &Which) -> Result<()> {
    let lab = Lab::attach(&which.name)?;
    // Not println!, which panics when the reader (`| head`) is gone.
    let mut out = stdout();
    let fencing = if lab.has_fencing() { ", with fencing" } else { "" };
    writeln!(out, "lab {} on {}{fencing}; service address {}", lab.name(), lab.root(), lab.vip())?;
    for node in lab.nodes() {
        let power = node.pid().map_or("off".into(), |pid| format!("on, first process {pid}"));
        let cable = if !node.is_on() || lab.is_cable_in(node)? { "" } else { ", cable out" };
        writeln!(out, "  {} {} {power}{cable}", node.name(), node.address())?;
    }
    if let Some(node) = lab.nodes().iter().find(|node| node.is_on()) {
        let seen = node.exec(&["crm_mon", "--one-shot", "--inactive"], Duration::from_secs(20))?;
        writeln!(out, "\n{} sees:\n{}{}", node.name(), seen.stdout, seen.stderr)?;
    }
    Ok(())
}
