//! Where on this node the address belongs: its interface, and with which prefix, broadcast address and label.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::Result;

use super::parameters::{Broadcast, Config};
use crate::net::addresses::Address;
use crate::net::interfaces::{self, Interface};
use crate::net::routes::{self, Network};
use crate::ocf::exit::{ExitCode, OcfError};

/// The kernel's limit of a label: IFNAMSIZ without the end.
const LABEL: usize = 15;

/// The interface, and the address as it shall be there.
pub struct Place {
    /// The interface.
    pub interface: Interface,
    /// The address.
    pub address: Address,
}

/// Finds it.
///
/// # Errors
/// When this node has no such interface, or none in a network of the address.
pub fn find(config: &Config) -> Result<Place> {
    let Some(ip) = config.ip else { return Err(wrong("ip: which address?".into()).into()) };
    let interfaces = interfaces::all()?;
    let networks = routes::networks(ip.is_ipv6())?;
    Ok(choose(config, ip, &interfaces, &networks)?)
}

fn choose(config: &Config, ip: IpAddr, interfaces: &[Interface], networks: &[Network]) -> Result<Place, OcfError> {
    let given = config.nic.as_deref().map(|name| named(name, interfaces)).transpose()?;
    let is_link_local = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    if is_link_local && given.is_none() {
        return Err(wrong(format!("{ip} is there on every link: which one? Set nic")));
    }
    let network = routes::narrowest(networks, ip, given.map(|interface| interface.index));
    let interface = given.or_else(|| {
        let index = network?.index;
        interfaces.iter().find(|interface| interface.index == index)
    });
    let Some(interface) = interface else {
        let known = describe(interfaces, networks);
        return Err(unfit(format!(
            "{ip} lies in no network of this node, which has {known}: another address, or nic and cidr_netmask"
        )));
    };
    let Some(prefix) = config.prefix.or(network.map(|network| network.prefix)) else {
        let name = &interface.name;
        return Err(unfit(format!("{ip} lies in no network at {name}: set cidr_netmask, or choose another nic")));
    };
    if !interface.is_up {
        return Err(OcfError::generic(format!("{} is switched off", interface.name)));
    }
    let label = config.label.as_ref().map(|label| format!("{}:{label}", interface.name));
    if let Some(label) = label.as_ref().filter(|label| label.len() > LABEL) {
        return Err(unfit(format!("iflabel: {label} has more than {LABEL} characters")));
    }
    let broadcast = match (ip, config.broadcast) {
        (IpAddr::V4(ip), Broadcast::Usual) => last_of(ip, prefix),
        (IpAddr::V4(_), Broadcast::Given(broadcast)) => Some(broadcast),
        _ => None,
    };
    let address = Address { ip, prefix, index: interface.index, broadcast, label, lifetime: config.lifetime() };
    Ok(Place { interface: interface.clone(), address })
}

fn named<'a>(name: &str, interfaces: &'a [Interface]) -> Result<&'a Interface, OcfError> {
    let others = || interfaces.iter().map(|interface| interface.name.as_str()).collect::<Vec<_>>().join(", ");
    let found = interfaces.iter().find(|interface| interface.name == name);
    found.ok_or_else(|| unfit(format!("this node has no interface {name}; it has {}", others())))
}

/// The networks in which an address could be, as people know them.
fn describe(interfaces: &[Interface], networks: &[Network]) -> String {
    let shown = networks.iter().filter_map(|network| {
        let interface = interfaces.iter().find(|interface| interface.index == network.index)?;
        Some(format!("{}/{} at {}", network.ip, network.prefix, interface.name))
    });
    let shown: Vec<String> = shown.collect();
    if shown.is_empty() { "none".into() } else { shown.join(", ") }
}

/// The last address of a network, which is its broadcast address; the smallest networks have none (RFC 3021).
fn last_of(ip: Ipv4Addr, prefix: u8) -> Option<Ipv4Addr> {
    let hosts = u32::MAX.checked_shr(prefix.into()).unwrap_or_default();
    (prefix < 31).then(|| Ipv4Addr::from_bits(ip.to_bits() | hosts))
}

/// Wrong on every node.
fn wrong(why: String) -> OcfError {
    OcfError::new(ExitCode::Configured, why)
}

/// Wrong on this node: Pacemaker tries another one.
fn unfit(why: String) -> OcfError {
    OcfError::new(ExitCode::Args, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ocf::env::Invocation;

    fn place(pairs: &[(&str, &str)]) -> Result<Place, OcfError> {
        let env = pairs.iter().map(|(name, value)| (format!("OCF_RESKEY_{name}"), value.to_string()));
        let (config, trouble) = Config::read(&Invocation::from_pairs(env));
        assert!(trouble.is_none(), "{trouble:?}");
        let interface = |name: &str, index, is_up| Interface {
            name: name.into(),
            index,
            mac: None,
            is_up,
            has_carrier: is_up,
            is_loopback: false,
        };
        let interfaces = [interface("eth0", 2, true), interface("eth1", 3, true), interface("eth2", 4, false)];
        let network = |ip: &str, prefix, index| Network { ip: ip.parse().expect("an address"), prefix, index };
        let networks = [
            network("10.77.0.0", 24, 2),
            network("10.88.0.0", 16, 3),
            network("10.99.0.0", 16, 4),
            network("fd00::", 64, 2),
        ];
        choose(&config, config.ip.expect("an address"), &interfaces, &networks)
    }

    fn refusal(pairs: &[(&str, &str)]) -> OcfError {
        place(pairs).map(|place| place.interface.name).expect_err("no place")
    }

    #[test]
    fn an_address_goes_where_its_network_is() {
        let found = place(&[("ip", "10.77.0.50")]).expect("a place");
        assert_eq!((found.interface.name.as_str(), found.address.prefix), ("eth0", 24));
        assert_eq!(found.address.broadcast, Some(Ipv4Addr::new(10, 77, 0, 255)));
        let found = place(&[("ip", "fd00::50")]).expect("a place");
        assert_eq!((found.interface.name.as_str(), found.address.prefix, found.address.broadcast), ("eth0", 64, None));
        let found = place(&[("ip", "fd00::50"), ("cidr_netmask", "128")]).expect("a place");
        assert_eq!(found.address.prefix, 128);
    }

    #[test]
    fn an_interface_may_be_chosen_and_then_needs_a_prefix_where_it_has_no_such_network() {
        let error = refusal(&[("ip", "10.77.0.50"), ("nic", "eth1")]);
        assert!(error.code == ExitCode::Args && error.reason.contains("cidr_netmask"), "{error}");
        let found = place(&[("ip", "10.77.0.50"), ("nic", "eth1"), ("cidr_netmask", "32")]).expect("a place");
        assert_eq!((found.interface.index, found.address.broadcast), (3, None));
    }

    #[test]
    fn what_does_not_fit_this_node_is_said_with_what_it_has() {
        let error = refusal(&[("ip", "192.0.2.1")]);
        assert!(error.code == ExitCode::Args && error.reason.contains("10.77.0.0/24 at eth0"), "{error}");
        let error = refusal(&[("ip", "10.77.0.50"), ("nic", "eth9")]);
        assert!(error.code == ExitCode::Args && error.reason.contains("eth0, eth1"), "{error}");
        assert!(refusal(&[("ip", "10.99.0.1")]).reason.contains("eth2 is switched off"));
        assert!(refusal(&[("ip", "fe80::1")]).reason.contains("nic"));
    }

    #[test]
    fn a_label_belongs_to_its_interface_and_is_not_too_long() {
        let found = place(&[("ip", "10.77.0.50"), ("iflabel", "db")]).expect("a place");
        assert_eq!(found.address.label.as_deref(), Some("eth0:db"));
        assert!(refusal(&[("ip", "10.77.0.50"), ("iflabel", "much-too-long")]).reason.contains("15"));
    }

    #[test]
    fn the_broadcast_address_is_the_last_one_unless_something_else_is_said() {
        assert_eq!(last_of(Ipv4Addr::new(10, 1, 2, 3), 0), Some(Ipv4Addr::BROADCAST));
        assert_eq!(last_of(Ipv4Addr::new(10, 1, 2, 3), 32), None);
        let with = |value| place(&[("ip", "10.77.0.50"), ("broadcast", value)]).expect("a place").address.broadcast;
        assert_eq!(with("-"), None);
        assert_eq!(with("10.77.0.127"), Some(Ipv4Addr::new(10, 77, 0, 127)));
    }
}
