//! From which address a connection of the local server comes, by the kernel's tables. The server shows names where it has
//! resolved an address; to resolve them back would ask a name service in the middle of a failover.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The other ends of all TCP connections in this network namespace.
pub fn read_remote_ends() -> Vec<SocketAddr> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    tables.iter().flat_map(|path| parse_table(&fs::read_to_string(path).unwrap_or_default())).collect()
}

/// Whether a connection that the server shows with this host may come from one of these addresses: one of which it is
/// not known counts as theirs, since a replica that is ended without need connects again at once.
pub fn may_come_from(host: &str, addresses: &[IpAddr], remote_ends: &[SocketAddr]) -> bool {
    let is_theirs = |ip: IpAddr| addresses.iter().any(|address| address.to_canonical() == ip.to_canonical());
    // Without a port it came through the socket, from this machine.
    let Some((name, port)) = host.rsplit_once(':') else { return false };
    if let Ok(ip) = name.trim_matches(['[', ']']).parse::<IpAddr>() {
        return is_theirs(ip);
    }
    let Ok(port) = port.parse::<u16>() else { return true };
    let mut ends = remote_ends.iter().filter(|end| end.port() == port).peekable();
    ends.peek().is_none() || ends.any(|end| is_theirs(end.ip()))
}

/// Reads `/proc/net/tcp` or `tcp6`: the third column is `ADDRESS:PORT`, in hexadecimal digits, the address in groups of
/// four bytes in the machine's own order.
fn parse_table(text: &str) -> Vec<SocketAddr> {
    let end = |line: &str| {
        let (address, port) = line.split_whitespace().nth(2)?.split_once(':')?;
        Some(SocketAddr::new(parse_address(address)?, u16::from_str_radix(port, 16).ok()?))
    };
    text.lines().skip(1).filter_map(end).collect()
}

fn parse_address(digits: &str) -> Option<IpAddr> {
    let mut bytes = Vec::new();
    for start in (0..digits.len()).step_by(8) {
        bytes.extend(u32::from_str_radix(digits.get(start..start + 8)?, 16).ok()?.to_ne_bytes());
    }
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(|bytes| Ipv4Addr::from(bytes).into()),
        16 => <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).to_canonical()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn this_process_finds_its_own_connection_in_the_kernels_table() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let client = std::net::TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        let end = client.local_addr().expect("connected");
        assert!(read_remote_ends().contains(&end), "{end} is the other end of the listener's connection");
    }

    #[test]
    fn a_v4_address_in_the_table_of_v6_is_the_v4_address() {
        let digits: String = ["::ffff:10.0.0.2"]
            .iter()
            .flat_map(|text| text.parse::<Ipv6Addr>().expect("v6").octets())
            .collect::<Vec<u8>>()
            .chunks(4)
            .map(|group| format!("{:08X}", u32::from_ne_bytes([group[0], group[1], group[2], group[3]])))
            .collect();
        assert_eq!(parse_address(&digits), Some(ip("10.0.0.2")));
        assert_eq!(parse_address("0A"), None);
    }

    #[test]
    fn an_address_is_compared_and_a_name_is_looked_up_by_its_port() {
        let ours = [ip("10.0.0.2")];
        let table: Vec<SocketAddr> = vec!["10.0.0.2:5001".parse().expect("end"), "10.0.0.3:5002".parse().expect("end")];
        assert!(may_come_from("10.0.0.2:7", &ours, &[]));
        assert!(may_come_from("::ffff:10.0.0.2:7", &ours, &[]));
        assert!(!may_come_from("10.0.0.3:7", &ours, &[]));
        assert!(may_come_from("db2:5001", &ours, &table));
        assert!(!may_come_from("db3:5002", &ours, &table));
    }

    #[test]
    fn a_connection_of_which_nothing_is_known_counts_as_theirs() {
        assert!(may_come_from("db2:9999", &[ip("10.0.0.2")], &[]));
        assert!(!may_come_from("localhost", &[ip("10.0.0.2")], &[]), "through the socket, from this machine");
    }
}
