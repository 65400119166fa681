//! The parameters of the agent `vipcheck`.

use std::net::IpAddr;
use std::time::Duration;

use crate::ocf::env::Invocation;
use crate::ocf::exit::OcfError;
use crate::ocf::params::{Kind, Parameter, Reader};

/// All parameters.
#[rustfmt::skip]
pub static PARAMETERS: &[Parameter] = &[
    Parameter::new("target_ip", Kind::Text, "Address", "The IPv4 or IPv6 address that nobody may have.").unique(),
    Parameter::new("count", Kind::Integer, "Probes", "How often it is asked.").default("3").reloadable(),
    Parameter::new(
        "wait",
        Kind::Time,
        "Time for an answer",
        "How long an answer is waited for after each probe; start takes count times wait when nobody answers. In seconds, \
         or with a unit, such as 200ms: hosts of a local network answer within a millisecond.",
    )
    .default("1s")
    .reloadable(),
    Parameter::new("nic", Kind::Text, "Interface", "Where it is asked. Default: the interface of the network in which the address lies; by ping, where it lies in none of this node's.").reloadable(),
];

/// The parameters, validated.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address.
    pub ip: IpAddr,
    /// How often it is asked.
    pub count: u64,
    /// How long an answer is waited for.
    pub wait: Duration,
    /// Where it is asked, if it is said.
    pub nic: Option<String>,
}

impl Config {
    /// Reads the call's parameters.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(call: &Invocation) -> Result<Self, OcfError> {
        let mut reader = Reader::new(PARAMETERS, &call.params);
        let text = reader.text("target_ip");
        let ip = text.as_deref().and_then(|text| text.parse().ok());
        match (&text, ip) {
            (None, _) => reader.wrong("target_ip is missing: which address?".into()),
            (Some(text), None) => {
                reader.wrong(format!("target_ip must be an IPv4 or IPv6 address, without a prefix, not '{text}'"));
            }
            _ => {}
        }
        let (count, wait, nic) = (reader.integer("count"), reader.time("wait"), reader.text("nic"));
        if count == 0 {
            reader.wrong("count must be 1 or more".into());
        }
        if wait.is_zero() {
            reader.wrong("wait must be longer than 0".into());
        }
        reader.finish()?;
        // Without an address there was a complaint.
        let ip = ip.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));
        Ok(Self { ip, count, wait, nic })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, OcfError> {
        let env = pairs.iter().map(|(name, value)| (format!("OCF_RESKEY_{name}"), value.to_string()));
        Config::read(&Invocation::from_pairs(env))
    }

    #[test]
    fn an_address_is_enough_and_times_are_seconds() {
        let config = read(&[("target_ip", "fd00::50"), ("wait", "2")]).expect("right");
        assert_eq!((config.count, config.wait), (3, Duration::from_secs(2)));
        let config = read(&[("target_ip", "10.0.0.1"), ("wait", "200ms")]).expect("right");
        assert_eq!(config.wait, Duration::from_millis(200));
    }

    #[test]
    fn all_wrong_values_are_named_at_once() {
        let reason = read(&[("target_ip", "10.0.0.1/24"), ("count", "0"), ("wait", "0")]).expect_err("wrong").reason;
        for name in ["target_ip", "count", "wait"] {
            assert!(reason.contains(name), "{name}: {reason}");
        }
        assert!(read(&[]).expect_err("wrong").reason.contains("missing"));
    }
}
