//! `cargo lab bench`: all that is measured, in one run; tables for the README, a picture, and the raw figures.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::bench::actions::{self, Costs, Size};
use crate::bench::address::{self, Address, AddressCosts};
use crate::bench::contender::Contender;
use crate::bench::figures::median;
use crate::bench::picture::{self, Lane};
use crate::bench::table;
use crate::bench::trial::{Kind, Outcome};
use crate::bench::trials::{self, Played, Series};
use crate::interrupt;
use crate::process::Program;
use crate::roots::Root;
use crate::workspace;

/// The intervals of the promoted instance's monitor: what people set who are in a hurry, and the usual one.
const INTERVALS: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(10)];

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Time without writes: the primary's server is killed; monitor every 2 s and every 10 s
    KillDaemon,
    /// Time without writes: the primary's machine is switched off
    PowerOff,
    /// Time without writes: a planned move
    Switchover,
    /// Wall time, processor time and processes of each action
    Actions,
    /// The same for more nodes, more databases and a history with holes
    Sizes,
    /// The same of the agents that have an address
    Addresses,
}

/// What `bench` is told.
#[derive(Args, Debug)]
pub struct Bench {
    /// What to measure; everything if nothing is named
    #[arg(value_name = "PART")]
    parts: Vec<Part>,
    /// What the nodes are made from: deb12, deb13 (MariaDB) or sid (MySQL)
    #[arg(long, default_value_t = Root::Deb12)]
    root: Root,
    /// Whom to measure; everybody who runs on this root if nobody is named
    #[arg(long, value_name = "AGENT", value_delimiter = ',')]
    agents: Vec<Contender>,
    /// How often each fault is played
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=100))]
    runs: u16,
    /// Who has the address
    #[arg(long, default_value_t = Address::default(), value_enum)]
    address: Address,
}

/// All that was measured.
#[derive(Default)]
struct Measured {
    played: Vec<Played>,
    costs: Vec<Costs>,
    addresses: Vec<AddressCosts>,
    address: Address,
}

/// Measures, and writes down what was measured after each part: a run of hours that is interrupted has its results.
pub fn run(bench: &Bench) -> Result<()> {
    interrupt::watch()?;
    let agents = match bench.agents.is_empty() {
        true => Contender::all_on(bench.root),
        false => bench.agents.clone(),
    };
    let is_wanted = |part: Part| bench.parts.is_empty() || bench.parts.contains(&part);
    let mut measured = Measured { address: bench.address, ..Measured::default() };
    let machine = describe_machine(bench.root)?;
    println!("{machine}");
    for (part, kind) in
        [(Part::KillDaemon, Kind::KillDaemon), (Part::Switchover, Kind::Switchover), (Part::PowerOff, Kind::PowerOff)]
    {
        // Only what the monitor has to find depends on how often it looks.
        let intervals = if kind == Kind::KillDaemon { &INTERVALS[..] } else { &INTERVALS[..1] };
        for interval in intervals.iter().filter(|_| is_wanted(part)) {
            for contender in &agents {
                let series = Series {
                    contender: *contender,
                    kind,
                    interval: *interval,
                    runs: bench.runs.into(),
                    address: bench.address,
                };
                println!("{contender}: {kind}, monitor every {} s", interval.as_secs());
                let played = trials::play(bench.root, series, say);
                keep(&mut measured.played, played, contender);
                write_down(bench.root, &machine, &measured)?;
            }
        }
    }
    let usual = agents.iter().filter(|_| is_wanted(Part::Actions)).map(|contender| (*contender, Size::USUAL, true));
    let sizes = Size::others_on(bench.root)
        .into_iter()
        .filter(|_| is_wanted(Part::Sizes) && agents.contains(&Contender::Rustha));
    for (contender, size, counts) in usual.chain(sizes.map(|size| (Contender::Rustha, size, false))) {
        println!("{contender}: what its actions cost, {size:?}");
        let start = Instant::now();
        let costs = actions::measure(bench.root, contender, size, counts);
        println!("  {:.0} s", start.elapsed().as_secs_f64());
        keep(&mut measured.costs, costs, &contender);
        write_down(bench.root, &machine, &measured)?;
    }
    if is_wanted(Part::Addresses) {
        println!("what the actions of an address cost");
        match address::measure(bench.root) {
            Ok(costs) => measured.addresses = costs,
            Err(error) => eprintln!("warning: the addresses are not measured: {error:#}"),
        }
        write_down(bench.root, &machine, &measured)?;
    }
    println!("\n{}", render(&machine, &measured));
    println!("Written to {}", place(bench.root).display());
    Ok(())
}

/// What cannot be measured of one is said, and does not keep the others from being measured.
fn keep<T>(all: &mut Vec<T>, one: Result<T>, contender: &Contender) {
    match one {
        Ok(one) => all.push(one),
        Err(error) => eprintln!("warning: {contender}: not measured: {error:#}"),
    }
}

fn say(run: usize, outcome: &Outcome) {
    let without =
        outcome.without.map_or("writes did not come back".into(), |time| format!("{:.2} s", time.as_secs_f64()));
    let lost = outcome.lost.filter(|lost| *lost > 0).map_or(String::new(), |lost| format!(", {lost} writes lost"));
    println!("  run {}: {without}{lost}", run + 1);
}

fn place(root: Root) -> std::path::PathBuf {
    workspace::target().join("lab-bench").join(root.name())
}

fn write_down(root: Root, machine: &str, measured: &Measured) -> Result<()> {
    let place = place(root);
    fs::create_dir_all(&place).with_context(|| format!("cannot make {}", place.display()))?;
    write(&place.join("table.md"), &render(machine, measured))?;
    write(&place.join("runs.tsv"), &raw(measured))?;
    let lanes: Vec<Lane<'_>> = measured.played.iter().filter_map(lane).collect();
    if lanes.is_empty() {
        return Ok(());
    }
    let title = format!("The primary's server is killed (monitor every 2 s): writes as a client sees them, on {root}");
    write(&place.join("failover.svg"), &picture::render(&title, &lanes))
}

/// The run in the middle of those that are drawn.
fn lane(played: &Played) -> Option<Lane<'_>> {
    let series = played.series;
    if (series.kind, series.interval) != (Kind::KillDaemon, INTERVALS[0]) {
        return None;
    }
    let times: Vec<Duration> = played.outcomes.iter().map(|one| one.without.unwrap_or(Duration::MAX)).collect();
    let middle = median(times)?;
    let outcome = played.outcomes.iter().find(|one| one.without.unwrap_or(Duration::MAX) == middle)?;
    Some(Lane { name: series.contender.to_string(), outcome })
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn render(machine: &str, measured: &Measured) -> String {
    let mut text = format!("{machine}\n");
    if !measured.played.is_empty() {
        text += &format!("\nThe address: {}.\n\n{}", measured.address, table::render_trials(&measured.played));
    }
    if measured.costs.iter().any(|costs| costs.size == Size::USUAL) {
        text += &format!("\n{}", table::render_actions(&measured.costs));
    }
    if measured.costs.iter().any(|costs| costs.size != Size::USUAL) {
        text += &format!("\n{}", table::render_sizes(&measured.costs));
    }
    if !measured.addresses.is_empty() {
        text += &format!("\n{}", table::render_addresses(&measured.addresses));
    }
    text
}

/// Every run, for whoever wants to compute something else.
fn raw(measured: &Measured) -> String {
    let mut text = "agent\tfault\tinterval\tseconds without writes\tlost\n".to_owned();
    for played in &measured.played {
        for outcome in &played.outcomes {
            let without = outcome.without.map_or("never".into(), |time| format!("{:.3}", time.as_secs_f64()));
            let lost = outcome.lost.map_or("-".into(), |lost| lost.to_string());
            let series = played.series;
            let interval = series.interval.as_secs();
            let _ = writeln!(text, "{}\t{}\t{interval}\t{without}\t{lost}", series.contender, series.kind);
        }
    }
    text
}

/// Where the figures come from.
fn describe_machine(root: Root) -> Result<String> {
    root.ensure()?;
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("?", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let versions = root.versions()?;
    let date = Program::new(["date", "--utc", "+%F"]).run()?;
    Ok(format!("{cores} × {model}, {root} ({versions}), {}", date.trim()))
}
