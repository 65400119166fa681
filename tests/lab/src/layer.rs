//! Lays out what all nodes of a lab have over their root file system: the product under test and the
//! cluster's configuration. It is one directory, a lower layer of every node's overlay.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::corosync;
use crate::fencing;
use crate::layout::Layout;
use crate::process::Program;
use crate::record::Record;
use crate::workspace;

/// Where a node finds the CIB it is born with.
pub(crate) const FIRST_CIB: &str = "etc/rustha-lab/cib.xml";

pub(crate) fn lay_out(layout: &Layout, record: &Record, rustha: &Path) -> Result<()> {
    let layer = layout.layer();
    place(&layer, "etc/hosts", corosync::render_hosts(record.nodes).as_bytes(), 0o644)?;
    place(&layer, "etc/corosync/corosync.conf", corosync::render_conf(record.nodes).as_bytes(), 0o644)?;
    place(&layer, FIRST_CIB, corosync::CIB.as_bytes(), 0o644)?;
    place(&layer, "usr/sbin/rustha", &read(rustha)?, 0o755)?;
    if record.fencing {
        place(&layer, fencing::AGENT_PATH, &read(&record.program)?, 0o755)?;
    }
    lay_out_agents(&layer)
}

/// The product's links under /usr/lib/ocf, as they are in the source tree.
fn lay_out_agents(layer: &Path) -> Result<()> {
    let from = workspace::directory().join("ocf");
    if !from.exists() {
        return Ok(());
    }
    make_directory(&layer.join("usr/lib/ocf"))?;
    let to = layer.join("usr/lib/ocf");
    let copy = [PathBuf::from("cp"), "-rP".into(), "--no-preserve=ownership".into(), from.join("."), to];
    Program::new(copy).run().map(drop)
}

/// Puts a file into a tree, with the directories above it, such as a merged layer must have them: an upper
/// layer's directory hides the owner and mode of the one below.
pub(crate) fn place(tree: &Path, path: &str, content: &[u8], mode: u32) -> Result<()> {
    let target = tree.join(path);
    if let Some(parent) = target.parent() {
        make_directory(parent)?;
    }
    fs::write(&target, content).with_context(|| format!("cannot write {}", target.display()))?;
    fs::set_permissions(&target, Permissions::from_mode(mode))
        .with_context(|| format!("cannot chmod {}", target.display()))
}

/// Makes a directory that all may enter, whatever the umask is.
pub(crate) fn make_directory(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_directory(parent)?;
    }
    DirBuilder::new().mode(0o755).create(path).with_context(|| format!("cannot make {}", path.display()))?;
    fs::set_permissions(path, Permissions::from_mode(0o755)).with_context(|| format!("cannot chmod {}", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
