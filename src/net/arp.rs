//! Packets of the address resolution protocol on Ethernet (RFC 826, RFC 5227). Pure.

use core::net::Ipv4Addr;

use super::mac::Mac;

/// The type of such a frame.
pub const ETHER_TYPE: u16 = 0x0806;

const BROADCAST: Mac = Mac([0xff; 6]);

/// Ethernet, IPv4, and the lengths of their addresses.
const KIND: [u8; 6] = [0, 1, 8, 0, 6, 4];

/// A question or an answer, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The hardware address of who sends it.
    pub sender: Mac,
    /// The address that it has; unspecified in a probe.
    pub sender_ip: Ipv4Addr,
    /// The address that is asked for.
    pub target_ip: Ipv4Addr,
}

/// The two kinds of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Who has it?
    Request = 1,
    /// I have it.
    Reply = 2,
}

/// The question whether anybody has the address, from one who does not claim it (RFC 5227, 2.1.1).
pub fn probe(sender: Mac, ip: Ipv4Addr) -> Vec<u8> {
    frame(sender, Operation::Request, Ipv4Addr::UNSPECIFIED, Mac([0; 6]), ip)
}

/// Tells everybody who has the address now (RFC 5227, 2.3); as a request, which that says, or as a reply, which some
/// equipment wants.
pub fn announcement(sender: Mac, ip: Ipv4Addr, operation: Operation) -> Vec<u8> {
    let target = if operation == Operation::Reply { BROADCAST } else { Mac([0; 6]) };
    frame(sender, operation, ip, target, ip)
}

fn frame(sender: Mac, operation: Operation, sender_ip: Ipv4Addr, target: Mac, target_ip: Ipv4Addr) -> Vec<u8> {
    let mut frame = Vec::with_capacity(42);
    frame.extend(BROADCAST.0);
    frame.extend(sender.0);
    frame.extend(ETHER_TYPE.to_be_bytes());
    frame.extend(KIND);
    frame.extend([0, operation as u8]);
    frame.extend(sender.0);
    frame.extend(sender_ip.octets());
    frame.extend(target.0);
    frame.extend(target_ip.octets());
    frame
}

/// Reads a frame; `None` if it is no such packet, or cut.
pub fn parse(frame: &[u8]) -> Option<Packet> {
    let packet = frame.get(14..42)?;
    if frame[12..14] != ETHER_TYPE.to_be_bytes() || packet[..6] != KIND || !matches!(packet[6..8], [0, 1 | 2]) {
        return None;
    }
    let ip = |at: usize| <[u8; 4]>::try_from(&packet[at..at + 4]).ok().map(Ipv4Addr::from);
    Some(Packet { sender: Mac(packet[8..14].try_into().ok()?), sender_ip: ip(14)?, target_ip: ip(24)? })
}

/// What somebody says of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// He has it.
    Has(Mac),
    /// He does not have it, and asks whether anybody has it.
    Asks(Mac),
}

/// What this packet says of the address (RFC 5227, 2.1.1); `None`: nothing.
pub fn claim(packet: &Packet, ip: Ipv4Addr) -> Option<Claim> {
    if packet.sender_ip == ip {
        return Some(Claim::Has(packet.sender));
    }
    let asks = packet.sender_ip.is_unspecified() && packet.target_ip == ip;
    asks.then_some(Claim::Asks(packet.sender))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IP: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 50);
    const MAC: Mac = Mac([2, 0, 10, 77, 0, 1]);

    #[test]
    fn a_probe_claims_nothing_and_an_announcement_names_the_address_twice() {
        let probe = parse(&probe(MAC, IP)).expect("a packet");
        assert_eq!(probe, Packet { sender: MAC, sender_ip: Ipv4Addr::UNSPECIFIED, target_ip: IP });
        for operation in [Operation::Request, Operation::Reply] {
            let told = parse(&announcement(MAC, IP, operation)).expect("a packet");
            assert_eq!(told, Packet { sender: MAC, sender_ip: IP, target_ip: IP });
        }
    }

    #[test]
    fn who_has_the_address_is_told_from_who_probes_for_it_and_who_wants_to_talk_to_it_says_nothing() {
        let other = Ipv4Addr::new(10, 77, 0, 9);
        let packet = |sender_ip, target_ip| Packet { sender: MAC, sender_ip, target_ip };
        assert_eq!(claim(&packet(IP, other), IP), Some(Claim::Has(MAC)));
        assert_eq!(claim(&packet(Ipv4Addr::UNSPECIFIED, IP), IP), Some(Claim::Asks(MAC)));
        assert_eq!(claim(&packet(other, IP), IP), None);
    }

    #[test]
    fn a_frame_that_is_cut_or_something_else_is_none() {
        let whole = probe(MAC, IP);
        assert!((0..whole.len()).all(|length| parse(&whole[..length]).is_none()));
        let mut other = whole;
        other[12] = 0x86;
        assert!(parse(&other).is_none());
    }
}
