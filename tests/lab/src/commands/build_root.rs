//! `cargo lab build-root`.

use anyhow::Result;
use clap::Args;

use crate::host;
use crate::roots::Root;

/// What `build-root` is told.
#[derive(Args, Debug)]
pub struct BuildRoot {
    /// deb12, deb13, sid; all of them when none is named
    roots: Vec<Root>,
}

/// Builds root file systems, where they are not yet as their recipes say.
pub fn run(build: &BuildRoot) -> Result<()> {
    host::ensure_tools()?;
    let roots = if build.roots.is_empty() { &Root::ALL[..] } else { &build.roots };
    for root in roots {
        root.ensure()?;
        println!("{root}: ready");
    }
    Ok(())
}
