//! Whether the cluster's stack lives on this node: by its processes, since a stack that is gone answers no question.

use std::fs;
use std::path::{Path, PathBuf};

/// The names of processes as the kernel keeps them: fifteen characters.
const COROSYNC: &str = "corosync";
const MASTER: &str = "pacemakerd";
const CONTROLLER: &str = "pacemaker-contr";
const EXECUTOR: &str = "pacemaker-execd";
/// On a node that is no full member: all in one.
const REMOTE: &str = "pacemaker-remot";

/// What of it lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stack {
    missing: Vec<&'static str>,
    is_master_missing: bool,
}

impl Stack {
    /// No cluster acts on this node any more.
    pub fn is_gone(&self) -> bool {
        !self.missing.is_empty()
    }

    /// What is wrong with it, in words.
    pub fn trouble(&self) -> Option<String> {
        if self.is_gone() {
            return Some(format!("not running, or stopped (SIGSTOP): {}", self.missing.join(", ")));
        }
        let why = "pacemakerd is not running: nobody starts Pacemaker's other daemons again when they end";
        self.is_master_missing.then(|| why.into())
    }
}

/// Looks at the processes.
pub fn look() -> Stack {
    judge(&running())
}

fn judge(running: &[String]) -> Stack {
    let lives = |name: &str| running.iter().any(|found| found == name);
    // Beside a whole stack it belongs to a bundle, and says nothing of this node.
    if lives(REMOTE) && !lives(COROSYNC) && !lives(MASTER) {
        return Stack::default();
    }
    let parts = [(COROSYNC, "corosync"), (CONTROLLER, "pacemaker-controld"), (EXECUTOR, "pacemaker-execd")];
    let missing = parts.into_iter().filter(|(name, _)| !lives(name)).map(|(_, shown)| shown).collect();
    Stack { missing, is_master_missing: !lives(MASTER) }
}

/// The names of all processes that run and are not stopped, but for those in containers on this machine.
fn running() -> Vec<String> {
    let processes = fs::read_dir("/proc").into_iter().flatten();
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let own = namespace("self");
    let named = pids.filter_map(|pid| Some((pid, parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?)));
    let parts = [COROSYNC, MASTER, CONTROLLER, EXECUTOR, REMOTE];
    let of_stack = named.filter(|(_, name)| parts.contains(&name.as_str()));
    of_stack.filter(|(pid, _)| namespace(&pid.to_string()) == own).map(|(_, name)| name).collect()
}

/// What tells the processes of a container from those of its host.
fn namespace(process: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{process}/ns/pid")).ok()
}

/// The name of a process that is neither stopped nor over (proc(5), stat).
fn parse_stat(text: &str) -> Option<String> {
    let (head, rest) = text.rsplit_once(')')?;
    let name = head.split_once('(')?.1;
    let state = rest.trim_start().chars().next()?;
    (!matches!(state, 'T' | 't' | 'Z' | 'X')).then(|| name.to_string())
}

fn file(run_dir: &Path, resource: &str) -> PathBuf {
    run_dir.join(format!("rustha-{resource}.stack"))
}

/// Keeps what is wrong for the monitor; nothing: an empty text.
pub fn note(run_dir: &Path, resource: &str, trouble: &str) {
    let path = file(run_dir, resource);
    let noted = if trouble.is_empty() { fs::remove_file(&path) } else { fs::write(&path, trouble) };
    if let Err(error) = noted
        && error.kind() != std::io::ErrorKind::NotFound
    {
        log::warn!("cannot write {}: {error}", path.display());
    }
}

/// What was wrong when the guard looked last.
pub fn noted(run_dir: &Path, resource: &str) -> Option<String> {
    fs::read_to_string(file(run_dir, resource)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_string).collect()
    }

    #[test]
    fn the_stack_is_gone_without_any_of_the_three_that_act() {
        let whole = "corosync pacemakerd pacemaker-based pacemaker-contr pacemaker-execd";
        assert_eq!(judge(&names(whole)).trouble(), None);
        for name in ["corosync", "pacemaker-contr", "pacemaker-execd"] {
            assert!(judge(&names(&whole.replace(name, ""))).is_gone(), "{name}");
        }
        let headless = judge(&names(&whole.replace("pacemakerd", "")));
        assert!(!headless.is_gone() && headless.trouble().is_some_and(|why| why.starts_with("pacemakerd")));
        assert_eq!(judge(&names("pacemaker-remot")).trouble(), None, "a remote node has nothing else");
        assert!(judge(&names("pacemaker-remot corosync pacemakerd")).is_gone(), "a bundle on a node in trouble");
    }

    #[test]
    fn a_process_that_is_stopped_or_over_does_not_count() {
        assert_eq!(parse_stat("12 (pacemaker-contr) S 1 2").as_deref(), Some("pacemaker-contr"));
        assert_eq!(parse_stat("12 (a (b) c) R 1 2").as_deref(), Some("a (b) c"));
        assert_eq!(parse_stat("12 (corosync) T 1 2"), None);
        assert_eq!(parse_stat("12 (corosync) Z 1 2"), None);
    }
}
