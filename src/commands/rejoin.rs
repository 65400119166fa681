//! `rustha rejoin` and `rustha provision`: what would happen on this node and why; do it, and say how far it is.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::Serialize;
use serde_json::Value;

use super::{Here, answer};
use crate::agents::mysql::provision::{self, NOT_PROVISIONED, Order, Plan};
use crate::ocf::env::Invocation;

/// How often it is looked how far it is.
const LOOK: Duration = Duration::from_secs(1);

/// How long the instance may say nothing else than before: its guard looks every few seconds.
const PATIENCE: Duration = Duration::from_secs(1800);

/// Runs the command; the exit status.
pub fn run(here: &Here, order: &Order, is_dry: bool) -> i32 {
    let outcome = here.find().and_then(|call| {
        let plan = provision::plan(&call, order)?;
        let nothing_to_do = plan.need.is_none() && !order.is_for_new_data && plan.status.starts_with("replica of ");
        if is_dry || nothing_to_do {
            return Ok((to_json(&plan, order)?, to_text(&plan, order)));
        }
        if !here.json {
            println!("{}", to_text(&plan, order));
        }
        provision::give_order(&call, order)?;
        follow(&call, &plan.status, here.json)
    });
    let is_failed = outcome.is_err();
    answer(here.json, outcome) | i32::from(is_failed)
}

/// Follows it to its end. Who interrupts this interrupts nothing else.
fn follow(call: &Invocation, before: &str, is_quiet: bool) -> Result<(Value, String)> {
    let is_terminal = std::io::stdout().is_terminal();
    let (mut last, mut changed) = (String::new(), Instant::now());
    let mut has_begun = false;
    loop {
        // While its server is restarted, nobody may know.
        let (status, is_whole) = provision::look(call).unwrap_or_default();
        if status != last && !status.is_empty() {
            changed = Instant::now();
            if !is_quiet && !is_whole {
                let (start, end) = if is_terminal { ("\r\x1b[K", "") } else { ("", "\n") };
                print!("{start}{status}{end}");
                let _ = std::io::stdout().flush();
            }
            last.clone_from(&status);
        }
        if is_whole {
            if is_terminal && !is_quiet {
                println!();
            }
            return Ok((serde_json::to_value(Ended { status: status.clone() })?, status));
        }
        has_begun |= !status.is_empty() && status != before;
        // Not what an earlier attempt has left there.
        if has_begun && status.starts_with(NOT_PROVISIONED) {
            bail!("{status}");
        }
        if changed.elapsed() > PATIENCE {
            bail!("this node has said nothing new for {} s; the last was: {last}", PATIENCE.as_secs());
        }
        std::thread::sleep(LOOK);
    }
}

/// What would happen, or has to.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Planned {
    /// The resource.
    resource: String,
    /// This node.
    node: String,
    /// What the instance says of itself.
    status: String,
    /// Why it cannot replicate with what it has; `null`: it can.
    need: Option<String>,
    /// What it does without an order.
    without_an_order: String,
    /// Its data are replaced by those of another node.
    replaces_data: bool,
    /// It has transactions that nobody else has, which are saved first.
    saves_divergence: bool,
    /// From whom it would get data, in this order.
    donors: Vec<String>,
    /// How, in this order.
    methods: Vec<String>,
}

/// What became of it.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ended {
    /// What the instance says of itself now.
    status: String,
}

fn to_json(plan: &Plan, order: &Order) -> Result<Value> {
    let planned = Planned {
        resource: plan.resource.clone(),
        node: plan.node.clone(),
        status: plan.status.clone(),
        need: plan.need.clone(),
        without_an_order: plan.by_itself.clone(),
        replaces_data: replaces(plan, order),
        saves_divergence: plan.saves,
        donors: plan.donors.clone(),
        methods: plan.methods.clone(),
    };
    Ok(serde_json::to_value(planned)?)
}

fn replaces(plan: &Plan, order: &Order) -> bool {
    (plan.need.is_some() && !plan.keeps_data) || order.is_for_new_data
}

fn to_text(plan: &Plan, order: &Order) -> String {
    let mut lines = vec![format!("{} on {}: {}", plan.resource, plan.node, plan.status)];
    if let Some(need) = &plan.need {
        lines.push(format!("It cannot replicate with the data that it has: {need}."));
    }
    if plan.keeps_data && !order.is_for_new_data {
        lines.push("But those change nothing (ANALYZE, OPTIMIZE, FLUSH): they are saved, and its data stay.".into());
        return lines.join("\n");
    }
    if !replaces(plan, order) {
        lines.push("It can replicate with the data that it has.".into());
        return lines.join("\n");
    }
    if plan.saves {
        lines.push("What only it has is saved first.".into());
    }
    lines.push(format!(
        "Its data are replaced by those of {}, by {}.",
        plan.donors.join(", else "),
        plan.methods.join(", else ")
    ));
    lines.push("The old data are kept beside the new ones, in .rustha-replaced in the data directory.".into());
    lines.push(format!("Without an order: {}.", plan.by_itself));
    lines.join("\n")
}
