//! On which of this node's networks an address lies, by its routing table.

use std::net::IpAddr;

use anyhow::{Context, Result};
use netlink_packet_core::NLM_F_DUMP;
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;

use super::netlink::Netlink;

/// A network that this node reaches without a router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// An address of it.
    pub ip: IpAddr,
    /// The length of its prefix, in bits.
    pub prefix: u8,
    /// The number of the interface that it is at.
    pub index: u32,
}

/// The networks of this family that this node is connected to, of the main table.
///
/// # Errors
/// When the kernel does not say.
pub fn networks(is_v6: bool) -> Result<Vec<Network>> {
    let mut question = RouteMessage::default();
    question.header.address_family = if is_v6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let question = RouteNetlinkMessage::GetRoute(question);
    let answers = Netlink::open(NETLINK_ROUTE)?.ask(question, NLM_F_DUMP, None).context("this node's routes")?;
    Ok(answers.iter().filter_map(read).collect())
}

fn read(answer: &RouteNetlinkMessage) -> Option<Network> {
    let RouteNetlinkMessage::NewRoute(route) = answer else { return None };
    if route.header.table != RouteHeader::RT_TABLE_MAIN || route.header.kind != RouteType::Unicast {
        return None;
    }
    let (mut ip, mut index) = (None, None);
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(found)) => ip = Some(IpAddr::V4(*found)),
            RouteAttribute::Destination(RouteAddress::Inet6(found)) => ip = Some(IpAddr::V6(*found)),
            RouteAttribute::Oif(found) => index = Some(*found),
            RouteAttribute::Gateway(_) | RouteAttribute::Via(_) | RouteAttribute::MultiPath(_) => return None,
            _ => {}
        }
    }
    Some(Network { ip: ip?, prefix: route.header.destination_prefix_length, index: index? })
}

/// The narrowest of these networks in which the address lies; `index`: at this interface only.
pub fn narrowest(networks: &[Network], ip: IpAddr, index: Option<u32>) -> Option<&Network> {
    let at_interface = networks.iter().filter(|network| index.is_none_or(|index| index == network.index));
    at_interface.filter(|network| is_in(ip, network.ip, network.prefix)).max_by_key(|network| network.prefix)
}

/// Whether the first bits of both are the same.
fn is_in(ip: IpAddr, network: IpAddr, prefix: u8) -> bool {
    let (ip, network, bits) = match (ip, network) {
        (IpAddr::V4(ip), IpAddr::V4(network)) => (ip.to_bits().into(), network.to_bits().into(), 32),
        (IpAddr::V6(ip), IpAddr::V6(network)) => (ip.to_bits(), network.to_bits(), 128_u32),
        _ => return false,
    };
    let others = bits.saturating_sub(prefix.into());
    let head = |address: u128| address.checked_shr(others).unwrap_or_default();
    head(ip) == head(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(ip: &str, prefix: u8, index: u32) -> Network {
        Network { ip: ip.parse().expect("an address"), prefix, index }
    }

    #[test]
    fn the_narrowest_network_has_the_address_and_an_interface_limits_the_choice() {
        let networks = [
            network("10.0.0.0", 8, 1),
            network("10.77.0.0", 24, 2),
            network("10.77.1.0", 24, 3),
            network("fd00::", 64, 2),
        ];
        let find = |ip: &str, index| narrowest(&networks, ip.parse().expect("an address"), index).map(|one| one.index);
        assert_eq!(find("10.77.0.50", None), Some(2));
        assert_eq!(find("10.77.0.50", Some(1)), Some(1));
        assert_eq!(find("10.77.0.50", Some(3)), None);
        assert_eq!(find("192.0.2.1", None), None);
        assert_eq!(find("fd00::50", None), Some(2));
        assert_eq!(find("fd01::50", None), None);
    }

    #[test]
    fn prefixes_of_any_length_are_compared() {
        let is = |ip: &str, network: &str, prefix| {
            is_in(ip.parse().expect("an address"), network.parse().expect("an address"), prefix)
        };
        assert!(is("192.0.2.1", "192.0.2.1", 32) && !is("192.0.2.1", "192.0.2.0", 32));
        assert!(is("192.0.2.1", "10.0.0.0", 0) && is("::1", "fd00::", 0));
        assert!(!is("192.0.2.1", "::", 0), "another family");
    }
}
