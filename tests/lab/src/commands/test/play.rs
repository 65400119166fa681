//! Plays scenarios: each on a lab of its own, by a process of its own. Its lab ends with it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};

use super::report::{Failure, Outcome, first_line, place, save};
use crate::host;
use crate::interrupt;
use crate::lab::Lab;
use crate::process::Program;
use crate::roots::Root;
use crate::scenario::{Listed, parse_list};
use crate::workspace;

/// What a scenario may take, and a long one.
const LIMITS: [Duration; 2] = [Duration::from_secs(10 * 60), Duration::from_secs(40 * 60)];

/// How many were begun so far.
static PLAYED: AtomicU32 = AtomicU32::new(0);

/// All scenarios there are.
pub(super) fn list() -> Result<Vec<Listed>> {
    let program = workspace::build_scenarios()?;
    parse_list(&Program::new([program.as_os_str(), "list".as_ref()]).run()?)
}

/// Makes ready what a scenario on this root needs: minutes the first time, with bars of its own.
pub(super) fn prepare(root: Root) -> Result<()> {
    host::ensure_tools()?;
    root.ensure()
}

/// Plays one; keeps the nodes' logs if it fails, and the whole lab if that is wanted.
pub(super) fn play(scenario: &Listed, root: Root, keep: bool) -> Result<Outcome> {
    let lab = lab_name(&scenario.name, root, std::process::id(), PLAYED.fetch_add(1, Ordering::Relaxed));
    interrupt::protect(&lab);
    let result = start_and_watch(scenario, root, &lab);
    let outcome = match result {
        Ok(None) => Ok(Outcome::Passed),
        Ok(Some((reason, said))) => keep_logs(scenario, root, &lab, &said).map(|logs| {
            let kept = if keep { format!("; the lab is kept: cargo lab status --name {lab}") } else { String::new() };
            Outcome::Failed(Failure { reason: reason + &kept, logs: Some(logs) })
        }),
        Err(error) => Err(error),
    };
    let stays = keep && !matches!(outcome, Ok(Outcome::Passed));
    let ended = if stays { Ok(()) } else { Lab::down(&lab) };
    interrupt::release(&lab);
    ended.with_context(|| format!("cannot take the lab {lab} down"))?;
    outcome
}

/// None if the scenario passed, else why not, and all it said.
fn start_and_watch(scenario: &Listed, root: Root, lab: &str) -> Result<Option<(String, String)>> {
    let program = workspace::build_scenarios()?.display().to_string();
    let argv = [&program, "play", &scenario.name, root.name(), lab];
    let played = Program::new(argv).limit(LIMITS[usize::from(scenario.long)]).output();
    Ok(match played {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let reason = find_reason(&output.stderr).map_or_else(|| output.status.to_string(), str::to_owned);
            Some((reason, output.stdout + &output.stderr))
        }
        Err(error) => {
            let said = format!("{error:#}");
            Some((first_line(&said).unwrap_or("it did not end in time").to_owned(), said))
        }
    })
}

fn keep_logs(scenario: &Listed, root: Root, lab: &str, said: &str) -> Result<PathBuf> {
    let name = format!("{}-{root}", scenario.name);
    let logs = save(&name, said)?;
    // A lab that did not even get a record has nothing to keep.
    if let Ok(lab) = Lab::attach(lab) {
        lab.save_logs(&place(&name))?;
    }
    Ok(logs)
}

/// Two who test at the same time get two labs, and so do two scenarios that are played at the same time; 32 characters is
/// all a name may have.
fn lab_name(scenario: &str, root: Root, pid: u32, number: u32) -> String {
    format!("t-{root}-{scenario:.10}-{pid}-{number}")
}

/// The error the scenario ended with, or its panic.
fn find_reason(stderr: &str) -> Option<&str> {
    let error = stderr.lines().rev().find_map(|line| line.strip_prefix("error: "));
    error.or_else(|| stderr.lines().skip_while(|line| !line.contains("panicked at")).nth(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_labs_name_is_never_too_long() {
        assert!(lab_name("a-very-long-name-of-a-scenario", Root::Deb12, 4_194_304, 999).len() <= 32);
    }

    #[test]
    fn an_error_is_preferred_to_what_was_said_before() {
        assert_eq!(find_reason("warning\nerror: lost: 3\nmore").unwrap(), "lost: 3");
        assert_eq!(
            find_reason("thread 'main' panicked at a.rs:1:\nindex out of bounds\n").unwrap(),
            "index out of bounds"
        );
        assert_eq!(find_reason(""), None);
    }
}
