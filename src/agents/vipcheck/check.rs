//! Whether anybody on the network has the address.

use std::time::Duration;

use anyhow::{Result, bail};

use super::parameters::Config;
use crate::net::addresses;
use crate::net::interfaces;
use crate::net::probe::{self, Prober};
use crate::net::routes;
use crate::ocf::exit::{ExitCode, OcfError};

/// What an action needs besides waiting for answers.
const RESERVE: Duration = Duration::from_secs(1);

/// Asks as often as configured.
///
/// # Errors
/// When somebody has it, or it cannot be asked.
pub fn check(config: &Config, time: Duration) -> Result<()> {
    let least = config.wait.saturating_mul(u32::try_from(config.count).unwrap_or(u32::MAX)).saturating_add(RESERVE);
    if least > time {
        let (least, has) = (least.as_secs_f32().ceil(), time.as_secs());
        let why = format!("count times wait needs a time-out of {least}s, and there is one of {has}s");
        return Err(OcfError::new(ExitCode::Configured, why).into());
    }
    if addresses::all()?.iter().any(|address| address.ip == config.ip) {
        log::info!("{} is on this node itself", config.ip);
        return Ok(());
    }
    let Way { mut prober, place } = prepare(config)?;
    match probe::ask(&mut prober, config.count, config.wait)? {
        Some(holder) => bail!("{} is in use: {holder} answers for it{place}", config.ip),
        None => Ok(()),
    }
}

/// How it is asked.
pub struct Way {
    prober: Prober,
    /// In words.
    place: String,
}

/// Finds out how it can be asked from here.
///
/// # Errors
/// When there is no such interface, or it can not be asked there.
pub fn prepare(config: &Config) -> Result<Way> {
    let interfaces = interfaces::all()?;
    let given = config.nic.as_ref().map(|name| {
        let found = interfaces.iter().find(|interface| interface.name == *name);
        found.ok_or_else(|| OcfError::new(ExitCode::Args, format!("this node has no interface {name}")))
    });
    let interface = match given.transpose()? {
        Some(interface) => Some(interface),
        None => {
            let networks = routes::networks(config.ip.is_ipv6())?;
            let index = routes::narrowest(&networks, config.ip, None).map(|network| network.index);
            interfaces.iter().find(|interface| Some(interface.index) == index)
        }
    };
    Ok(match interface {
        Some(interface) => {
            Way { prober: Prober::on_link(config.ip, interface)?, place: format!(" on {}", interface.name) }
        }
        None => Way { prober: Prober::by_echo(config.ip)?, place: " behind a router".into() },
    })
}
