//! Fencing for real: nodes that can switch each other off. A small power daemon on the host stands for the
//! switchable power socket; a fence agent inside the nodes talks to it through a socket, as it would through a
//! management network, which a pulled cable does not cut.

mod agent;
mod power;

use std::fs::File;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::deadline::{Deadline, wait_until};
use crate::layer::make_directory;
use crate::layout::Layout;
use crate::node::Node;
use crate::process::Program;
use crate::record::Record;

pub use agent::agent;
pub use power::daemon;

/// The agent's name; called by it, this crate's binary is the agent.
pub const AGENT: &str = "fence_rustha_lab";
/// Where the agent is in a node's file system.
pub(crate) const AGENT_PATH: &str = "usr/sbin/fence_rustha_lab";
/// The socket as the nodes see it.
const SOCKET_IN_NODE: &str = "/run/rustha-lab/socket";

/// Starts the power daemon unless it runs; returns when it answers.
pub(crate) fn ensure_power(layout: &Layout, record: &Record) -> Result<()> {
    let socket = layout.power().join("socket");
    if UnixStream::connect(&socket).is_ok() {
        return Ok(());
    }
    make_directory(&layout.power())?;
    let log = File::options().create(true).append(true).open(layout.state().join("power.log"));
    // A session of its own: the end of the terminal the lab was started from must not switch it off.
    let program = record.program.display().to_string();
    let argv = ["setsid", &program, "power-daemon", "--name", layout.name()];
    Program::new(argv).spawn_daemon(log.context("cannot write the power daemon's log")?)?;
    let deadline = Deadline::after(Duration::from_secs(10));
    wait_until("the power daemon", deadline, Duration::from_millis(10), || Ok(UnixStream::connect(&socket).is_ok()))
}

/// Tells Pacemaker of it. Only after all nodes are online: Pacemaker fences those it has not yet seen.
pub(crate) fn configure(nodes: &[Node]) -> Result<()> {
    let Some(first) = nodes.first() else {
        return Ok(());
    };
    let names: Vec<_> = nodes.iter().map(Node::name).collect();
    let primitive = format!(
        "<primitive id=\"fencing\" class=\"stonith\" type=\"{AGENT}\">\
         <instance_attributes id=\"fencing-params\">\
         <nvpair id=\"fencing-hosts\" name=\"pcmk_host_list\" value=\"{}\"/>\
         <nvpair id=\"fencing-check\" name=\"pcmk_host_check\" value=\"static-list\"/></instance_attributes>\
         <operations><op id=\"fencing-monitor\" name=\"monitor\" interval=\"60s\" timeout=\"20s\"/></operations>\
         </primitive>",
        names.join(" ")
    );
    first.run(&["cibadmin", "--create", "--scope", "resources", "--xml-text", &primitive])?;
    first.run(&["crm_attribute", "--type", "crm_config", "--name", "stonith-enabled", "--update", "true"])?;
    let deadline = Deadline::after(Duration::from_secs(60));
    wait_until("the fencing device", deadline, Duration::from_millis(200), || {
        let listed = first.exec(&["stonith_admin", "--list", names[names.len() - 1]], Duration::from_secs(20))?;
        Ok(listed.stdout.contains("fencing"))
    })
}
