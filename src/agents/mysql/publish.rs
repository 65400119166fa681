//! What the cluster and its operators are told about an instance: promotion score, state in words, readable or not.
//! Written only where it differs from what the cluster already has.

use anyhow::Result;

use super::decide::record::names;
use super::guard::Kept;
use super::node::Node;
use crate::pacemaker::{Cluster, Score, View};

/// The score of the primary.
pub const PRIMARY: Score = Score::Value(1000);
/// What an operator (or `rustha switchover`) raises the score of a planned move's target to: above the primary's, so that
/// no constraint is needed that would be left behind. It stays until the move is done or has failed.
pub const TARGET: Score = Score::Value(2000);
/// The score of a replica that may be promoted.
pub const REPLICA: Score = Score::Value(100);
/// The score of the one that goes first when nobody is promoted.
pub const FIRST: Score = Score::Value(10);

/// What is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The promotion score; `None`: none at all.
    pub score: Option<Score>,
    /// For people, in `crm_mon -A`; empty: nothing.
    pub status: String,
    /// Clients may read here.
    pub readable: bool,
    /// It is a replica of the primary, and replicates or is about to.
    pub attached: bool,
}

impl Standing {
    /// The primary's, with the in-sync set if that is managed.
    pub fn primary(kept: Option<&Kept>) -> Self {
        let sync = kept.map(|kept| &kept.sync);
        let mut status = match sync {
            None => "primary".into(),
            Some(sync) if sync.acks == 0 => {
                format!("primary, alone: what is written now is lost with it (joining: {})", names(&sync.joining))
            }
            Some(sync) => format!("primary, each write also on {} of {}", sync.acks, names(sync.all())),
        };
        if let Some(trouble) = kept.and_then(|kept| kept.trouble.as_ref()) {
            status = format!("primary, writes wait: {trouble}");
        }
        if let Some(risk) = kept.and_then(|kept| kept.risk.as_ref()) {
            status += &format!("; promoted at a risk: {risk}");
        }
        Self { score: Some(PRIMARY), status, readable: true, attached: false }
    }

    /// A stopped instance's.
    pub fn stopped() -> Self {
        Self::waiting(None, String::new())
    }

    /// That of an instance that must not be promoted.
    pub fn excluded(why: &str) -> Self {
        Self::waiting(Some(Score::Never), format!("excluded: {why}"))
    }

    /// That of an instance of which nobody reads, and which replicates from nobody.
    pub fn waiting(score: Option<Score>, status: String) -> Self {
        Self { score, status, readable: false, attached: false }
    }

    /// With the reason in its status if clients may not read here.
    pub fn with_readiness(self, readiness: Result<(), String>) -> Self {
        match readiness {
            Ok(()) => Self { readable: true, ..self },
            Err(why) => Self { readable: false, status: format!("{}, not readable: {why}", self.status), ..self },
        }
    }
}

/// The name of the attribute that tells people about an instance.
pub fn status_attribute(resource: &str) -> String {
    format!("{resource}-status")
}

/// Tells what differs from `view`. What cannot be told is logged and tried again by the next monitor: it is never a
/// reason to fail an action that did its work. Whether all could be told.
pub fn publish(node: &Node, view: &View, standing: &Standing) -> bool {
    let Some(cluster) = &node.cluster else { return true };
    let attribute = |name: &str| view.attribute(&cluster.node, name);
    let mut results = Vec::new();
    let score = standing.score.map(|score| score.to_string());
    if attribute(&cluster.score_attribute()) != score.as_deref() {
        results.push(match standing.score {
            Some(score) => set_score(node, cluster, score),
            None => cluster.withdraw_score(node.deadline),
        });
    }
    let name = status_attribute(&node.resource);
    if attribute(&name).unwrap_or_default() != standing.status {
        if !standing.status.is_empty() {
            log::info!("{}", standing.status);
        }
        results.push(match standing.status.as_str() {
            "" => cluster.remove_attribute(&name, node.deadline),
            status => cluster.set_attribute(&name, status, node.deadline),
        });
    }
    if let Some(name) = &node.config.reader_attribute {
        // Also while it is being demoted, or has closed for a planned move.
        let is_kept_away = standing.score == Some(PRIMARY) && !node.config.read_from_primary;
        let value = if standing.readable && !is_kept_away { "1" } else { "0" };
        if attribute(name) != Some(value) {
            results.push(cluster.set_attribute(name, value, node.deadline));
        }
    }
    let failed: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    for error in &failed {
        log::warn!("cannot tell the cluster: {error:#}");
    }
    failed.is_empty()
}

/// Sets the score of an instance whose server lives: whoever sees the end of a server withdraws its score, and that may have
/// been a moment ago.
fn set_score(node: &Node, cluster: &Cluster, score: Score) -> Result<()> {
    cluster.set_score(score, node.deadline)?;
    if node.daemon().is_some() {
        return Ok(());
    }
    log::warn!("the server has ended meanwhile");
    cluster.withdraw_score(node.deadline)
}
