//! This node's network interfaces: names, numbers, hardware addresses, and whether they are up.

use anyhow::{Context, Result};
use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};

use super::mac::Mac;

/// The number of the loopback interface: always the first one of a network namespace.
pub const LOOPBACK: u32 = 1;

/// An interface of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name, such as `eth0`.
    pub name: String,
    /// The kernel's number of it.
    pub index: u32,
    /// Its Ethernet address; `None` where it has none, or one of another kind.
    pub mac: Option<Mac>,
    /// It is switched on.
    pub is_up: bool,
    /// It can send: a cable is in, a switch is at its other end.
    pub has_carrier: bool,
    /// It stays in this machine (`lo`).
    pub is_loopback: bool,
}

/// All interfaces.
///
/// # Errors
/// When the kernel does not say.
pub fn all() -> Result<Vec<Interface>> {
    let found = getifaddrs().context("cannot read this node's network interfaces")?;
    // Each is listed once with its own address, and again with each IP address that it has.
    let links = found.filter_map(|entry| Some((entry.address?.as_link_addr()?.addr(), entry)));
    let interfaces = links.filter_map(|(hardware, entry)| {
        let is = |flag| entry.flags.contains(flag);
        let is_loopback = is(InterfaceFlags::IFF_LOOPBACK);
        Some(Interface {
            index: if_nametoindex(entry.interface_name.as_str()).ok()?,
            mac: hardware.filter(|bytes| !is_loopback && *bytes != [0; 6]).map(Mac),
            is_up: is(InterfaceFlags::IFF_UP),
            has_carrier: is(InterfaceFlags::IFF_RUNNING),
            is_loopback,
            name: entry.interface_name,
        })
    });
    Ok(interfaces.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_there_and_has_no_hardware_address() {
        let all = all().expect("readable");
        let lo = all.iter().find(|interface| interface.name == "lo").expect("every machine has it");
        assert!(lo.is_loopback && lo.mac.is_none() && lo.index > 0);
    }
}
