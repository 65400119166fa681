//! `cargo lab shell`.

use anyhow::Result;
use clap::Args;

use super::{Which, exec};

/// What `shell` is told.
#[derive(Args, Debug)]
pub struct Shell {
    #[command(flatten)]
    which: Which,
    /// db1, db2 …, or client
    node: String,
}

/// Becomes a shell in a node.
pub fn run(shell: &Shell) -> Result<()> {
    exec::enter(&shell.which, &shell.node, &["bash", "-i"])
}
