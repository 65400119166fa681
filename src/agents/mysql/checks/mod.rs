//! What `rustha check` and validate-all look at: `facts` are gathered on each node, `judge` says what is wrong, and `catalogue` what
//! each code means and what is to be done.

pub mod catalogue;
pub mod facts;
pub mod judge;

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::config::{Config, Provision};
use super::node::Node;
use crate::ocf::env::Invocation;
use crate::server::dialect::backup::Method;
use catalogue::Severity;

/// What one look at this node may take.
const LOOK: Duration = Duration::from_secs(20);

/// What is known of this node, also where no instance of it runs.
///
/// # Errors
/// When this node's name in the cluster cannot be found out.
pub fn here(call: &Invocation) -> Result<facts::Facts> {
    let node = Node::gather(call, LOOK)?;
    Ok(facts::gather(&node, node.view()?.as_ref()))
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Finding {
    /// The check's code, for `rustha explain`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// On which node; null: it is none's alone.
    pub node: Option<String>,
    /// What it is, in a few words.
    pub text: String,
}

/// What the resource's parameters ask for, as far as it is checked.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Who replicates.
    pub replication_user: Option<String>,
    /// Data may be cloned.
    pub is_cloned: bool,
    /// Data may be given by the vendor's backup tool.
    pub is_provided_physically: bool,
    /// A risk is taken rather than to wait.
    pub prefers_availability: bool,
}

impl Wanted {
    /// By these parameters.
    pub fn by(call: &Invocation) -> Self {
        Self::of(&Config::read_leniently(call).0)
    }

    /// By this configuration.
    pub(super) fn of(config: &Config) -> Self {
        let is_way = |method| config.provision == Provision::Auto || config.provision == Provision::By(method);
        Self {
            replication_user: Some(config.replication_user.clone()).filter(|user| !user.is_empty()),
            is_cloned: is_way(Method::Clone),
            is_provided_physically: is_way(Method::Physical),
            prefers_availability: config.prefers_availability,
        }
    }
}
