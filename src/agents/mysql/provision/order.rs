//! What an operator orders for this instance, and what waits for it: files, which the command writes and the guard reads.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use super::super::node::Node;
use crate::server::dialect::backup::Method;
use crate::state_file;

/// An order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// Its data are replaced also when it could replicate with them.
    pub is_for_new_data: bool,
    /// By this method.
    pub method: Option<Method>,
    /// From this node.
    pub donor: Option<String>,
    /// Also when what only it has cannot be saved.
    pub discards_unsaved: bool,
}

impl Order {
    /// Reads it, if there is one.
    pub fn read(node: &Node) -> Option<Self> {
        fs::read_to_string(order_file(node)).ok().map(|text| Self::parse(&text))
    }

    /// Gives it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn give(&self, node: &Node) -> Result<()> {
        state_file::write(&order_file(node), &self.print())
    }

    /// It is carried out.
    pub fn forget(node: &Node) {
        // That there is none is the usual case.
        let _ = fs::remove_file(order_file(node));
    }

    fn print(&self) -> String {
        let what = if self.is_for_new_data { "provision" } else { "rejoin" };
        let unsaved = if self.discards_unsaved { "discard" } else { "keep" };
        let (method, donor) = (self.method.map_or("-", Method::name), self.donor.as_deref().unwrap_or("-"));
        format!("{what} {unsaved} {method} {donor}")
    }

    fn parse(text: &str) -> Self {
        let mut words = text.split_whitespace();
        let is_for_new_data = words.next() == Some("provision");
        let discards_unsaved = words.next() == Some("discard");
        let method = words.next().and_then(Method::parse);
        let donor = words.next().filter(|word| *word != "-").map(str::to_string);
        Self { is_for_new_data, method, donor, discards_unsaved }
    }
}

fn order_file(node: &Node) -> PathBuf {
    node.run_dir.join(format!("rustha-{}.order", node.resource))
}

fn returned_file(node: &Node) -> PathBuf {
    node.run_dir.join(format!("rustha-{}.returned", node.resource))
}

/// The server was started, and was not shut down cleanly before: an operator may want to look at it (rejoin=manual).
pub fn note_return(node: &Node) {
    if let Err(error) = fs::write(returned_file(node), "") {
        log::warn!("cannot write {}: {error}", returned_file(node).display());
    }
}

/// Whether that is so, and nobody has said yet that it may replicate.
pub fn waits_for_order(node: &Node) -> bool {
    returned_file(node).exists() && !order_file(node).exists()
}

/// It has been let in.
pub fn forget_return(node: &Node) {
    // That there is none is the usual case.
    let _ = fs::remove_file(returned_file(node));
    if Order::read(node).is_some_and(|order| !order.is_for_new_data) {
        Order::forget(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_as_it_was_given() {
        let orders = [
            Order::default(),
            Order { is_for_new_data: true, method: Some(Method::Logical), ..Order::default() },
            Order { donor: Some("db2".into()), discards_unsaved: true, ..Order::default() },
        ];
        for order in orders {
            assert_eq!(Order::parse(&order.print()), order);
        }
    }
}
