//! The bed of a scenario: its lab, with what scenarios ask of a cluster and wait for. Nothing here judges the
//! product but [`Bed::finish`]; waits fail with the last that was seen.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::crm_mon::{Role, View, parse_view};
use crate::deadline::Deadline;
use crate::fault::Fault;
use crate::lab::Lab;
use crate::ledger::{self, FinalData, Ledger, Options, Sink, Verdict, timeline::Printer};
use crate::node::{Daemon, Node};
use crate::readme::{Tool, read_commands};

/// The database's primitive in the standard configuration.
pub const RESOURCE: &str = "p_db";
/// The service address in the standard configuration.
pub const VIP_RESOURCE: &str = "p_vip";

/// What the README's commands are changed into where the address is not what a scenario is about: without fencing, the end of a lost
/// node's lease is waited for, and scenarios are many.
const SHORT_LEASE: &[(&str, &str)] = &[
    ("params ip=10.77.0.50", "params ip=10.77.0.50 lease=10s"),
    ("op start timeout=60s op monitor interval=10s", "op start timeout=60s op monitor interval=3s"),
];

/// What an instance's score is while it could be promoted at once.
const ELIGIBLE: &str = "100";
/// Between two looks at the cluster. Each costs some 15 ms of one of few cores.
const PAUSE: Duration = Duration::from_millis(250);
/// What one look may take. A node that was just cut off answers late or never.
const LOOK: Duration = Duration::from_secs(10);
/// What replicas may take to catch up at the end.
const SETTLING: Duration = Duration::from_secs(30);

/// A lab that is up, for a scenario to lie in.
#[derive(Debug)]
pub struct Bed {
    lab: Lab,
}

impl Bed {
    /// A bed in this lab.
    pub fn new(lab: Lab) -> Bed {
        Bed { lab }
    }

    /// The lab: nodes, faults, healing.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// The node of this name.
    pub fn node(&self, name: &str) -> Result<&Node> {
        self.lab.node(name)
    }

    /// The names of all nodes.
    pub fn names(&self) -> Vec<&str> {
        self.lab.nodes().iter().map(Node::name).collect()
    }

    /// The names of all nodes but one.
    pub fn others(&self, name: &str) -> Vec<&str> {
        self.names().into_iter().filter(|other| *other != name).collect()
    }

    /// Adds to the cluster's configuration, in crmsh's language.
    pub fn configure(&self, text: &str) -> Result<()> {
        let node = self.whole_node()?;
        node.write_file("/root/update.crm", text, 0o600)?;
        node.run(&["crm", "configure", "load", "update", "/root/update.crm"]).map(drop)
    }

    /// Runs the README's crm commands on db1, with a short lease of the address, and waits until the cluster is healthy.
    /// Returns the promoted one's node.
    pub fn standard_configuration(&self) -> Result<String> {
        self.standard_configuration_with_all(&[])
    }

    /// The README's commands as they are printed.
    pub fn printed_configuration(&self) -> Result<String> {
        run_readme(&self.lab)?;
        self.wait_configured()
    }

    /// The standard configuration with this replaced by that in the README's commands.
    pub fn standard_configuration_with(&self, this: &str, that: &str) -> Result<String> {
        self.standard_configuration_with_all(&[(this, that)])
    }

    /// The same with each of these pairs.
    pub fn standard_configuration_with_all(&self, pairs: &[(&str, &str)]) -> Result<String> {
        self.configure_standard(pairs)?;
        self.wait_configured()
    }

    /// Waits until the cluster is healthy that was just configured. Returns the promoted one's node.
    pub fn wait_configured(&self) -> Result<String> {
        self.wait_healthy(Duration::from_secs(90)).context("after the README's commands")
    }

    /// The same, and nothing is waited for.
    pub fn configure_standard(&self, pairs: &[(&str, &str)]) -> Result<()> {
        self.configure_changed(&[SHORT_LEASE, pairs].concat())
    }

    /// The README's crm commands with these replacements, and no others.
    pub fn configure_changed(&self, pairs: &[(&str, &str)]) -> Result<()> {
        let mut commands = read_commands(Tool::Crm)?;
        for (this, that) in pairs {
            ensure!(commands.contains(this), "the README's commands do not contain {this}");
            commands = commands.replace(this, that);
        }
        run_commands(&self.lab, &commands)
    }

    /// Runs the README's pcs commands on db1, and waits until the cluster is healthy. Returns the promoted one's
    /// node.
    pub fn pcs_configuration(&self) -> Result<String> {
        run_commands(&self.lab, &read_commands(Tool::Pcs)?)?;
        self.wait_healthy(Duration::from_secs(90)).context("after the README's pcs commands")
    }

    /// Runs the README's crm commands for an address for readers.
    pub fn add_readers(&self) -> Result<()> {
        run_commands(&self.lab, &read_commands(Tool::CrmReaders)?)
    }

    /// The same with pcs.
    pub fn add_readers_by_pcs(&self) -> Result<()> {
        run_commands(&self.lab, &read_commands(Tool::PcsReaders)?)
    }

    /// Starts a client that writes through the service address, its timeline going to the standard output.
    /// Returns once a write was acknowledged.
    pub fn ledger(&self) -> Result<Ledger> {
        let ledger = Ledger::start(writing(&self.lab, Printer::on_stdout().into_sink()))?;
        ledger.wait_until_written(Duration::from_secs(30)).context("a ledger just started")?;
        Ok(ledger)
    }

    /// Ends the writing and judges it: nothing acknowledged was lost, there was one writer and one service
    /// address at any time, writes flow, and these nodes hold the same data.
    pub fn finish(&self, ledger: Ledger, nodes: &[&str]) -> Result<Verdict> {
        let verdict = self.judge(ledger, nodes)?;
        verdict.assert_sound()?;
        Ok(verdict)
    }

    /// The same where acknowledged writes may have been given up, knowingly: there was one writer, and writes flow.
    pub fn finish_at_a_risk(&self, ledger: Ledger, nodes: &[&str]) -> Result<Verdict> {
        let verdict = self.judge(ledger, nodes)?;
        verdict.assert_one_writer()?;
        verdict.assert_flowing()?;
        Ok(verdict)
    }

    /// The same where the server of a node without a cluster was open for writes beside another one for a while.
    pub fn finish_split(&self, ledger: Ledger, nodes: &[&str]) -> Result<Verdict> {
        let verdict = self.judge(ledger, nodes)?;
        verdict.assert_nothing_lost()?;
        verdict.assert_one_vip()?;
        verdict.assert_same_data()?;
        verdict.assert_flowing()?;
        Ok(verdict)
    }

    fn judge(&self, ledger: Ledger, nodes: &[&str]) -> Result<Verdict> {
        let mut source = writing(&self.lab, Box::new(|_| ())).source();
        source.nodes.retain(|node| nodes.contains(&node.name.as_str()));
        ensure!(source.nodes.len() == nodes.len(), "not all nodes of the lab: {}", nodes.join(" "));
        let record = ledger.stop()?;
        let verdict = record.verdict(&FinalData::settled(&source, SETTLING)?);
        println!("{verdict}");
        self.assert_pacemaker_at_ease()?;
        Ok(verdict)
    }

    /// Pacemaker's own daemons found nothing that they take for impossible: an agent's meta-data can be such a thing.
    fn assert_pacemaker_at_ease(&self) -> Result<()> {
        for node in self.lab.nodes().iter().filter(|node| node.is_on()) {
            let grep = ["grep", "fatal assertion", "/var/log/pacemaker/pacemaker.log"];
            let found = node.exec(&grep, LOOK)?;
            // The fencer of 2.1.5 stumbles over the order of changes to its copy of the configuration, and asks for a new copy.
            let of_others = found.stdout.lines().find(|line| !line.contains("apply_v2_patchset"));
            ensure!(of_others.is_none(), "{}: {}", node.name(), of_others.unwrap_or_default().trim());
        }
        Ok(())
    }

    /// Asks until there is an answer. Questions that fail are asked again, as a cluster in trouble answers
    /// late; the last failure is in the error.
    pub fn wait<T>(&self, what: &str, time: Duration, mut poll: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        let deadline = Deadline::after(time);
        loop {
            let answer = poll();
            if let Ok(Some(found)) = answer {
                return Ok(found);
            }
            if deadline.is_over() {
                let why = answer.err().map(|error| format!(": {error:#}")).unwrap_or_default();
                bail!("{what}: not within {time:?}{why}");
            }
            sleep(PAUSE.min(deadline.left()));
        }
    }

    /// The node whose instance is promoted; an error if there are two.
    pub fn promoted(&self) -> Result<Option<String>> {
        one_promoted(&self.view()?)
    }

    /// In which role the instances run, by node; one that is stopped is not there.
    pub fn instances(&self) -> Result<BTreeMap<String, Role>> {
        Ok(self.view()?.instances)
    }

    /// A transient attribute of a node.
    pub fn attribute(&self, node: &str, name: &str) -> Result<Option<String>> {
        let argv = ["crm_attribute", "--node", node, "--name", name, "--lifetime", "reboot", "--query", "--quiet"];
        let output = self.whole_node()?.exec(&argv, LOOK)?;
        let value = output.stdout.trim();
        Ok((output.status.success() && !value.is_empty()).then(|| value.to_owned()))
    }

    /// Waits until an instance says this of itself (`p_db-status`); all that it says.
    pub fn wait_status(&self, node: &str, part: &str, time: Duration) -> Result<String> {
        let name = format!("{RESOURCE}-status");
        let mut last = String::new();
        let status = self.wait(&format!("{node} says '{part}'"), time, || {
            last = self.attribute(node, &name)?.unwrap_or_default();
            Ok(last.contains(part).then(|| last.clone()))
        });
        status.with_context(|| format!("it says '{last}'"))
    }

    /// The resource's record in the cluster's configuration.
    pub fn record(&self) -> Result<String> {
        let path = format!("//nvpair[@name='{RESOURCE}-record']/@value");
        self.whole_node()?.run(&["cibadmin", "--query", "--xpath", &path])
    }

    /// Ends an instance as a crash does, and keeps the cluster from starting it again; its node stays a member, so that
    /// the others keep quorum. [`Bed::bring_back`] lets it start.
    pub fn take_away(&self, node: &str) -> Result<()> {
        self.lab.fault(Fault::KillDaemon, node)?;
        self.whole_node()?.run(&["crm_standby", "--node", node, "--update", "on"]).map(drop)
    }

    /// Lets the cluster use a node again.
    pub fn bring_back(&self, node: &str) -> Result<()> {
        let whole = self.whole_node()?;
        whole.run(&["crm_resource", "--cleanup", "--resource", RESOURCE])?;
        whole.run(&["crm_standby", "--node", node, "--delete"]).map(drop)
    }

    /// The same as [`Bed::finish`], when every instance is in sync.
    pub fn finish_settled(&self, ledger: Ledger, time: Duration) -> Result<Verdict> {
        self.wait_all_instances(time)?;
        let whole = self.wait_settled(time)?;
        self.finish(ledger, &whole.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Waits until an instance runs on each of the lab's nodes.
    pub fn wait_all_instances(&self, time: Duration) -> Result<()> {
        let all = self.names().len();
        self.wait("an instance on each node", time, || Ok((self.instances()?.len() == all).then_some(())))
    }

    /// Waits until every instance that runs is the primary, or in sync with it. Returns their nodes.
    pub fn wait_settled(&self, time: Duration) -> Result<Vec<String>> {
        self.wait("every instance in sync", time, || {
            let mut whole = Vec::new();
            for (node, role) in self.instances()? {
                let status = self.attribute(&node, &format!("{RESOURCE}-status"))?.unwrap_or_default();
                let is_whole = role == Role::Promoted || status.contains(", in sync");
                ensure!(is_whole, "{node}: {status}");
                whole.push(node);
            }
            Ok(Some(whole))
        })
    }

    /// Waits until another node's instance than this one's is promoted; returns that node.
    pub fn wait_promoted_on_other_than(&self, node: &str, time: Duration) -> Result<String> {
        self.wait(&format!("another than {node} promoted"), time, || Ok(self.promoted()?.filter(|found| found != node)))
    }

    /// Waits until one instance is promoted, those on all other nodes that are online could be, the service
    /// address is where it belongs, nothing failed and nothing is under way. Returns the promoted one's node.
    pub fn wait_healthy(&self, time: Duration) -> Result<String> {
        self.wait("a healthy cluster", time, || self.check_health().map(Some))
    }

    /// The same with any agent, whatever its scores mean.
    pub fn wait_at_rest(&self, time: Duration) -> Result<String> {
        self.wait("a cluster at rest", time, || self.check_rest().map(|(promoted, _)| Some(promoted)))
    }

    /// Waits, after a fault that stops the writes, until they flow again, and then until the cluster is healthy.
    /// Returns the promoted one's node.
    pub fn wait_recovered(&self, ledger: &Ledger, time: Duration) -> Result<String> {
        let deadline = Deadline::after(time);
        ledger.wait_until_written(time).context("after the fault")?;
        self.wait_healthy(deadline.left())
    }

    /// The promoted instance's node if the cluster is healthy; else the error says what it lacks.
    fn check_health(&self) -> Result<String> {
        let (promoted, view) = self.check_rest()?;
        for node in view.online.iter().filter(|node| **node != promoted) {
            let score = self.attribute(node, &format!("master-{RESOURCE}"))?;
            if score.as_deref() != Some(ELIGIBLE) {
                let status = self.attribute(node, &format!("{RESOURCE}-status"))?.unwrap_or_default();
                bail!("the score of {node} is {}: {status}", score.as_deref().unwrap_or("not set"));
            }
        }
        Ok(promoted)
    }

    /// The promoted instance's node if all instances run, the address is with it, and the cluster has nothing to do.
    fn check_rest(&self) -> Result<(String, View)> {
        let view = self.view()?;
        let Some(promoted) = one_promoted(&view)? else { bail!("nobody is promoted") };
        ensure!(view.trouble.is_empty(), "{}", view.trouble.join(", "));
        for node in &view.online {
            ensure!(view.instances.contains_key(node), "no instance runs on {node}");
        }
        if let Some(places) = view.others.get(VIP_RESOURCE) {
            ensure!(*places == [promoted.clone()], "the service address is on [{}]", places.join(", "));
        }
        let dc = view.dc.as_ref().context("no node is the DC")?;
        let state = self.whole_node()?.exec(&["crmadmin", "--status", dc], LOOK)?;
        ensure!(state.stdout.contains("S_IDLE"), "{}", state.stdout.trim());
        Ok((promoted, view))
    }

    fn view(&self) -> Result<View> {
        self.ask().map(|(_, view)| view)
    }

    /// A node that is on and belongs to the majority.
    pub fn whole_node(&self) -> Result<&Node> {
        self.ask().map(|(node, _)| node)
    }

    /// What the first node of the majority sees; one that was cut off, or whose Corosync stands still, sees another cluster.
    fn ask(&self) -> Result<(&Node, View)> {
        for node in self.lab.nodes().iter().filter(|node| node.has_live(Daemon::Corosync)) {
            let answer = node.exec(&["crm_mon", "--one-shot", "--output-as=xml"], LOOK);
            let view = answer.map(|output| parse_view(&output.stdout, RESOURCE)).unwrap_or_default();
            if view.has_quorum && self.lab.is_cable_in(node)? {
                return Ok((node, view));
            }
        }
        bail!("no node is on, answers and has quorum")
    }
}

fn one_promoted(view: &View) -> Result<Option<String>> {
    let mut promoted = view.instances.iter().filter(|(_, role)| **role == Role::Promoted).map(|(node, _)| node.clone());
    let first = promoted.next();
    match (&first, promoted.next()) {
        (Some(one), Some(two)) => bail!("{one} and {two} are promoted"),
        _ => Ok(first),
    }
}

/// Runs the README's crm commands on db1, as they are printed. Returns them.
pub(crate) fn run_readme(lab: &Lab) -> Result<String> {
    let commands = read_commands(Tool::Crm)?;
    run_commands(lab, &commands)?;
    Ok(commands)
}

fn run_commands(lab: &Lab, commands: &str) -> Result<()> {
    let node = lab.node("db1")?;
    node.write_file("/root/configure.sh", commands, 0o600)?;
    let output = node.exec(&["bash", "-e", "/root/configure.sh"], Duration::from_secs(60))?;
    // crmsh prints what it refuses and may still end with 0.
    let said = output.stdout.clone() + &output.stderr;
    let refused = said.lines().any(|line| line.starts_with("ERROR"));
    ensure!(output.status.success() && !refused, "the README's commands fail: {}: {}", output.status, said.trim());
    Ok(())
}

/// What a ledger is told that writes through this lab's service address.
pub(crate) fn writing(lab: &Lab, sink: Sink) -> Options {
    let node = |node: &Node| ledger::Node {
        name: node.name().to_owned(),
        address: IpAddr::V4(node.address()),
        netns: node.netns(),
    };
    let nodes = lab.nodes().iter().map(node).collect();
    let mut options = Options::new(lab.client_netns(), IpAddr::V4(lab.vip()), nodes);
    options.sink = Some(sink);
    options
}
