//! What a ledger is told at its start: plain data, so that it depends on nothing else of the lab.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::event::Event;

/// Called with each event as it happens, on a thread of the ledger's own; a slow sink delays no measurement.
pub type Sink = Box<dyn FnMut(&Event) + Send + Sync>;

/// A node of the cluster, as its watchers need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The name in events and verdicts.
    pub name: String,
    /// The node's own address, which its server listens on.
    pub address: IpAddr,
    /// The node's network namespace, as `/run/netns/db1`; it may be missing while the node is off.
    pub netns: PathBuf,
}

/// An account on the servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The user name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl Account {
    /// An account from its two parts.
    pub fn new(user: &str, password: &str) -> Self {
        Self { user: user.to_owned(), password: password.to_owned() }
    }
}

/// How a ledger writes and watches. [`Options::new`] sets all that has a usual value.
pub struct Options {
    /// The client's network namespace: everything over TCP happens in it.
    pub client: PathBuf,
    /// The address that clients write through.
    pub vip: IpAddr,
    /// The servers' TCP port; usually 3306.
    pub port: u16,
    /// The nodes to watch.
    pub nodes: Vec<Node>,
    /// The account that writes; it needs all privileges on the database `app`.
    pub app: Account,
    /// The account that watches; it needs no privilege.
    pub watch: Account,
    /// Concurrent writers, each with one connection; usually 2.
    pub writers: u32,
    /// Writes in a second, of all writers together; usually 200.
    pub rate: u32,
    /// The writers stop after this time, whether told to or not; usually 10 minutes.
    pub limit: Duration,
    /// A writer's time-out for a connection, and so how finely a gap is measured; usually 100 ms.
    pub connect_timeout: Duration,
    /// A writer's time-out for an answer; usually 1 s. A vanished address sends no RST, so after a node's
    /// death this is the least gap a client sees.
    pub answer_timeout: Duration,
    /// A writer's pause before it connects again; usually 20 ms.
    pub pause: Duration,
    /// How often each node is looked at; usually 50 ms.
    pub watch_every: Duration,
    /// A watcher's time-out for a connection and for an answer; usually 300 ms.
    pub watch_timeout: Duration,
    /// Longer than this without an acknowledgement, and writes count as stopped; usually 100 ms.
    pub gap: Duration,
    /// Receives the events live.
    pub sink: Option<Sink>,
}

impl Options {
    /// Options with the usual values, and the lab's accounts.
    pub fn new(client: impl Into<PathBuf>, vip: IpAddr, nodes: Vec<Node>) -> Self {
        Self {
            client: client.into(),
            vip,
            port: 3306,
            nodes,
            app: Account::new("app", "app-secret"),
            watch: Account::new("watch", "watch-secret"),
            writers: 2,
            rate: 200,
            limit: Duration::from_secs(600),
            connect_timeout: Duration::from_millis(100),
            answer_timeout: Duration::from_secs(1),
            pause: Duration::from_millis(20),
            watch_every: Duration::from_millis(50),
            watch_timeout: Duration::from_millis(300),
            gap: Duration::from_millis(100),
            sink: None,
        }
    }

    /// Time between two writes of one writer.
    pub(super) fn interval(&self) -> Duration {
        Duration::from_secs(1) * self.writers / self.rate
    }

    /// The gap that counts: at a low rate the asked one would be crossed between two healthy writes.
    pub(super) fn counted_gap(&self) -> Duration {
        self.gap.max(Duration::from_secs(4) / self.rate)
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("client", &self.client)
            .field("vip", &self.vip)
            .field("nodes", &self.nodes)
            .finish_non_exhaustive()
    }
}
