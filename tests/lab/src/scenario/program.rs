//! The program made of the scenarios: lists them, or plays one. `cargo lab test` runs it, once a scenario and root,
//! so that neither a panic nor a scenario that never ends takes the others with it.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use nix::sys::prctl;
use nix::sys::signal::Signal;

use super::{Bed, Scenario};
use crate::lab::{Lab, UpOptions};
use crate::roots::Root;

/// What one line of the list says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub name: String,
    pub roots: Vec<Root>,
    pub long: bool,
    pub about: String,
}

/// Is the program. `all` holds the scenarios, subject by subject.
pub fn main(all: &[&[Scenario]]) -> ExitCode {
    match run(&all.concat()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(all: &[Scenario]) -> Result<()> {
    let argv: Vec<String> = std::env::args().skip(1).collect();
    match argv.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["list"] => {
            all.iter().for_each(|scenario| println!("{}", line(scenario)));
            Ok(())
        }
        ["play", name, root, lab] => {
            let found = all.iter().find(|scenario| scenario.name == *name);
            play(found.with_context(|| format!("there is no scenario {name}"))?, root.parse()?, lab)
        }
        _ => bail!("scenarios are played by: cargo lab test"),
    }
}

fn play(scenario: &Scenario, root: Root, lab: &str) -> Result<()> {
    // Whoever plays this takes the lab down; when it is gone, nobody would end this process.
    prctl::set_pdeathsig(Signal::SIGKILL).context("cannot ask to end with the caller")?;
    let options = UpOptions { name: lab.into(), nodes: scenario.nodes, root, fencing: scenario.fencing };
    let bed = Bed::new(Lab::up(&options)?);
    println!("the lab {lab} is up: {} nodes on {root}", scenario.nodes);
    (scenario.run)(&bed)
}

fn line(scenario: &Scenario) -> String {
    let names = |roots: &[Root]| roots.iter().map(|root| root.name()).collect::<Vec<_>>().join(",");
    let long = if scenario.long { "long" } else { "" };
    [scenario.name, &names(scenario.roots), long, scenario.about].join("\t")
}

/// Reads what `list` printed.
pub(crate) fn parse_list(text: &str) -> Result<Vec<Listed>> {
    let roots = |names: &str| names.split(',').filter(|name| !name.is_empty()).map(str::parse).collect::<Result<_>>();
    let listed = text.lines().map(|line| match line.split('\t').collect::<Vec<_>>().as_slice() {
        [name, first, long, about] => Ok(Listed {
            name: (*name).to_owned(),
            roots: roots(first)?,
            long: !long.is_empty(),
            about: (*about).to_owned(),
        }),
        _ => bail!("not a line of the scenarios' list: {line}"),
    });
    listed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_listed_is_read_back() {
        let scenario = Scenario {
            name: "cold-start-empty",
            about: "An empty cluster elects one.",
            roots: &[Root::Deb12, Root::Sid],
            long: true,
            nodes: 3,
            fencing: false,
            run: |_| Ok(()),
        };
        let listed = parse_list(&line(&scenario)).unwrap().remove(0);
        assert_eq!((listed.name.as_str(), listed.long), (scenario.name, true));
        assert_eq!(listed.roots, [Root::Deb12, Root::Sid]);
    }
}
