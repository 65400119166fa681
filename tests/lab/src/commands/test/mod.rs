//! `cargo lab test`: everything that must hold, from the formatting to the scenarios on real clusters.

mod play;
mod report;
mod step;

use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail};
use clap::Args;

use crate::interrupt;
use crate::roots::Root;
use crate::scenario::Listed;
use report::Report;
use step::Step;

/// What `test` is told.
#[derive(Args, Debug)]
pub struct Test {
    /// Scenarios or steps; a subject means all of it: cold-start is every cold-start-…
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Also the long scenarios, and each scenario on every root
    #[arg(long)]
    all: bool,
    /// Play the scenarios on this root only: deb12, deb13 or sid
    #[arg(long)]
    root: Option<Root>,
    /// Show what there is, and do nothing
    #[arg(long)]
    list: bool,
    /// Leave the labs of scenarios that failed up
    #[arg(long)]
    keep: bool,
    /// How many scenarios are played at the same time, each on a lab of its own; the default is one a processor
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=16))]
    jobs: Option<u16>,
}

/// Runs the steps and scenarios; whether none of them failed.
pub fn run(test: &Test) -> Result<bool> {
    interrupt::watch()?;
    if test.list {
        return list().map(|()| true);
    }
    let wants_scenarios = test.names.iter().any(|name| Step::ALL.iter().all(|step| step.name() != name));
    // A name that does not exist is told before anything is run.
    let mut scenarios = match wants_scenarios {
        true => Some(test.choose(play::list()?)?),
        false => None,
    };
    let report = Report::start();
    for step in Step::ALL.into_iter().filter(|step| test.wants(*step)) {
        report.run(step.name(), "", || step.run());
    }
    if test.names.is_empty() {
        scenarios = report.need("scenarios", || test.choose(play::list()?));
    }
    test.play(&report, scenarios.unwrap_or_default());
    Ok(report.finish())
}

/// The roots that can be used, each built if it is not there yet.
fn prepare(report: &Report, chosen: &[(Listed, Root)]) -> Vec<Root> {
    let wanted = Root::ALL.into_iter().filter(|root| chosen.iter().any(|(_, of)| of == root));
    wanted
        .filter(|root| play::prepare(*root).map_err(|error| report.fail("build-root", root.name(), &error)).is_ok())
        .collect()
}

impl Test {
    /// Plays what was chosen, several at the same time: most of a scenario is waiting.
    fn play(&self, report: &Report, chosen: Vec<(Listed, Root)>) {
        let usable = prepare(report, &chosen);
        let jobs = self.jobs.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from);
        let queue = Mutex::new(chosen.into_iter().filter(|(_, root)| usable.contains(root)));
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        std::thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| {
                    while let Some((scenario, root)) = next() {
                        report.run(&scenario.name, root.name(), || play::play(&scenario, root, self.keep));
                    }
                });
            }
        });
    }

    fn wants(&self, step: Step) -> bool {
        match self.names.is_empty() {
            true => self.all || !step.is_long(),
            false => self.is_named(step.name()),
        }
    }

    fn is_named(&self, name: &str) -> bool {
        self.names.iter().any(|asked| is_of(name, asked))
    }

    /// What is to be played, and where, in the order of the list.
    fn choose(&self, listed: Vec<Listed>) -> Result<Vec<(Listed, Root)>> {
        let is_there = |asked: &String| {
            Step::ALL.iter().any(|step| step.name() == asked) || listed.iter().any(|found| is_of(&found.name, asked))
        };
        if let Some(unknown) = self.names.iter().find(|asked| !is_there(asked)) {
            bail!("there is no step or scenario {unknown}; see: cargo lab test --list");
        }
        let mut chosen = Vec::new();
        for scenario in listed {
            let is_wanted = match self.names.is_empty() {
                true => self.all || !scenario.long,
                false => self.is_named(&scenario.name),
            };
            let roots = match (self.root, self.all) {
                (Some(root), _) => vec![root],
                (None, true) => Root::ALL.to_vec(),
                (None, false) => scenario.roots.clone(),
            };
            chosen.extend(roots.into_iter().filter(|_| is_wanted).map(|root| (scenario.clone(), root)));
        }
        Ok(chosen)
    }
}

/// Whether it has this name, or belongs to the subject of this name.
fn is_of(name: &str, asked: &str) -> bool {
    name.strip_prefix(asked).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

fn list() -> Result<()> {
    for step in Step::ALL {
        let long = if step.is_long() { " (only with --all or by its name)" } else { "" };
        println!("{:<28} {}{long}", step.name(), step.about());
    }
    for scenario in play::list()? {
        let roots: Vec<_> = scenario.roots.iter().map(|root| root.name()).collect();
        let long = if scenario.long { ", only with --all or by its name" } else { "" };
        println!("{:<28} {}", scenario.name, scenario.about);
        println!("{:<28}   on {}{long}", "", roots.join(", "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str, long: bool) -> Listed {
        Listed { name: name.into(), roots: vec![Root::Deb12, Root::Sid], long, about: String::new() }
    }

    fn chosen(names: &[&str], all: bool, root: Option<Root>) -> Vec<String> {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let test = Test { names, all, root, list: false, keep: false, jobs: None };
        let chosen = test.choose(vec![listed("cold-start-empty", false), listed("power-off", true)]).unwrap();
        chosen.iter().map(|(scenario, root)| format!("{} {root}", scenario.name)).collect()
    }

    #[test]
    fn long_ones_are_played_only_when_asked_for() {
        assert_eq!(chosen(&[], false, None), ["cold-start-empty deb12", "cold-start-empty sid"]);
        assert_eq!(chosen(&["power-off"], false, Some(Root::Sid)), ["power-off sid"]);
        assert_eq!(chosen(&[], true, None).len(), 2 * Root::ALL.len());
    }

    #[test]
    fn a_subject_means_all_of_it_but_a_part_of_a_word_means_nothing() {
        assert!(is_of("cold-start-empty", "cold-start") && !is_of("cold-start-empty", "cold-st"));
        let test =
            Test { names: vec!["nonsense".into()], all: false, root: None, list: false, keep: false, jobs: None };
        assert!(test.choose(vec![listed("cold-start-empty", false)]).is_err());
    }
}
