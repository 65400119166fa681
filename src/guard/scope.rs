//! Leaving the control group of the service that started this process, on a machine with systemd. What Pacemaker's executor
//! starts is in pacemaker.service's: a database that the kernel ends there for want of memory takes Pacemaker with it
//! (systemd stops the service then, OOMPolicy=stop, systemd.service(5)), and the limits of the one are those of the other.
//! A guard moves into a scope of its own (systemd.scope(5)), and so does the server that it starts; when the machine is
//! shut down it is stopped after Pacemaker, which stops the resource first.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::deadline::Deadline;
use crate::exec;

/// This folder is there on a machine that was booted with systemd (sd_booted(3)).
const BOOTED: &str = "/run/systemd/system";

/// The control groups of this process (cgroups(7)).
const GROUPS: &str = "/proc/self/cgroup";

/// How long systemd may take. Without an answer the process stays where it is.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is looked whether systemd has done so.
const LOOK: Duration = Duration::from_millis(5);

/// What systemd calls, with their types, the properties of the scope. A database may take its time to shut down.
const PROPERTIES: [&[&str]; 4] = [
    &["Before", "as", "1", "pacemaker.service"],
    &["CollectMode", "s", "inactive-or-failed"],
    &["TimeoutStopUSec", "t", "1800000000"],
    // As pacemaker.service has it: a server may have a thread a connection.
    &["TasksMax", "t", "18446744073709551615"],
];

/// That the guard is not ended with a server which the kernel has ended: it reports that. Scopes have it since systemd 253.
const GO_ON: &[&str] = &["OOMPolicy", "s", "continue"];

/// Moves this process into a scope of its own; does nothing where there is no systemd.
///
/// # Errors
/// When systemd does not do so: then it goes on in the group in which it is.
pub fn enter(resource: &str) -> Result<()> {
    if !Path::new(BOOTED).is_dir() {
        return Ok(());
    }
    let deadline = Deadline::after(PATIENCE);
    let pid = std::process::id().to_string();
    let name = unit_name(resource, &pid);
    let ask = |properties: &[&[&str]]| {
        let count = (properties.len() + 1).to_string();
        exec::run("busctl", &call(&name, &pid, &count, properties), None, deadline)?.success()
    };
    ask(&[&PROPERTIES[..], &[GO_ON]].concat()).or_else(|_| ask(&PROPERTIES)).context("systemd makes no scope")?;
    let is_there = || fs::read_to_string(GROUPS).is_ok_and(|groups| is_in(&groups, &name)).then_some(());
    deadline.wait_for(LOOK, is_there).with_context(|| format!("systemd did not move this process into {name}"))
}

/// A unit's name, of the characters that it may have (systemd.unit(5)).
fn unit_name(resource: &str, pid: &str) -> String {
    let is_fine = |char: char| char.is_ascii_alphanumeric() || "-_.:".contains(char);
    let resource: String = resource.chars().map(|char| if is_fine(char) { char } else { '_' }).collect();
    format!("rustha-{resource}-{pid}.scope")
}

/// busctl(1)'s arguments for org.freedesktop.systemd1(5)'s StartTransientUnit; `count`: of the properties and the process.
fn call<'a>(name: &'a str, pid: &'a str, count: &'a str, properties: &[&[&'a str]]) -> Vec<&'a str> {
    const MANAGER: [&str; 4] =
        ["call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"];
    let mut args = MANAGER.to_vec();
    args.extend(["StartTransientUnit", "ssa(sv)a(sa(sv))", name, "fail", count]);
    args.extend(["PIDs", "au", "1", pid]);
    args.extend(properties.iter().copied().flatten());
    args.push("0");
    args
}

/// Whether systemd's group of this process is the scope of this name.
fn is_in(groups: &str, name: &str) -> bool {
    groups.lines().any(|line| line.rsplit('/').next() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objection_28_the_scope_is_asked_for_as_busctl_takes_it() {
        let name = unit_name("p db/1", "77");
        assert_eq!(name, "rustha-p_db_1-77.scope");
        let asked = call(&name, "77", "5", &PROPERTIES).join(" ");
        assert!(asked.contains("rustha-p_db_1-77.scope fail 5 PIDs au 1 77 Before as 1 pacemaker.service"), "{asked}");
        assert!(asked.ends_with("TasksMax t 18446744073709551615 0"), "{asked}");
    }

    #[test]
    fn the_group_is_found_in_either_hierarchy() {
        let name = "rustha-p_db-77.scope";
        assert!(is_in("0::/system.slice/rustha-p_db-77.scope\n", name));
        assert!(is_in("8:pids:/\n1:name=systemd:/system.slice/rustha-p_db-77.scope\n0::/\n", name));
        assert!(!is_in("0::/system.slice/pacemaker.service\n", name));
    }
}
