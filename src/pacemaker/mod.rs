//! The only room that runs Pacemaker's tools. What they print is read in `parse` (pure).
//! Each call costs 7 to 20 ms, so an action asks once, with [`Cluster::view`], and writes only what has changed.

pub mod configuration;
pub mod history;
pub mod parse;
mod property;
mod record;
pub mod stack;
pub mod survey;

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

pub use parse::View;
pub use record::order_name;

use crate::deadline::Deadline;
use crate::exec::{self, Finished};

/// Exit codes of Pacemaker's tools for "there is no such thing": ENXIO as itself, and CRM_EX_NOSUCH.
const NO_SUCH: &[i32] = &[6, 105];

/// Where Pacemaker keeps the configuration (its CIB_DIR).
const CIB: &str = "/var/lib/pacemaker/cib/cib.xml";

/// How eager Pacemaker is to promote an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Score {
    /// Never, whatever else is said.
    Never,
    /// The higher, the sooner.
    Value(i32),
}

impl std::fmt::Display for Score {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Never => formatter.write_str("-INFINITY"),
            Self::Value(value) => write!(formatter, "{value}"),
        }
    }
}

/// The cluster, as one resource on one node sees it.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// This node's name in the cluster.
    pub node: String,
    resource: String,
}

impl Cluster {
    /// The cluster of this node; asks it for the node's name only when the call did not say it.
    ///
    /// # Errors
    /// When the name is not said and cannot be asked.
    pub fn of(resource: &str, node: Option<&str>, deadline: Deadline) -> Result<Self> {
        let node = match node {
            Some(name) => name.to_string(),
            None => exec::run("crm_node", &["-n"], None, deadline)?.success()?.trim().to_string(),
        };
        Ok(Self { node, resource: resource.to_string() })
    }

    /// Nodes, instances, roles and attributes, all at once.
    ///
    /// # Errors
    /// When the cluster cannot be asked or its answer cannot be read.
    pub fn view(&self, deadline: Deadline) -> Result<View> {
        let xml = exec::run("crm_mon", &["--one-shot", "--output-as=xml"], None, deadline)?.success()?;
        let mut view = parse::view(&xml, &self.resource).context("cannot read crm_mon's answer")?;
        if view.lacks_majority().is_some() {
            view.gone.extend(self.left(deadline)?.into_iter().filter(|node| !view.online.contains(node)));
        }
        Ok(view)
    }

    /// Whether the operator, and not Pacemaker, has the resource on this node. Where nothing is configured that could say
    /// so, as usual, that costs a fifth of a [`View`] (10 ms instead of 50).
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub fn is_left_alone(&self, deadline: Deadline) -> Result<bool> {
        let answer = exec::run("cibadmin", &["--query", "--xpath", &property::management()], None, deadline)?;
        if is_no_such(&answer) || !parse::may_be_left_alone(&answer.success()?)? {
            return Ok(false);
        }
        Ok(self.view(deadline)?.is_left_alone_on(&self.node))
    }

    /// Whether the operator, and not Pacemaker, had the resource on this node when the stack was stopped: by the
    /// configuration that Pacemaker keeps on the disk, which is all that there is while it does not run. Also one that was
    /// taken out of the configuration: it would have been stopped, had it been managed.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn was_left_alone(&self, deadline: Deadline) -> Result<bool> {
        let file = format!("CIB_file={CIB}");
        let ask = |args: &[&str]| exec::run("env", &[&[file.as_str()], args].concat(), None, deadline)?.success();
        let xml = ask(&["crm_mon", "--one-shot", "--inactive", "--output-as=xml"])?;
        let view = parse::view(&xml, &self.resource);
        let view = view.context("cannot read what crm_mon says of the configuration on the disk")?;
        // crm_mon shows the maintenance of a node only where there is a status of it.
        let nodes = parse::nodes_with(&ask(&["cibadmin", "--query", "--scope", "nodes"])?, "maintenance")?;
        Ok(!view.is_configured || view.is_left_alone_on(&self.node) || nodes.contains(&self.node))
    }

    /// Whether this node's controller says nothing until the deadline. That it cannot be reached at all is an answer: its
    /// process is looked after elsewhere.
    pub fn is_controller_silent(&self, deadline: Deadline) -> bool {
        // crmadmin's ping would leave a line in Pacemaker's log each time.
        exec::run("crm_node", &["--quorum"], None, deadline).is_err() && deadline.is_over()
    }

    /// Reports that this resource's instance on this node has failed: Pacemaker recovers it at once, as after a failed
    /// monitor.
    ///
    /// # Errors
    /// When the tool fails.
    pub fn report_failure(&self, deadline: Deadline) -> Result<()> {
        let args = ["--fail", "--resource", &self.resource, "--node", &self.node];
        exec::run("crm_resource", &args, None, deadline)?.success().map(drop)
    }

    /// The nodes that said good-bye when they were shut down, and have not come back since.
    fn left(&self, deadline: Deadline) -> Result<Vec<String>> {
        let xml = exec::run("cibadmin", &["--query", "--scope", "nodes"], None, deadline)?.success()?;
        parse::nodes_with(&xml, &self.left_attribute()).context("cannot read the nodes' attributes")
    }

    /// Says for good that this node leaves the cluster cleanly, or that it is back.
    ///
    /// # Errors
    /// When the tool fails.
    pub fn set_left(&self, has_left: bool, deadline: Deadline) -> Result<()> {
        let name = self.left_attribute();
        let change = if has_left { "--update=1" } else { "--delete" };
        let args = ["--node", &self.node, "--name", &name, "--lifetime", "forever", change];
        ignore_missing(exec::run("crm_attribute", &args, None, deadline)?)
    }

    fn left_attribute(&self) -> String {
        format!("{}-left", self.resource)
    }

    /// What the cluster has on record of this resource on the nodes where it was ever started or looked for.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub fn history(&self, by: history::By, deadline: Deadline) -> Result<BTreeMap<String, history::Seen>> {
        let path = property::nodes_with_history(&self.resource);
        let answer = exec::run("cibadmin", &["--query", "--xpath", &path], None, deadline)?;
        if is_no_such(&answer) {
            return Ok(BTreeMap::new());
        }
        history::read(&answer.success()?, &self.resource, by).context("cannot read what is on record of the resource")
    }

    /// Whether Pacemaker takes no notice of quorum (`no-quorum-policy=ignore`).
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub fn ignores_quorum(&self, deadline: Deadline) -> Result<bool> {
        let path = property::path_anywhere("no-quorum-policy");
        let answer = exec::run("cibadmin", &["--query", "--xpath", &path], None, deadline)?;
        if is_no_such(&answer) {
            return Ok(false);
        }
        let policy = parse::pair_value(&answer.success()?);
        Ok(policy.as_deref() == Some("ignore"))
    }

    /// The name of the node attribute in which Pacemaker keeps this resource's promotion score.
    pub fn score_attribute(&self) -> String {
        format!("master-{}", self.resource)
    }

    /// Sets this node's promotion score, until it leaves the cluster.
    ///
    /// # Errors
    /// When the tool fails.
    pub fn set_score(&self, score: Score, deadline: Deadline) -> Result<()> {
        log::info!("promotion score of {} on {}: {score}", self.resource, self.node);
        let promotion = format!("--promotion={}", self.resource);
        // In one word: in two, 2.1.5 takes -INFINITY for the options -I, -N, -F and so on.
        let update = format!("--update={score}");
        let args = ["--node", &self.node, &promotion, "--lifetime", "reboot", &update];
        exec::run("crm_attribute", &args, None, deadline)?.success().map(drop)
    }

    /// Takes this node's promotion score away: it is not promoted until it has one again.
    ///
    /// # Errors
    /// When the tool fails; that there was no score is none.
    pub fn withdraw_score(&self, deadline: Deadline) -> Result<()> {
        log::info!("promotion score of {} on {} is withdrawn", self.resource, self.node);
        let promotion = format!("--promotion={}", self.resource);
        let args = ["--node", &self.node, &promotion, "--lifetime", "reboot", "--delete"];
        ignore_missing(exec::run("crm_attribute", &args, None, deadline)?)
    }

    /// Sets a node attribute that lasts until this node leaves the cluster; people see it in `crm_mon -A`.
    ///
    /// # Errors
    /// When the tool fails.
    pub fn set_attribute(&self, name: &str, value: &str, deadline: Deadline) -> Result<()> {
        let update = format!("--update={value}");
        let args = ["--node", &self.node, "--name", name, &update];
        exec::run("attrd_updater", &args, None, deadline)?.success().map(drop)
    }

    /// Removes such an attribute.
    ///
    /// # Errors
    /// When the tool fails; that there was none is no error.
    pub fn remove_attribute(&self, name: &str, deadline: Deadline) -> Result<()> {
        ignore_missing(exec::run("attrd_updater", &["--node", &self.node, "--name", name, "--delete"], None, deadline)?)
    }

    /// Tells the other nodes something that is not written to the CIB and causes no new transition. It reaches them
    /// some time after this call has returned.
    ///
    /// # Errors
    /// When the tool fails.
    pub fn tell(&self, name: &str, value: &str, deadline: Deadline) -> Result<()> {
        let update = format!("--update={value}");
        let args = ["--node", &self.node, "--private", "--name", name, &update];
        exec::run("attrd_updater", &args, None, deadline)?.success().map(drop)
    }

    /// What the nodes have told under this name so far, by node.
    ///
    /// # Errors
    /// When the tool fails; that nobody told anything is no error.
    pub fn told(&self, name: &str, deadline: Deadline) -> Result<BTreeMap<String, String>> {
        let answer = exec::run("attrd_updater", &["--private", "--query", "--all", "--name", name], None, deadline)?;
        // 3.0.3 says it with CRM_EX_CONFIG, which stands for other things as well.
        let is_unknown = answer.stderr.contains("attribute does not exist");
        if is_unknown || is_no_such(&answer) {
            return Ok(BTreeMap::new());
        }
        Ok(parse::told(&answer.success()?))
    }

    /// Whether this node's part of the cluster has quorum.
    ///
    /// # Errors
    /// When the tool fails.
    pub fn is_quorate(&self, deadline: Deadline) -> Result<bool> {
        Ok(exec::run("crm_node", &["--quorum"], None, deadline)?.success()?.trim() == "1")
    }
}

/// The whole cluster, for people.
///
/// # Errors
/// When the cluster cannot be asked, or its answer cannot be read.
pub fn survey(deadline: Deadline) -> Result<survey::Survey> {
    let xml = exec::run("crm_mon", &["--one-shot", "--inactive", "--output-as=xml"], None, deadline)?.success()?;
    let survey = survey::read(&xml).context("cannot read crm_mon's answer")?;
    match survey.complaint {
        Some(why) if survey.members.is_empty() => bail!("crm_mon shows no nodes: {why}"),
        _ => Ok(survey),
    }
}

/// The cluster's configuration.
///
/// # Errors
/// When the cluster cannot be asked, or its answer cannot be read.
pub fn configuration(deadline: Deadline) -> Result<configuration::Configuration> {
    let xml = exec::run("cibadmin", &["--query", "--scope", "configuration"], None, deadline)?.success()?;
    configuration::read(&xml).context("cannot read cibadmin's answer")
}

/// A resource's parameter; `None` if it has none of this name.
///
/// # Errors
/// When the cluster cannot be asked.
pub fn parameter(resource: &str, name: &str, deadline: Deadline) -> Result<Option<String>> {
    let answer = exec::run("crm_resource", &["--resource", resource, "--get-parameter", name], None, deadline)?;
    if is_no_such(&answer) {
        return Ok(None);
    }
    Ok(Some(answer.success()?.trim().to_string()).filter(|value| !value.is_empty()))
}

fn is_no_such(finished: &Finished) -> bool {
    finished.code().is_some_and(|code| NO_SUCH.contains(&code))
}

fn ignore_missing(finished: Finished) -> Result<()> {
    if is_no_such(&finished) {
        return Ok(());
    }
    finished.success().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn convention_18_a_score_is_written_as_pacemaker_reads_it() {
        assert_eq!(Score::Never.to_string(), "-INFINITY");
        assert_eq!(Score::Value(100).to_string(), "100");
        let cluster = Cluster { node: "db1".into(), resource: "p_db".into() };
        assert_eq!(cluster.score_attribute(), "master-p_db");
    }
}
