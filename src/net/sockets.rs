//! Sockets that carry packets rather than streams: ARP frames of one interface, and ICMP.

use std::io::Result;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use nix::libc;
use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};

use super::arp;
use super::neighbours::HOPS;

/// A socket for the ARP frames of this interface.
///
/// # Errors
/// When it cannot be made: only root may.
pub fn arp(index: u32) -> Result<Socket> {
    // Without a protocol until it is bound: a socket that hears already is taken off all interfaces first, which waits for the
    // kernel's other processors (synchronize_net), as closing it does: 10 to 30 ms each.
    let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
    socket.bind(&packet_address(index, arp::ETHER_TYPE.to_be())?)?;
    Ok(socket)
}

/// The address of an interface, for packet(7).
fn packet_address(index: u32, protocol: u16) -> Result<SockAddr> {
    // SAFETY: the storage is zeroed and large enough for any address; the length is that of what is written into it.
    let address = unsafe {
        SockAddr::try_init(|storage: *mut SockAddrStorage, length| {
            let packet = storage.cast::<libc::sockaddr_ll>();
            (*packet).sll_family = libc::AF_PACKET as u16;
            (*packet).sll_protocol = protocol;
            (*packet).sll_ifindex = i32::try_from(index).map_err(std::io::Error::other)?;
            *length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            Ok(())
        })
    };
    address.map(|((), address)| address)
}

/// A socket for neighbour discovery at this interface.
///
/// # Errors
/// When it cannot be made: only root may.
pub fn neighbours(index: u32) -> Result<Socket> {
    let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
    socket.set_multicast_if_v6(index)?;
    socket.set_multicast_hops_v6(HOPS)?;
    socket.set_unicast_hops_v6(HOPS)?;
    socket.set_multicast_loop_v6(false)?;
    Ok(socket)
}

/// An address at this interface, as a socket takes it.
pub fn at_interface(ip: Ipv6Addr, index: u32) -> SockAddr {
    SocketAddrV6::new(ip, 0, 0, index).into()
}

/// A socket for echo requests.
///
/// # Errors
/// When it cannot be made: only root may.
pub fn echo(is_v6: bool) -> Result<Socket> {
    let (domain, protocol) = if is_v6 { (Domain::IPV6, Protocol::ICMPV6) } else { (Domain::IPV4, Protocol::ICMPV4) };
    Socket::new(domain, Type::RAW, Some(protocol))
}

/// Waits for at most this time at the next reading.
///
/// # Errors
/// When the kernel does not take it.
pub fn set_patience(socket: &Socket, time: Duration) -> Result<()> {
    // No time at all would mean for ever.
    socket.set_read_timeout(Some(time.max(Duration::from_millis(1))))
}
