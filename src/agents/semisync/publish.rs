//! What the cluster and its operators are told about an instance, where it differs from what the cluster already has.

use super::decide::Health;
use super::node::Node;
use crate::ocf::exit::{ExitCode, OcfError, Outcome};
use crate::pacemaker::Score;

/// The score of an instance beside a replica: it must have one, since the cluster promotes database and instance in the
/// same transition, without asking again. Which one is promoted is decided by the colocation.
const REPLICA: Score = Score::Value(5);
/// The score beside a server that takes writes.
const PRIMARY: Score = Score::Value(100);

/// Tells score and health. That it cannot be told now is no failure: the next monitor tries again.
pub fn publish(node: &Node, health: &Health, is_primary: bool) {
    let Some(cluster) = &node.cluster else { return };
    let view = match cluster.view(node.deadline) {
        Ok(view) => view,
        Err(error) => return log::warn!("cannot ask the cluster: {error:#}"),
    };
    let score = if is_primary { PRIMARY } else { REPLICA };
    let mut results = Vec::new();
    if view.attribute(&cluster.node, &cluster.score_attribute()) != Some(&score.to_string()) {
        results.push(cluster.set_score(score, node.deadline));
    }
    let (Health::Well(status) | Health::Degraded(status)) = health;
    let name = status_attribute(node);
    if view.attribute(&cluster.node, &name) != Some(status) {
        match health {
            Health::Well(_) => log::info!("{status}"),
            Health::Degraded(_) => log::warn!("{status}"),
        }
        results.push(cluster.set_attribute(&name, status, node.deadline));
    }
    for error in results.into_iter().filter_map(Result::err) {
        log::warn!("cannot tell the cluster: {error:#}");
    }
}

/// Takes back what was told.
pub fn withdraw(node: &Node) {
    let Some(cluster) = &node.cluster else { return };
    let results =
        [cluster.withdraw_score(node.deadline), cluster.remove_attribute(&status_attribute(node), node.deadline)];
    for error in results.into_iter().filter_map(Result::err) {
        log::warn!("cannot tell the cluster: {error:#}");
    }
}

fn status_attribute(node: &Node) -> String {
    format!("{}-status", node.resource)
}

/// What a monitor answers. A degraded instance says why: Pacemaker keeps and shows the reason, and takes it for a success.
pub fn answer(health: Health, is_promoted: bool) -> Outcome {
    match (health, is_promoted) {
        (Health::Well(_), false) => Ok(ExitCode::Success),
        (Health::Well(_), true) => Ok(ExitCode::RunningPromoted),
        (Health::Degraded(why), false) => Err(OcfError::new(ExitCode::Degraded, why).into()),
        (Health::Degraded(why), true) => Err(OcfError::new(ExitCode::DegradedPromoted, why).into()),
    }
}
