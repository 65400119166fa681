//! Who reads the primary's binary log without being an instance of this cluster: a replica elsewhere, change data capture.
//! They receive a transaction before it is acknowledged, and so may be ahead after a failover (objection 30). In a thread of
//! its own: names are resolved here, and a name service may take its time.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::super::node::Node;
use super::primary::resolve;
use crate::ocf::env::Invocation;
use crate::pacemaker::Cluster;
use crate::server::peers::{may_come_from, read_remote_ends};
use crate::server::process::Daemon;
use crate::server::semisync;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(60);

/// What a look may take.
const LOOK: Duration = Duration::from_secs(20);

/// Looks as long as the server lives, and says once of each who it is.
///
/// # Errors
/// When the call makes no sense.
pub fn watch(call: &Invocation, daemon: Daemon) -> Result<()> {
    let mut node = Node::gather(call, LOOK)?;
    let Some(cluster) = node.cluster.clone() else { return Ok(()) };
    let (mut seen, mut looked) = (BTreeSet::new(), Instant::now());
    while daemon.is_alive() {
        std::thread::sleep(Duration::from_secs(1));
        if looked.elapsed() < EVERY || !node.is_marked(daemon) || daemon.is_stopped() {
            continue;
        }
        looked = Instant::now();
        node.renew(LOOK);
        match find(&node, &cluster) {
            Ok(found) => {
                for stranger in found.difference(&seen) {
                    log::warn!(
                        "{stranger} reads the binary log and is no node of this cluster: it receives transactions before they \
                         are acknowledged, and may have some after a failover that the new primary has not"
                    );
                }
                seen = found;
            }
            Err(error) => log::debug!("{error:#}"),
        }
    }
    Ok(())
}

fn find(node: &Node, cluster: &Cluster) -> Result<BTreeSet<String>> {
    let readers = semisync::receivers(&mut node.quick_session()?)?;
    if readers.is_empty() {
        return Ok(BTreeSet::new());
    }
    let view = cluster.view(node.deadline)?;
    let known: Vec<IpAddr> =
        view.instances.keys().flat_map(|name| resolve(&node.source_at(name, &view).host)).collect();
    let ends = read_remote_ends();
    let strangers = readers.iter().map(|reader| &reader.host).filter(|host| !may_come_from(host, &known, &ends));
    Ok(strangers.map(|host| host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name).to_string()).collect())
}
