//! What an operator is told about a node that is to come back, before and while it does.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::super::decide::record::State;
use super::super::decide::rejoin::Verdict;
use super::super::node::Node;
use super::super::publish::status_attribute;
use super::{Need, Order, choose_methods, decide_now, divergence, find_need, find_source, may_keep_data, progress};
use crate::ocf::env::Invocation;
use crate::server::dialect::Dialect;
use crate::server::{layout, tools};

/// What one question may take.
const ASKING: Duration = Duration::from_secs(30);

/// What it may take to read the binary logs.
const READING: Duration = Duration::from_secs(3600);

/// What would happen here, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The resource.
    pub resource: String,
    /// This node.
    pub node: String,
    /// What the instance says of itself.
    pub status: String,
    /// Why it cannot replicate with what it has; `None`: it can.
    pub need: Option<String>,
    /// Whether it has transactions that are saved before its data are replaced.
    pub saves: bool,
    /// Whether those change nothing, so that its data stay.
    pub keeps_data: bool,
    /// From whom it would get data, in this order.
    pub donors: Vec<String>,
    /// How, in this order.
    pub methods: Vec<String>,
    /// What it does without an order.
    pub by_itself: String,
}

/// What would happen on this node.
///
/// # Errors
/// When there is nothing to be done here: no server, a primary, no primary anywhere.
pub fn plan(call: &Invocation, order: &Order) -> Result<Plan> {
    let mut node = Node::gather(call, ASKING)?;
    let cluster = node.cluster.clone().context("this node is in no cluster")?;
    let daemon = node.daemon().context("the server does not run on this node: start the resource first")?;
    if node.is_marked(daemon) {
        bail!("this node is the primary: it has nothing to come back to");
    }
    let view = cluster.view(node.deadline)?;
    let status = view.attribute(&cluster.node, &status_attribute(&node.resource)).unwrap_or_default().to_string();
    let need = find_need(&node)?;
    let Some(source) = find_source(&cluster, &node)? else {
        let led = node.record()?.filter(|record| record.state == State::Open).map(|record| record.primary);
        bail!("there is no primary to come back to (the last one was {})", led.as_deref().unwrap_or("none"));
    };
    let donors = source.choose(order.donor.as_deref())?;
    let methods = choose_methods(&node, order.method)?;
    let may_keep = |node: &Node, order: Option<&Order>| {
        need.as_ref().is_some_and(|need| may_keep_data(node, &source.record, need, order))
    };
    // Where its binary logs cannot be read, it is treated as one that has changed something.
    let is_harmless = may_keep(&node, Some(order)) && {
        let executed = node.quick_session()?.state()?.executed;
        node.renew(READING);
        divergence::harmless(&node, &source.record, &executed).is_ok_and(|common| common.is_some())
    };
    node.renew(ASKING);
    let by_itself = match &need {
        None => "it replicates".to_string(),
        Some(_) if is_harmless && may_keep(&node, None) => "its data stay".to_string(),
        Some(need) => match decide_now(&node, &cluster, &source, need, false)? {
            Verdict::Provision => "its data are replaced".to_string(),
            Verdict::Wait(why) | Verdict::StayOut(why) => format!("it stays out: {why}"),
        },
    };
    Ok(Plan {
        resource: node.resource.clone(),
        node: cluster.node,
        status,
        saves: need.as_ref().is_some_and(Need::is_divergence),
        keeps_data: is_harmless,
        need: need.map(|need| need.to_string()),
        donors,
        methods: methods.into_iter().map(|method| method.name().to_string()).collect(),
        by_itself,
    })
}

/// Gives an order to the guard of this instance.
///
/// # Errors
/// When it cannot be given.
pub fn give_order(call: &Invocation, order: &Order) -> Result<()> {
    order.give(&Node::gather(call, ASKING)?)
}

/// What the instance says of itself now; the second is whether it is in sync again.
///
/// # Errors
/// When the cluster cannot be asked.
pub fn look(call: &Invocation) -> Result<(String, bool)> {
    let node = Node::gather(call, ASKING)?;
    let cluster = node.cluster.as_ref().context("this node is in no cluster")?;
    let view = cluster.view(node.deadline)?;
    let told = view.attribute(&cluster.node, &status_attribute(&node.resource)).unwrap_or_default().to_string();
    let is_whole = told.starts_with("replica of ") && Order::read(&node).is_none();
    let text = progress::read(&node).filter(|_| !is_whole).unwrap_or(told);
    Ok((text, is_whole))
}

/// A file with what only one node had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Where it is.
    pub path: PathBuf,
    /// How many bytes.
    pub bytes: u64,
    /// What it changes: "INSERT INTO `app`.`t`" and how many rows.
    pub rows: Vec<(String, u64)>,
    /// Statements that are logged as such.
    pub statements: Vec<String>,
}

/// What was saved on this node, and what this instance has now that its primary has not.
///
/// # Errors
/// When a file cannot be read.
pub fn divergences(call: &Invocation) -> Result<(Option<String>, Vec<Saved>)> {
    let node = Node::gather(call, ASKING)?;
    let now = match find_need(&node) {
        Ok(need) => need.filter(Need::is_divergence).map(|need| need.to_string()),
        Err(error) => Some(format!("what it has is not known: {error:#}")),
    };
    let dir = &node.config.divergence_dir;
    let mut paths: Vec<PathBuf> = match fs::read_dir(dir) {
        Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", dir.display())),
    };
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "binlog"));
    paths.sort();
    let binary = node.layout.binary.as_deref().context("the server's program is not on this node")?;
    let dialect = layout::ask_version(binary)?;
    let saved = paths.into_iter().map(|path| describe(dialect, path)).collect::<Result<_>>()?;
    Ok((now, saved))
}

fn describe(dialect: Dialect, path: PathBuf) -> Result<Saved> {
    let bytes = fs::metadata(&path).with_context(|| format!("cannot read {}", path.display()))?.len();
    let text = tools::output(&dialect.read_binlog(&path.to_string_lossy()), crate::deadline::Deadline::after(ASKING))?;
    let (rows, statements) = count_changes(&text);
    Ok(Saved { path, bytes, rows, statements })
}

/// Reads what mysqlbinlog prints: rows as comments (`### INSERT INTO`), statements as they are.
fn count_changes(text: &str) -> (Vec<(String, u64)>, Vec<String>) {
    let mut rows = std::collections::BTreeMap::new();
    let verbs = ["INSERT INTO ", "UPDATE ", "DELETE FROM "];
    for change in text.lines().filter_map(|line| line.strip_prefix("### ")) {
        if verbs.iter().any(|verb| change.starts_with(verb)) {
            *rows.entry(change.trim().to_string()).or_insert(0) += 1;
        }
    }
    let words = [
        "CREATE ",
        "ALTER ",
        "DROP ",
        "INSERT ",
        "UPDATE ",
        "DELETE ",
        "TRUNCATE ",
        "GRANT ",
        "REVOKE ",
        "REPLACE ",
        "ANALYZE ",
        "OPTIMIZE ",
        "FLUSH ",
    ];
    let is_statement = |line: &&str| words.iter().any(|word| line.to_ascii_uppercase().starts_with(word));
    let statements = text.lines().filter(is_statement).map(|line| line.chars().take(200).collect());
    (rows.into_iter().collect(), statements.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_by_table_and_statements_are_listed() {
        let text = "SET TIMESTAMP=1/*!*/;\nCREATE TABLE app.t (i INT)\n/*!*/;\n#Q> INSERT INTO app.t VALUES (1)\n\
                    ### INSERT INTO `app`.`t`\n### SET\n###   @1=1\n### INSERT INTO `app`.`t`\n### DELETE FROM `app`.`u`\n";
        let (rows, statements) = count_changes(text);
        assert_eq!(rows, [("DELETE FROM `app`.`u`".to_string(), 1), ("INSERT INTO `app`.`t`".to_string(), 2)]);
        assert_eq!(statements, ["CREATE TABLE app.t (i INT)"]);
    }
}
