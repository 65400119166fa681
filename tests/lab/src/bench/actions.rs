//! What each action costs: a cluster lives under the wrapper (`measured`) from its first start to its last stop, with
//! monitors, notifications and planned moves in between, once to measure time and once to count processes.

use std::collections::BTreeMap;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::unistd::{SysconfVar, sysconf};

use super::address::Address;
use super::contender::{Contender, Setting};
use super::figures::median;
use super::measured::{COUNTING, LOG, Line, PROVIDER};
use super::trials::Guarded;
use crate::node::{Daemon, Node};
use crate::roots::{Root, Vendor};
use crate::scenario::Bed;
use crate::workspace;

/// How often is monitored, so that there are enough of them.
const INTERVAL: Duration = Duration::from_secs(2);
/// How long.
const LIVING: Duration = Duration::from_secs(25);
/// How many planned moves there are.
const MOVES: usize = 2;
/// What a move may take.
const MOVING: Duration = Duration::from_secs(90);
/// How long the guards are looked at.
const WATCHING: Duration = Duration::from_secs(20);

/// How large a cluster is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size {
    pub nodes: usize,
    /// Databases with a table each, besides those of the server.
    pub databases: usize,
    /// Intervals of GTIDs in the servers' history; MariaDB has none.
    pub intervals: usize,
}

impl Size {
    /// The usual one.
    pub(crate) const USUAL: Size = Size { nodes: 3, databases: 0, intervals: 1 };

    /// Those that are compared with it on this root.
    pub(crate) fn others_on(root: Root) -> Vec<Size> {
        let usual = Size::USUAL;
        let mut sizes = vec![
            Size { nodes: 5, ..usual },
            Size { nodes: 9, ..usual },
            Size { databases: 10, ..usual },
            Size { databases: 1000, ..usual },
        ];
        if root.vendor() == Vendor::MySql {
            sizes.push(Size { intervals: 10_000, ..usual });
        }
        sizes
    }
}

/// What one action costs, as medians.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cost {
    pub wall: Option<Duration>,
    pub cpu: Option<Duration>,
    pub processes: Option<u64>,
}

/// What a guard costs while nothing happens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guard {
    /// Of one processor, from 0 to 1.
    pub share: f64,
    /// Resident memory that is its own, in bytes.
    pub memory: u64,
}

/// What a contender's actions cost.
#[derive(Clone, Debug)]
pub(crate) struct Costs {
    pub contender: Contender,
    pub size: Size,
    pub actions: BTreeMap<String, Cost>,
    /// The largest of all nodes; None where there is no guard.
    pub guard: Option<Guard>,
}

/// Measures time, and with `counts` counts processes in a second life.
pub(crate) fn measure(root: Root, contender: Contender, size: Size, counts: bool) -> Result<Costs> {
    let (mut lines, guard) = live(root, contender, size, false)?;
    if counts {
        lines.extend(live(root, contender, size, true)?.0);
    }
    Ok(Costs { contender, size, actions: summarize(&lines), guard })
}

fn live(root: Root, contender: Contender, size: Size, counts: bool) -> Result<(Vec<Line>, Option<Guard>)> {
    let guarded = Guarded::up(root, size.nodes)?;
    let bed = guarded.bed();
    let (provider, agent) = contender.agent();
    install_wrapper(bed, provider, agent)?;
    for node in bed.lab().nodes() {
        if counts {
            node.write_file(COUNTING, "", 0o644)?;
        }
        give_intervals(node, size.intervals)?;
    }
    contender.configure(bed, Setting { interval: INTERVAL, is_measured: true, address: Address::Ipaddr2 })?;
    fill(bed, size.databases)?;
    sleep(LIVING);
    let guard = watch_guards(bed)?;
    for _ in 0..MOVES {
        let from = bed.promoted()?.context("nobody is promoted")?;
        let others = bed.others(&from);
        let to = others.first().context("there is nowhere to go")?;
        contender.ask_for_move(bed, to)?;
        bed.wait_promoted_on_other_than(&from, MOVING)?;
        contender.end_move(bed)?;
        bed.wait_at_rest(MOVING)?;
    }
    let whole = bed.whole_node()?;
    whole.run(&["crm_resource", "--meta", "--resource", "c_db", "-p", "target-role", "-v", "Stopped"])?;
    whole.exec(&["crm_resource", "--wait", "--timeout=60s"], MOVING)?;
    Ok((read_lines(bed)?, guard))
}

/// Puts the wrapper of this agent into each node.
pub(crate) fn install_wrapper(bed: &Bed, provider: &str, agent: &str) -> Result<()> {
    let program = workspace::find_program()?;
    let program = fs::read(&program).with_context(|| format!("cannot read {}", program.display()))?;
    let directory = format!("/usr/lib/ocf/resource.d/{PROVIDER}");
    for node in bed.lab().nodes() {
        node.run(&["mkdir", "-p", &directory])?;
        node.write_bytes(&format!("{directory}/{provider}-{agent}"), &program, 0o755)?;
    }
    Ok(())
}

/// What the wrappers have written since this was called last.
pub(crate) fn read_lines(bed: &Bed) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for node in bed.lab().nodes() {
        lines.extend(node.run(&["cat", LOG])?.lines().filter_map(Line::parse));
        node.run(&["rm", LOG])?;
    }
    Ok(lines)
}

/// A history with holes: every second transaction of another server, as one that was cloned from it would have.
fn give_intervals(node: &Node, intervals: usize) -> Result<()> {
    if intervals < 2 {
        return Ok(());
    }
    let numbers: Vec<String> = (0..intervals).map(|one| (2 * one + 1).to_string()).collect();
    let set = format!("3e11fa47-71ca-11e1-9e33-c80aa9429562:{}", numbers.join(":"));
    node.start_server("")?;
    node.sql(&format!("SET GLOBAL gtid_purged='+{set}'"))?;
    node.stop_server()
}

fn fill(bed: &Bed, databases: usize) -> Result<()> {
    if databases == 0 {
        return Ok(());
    }
    let primary = bed.promoted()?.context("nobody is promoted")?;
    let numbers: Vec<usize> = (0..databases).collect();
    for some in numbers.chunks(50) {
        let statements = some
            .iter()
            .map(|one| format!("CREATE DATABASE d{one}; CREATE TABLE d{one}.t (id INT PRIMARY KEY) ENGINE=InnoDB; "));
        bed.node(&primary)?.sql(&statements.collect::<String>())?;
    }
    Ok(())
}

/// The most that any of the guards costs.
fn watch_guards(bed: &Bed) -> Result<Option<Guard>> {
    let mut pids = Vec::new();
    for node in bed.lab().nodes() {
        pids.extend(node.pids_of(Daemon::Guard)?);
    }
    let before: Vec<Option<f64>> = pids.iter().map(|pid| processor_time(pid.as_raw())).collect();
    if before.is_empty() {
        return Ok(None);
    }
    sleep(WATCHING);
    let mut most: Option<Guard> = None;
    for (pid, before) in pids.iter().zip(before) {
        let (Some(before), Some(after)) = (before, processor_time(pid.as_raw())) else { continue };
        let one = Guard { share: (after - before) / WATCHING.as_secs_f64(), memory: own_memory(pid.as_raw()) };
        most = Some(
            most.map_or(one, |most| Guard { share: most.share.max(one.share), memory: most.memory.max(one.memory) }),
        );
    }
    Ok(most)
}

/// The seconds of processor time of a process and of what it has waited for (proc(5), stat).
fn processor_time(pid: i32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    let a_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
    Some(ticks as f64 / a_second as f64)
}

/// What would be free without it, in bytes (proc(5), smaps_rollup).
fn own_memory(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let kilobytes = text
        .lines()
        .filter(|line| line.starts_with("Private_"))
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kilobytes.sum::<u64>() * 1024
}

/// Medians, by action.
pub(crate) fn summarize(lines: &[Line]) -> BTreeMap<String, Cost> {
    let mut costs: BTreeMap<String, Cost> = BTreeMap::new();
    for action in lines.iter().map(|line| &line.action) {
        if costs.contains_key(action) {
            continue;
        }
        let of_it = || lines.iter().filter(|line| line.action == *action);
        let micros =
            |pick: fn(&Line) -> Option<u64>| median(of_it().filter_map(pick).collect()).map(Duration::from_micros);
        costs.insert(
            action.clone(),
            Cost {
                wall: micros(|line| line.wall),
                cpu: micros(|line| line.cpu),
                processes: median(of_it().filter_map(|line| line.processes).collect()),
            },
        );
    }
    costs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_and_processes_come_from_different_calls_of_an_action() {
        let timed = |wall| Line { action: "start".into(), code: 0, wall: Some(wall), cpu: Some(1), processes: None };
        let counted = Line { action: "start".into(), code: 0, wall: None, cpu: None, processes: Some(4) };
        let costs = summarize(&[timed(10), timed(30), timed(20), counted]);
        let start = &costs["start"];
        assert_eq!((start.wall, start.processes), (Some(Duration::from_micros(20)), Some(4)));
    }
}
