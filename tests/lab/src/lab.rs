//! A lab: made, found again, mended and taken down.

use std::fs;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, ensure};

use crate::fault::{self, Fault};
use crate::layout::{CLIENT, CLIENT_ADDRESS, LABS, Layout, VIP};
use crate::network::Cable;
use crate::node::Node;
use crate::process::Program;
use crate::record::Record;
use crate::roots::Root;
use crate::{fencing, host, layer, leftovers, network, pacemaker, workspace};

/// How long a cluster may take until all its nodes are online.
const FORMING: Duration = Duration::from_secs(90);

/// What lab is wanted.
#[derive(Clone, Debug)]
pub struct UpOptions {
    /// Its name; labs of different names never meet.
    pub name: String,
    /// How many nodes, 1 to 9.
    pub nodes: usize,
    /// The distribution they are made from.
    pub root: Root,
    /// Whether the nodes can switch each other off, and Pacemaker is told to.
    pub fencing: bool,
}

impl Default for UpOptions {
    fn default() -> UpOptions {
        UpOptions { name: "lab".into(), nodes: 3, root: Root::Deb13, fencing: false }
    }
}

/// A lab that is up.
#[derive(Debug)]
pub struct Lab {
    layout: Layout,
    record: Record,
    nodes: Vec<Node>,
}

impl Lab {
    /// Makes a lab; returns when all its nodes are online. What it made so far remains after a failure, to be
    /// looked at; [`Lab::down`] removes it.
    pub fn up(options: &UpOptions) -> Result<Lab> {
        ensure!((1..=9).contains(&options.nodes), "a lab has 1 to 9 nodes, not {}", options.nodes);
        let layout = Layout::new(&options.name)?;
        host::ensure_tools()?;
        options.root.ensure()?;
        let rustha = workspace::build_rustha()?;
        let program = workspace::find_program()?;
        claim(&layout)?;
        let record = Record { root: options.root, nodes: options.nodes, fencing: options.fencing, program };
        record.write(&layout)?;
        let lab = Lab::of(layout, record);
        let name = lab.name().to_owned();
        lab.build(&rustha).with_context(|| {
            format!("the lab {name} did not come up; what there is of it goes with: cargo lab down --name {name}")
        })?;
        Ok(lab)
    }

    /// Fails if there is a lab of this name: for those who would take down on a failure what is not theirs.
    pub(crate) fn refuse_existing(name: &str) -> Result<()> {
        match Layout::new(name)?.state().exists() {
            true => Err(taken(name)),
            false => Ok(()),
        }
    }

    /// Finds a lab that is up.
    pub fn attach(name: &str) -> Result<Lab> {
        let layout = Layout::new(name)?;
        let record = Record::read(&layout)?;
        Ok(Lab::of(layout, record))
    }

    /// Takes a lab down, or what is left of it; one that is not there is down already.
    pub fn down(name: &str) -> Result<()> {
        leftovers::remove(&Layout::new(name)?)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.layout.name()
    }

    /// What its nodes are made from.
    pub fn root(&self) -> Root {
        self.record.root
    }

    /// Whether it was made with fencing.
    pub fn has_fencing(&self) -> bool {
        self.record.fencing
    }

    /// Its nodes, by their numbers.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node of this name.
    pub fn node(&self, name: &str) -> Result<&Node> {
        let found = self.nodes.iter().find(|node| node.name() == name);
        found.with_context(|| format!("the lab {} has no node {name}", self.name()))
    }

    /// The network namespace of the client, a machine without a cluster.
    pub fn client_netns(&self) -> PathBuf {
        self.layout.netns(CLIENT)
    }

    /// The address left free for the service.
    pub fn vip(&self) -> Ipv4Addr {
        VIP
    }

    /// The client's own address.
    pub fn client_address(&self) -> Ipv4Addr {
        CLIENT_ADDRESS
    }

    /// Gives the client one more address, with the length of its prefix. Returns the hardware address that others see.
    pub fn add_address_to_client(&self, address: &str) -> Result<String> {
        network::add_address(&self.layout, CLIENT, address)?;
        Ok(network::mac(CLIENT_ADDRESS))
    }

    /// Whether the client reaches this address: a port on which nobody listens is refused.
    pub fn reaches(&self, ip: &str) -> Result<bool> {
        let connect = format!("exec 3<>/dev/tcp/{ip}/1");
        let output = self.client_program(&["timeout", "5", "bash", "-c", &connect]).output()?;
        Ok(output.stderr.contains("refused"))
    }

    /// Breaks something. Returns when it is broken, not when the cluster has noticed.
    pub fn fault(&self, kind: Fault, node: &str) -> Result<()> {
        let node = self.node(node)?;
        fault::inject(node, kind).with_context(|| format!("cannot do {kind} to {}", node.name()))
    }

    /// Undoes all faults; returns when all nodes are online.
    pub fn heal(&self) -> Result<()> {
        if self.record.fencing {
            fencing::ensure_power(&self.layout, &self.record)?;
        }
        for node in &self.nodes {
            fault::undo(node).with_context(|| format!("cannot heal {}", node.name()))?;
        }
        pacemaker::await_online(&self.nodes, FORMING)
    }

    /// Copies each node's /var/log, its console and what crm_mon says into a directory; of a node that is
    /// off, all but the last.
    pub fn save_logs(&self, to: &Path) -> Result<()> {
        for node in &self.nodes {
            let place = to.join(node.name());
            layer::make_directory(&place)?;
            for from in [node.upper().join("var/log"), node.console()] {
                if from.exists() {
                    Program::new([Path::new("cp"), Path::new("-r"), &from, &place]).run()?;
                }
            }
            let status = node.exec(&["crm_mon", "--one-shot", "--inactive", "--show-node-attributes"], FORMING);
            let text = status.map_or_else(|error| format!("{error:#}\n"), |output| output.stdout + &output.stderr);
            fs::write(place.join("crm_mon"), text).with_context(|| format!("cannot write into {}", place.display()))?;
        }
        Ok(())
    }

    /// Whether a node's cable is in the switch; one that is off has none.
    pub fn is_cable_in(&self, node: &Node) -> Result<bool> {
        Ok(network::read_cable(&self.layout, node.name())? == Some(Cable::In))
    }

    /// A program on the client's machine: this host's programs, the lab's network.
    pub(crate) fn client_program(&self, argv: &[&str]) -> Program {
        let enter = format!("--net={}", self.client_netns().display());
        Program::new([&["nsenter", &enter, "--"], argv].concat())
    }

    fn of(layout: Layout, record: Record) -> Lab {
        let nodes = (1..=record.nodes).map(|index| Node::new(&layout, &record, index)).collect();
        Lab { layout, record, nodes }
    }

    fn build(&self, rustha: &Path) -> Result<()> {
        layer::lay_out(&self.layout, &self.record, rustha)?;
        network::build_switch(&self.layout)?;
        network::plug_in(&self.layout, CLIENT, CLIENT_ADDRESS)?;
        if self.record.fencing {
            fencing::ensure_power(&self.layout, &self.record)?;
        }
        for node in &self.nodes {
            node.make_disk()?;
            node.power_on()?;
        }
        pacemaker::await_online(&self.nodes, FORMING)?;
        if self.record.fencing {
            fencing::configure(&self.nodes)?;
        }
        Ok(())
    }
}

/// What there is to say to who asks for a name that is taken.
fn taken(name: &str) -> Error {
    anyhow!(
        "a lab {name} is there already; look at it with: cargo lab status --name {name}, end it with: cargo lab down --name {name}"
    )
}

/// Takes the lab's name. Making the directory is the lock: of two who try, one fails.
fn claim(layout: &Layout) -> Result<()> {
    layer::make_directory(Path::new(LABS))?;
    match fs::create_dir(layout.state()) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(taken(layout.name())),
        other => other.with_context(|| format!("cannot make {}", layout.state().display())),
    }
}
