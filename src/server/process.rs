//! The daemon: is it there, is it alive, start it, end it. What counts is the process that has the data directory as its
//! working directory, never a pid file: InnoDB recovery has none yet, and a stale one names a stranger.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::deadline::Deadline;
use crate::exec;

/// The names under which the servers run.
const NAMES: &[&str] = &["mysqld", "mariadbd", "mysqld-debug"];

/// How long to sleep between two looks at a process.
const PAUSE: Duration = Duration::from_millis(10);

/// What the guard needs to note how a server ended.
const NOTING: Duration = Duration::from_secs(1);

/// A server's process: its number and when it was started, which together are never used again until the next boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// The process.
    pub pid: i32,
    /// Clock ticks after boot (proc(5), field 22 of stat).
    pub started: u64,
}

/// What proc(5) says of a process.
struct Stat {
    state: char,
    started: u64,
}

impl Stat {
    /// Whether this process or thread has ended.
    fn is_over(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}

impl Daemon {
    /// The server that runs on this data directory, if one does.
    pub fn find(datadir: &Path) -> Option<Self> {
        let wanted = fs::metadata(datadir).ok().map(|metadata| (metadata.dev(), metadata.ino()));
        let processes = fs::read_dir("/proc").ok()?;
        processes
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
            .filter(|pid| is_server(*pid) && runs_on(*pid, datadir, wanted))
            .find_map(Self::of)
    }

    /// The process of this number, if it lives.
    pub fn of(pid: i32) -> Option<Self> {
        let stat = read_stat(Path::new(&format!("/proc/{pid}")))?;
        // Killed, its first thread is a zombie at once; one that waits for a disk that hangs writes when that answers.
        let lives = !stat.is_over() || threads(pid).iter().filter_map(|path| read_stat(path)).any(|one| !one.is_over());
        lives.then_some(Self { pid, started: stat.started })
    }

    /// For how long it has been running.
    pub fn age(self) -> Duration {
        let ticks = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
        let started = self.started as f64 / ticks as f64;
        let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
        let now: f64 = uptime.split_whitespace().next().and_then(|seconds| seconds.parse().ok()).unwrap_or(started);
        Duration::from_secs_f64((now - started).max(0.0))
    }

    /// Whether this very process still lives.
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Whether it is stopped (SIGSTOP): it lives, and cannot answer.
    pub fn is_stopped(self) -> bool {
        let stat = read_stat(Path::new(&format!("/proc/{}", self.pid)));
        self.is_alive() && stat.is_some_and(|stat| stat.state == 'T')
    }

    /// Sends a signal; that the process is gone already is no error.
    pub fn signal(self, signal: Signal) {
        if self.is_alive() {
            log::info!("sending {signal} to the server (pid {})", self.pid);
            if let Err(error) = kill(Pid::from_raw(self.pid), signal) {
                log::warn!("cannot send {signal} to pid {}: {error}", self.pid);
            }
        }
    }

    /// Waits until it has ended, however long that is; known within a millisecond (pidfd_open(2), Linux 5.3).
    pub fn await_end(self) {
        while self.is_alive() {
            match exec::process_descriptor(self.pid) {
                // It may be another process of the same number by now, which is looked at again.
                Ok(descriptor) if self.is_alive() => {
                    let mut polled = [PollFd::new(descriptor.as_fd(), PollFlags::POLLIN)];
                    // Interrupted or not, it is looked again.
                    let _ = poll(&mut polled, PollTimeout::NONE);
                    // The first thread has ended; the others may still wait for a disk.
                    std::thread::sleep(Duration::from_millis(1));
                }
                _ => std::thread::sleep(PAUSE),
            }
        }
    }

    /// Waits for its end; `false` when the deadline comes first.
    pub fn wait_end(self, deadline: Deadline) -> bool {
        deadline.wait_for(PAUSE, || (!self.is_alive()).then_some(())).is_some()
    }
}

fn is_server(pid: i32) -> bool {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    NAMES.contains(&name.trim())
}

/// A server changes into its data directory early; until then its command line says where it will go.
fn runs_on(pid: i32, datadir: &Path, wanted: Option<(u64, u64)>) -> bool {
    let cwd = |place: PathBuf| fs::metadata(place.join("cwd")).ok().map(|metadata| (metadata.dev(), metadata.ino()));
    let places = std::iter::once(format!("/proc/{pid}").into()).chain(threads(pid));
    if wanted.is_some() && places.filter_map(cwd).next() == wanted {
        return true;
    }
    let same_root = |path: &str| fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
    let argument = format!("--datadir={}", datadir.display());
    same_root(&format!("/proc/{pid}/root/.")) == same_root("/")
        && fs::read(format!("/proc/{pid}/cmdline"))
            .unwrap_or_default()
            .split(|byte| *byte == 0)
            .any(|word| word == argument.as_bytes())
}

/// The threads of a process, as directories of proc(5).
fn threads(pid: i32) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn read_stat(place: &Path) -> Option<Stat> {
    let text = fs::read_to_string(place.join("stat")).ok()?;
    // The name stands in parentheses and may itself hold spaces and parentheses.
    let after_name = text.rsplit_once(')')?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    Some(Stat { state: fields.first()?.chars().next()?, started: fields.get(19)?.parse().ok()? })
}

/// A server that is starting: its process, and where its error log stood when it began.
pub struct Starting {
    process: Process,
    log: PathBuf,
    log_offset: u64,
}

enum Process {
    /// Started by us.
    Child(Child),
    /// Started by its guard, which notes in this file how it ended.
    Guarded(Daemon, PathBuf),
    /// Started by an earlier call, which was ended before the server answered.
    Found(Daemon),
}

impl Starting {
    /// Starts `program`; `log` is where it writes its errors, and where its output goes until it does.
    ///
    /// # Errors
    /// When the log cannot be written, or the program cannot be started.
    pub fn launch(program: &Path, args: &[String], log: &Path) -> Result<Self> {
        let log_offset = log_end(log)?;
        Ok(Self { process: Process::Child(start(program, args, log)?), log: log.to_path_buf(), log_offset })
    }

    /// One that its guard has started, when its error log was this long; the guard notes in `note` how it ends.
    pub fn guarded(daemon: Daemon, log: &Path, log_offset: u64, note: PathBuf) -> Self {
        Self { process: Process::Guarded(daemon, note), log: log.to_path_buf(), log_offset }
    }

    /// One that is there already.
    pub fn found(daemon: Daemon, log: &Path) -> Self {
        Self { process: Process::Found(daemon), log: log.to_path_buf(), log_offset: 0 }
    }

    /// The process.
    pub fn daemon(&self) -> Option<Daemon> {
        match &self.process {
            Process::Child(child) => Daemon::of(i32::try_from(child.id()).ok()?),
            Process::Guarded(daemon, _) | Process::Found(daemon) => Some(*daemon),
        }
    }

    /// How it ended, if it did: the status if it can be known, and the last error in its log.
    pub fn ended(&mut self) -> Option<String> {
        let text = |log: &Path, offset| read_end(log, offset).unwrap_or_default();
        let (how, said) = match &mut self.process {
            Process::Child(child) => {
                let status = child.try_wait().ok().flatten()?;
                (crate::exec::describe_status(status), text(&self.log, self.log_offset))
            }
            Process::Guarded(daemon, _) | Process::Found(daemon) if daemon.is_alive() => return None,
            Process::Guarded(_, note) => {
                // Its guard learns of it at the same time.
                let noted = || fs::read_to_string(&note).ok().filter(|how| !how.is_empty());
                let how = Deadline::after(NOTING).wait_for(PAUSE, noted);
                (how.unwrap_or_else(|| "ended".into()), text(&self.log, self.log_offset))
            }
            Process::Found(daemon) => {
                ("ended".into(), parse_own_words(&text(&self.log, self.log_offset), daemon.pid).to_string())
            }
        };
        let why = parse_last_error(&said).or_else(|| parse_last_line(&said));
        Some(format!("the server {how}: {}", why.unwrap_or_else(|| "its error log says nothing".into())))
    }
}

/// Starts the server's program in a session of its own; `log` is where its output goes until it writes its errors there.
///
/// # Errors
/// When the log cannot be written, or the program cannot be started.
pub fn start(program: &Path, args: &[String], log: &Path) -> Result<Child> {
    exec::start_daemon(&program.to_string_lossy(), args, &open_log(log)?)
}

/// Where the server's error log ends now.
///
/// # Errors
/// When it cannot be written.
pub fn log_end(log: &Path) -> Result<u64> {
    Ok(open_log(log)?.metadata().map(|metadata| metadata.len()).unwrap_or_default())
}

fn open_log(log: &Path) -> Result<File> {
    let file = OpenOptions::new().append(true).open(log);
    file.with_context(|| format!("cannot write the server's error log {}", log.display()))
}

/// The last error that the server of this process has logged.
pub fn last_error(log: &Path, pid: i32) -> Option<String> {
    parse_last_error(parse_own_words(&read_end(log, 0)?, pid))
}

/// The end of a log, from `offset` on if that is not too far back.
fn read_end(log: &Path, offset: u64) -> Option<String> {
    /// More than this much of a log is not read.
    const MOST: u64 = 256 * 1024;
    let mut file = File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(offset.min(length).max(length.saturating_sub(MOST)))).ok()?;
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// What the process of this number said: both vendors' servers begin with "… as process 4711", which an earlier life in
/// the same log did under another number. All of it if this one did not come so far.
fn parse_own_words(text: &str, pid: i32) -> &str {
    let announcement = format!("as process {pid}");
    let is_own = |at: &usize| !text[at + announcement.len()..].starts_with(|next: char| next.is_ascii_digit());
    let begin = text.rmatch_indices(&announcement).map(|(at, _)| at).find(is_own);
    &text[begin.unwrap_or_default()..]
}

/// The line that says why: the last `[ERROR]` that is not only the announcement of the end.
fn parse_last_error(text: &str) -> Option<String> {
    let errors: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once("[ERROR]")?.1.trim())).collect();
    let announces = |line: &str| line.ends_with("Aborting") || line.contains("Data Dictionary initialization failed");
    let cause = errors.iter().rev().find(|line| !announces(line)).or(errors.last());
    cause.map(|line| shorten(line))
}

fn parse_last_line(text: &str) -> Option<String> {
    text.lines().rev().find(|line| !line.trim().is_empty()).map(shorten)
}

/// An exit reason is one line that people read.
fn shorten(line: &str) -> String {
    line.trim().chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_a_process_with_another_start_time_is_a_stranger() {
        let pid = i32::try_from(std::process::id()).expect("a pid");
        let me = Daemon::of(pid).expect("alive");
        assert!(me.is_alive() && !me.is_stopped());
        assert!(!Daemon { started: me.started + 1, ..me }.is_alive());
    }

    #[test]
    fn a_process_that_has_ended_is_not_alive_even_as_a_zombie() {
        let mut child = std::process::Command::new("true").spawn().expect("started");
        let pid = i32::try_from(child.id()).expect("a pid");
        let gone = Deadline::after(Duration::from_secs(5)).wait_for(PAUSE, || Daemon::of(pid).is_none().then_some(()));
        assert!(gone.is_some(), "a zombie is no server");
        child.wait().expect("reaped");
    }

    #[test]
    fn the_last_error_is_the_cause_and_not_the_announcement_of_the_end() {
        let log = "2026-01-01  1:02:03 0 [Note] starting\n\
                   2026-01-01  1:02:03 0 [ERROR] InnoDB: Unable to lock ./ibdata1 error: 11\n\
                   2026-01-01  1:02:04 0 [ERROR] Aborting\n\
                   2026-01-01  1:02:04 0 [Note] done\n";
        assert_eq!(parse_last_error(log).as_deref(), Some("InnoDB: Unable to lock ./ibdata1 error: 11"));
        let mysql = "2026-01-01T01:02:03Z 0 [ERROR] [MY-000067] [Server] unknown variable 'a=b'.\n\
                     2026-01-01T01:02:03Z 0 [ERROR] [MY-010119] [Server] Aborting\n";
        assert_eq!(parse_last_error(mysql).as_deref(), Some("[MY-000067] [Server] unknown variable 'a=b'."));
        assert_eq!(parse_last_error("segfault\n\n"), None);
        assert_eq!(parse_last_line("segfault\n\n").as_deref(), Some("segfault"));
        assert_eq!(parse_last_line(""), None);
    }

    #[test]
    fn a_servers_words_are_not_those_of_an_earlier_life_in_the_same_log() {
        let log = "[Note] Starting MariaDB 10.11.14 source revision abc as process 71\n[ERROR] old\n\
                   [Note] Starting MariaDB 10.11.14 source revision abc as process 7\n[ERROR] new\n\
                   [Note] Starting MariaDB 10.11.14 source revision abc as process 72\n[ERROR] newest\n";
        assert_eq!(parse_own_words(log, 72), "as process 72\n[ERROR] newest\n");
        assert!(parse_own_words(log, 7).starts_with("as process 7\n[ERROR] new\n"));
        let mysql = "[System] [MY-010116] [Server] /usr/sbin/mysqld (mysqld 9.7.4) starting as process 9\n";
        assert_eq!(parse_own_words(mysql, 9), "as process 9\n");
        assert_eq!(parse_own_words(log, 8), log);
    }

    #[test]
    fn a_data_directory_without_a_server_has_none() {
        assert!(Daemon::find(Path::new("/no/such/datadir")).is_none());
    }
}
