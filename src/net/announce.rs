//! Telling everybody on a network that an address is here now, so that nobody sends to where it was: gratuitous ARP (RFC
//! 5227, 2.3), unsolicited neighbour advertisements (RFC 4861, 7.2.6).

use std::net::IpAddr;

use anyhow::{Context, Result};

use super::arp::Operation;
use super::interfaces::Interface;
use super::{arp, neighbours, sockets};

/// Tells whoever waits for it that the address is not here any more: by asking for it, which nobody does who has it. With IPv6
/// nobody would hear it.
///
/// # Errors
/// When it cannot be sent.
pub fn renounce(ip: IpAddr, interface: &Interface) -> Result<()> {
    let (IpAddr::V4(ip), Some(mac)) = (ip, interface.mac) else { return Ok(()) };
    let sent = sockets::arp(interface.index).and_then(|socket| socket.send(&arp::probe(mac, ip)));
    sent.map(drop).with_context(|| format!("cannot say on {} that {ip} is given back", interface.name))
}

/// Tells it once.
///
/// # Errors
/// When it cannot be sent.
pub fn announce(ip: IpAddr, interface: &Interface) -> Result<()> {
    // Where there are no hardware addresses nobody keeps one.
    let Some(mac) = interface.mac else { return Ok(()) };
    let send = || match ip {
        IpAddr::V4(ip) => {
            let socket = sockets::arp(interface.index)?;
            socket.send(&arp::announcement(mac, ip, Operation::Request))?;
            socket.send(&arp::announcement(mac, ip, Operation::Reply))
        }
        IpAddr::V6(ip) => {
            let socket = sockets::neighbours(interface.index)?;
            socket.bind(&sockets::at_interface(ip, interface.index))?;
            let everybody = sockets::at_interface(neighbours::ALL_NODES, interface.index);
            socket.send_to(&neighbours::advertisement(mac, ip), &everybody)
        }
    };
    send().map(drop).with_context(|| format!("cannot announce {ip} on {}", interface.name))
}
