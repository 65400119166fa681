//! This node's IP addresses: which there are, and adding, renewing and removing one (rtnetlink(7)).

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context, Result};
use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE};
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage, CacheInfo};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;

use super::netlink::{Netlink, Refusal};

/// The kernel's word for a lifetime without end.
const FOR_EVER: u32 = u32::MAX;

/// An address, as it is or shall be on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address itself.
    pub ip: IpAddr,
    /// The length of its network's prefix, in bits.
    pub prefix: u8,
    /// The number of its interface.
    pub index: u32,
    /// The broadcast address; IPv4 only.
    pub broadcast: Option<Ipv4Addr>,
    /// The name that old tools show it under, `eth0:db`; IPv4 only.
    pub label: Option<String>,
    /// How long the kernel keeps it, if it is not renewed; `None`: for ever. In whole seconds.
    pub lifetime: Option<Duration>,
}

/// All addresses of this node.
///
/// # Errors
/// When the kernel does not say.
pub fn all() -> Result<Vec<Address>> {
    let question = RouteNetlinkMessage::GetAddress(AddressMessage::default());
    let answers = Netlink::open(NETLINK_ROUTE)?.ask(question, NLM_F_DUMP, None).context("this node's addresses")?;
    Ok(answers.into_iter().filter_map(|answer| read(&answer)).collect())
}

fn read(answer: &RouteNetlinkMessage) -> Option<Address> {
    let RouteNetlinkMessage::NewAddress(message) = answer else { return None };
    let (mut local, mut other, mut broadcast, mut label, mut lifetime) = (None, None, None, None, None);
    for attribute in &message.attributes {
        match attribute {
            // Where the two differ, the second one is that of the other end of a line.
            AddressAttribute::Local(ip) => local = Some(*ip),
            AddressAttribute::Address(ip) => other = Some(*ip),
            AddressAttribute::Broadcast(ip) => broadcast = Some(*ip),
            AddressAttribute::Label(name) => label = Some(name.clone()),
            AddressAttribute::CacheInfo(info) if info.ifa_valid != FOR_EVER => {
                lifetime = Some(Duration::from_secs(info.ifa_valid.into()));
            }
            _ => {}
        }
    }
    let (prefix, index) = (message.header.prefix_len, message.header.index);
    Some(Address { ip: local.or(other)?, prefix, index, broadcast, label, lifetime })
}

/// Adds the address, or gives it the new lifetime if it is there. The kernel has no way to renew only what is there:
/// whoever renews must know how long ago it has last done so.
///
/// # Errors
/// When the kernel refuses it.
pub fn set(address: &Address) -> Result<()> {
    let mut message = message(address);
    let valid = address.lifetime.map_or(FOR_EVER, |time| u32::try_from(time.as_secs()).unwrap_or(FOR_EVER));
    let mut info = CacheInfo::default();
    info.ifa_valid = valid;
    // Not chosen by itself as the source of what this node sends: that would end when the address moves.
    info.ifa_preferred = if address.ip.is_ipv6() { 0 } else { valid };
    message.attributes.push(AddressAttribute::CacheInfo(info));
    if let Some(ip) = address.broadcast {
        message.attributes.push(AddressAttribute::Broadcast(ip));
    }
    if let Some(label) = &address.label {
        message.attributes.push(AddressAttribute::Label(label.clone()));
    }
    if address.ip.is_ipv6() {
        // Whether somebody has it is asked before; the kernel's own question would make it unusable for a second.
        message.header.flags = AddressHeaderFlags::Nodad;
    }
    let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
    let question = RouteNetlinkMessage::NewAddress(message);
    let added = Netlink::open(NETLINK_ROUTE)?.ask(question, flags, None);
    added.map(drop).with_context(|| format!("cannot add {}/{}", address.ip, address.prefix))
}

/// Removes the address from its interface; that it is not there is no error.
///
/// # Errors
/// When the kernel refuses it.
pub fn remove(address: &Address) -> Result<()> {
    let question = RouteNetlinkMessage::DelAddress(message(address));
    match Netlink::open(NETLINK_ROUTE)?.ask(question, NLM_F_ACK, None) {
        Ok(_) => Ok(()),
        Err(error) if is_gone(&error) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot remove {}/{}", address.ip, address.prefix)),
    }
}

fn is_gone(error: &anyhow::Error) -> bool {
    let gone = [nix::libc::EADDRNOTAVAIL, nix::libc::ENODEV];
    error.downcast_ref::<Refusal>().is_some_and(|refusal| gone.contains(&refusal.number()))
}

fn message(address: &Address) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = if address.ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.prefix_len = address.prefix;
    message.header.index = address.index;
    message.attributes = vec![AddressAttribute::Local(address.ip), AddressAttribute::Address(address.ip)];
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_this_machine_are_read() {
        let all = all().expect("readable");
        assert!(all.iter().all(|address| address.index > 0 && address.prefix <= 128));
        assert!(all.iter().filter(|address| address.ip.is_loopback()).all(|address| address.lifetime.is_none()));
    }

    #[test]
    fn removing_what_is_not_there_is_no_error() {
        let ip = "192.0.2.77".parse().expect("an address");
        let none = Address { ip, prefix: 32, index: 1, broadcast: None, label: None, lifetime: None };
        match remove(&none) {
            Ok(()) => {}
            // Who is not root may not even try.
            Err(error) => assert!(format!("{error:#}").contains("permitted"), "{error:#}"),
        }
    }
}
