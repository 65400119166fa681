//! Ends the connections of an address of this node, so that its clients learn at once that they have to connect anew, and
//! not when they give up waiting for answers from an address that has moved (sock_diag(7); what `ss --kill` does).

use std::net::IpAddr;

use anyhow::{Context, Result};
use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use netlink_packet_sock_diag::{AF_INET, AF_INET6, IPPROTO_TCP, SOCK_DESTROY, SockDiagMessage};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use super::netlink::Netlink;

/// Ends them; how many there were. A kernel that cannot do so (CONFIG_INET_DIAG_DESTROY) leaves them.
///
/// # Errors
/// When the kernel does not say which there are.
pub fn end(ip: IpAddr) -> Result<usize> {
    let netlink = Netlink::open(NETLINK_SOCK_DIAG)?;
    let mut ended = 0;
    for (family, local) in ways(ip) {
        let states = StateFlags::all() - StateFlags::LISTEN - StateFlags::TIME_WAIT - StateFlags::CLOSE;
        let question = request(family, states, all(family));
        let answers = netlink.ask(question, NLM_F_DUMP, None).context("this node's connections")?;
        for answer in answers {
            let SockDiagMessage::InetResponse(found) = answer else { continue };
            if found.header.socket_id.source_address != local {
                continue;
            }
            let question = request(family, StateFlags::all(), found.header.socket_id);
            match netlink.ask(question, NLM_F_ACK, Some(SOCK_DESTROY)) {
                Ok(_) => ended += 1,
                // It may have ended by itself.
                Err(error) => log::debug!("a connection of {ip} goes on: {error:#}"),
            }
        }
    }
    Ok(ended)
}

/// How connections of this address are listed: those of IPv4 also by servers that listen for both families at once.
fn ways(ip: IpAddr) -> Vec<(u8, IpAddr)> {
    match ip {
        IpAddr::V4(v4) => vec![(AF_INET, ip), (AF_INET6, IpAddr::V6(v4.to_ipv6_mapped()))],
        IpAddr::V6(_) => vec![(AF_INET6, ip)],
    }
}

fn all(family: u8) -> SocketId {
    if family == AF_INET { SocketId::new_v4() } else { SocketId::new_v6() }
}

fn request(family: u8, states: StateFlags, socket_id: SocketId) -> SockDiagMessage {
    let extensions = ExtensionFlags::empty();
    SockDiagMessage::InetRequest(InetRequest { family, protocol: IPPROTO_TCP, extensions, states, socket_id })
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_server_for_both_families_has_connections_of_an_address_of_the_older_one() {
        let ways = ways("10.0.0.1".parse().expect("an address"));
        assert_eq!(ways[1], (AF_INET6, "::ffff:10.0.0.1".parse().expect("an address")));
    }

    /// 127.0.0.77 is this machine's, and nobody else's connections are at it.
    #[test]
    fn a_client_is_told_that_its_connection_has_ended() {
        let listener = TcpListener::bind("127.0.0.77:0").expect("this machine's own");
        let mut client = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        let (_server, _) = listener.accept().expect("accepted");
        let ended = end("127.0.0.77".parse().expect("an address")).expect("listed");
        if ended > 0 {
            let error = client.read(&mut [0]).expect_err("it was ended");
            assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted), "{error}");
        } else {
            assert!(!nix::unistd::geteuid().is_root(), "root can");
        }
    }
}
