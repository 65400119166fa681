//! All trials of a contender, one after the other, each on a cluster that is whole. One that does not become whole
//! again by itself is replaced by a new one, and that is counted: its operators would have had work to do.

use std::time::Duration;

use anyhow::{Context, Result};

use super::address::Address;
use super::contender::{Contender, Setting};
use super::trial::{self, Kind, Outcome};
use crate::interrupt;
use crate::lab::{Lab, UpOptions};
use crate::roots::Root;
use crate::scenario::Bed;

/// What a cluster may take to become whole again by itself.
const WHOLE: Duration = Duration::from_secs(45);

/// What is to be played.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Series {
    pub contender: Contender,
    pub kind: Kind,
    pub interval: Duration,
    pub runs: usize,
    pub address: Address,
}

/// How it went.
#[derive(Clone, Debug)]
pub(crate) struct Played {
    pub series: Series,
    pub outcomes: Vec<Outcome>,
    /// After how many of them the cluster did not become whole again by itself.
    pub broken: usize,
}

/// A lab that is taken down at the end, whatever became of what was done in it.
pub(crate) struct Guarded {
    bed: Bed,
    name: String,
}

impl Guarded {
    /// A new one.
    pub(crate) fn up(root: Root, nodes: usize) -> Result<Guarded> {
        let name = format!("bench-{root}-{}", std::process::id());
        interrupt::protect(&name);
        let lab = Lab::up(&UpOptions { name: name.clone(), nodes, root, fencing: false });
        match lab {
            Ok(lab) => Ok(Guarded { bed: Bed::new(lab), name }),
            Err(error) => {
                let _ = Lab::down(&name);
                Err(error)
            }
        }
    }

    pub(crate) fn bed(&self) -> &Bed {
        &self.bed
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if let Err(error) = Lab::down(&self.name) {
            eprintln!("warning: the lab {} is not down: {error:#}", self.name);
        }
        interrupt::release(&self.name);
    }
}

/// Plays a series; `tell` is told each outcome.
pub(crate) fn play(root: Root, series: Series, mut tell: impl FnMut(usize, &Outcome)) -> Result<Played> {
    let mut played = Played { series, outcomes: Vec::new(), broken: 0 };
    let mut lab: Option<Guarded> = None;
    for run in 0..series.runs {
        let guarded = match lab.take() {
            Some(guarded) => guarded,
            None => {
                let guarded = Guarded::up(root, 3)?;
                let setting = Setting { interval: series.interval, is_measured: false, address: series.address };
                series.contender.configure(guarded.bed(), setting)?;
                guarded
            }
        };
        let phase = series.interval * u32::try_from(run)? / u32::try_from(series.runs)?;
        let outcome = trial::play(guarded.bed(), series.contender, series.kind, series.interval, phase)
            .with_context(|| format!("{} {} run {}", series.contender, series.kind, run + 1))?;
        tell(run, &outcome);
        played.outcomes.push(outcome);
        match recover(guarded.bed(), series.contender) {
            Ok(()) => lab = Some(guarded),
            Err(error) => {
                played.broken += 1;
                eprintln!("{}: not whole again by itself: {error:#}", series.contender);
            }
        }
    }
    Ok(played)
}

/// Undoes the fault, and waits until the cluster is whole.
fn recover(bed: &Bed, contender: Contender) -> Result<()> {
    bed.lab().heal()?;
    contender.repair(bed)?;
    if contender == Contender::Rustha {
        // Its scores tell whether the replicas could be promoted; those of the others do not.
        return bed.wait_healthy(WHOLE).map(drop);
    }
    bed.wait_at_rest(WHOLE).map(drop)
}
