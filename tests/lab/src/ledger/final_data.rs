//! What the nodes hold at the end: read over TCP from each node's own address, not through the VIP.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use mysql::Conn;
use mysql::prelude::Queryable;

use super::clock::Deadline;
use super::failure::FailureKind;
use super::options::{Account, Node, Options};
use super::session::{Peer, enter_netns};

/// Reading a whole table takes longer than any one write.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two looks at nodes that have yet to catch up.
const PAUSE: Duration = Duration::from_millis(200);

/// Where the final data is read from.
#[derive(Debug, Clone)]
pub struct Source {
    /// The client's network namespace.
    pub client: PathBuf,
    /// The nodes that must agree; leave out those that are meant to be off.
    pub nodes: Vec<Node>,
    /// The servers' TCP port.
    pub port: u16,
    /// An account that may read `app.ledger`.
    pub app: Account,
}

impl Options {
    /// All nodes of these options, as a source for the final data.
    pub fn source(&self) -> Source {
        Source { client: self.client.clone(), nodes: self.nodes.clone(), port: self.port, app: self.app.clone() }
    }
}

impl Source {
    /// The same without a node that is meant to be off.
    pub fn without(mut self, node: &str) -> Self {
        self.nodes.retain(|other| other.name != node);
        self
    }
}

/// The table `app.ledger` as one node holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeData {
    /// The node's name.
    pub node: String,
    /// All ids in the table, of this and of earlier ledgers.
    pub ids: BTreeSet<u64>,
    /// What `CHECKSUM TABLE` says.
    pub checksum: Option<u64>,
}

/// The table on all given nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FinalData {
    /// One for each node, in the given order.
    pub nodes: Vec<NodeData>,
}

impl FinalData {
    /// Reads the data of all nodes once, as it is now.
    ///
    /// # Errors
    /// If a node does not answer, or has no such table.
    pub fn read(source: &Source) -> Result<Self> {
        in_netns(source, || Self::read_here(source))
    }

    /// Waits until all nodes hold the same number of rows and the same checksum, as replicas need time to
    /// catch up, but no longer than `time`; then reads the data. Nodes that still differ are no error here:
    /// it is for the verdict to say so.
    ///
    /// # Errors
    /// If a node does not answer by then, or has no such table.
    pub fn settled(source: &Source, time: Duration) -> Result<Self> {
        let deadline = Deadline::after(time);
        in_netns(source, || {
            while !deadline.is_over() && !is_settled(source).unwrap_or(false) {
                thread::sleep(PAUSE.min(deadline.left()));
            }
            Self::read_here(source)
        })
    }

    fn read_here(source: &Source) -> Result<Self> {
        let nodes = source.nodes.iter().map(|node| {
            let data = read_node(source, node);
            data.with_context(|| format!("read app.ledger on {}", node.name))
        });
        Ok(Self { nodes: nodes.collect::<Result<_>>()? })
    }
}

/// Runs `body` on a thread in the client's network namespace.
fn in_netns<T: Send>(source: &Source, body: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            enter_netns(&source.client)?;
            body()
        });
        thread.join().map_err(|_| anyhow!("the reader panicked"))?
    })
}

fn connect(source: &Source, node: &Node) -> Result<Conn> {
    let peer = Peer {
        address: node.address,
        port: source.port,
        account: source.app.clone(),
        connect_timeout: READ_TIMEOUT,
        answer_timeout: READ_TIMEOUT,
    };
    peer.connect().map_err(|kind: FailureKind| anyhow!("{kind}"))
}

fn is_settled(source: &Source) -> Result<bool> {
    let mut first = None;
    for node in &source.nodes {
        let mut conn = connect(source, node)?;
        let rows: Option<u64> = conn.query_first("SELECT COUNT(*) FROM app.ledger")?;
        let seen = (rows, read_checksum(&mut conn)?);
        if *first.get_or_insert(seen) != seen {
            return Ok(false);
        }
    }
    Ok(true)
}

fn read_node(source: &Source, node: &Node) -> Result<NodeData> {
    let mut conn = connect(source, node)?;
    let ids: Vec<u64> = conn.query("SELECT id FROM app.ledger")?;
    Ok(NodeData { node: node.name.clone(), ids: ids.into_iter().collect(), checksum: read_checksum(&mut conn)? })
}

fn read_checksum(conn: &mut Conn) -> Result<Option<u64>> {
    let row: Option<(String, Option<u64>)> = conn.query_first("CHECKSUM TABLE app.ledger")?;
    Ok(row.and_then(|(_, checksum)| checksum))
}
