//! The parameters of the agent `vip`.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::ocf::env::Invocation;
use crate::ocf::exit::OcfError;
use crate::ocf::params::{Kind, Parameter, Reader};

/// Between the last renewal of a lost node's lease and the begin of whoever takes over lies its time-out in the membership, or
/// nearly so (1 s: it may notice later); and the kernel removes an address up to 1.3 s late, as it looks once a second.
const SLACK: Duration = Duration::from_millis(2500);

/// With less there is no time to renew it.
const SHORTEST: Duration = Duration::from_secs(6);

/// All parameters.
#[rustfmt::skip]
pub static PARAMETERS: &[Parameter] = &[
    Parameter::new("ip", Kind::Text, "Address", "The IPv4 or IPv6 address, without a prefix.").unique(),
    Parameter::new("nic", Kind::Text, "Interface", "The network interface. Default: that of the network in which the address lies, by this node's routing table."),
    Parameter::new("cidr_netmask", Kind::Text, "Prefix length", "The length of the network's prefix, such as 24, or a netmask. Default: that of the network in which the address lies."),
    Parameter::new("broadcast", Kind::Text, "Broadcast address", "IPv4 only. Default, and +: the last address of the network; -: none."),
    Parameter::new("iflabel", Kind::Text, "Label", "IPv4 only: the address is shown as eth0:LABEL by tools that know no more than one address of an interface."),
    Parameter::new("arp_count", Kind::Integer, "Announcements", "How often it is told where the address is now: gratuitous ARP, or unsolicited neighbour advertisements.").default("5").reloadable(),
    Parameter::new("arp_interval", Kind::Integer, "Time between announcements", "In milliseconds.").default("200").reloadable(),
    Parameter::new("arp_bg", Kind::Boolean, "Announce in the background", "Whether start returns after the first announcement.").default("true").reloadable(),
    Parameter::new("arp_refresh", Kind::Time, "Announce again", "How often it is told again, as long as the address is here. 0: never.").default("60s").reloadable(),
    Parameter::new(
        "check",
        Kind::Boolean,
        "Take the address only when nobody has it",
        "Asks the network first, by ARP or neighbour discovery, and fails if somebody answers, naming the host (0.15 s; not \
         done when the cluster has just stopped it elsewhere). When a node is lost that may have the address, waits for the \
         end of its lease, or until its guard says that it gives the address back. A node that was fenced is not waited \
         for; a cluster of two that does not fence does not take the address.",
    )
    .default("true")
    .reloadable(),
    Parameter::new(
        "lease",
        Kind::Time,
        "How long the address stays by itself",
        "The kernel removes the address at the latest after this time, unless the agent's guard renews it. It does so \
         while the cluster's stack lives here and has quorum, or the resource is left alone (maintenance mode). So a node \
         that hangs, or was cut off, gives the address back. start (promote, in a clone) needs a time-out that is longer \
         by 10 s. 0: the address stays until it is stopped.",
    )
    .default("30s")
    .reloadable(),
    Parameter::new(
        "stack_timeout",
        Kind::TimeOrNever,
        "How long the address outlives the cluster's stack",
        "After this time without corosync or Pacemaker on this node, or as soon as another node asks for the address, the \
         guard gives it back. Not in maintenance mode, or while the resource is unmanaged. never: when the lease is over.",
    )
    .default("10s")
    .reloadable(),
];

/// The parameters, validated.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address; `None`: it cannot be read.
    pub ip: Option<IpAddr>,
    /// The interface, if it is said.
    pub nic: Option<String>,
    /// The length of the prefix, if it is said.
    pub prefix: Option<u8>,
    /// The broadcast address.
    pub broadcast: Broadcast,
    /// What follows the interface's name in the label.
    pub label: Option<String>,
    /// How often the address is announced when it was taken.
    pub announcements: u64,
    /// The time between two of these.
    pub announce_every: Duration,
    /// The rest of them is left to the guard.
    pub announces_later: bool,
    /// How often it is announced later on.
    pub refresh: Option<Duration>,
    /// The address is taken only when nobody has it.
    pub check: bool,
    /// After this time without being renewed it is gone for certain.
    pub lease: Option<Duration>,
    /// How long it stays without a cluster.
    pub stack_timeout: Option<Duration>,
}

/// Which broadcast address is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broadcast {
    /// The last one of the network.
    Usual,
    /// None.
    None,
    /// This one.
    Given(Ipv4Addr),
}

impl Config {
    /// Reads the call's parameters, with defaults for those that are wrong, and what is wrong with them: an address must
    /// be given back also by a configuration with which it could not be taken.
    pub fn read(call: &Invocation) -> (Self, Option<OcfError>) {
        let mut reader = Reader::new(PARAMETERS, &call.params);
        let ip = read_ip(&mut reader);
        let is_v6 = ip.is_some_and(|ip| ip.is_ipv6());
        let prefix = reader.text("cidr_netmask").and_then(|text| {
            let prefix = parse_prefix(&text, is_v6);
            if prefix.is_none() {
                let most = if is_v6 { 128 } else { 32 };
                reader.wrong(format!("cidr_netmask must be a number from 1 to {most}, or a netmask, not '{text}'"));
            }
            prefix
        });
        let broadcast = match reader.text("broadcast").as_deref() {
            None | Some("+") => Broadcast::Usual,
            Some("-") => Broadcast::None,
            Some(text) => text.parse().map(Broadcast::Given).unwrap_or_else(|_| {
                reader.wrong(format!("broadcast must be an IPv4 address, + or -, not '{text}'"));
                Broadcast::Usual
            }),
        };
        let label = reader.text("iflabel");
        if is_v6 && label.is_some() {
            reader.wrong("iflabel: IPv6 addresses have no labels".into());
        }
        let lease = Some(reader.time("lease")).filter(|lease| !lease.is_zero());
        if lease.is_some_and(|lease| lease < SHORTEST) {
            reader.wrong(format!("lease must be 0 (none) or at least {}s", SHORTEST.as_secs()));
        }
        let config = Self {
            ip,
            nic: reader.text("nic"),
            prefix,
            broadcast,
            label,
            announcements: reader.integer("arp_count"),
            announce_every: Duration::from_millis(reader.integer("arp_interval")),
            announces_later: reader.boolean("arp_bg"),
            refresh: Some(reader.time("arp_refresh")).filter(|time| !time.is_zero()),
            check: reader.boolean("check"),
            lease: lease.map(|lease| lease.max(SHORTEST)),
            stack_timeout: reader.time_or_never("stack_timeout"),
        };
        (config, reader.finish().err())
    }

    /// What the kernel is told: the address is gone well before the lease is over, in whole seconds.
    pub fn lifetime(&self) -> Option<Duration> {
        self.lease.map(|lease| Duration::from_secs((lease * 4 / 5).as_secs()))
    }

    /// How long whoever takes the address over waits for a node that never answers.
    pub fn patience(&self) -> Option<Duration> {
        Some(self.lease?.min(self.lifetime()? + SLACK))
    }
}

fn read_ip(reader: &mut Reader<'_>) -> Option<IpAddr> {
    let Some(text) = reader.text("ip") else {
        reader.wrong("ip is missing: which address?".into());
        return None;
    };
    let ip = text.parse().ok();
    match ip {
        Some(ip) if is_usable(ip) => return Some(ip),
        Some(_) => reader.wrong(format!("ip: {text} cannot be a service address")),
        None if text.contains('/') => {
            reader.wrong(format!("ip must be an address alone, not '{text}': the prefix is cidr_netmask"));
        }
        None => reader.wrong(format!("ip must be an IPv4 or IPv6 address, not '{text}'")),
    }
    None
}

fn is_usable(ip: IpAddr) -> bool {
    let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !(ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() || is_broadcast)
}

/// A number of bits, or an IPv4 netmask.
fn parse_prefix(text: &str, is_v6: bool) -> Option<u8> {
    let most = if is_v6 { 128 } else { 32 };
    if let Ok(mask) = text.parse::<Ipv4Addr>() {
        let bits = mask.to_bits();
        return (!is_v6 && bits.leading_ones() + bits.trailing_zeros() == 32)
            .then(|| u8::try_from(bits.leading_ones()).ok())
            .flatten();
    }
    text.parse().ok().filter(|bits| (1..=most).contains(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> (Config, Option<OcfError>) {
        let env = pairs.iter().map(|(name, value)| (format!("OCF_RESKEY_{name}"), value.to_string()));
        Config::read(&Invocation::from_pairs(env))
    }

    fn complaint(pairs: &[(&str, &str)]) -> String {
        read(pairs).1.expect("wrong").reason
    }

    #[test]
    fn an_address_alone_is_enough() {
        for ip in ["10.77.0.50", "fd00::50"] {
            let (config, wrong) = read(&[("ip", ip)]);
            assert!(wrong.is_none(), "{wrong:?}");
            assert!(config.check && config.announces_later && config.prefix.is_none() && config.nic.is_none());
            assert_eq!(config.lease, Some(Duration::from_secs(30)));
            assert_eq!(config.lifetime(), Some(Duration::from_secs(24)));
        }
    }

    #[test]
    fn no_address_or_none_that_can_be_one_is_said_so() {
        assert!(complaint(&[]).contains("ip is missing"));
        assert!(complaint(&[("ip", "10.77.0.50/24")]).contains("cidr_netmask"));
        assert!(complaint(&[("ip", "fd00::50/64")]).contains("cidr_netmask"));
        for ip in ["db1", "10.77.0", "127.0.0.1", "0.0.0.0", "ff02::1", "::1"] {
            assert!(complaint(&[("ip", ip)]).contains(ip), "{ip}");
        }
    }

    #[test]
    fn a_prefix_is_a_number_or_a_netmask_as_operators_write_it() {
        let prefix = |text: &str, is_v6| parse_prefix(text, is_v6);
        assert_eq!(prefix("24", false), Some(24));
        assert_eq!(prefix("255.255.255.0", false), Some(24));
        assert_eq!(prefix("64", true), Some(64));
        for wrong in ["0", "33", "-1", "255.0.255.0", "x", ""] {
            assert_eq!(prefix(wrong, false), None, "{wrong}");
        }
        assert_eq!(prefix("255.255.255.0", true), None);
    }

    #[test]
    fn all_wrong_values_are_named_at_once() {
        let reason = complaint(&[
            ("ip", "fd00::50"),
            ("cidr_netmask", "129"),
            ("broadcast", "x"),
            ("iflabel", "db"),
            ("lease", "3s"),
        ]);
        for name in ["cidr_netmask", "broadcast", "iflabel", "lease"] {
            assert!(reason.contains(name), "{name}: {reason}");
        }
    }

    #[test]
    fn who_takes_over_waits_until_the_kernel_has_removed_the_address_and_no_longer_than_the_lease() {
        for (lease, lifetime, patience) in [("30s", 24_000, 26_500), ("10s", 8_000, 10_000), ("6s", 4_000, 6_000)] {
            let (config, _) = read(&[("ip", "10.0.0.1"), ("lease", lease)]);
            assert_eq!(config.lifetime(), Some(Duration::from_millis(lifetime)), "{lease}");
            assert_eq!(config.patience(), Some(Duration::from_millis(patience)), "{lease}");
        }
    }

    #[test]
    fn without_a_lease_the_address_stays() {
        let (config, wrong) = read(&[("ip", "10.0.0.1"), ("lease", "0"), ("arp_refresh", "0")]);
        assert!(wrong.is_none() && config.lifetime().is_none() && config.refresh.is_none());
    }
}
