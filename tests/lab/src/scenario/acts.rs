//! What scenarios do to a cluster as its operators and clients would, and what they look at afterwards.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::bed::{Bed, RESOURCE, writing};
use crate::ledger::{Client, Ledger};

/// The promotion score that asks for a planned move: above the primary's.
const TARGET: &str = "2000";

/// What a few writes may take on a busy machine.
const WRITING: Duration = Duration::from_secs(30);

/// What the cluster may take to be idle again after its configuration was changed.
const SETTLING: Duration = Duration::from_secs(60);

impl Bed {
    /// The README's cluster with a client that writes: the primary's node, and the ledger.
    pub fn standard_load(&self) -> Result<(String, Ledger)> {
        let primary = self.standard_configuration()?;
        let ledger = self.ledger()?;
        ledger.wait_for_acknowledged(50, WRITING)?;
        Ok((primary, ledger))
    }

    /// The same by the README's commands as they are printed.
    pub fn printed_load(&self) -> Result<(String, Ledger)> {
        let primary = self.printed_configuration()?;
        let ledger = self.ledger()?;
        ledger.wait_for_acknowledged(50, WRITING)?;
        Ok((primary, ledger))
    }

    /// Asks for a planned move to this node as `rustha switchover` and the README do: by its promotion score.
    pub fn raise_target(&self, node: &str) -> Result<()> {
        let promotion = format!("--promotion={RESOURCE}");
        let update = format!("--update={TARGET}");
        let argv = ["crm_attribute", &promotion, "--node", node, "--lifetime", "reboot", &update];
        self.whole_node()?.run(&argv).map(drop)
    }

    /// What an operator does when all has come to rest. Cleaned up in the midst of a transition, Pacemaker 3.0.3 forgets a
    /// resource that it is about to start: that start fails ("No such device"), which is final on its node.
    pub fn clean_up(&self) -> Result<()> {
        let node = self.whole_node()?;
        node.exec(&["crm_resource", "--wait", "--timeout=60s"], SETTLING * 2)?;
        node.run(&["crm_resource", "--cleanup", "--resource", RESOURCE]).map(drop)
    }

    /// Switches the cluster's maintenance mode.
    pub fn set_maintenance(&self, on: bool) -> Result<()> {
        let value = format!("--update={on}");
        let argv = ["crm_attribute", "--type", "crm_config", "--name", "maintenance-mode", &value];
        self.whole_node()?.run(&argv).map(drop)
    }

    /// Prefers a node to others of the same promotion score, so that it is known which one Pacemaker picks.
    pub fn prefer(&self, node: &str) -> Result<()> {
        self.configure(&format!("location prefer_{node} c_db role=Promoted 10: {node}\n"))?;
        self.wait_healthy(SETTLING).map(drop)
    }

    /// Changes a parameter of the database's resource, and waits until that is done.
    pub fn set_parameter(&self, name: &str, value: &str) -> Result<()> {
        let argv = ["crm_resource", "--resource", RESOURCE, "--set-parameter", name, "--parameter-value", value];
        self.whole_node()?.run(&argv)?;
        self.wait_healthy(SETTLING).map(drop)
    }

    /// Nothing ties the resource to a node, or keeps it from one: what a planned move by constraint leaves behind.
    pub fn assert_no_location(&self) -> Result<()> {
        let constraints = self.whole_node()?.run(&["cibadmin", "--query", "--scope", "constraints"])?;
        ensure!(!constraints.contains("<rsc_location"), "a location constraint was left behind: {constraints}");
        Ok(())
    }

    /// Lets so much time pass between two monitors of replicas that what is done to one by hand stays as it is.
    pub fn relax_replica_monitors(&self) -> Result<()> {
        self.set_replica_monitors("600s")?;
        self.wait_healthy(SETTLING).map(drop)
    }

    /// Has replicas monitored again as by the README.
    pub fn renew_replica_monitors(&self) -> Result<()> {
        self.set_replica_monitors("10s")
    }

    fn set_replica_monitors(&self, interval: &str) -> Result<()> {
        let id = format!("{RESOURCE}-monitor-10s");
        let (path, change) = (format!("//op[@id='{id}']"), format!("<op id=\"{id}\" interval=\"{interval}\"/>"));
        let argv = ["cibadmin", "--modify", "--xpath", &path, "--xml-text", &change];
        self.whole_node()?.run(&argv).map(drop)
    }

    /// Waits until an instance has this promotion score.
    pub fn wait_score(&self, node: &str, score: &str, time: Duration) -> Result<()> {
        let name = format!("master-{RESOURCE}");
        self.wait(&format!("the score {score} of {node}"), time, || {
            Ok(self.attribute(node, &name)?.filter(|found| found == score).map(drop))
        })
    }

    /// The lines with this text in what the agent has logged on a node.
    pub fn logged(&self, node: &str, text: &str) -> Result<Vec<String>> {
        let output = self.node(node)?.exec(&["grep", "--fixed-strings", "--", text, "/var/log/syslog"], WRITING)?;
        Ok(output.stdout.lines().map(str::to_owned).collect())
    }

    /// No server was closed for writes, and so no client was ended.
    pub fn ensure_nobody_closed(&self) -> Result<()> {
        for name in self.names() {
            let closed = self.logged(name, "closed for writes")?;
            ensure!(closed.is_empty(), "{name} was closed: {}", closed.join("; "));
        }
        Ok(())
    }

    /// A client of the service address.
    pub fn client(&self) -> Result<Client> {
        self.connect(IpAddr::V4(self.lab().vip()))
    }

    /// A client of a node's own address, whose connection goes on when the service address leaves the node.
    pub fn client_of(&self, node: &str) -> Result<Client> {
        self.connect(IpAddr::V4(self.node(node)?.address()))
    }

    fn connect(&self, address: IpAddr) -> Result<Client> {
        Client::connect(&writing(self.lab(), Box::new(|_| ())), address)
    }
}
