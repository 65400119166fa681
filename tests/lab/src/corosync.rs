//! The cluster's configuration files: pure texts.

use std::fmt::Write;

use crate::layout::{node_address, node_name};

/// `corosync.conf` for that many nodes.
pub(crate) fn render_conf(nodes: usize) -> String {
    let mut text = String::from(
        "totem {\n  version: 2\n  cluster_name: rustha-lab\n  transport: knet\n  token: 1000\n  \
         crypto_cipher: none\n  crypto_hash: none\n}\n\nnodelist {\n",
    );
    for index in 1..=nodes {
        let (name, address) = (node_name(index), node_address(index));
        let lines = format!("    name: {name}\n    nodeid: {index}\n    ring0_addr: {address}\n");
        write!(text, "  node {{\n{lines}  }}\n").expect("a string takes all");
    }
    // Implies wait_for_all: of two nodes none starts alone.
    let two_node = if nodes == 2 { "  two_node: 1\n" } else { "" };
    write!(text, "}}\n\nquorum {{\n  provider: corosync_votequorum\n{two_node}}}\n\n").expect("a string takes all");
    text.push_str(
        "logging {\n  to_stderr: no\n  to_syslog: no\n  to_logfile: yes\n  timestamp: hires\n  \
         logfile: /var/log/corosync/corosync.log\n}\n",
    );
    text
}

/// `/etc/hosts` for that many nodes.
pub(crate) fn render_hosts(nodes: usize) -> String {
    let lines = (1..=nodes).map(|index| format!("{} {}\n", node_address(index), node_name(index)));
    ["127.0.0.1 localhost\n".to_owned()].into_iter().chain(lines).collect()
}

/// The CIB a node is born with. Its only content shortens Pacemaker's first election, in which otherwise
/// everybody waits 20 s for somebody who is already in charge.
pub(crate) const CIB: &str = r#"<cib crm_feature_set="3.16.1" validate-with="pacemaker-3.9" epoch="0" num_updates="0" admin_epoch="0">
  <configuration>
    <crm_config>
      <cluster_property_set id="cib-bootstrap-options">
        <nvpair id="cib-bootstrap-options-dc-deadtime" name="dc-deadtime" value="2s"/>
      </cluster_property_set>
    </crm_config>
    <nodes/>
    <resources/>
    <constraints/>
  </configuration>
  <status/>
</cib>
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_nodes_get_two_node_and_three_do_not() {
        assert!(render_conf(2).contains("two_node: 1"));
        assert!(!render_conf(3).contains("two_node"));
    }

    #[test]
    fn every_node_is_listed_with_its_name_and_address() {
        let text = render_conf(3);
        assert_eq!(text.matches("  node {").count(), 3);
        assert!(text.contains("    name: db3\n    nodeid: 3\n    ring0_addr: 10.77.0.13\n"));
        assert_eq!(text.matches('{').count(), text.matches('}').count());
    }

    #[test]
    fn hosts_names_the_nodes_by_their_addresses() {
        assert_eq!(render_hosts(1), "127.0.0.1 localhost\n10.77.0.11 db1\n");
    }
}
