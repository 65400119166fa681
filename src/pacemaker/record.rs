//! What the cluster's configuration keeps of a resource: the record of its last promotion, written so that it is certain who sees
//! it, and an operator's order. One value of a property each, which changes as one.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{Cluster, View, ignore_missing, is_no_such, parse, property};
use crate::deadline::Deadline;
use crate::exec;

/// The set of cluster properties in which the resources' records are kept.
const PROPERTY_SET: &str = "rustha";

/// How long the other nodes may take to have a record that was written. A majority has it after 20 to 50 ms.
const CONFIRMATION: Duration = Duration::from_secs(5);

/// How long one node may take to say what it has: one that was just cut off never does.
const ANSWER: Duration = Duration::from_secs(1);

/// How often the nodes are asked again.
const LOOK: Duration = Duration::from_millis(20);

/// The name of the property with an operator's order for a resource's next promotion.
pub fn order_name(resource: &str) -> String {
    format!("{resource}-order")
}

impl Cluster {
    /// The value of this resource's record in this node's copy of the CIB; `None` if there is none.
    ///
    /// # Errors
    /// When the tool fails.
    pub fn read_record(&self, deadline: Deadline) -> Result<Option<String>> {
        self.read_record_of(&self.node, deadline)
    }

    /// The same in another node's copy.
    fn read_record_of(&self, node: &str, deadline: Deadline) -> Result<Option<String>> {
        self.read_value(&self.record_name(), node, deadline)
    }

    /// A property of our own in a node's copy of the CIB.
    fn read_value(&self, name: &str, node: &str, deadline: Deadline) -> Result<Option<String>> {
        let path = property::path(PROPERTY_SET, name);
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
        self.read_value(&self.order_name(), &self.node, deadline)
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
        order_name(&self.resource)
    }

    fn record_name(&self) -> String {
        format!("{}-record", self.resource)
    }
}

fn ensure_majority(view: &View) -> Result<()> {
    view.lacks_majority().map_or(Ok(()), |why| Err(anyhow::Error::msg(why)))
}
