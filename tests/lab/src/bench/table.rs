//! What was measured, as Markdown tables. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use super::actions::{Cost, Costs, Size};
use super::address::AddressCosts;
use super::contender::Contender;
use super::figures::Spread;
use super::trials::Played;

/// The actions in the order in which an instance lives; what is not among them is left out.
const ACTIONS: [&str; 9] = [
    "meta-data",
    "monitor-promoted",
    "monitor-unpromoted",
    "monitor-probe",
    "start",
    "stop",
    "promote",
    "demote",
    "notify",
];

/// The times without acknowledged writes: a row for each fault, a column for each contender.
pub(crate) fn render_trials(played: &[Played]) -> String {
    let contenders: BTreeSet<Contender> = played.iter().map(|one| one.series.contender).collect();
    let mut rows: Vec<_> = played.iter().map(|one| (one.series.kind, one.series.interval)).collect();
    rows.sort();
    rows.dedup();
    let mut table = heading("seconds without acknowledged writes, median (worst)", &contenders);
    for (kind, interval) in rows {
        let cells = contenders.iter().map(|contender| {
            let is_it = |one: &&Played| {
                let series = one.series;
                (series.contender, series.kind, series.interval) == (*contender, kind, interval)
            };
            played.iter().find(is_it).map_or_else(String::new, cell)
        });
        table += &row(&format!("{kind}, monitor every {} s", interval.as_secs()), cells);
    }
    table
}

fn cell(played: &Played) -> String {
    let times: Vec<_> = played.outcomes.iter().map(|outcome| outcome.without).collect();
    let Some(spread) = Spread::of(&times) else { return String::new() };
    let mut text = format!("{} ({})", seconds(spread.median), seconds(spread.worst));
    let lost: usize = played.outcomes.iter().filter_map(|outcome| outcome.lost).sum();
    if lost > 0 {
        text += &format!(", {lost} writes lost");
    }
    if played.broken > 0 {
        text += &format!(", {} of {} not whole again by itself", played.broken, spread.runs);
    }
    text
}

/// What the actions cost: a row for each, a column for each contender.
pub(crate) fn render_actions(costs: &[Costs]) -> String {
    let usual: Vec<&Costs> = costs.iter().filter(|costs| costs.size == Size::USUAL).collect();
    let contenders: BTreeSet<Contender> = usual.iter().map(|costs| costs.contender).collect();
    let of = |contender: Contender| usual.iter().find(|costs| costs.contender == contender);
    let mut table = heading("wall time / processor time / processes, medians", &contenders);
    for action in ACTIONS {
        let cells = contenders.iter().map(|contender| {
            of(*contender).and_then(|costs| costs.actions.get(action)).map_or_else(String::new, print_cost)
        });
        table += &row(action, cells);
    }
    let guards = contenders.iter().map(|contender| match of(*contender).and_then(|costs| costs.guard) {
        Some(guard) => {
            format!("{:.1} % of a processor, {:.1} MiB", guard.share * 100.0, guard.memory as f64 / 1048576.0)
        }
        None => "none".into(),
    });
    table + &row("its guard, at rest", guards)
}

fn print_cost(cost: &Cost) -> String {
    let processes = cost.processes.map_or("?".into(), |processes| processes.to_string());
    format!("{} / {} / {processes}", milliseconds(cost.wall), milliseconds(cost.cpu))
}

/// What an address's actions cost: a row for each, a column for each agent.
pub(crate) fn render_addresses(costs: &[AddressCosts]) -> String {
    let names: Vec<&str> = costs.iter().map(|costs| costs.name.as_str()).collect();
    let mut table = format!(
        "| wall time / processor time / processes, medians | {} |\n|---|{}\n",
        names.join(" | "),
        "---|".repeat(names.len())
    );
    for (action, shown) in [("start", "start"), ("stop", "stop"), ("monitor-unpromoted", "monitor")] {
        let cells = costs.iter().map(|costs| costs.actions.get(action).map_or_else(String::new, print_cost));
        table += &row(shown, cells);
    }
    table
}

/// How the costs of one contender grow: a row for each size, a column for each action.
pub(crate) fn render_sizes(costs: &[Costs]) -> String {
    let columns = ["monitor-promoted", "monitor-unpromoted", "promote", "demote", "notify"];
    let mut table =
        format!("| wall time, medians | {} |\n|---|{}\n", columns.join(" | "), "---|".repeat(columns.len()));
    for costs in costs.iter().filter(|costs| costs.contender == Contender::Rustha) {
        let Size { nodes, databases, intervals } = costs.size;
        let mut name = format!("{nodes} nodes");
        if databases > 0 {
            name += &format!(", {databases} databases");
        }
        if intervals > 1 {
            name += &format!(", {intervals} intervals of GTIDs");
        }
        let cells = columns.iter().map(|action| milliseconds(costs.actions.get(*action).and_then(|cost| cost.wall)));
        table += &row(&name, cells);
    }
    table
}

fn heading(what: &str, contenders: &BTreeSet<Contender>) -> String {
    let names: Vec<String> = contenders.iter().map(Contender::to_string).collect();
    format!("| {what} | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()))
}

fn row(name: &str, cells: impl Iterator<Item = String>) -> String {
    format!("| {name} | {} |\n", cells.collect::<Vec<_>>().join(" | "))
}

fn seconds(time: Option<Duration>) -> String {
    time.map_or("never".into(), |time| format!("{:.2}", time.as_secs_f64()))
}

fn milliseconds(time: Option<Duration>) -> String {
    time.map_or("?".into(), |time| format!("{:.1} ms", time.as_secs_f64() * 1000.0))
}

#[cfg(test)]
mod tests {
    use super::super::address::Address;
    use super::super::trial::{Kind, Outcome};
    use super::super::trials::Series;
    use super::*;
    use crate::ledger::Record;

    fn played(contender: Contender, without: &[Option<u64>], lost: usize) -> Played {
        let outcome = |time: &Option<u64>| Outcome {
            fault: Duration::ZERO,
            without: time.map(Duration::from_millis),
            lost: Some(lost),
            record: Record::default(),
        };
        let series = Series {
            contender,
            kind: Kind::KillDaemon,
            interval: Duration::from_secs(2),
            runs: without.len(),
            address: Address::Ipaddr2,
        };
        Played { series, outcomes: without.iter().map(outcome).collect(), broken: 0 }
    }

    #[test]
    fn contenders_stand_side_by_side_and_losses_are_told() {
        let all = [
            played(Contender::HeartbeatMysql, &[Some(8000), None, Some(7900)], 2),
            played(Contender::Rustha, &[Some(900), Some(1000), Some(800)], 0),
        ];
        let table = render_trials(&all);
        assert!(
            table.starts_with(
                "| seconds without acknowledged writes, median (worst) | rustha:mysql | heartbeat:mysql |\n"
            )
        );
        assert!(
            table.contains("| kill-daemon, monitor every 2 s | 0.90 (1.00) | 8.00 (never), 6 writes lost |"),
            "{table}"
        );
    }
}
