//! Whether the address may be taken: nobody on the network has it, and no node of the cluster that is lost may still have it.
//!
//! What it costs (objection 24): nothing where the cluster has just stopped it on another node; a few packets, 0.15 s, where
//! nothing is known, which is so after a node was fenced; the rest of its lease where a node is lost and not fenced.

use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};

use super::decide::{self, Before, Claim, Wait, Watch};
use super::node::Node;
use super::place::Place;
use crate::net::probe::{self, Holder, Prober};

/// So often it is asked where nobody is expected to answer, each time for so long: hosts of a local network answer within
/// a millisecond (RFC 5227 has three probes as well, seconds apart, for networks that have just come up).
const PROBES: u64 = 3;
const PATIENCE: Duration = Duration::from_millis(50);

/// How often it is asked while somebody is expected to let it go.
const EVERY: Duration = Duration::from_millis(200);

/// What the cluster may take to say what it knows.
const ASKING: Duration = Duration::from_secs(3);

/// Returns when the address may be taken.
///
/// # Errors
/// When somebody has it, or it cannot be found out.
pub fn await_free(node: &Node, place: &Place) -> Result<()> {
    let ip = place.address.ip;
    let (before, begun) = (what_was_before(node), Instant::now());
    if before == Before::GivenBack {
        return Ok(());
    }
    let mut prober = Prober::on_link(ip, &place.interface)?;
    match (before, node.config.patience()) {
        (Before::MayBeLostWith(claims), Some(patience)) => {
            ensure_majority(node)?;
            await_release(node, place, &mut prober, &names(&claims), begun, patience)?;
            settle(node, &claims)
        }
        (before, _) => {
            if let Before::MayBeLostWith(claims) = before {
                log::warn!("{} may still have {ip}, without a lease: only who answers is seen", names(&claims));
            }
            match probe::ask(&mut prober, PROBES, PATIENCE)? {
                Some(holder) => bail!("{}", describe(place, &holder)),
                None => Ok(()),
            }
        }
    }
}

/// What the cluster knows. What cannot be found out counts as the worst.
fn what_was_before(node: &Node) -> Before {
    let Some(cluster) = &node.cluster else { return Before::Unknown };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let deadline = node.deadline.at_most(ASKING);
    let ask = || -> Result<Before> {
        let history = cluster.history(node.by, deadline)?;
        match decide::before(&history, "", now) {
            Before::MayBeLostWith(_) => {
                Ok(decide::before(&history, &cluster.read_record(deadline)?.unwrap_or_default(), now))
            }
            known => Ok(known),
        }
    };
    ask().unwrap_or_else(|error| {
        log::warn!("where the address was before is not known: {error:#}");
        Before::MayBeLostWith(Vec::new())
    })
}

/// In a cluster of two, both parts have quorum: who is lost may think the same of this node, and renew its lease.
fn ensure_majority(node: &Node) -> Result<()> {
    let Some(cluster) = &node.cluster else { return Ok(()) };
    match cluster.view(node.deadline.at_most(ASKING))?.lacks_majority() {
        Some(why) => bail!("the address may be on a node that is lost: {why}"),
        None => Ok(()),
    }
}

/// What was true before the waiting must still be so. Then it is noted that all claims of lost nodes are over; what cannot be
/// noted is waited for once more.
fn settle(node: &Node, waited_for: &[Claim]) -> Result<()> {
    let Some(cluster) = &node.cluster else { return Ok(()) };
    let deadline = node.deadline.at_most(ASKING);
    if !cluster.is_quorate(deadline)? {
        bail!("quorum was lost while the address was waited for");
    }
    let history = cluster.history(node.by, deadline)?;
    if let Some(name) = decide::is_back(&history, waited_for) {
        bail!("{name} is back, and may have the address");
    }
    let noted = cluster.read_record(deadline).and_then(|before| {
        cluster.replace_record(before.as_deref(), &decide::note(&decide::claims(&history)), deadline)
    });
    if let Err(error) = noted {
        log::warn!("{error:#}");
    }
    Ok(())
}

fn names(claims: &[Claim]) -> String {
    let names: Vec<&str> = claims.iter().map(|claim| claim.node.as_str()).collect();
    if names.is_empty() { "some node".into() } else { names.join(", ") }
}

/// Waits until lost nodes have let it go.
fn await_release(
    node: &Node,
    place: &Place,
    prober: &mut Prober,
    nodes: &str,
    begun: Instant,
    patience: Duration,
) -> Result<()> {
    let ip = place.address.ip;
    log::warn!("{nodes}: lost, not fenced, and may have {ip}: waiting for up to {:.1}s", patience.as_secs_f32());
    let mut watch = Watch::default();
    loop {
        let asked = Instant::now();
        let heard = prober.ask(EVERY)?;
        match watch.see(heard.as_ref(), begun.elapsed(), patience) {
            Wait::IsFree => {
                log::info!("{ip} is free after {:.1}s", begun.elapsed().as_secs_f32());
                return Ok(());
            }
            Wait::IsInVain => {
                let who = watch.holder().map(|holder| describe(place, holder)).unwrap_or_default();
                bail!("{who}, also after the lease of {nodes}: fence it, or take the address from it by hand");
            }
            Wait::GoesOn if node.deadline.is_over() => {
                bail!("{nodes} may still have {ip}: the action's time is over before its lease");
            }
            Wait::GoesOn => sleep(EVERY.saturating_sub(asked.elapsed())),
        }
    }
}

fn describe(place: &Place, holder: &Holder) -> String {
    format!("{} is in use: {holder} answers for it on {}", place.address.ip, place.interface.name)
}
