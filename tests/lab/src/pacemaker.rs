//! What Pacemaker says of the nodes, as far as the lab must know it: who is online.

use std::time::Duration;

use anyhow::Result;

use crate::deadline::{Deadline, wait_until};
use crate::node::Node;

/// Waits until every node sees all of them online. Every one: of a node that broke a moment ago, the others
/// go on saying that it is online until Corosync's token is lost.
pub(crate) fn await_online(nodes: &[Node], limit: Duration) -> Result<()> {
    let mut names: Vec<_> = nodes.iter().map(|node| node.name().to_owned()).collect();
    names.sort();
    let deadline = Deadline::after(limit);
    for node in nodes {
        let mut seen = String::new();
        let what = format!("all nodes online, as {} sees it", node.name());
        let result = wait_until(&what, deadline, Duration::from_millis(100), || {
            // Refused until the daemons are there; that is what the wait is for.
            let output = node.exec(&["crm_mon", "--one-shot", "--output-as=xml"], Duration::from_secs(10));
            seen = output.map_or_else(|error| error.to_string(), |output| output.stdout);
            Ok(parse_online(&seen) == names)
        });
        result.map_err(|error| error.context(format!("the last answer of crm_mon on {}:\n{seen}", node.name())))?;
    }
    Ok(())
}

/// The names of the nodes that are online and done with joining, sorted.
fn parse_online(xml: &str) -> Vec<String> {
    let nodes =
        xml.split_once("<nodes>").and_then(|(_, rest)| rest.split_once("</nodes>")).map_or("", |(nodes, _)| nodes);
    let elements = nodes.split("<node ").filter(|e| e.contains("online=\"true\"") && e.contains("pending=\"false\""));
    let mut names: Vec<_> =
        elements.filter_map(|e| Some(e.split_once("name=\"")?.1.split('"').next()?.to_owned())).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_is_still_joining_is_not_online() {
        let xml = r#"<pacemaker-result><nodes>
            <node name="db2" id="2" online="true" standby="false" pending="false"/>
            <node name="db1" id="1" online="true" standby="false" pending="true"/>
            <node name="db3" id="3" online="false" standby="false" pending="false"/></nodes>
            <resources/></pacemaker-result>"#;
        assert_eq!(parse_online(xml), ["db2"]);
    }

    #[test]
    fn an_answer_without_nodes_has_nobody_online() {
        assert!(parse_online("<pacemaker-result/>").is_empty() && parse_online("").is_empty());
    }
}
