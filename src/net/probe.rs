//! Whether anybody on the network has an address: asked by ARP or neighbour discovery where the address lies on a network
//! of this node (RFC 5227, RFC 4861), and by ping where it is behind a router.

use std::fmt;
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use socket2::Socket;

use super::arp::Claim;
use super::interfaces::{self, Interface};
use super::mac::Mac;
use super::{arp, neighbours, sockets};

/// More than any packet that matters here.
const PACKET: usize = 1024;

/// Echo requests and their answers: ICMP (RFC 792) and ICMPv6 (RFC 4443).
const ECHO_V4: (u8, u8) = (8, 0);
const ECHO_V6: (u8, u8) = (128, 129);

/// Who has the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A host on the same network.
    Hardware(Mac),
    /// A host that did not say its hardware address, or is behind a router.
    Unknown,
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hardware(mac) => write!(formatter, "the host with the hardware address {mac}"),
            Self::Unknown => formatter.write_str("a host that does not say its hardware address"),
        }
    }
}

/// What is heard while somebody asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Somebody has the address.
    Holder(Holder),
    /// This host asks for it as well, and so does not have it.
    Asking(Mac),
}

/// One who asks for one address.
pub struct Prober {
    socket: Socket,
    way: Way,
    /// Packets of these come from this node itself, also where two of its interfaces are at one network.
    own: Vec<Mac>,
    sequence: u16,
}

enum Way {
    Arp(Ipv4Addr, Mac),
    Neighbours(Ipv6Addr, Mac, u32),
    Echo(IpAddr),
}

impl Prober {
    /// One who asks on the network at this interface.
    ///
    /// # Errors
    /// When the interface has no Ethernet address, or the socket cannot be made.
    pub fn on_link(ip: IpAddr, interface: &Interface) -> Result<Self> {
        let name = &interface.name;
        let mac = interface.mac.with_context(|| format!("{name} is no Ethernet: nobody can be asked there"))?;
        let opened = match ip {
            IpAddr::V4(ip) => sockets::arp(interface.index).map(|socket| (socket, Way::Arp(ip, mac))),
            IpAddr::V6(ip) => {
                sockets::neighbours(interface.index).map(|socket| (socket, Way::Neighbours(ip, mac, interface.index)))
            }
        };
        let (socket, way) = opened.with_context(|| format!("cannot ask on {name} who has {ip}"))?;
        Ok(Self { socket, way, own: own_macs()?, sequence: 0 })
    }

    /// One who pings.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn by_echo(ip: IpAddr) -> Result<Self> {
        let socket = sockets::echo(ip.is_ipv6()).with_context(|| format!("cannot ping {ip}"))?;
        Ok(Self { socket, way: Way::Echo(ip), own: Vec::new(), sequence: 0 })
    }

    /// Asks once and listens for this time; returns as soon as something is heard.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn ask(&mut self, patience: Duration) -> Result<Option<Heard>> {
        let asked = Instant::now();
        self.sequence += 1;
        if let Err(error) = self.send() {
            // This node's own kernel has just found out that nobody answers. (Without a route nobody was asked.)
            let is_nobody = error.kind() == ErrorKind::HostUnreachable;
            return if is_nobody { Ok(None) } else { Err(error).context("cannot ask who has the address") };
        }
        loop {
            let left = patience.saturating_sub(asked.elapsed());
            if left.is_zero() {
                return Ok(None);
            }
            sockets::set_patience(&self.socket, left).context("cannot wait for an answer")?;
            let mut packet = [0; PACKET];
            match (&self.socket).read(&mut packet) {
                Ok(length) => {
                    if let Some(heard) = self.read(&packet[..length]) {
                        return Ok(Some(heard));
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::HostUnreachable) => {}
                Err(error) => return Err(error).context("cannot hear who has the address"),
            }
        }
    }

    fn send(&self) -> std::io::Result<()> {
        match &self.way {
            Way::Arp(ip, mac) => self.socket.send(&arp::probe(*mac, *ip)),
            Way::Neighbours(ip, mac, index) => {
                let group = sockets::at_interface(neighbours::solicited_nodes(*ip), *index);
                self.socket.send_to(&neighbours::solicitation(*mac, *ip), &group)
            }
            Way::Echo(ip) => {
                self.socket.send_to(&echo(*ip, self.identity(), self.sequence), &SocketAddr::new(*ip, 0).into())
            }
        }
        .map(drop)
    }

    fn read(&self, packet: &[u8]) -> Option<Heard> {
        let is_own = |mac: &Mac| self.own.contains(mac);
        let heard = match &self.way {
            Way::Arp(ip, _) => match arp::claim(&arp::parse(packet)?, *ip)? {
                Claim::Has(mac) => Heard::Holder(Holder::Hardware(Some(mac).filter(|mac| !is_own(mac))?)),
                Claim::Asks(mac) => Heard::Asking(Some(mac).filter(|mac| !is_own(mac))?),
            },
            Way::Neighbours(ip, _, _) => Heard::Holder(match neighbours::holder(packet, *ip)? {
                Some(mac) => Holder::Hardware(Some(mac).filter(|mac| !is_own(mac))?),
                None => Holder::Unknown,
            }),
            Way::Echo(ip) => Heard::Holder(is_answer(*ip, packet, self.identity()).then_some(Holder::Unknown)?),
        };
        Some(heard)
    }

    /// What tells the answers to this process from those to others.
    fn identity(&self) -> [u8; 2] {
        let [.., a, b] = std::process::id().to_be_bytes();
        [a, b]
    }
}

/// One who hears whether somebody is about to take an address that is here.
pub struct Listener {
    socket: Socket,
    ip: Ipv4Addr,
    own: Vec<Mac>,
}

impl Listener {
    /// Listens at this interface; `None` where it cannot be told who only looks for the address: with IPv6, whoever wants to
    /// talk to it asks the same.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn on_link(ip: IpAddr, interface: &Interface) -> Result<Option<Self>> {
        let IpAddr::V4(ip) = ip else { return Ok(None) };
        let socket = sockets::arp(interface.index).context("cannot hear who asks for the address")?;
        socket.set_nonblocking(true).context("cannot hear who asks for the address")?;
        Ok(Some(Self { socket, ip, own: own_macs()? }))
    }

    /// Who has asked, or claimed it, since this was asked last.
    pub fn heard(&self) -> Option<Mac> {
        let mut frame = [0; PACKET];
        while let Ok(length) = (&self.socket).read(&mut frame) {
            let claim = arp::parse(&frame[..length]).and_then(|packet| arp::claim(&packet, self.ip));
            let Some(Claim::Has(mac) | Claim::Asks(mac)) = claim else { continue };
            if !self.own.contains(&mac) {
                return Some(mac);
            }
        }
        None
    }
}

fn own_macs() -> Result<Vec<Mac>> {
    Ok(interfaces::all()?.iter().filter_map(|interface| interface.mac).collect())
}

/// Asks so often, each time for so long; who has the address, if anybody.
///
/// # Errors
/// When it cannot be asked.
pub fn ask(prober: &mut Prober, count: u64, wait: Duration) -> Result<Option<Holder>> {
    for _ in 0..count {
        let asked = Instant::now();
        loop {
            let left = wait.saturating_sub(asked.elapsed());
            match prober.ask(left)? {
                Some(Heard::Holder(holder)) => return Ok(Some(holder)),
                Some(Heard::Asking(_)) if !left.is_zero() => {}
                _ => break,
            }
        }
    }
    Ok(None)
}

fn echo(ip: IpAddr, identity: [u8; 2], sequence: u16) -> Vec<u8> {
    let kind = if ip.is_ipv4() { ECHO_V4.0 } else { ECHO_V6.0 };
    let mut packet = vec![kind, 0, 0, 0];
    packet.extend(identity);
    packet.extend(sequence.to_be_bytes());
    if ip.is_ipv4() {
        let sum = checksum(&packet);
        packet[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}

/// The internet checksum (RFC 1071); that of ICMPv6 the kernel computes.
fn checksum(packet: &[u8]) -> u16 {
    let words = packet.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |byte| u32::from(*byte)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Whether this is the address's answer to us. With IPv4 the packet begins with its IP header.
fn is_answer(ip: IpAddr, packet: &[u8], identity: [u8; 2]) -> bool {
    let (message, kind) = match ip {
        IpAddr::V4(ip) => {
            let length = packet.first().map(|byte| usize::from(byte & 0xf) * 4).unwrap_or_default();
            if packet.get(12..16) != Some(&ip.octets()) {
                return false;
            }
            (packet.get(length..).unwrap_or_default(), ECHO_V4.1)
        }
        IpAddr::V6(_) => (packet, ECHO_V6.1),
    };
    message.first() == Some(&kind) && message.get(4..6) == Some(&identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_request_has_a_checksum_that_adds_up() {
        let packet = echo("10.0.0.1".parse().expect("an address"), [7, 9], 3);
        assert_eq!(checksum(&packet), 0);
    }

    #[test]
    fn only_the_address_itself_answers_and_only_to_us() {
        let ip: IpAddr = "10.0.0.1".parse().expect("an address");
        let mut packet = vec![0; 20];
        packet[0] = 0x45;
        packet[12..16].copy_from_slice(&[10, 0, 0, 1]);
        packet.extend([0, 0, 0, 0, 7, 9, 0, 1]);
        assert!(is_answer(ip, &packet, [7, 9]));
        assert!(!is_answer(ip, &packet, [7, 8]), "another process's");
        assert!(!is_answer("10.0.0.2".parse().expect("an address"), &packet, [7, 9]), "another host's");
        assert!((0..packet.len() - 2).all(|length| !is_answer(ip, &packet[..length], [7, 9])), "cut");
        assert!(is_answer("fd00::1".parse().expect("an address"), &[129, 0, 0, 0, 7, 9], [7, 9]));
    }
}
