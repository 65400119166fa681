//! The lab's network: a namespace with a bridge as the switch, and a cable from it to each node and to the
//! client. Nothing of it touches the host's own network, so two labs may use the same addresses.

use std::fs;
use std::net::Ipv4Addr;

use anyhow::{Context, Result};

use crate::layout::{BRIDGE, Layout};
use crate::process::Program;

/// Builds the switch.
pub(crate) fn build_switch(layout: &Layout) -> Result<()> {
    let switch = layout.netns_name(BRIDGE);
    ip(&["netns", "add", &switch])?;
    // No forwarding delay: a cable that is put back works at once, as on a switch with portfast.
    ip(&["-n", &switch, "link", "add", BRIDGE, "type", "bridge", "forward_delay", "0", "mcast_snooping", "0"])?;
    ip(&["-n", &switch, "link", "set", BRIDGE, "up"]).map(drop)
}

/// Gives a member (a node or the client) a network namespace with a cable to the switch, both new: what the
/// kernel of a machine knew (addresses, neighbours) is gone when it was off.
pub(crate) fn plug_in(layout: &Layout, member: &str, address: Ipv4Addr) -> Result<()> {
    pull_out(layout, member)?;
    let (switch, netns) = (layout.netns_name(BRIDGE), layout.netns_name(member));
    let mac = mac(address);
    ip(&["netns", "add", &netns])?;
    let peer = ["peer", "name", "eth0", "address", &mac, "netns", &netns];
    ip(&[&["-n", &switch, "link", "add", member, "type", "veth"], &peer[..]].concat())?;
    ip(&["-n", &switch, "link", "set", member, "master", BRIDGE, "up"])?;
    ip(&["-n", &netns, "address", "add", &format!("{address}/24"), "dev", "eth0"])?;
    ip(&["-n", &netns, "link", "set", "lo", "up"])?;
    ip(&["-n", &netns, "link", "set", "eth0", "up"]).map(drop)
}

/// The hardware address of a member: always the same, as a network card's is.
pub(crate) fn mac(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

/// Gives a member one more address, `10.77.0.60/24`.
pub(crate) fn add_address(layout: &Layout, member: &str, address: &str) -> Result<()> {
    let mut words = vec!["-n", "", "address", "add", address, "dev", "eth0"];
    let netns = layout.netns_name(member);
    words[1] = &netns;
    if address.contains(':') {
        // Usable at once.
        words.push("nodad");
    }
    ip(&words).map(drop)
}

/// Takes the namespace and the cable away. Without this the kernel would go on answering for the addresses of
/// a machine that is off.
pub(crate) fn pull_out(layout: &Layout, member: &str) -> Result<()> {
    let switch = layout.netns_name(BRIDGE);
    if layout.netns(BRIDGE).exists() && has_port(&switch, member)? {
        ip(&["-n", &switch, "link", "delete", member])?;
    }
    remove_netns(&layout.netns_name(member))
}

/// Takes the cable out of the switch, or puts it back.
pub(crate) fn set_cable(layout: &Layout, member: &str, cable: Cable) -> Result<()> {
    let state = match cable {
        Cable::In => "up",
        Cable::Out => "down",
    };
    ip(&["-n", &layout.netns_name(BRIDGE), "link", "set", member, state]).map(drop)
}

/// Whether a member's cable is in the switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cable {
    In,
    Out,
}

/// Looks at the cable; None if there is none.
pub(crate) fn read_cable(layout: &Layout, member: &str) -> Result<Option<Cable>> {
    let output = Program::new(["ip", "-n", &layout.netns_name(BRIDGE), "link", "show", member]).output()?;
    if !output.status.success() {
        return Ok(None);
    }
    let flags = output.stdout.split(['<', '>']).nth(1).unwrap_or_default();
    Ok(Some(if flags.split(',').any(|flag| flag == "UP") { Cable::In } else { Cable::Out }))
}

/// Removes all namespaces that are this lab's by their names.
pub(crate) fn remove_namespaces(layout: &Layout) -> Result<()> {
    for name in namespaces(layout) {
        remove_netns(&name)?;
    }
    Ok(())
}

/// The names of this lab's network namespaces, as they are.
pub(crate) fn namespaces(layout: &Layout) -> Vec<String> {
    let entries = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| layout.owns_netns(name)).collect()
}

fn remove_netns(name: &str) -> Result<()> {
    if fs::exists(format!("/run/netns/{name}"))? {
        ip(&["netns", "delete", name])?;
    }
    Ok(())
}

fn has_port(switch: &str, member: &str) -> Result<bool> {
    Ok(Program::new(["ip", "-n", switch, "link", "show", member]).output()?.status.success())
}

fn ip(words: &[&str]) -> Result<String> {
    Program::new([&["ip"], words].concat()).run().context("cannot build the lab's network")
}
