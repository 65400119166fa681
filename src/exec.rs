//! The only place that starts another program. Every call has a deadline, none uses a shell.
//! Tools stay in the agent's process group, so that they end with it when Pacemaker ends it; the database daemon
//! gets a session of its own, so that it does not (Pacemaker kills the whole group of an action that timed out).

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::deadline::Deadline;

/// What a killed program may take to be gone.
const REAPING: Duration = Duration::from_millis(500);

/// What a program left behind when it ended.
#[derive(Debug)]
pub struct Finished {
    /// Its argv, for messages.
    pub argv: String,
    /// Its exit status.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
}

impl Finished {
    /// The exit code, `None` if a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Standard output, or an error that says argv, how it ended, and what it complained of.
    pub fn success(self) -> Result<String> {
        if self.status.success() {
            return Ok(self.stdout);
        }
        bail!("{}", self.describe())
    }

    /// One line: argv, exit status or signal, last line of standard error.
    pub fn describe(&self) -> String {
        let complaint = self.stderr.lines().rev().find(|line| !line.trim().is_empty());
        format!("`{}` {}: {}", self.argv, describe_status(self.status), complaint.unwrap_or("it said nothing"))
    }
}

/// "exited with 3" or "was ended by signal 9".
pub fn describe_status(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended in an unknown way".to_string(),
    }
}

/// Runs `program` to its end. Secrets may be in `input`, never in `args`, which are logged.
///
/// # Errors
/// When it cannot be started, or has not ended by the deadline (it is killed then).
pub fn run(program: &str, args: &[&str], input: Option<&str>, deadline: Deadline) -> Result<Finished> {
    let argv = std::iter::once(program).chain(args.iter().copied()).collect::<Vec<_>>().join(" ");
    log::debug!("running `{argv}`");
    let mut child = new_command(program)
        .args(args)
        .env("LC_ALL", "C")
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{program}`"))?;
    if let (Some(text), Some(mut stdin)) = (input.map(str::to_string), child.stdin.take()) {
        // In a thread: a program may write before it has read all. One that does not read its input is not an error
        // here; how it ends says more.
        std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    }
    let stdout = read_in_background(child.stdout.take());
    let stderr = read_in_background(child.stderr.take());
    let output = stdout.recv_timeout(deadline.remaining()).and_then(|out| {
        let err = stderr.recv_timeout(deadline.remaining())?;
        Ok((out, err))
    });
    let status = deadline.wait_for(Duration::from_millis(1), || child.try_wait().transpose());
    match (output, status) {
        (Ok((stdout, stderr)), Some(status)) => {
            Ok(Finished { argv, status: status.context("cannot wait for a program")?, stdout, stderr })
        }
        _ => {
            let _ = child.kill();
            // Not waited for without end: what hangs on a disk does not end by it.
            let _ = Deadline::after(REAPING).wait_for(Duration::from_millis(1), || child.try_wait().ok().flatten());
            bail!("`{argv}` did not end in time and was killed")
        }
    }
}

/// Does two things that wait for programs at the same time.
///
/// # Errors
/// Those of the two, the first one's first.
pub fn at_once<A: Send, B>(
    first: impl FnOnce() -> Result<A> + Send,
    second: impl FnOnce() -> Result<B>,
) -> Result<(A, B)> {
    std::thread::scope(|scope| {
        let first = scope.spawn(first);
        let second = second();
        let first = first.join().unwrap_or_else(|_| bail!("a thread of this program ended unexpectedly"))?;
        Ok((first, second?))
    })
}

/// A command without the resource's parameters in its environment: they may hold passwords, and Pacemaker's tools take
/// some of them for options (attrd_updater answers for `OCF_RESKEY_CRM_meta_on_node` alone, whatever it is asked).
fn new_command(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OCF_")) {
        command.env_remove(name);
    }
    command
}

fn read_in_background(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // A read error ends the output; the exit status tells the rest.
            let _ = pipe.read_to_end(&mut bytes);
        }
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

/// Starts a daemon that outlives this process: in a session of its own, nothing to read, output into `output`.
///
/// # Errors
/// When it cannot be started.
pub fn start_daemon(program: &str, args: &[String], output: &File) -> Result<Child> {
    log::debug!("starting `{program} {}`", args.join(" "));
    let mut command = new_command(program);
    command
        .args(args)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(output.try_clone().context("cannot duplicate a descriptor")?)
        .stderr(output.try_clone().context("cannot duplicate a descriptor")?);
    in_own_session(&mut command);
    command.spawn().with_context(|| format!("cannot start `{program}`"))
}

/// Starts this program once more, with the same environment and in a session of its own; it is not waited for.
///
/// # Errors
/// When it cannot be started.
pub fn start_self(args: &[&str]) -> Result<()> {
    spawn_self(args, Stdio::null(), Stdio::null()).map(drop)
}

/// The same, with something to read; its first line is waited for, and then it goes on by itself.
///
/// # Errors
/// When it cannot be started, or says nothing by the deadline.
pub fn ask_self(args: &[&str], input: &str, deadline: Deadline) -> Result<String> {
    let mut child = spawn_self(args, Stdio::piped(), Stdio::piped())?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).context("the program that was started does not read what it is told")?;
    }
    let answer = read_in_background(child.stdout.take());
    let said = answer.recv_timeout(deadline.remaining()).unwrap_or_default();
    let line = said.lines().next().map(str::to_string);
    line.with_context(|| format!("`{}` said nothing", args.join(" ")))
}

fn spawn_self(args: &[&str], input: Stdio, output: Stdio) -> Result<Child> {
    let program = std::env::current_exe().context("this program does not know its own file")?;
    log::debug!("starting `{} {}`", program.display(), args.join(" "));
    let mut command = Command::new(&program);
    command.args(args).current_dir("/").stdin(input).stdout(output).stderr(Stdio::null());
    in_own_session(&mut command);
    command.spawn().with_context(|| format!("cannot start `{}`", program.display()))
}

/// Says a last word on standard output to whoever started this program with [`ask_self`], who goes on then.
///
/// # Errors
/// When standard output cannot be closed.
pub fn answer_and_detach(word: &str) -> Result<()> {
    // Whoever asked may have been ended meanwhile; what was begun goes on.
    let _ = writeln!(std::io::stdout(), "{word}");
    let nowhere = File::options().write(true).open("/dev/null").context("cannot open /dev/null")?;
    nix::unistd::dup2_stdout(&nowhere).context("cannot close standard output")
}

/// A program whose output is read, or whose input is written, while it runs. It is killed when this is dropped.
pub struct Piped {
    argv: String,
    child: Child,
    pipe: Option<Pipe>,
    stderr: mpsc::Receiver<String>,
}

/// Which end of a program is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// What it says on standard output is read here.
    Output,
    /// What it reads from standard input is written here.
    Input,
}

impl Piped {
    /// Starts `program`. A read or a write may last as long as `silence`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(program: &str, args: &[String], end: End, silence: Duration) -> Result<Self> {
        let argv = std::iter::once(program).chain(args.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
        log::debug!("running `{argv}`");
        let mut command = new_command(program);
        command.args(args).env("LC_ALL", "C").current_dir("/").stderr(Stdio::piped());
        match end {
            End::Output => command.stdin(Stdio::null()).stdout(Stdio::piped()),
            End::Input => command.stdin(Stdio::piped()).stdout(Stdio::null()),
        };
        let mut child = command.spawn().with_context(|| format!("cannot start `{program}`"))?;
        let stderr = read_in_background(child.stderr.take().map(LastWords));
        let pipe = match end {
            End::Output => child.stdout.take().map(OwnedFd::from),
            End::Input => child.stdin.take().map(OwnedFd::from),
        };
        let pipe = pipe.context("a program without a pipe")?;
        nix::fcntl::fcntl(&pipe, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))?;
        Ok(Self { argv, child, pipe: Some(Pipe { file: pipe.into(), silence }), stderr })
    }

    /// Our end; [`std::io::ErrorKind::TimedOut`] when the program did nothing for the whole of `silence`.
    ///
    /// # Errors
    /// When it was closed already.
    pub fn pipe(&mut self) -> Result<&mut Pipe> {
        self.pipe.as_mut().context("the program's end is closed")
    }

    /// Closes our end and waits for the program's.
    ///
    /// # Errors
    /// When it fails, or does not end by the deadline.
    pub fn finish(mut self, deadline: Deadline) -> Result<()> {
        drop(self.pipe.take());
        let status = deadline.wait_for(Duration::from_millis(10), || self.child.try_wait().transpose());
        let Some(status) = status else { bail!("`{}` did not end in time and was killed", self.argv) };
        let stderr = self.stderr.recv_timeout(deadline.remaining().max(REAPING)).unwrap_or_default();
        let status = status.context("cannot wait for a program")?;
        Finished { argv: self.argv.clone(), status, stdout: String::new(), stderr }.success().map(drop)
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ =
                Deadline::after(REAPING).wait_for(Duration::from_millis(1), || self.child.try_wait().ok().flatten());
        }
    }
}

/// Our end of a program's pipe.
pub struct Pipe {
    file: File,
    silence: Duration,
}

impl Pipe {
    fn await_ready(&self, what: PollFlags) -> std::io::Result<()> {
        let patience = PollTimeout::try_from(self.silence).unwrap_or(PollTimeout::MAX);
        let mut polled = [PollFd::new(self.file.as_fd(), what)];
        match poll(&mut polled, patience) {
            Ok(0) => Err(std::io::Error::new(std::io::ErrorKind::TimedOut, format!("nothing for {:?}", self.silence))),
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Pipe {
    /// Whether there is something to read, or its end, within this time.
    ///
    /// # Errors
    /// When it cannot be looked.
    pub fn has_more(&self, patience: Duration) -> std::io::Result<bool> {
        let patience = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        let mut polled = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
        match poll(&mut polled, patience) {
            Ok(ready) => Ok(ready > 0),
            Err(nix::errno::Errno::EINTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl Read for Pipe {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.file.read(bytes) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => self.await_ready(PollFlags::POLLIN)?,
                other => return other,
            }
        }
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        loop {
            match self.file.write(bytes) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => self.await_ready(PollFlags::POLLOUT)?,
                other => return other,
            }
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The end of what a talkative program says.
struct LastWords<T>(T);

impl<T: Read> Read for LastWords<T> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(bytes)
    }

    fn read_to_end(&mut self, all: &mut Vec<u8>) -> std::io::Result<usize> {
        /// More of it is not kept.
        const MOST: usize = 16 * 1024;
        let mut chunk = [0; 4096];
        loop {
            match self.0.read(&mut chunk) {
                Ok(0) => return Ok(all.len()),
                Ok(count) => all.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            all.drain(..all.len().saturating_sub(MOST));
        }
    }
}

/// A descriptor that becomes readable when the process of this number ends.
///
/// # Errors
/// When there is no such process (any more), or the kernel is older than 5.3.
pub fn process_descriptor(pid: i32) -> std::io::Result<OwnedFd> {
    // SAFETY: pidfd_open(2) takes two integers and returns a new descriptor, or -1.
    let number = unsafe { nix::libc::syscall(nix::libc::SYS_pidfd_open, pid, 0) };
    match RawFd::try_from(number) {
        // SAFETY: the kernel has just opened it, and nobody else knows it.
        Ok(number) if number >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(number) }),
        _ => Err(std::io::Error::last_os_error()),
    }
}

fn in_own_session(command: &mut Command) {
    // SAFETY: setsid(2) is async-signal-safe, and nothing else runs between fork and exec.
    unsafe {
        command.pre_exec(|| nix::unistd::setsid().map(|_| ()).map_err(std::io::Error::from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Deadline {
        Deadline::after(Duration::from_secs(10))
    }

    #[test]
    fn a_program_that_does_not_end_is_killed_at_the_deadline() {
        let error = run("sleep", &["60"], None, Deadline::after(Duration::from_millis(50))).expect_err("must fail");
        assert!(error.to_string().contains("`sleep 60` did not end in time"), "{error}");
    }

    #[test]
    fn a_failed_program_is_reported_with_argv_status_and_complaint() {
        let finished = run("ls", &["/no such folder"], None, soon()).expect("ls starts");
        let error = finished.success().expect_err("must fail").to_string();
        assert!(error.contains("`ls /no such folder` exited with 2") && error.contains("No such file"), "{error}");
    }

    #[test]
    fn input_is_given_and_output_is_returned_whole() {
        let text = "x".repeat(300_000);
        let finished = run("cat", &[], Some(&text), soon());
        assert_eq!(finished.and_then(Finished::success).expect("cat works").len(), text.len());
    }

    #[test]
    fn a_program_is_read_while_it_runs_and_its_failure_is_told_with_its_last_words() {
        let start = |script: &str| {
            Piped::start("sh", &["-c".into(), script.into()], End::Output, Duration::from_secs(5)).expect("started")
        };
        let mut program = start("head -c 300000 /dev/zero; echo why >&2; exit 3");
        let mut bytes = Vec::new();
        program.pipe().and_then(|pipe| Ok(pipe.read_to_end(&mut bytes)?)).expect("read");
        assert_eq!(bytes.len(), 300_000);
        let error = program.finish(soon()).expect_err("it failed").to_string();
        assert!(error.contains("exited with 3: why"), "{error}");
    }

    #[test]
    fn a_program_that_does_not_read_or_write_is_not_waited_for_without_end() {
        for end in [End::Output, End::Input] {
            let mut program = Piped::start("sleep", &["60".into()], end, Duration::from_millis(50)).expect("started");
            let pipe = program.pipe().expect("open");
            let outcome = match end {
                End::Output => pipe.read_exact(&mut [0]),
                End::Input => pipe.write_all(&[0; 1_000_000]),
            };
            assert_eq!(outcome.expect_err("it sleeps").kind(), std::io::ErrorKind::TimedOut);
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = run("no-such-program", &[], None, soon()).expect_err("must fail");
        assert!(error.to_string().contains("no-such-program"));
    }
}
