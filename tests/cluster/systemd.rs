//! What only systemd does: control groups, the restart of a service, the shutdown of a machine. One node of the cluster has
//! it as its first process.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustha_lab::Root;
use rustha_lab::scenario::{Bed, Scenario};

use crate::WHOLE;

/// Played on the newest systemd, and with `--all` on each.
pub const ALL: &[Scenario] = &[Scenario {
    name: "systemd",
    about: "Objection 28: server and guard are in a scope of their own, outlive pacemaker.service, and end after it.",
    roots: &[Root::Sid],
    long: true,
    nodes: 3,
    fencing: false,
    run: systemd,
}];

const SOON: Duration = Duration::from_secs(40);

fn systemd(bed: &Bed) -> Result<()> {
    let (primary, ledger) = bed.standard_load()?;
    let name = bed.others(&primary)[0].to_owned();
    let node = bed.node(&name)?;
    ledger.mark(format!("{name} boots with systemd"));
    node.stop_stack()?;
    let machine = node.boot_systemd()?;
    bed.wait_all_instances(WHOLE)?;
    bed.wait_healthy(WHOLE)?;
    let server = machine.run(&["pgrep", "-x", "mariadbd|mysqld"])?;
    let scope = scope_of(&machine.run(&["cat", &format!("/proc/{}/cgroup", server.trim())])?)?;
    let guard = machine.run(&["pgrep", "-x", "rustha"])?;
    let its = scope_of(&machine.run(&["cat", &format!("/proc/{}/cgroup", guard.trim())])?)?;
    ensure!(scope == its, "the guard is in {its}, and the server in {scope}");
    let shown = machine.run(&["systemctl", "show", "--property=Before,OOMPolicy,TasksMax", &scope])?;
    let is_as_asked = ["pacemaker.service", "continue", "TasksMax=infinity"].iter().all(|part| shown.contains(part));
    ensure!(is_as_asked, "{scope}: {shown}");

    ledger.mark("pacemaker.service is restarted in maintenance mode");
    bed.set_maintenance(true)?;
    machine.run(&["systemctl", "restart", "pacemaker.service"])?;
    bed.wait_all_instances(WHOLE)?;
    bed.set_maintenance(false)?;
    bed.wait_healthy(WHOLE)?;
    let now = machine.run(&["pgrep", "-x", "mariadbd|mysqld"])?;
    ensure!(now == server, "the server (pid {}) did not outlive pacemaker.service", server.trim());

    ledger.mark(format!("{name} is shut down by systemd"));
    let run_before = bed.logged(&name, "mysql(p_db) stop: stopped")?.len();
    machine.power_off()?;
    let stopped = bed.logged(&name, "mysql(p_db) stop: stopped")?.len();
    ensure!(stopped == run_before + 1, "the server of {name} was not stopped by its resource");
    ledger.wait_for_acknowledged(50, SOON)?;
    node.start_stack()?;
    bed.wait_all_instances(WHOLE)?;
    let last = bed.wait_healthy(WHOLE)?;
    ensure!(last == primary, "the primary moved to {last}");
    bed.finish(ledger, &bed.names()).map(drop)
}

/// The scope in what the kernel says of a process's control groups.
fn scope_of(groups: &str) -> Result<String> {
    let scope = groups.lines().filter_map(|line| line.rsplit('/').next()).find(|name| name.ends_with(".scope"));
    let scope = scope.filter(|name| name.starts_with("rustha-p_db-"));
    scope.map(str::to_owned).with_context(|| format!("in no scope of its own: {groups}"))
}
