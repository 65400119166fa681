//! `rustha divergence`: what only this node has or had, in events and rows, and where it was saved.

use serde_json::{Value, json};

use super::{Here, answer};
use crate::agents::mysql::provision::{Saved, divergences};

/// Runs the command; the exit status.
pub fn run(here: &Here) -> i32 {
    let outcome = here.find().and_then(|call| divergences(&call));
    let is_failed = outcome.is_err();
    let outcome = outcome.map(|(now, saved)| (to_json(now.as_deref(), &saved), to_text(now.as_deref(), &saved)));
    answer(here.json, outcome) | i32::from(is_failed)
}

fn to_json(now: Option<&str>, saved: &[Saved]) -> Value {
    let file = |one: &Saved| {
        let rows: Vec<Value> =
            one.rows.iter().map(|(change, rows)| json!({ "change": change, "rows": rows })).collect();
        json!({ "file": one.path, "bytes": one.bytes, "changes": rows, "statements": one.statements })
    };
    json!({ "now": now, "saved": saved.iter().map(file).collect::<Vec<_>>() })
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
