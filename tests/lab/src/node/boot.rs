//! `rustha-lab node-boot`: makes a node's namespaces and its first process, waits until that says it is ready,
//! and leaves it alone. A program of its own, because what enters a namespace does not come out again.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, setns, unshare};

use super::Node;
use super::init::READY;
use crate::layout::Layout;
use crate::process::Program;
use crate::record::Record;

/// Starts the first process of a node.
pub fn boot(lab: &str, name: &str) -> Result<()> {
    let node = find(lab, name)?;
    let console = File::options().create(true).append(true).open(node.console()).context("cannot open the console")?;
    let netns = File::open(node.netns()).with_context(|| format!("{name} has no network"))?;
    setns(netns, CloneFlags::CLONE_NEWNET).context("cannot enter the node's network")?;
    let own = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWPID;
    unshare(own).context("cannot make the node's namespaces")?;
    // Opened before there is a first process: that changes the root directory of the mount namespace both are in, and
    // with it the meaning of every path here.
    let mut note = File::create(node.pid_file()).context("cannot note the first process")?;
    let mut argv = vec!["/proc/self/exe"];
    argv.extend(node.init_arguments());
    // The first child after unshare(CLONE_NEWPID) is the new namespace's first process.
    let mut child = Program::new(argv).spawn_piped(console)?;
    writeln!(note, "{}", child.id()).context("cannot note the first process")?;
    let mut word = String::new();
    if let Some(pipe) = child.stdout.take() {
        BufReader::new(pipe).read_line(&mut word)?;
    }
    if word.trim() != READY {
        bail!("its first process ended: {}", child.wait()?);
    }
    Ok(())
}

/// The node of these names, from the lab's record.
pub(super) fn find(lab: &str, name: &str) -> Result<Node> {
    let layout = Layout::new(lab)?;
    let record = Record::read(&layout)?;
    let mut nodes = (1..=record.nodes).map(|index| Node::new(&layout, &record, index));
    nodes.find(|node| node.name == name).with_context(|| format!("the lab {lab} has no node {name}"))
}
