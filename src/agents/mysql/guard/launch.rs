//! The guard is the server's parent, so that it knows how that ended: `start` says what is to be started, and the guard
//! answers when it is.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::super::node::{Node, new_life};
use super::ending;
use crate::deadline::Deadline;
use crate::exec;
use crate::guard::turn;
use crate::server::process::{self, Daemon, Starting, log_end};

/// How long the guard may take to start the server's process.
const FORKING: Duration = Duration::from_secs(10);

/// Between the words of an order: no file's name and no option has one.
const SEPARATOR: char = '\0';

/// What is to be started.
#[derive(Debug, PartialEq, Eq)]
pub struct Order {
    log: PathBuf,
    program: PathBuf,
    args: Vec<String>,
}

impl Order {
    fn print(&self) -> String {
        let words = [self.log.to_string_lossy(), self.program.to_string_lossy()].map(String::from);
        let words: Vec<String> = words.into_iter().chain(self.args.iter().cloned()).collect();
        words.join(&SEPARATOR.to_string())
    }

    /// Reads what `start` said.
    ///
    /// # Errors
    /// When it says less than a log and a program.
    pub fn parse(text: &str) -> Result<Self> {
        let mut words = text.split(SEPARATOR).map(str::to_string);
        let (Some(log), Some(program)) = (words.next(), words.next()) else {
            bail!("the guard was not told what to start")
        };
        Ok(Self { log: log.into(), program: program.into(), args: words.collect() })
    }
}

/// Has a new guard start the server.
///
/// # Errors
/// When the guard or the server's program cannot be started.
pub fn launch(node: &Node, program: &Path, args: &[String]) -> Result<Starting> {
    super::end(node);
    ending::tell_before_start(node);
    ending::forget(node);
    let log = node.layout.log.clone();
    let log_offset = log_end(&log)?;
    let order = Order { log: log.clone(), program: program.to_path_buf(), args: args.to_vec() };
    let deadline = node.deadline.at_most(FORKING);
    let answer = exec::ask_self(&["guard", "mysql", "--order"], &order.print(), deadline).context("its guard")?;
    let Some(daemon) = answer.strip_prefix("started ").and_then(|pid| Daemon::of(pid.parse().ok()?)) else {
        // It may have ended at once.
        if answer.starts_with("started ") {
            let ended = Deadline::after(FORKING).wait_for(Duration::from_millis(10), || ending::read(node));
            bail!("the server ended at once: {}", ended.unwrap_or_else(|| "its guard does not say how".into()));
        }
        bail!("{answer}");
    };
    Ok(Starting::guarded(daemon, &log, log_offset, ending::file(node)))
}

/// Carries an order out, in the guard: the server's process, of a new life. Whoever gave the order is answered.
///
/// # Errors
/// What was answered.
pub fn carry_out(node: &Node, order: &str) -> Result<Child> {
    let started = start(node, order);
    exec::answer_and_detach(&match &started {
        Ok(child) => format!("started {}", child.id()),
        Err(error) => format!("{error:#}"),
    })?;
    started
}

fn start(node: &Node, order: &str) -> Result<Child> {
    let order = Order::parse(order)?;
    if !turn::is_taken(&node.starting_file())? {
        bail!("whoever gave the order does not wait for it any more");
    }
    let child = process::start(&order.program, &order.args, &order.log)?;
    if let Some(daemon) = i32::try_from(child.id()).ok().and_then(Daemon::of) {
        node.start_mark().leave_with_life(daemon, &new_life())?;
    }
    Ok(child)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_as_it_was_given() {
        let args = vec!["--datadir=/a b".to_string(), "--init-connect=SET 'x'\ny".to_string()];
        let order = Order { log: "/var/log/a.err".into(), program: "/usr/sbin/mysqld".into(), args };
        assert_eq!(Order::parse(&order.print()).expect("readable"), order);
        assert!(Order::parse("").is_err());
    }
}
