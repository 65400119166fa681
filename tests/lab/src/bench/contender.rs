//! Who is compared: how a cluster of it is made from the same nodes, with the same operations and time-outs, and how its
//! operators ask it for a planned move.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;

use super::address::Address;
use crate::fault::Fault;
use crate::lab::Lab;
use crate::ledger::CREATE_TABLE;
use crate::node::{Daemon, Node};
use crate::roots::{Root, Vendor};
use crate::scenario::{Bed, RESOURCE};

/// What a cluster may take until it is at rest after it was configured.
const FORMING: Duration = Duration::from_secs(90);

/// An agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Contender {
    /// ocf:rustha:mysql, as the README configures it
    Rustha,
    /// ocf:heartbeat:mariadb, with its defaults, but for mysqld_safe
    HeartbeatMariadb,
    /// ocf:heartbeat:mysql, with its defaults, but for mysqld_safe
    HeartbeatMysql,
    /// ocf:pacemaker:Stateful, which does nothing: the floor. Beside it each node has a server that takes writes
    Stateful,
}

impl fmt::Display for Contender {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (provider, agent) = self.agent();
        out.pad(&format!("{provider}:{agent}"))
    }
}

/// What a cluster is made for.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// How often the promoted instance is monitored.
    pub interval: Duration,
    /// Whether the agent is run by the wrapper that measures it.
    pub is_measured: bool,
    /// Who has the address.
    pub address: Address,
}

impl Contender {
    /// Those that run on this root.
    pub fn all_on(root: Root) -> Vec<Contender> {
        let all = [Contender::Rustha, Contender::HeartbeatMariadb, Contender::HeartbeatMysql, Contender::Stateful];
        let is_for = |one: &Contender| *one != Contender::HeartbeatMariadb || root.vendor() == Vendor::MariaDb;
        all.into_iter().filter(is_for).collect()
    }

    /// Its provider and its name.
    pub fn agent(self) -> (&'static str, &'static str) {
        match self {
            Contender::Rustha => ("rustha", "mysql"),
            Contender::HeartbeatMariadb => ("heartbeat", "mariadb"),
            Contender::HeartbeatMysql => ("heartbeat", "mysql"),
            Contender::Stateful => ("pacemaker", "Stateful"),
        }
    }

    /// Whether it runs the servers; else they run beside it, and each takes writes.
    pub fn has_database(self) -> bool {
        self != Contender::Stateful
    }

    /// Makes a cluster of it, and waits until that is at rest.
    pub fn configure(self, bed: &Bed, setting: Setting) -> Result<String> {
        for node in bed.lab().nodes() {
            self.prepare(node, bed.lab().root()).with_context(|| format!("{} for {self}", node.name()))?;
        }
        bed.configure(&self.configuration(bed.lab(), setting))?;
        bed.wait_at_rest(FORMING).with_context(|| format!("a cluster of {self}"))
    }

    fn configuration(self, lab: &Lab, setting: Setting) -> String {
        let (provider, agent) = self.agent();
        let name = match setting.is_measured {
            true => format!("measured:{provider}-{agent}"),
            false => format!("{provider}:{agent}"),
        };
        let names: Vec<_> = lab.nodes().iter().map(Node::name).collect();
        let account = "params replication_user=repl replication_passwd=repl-secret";
        // With mysqld_safe, their default, a killed server is started again behind the cluster's back: writable, and without
        // what the agent had set.
        let server = format!("binary={}", lab.root().vendor().daemon());
        let params = match self {
            Contender::Rustha => account.to_owned(),
            Contender::HeartbeatMariadb => format!("{account} {server} node_list=\"{}\"", names.join(" ")),
            Contender::HeartbeatMysql => format!("{account} {server}"),
            Contender::Stateful => String::new(),
        };
        let seconds = setting.interval.as_secs();
        format!(
            "property stonith-enabled=false\n\
             primitive {RESOURCE} ocf:{name} {params} \
             op start timeout=120s interval=0 op stop timeout=120s interval=0 \
             op promote timeout=120s interval=0 op demote timeout=120s interval=0 op notify timeout=90s interval=0 \
             op monitor role=Promoted interval={seconds}s timeout=30s \
             op monitor role=Unpromoted interval={}s timeout=30s\n\
             clone c_db {RESOURCE} meta promotable=true notify=true interleave=true\n\
             {}",
            if seconds == 10 { 11 } else { 10 },
            setting.address.beside_database(lab)
        )
    }

    /// Does to a new node what its operators do before they hand it to the cluster.
    fn prepare(self, node: &Node, root: Root) -> Result<()> {
        let vendor = root.vendor();
        match self {
            Contender::Rustha => return Ok(()),
            Contender::HeartbeatMariadb | Contender::HeartbeatMysql => {
                node.start_server("")?;
                node.sql(
                    "SET sql_log_bin=0; GRANT ALL PRIVILEGES ON *.* TO 'repl'@'%' WITH GRANT OPTION; \
                     GRANT ALL PRIVILEGES ON *.* TO 'repl'@'%';",
                )?;
                if vendor == Vendor::MariaDb {
                    // To heartbeat:mariadb a server without a history is an error, and nobody is ever promoted: one
                    // transaction that all have.
                    node.sql(&format!(
                        "SET server_id=1, gtid_seq_no=1; {CREATE_TABLE}; SET GLOBAL gtid_slave_pos=@@global.gtid_binlog_pos"
                    ))?;
                }
                node.stop_server()?;
            }
            Contender::Stateful => {
                node.start_server("")?;
                node.sql(&format!("SET sql_log_bin=0; {CREATE_TABLE}"))?;
            }
        }
        Ok(())
    }

    /// Does what is the operator's to do after a fault, when all nodes are online again.
    pub fn repair(self, bed: &Bed) -> Result<()> {
        if !self.has_database() {
            for node in bed.lab().nodes() {
                if node.pids_of(Daemon::Database)?.is_empty() {
                    node.start_server("")?;
                }
            }
        }
        Ok(())
    }

    /// Kills the primary's server. The agent that does nothing has none, and so nobody who would notice: for the floor
    /// another node's score is raised in the same moment, which is the least that anybody has to say to the cluster. (Its
    /// own score withdrawn is not enough: its demote gives it back, and Pacemaker promotes it again.)
    pub fn kill(self, bed: &Bed, primary: &str) -> Result<()> {
        bed.lab().fault(Fault::KillDaemon, primary)?;
        match (self.has_database(), bed.others(primary).first()) {
            (false, Some(other)) => bed.raise_target(other),
            _ => Ok(()),
        }
    }

    /// Asks for a planned move, in the way that its documentation knows.
    pub fn ask_for_move(self, bed: &Bed, to: &str) -> Result<()> {
        match self {
            Contender::Rustha | Contender::Stateful => bed.raise_target(to),
            Contender::HeartbeatMariadb | Contender::HeartbeatMysql => {
                let argv = ["crm_resource", "--move", "--resource", "c_db", "--node", to, "--promoted"];
                bed.whole_node()?.run(&argv).map(drop)
            }
        }
    }

    /// Takes away what the move has left behind.
    pub fn end_move(self, bed: &Bed) -> Result<()> {
        match self {
            Contender::Rustha | Contender::Stateful => Ok(()),
            Contender::HeartbeatMariadb | Contender::HeartbeatMysql => {
                bed.whole_node()?.run(&["crm_resource", "--clear", "--resource", "c_db"]).map(drop)
            }
        }
    }
}
