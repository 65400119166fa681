//! What is said about a provisioning that is under way: in a file, for the monitor, and as the node's attribute, for people.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::super::decide::rejoin::describe_progress;
use super::super::node::Node;
use super::super::publish::status_attribute;
use crate::deadline::Deadline;

/// How often people are told.
const TELLING: Duration = Duration::from_secs(5);

/// What it may take to tell them.
const PATIENCE: Duration = Duration::from_secs(5);

fn file(node: &Node) -> PathBuf {
    node.run_dir.join(format!("rustha-{}.provisioning", node.resource))
}

/// What was said last; `None`: nothing is under way.
pub fn read(node: &Node) -> Option<String> {
    fs::read_to_string(file(node)).ok().filter(|text| !text.is_empty())
}

/// Says it.
pub fn say(node: &Node, text: &str) {
    if read(node).as_deref() == Some(text) {
        return;
    }
    if let Err(error) = fs::write(file(node), text) {
        log::warn!("cannot write {}: {error}", file(node).display());
    }
    let Some(cluster) = &node.cluster else { return };
    let name = status_attribute(&node.resource);
    if let Err(error) = cluster.set_attribute(&name, text, Deadline::after(PATIENCE)) {
        log::debug!("cannot tell how far it is: {error:#}");
    }
}

/// Nothing is under way.
pub fn forget(node: &Node) {
    // That there is none is the usual case.
    let _ = fs::remove_file(file(node));
}

/// How far it is.
pub struct Progress<'a> {
    node: &'a Node,
    what: String,
    total: Option<u64>,
    began: Instant,
    told: Option<Instant>,
}

impl<'a> Progress<'a> {
    /// Of something that begins now, and is called this.
    pub fn begin(node: &'a Node, what: &str, total: Option<u64>) -> Self {
        log::info!("provisioning {what}");
        let mut progress = Self { node, what: what.to_string(), total, began: Instant::now(), told: None };
        progress.tell(0);
        progress
    }

    /// So many bytes are done.
    pub fn tell(&mut self, done: u64) {
        if self.told.is_some_and(|told| told.elapsed() < TELLING) {
            return;
        }
        self.told = Some(Instant::now());
        let how_far = describe_progress(done, self.total, self.began.elapsed());
        say(self.node, &format!("provisioning {}: {how_far}", self.what));
    }

    /// How much there is to do in all is known better now.
    pub fn expect(&mut self, total: u64) {
        self.total = Some(total);
    }
}
