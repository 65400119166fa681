//! One trial: a cluster under load, a fault, and what the client saw of it.

use std::fmt;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;

use super::contender::Contender;
use crate::fault::Fault;
use crate::ledger::{FinalData, Gap, Ledger, Record};
use crate::scenario::{Bed, writing};

/// What is written before the fault.
const BEFORE: usize = 200;
/// What the first writes may take.
const WRITING: Duration = Duration::from_secs(30);
/// What is not over after this is not recovered.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// What a monitor takes, and Pacemaker to begin with what follows.
const NOTICING: Duration = Duration::from_secs(3);
/// So long is it watched whether what came back stays.
const AFTER: Duration = Duration::from_secs(2);
/// What the cluster may take until nothing is under way, when writes flow again.
const RESTING: Duration = Duration::from_secs(60);
/// What the data of the last primary may take to be read.
const READING: Duration = Duration::from_secs(20);

/// What is done to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Kind {
    /// kill -9 of the primary's server
    KillDaemon,
    /// The primary's machine is switched off
    PowerOff,
    /// A planned move to another node
    Switchover,
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Kind::KillDaemon => "kill-daemon",
            Kind::PowerOff => "power-off",
            Kind::Switchover => "switchover",
        })
    }
}

/// What a client saw.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// When the fault was, since the record's start.
    pub fault: Duration,
    /// All times without acknowledged writes from the fault on, added up. None: writes did not come back.
    pub without: Option<Duration>,
    /// Acknowledged writes that the last primary does not have; of a contender without a database: not known.
    pub lost: Option<usize>,
    /// All that was observed.
    pub record: Record,
}

/// Plays one on a cluster at rest, whose primary is monitored every `interval`; `phase` is how long to wait before the
/// fault, so that the faults of several trials are spread over the time between two monitors.
pub(crate) fn play(
    bed: &Bed,
    contender: Contender,
    kind: Kind,
    interval: Duration,
    phase: Duration,
) -> Result<Outcome> {
    let primary = bed.promoted()?.context("nobody is promoted")?;
    let ledger = Ledger::start(writing(bed.lab(), Box::new(|_| ())))?;
    ledger.wait_for_acknowledged(BEFORE, WRITING).context("before the fault")?;
    sleep(phase);
    let fault = ledger.now();
    ledger.mark(format!("{kind} of {primary}"));
    match kind {
        Kind::KillDaemon => contender.kill(bed, &primary)?,
        Kind::PowerOff => bed.lab().fault(Fault::PowerOff, &primary)?,
        Kind::Switchover => {
            let others = bed.others(&primary);
            let target = others.first().context("there is nowhere to go")?;
            contender.ask_for_move(bed, target)?;
            // Until then the old one goes on acknowledging. To ask the cluster for it would slow it down.
            ledger.wait_until_stopped(fault, PATIENCE)?;
        }
    }
    // A cluster that does not recover is a finding, and no failure of the bench.
    let is_back = ledger.wait_until_written(PATIENCE).is_ok();
    if is_back {
        // A server that was restarted where it was is noticed by the next monitor, which may end the writes once more.
        sleep(interval + NOTICING);
    }
    if is_back && let Err(error) = bed.wait_at_rest(RESTING) {
        ledger.mark(format!("not at rest: {error:#}"));
    }
    sleep(AFTER);
    let record = ledger.stop()?;
    let gaps = record.gaps_since(fault);
    let is_flowing = gaps.iter().all(|gap| gap.ended);
    let lost = if contender.has_database() && is_back { count_lost(bed, &record)? } else { None };
    let without = (is_back && is_flowing).then(|| gaps.iter().map(Gap::length).sum());
    if kind == Kind::Switchover {
        contender.end_move(bed)?;
    }
    Ok(Outcome { fault, without, lost, record })
}

/// What was acknowledged and is not on the primary at the end.
fn count_lost(bed: &Bed, record: &Record) -> Result<Option<usize>> {
    let Some(primary) = bed.promoted()? else { return Ok(None) };
    let mut source = writing(bed.lab(), Box::new(|_| ())).source();
    source.nodes.retain(|node| node.name == primary);
    let verdict = record.verdict(&FinalData::settled(&source, READING)?);
    Ok(Some(verdict.lost.iter().map(|lost| lost.ids.len()).sum()))
}
