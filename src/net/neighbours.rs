//! Messages of IPv6's neighbour discovery (RFC 4861): what ARP is to IPv4. Pure; the kernel computes the checksums.

use core::net::Ipv6Addr;

use super::mac::Mac;

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

/// Options: the sender's hardware address, and that of the target; their length is counted in units of 8 bytes.
const SOURCE_LINK: u8 = 1;
const TARGET_LINK: u8 = 2;

/// That what others know of the address is replaced.
const OVERRIDE: u8 = 0x20;

/// The hop limit that all of these have (RFC 4861, 7.1).
pub const HOPS: u32 = 255;

/// All nodes of a link.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// The question who has the address.
pub fn solicitation(sender: Mac, ip: Ipv6Addr) -> Vec<u8> {
    message(SOLICITATION, 0, ip, SOURCE_LINK, sender)
}

/// Tells everybody who has the address now.
pub fn advertisement(sender: Mac, ip: Ipv6Addr) -> Vec<u8> {
    message(ADVERTISEMENT, OVERRIDE, ip, TARGET_LINK, sender)
}

fn message(kind: u8, flags: u8, ip: Ipv6Addr, option: u8, mac: Mac) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0, flags, 0, 0, 0];
    message.extend(ip.octets());
    message.extend([option, 1]);
    message.extend(mac.0);
    message
}

/// To whom such a question goes: all that may have an address with this end (RFC 4291, 2.7.1).
pub fn solicited_nodes(ip: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = ip.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]))
}

/// Who has the address by this message; the inner value is `None` where its hardware address is not said.
pub fn holder(message: &[u8], ip: Ipv6Addr) -> Option<Option<Mac>> {
    let target = message.get(8..24)?;
    if message[0] != ADVERTISEMENT || target != ip.octets() {
        return None;
    }
    let option = message.get(24..32).filter(|option| option[..2] == [TARGET_LINK, 1]);
    Some(option.and_then(|option| option[2..].try_into().ok()).map(Mac))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([2, 0, 10, 77, 0, 1]);

    #[test]
    fn an_advertisement_names_its_sender_and_a_solicitation_is_none() {
        let ip: Ipv6Addr = "fd00::50".parse().expect("an address");
        let told = advertisement(MAC, ip);
        assert_eq!(holder(&told, ip), Some(Some(MAC)));
        assert_eq!(holder(&told[..24], ip), Some(None));
        assert_eq!(holder(&told[..23], ip), None);
        assert_eq!(holder(&told, ALL_NODES), None);
        assert_eq!(holder(&solicitation(MAC, ip), ip), None);
    }

    #[test]
    fn the_group_that_is_asked_ends_like_the_address() {
        let ip: Ipv6Addr = "fd00::1:2345:6789".parse().expect("an address");
        assert_eq!(solicited_nodes(ip).to_string(), "ff02::1:ff45:6789");
    }
}
