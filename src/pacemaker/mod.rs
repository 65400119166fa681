//! The only room that runs Pacemaker's tools. What they print is read in `parse` (pure).
//! Each call costs 7 to 20 ms, so an action asks once, with [`Cluster::view`], and writes only what has changed.

pub mod configuration;
pub mod history;
pub mod parse;
mod property;
pub mod stack;
pub mod survey;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};

pub use parse::View;

use crate::deadline::Deadline;
use crate::exec::{self, Finished};

/// Exit codes of Pacemaker's tools for "there is no such thing": ENXIO as itself, and CRM_EX_NOSUCH.
const NO_SUCH: &[i32] = &[6, 105];

/// The set of cluster properties in which the resources' records are kept.
const PROPERTY_SET: &str = "rustha";

/// Where Pacemaker keeps the configuration (its CIB_DIR).
const CIB: &str = "/var/lib/pacemaker/cib/cib.xml";

/// How long the other nodes may take to have a record that was written. A majority has it after 20 to 50 ms.
const CONFIRMATION: Duration = Duration::from_secs(5);

/// How long one node may take to say what it has: one that was just cut off never does.
const ANSWER: Duration = Duration::from_secs(1);

/// How often the nodes are asked again.
const LOOK: Duration = Duration::from_millis(20);

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

    /// The value of this resource's record in this node's copy of the CIB; `None` if there is none.
    ///
    /// # Errors
    /// When the tool fails.
    pub fn read_record(&self, deadline: Deadline) -> Result<Option<String>> {
        self.read_record_of(&self.node, deadline)
    }

    /// The same in another node's copy.
    fn read_record_of(&self, node: &str, deadline: Deadline) -> Result<Option<String>> {
        let path = property::path(PROPERTY_SET, &self.record_name());
        let mut args = vec!["--query", "--xpath", &path];
        if node != self.node {
            args.extend(["--node", node]);
        }
        let answer = exec::run("cibadmin", &args, None, deadline)?;
        if is_no_such(&answer) {
            return Ok(None);
        }
        Ok(parse::pair_value(&answer.success()?).filter(|value| !value.is_empty()))
    }

    /// Replaces this resource's record in the CIB, if it is still `from`, and returns when it is certain that nobody will
    /// see an older one: read back from a majority of the nodes that are not gone, with quorum before and after. A
    /// partition that has just formed looks quorate for a while and takes writes that the others never see (measured:
    /// 3.4 s on Pacemaker 2.1.5 and 3.0.3). That it is still `from` is decided where all changes of the CIB are made one
    /// after the other: who was cut off cannot undo what was promoted meanwhile (objection 4).
    ///
    /// # Errors
    /// When somebody else has changed it, when it cannot be written, or is not confirmed by the deadline; after the last
    /// it may have been written all the same. Where it cannot be confirmed anyway, nothing is written.
    pub fn write_record(&self, from: Option<&str>, to: &str, view: &View, deadline: Deadline) -> Result<()> {
        ensure_majority(view)?;
        self.replace_record(from, to, deadline)?;
        self.confirm_record(to, view, deadline)
    }

    /// The same without making sure that anybody else sees it: for what is true and useful, and needed by nobody.
    ///
    /// # Errors
    /// When somebody else has changed it, or it cannot be written.
    pub fn replace_record(&self, from: Option<&str>, to: &str, deadline: Deadline) -> Result<()> {
        let name = self.record_name();
        let replace = || {
            let path = property::path_while(PROPERTY_SET, &name, from);
            let args = ["--modify", "--xpath", &path, "--xml-pipe"];
            exec::run("cibadmin", &args, Some(&property::print(PROPERTY_SET, &name, to)), deadline)
        };
        let mut answer = replace()?;
        if from.is_none() && is_no_such(&answer) {
            // The first record of any resource.
            let args = ["--modify", "--allow-create", "--scope", "crm_config", "--xml-pipe"];
            exec::run("cibadmin", &args, Some(&property::print_empty(PROPERTY_SET)), deadline)?.success()?;
            answer = replace()?;
        }
        if is_no_such(&answer) {
            bail!("the record of the last promotion was changed by another node in the meantime: left as it is");
        }
        answer.success().map(drop)
    }

    /// The rank of this node's copy of the CIB: when parts of a cluster meet again, the copy with the highest admin_epoch
    /// becomes everybody's, and only among equals the one that was written most often.
    ///
    /// # Errors
    /// When the tool fails.
    pub fn rank(&self, deadline: Deadline) -> Result<u64> {
        self.rank_of(&self.node, deadline)
    }

    fn rank_of(&self, node: &str, deadline: Deadline) -> Result<u64> {
        let mut args = vec!["--query", "--no-children"];
        if node != self.node {
            args.extend(["--node", node]);
        }
        let xml = exec::run("cibadmin", &args, None, deadline)?.success()?;
        parse::admin_epoch(&xml).context("the CIB has no admin_epoch")
    }

    /// Lets this part's copy of the CIB win over any that was written without it: a node that was just cut off may have
    /// written more, and its older record would be everybody's when it is back (found by the model, tests/protocol).
    /// Returns when a majority has a higher rank than `before`, and this node's copy has still this record.
    ///
    /// # Errors
    /// When it cannot be written, or is not confirmed by the deadline, or such a copy was there before.
    pub fn outrank(&self, before: u64, record: &str, view: &View, deadline: Deadline) -> Result<()> {
        let xml = "<cib admin_epoch=\"admin_epoch++\"/>";
        exec::run("cibadmin", &["--modify", "--xml-text", xml], None, deadline)?.success()?;
        let has_it = |node: &str, deadline| self.rank_of(node, deadline).is_ok_and(|rank| rank > before);
        let confirm = || self.confirm(view, deadline, has_it, || Ok(true));
        let (own, ()) = exec::at_once(|| self.read_record(deadline), confirm)?;
        if own.as_deref() != Some(record) {
            bail!("an older copy of the cluster's configuration has replaced the one with this promotion");
        }
        Ok(())
    }

    /// Makes certain that this record, which is this node's, is the cluster's.
    ///
    /// # Errors
    /// When it is not confirmed by the deadline.
    pub fn confirm_record(&self, value: &str, view: &View, deadline: Deadline) -> Result<()> {
        ensure_majority(view)?;
        let has_it = |node: &str, deadline| {
            let found = self.read_record_of(node, deadline);
            found.is_ok_and(|found| found.as_deref() == Some(value))
        };
        let is_still_ours = || Ok(self.read_record(deadline)?.as_deref() == Some(value));
        self.confirm(view, deadline, has_it, is_still_ours)?;
        if !self.is_quorate(deadline)? {
            bail!("quorum was lost while the record was written");
        }
        Ok(())
    }

    /// Whether this node's part of the cluster has quorum.
    ///
    /// # Errors
    /// When the tool fails.
    pub fn is_quorate(&self, deadline: Deadline) -> Result<bool> {
        Ok(exec::run("crm_node", &["--quorum"], None, deadline)?.success()?.trim() == "1")
    }

    /// Waits until enough nodes have what this node has: its tools return after its own copy was changed, or read; as long as
    /// it still has it.
    fn confirm(
        &self,
        view: &View,
        deadline: Deadline,
        has_it: impl Fn(&str, Deadline) -> bool + Sync,
        is_still_ours: impl Fn() -> Result<bool>,
    ) -> Result<()> {
        let majority = view.majority();
        let deadline = deadline.at_most(CONFIRMATION);
        let mut left: Vec<&String> = view.online.iter().filter(|node| **node != self.node).collect();
        loop {
            // All at the same time: one that was just cut off does not answer.
            let have_it: Vec<&String> = std::thread::scope(|scope| {
                let has_it = &has_it;
                let asked: Vec<_> = left
                    .iter()
                    .map(|&node| (node, scope.spawn(move || has_it(node, deadline.at_most(ANSWER)))))
                    .collect();
                asked.into_iter().filter_map(|(node, asked)| asked.join().ok()?.then_some(node)).collect()
            });
            left.retain(|node| !have_it.contains(node));
            let confirmed = view.online.len() - left.len();
            if confirmed >= majority {
                return Ok(());
            }
            if deadline.is_over() {
                bail!("only {confirmed} of the {majority} nodes that are needed confirm what was written");
            }
            if !is_still_ours()? {
                bail!("another part of the cluster, which this node had lost, has written something else");
            }
            std::thread::sleep(LOOK);
        }
    }

    /// The order that an operator has given for this resource's next promotion; `None` if there is none.
    ///
    /// # Errors
    /// When the tool fails.
    pub fn read_order(&self, deadline: Deadline) -> Result<Option<String>> {
        let path = property::path(PROPERTY_SET, &self.order_name());
        let answer = exec::run("cibadmin", &["--query", "--xpath", &path], None, deadline)?;
        if is_no_such(&answer) {
            return Ok(None);
        }
        Ok(parse::pair_value(&answer.success()?).filter(|value| !value.is_empty()))
    }

    /// Gives such an order, or takes it back.
    ///
    /// # Errors
    /// When the tool fails.
    pub fn write_order(&self, order: Option<&str>, deadline: Deadline) -> Result<()> {
        let name = self.order_name();
        let change = order.map_or("--delete".to_string(), |order| format!("--update={order}"));
        let args = ["--type", "crm_config", "--set-name", PROPERTY_SET, "--name", &name, &change];
        ignore_missing(exec::run("crm_attribute", &args, None, deadline)?)
    }

    fn order_name(&self) -> String {
        format!("{}-order", self.resource)
    }

    fn record_name(&self) -> String {
        format!("{}-record", self.resource)
    }
}

/// The whole cluster, for people.
///
/// # Errors
/// When the cluster cannot be asked, or its answer cannot be read.
pub fn survey(deadline: Deadline) -> Result<survey::Survey> {
    let xml = exec::run("crm_mon", &["--one-shot", "--inactive", "--output-as=xml"], None, deadline)?.success()?;
    survey::read(&xml).context("cannot read crm_mon's answer")
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

fn ensure_majority(view: &View) -> Result<()> {
    view.lacks_majority().map_or(Ok(()), |why| Err(anyhow::Error::msg(why)))
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
