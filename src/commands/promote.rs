//! `rustha promote --force`: the way out when the cluster refuses to promote anybody, since those that may have acknowledged
//! writes are not there. It says what may be lost, asks, leaves an order in the cluster's configuration with who gave it and when, and
//! follows it. What the promoted instance lacks of what others that are there have, it fetches first, as always.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use nix::unistd::{Uid, User};
use serde::Serialize;

use super::interrupt::Interrupt;
use super::{choose_database, is_promoted_after, read_record};
use crate::agents::mysql::decide::forced::ForcedPromotion;
use crate::agents::mysql::decide::record::{InSync, Record, State};
use crate::agents::mysql::report::{self, Question};
use crate::agents::mysql::status_attribute;
use crate::deadline::Deadline;
use crate::pacemaker::survey::Survey;
use crate::pacemaker::{self, Cluster};
use crate::server::rows::parse_gtids;
use crate::server::version::Vendor;

/// What Pacemaker may take to answer, or to be told.
const ASKING: Duration = Duration::from_secs(15);

/// How long the guards may take to say what their servers have.
const ANSWERING: Duration = Duration::from_secs(6);

/// How often it is looked how far it is.
const LOOK: Duration = Duration::from_millis(500);

/// How long it may take until the instance has seen the order (its monitor) and is promoted.
const PROMOTING: Duration = Duration::from_secs(180);

/// What is to be promoted, and whether it is meant.
#[derive(Args)]
pub struct Options {
    /// Promote the instance on this node, with what it has
    #[arg(long, value_name = "NODE", required = true)]
    force: String,
    /// Acknowledged writes that only others have may be lost
    #[arg(long, required = true)]
    accept_loss: bool,
    /// The database; not needed where the cluster has one only
    #[arg(long, short)]
    resource: Option<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Only say what would be lost, and where it may be
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long, requires = "yes")]
    json: bool,
}

/// What it means, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Forced {
    /// The database.
    resource: String,
    /// The node.
    node: String,
    /// Why the cluster promotes nobody by itself.
    refusal: String,
    /// The nodes on which lost writes could still be.
    could_be_on: Vec<String>,
    /// How many transactions are lost; null: nobody who is there knows.
    lost: Option<u64>,
    /// It is the primary now.
    promoted: bool,
    /// In words.
    text: String,
}

/// Runs the command; the exit status: 0 it is promoted (or would be), 1 it is not.
pub fn run(options: &Options) -> i32 {
    let outcome = force(options);
    let is_done = outcome.as_ref().is_ok_and(|forced| forced.promoted || options.dry_run);
    let shown = outcome.and_then(|forced| Ok((serde_json::to_value(&forced)?, forced.text)));
    super::answer(options.json, shown);
    i32::from(!is_done)
}

fn force(options: &Options) -> Result<Forced> {
    let survey = pacemaker::survey(Deadline::after(ASKING))?;
    let resource = choose_database(&survey, options.resource.as_deref())?;
    let cluster = Cluster::of(&resource, None, Deadline::after(ASKING))?;
    let record = read_record(&cluster, Deadline::after(ASKING))?;
    let record = record.context("nobody was ever promoted here: a new cluster elects by itself")?;
    let lost = count_lost(&survey, &cluster, &resource, &record)?;
    let mut forced = weigh(&survey, &resource, &options.force, &record, lost).map_err(anyhow::Error::msg)?;
    if options.dry_run {
        return Ok(forced);
    }
    if !options.json {
        println!("{}", forced.text);
    }
    if !options.yes && !is_confirmed(&options.force)? {
        bail!("nothing was changed");
    }
    let interrupt = Interrupt::catch()?;
    let order = ForcedPromotion {
        node: options.force.clone(),
        epoch: record.epoch,
        by: caller(&cluster.node),
        at: time(&survey),
    };
    cluster.write_order(Some(&order.to_string()), Deadline::after(ASKING))?;
    let outcome = follow(&cluster, &resource, &order, &interrupt);
    // Also one that failed, or was given up, shall not wait for its moment.
    cluster.write_order(None, Deadline::after(ASKING))?;
    let seconds = outcome?;
    forced.promoted = true;
    forced.text = format!(
        "{} is the primary of {resource}, after {seconds:.1} s, at the risk that is on record now",
        options.force
    );
    Ok(forced)
}

/// How many transactions of the last primary nobody has who is there: known only if it was closed, and has said what it had.
fn count_lost(survey: &Survey, cluster: &Cluster, resource: &str, record: &Record) -> Result<Option<u64>> {
    let Some(last) = record.last.as_deref().filter(|_| record.state == State::Closed) else { return Ok(None) };
    let nodes = survey.running(resource).map(|(node, _)| node.to_string()).collect();
    let reports = report::ask_all(cluster, resource, &nodes, Question::Status, Deadline::after(ANSWERING))?;
    let servers = reports.values().filter_map(|report| report.server.as_ref());
    Ok(lost_of(last, servers.filter_map(|server| Some((server.version.as_str(), server.executed.as_deref()?)))))
}

/// The same, with what the servers that are there have, each with its version.
fn lost_of<'a>(last: &str, servers: impl Iterator<Item = (&'a str, &'a str)>) -> Option<u64> {
    let mut lost: Option<u64> = None;
    for (version, executed) in servers {
        let vendor = if version.starts_with("MariaDB") { Vendor::MariaDb } else { Vendor::MySql };
        let (Ok(last), Ok(executed)) = (parse_gtids(vendor, last), parse_gtids(vendor, executed)) else { continue };
        let lacks = last.minus(&executed).count();
        lost = Some(lost.map_or(lacks, |least| least.min(lacks)));
    }
    lost
}

/// What a forced promotion means. `lost`: how many transactions of the last primary nobody has who is there, if that is known.
///
/// # Errors
/// Why it is not what is needed, or cannot be done.
fn weigh(survey: &Survey, resource: &str, node: &str, record: &Record, lost: Option<u64>) -> Result<Forced, String> {
    if !survey.quorate {
        return Err("this part of the cluster has no quorum: the other one may have a primary".into());
    }
    if survey.maintenance || survey.running(resource).any(|(_, instance)| !instance.managed) {
        return Err("Pacemaker leaves the database alone (maintenance mode, or it is not managed)".into());
    }
    if let Some(primary) = survey.promoted(resource).first() {
        return Err(format!("{primary} is promoted: rustha switchover moves it, and loses nothing"));
    }
    if !survey.running(resource).any(|(name, _)| name == node) {
        return Err(format!("no instance runs on {node}"));
    }
    let refusal = survey.attribute(node, &status_attribute(resource)).unwrap_or("it says nothing of itself yet");
    // One that is there and takes part is fetched from; one that is excluded for a reason of its own is not.
    let said = |name: &str| survey.attribute(name, &status_attribute(resource)).unwrap_or_default();
    let takes_part = |name: &str| !said(name).starts_with("excluded") || said(name) == refusal;
    let running: Vec<&str> = survey.running(resource).map(|(name, _)| name).filter(|name| takes_part(name)).collect();
    let holders = record.sync.iter().flat_map(InSync::all).map(|one| one.node.clone()).chain([record.primary.clone()]);
    let mut could_be_on: Vec<String> =
        holders.filter(|name| name != node && !running.contains(&name.as_str())).collect();
    could_be_on.sort();
    could_be_on.dedup();
    let place = if could_be_on.is_empty() {
        "the data of those that are there".to_string()
    } else {
        format!("{}: bring one of them back, if that is possible, and nothing is lost", could_be_on.join(", "))
    };
    let count = lost.map_or("how many is not known, since the last primary was not closed".into(), |number| {
        format!("at most {number} transactions")
    });
    let text = format!(
        "{resource} on {node}: {refusal}.\nForced, it is promoted with what it and the others that are there have.\n\
         Acknowledged writes may be lost for good: {count}. They could still be on {place}.\n\
         A node that comes back later and has more stays out, with all that it has, until somebody decides (rustha rejoin there)."
    );
    Ok(Forced {
        resource: resource.to_string(),
        node: node.to_string(),
        refusal: refusal.to_string(),
        could_be_on,
        lost,
        promoted: false,
        text,
    })
}

/// Whether a person says so.
fn is_confirmed(node: &str) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("nobody is there to be asked: say --yes");
    }
    print!("Type the name of the node to go on: ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim() == node)
}

/// Follows it; after how many seconds it was done.
fn follow(cluster: &Cluster, resource: &str, order: &ForcedPromotion, interrupt: &Interrupt) -> Result<f64> {
    let node = order.node.as_str();
    let begun = Instant::now();
    let mut last = String::new();
    while begun.elapsed() < PROMOTING {
        if interrupt.is_within(LOOK)? {
            bail!("interrupted: the order is taken back, unless {node} is being promoted already");
        }
        let Ok(survey) = pacemaker::survey(Deadline::after(ASKING)) else { continue };
        // Until it is on record that it was promoted the order is needed.
        if survey.promoted(resource).contains(&node)
            && read_record(cluster, Deadline::after(ASKING))
                .is_ok_and(|record| is_promoted_after(order.epoch, node, record.as_ref()))
        {
            return Ok(begun.elapsed().as_secs_f64());
        }
        last = survey.attribute(node, &status_attribute(resource)).unwrap_or_default().to_string();
    }
    bail!("{node} was not promoted within {} s, and the order is taken back; it says: {last}", PROMOTING.as_secs())
}

/// Who calls this: the person who logged in, also behind sudo (proc(5), loginuid).
fn caller(node: &str) -> String {
    let login = std::fs::read_to_string("/proc/self/loginuid").ok().and_then(|text| text.trim().parse().ok());
    let uid = login.filter(|uid| *uid != u32::MAX).map_or_else(Uid::current, Uid::from_raw);
    let name = User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name);
    format!("{name}@{node}")
}

/// The time, as Pacemaker writes it, in one word.
fn time(survey: &Survey) -> String {
    survey.time.split_whitespace().collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pacemaker::parse::Role;
    use crate::pacemaker::survey::read;

    /// db2 was the primary, and its machine is lost.
    fn survey(change: impl Fn(&mut Survey)) -> Survey {
        let mut survey = read(include_str!("../../tests/fixtures/crm_mon-3.0.3.xml")).expect("readable");
        survey.instances.retain(|instance| instance.node.as_deref() != Some("db2"));
        change(&mut survey);
        survey
    }

    fn weighed(survey: &Survey, node: &str) -> Result<Forced, String> {
        let record = Record::parse("epoch=4 state=open primary=db2 acks=1 members=db1:a,db2:b joining= base=0-1-5");
        weigh(survey, "p_db", node, &record.expect("a record"), None)
    }

    #[test]
    fn it_says_where_what_is_lost_could_still_be() {
        let forced = weighed(&survey(|_| {}), "db3").expect("possible");
        assert_eq!((forced.could_be_on, forced.lost), (vec!["db2".to_string()], None));
        assert!(forced.text.contains("could still be on db2"));
        let broken = survey(|survey| {
            let of_node = survey.attributes.get_mut("db1").expect("a node");
            of_node.insert("p_db-status".into(), "excluded: its SQL thread stopped".into());
        });
        assert_eq!(weighed(&broken, "db3").expect("possible").could_be_on, ["db1", "db2"]);
    }

    #[test]
    fn it_is_only_for_a_cluster_that_promotes_nobody() {
        let promoted = survey(|survey| {
            survey
                .instances
                .iter_mut()
                .filter(|one| one.resource == "p_db")
                .take(1)
                .for_each(|one| one.role = Some(Role::Promoted));
        });
        assert!(weighed(&promoted, "db3").expect_err("refused").contains("rustha switchover"));
        assert!(weighed(&survey(|survey| survey.quorate = false), "db3").expect_err("refused").contains("quorum"));
        assert!(weighed(&survey(|survey| survey.maintenance = true), "db3").expect_err("refused").contains("alone"));
        assert!(weighed(&survey(|_| {}), "db2").expect_err("refused").contains("no instance runs on db2"));
    }

    #[test]
    fn what_is_lost_is_counted_where_the_last_primary_has_said_what_it_had() {
        let servers = [("MariaDB 10.11.18", "0-1-7"), ("MariaDB 10.11.18", "0-1-5")];
        assert_eq!(lost_of("0-1-9", servers.into_iter()), Some(2));
        assert_eq!(lost_of("0-1-9", std::iter::empty()), None);
    }

    #[test]
    fn the_time_is_one_word() {
        assert_eq!(time(&survey(|_| {})), "Sat-Nov-21-09:13:41-2026");
        assert!(caller("db1").ends_with("@db1"));
    }
}
