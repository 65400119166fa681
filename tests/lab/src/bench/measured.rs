//! The wrapper: this crate's binary, in a node, under the name of an agent of the provider `measured`. It runs the agent
//! that its name says (`heartbeat-mariadb` is ocf:heartbeat:mariadb), passes on what that says, and writes a line on what
//! it cost. It measures time, or counts processes, but not both: who counts by tracing slows down.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use nix::sys::ptrace::{self, Options};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::Signal;
use nix::sys::time::TimeValLike;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// The provider.
pub(crate) const PROVIDER: &str = "measured";
/// Where the lines are.
pub(crate) const LOG: &str = "/var/log/rustha-measured";
/// While this file is there, processes are counted.
pub(crate) const COUNTING: &str = "/run/rustha-measured-counts";
/// Where Pacemaker finds agents.
const AGENTS: &str = "/usr/lib/ocf/resource.d";
/// What a wrapper that fails itself exits with: OCF_ERR_GENERIC.
const FAILED: u8 = 1;

/// Whether a program called so is the wrapper.
pub fn is_called(called: &Path) -> bool {
    called.parent().and_then(Path::file_name).is_some_and(|name| name == PROVIDER)
}

/// What one action cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// The action; a monitor with its role and whether it is a probe.
    pub action: String,
    /// Its exit code.
    pub code: u8,
    /// Wall time, in microseconds; None where processes were counted.
    pub wall: Option<u64>,
    /// Processor time of it and of all that it waited for, in microseconds.
    pub cpu: Option<u64>,
    /// Processes, itself included.
    pub processes: Option<u64>,
}

impl Line {
    fn print(&self) -> String {
        let number = |value: Option<u64>| value.map_or("-".into(), |value| value.to_string());
        format!("{} {} {} {} {}\n", self.action, self.code, number(self.wall), number(self.cpu), number(self.processes))
    }

    /// Reads one; None if it is cut off.
    pub(crate) fn parse(text: &str) -> Option<Line> {
        let mut words = text.split(' ');
        let action = words.next()?.to_owned();
        let code = words.next()?.parse().ok()?;
        let mut number = || words.next().map(|word| word.parse().ok());
        Some(Line { action, code, wall: number()?, cpu: number()?, processes: number()? })
    }
}

/// Is the wrapper.
pub fn run() -> ExitCode {
    match measure() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("ocf-exit-reason:the measuring wrapper: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

fn measure() -> Result<u8> {
    let called = PathBuf::from(std::env::args_os().next().unwrap_or_default());
    let name = called.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let (provider, agent) = name.split_once('-').with_context(|| format!("{name} names no provider and agent"))?;
    let program = Path::new(AGENTS).join(provider).join(agent);
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let mut command = Command::new(&program);
    command.args(&args);
    let action = args.first().map(|action| action.to_string_lossy().into_owned()).unwrap_or_default();
    let mut line = Line { action, code: FAILED, wall: None, cpu: None, processes: None };
    if Path::new(COUNTING).exists() {
        let (code, processes) = count(command)?;
        (line.code, line.processes) = (code, Some(processes));
    } else {
        let start = Instant::now();
        let status = command.status().with_context(|| format!("cannot start {}", program.display()))?;
        line.wall = u64::try_from(start.elapsed().as_micros()).ok();
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
        line.cpu = u64::try_from((usage.user_time() + usage.system_time()).num_microseconds()).ok();
        line.code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(FAILED);
        if let Some(signal) = status.signal() {
            bail!("{} was ended by signal {signal}", program.display());
        }
    }
    if line.action == "monitor" {
        line.action += &kind_of_monitor(line.code);
    }
    // Meta-data are read by people who may not write there.
    if let Ok(mut log) = File::options().create(true).append(true).open(LOG) {
        log.write_all(line.print().as_bytes())?;
    }
    Ok(line.code)
}

fn kind_of_monitor(code: u8) -> String {
    let is_probe = std::env::var("OCF_RESKEY_CRM_meta_interval").map_or(true, |interval| interval == "0");
    match (is_probe, code) {
        (true, _) => "-probe".into(),
        (false, 8 | 191) => "-promoted".into(),
        (false, 0 | 190) => "-unpromoted".into(),
        (false, _) => "-failed".into(),
    }
}

/// Runs it, and counts the processes that it and its descendants become, until it ends. Those that outlive it go on.
fn count(mut command: Command) -> Result<(u8, u64)> {
    // SAFETY: PTRACE_TRACEME is a system call and nothing else; nothing else runs between fork and exec.
    unsafe {
        command.pre_exec(|| ptrace::traceme().map_err(std::io::Error::from));
    }
    let child = Pid::from_raw(i32::try_from(command.spawn().context("cannot start the agent")?.id())?);
    // It stands still after its exec.
    waitpid(child, Some(WaitPidFlag::__WALL))?;
    ptrace::setoptions(
        child,
        Options::PTRACE_O_TRACEFORK | Options::PTRACE_O_TRACEVFORK | Options::PTRACE_O_TRACECLONE,
    )?;
    ptrace::cont(child, None)?;
    let mut processes = 1;
    loop {
        // Only this thread's: others have children of their own.
        let next = match waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD))? {
            WaitStatus::Exited(pid, code) if pid == child => {
                return Ok((u8::try_from(code).unwrap_or(FAILED), processes));
            }
            WaitStatus::Signaled(pid, signal, _) if pid == child => bail!("the agent was ended by {signal}"),
            WaitStatus::PtraceEvent(pid, _, _) => {
                let new = ptrace::getevent(pid).unwrap_or_default();
                processes += u64::from(is_process(new));
                (pid, None)
            }
            // The first stop of one that is traced from its birth, and the trap of an exec, are ours and not its.
            WaitStatus::Stopped(pid, Signal::SIGSTOP | Signal::SIGTRAP) => (pid, None),
            WaitStatus::Stopped(pid, signal) => (pid, Some(signal)),
            _ => continue,
        };
        // It may have been killed in the meantime.
        let _ = ptrace::cont(next.0, next.1);
    }
}

/// Whether this is a process, and no thread of one.
fn is_process(pid: i64) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let group = status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse::<i64>().ok());
    group == Some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let line = Line { action: "monitor-promoted".into(), code: 8, wall: Some(9), cpu: Some(7), processes: None };
        assert_eq!(Line::parse(line.print().trim_end()), Some(line));
        assert_eq!(Line::parse("monitor 8 5"), None);
    }

    #[test]
    fn the_wrapper_is_known_by_its_provider() {
        assert!(is_called(Path::new("/usr/lib/ocf/resource.d/measured/rustha-mysql")));
        assert!(!is_called(Path::new("/usr/lib/ocf/resource.d/rustha/mysql")));
    }

    #[test]
    fn processes_are_counted_and_threads_are_not() {
        let mut command = Command::new("sh");
        command.args(["-c", "true; /bin/true; /bin/true; exit 3"]);
        assert_eq!(count(command).unwrap(), (3, 3));
    }
}
