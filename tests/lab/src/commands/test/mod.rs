//! `cargo lab test`: everything that must hold, from the formatting to the scenarios on real clusters.

mod play;
mod report;
mod step;

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
    let mut report = Report::start();
    for step in Step::ALL.into_iter().filter(|step| test.names.is_empty() || test.is_named(step.name())) {
        report.run(step.name(), "", || step.run());
    }
    if test.names.is_empty() {
        scenarios = report.need("scenarios", || test.choose(play::list()?));
    }
    for (scenario, root) in scenarios.iter().flatten() {
        if let Err(error) = play::prepare(*root) {
            report.fail(&scenario.name, root.name(), &error);
            continue;
        }
        report.run(&scenario.name, root.name(), || play::play(scenario, *root, test.keep));
    }
    Ok(report.finish())
}

impl Test {
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
        println!("{:<28} {}", step.name(), step.about());
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
        let test = Test { names, all, root, list: false, keep: false };
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
        let test = Test { names: vec!["nonsense".into()], all: false, root: None, list: false, keep: false };
        assert!(test.choose(vec![listed("cold-start-empty", false)]).is_err());
    }
}
