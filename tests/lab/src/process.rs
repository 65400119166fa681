//! The only place that starts programs. Each has a deadline, and at its end its whole process group is
//! killed, so that nothing a test started outlives it. A program that means to stay (a daemon of the lab)
//! leaves the group itself, with a session of its own. No shell is ever in between.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write, pipe};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, sleep};
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, bail};
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use crate::deadline::Deadline;

/// What a program has who was told nothing else.
pub const USUAL: Duration = Duration::from_secs(60);

/// What a program left behind.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its exit code or the signal that ended it.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// A program about to be started.
#[derive(Clone, Debug)]
pub struct Program {
    argv: Vec<OsString>,
    stdin: Option<Vec<u8>>,
    env: Vec<(String, String)>,
    clean: bool,
    owner: Option<(u32, u32)>,
    directory: Option<PathBuf>,
    limit: Duration,
}

impl Program {
    /// The program `argv[0]` with the rest as its arguments; it may take [`USUAL`].
    pub fn new<S: AsRef<OsStr>>(argv: impl IntoIterator<Item = S>) -> Program {
        Program {
            argv: argv.into_iter().map(|a| a.as_ref().to_owned()).collect(),
            stdin: None,
            env: Vec::new(),
            clean: false,
            owner: None,
            directory: None,
            limit: USUAL,
        }
    }

    /// How long it may take.
    pub fn limit(mut self, limit: Duration) -> Program {
        self.limit = limit;
        self
    }

    /// What it reads; without this it reads nothing.
    pub fn stdin(mut self, text: impl Into<Vec<u8>>) -> Program {
        self.stdin = Some(text.into());
        self
    }

    /// A variable of its environment.
    pub fn env(mut self, name: &str, value: &str) -> Program {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Only a small, always equal environment, none of this process'.
    pub fn clean_env(mut self) -> Program {
        self.clean = true;
        self
    }

    /// Runs it as this user and group.
    pub fn owner(mut self, uid: u32, gid: u32) -> Program {
        self.owner = Some((uid, gid));
        self
    }

    /// Runs it in this directory.
    pub fn directory(mut self, directory: &Path) -> Program {
        self.directory = Some(directory.to_owned());
        self
    }

    /// Runs it to its end, whatever that is. Fails only if it cannot be started or its time is over.
    pub fn output(&self) -> Result<Output> {
        let deadline = Deadline::after(self.limit);
        let mut command = self.command();
        command.stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().with_context(|| format!("cannot start {self}"))?;
        if let (Some(mut pipe), Some(text)) = (child.stdin.take(), self.stdin.clone()) {
            // Its own thread: a program that writes before it has read all would block both sides.
            thread::spawn(move || pipe.write_all(&text));
        }
        let stdout = collect(child.stdout.take());
        let stderr = collect(child.stderr.take());
        let status = end_group(&mut child, deadline)?;
        let (stdout, stderr) = (received(&stdout), received(&stderr));
        match status {
            Some(status) => Ok(Output { status, stdout, stderr }),
            None => Err(anyhow!("{self} did not end within {:?}: {}{}", self.limit, stdout.trim(), stderr.trim())),
        }
    }

    /// Runs it; fails with argv, status and stderr unless it succeeds. Returns its standard output.
    pub fn run(&self) -> Result<String> {
        let output = self.output()?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(self.failure(output.status, output.stderr.trim()))
    }

    /// Runs it and hands every line of its output (both streams, in their order) to `line`.
    pub fn stream(&self, mut line: impl FnMut(&str)) -> Result<()> {
        let deadline = Deadline::after(self.limit);
        let (reader, writer) = pipe().context("cannot make a pipe")?;
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).process_group(0);
        let mut child = command.spawn().with_context(|| format!("cannot start {self}"))?;
        drop(command); // holds the pipe's writing ends: the reader would never see the end
        let (sender, lines) = channel();
        thread::spawn(move || {
            for text in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&text).into_owned()).is_err() {
                    return;
                }
            }
        });
        // Ends with the output, or with the time.
        while let Ok(text) = lines.recv_timeout(deadline.left()) {
            line(&text);
        }
        match end_group(&mut child, deadline)? {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(self.failure(status, "")),
            None => bail!("{self} did not end within {:?}", self.limit),
        }
    }

    /// Starts a daemon of the lab, its output going to `log`. It must take a session of its own.
    pub fn spawn_daemon(&self, log: File) -> Result<Pid> {
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        let child = command.spawn().with_context(|| format!("cannot start {self}"))?;
        Ok(pid_of(&child))
    }

    /// Starts it with a pipe from its standard output and `log` as its standard error.
    pub fn spawn_piped(&self, log: File) -> Result<Child> {
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        command.spawn().with_context(|| format!("cannot start {self}"))
    }

    /// Becomes the program, with this terminal. Returns only if that fails.
    pub fn become_it(&self) -> Error {
        Error::new(self.command().exec()).context(format!("cannot start {self}"))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.argv[0]);
        // The node's first process blocks SIGCHLD to wait for it; a child that inherited this would never hear of its
        // own children (pacemaker-based then spins, waiting for the process that writes the CIB).
        // SAFETY: sigprocmask(2) is async-signal-safe, and nothing else runs between fork and exec.
        unsafe {
            command.pre_exec(|| SigSet::empty().thread_set_mask().map_err(std::io::Error::from));
        }
        command.args(&self.argv[1..]);
        if self.clean {
            command.env_clear().env("HOME", "/root").env("LANG", "C.UTF-8");
            command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
            if let Some(terminal) = std::env::var_os("TERM") {
                command.env("TERM", terminal);
            }
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some((uid, gid)) = self.owner {
            command.uid(uid).gid(gid);
        }
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command
    }

    fn failure(&self, status: ExitStatus, stderr: &str) -> Error {
        anyhow!("{self}: {status}{}{stderr}", if stderr.is_empty() { "" } else { ": " })
    }
}

impl std::fmt::Display for Program {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words: Vec<_> = self.argv.iter().map(|word| word.to_string_lossy()).collect();
        write!(out, "`{}`", words.join(" "))
    }
}

/// Waits for the leader, then kills what is left of its group; None if it had to be killed itself.
fn end_group(child: &mut Child, deadline: Deadline) -> Result<Option<ExitStatus>> {
    let leader = pid_of(child);
    let mut pause = Duration::from_millis(1);
    // Seen but not yet reaped: until then the group's number cannot become somebody else's.
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    let ended = loop {
        if waitid(Id::Pid(leader), look)? != WaitStatus::StillAlive {
            break true;
        }
        if deadline.is_over() {
            break false;
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    };
    // ESRCH cannot be: the leader is not reaped. Anything else would show in the wait below.
    let _ = killpg(leader, Signal::SIGKILL);
    let status = child.wait()?;
    Ok(ended.then_some(status))
}

fn collect(stream: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, chunks) = channel();
    if let Some(mut stream) = stream {
        thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
    }
    chunks
}

/// All that came; a daemon that left the group may hold the pipe open, and is not waited for.
fn received(chunks: &Receiver<Vec<u8>>) -> String {
    let patience = Deadline::after(Duration::from_millis(300));
    let mut all = Vec::new();
    while let Ok(chunk) = chunks.recv_timeout(patience.left()) {
        all.extend(chunk);
    }
    String::from_utf8_lossy(&all).into_owned()
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("a pid is at most 2^22"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_over_its_time_is_killed_and_named() {
        let error = Program::new(["sleep", "30"]).limit(Duration::from_millis(100)).run().unwrap_err();
        assert!(error.to_string().starts_with("`sleep 30` did not end within"), "{error}");
    }

    #[test]
    fn a_failure_says_argv_status_and_stderr() {
        let error = Program::new(["ls", "/nowhere/at/all"]).run().unwrap_err().to_string();
        assert!(error.starts_with("`ls /nowhere/at/all`: exit status: 2: ls: "), "{error}");
    }

    #[test]
    fn a_program_reads_what_it_is_given() {
        assert_eq!(Program::new(["cat"]).stdin("text").run().unwrap(), "text");
    }

    #[test]
    fn both_streams_arrive_line_by_line() {
        let mut lines = Vec::new();
        Program::new(["printf", "a\\nb\\n"]).stream(|line| lines.push(line.to_owned())).unwrap();
        assert_eq!(lines, ["a", "b"]);
    }
}
