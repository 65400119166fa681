//! `rustha divergence`: what only this node has or had, in events and rows, and where it was saved.

use serde::Serialize;

use super::{Here, answer};
use crate::agents::mysql::provision::{Saved, divergences};

/// The answer.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Divergence {
    /// What this node has now that its primary has not; `null`: nothing.
    now: Option<String>,
    /// What was saved of it, the oldest first.
    saved: Vec<File>,
}

/// A binary log file with what only this node had.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct File {
    /// Its path on this node.
    file: String,
    /// Its size.
    bytes: u64,
    /// What it changes, row by row.
    changes: Vec<Change>,
    /// What it changes, by statements.
    statements: Vec<String>,
}

/// Changes of one kind, in one table.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Change {
    /// For example ``INSERT INTO `app`.`t` ``.
    change: String,
    /// How many rows.
    rows: u64,
}

/// Runs the command; the exit status.
pub fn run(here: &Here) -> i32 {
    let outcome = here.find().and_then(|call| divergences(&call));
    let is_failed = outcome.is_err();
    let outcome = outcome.and_then(|(now, saved)| {
        let text = to_text(now.as_deref(), &saved);
        Ok((serde_json::to_value(Divergence { now, saved: saved.into_iter().map(file).collect() })?, text))
    });
    answer(here.json, outcome) | i32::from(is_failed)
}

fn file(saved: Saved) -> File {
    let changes = saved.rows.into_iter().map(|(change, rows)| Change { change, rows }).collect();
    File { file: saved.path.display().to_string(), bytes: saved.bytes, changes, statements: saved.statements }
}

fn to_text(now: Option<&str>, saved: &[Saved]) -> String {
    let mut lines = vec![match now {
        Some(need) => format!("Not saved yet: {need}"),
        None => "This node has nothing that the primary has not.".into(),
    }];
    if saved.is_empty() {
        lines.push("Nothing was ever saved here.".into());
    }
    for one in saved {
        lines.push(format!("{} ({} bytes):", one.path.display(), one.bytes));
        lines.extend(one.statements.iter().map(|statement| format!("  {statement}")));
        lines.extend(one.rows.iter().map(|(change, rows)| format!("  {change}: {rows} rows")));
    }
    lines.join("\n")
}
