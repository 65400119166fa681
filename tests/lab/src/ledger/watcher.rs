//! Watchers: whether each node takes writes, and whether it holds the VIP. They change nothing, and they
//! start no program.

use std::fs::File;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result};
use mysql::Conn;
use mysql::prelude::Queryable;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;

use super::book::Shared;
use super::clock::Turns;
use super::event::{Access, Vip, What};
use super::failure::FailureKind;
use super::session::{Peer, enter, own_netns};
use super::span::Reading;

/// Asks one node whether it takes writes, until the ledger stops. The calling thread is in the client's
/// network namespace: a node whose cable is out is unreachable for it, as it is for every client.
pub(super) fn watch_access(shared: &Shared, node: usize) {
    let options = &shared.options;
    let peer = Peer {
        address: options.nodes[node].address,
        port: options.port,
        account: options.watch.clone(),
        connect_timeout: options.watch_timeout,
        answer_timeout: options.watch_timeout,
    };
    let mut conn = None;
    let mut turns = Turns::new(options.watch_every, options.watch_every);
    while !shared.is_stopping() {
        let (reading, answer) = ask(shared, &peer, &mut conn);
        let (access, why) = match answer {
            Ok(access) => (access, None),
            Err(kind) => (Access::Unreachable, Some(kind.to_string())),
        };
        let changed = shared.book().nodes[node].access.see(access, reading);
        if changed {
            let node = options.nodes[node].name.clone();
            shared.tell(reading.answered, What::Access { node, access, why });
        }
        turns.wait();
    }
}

/// One reading. A connection that was ended since the last one, with an error or without (an agent ends all
/// of them before it demotes), says nothing about the server, so then it is asked once more on a new one.
fn ask(shared: &Shared, peer: &Peer, kept: &mut Option<Conn>) -> (Reading, Result<Access, FailureKind>) {
    loop {
        let asked = shared.clock.now();
        let was_kept = kept.is_some();
        let answer = read_access(peer, kept);
        let reading = Reading { asked, answered: shared.clock.now() };
        match answer {
            Err(kind) if was_kept && kind != FailureKind::NoAnswer => {}
            answer => return (reading, answer),
        }
    }
}

/// Asks on the kept connection, or on a new one, which is kept if it works.
fn read_access(peer: &Peer, kept: &mut Option<Conn>) -> Result<Access, FailureKind> {
    let mut conn = match kept.take() {
        Some(conn) => conn,
        None => peer.connect()?,
    };
    let value: Option<String> =
        conn.query_first("SELECT CAST(@@global.read_only AS CHAR)").map_err(|error| FailureKind::from(&error))?;
    *kept = Some(conn);
    Ok(parse_read_only(value.as_deref()))
}

/// MariaDB from 12 has further values than 0 and 1; all but "off" forbid clients to write.
fn parse_read_only(value: Option<&str>) -> Access {
    match value {
        Some("0" | "OFF") => Access::Writable,
        _ => Access::ReadOnly,
    }
}

/// Looks for the VIP on all nodes, until the ledger stops.
///
/// # Errors
/// If the thread's own network namespace cannot be opened or returned to, or addresses cannot be read.
pub(super) fn watch_vip(shared: &Shared) -> Result<()> {
    let options = &shared.options;
    let home = own_netns()?;
    let mut turns = Turns::new(options.watch_every, options.watch_every);
    while !shared.is_stopping() {
        for (i, node) in options.nodes.iter().enumerate() {
            let asked = shared.clock.now();
            let vip = read_vip(&home, &node.netns, options.vip)?;
            let answered = shared.clock.now();
            let mut book = shared.book();
            let track = &mut book.nodes[i].vip;
            let is_first = track.is_new();
            let changed = track.see(vip, Reading { asked, answered });
            drop(book);
            if changed && !(is_first && vip == Vip::Absent) {
                let node = node.name.clone();
                shared.tell(answered, What::Vip { node, vip });
            }
        }
        turns.wait();
    }
    Ok(())
}

/// Goes into a node's network namespace and comes back: a thread or a socket that stayed there would keep
/// the namespace and its interfaces alive after the lab has removed it.
fn read_vip(home: &File, netns: &Path, vip: IpAddr) -> Result<Vip> {
    let Ok(file) = File::open(netns) else {
        return Ok(Vip::Absent);
    };
    // Once unmounted, the file is still there but is no namespace any more.
    if enter(&file).is_err() {
        return Ok(Vip::Absent);
    }
    let found = getifaddrs().map(|addresses| find_vip(addresses, vip));
    enter(home).context("return to the client's network namespace")?;
    found.with_context(|| format!("read the addresses in {}", netns.display()))
}

fn find_vip(addresses: impl Iterator<Item = InterfaceAddress>, vip: IpAddr) -> Vip {
    let mut found = Vip::Absent;
    let working = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING;
    for interface in addresses {
        if ip_of(&interface) == Some(vip) {
            if interface.flags.contains(working) {
                return Vip::Held;
            }
            found = Vip::CutOff;
        }
    }
    found
}

fn ip_of(interface: &InterfaceAddress) -> Option<IpAddr> {
    let address = interface.address.as_ref()?;
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::from(v6.ip())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_off_is_writable() {
        assert_eq!(parse_read_only(Some("0")), Access::Writable);
        assert_eq!(parse_read_only(Some("OFF")), Access::Writable);
        assert_eq!(parse_read_only(Some("1")), Access::ReadOnly);
        assert_eq!(parse_read_only(Some("NO_LOCK")), Access::ReadOnly);
        assert_eq!(parse_read_only(None), Access::ReadOnly);
    }
}
