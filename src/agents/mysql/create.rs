//! An empty database: what a new cluster begins with (`enable_creation`), and what a node starts with that is to be
//! provisioned. Made in a draft (`staging.rs`), so that an interrupted creation is never taken for a database.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::lasting::Lasting;
use super::node::Node;
use super::staging::{Staging, has_database};
use crate::exec;
use crate::ocf::exit::{ExitCode, OcfError};
use crate::server::dialect::Dialect;
use crate::server::mounts;

/// Puts new data into their place that are whole, clears up after what was interrupted, and creates a database if there is
/// none.
///
/// # Errors
/// When it cannot be created by the deadline, or something lies in its place, or the file system is missing that should be
/// there.
pub fn ensure_database(node: &Node, binary: &Path, dialect: Dialect) -> Result<()> {
    let staging = Staging::of(node)?;
    staging.remove_draft(node.deadline)?;
    staging.settle()?;
    if has_database(&node.layout.datadir) {
        return Ok(());
    }
    if let Some(point) = mounts::find_missing(&node.layout.datadir) {
        bail!(OcfError::new(
            ExitCode::Installed,
            format!(
                "{} holds no database, and {}, which /etc/fstab says is to be mounted, is not mounted",
                node.layout.datadir.display(),
                point.display()
            )
        ));
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
        &node.config.additional,
    );
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    exec::run(&program, &args, None, node.deadline)?.success().context("cannot create the database").map(drop)
}
