//! What semi-synchronous replication was set to before an agent changed it, and setting it back.

use std::fmt;

use anyhow::Result;

use super::{apply, read, switch_replica};
use crate::deadline::Deadline;
use crate::server::client::Session;
use crate::server::dialect::Dialect;
use crate::server::rows::{ReplicaSide, SemiSync, SourceSide};

/// The settings of both halves; `None`: the server had not got it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Before {
    source: Option<Source>,
    replica: Option<Replica>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    enabled: bool,
    wait_point: String,
    timeout: u64,
    wait_no_replica: bool,
    acks: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Replica {
    enabled: bool,
    kill_timeout: Option<u64>,
}

impl Before {
    /// What the server is set to.
    pub fn of(found: &SemiSync) -> Self {
        let source = found.source.as_ref().map(|side| Source {
            enabled: side.enabled,
            wait_point: side.wait_point.clone(),
            timeout: side.timeout,
            wait_no_replica: side.wait_no_replica,
            acks: side.acks,
        });
        let replica =
            found.replica.as_ref().map(|side| Replica { enabled: side.enabled, kill_timeout: side.kill_timeout });
        Self { source, replica }
    }

    /// Whether commits waited for acknowledgements.
    pub fn waits(&self) -> bool {
        self.source.as_ref().is_some_and(|source| source.enabled)
    }

    /// Reads what [`fmt::Display`] has written.
    ///
    /// # Errors
    /// A line that is none of its own.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut before = Self::default();
        for line in text.lines() {
            match line.split(' ').collect::<Vec<_>>().as_slice() {
                ["source", enabled, wait_point, timeout, wait_no_replica, acks] => {
                    before.source = Some(Source {
                        enabled: parse(enabled)?,
                        wait_point: (*wait_point).to_string(),
                        timeout: parse(timeout)?,
                        wait_no_replica: parse(wait_no_replica)?,
                        acks: parse(acks)?,
                    });
                }
                ["replica", enabled] => before.replica = Some(Replica { enabled: parse(enabled)?, kill_timeout: None }),
                ["replica", enabled, seconds] => {
                    before.replica = Some(Replica { enabled: parse(enabled)?, kill_timeout: Some(parse(seconds)?) });
                }
                _ => return Err(format!("'{line}' are no settings of semi-synchronous replication")),
            }
        }
        Ok(before)
    }
}

fn parse<T: std::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("'{word}' is no setting of semi-synchronous replication"))
}

impl fmt::Display for Before {
    /// A line for each half.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Source { enabled, wait_point, timeout, wait_no_replica, acks }) = &self.source {
            writeln!(formatter, "source {enabled} {wait_point} {timeout} {wait_no_replica} {acks}")?;
        }
        match &self.replica {
            Some(Replica { enabled, kill_timeout: Some(seconds) }) => {
                writeln!(formatter, "replica {enabled} {seconds}")
            }
            Some(Replica { enabled, kill_timeout: None }) => writeln!(formatter, "replica {enabled}"),
            None => Ok(()),
        }
    }
}

/// Sets both halves back, and starts the receiver again if it must. A half that was not there is switched off.
///
/// # Errors
/// When the server does not do so.
pub fn restore(session: &mut Session, before: &Before, deadline: Deadline) -> Result<()> {
    let now = read(session)?;
    if let Some(side) = &now.source {
        apply(session, &plan_source(side, before.source.as_ref()))?;
    }
    if let Some(side) = &now.replica {
        let was = before.replica.as_ref();
        switch_replica(session, side, was.is_some_and(|was| was.enabled), deadline)?;
        apply(session, &plan_kill_timeout(side, was))?;
    }
    Ok(())
}

/// What must be said so that the source's half is what it was: off first, or on last. Pure.
fn plan_source(now: &SourceSide, was: Option<&Source>) -> Vec<String> {
    let names = now.names;
    let is_wanted = was.is_some_and(|was| was.enabled);
    let mut statements = Vec::new();
    if now.enabled && !is_wanted {
        statements.push(Dialect::switch(names.enabled, false));
    }
    let Some(was) = was else { return statements };
    if now.timeout != was.timeout {
        statements.push(Dialect::set_number(names.timeout, was.timeout));
    }
    if now.wait_no_replica != was.wait_no_replica {
        statements.push(Dialect::switch(names.wait_no_replica, was.wait_no_replica));
    }
    if now.wait_point != was.wait_point {
        statements.push(Dialect::set_word(names.wait_point, &was.wait_point));
    }
    if let Some(name) = names.acks.filter(|_| now.acks != was.acks) {
        statements.push(Dialect::set_number(name, was.acks));
    }
    if !now.enabled && is_wanted {
        statements.push(Dialect::switch(names.enabled, true));
    }
    statements
}

/// The same for how long a stopping receiver waits, after it was stopped for the last time. Pure.
fn plan_kill_timeout(now: &ReplicaSide, was: Option<&Replica>) -> Vec<String> {
    match (now.names.kill_timeout, was.and_then(|was| was.kill_timeout)) {
        (Some(name), Some(seconds)) => vec![Dialect::set_number(name, seconds)],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::version::{Vendor, Version};

    fn source(enabled: bool, timeout: u64) -> SourceSide {
        let dialect = Dialect::of(Version { vendor: Vendor::MySql, number: (9, 7, 4) });
        SourceSide {
            names: &dialect.source_names()[0],
            enabled,
            active: enabled,
            wait_point: "AFTER_SYNC".into(),
            timeout,
            wait_no_replica: true,
            acks: 2,
            clients: 0,
            waiting: 0,
            acknowledged: 0,
            unacknowledged: 0,
        }
    }

    fn settings(side: SourceSide) -> Source {
        let found = SemiSync { source: Some(side), replica: None };
        Before::of(&found).source.expect("it has it")
    }

    #[test]
    fn what_was_written_down_is_read_back() {
        let source = Some(settings(source(true, u64::MAX)));
        for kill_timeout in [None, Some(5)] {
            let before = Before { source: source.clone(), replica: Some(Replica { enabled: true, kill_timeout }) };
            assert_eq!(Before::parse(&before.to_string()), Ok(before));
        }
        assert_eq!(Before::parse(""), Ok(Before::default()), "no plugin");
        assert!(Before::parse("source yes").is_err());
        assert!(Before::parse("replica true 5s").is_err());
    }

    #[test]
    fn what_is_as_it_was_is_left_alone() {
        let now = source(true, 10_000);
        assert!(plan_source(&now, Some(&settings(now.clone()))).is_empty());
    }

    #[test]
    fn a_rule_is_set_back_after_the_switch_went_off_and_before_it_goes_on() {
        let (on, off) = (source(true, u64::MAX), source(false, 10_000));
        let names = on.names;
        let back_off = plan_source(&on, Some(&settings(off.clone())));
        assert_eq!(back_off, [Dialect::switch(names.enabled, false), Dialect::set_number(names.timeout, 10_000)]);
        let back_on = plan_source(&off, Some(&settings(on)));
        assert_eq!(back_on, [Dialect::set_number(names.timeout, u64::MAX), Dialect::switch(names.enabled, true)]);
    }

    #[test]
    fn a_half_that_was_not_there_is_switched_off() {
        let on = source(true, u64::MAX);
        assert_eq!(plan_source(&on, None), [Dialect::switch(on.names.enabled, false)]);
        assert!(plan_source(&source(false, 1), None).is_empty());
    }
}
