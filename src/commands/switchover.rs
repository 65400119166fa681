//! `rustha switchover`: the primary is moved on purpose. The target's promotion score is raised; everything else do Pacemaker
//! and the agent: the old primary closes, the target proves that it has everything, and if it cannot, the old one goes on.
//! No constraint is left behind. Interrupted before the old primary has begun to close, it is taken back.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;

use super::interrupt::Interrupt;
use super::{choose_database, is_promoted_after, read_record, reader_attribute};
use crate::agents::mysql::decide::record::Record;
use crate::agents::mysql::{REPLICA, TARGET, status_attribute};
use crate::deadline::Deadline;
use crate::pacemaker::survey::Survey;
use crate::pacemaker::{self, Cluster, Score};

/// What Pacemaker may take to answer, or to be told.
const ASKING: Duration = Duration::from_secs(15);

/// How often it is looked how far it is.
const LOOK: Duration = Duration::from_millis(300);

/// How long it may take until it is over, one way or the other: two actions with their time-outs.
const MOVING: Duration = Duration::from_secs(300);

/// What is to be moved, and where.
#[derive(Args)]
pub struct Options {
    /// The database; not needed where the cluster has one only
    #[arg(long, short)]
    resource: Option<String>,
    /// To this node; the default is a replica that is in sync, one that clients may read from first
    #[arg(long, value_name = "NODE")]
    to: Option<String>,
    /// Wait so many seconds for the target to be in sync, instead of refusing
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
    /// Only say what would happen
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Answer {
    /// The database.
    resource: String,
    /// The primary before.
    from: String,
    /// The target.
    to: String,
    /// What became of it.
    result: Ending,
    /// In words.
    text: String,
}

/// How a move ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
enum Ending {
    /// It would be done.
    Possible,
    /// The target was the primary.
    Already,
    /// The target is the primary now.
    Moved,
    /// It was interrupted, and the old primary goes on.
    TakenBack,
    /// The target was not promoted.
    Failed,
}

/// What stands in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Obstacle {
    /// It may pass by itself.
    Passing(String),
    /// Somebody has to do something.
    Lasting(String),
}

/// Runs the command; the exit status: 0 it is there, 1 it is not.
pub fn run(options: &Options) -> i32 {
    let outcome = switch(options);
    let is_there =
        matches!(outcome.as_ref().map(|answer| answer.result), Ok(Ending::Possible | Ending::Already | Ending::Moved));
    let shown = outcome.and_then(|answer| Ok((serde_json::to_value(&answer)?, answer.text)));
    super::answer(options.json, shown);
    i32::from(!is_there)
}

fn switch(options: &Options) -> Result<Answer> {
    let say = |text: &str| {
        if !options.json {
            println!("{text}");
        }
    };
    let interrupt = Interrupt::catch()?;
    let patience = Deadline::after(Duration::from_secs(options.wait));
    let mut said = String::new();
    let (resource, from, to) = loop {
        let survey = pacemaker::survey(Deadline::after(ASKING))?;
        let resource = choose_database(&survey, options.resource.as_deref())?;
        let readable = reader_attribute(&resource, Deadline::after(ASKING))?;
        match plan(&survey, &resource, options.to.as_deref(), readable.as_deref()) {
            Ok((from, to)) => break (resource, from, to),
            Err(Obstacle::Passing(why)) if !patience.is_over() => {
                if why != said {
                    say(&format!("waiting: {why}"));
                    said = why;
                }
            }
            Err(Obstacle::Passing(why) | Obstacle::Lasting(why)) => bail!("{resource} is not moved: {why}"),
        }
        if interrupt.is_within(LOOK)? {
            bail!("interrupted: nothing was changed");
        }
    };
    let answer = |result, text: String| {
        Ok(Answer { resource: resource.clone(), from: from.clone(), to: to.clone(), result, text })
    };
    if from == to {
        return answer(Ending::Already, format!("{to} is the primary of {resource} already"));
    }
    if options.dry_run {
        return answer(Ending::Possible, format!("{resource} would be moved from {from} to {to}, which is in sync"));
    }
    say(&format!("moving {resource} from {from} to {to}; Ctrl-C takes it back until {from} begins to close"));
    let target = Cluster::of(&resource, Some(&to), Deadline::after(ASKING))?;
    let epoch = read_record(&target, Deadline::after(ASKING))?.map_or(0, |record| record.epoch);
    target.set_score(TARGET, Deadline::after(ASKING))?;
    let begun = Instant::now();
    let mut follow = Follow { resource: &resource, from: &from, to: &to, epoch, begun, said: String::new() };
    loop {
        let seen = pacemaker::survey(Deadline::after(ASKING))
            .and_then(|survey| Ok((survey, read_record(&target, Deadline::after(ASKING))?)));
        let step = seen.map(|(survey, record)| follow.look(&survey, record.as_ref()));
        match &step {
            Ok(Step::Done) => {
                return answer(
                    Ending::Moved,
                    format!("{to} is the primary of {resource}, after {:.1} s", follow.seconds()),
                );
            }
            Ok(Step::Failed(why)) => return answer(Ending::Failed, format!("{to} was not promoted: {why}")),
            Ok(Step::Under(what)) if follow.is_news(what) => say(what),
            Ok(Step::Before | Step::Under(_)) => {}
            Err(error) => say(&format!("Pacemaker does not answer: {error:#}")),
        }
        if interrupt.is_within(LOOK)? {
            if !matches!(step, Ok(Step::Before)) {
                say("too late to take it back: it is under way");
                continue;
            }
            target.set_score(REPLICA, Deadline::after(ASKING))?;
            return answer(Ending::TakenBack, format!("taken back: {from} goes on as the primary of {resource}"));
        }
        if follow.begun.elapsed() > MOVING {
            bail!("{to} is not the primary of {resource} after {} s: see crm_mon -Af", MOVING.as_secs());
        }
    }
}

/// From where to where the primary is moved. `readable`: the attribute that says where clients may read.
fn plan(
    survey: &Survey,
    resource: &str,
    to: Option<&str>,
    readable: Option<&str>,
) -> Result<(String, String), Obstacle> {
    let lasting = |why: &str| Err(Obstacle::Lasting(why.into()));
    if !survey.quorate {
        return lasting("this part of the cluster has no quorum");
    }
    if survey.maintenance || survey.running(resource).any(|(_, instance)| !instance.managed) {
        return lasting("Pacemaker leaves it alone (maintenance mode, or it is not managed)");
    }
    let promoted = survey.promoted(resource);
    let from = match promoted.as_slice() {
        [from] => (*from).to_string(),
        [] => return Err(Obstacle::Passing("nobody is promoted: there is no primary to move".into())),
        several => return Err(Obstacle::Lasting(format!("{} are promoted", several.join(" and ")))),
    };
    let score = |node: &str| survey.attribute(node, &format!("master-{resource}")).unwrap_or_default().to_string();
    let is_ready = |node: &str| [REPLICA, TARGET].iter().any(|ready| ready.to_string() == score(node));
    let why_not = |node: &str| {
        let status = survey.attribute(node, &status_attribute(resource));
        format!("{node} is not in sync: {}", status.unwrap_or("it says nothing of itself yet"))
    };
    let replicas: Vec<&str> = survey.running(resource).map(|(node, _)| node).filter(|node| *node != from).collect();
    match to {
        Some(to) if to == from => Ok((from.clone(), from)),
        Some(to) if !survey.members.iter().any(|member| member.name == to) => {
            Err(Obstacle::Lasting(format!("{to} is no node of this cluster")))
        }
        Some(to) if !replicas.contains(&to) => Err(Obstacle::Lasting(format!("no instance runs on {to}"))),
        Some(to) if !is_ready(to) => Err(Obstacle::Passing(why_not(to))),
        Some(to) => Ok((from, to.to_string())),
        None => {
            let mut ready: Vec<&str> = replicas.iter().copied().filter(|node| is_ready(node)).collect();
            // One that clients read from is warm.
            let is_readable = |node: &str| readable.and_then(|name| survey.attribute(node, name)) == Some("1");
            ready.sort_by_key(|node| (!is_readable(node), *node));
            match (ready.first(), replicas.first()) {
                (Some(to), _) => Ok((from, (*to).to_string())),
                (None, None) => lasting("it has no replica"),
                (None, Some(_)) => {
                    let all: Vec<String> = replicas.iter().map(|node| why_not(node)).collect();
                    Err(Obstacle::Passing(all.join("; ")))
                }
            }
        }
    }
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// Nothing has begun: it can be taken back.
    Before,
    /// This is being done.
    Under(String),
    /// The target is the primary.
    Done,
    /// It will not be.
    Failed(String),
}

/// What it follows.
struct Follow<'a> {
    resource: &'a str,
    from: &'a str,
    to: &'a str,
    /// The last promotion before.
    epoch: u64,
    begun: Instant,
    said: String,
}

impl Follow<'_> {
    fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    fn is_news(&mut self, what: &str) -> bool {
        let is_news = self.said != what;
        self.said = what.to_string();
        is_news
    }

    fn look(&self, survey: &Survey, record: Option<&Record>) -> Step {
        let Self { resource, from, to, epoch, .. } = self;
        let promoted = survey.promoted(resource);
        let pending = |node: &str| {
            let instance = survey.running(resource).find(|(name, _)| *name == node);
            instance.and_then(|(_, instance)| instance.pending.as_deref())
        };
        if promoted.contains(to) && is_promoted_after(*epoch, to, record) {
            return Step::Done;
        }
        let score = survey.attribute(to, &format!("master-{resource}")).unwrap_or_default();
        if score == Score::Never.to_string() {
            let failure = survey
                .failures
                .iter()
                .find(|failure| failure.resource == *resource && failure.node == *to && failure.action == "promote");
            let status = survey.attribute(to, &status_attribute(resource)).unwrap_or_default();
            let why = failure.map_or(status, |failure| failure.reason.as_str());
            let goes_on = if promoted.contains(from) { format!("; {from} goes on") } else { String::new() };
            return Step::Failed(format!("{why}{goes_on}"));
        }
        match (promoted.contains(from), pending(from), pending(to)) {
            (true, None, None) => Step::Before,
            (true, ..) => Step::Under(format!("{from} closes: running statements have one second")),
            (false, ..) => Step::Under(format!("{to} proves that it has everything that {from} had")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pacemaker::parse::Role;
    use crate::pacemaker::survey::{Failure, read};

    /// db2 is the primary, the others are in sync.
    fn survey(change: impl Fn(&mut Survey)) -> Survey {
        let mut survey = read(include_str!("../../tests/fixtures/crm_mon-3.0.3.xml")).expect("readable");
        survey.failures.clear();
        change(&mut survey);
        survey
    }

    fn set(survey: &mut Survey, node: &str, name: &str, value: &str) {
        survey.attributes.get_mut(node).expect("a node").insert(name.into(), value.into());
    }

    fn planned(survey: &Survey, to: Option<&str>) -> String {
        match plan(survey, "p_db", to, Some("readable")) {
            Ok((from, to)) => format!("{from} to {to}"),
            Err(Obstacle::Passing(why)) => format!("not yet: {why}"),
            Err(Obstacle::Lasting(why)) => format!("no: {why}"),
        }
    }

    #[test]
    fn a_replica_in_sync_is_chosen_the_readable_one_first() {
        assert_eq!(planned(&survey(|_| {}), None), "db2 to db1");
        assert_eq!(planned(&survey(|survey| set(survey, "db1", "readable", "0")), None), "db2 to db3");
        assert_eq!(planned(&survey(|_| {}), Some("db3")), "db2 to db3");
        assert_eq!(planned(&survey(|_| {}), Some("db2")), "db2 to db2");
    }

    #[test]
    fn whoever_is_not_in_sync_is_waited_for_or_refused_with_its_reason() {
        let cut = survey(|survey| {
            set(survey, "db3", "master-p_db", "-INFINITY");
            set(survey, "db3", "p_db-status", "excluded: its SQL thread stopped");
        });
        assert_eq!(planned(&cut, Some("db3")), "not yet: db3 is not in sync: excluded: its SQL thread stopped");
        assert_eq!(planned(&cut, None), "db2 to db1");
        assert_eq!(planned(&survey(|_| {}), Some("db9")), "no: db9 is no node of this cluster");
    }

    #[test]
    fn nothing_is_moved_that_pacemaker_leaves_alone_or_without_quorum() {
        assert!(planned(&survey(|survey| survey.maintenance = true), None).starts_with("no: Pacemaker leaves"));
        assert!(planned(&survey(|survey| survey.quorate = false), None).starts_with("no: this part"));
        let unmanaged = survey(|survey| survey.instances.iter_mut().for_each(|instance| instance.managed = false));
        assert!(planned(&unmanaged, None).starts_with("no: Pacemaker leaves"));
    }

    fn followed(change: impl Fn(&mut Survey)) -> Step {
        followed_with("epoch=4 state=open primary=db2 acks=1 members=db1:a joining= base=", change)
    }

    fn followed_with(record: &str, change: impl Fn(&mut Survey)) -> Step {
        let (begun, said) = (Instant::now(), String::new());
        let follow = Follow { resource: "p_db", from: "db2", to: "db1", epoch: 4, begun, said };
        follow.look(&survey(change), Some(&Record::parse(record).expect("a record")))
    }

    fn role(survey: &mut Survey, node: &str, role: Role, pending: Option<&str>) {
        let of_node =
            |it: &&mut crate::pacemaker::survey::Instance| it.resource == "p_db" && it.node.as_deref() == Some(node);
        let instance = survey.instances.iter_mut().find(of_node).expect("an instance");
        (instance.role, instance.pending) = (Some(role), pending.map(str::to_string));
    }

    #[test]
    fn it_can_be_taken_back_until_the_old_primary_begins_to_close() {
        assert_eq!(followed(|_| {}), Step::Before);
        let closing = followed(|survey| role(survey, "db2", Role::Promoted, Some("Demoting")));
        assert!(matches!(closing, Step::Under(what) if what.starts_with("db2 closes")));
        let proving = followed(|survey| role(survey, "db2", Role::Unpromoted, None));
        assert!(matches!(proving, Step::Under(what) if what.starts_with("db1 proves")));
        let moved = |survey: &mut Survey| {
            role(survey, "db2", Role::Unpromoted, None);
            role(survey, "db1", Role::Promoted, None);
        };
        assert!(matches!(followed(moved), Step::Under(_)), "Pacemaker has begun with it, and that is all");
        let record = "epoch=5 state=open primary=db1 acks=1 members=db3:a joining= base=";
        assert_eq!(followed_with(record, moved), Step::Done);
    }

    #[test]
    fn a_target_that_was_not_promoted_says_why() {
        let failed = followed(|survey| {
            set(survey, "db1", "master-p_db", "-INFINITY");
            survey.failures.push(Failure {
                resource: "p_db".into(),
                action: "promote".into(),
                node: "db1".into(),
                reason: "not promoted: its applier is stopped".into(),
                ..Failure::default()
            });
        });
        assert_eq!(failed, Step::Failed("not promoted: its applier is stopped; db2 goes on".into()));
    }
}
