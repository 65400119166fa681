//! How everything of a lab is called and where it lies. Names only; nothing here looks or changes.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

/// Where the records and disks of all labs are.
pub(crate) const LABS: &str = "/run/rustha-lab";
/// The bridge inside the switch's namespace.
pub(crate) const BRIDGE: &str = "switch";
/// The namespace that stands for the application's machine.
pub(crate) const CLIENT: &str = "client";

/// The names and places of one lab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    name: String,
}

impl Layout {
    /// Names of labs are short and plain: they become parts of paths, mount options and namespaces' names.
    pub(crate) fn new(name: &str) -> Result<Layout> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        ensure!(
            (1..=32).contains(&name.len()) && name.chars().all(plain) && !name.starts_with('-'),
            "{name:?} is no name for a lab: up to 32 of a-z, 0-9 and -"
        );
        Ok(Layout { name: name.into() })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn state(&self) -> PathBuf {
        Path::new(LABS).join(&self.name)
    }

    /// What all nodes of this lab have in common: the product and the cluster's configuration.
    pub(crate) fn layer(&self) -> PathBuf {
        self.state().join("layer")
    }

    /// The directory with the power daemon's socket; seen by every node as `/run/rustha-lab`.
    pub(crate) fn power(&self) -> PathBuf {
        self.state().join("power")
    }

    pub(crate) fn node(&self, node: &str) -> PathBuf {
        self.state().join("nodes").join(node)
    }

    /// Mount point of the tmpfs that is a node's disk.
    pub(crate) fn disk(&self, node: &str) -> PathBuf {
        self.node(node).join("disk")
    }

    /// The dot is in no lab's name: so no lab's namespaces can be taken for another's.
    pub(crate) fn netns_name(&self, member: &str) -> String {
        format!("{}.{member}", self.name)
    }

    pub(crate) fn netns(&self, member: &str) -> PathBuf {
        Path::new("/run/netns").join(self.netns_name(member))
    }

    /// Whether a namespace of this name is this lab's.
    pub(crate) fn owns_netns(&self, netns: &str) -> bool {
        let Some(member) = netns.strip_prefix(&self.name).and_then(|rest| rest.strip_prefix('.')) else {
            return false;
        };
        let node = member.strip_prefix("db").is_some_and(|number| number.parse::<usize>().is_ok());
        node || [BRIDGE, CLIENT].contains(&member)
    }
}

pub(crate) fn node_name(index: usize) -> String {
    format!("db{index}")
}

/// The nodes are db1, db2 …: 10.77.0.11, 10.77.0.12 …
pub(crate) fn node_address(index: usize) -> Ipv4Addr {
    let last = u8::try_from(10 + index).expect("a lab has at most nine nodes");
    Ipv4Addr::new(10, 77, 0, last)
}

/// The client's address.
pub(crate) const CLIENT_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);
/// The address left free for the service.
pub(crate) const VIP: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lab_does_not_own_the_namespaces_of_one_whose_name_begins_like_its_own() {
        let lab = Layout::new("lab").unwrap();
        assert!(lab.owns_netns("lab.db1") && lab.owns_netns("lab.client"));
        assert!(!lab.owns_netns("lab-2.db1") && !lab.owns_netns("lab.office") && !lab.owns_netns("lab"));
    }

    #[test]
    fn names_that_would_break_out_of_a_path_or_a_mount_option_are_refused() {
        for name in ["", "..", "a/b", "a:b", "a,b", "-x", "Ä"] {
            assert!(Layout::new(name).is_err(), "{name}");
        }
    }
}
