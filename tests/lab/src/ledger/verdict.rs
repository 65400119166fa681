//! What a record proves about the cluster, given the data at its end. Pure.
//!
//! **Nothing seen is nothing proven**: an assertion about what was never observed (no acknowledged write, no
//! writable node, no holder of the VIP) fails instead of passing.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::failure::Tally;
use super::final_data::FinalData;
use super::pulse::{Gap, longest_gap};
use super::record::Record;
use super::span::{Overlap, Span, overlaps};

/// Acknowledged writes that a node does not hold at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The node.
    pub node: String,
    /// Their ids, never empty.
    pub ids: Vec<u64>,
}

/// The verdict; displayed for people as aligned lines with a ✓ or ✗ each.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// How long the ledger wrote.
    pub ended: Duration,
    /// Number of acknowledged writes.
    pub acknowledged: usize,
    /// The longest time without an acknowledged write, from the first one on.
    pub longest_gap: Gap,
    /// The caller's last mark before that gap ended.
    pub gap_mark: Option<String>,
    /// Whether writes flowed again when the writing ended.
    pub flowing: bool,
    /// Acknowledged writes that are missing, node by node.
    pub lost: Vec<Lost>,
    /// Number of writes whose outcome is unknown.
    pub unknown: usize,
    /// How many of those are on a node.
    pub unknown_present: usize,
    /// Number of writes that a read-only server refused.
    pub refused: usize,
    /// When two nodes were writable.
    pub two_writable: Vec<Overlap>,
    /// When two nodes held the VIP.
    pub two_vip: Vec<Overlap>,
    /// Whether any node was ever observed writable.
    pub saw_writable: bool,
    /// Whether any node was ever observed to hold the VIP.
    pub saw_vip: bool,
    /// The nodes whose data was compared, with their number of rows.
    pub rows: Vec<(String, usize)>,
    /// How the nodes' data differs; empty if it does not.
    pub differences: Vec<String>,
    /// The writers' failures.
    pub failures: Tally,
}

impl Verdict {
    pub(super) fn of(record: &Record, data: &FinalData) -> Self {
        let longest_gap = longest_gap(&record.times(), record.ended);
        let seen = |nodes: &[(String, Vec<Span>)]| nodes.iter().any(|(_, spans)| !spans.is_empty());
        let is_present = |id: &&u64| data.nodes.iter().any(|node| node.ids.contains(id));
        let last = record.acknowledged.last();
        let tail = last.map(|last| record.ended.saturating_sub(last.at));
        Self {
            ended: record.ended,
            acknowledged: record.acknowledged.len(),
            gap_mark: record.mark_before(longest_gap.to).map(str::to_owned),
            longest_gap,
            flowing: tail.is_some_and(|tail| tail <= record.counted_gap),
            lost: find_lost(record, data),
            unknown: record.unknown.len(),
            unknown_present: record.unknown.iter().filter(is_present).count(),
            refused: record.refused.len(),
            two_writable: overlaps(&record.writable),
            two_vip: overlaps(&record.vip),
            saw_writable: seen(&record.writable),
            saw_vip: seen(&record.vip),
            rows: data.nodes.iter().map(|node| (node.node.clone(), node.ids.len())).collect(),
            differences: find_differences(data),
            failures: Tally::between(&record.failures, Duration::ZERO, Duration::MAX),
        }
    }

    /// Every acknowledged write is on every given node.
    ///
    /// # Errors
    /// With the nodes and ids, or if nothing was acknowledged or no node was read.
    pub fn assert_nothing_lost(&self) -> Result<()> {
        ensure!(self.acknowledged > 0, "no write was acknowledged, so none could be lost");
        ensure!(!self.rows.is_empty(), "no node's data was read at the end");
        if !self.lost.is_empty() {
            bail!("acknowledged writes were lost: {}", self.lost_text());
        }
        Ok(())
    }

    /// Never were two nodes writable at once.
    ///
    /// # Errors
    /// With the nodes and times, or if no node was ever seen writable.
    pub fn assert_one_writer(&self) -> Result<()> {
        ensure!(self.saw_writable, "no node was ever seen writable, so the watchers prove nothing");
        ensure!(self.two_writable.is_empty(), "two nodes were writable {}", overlap_text(&self.two_writable));
        Ok(())
    }

    /// Never did two nodes hold the VIP at once.
    ///
    /// # Errors
    /// With the nodes and times, or if no node was ever seen to hold it.
    pub fn assert_one_vip(&self) -> Result<()> {
        ensure!(self.saw_vip, "no node was ever seen to hold the VIP, so the watchers prove nothing");
        ensure!(self.two_vip.is_empty(), "two nodes held the VIP {}", overlap_text(&self.two_vip));
        Ok(())
    }

    /// All given nodes ended with the same data.
    ///
    /// # Errors
    /// With the differences, or if no node was read.
    pub fn assert_same_data(&self) -> Result<()> {
        ensure!(!self.rows.is_empty(), "no node's data was read at the end");
        ensure!(self.differences.is_empty(), "the nodes' data differs: {}", self.differences.join("; "));
        Ok(())
    }

    /// Writes flowed when the writing ended.
    ///
    /// # Errors
    /// If they did not.
    pub fn assert_flowing(&self) -> Result<()> {
        ensure!(self.acknowledged > 0, "no write was acknowledged");
        ensure!(self.flowing, "writes did not come back: {}", self.gap_text());
        Ok(())
    }

    /// No time without writes was longer than `limit`.
    ///
    /// # Errors
    /// With the longest one, or if nothing was acknowledged.
    pub fn assert_gap_within(&self, limit: Duration) -> Result<()> {
        ensure!(self.acknowledged > 0, "no write was acknowledged");
        ensure!(
            self.longest_gap.length() <= limit,
            "no write for longer than {:.3} s: {}",
            limit.as_secs_f64(),
            self.gap_text()
        );
        Ok(())
    }

    /// All that must hold whatever the fault was: nothing lost, one writer, one VIP, the same data, and
    /// writes flow again.
    ///
    /// # Errors
    /// With every one that does not hold.
    pub fn assert_sound(&self) -> Result<()> {
        let checks = [
            self.assert_nothing_lost(),
            self.assert_one_writer(),
            self.assert_one_vip(),
            self.assert_same_data(),
            self.assert_flowing(),
        ];
        let failed: Vec<_> =
            checks.into_iter().filter_map(|check| check.err().map(|error| error.to_string())).collect();
        ensure!(failed.is_empty(), "{}", failed.join("\n"));
        Ok(())
    }

    fn lost_text(&self) -> String {
        let nodes = self.lost.iter().map(|lost| format!("{} on {}", ids_text(&lost.ids), lost.node));
        nodes.collect::<Vec<_>>().join("; ")
    }

    fn gap_text(&self) -> String {
        let Gap { from, to, ended } = self.longest_gap;
        let mut text = format!(
            "{:.3} s, from {:.3}s to {}{:.3}s",
            self.longest_gap.length().as_secs_f64(),
            from.as_secs_f64(),
            if ended { "" } else { "the end at " },
            to.as_secs_f64()
        );
        if let Some(mark) = &self.gap_mark {
            text += &format!(", after \"{mark}\"");
        }
        text
    }

    fn data_text(&self) -> String {
        if !self.differences.is_empty() {
            return self.differences.join("; ");
        }
        let rows = self.rows.first().map_or(0, |(_, rows)| *rows);
        let names: Vec<_> = self.rows.iter().map(|(name, _)| name.as_str()).collect();
        format!("{rows} rows on {}", names.join(", "))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_why = |check: Result<()>, good: &str| match check {
            Ok(()) => ('✓', good.to_owned()),
            Err(why) => ('✗', why.to_string()),
        };
        let unknown = format!(
            "{} ({} of them in the table); refused while read-only: {}",
            self.unknown, self.unknown_present, self.refused
        );
        let flowing = if self.flowing { '✓' } else { '✗' };
        let lines = [
            (flowing, "acknowledged writes", format!("{} in {:.1} s", self.acknowledged, self.ended.as_secs_f64())),
            (flowing, "longest time without", self.gap_text()),
            with_label("acknowledged and lost", or_why(self.assert_nothing_lost(), "none")),
            ('·', "outcome unknown", unknown),
            with_label("two writable nodes", or_why(self.assert_one_writer(), "never")),
            with_label("two holders of the VIP", or_why(self.assert_one_vip(), "never")),
            with_label("same data at the end", or_why(self.assert_same_data(), &self.data_text())),
            ('·', "failed attempts", self.failures.to_string()),
        ];
        for (i, (sign, label, text)) in lines.iter().enumerate() {
            let before = if i == 0 { "" } else { "\n" };
            write!(f, "{before}{sign} {label:<23} {text}")?;
        }
        Ok(())
    }
}

fn with_label(label: &str, (sign, text): (char, String)) -> (char, &str, String) {
    (sign, label, text)
}

fn find_lost(record: &Record, data: &FinalData) -> Vec<Lost> {
    let lost = data.nodes.iter().map(|node| Lost {
        node: node.node.clone(),
        ids: record.acknowledged.iter().map(|ack| ack.id).filter(|id| !node.ids.contains(id)).collect(),
    });
    lost.filter(|lost| !lost.ids.is_empty()).collect()
}

/// What each node lacks of what any node has; and, where the ids are the same, what the checksums say.
fn find_differences(data: &FinalData) -> Vec<String> {
    let all: BTreeSet<u64> = data.nodes.iter().flat_map(|node| node.ids.iter().copied()).collect();
    let mut found = Vec::new();
    for node in &data.nodes {
        let missing: Vec<u64> = all.difference(&node.ids).copied().collect();
        if !missing.is_empty() {
            found.push(format!("{} lacks {}", node.node, ids_text(&missing)));
        }
    }
    let mut checksums = data.nodes.iter().map(|node| node.checksum);
    let first = checksums.next().flatten();
    if found.is_empty() && checksums.any(|checksum| checksum != first) {
        found.push("same ids, but not the same checksum".to_owned());
    }
    found
}

fn ids_text(ids: &[u64]) -> String {
    let shown: Vec<_> = ids.iter().take(3).map(u64::to_string).collect();
    let more = if ids.len() > shown.len() { ", …" } else { "" };
    let rows = if ids.len() == 1 { "row" } else { "rows" };
    format!("{} {rows} ({}{more})", ids.len(), shown.join(", "))
}

fn overlap_text(overlaps: &[Overlap]) -> String {
    let Some(longest) = overlaps.iter().max_by_key(|overlap| overlap.length()) else {
        return "never".to_owned();
    };
    format!(
        "{}×, longest {:.3} s ({} and {} from {:.3}s)",
        overlaps.len(),
        longest.length().as_secs_f64(),
        longest.nodes[0],
        longest.nodes[1],
        longest.from.as_secs_f64()
    )
}

#[cfg(test)]
mod tests;
