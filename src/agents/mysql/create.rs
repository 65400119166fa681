//! An empty database: what a new cluster begins with (`enable_creation`), and what a node starts with that is to be
//! provisioned. Made in a draft (`staging.rs`), so that an interrupted creation is never taken for a database.

use std::path::Path;

use anyhow::{Context, Result};

use super::lasting::Lasting;
use super::node::Node;
use super::staging::{Staging, has_database};
use crate::exec;
use crate::server::dialect::Dialect;

/// Puts new data into their place that are whole, clears up after what was interrupted, and creates a database if there is
/// none.
///
/// # Errors
/// When it cannot be created by the deadline, or something lies in its place.
pub fn ensure_database(node: &Node, binary: &Path, dialect: Dialect) -> Result<()> {
    let staging = Staging::of(node)?;
    staging.remove_draft(node.deadline)?;
    staging.settle()?;
    if has_database(&node.layout.datadir) {
        return Ok(());
    }
    log::info!("creating the database in {}", node.layout.datadir.display());
    let draft = staging.begin(node.deadline)?;
    fill(node, binary, dialect, &draft)?;
    if !node.config.enable_creation {
        Lasting::of(&draft).note_placeholder()?;
    }
    staging.complete()?;
    staging.arm()?;
    staging.settle()
}

/// Lets the vendor's program create the system tables.
///
/// # Errors
/// When it fails, or is not done by the node's deadline.
pub fn fill(node: &Node, binary: &Path, dialect: Dialect, draft: &Path) -> Result<()> {
    let layout = &node.layout;
    let config = layout.config.as_deref().context("a database is created only with an option file")?;
    let (program, args) = dialect.initialise(
        &binary.to_string_lossy(),
        &draft.to_string_lossy(),
        &layout.user,
        &config.to_string_lossy(),
    );
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    exec::run(&program, &args, None, node.deadline)?.success().context("cannot create the database").map(drop)
}
