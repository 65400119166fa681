//! The log: syslog where there is one, else standard error, which Pacemaker keeps in its own log; for a person at a
//! terminal always standard error. Standard output is the protocol's.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use log::{LevelFilter, Log, Metadata, Record};
use syslog::{BasicLogger, Facility, Formatter3164, LoggerBackend};

/// Starts logging; `what` stands in front of each message. With `OCF_TRACE_RA` or `HA_debug` set, tools and statements
/// are logged too.
pub fn start(what: &str) {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
    let level = if is_set("OCF_TRACE_RA") || is_set("HA_debug") { LevelFilter::Debug } else { LevelFilter::Info };
    let logger: Box<dyn Log> = match open_syslog(Path::new("/dev/log")) {
        Some(syslog) if !std::io::stderr().is_terminal() => {
            Box::new(Prefixed { what: what.to_string(), inner: syslog })
        }
        _ => Box::new(StandardError { what: what.to_string() }),
    };
    // A second logger in one process is a mistake of ours, and no reason to fail an action.
    if log::set_boxed_logger(logger).is_ok() {
        log::set_max_level(level);
    }
}

/// A journal that hangs must not hang the agent with it: what it does not take within that is lost.
const PATIENCE: Duration = Duration::from_millis(100);

fn open_syslog(socket: &Path) -> Option<BasicLogger> {
    socket.exists().then_some(())?;
    let formatter = Formatter3164 {
        facility: Facility::LOG_DAEMON,
        hostname: None,
        process: "rustha".into(),
        pid: std::process::id(),
    };
    let logger = syslog::unix_custom(formatter, socket).ok()?;
    match &logger.backend {
        LoggerBackend::Unix(socket) => socket.set_write_timeout(Some(PATIENCE)),
        LoggerBackend::UnixStream(stream) => stream.get_ref().set_write_timeout(Some(PATIENCE)),
        _ => Ok(()),
    }
    .ok()?;
    Some(BasicLogger::new(logger))
}

struct Prefixed<L> {
    what: String,
    inner: L,
}

impl<L: Log> Log for Prefixed<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_ours(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if is_ours(record.metadata()) {
            let message = format_args!("{}: {}", self.what, record.args()).to_string();
            self.inner
                .log(&Record::builder().args(format_args!("{message}")).metadata(record.metadata().clone()).build());
        }
    }

    fn flush(&self) {
        self.inner.flush();
    }
}

struct StandardError {
    what: String,
}

impl Log for StandardError {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_ours(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if is_ours(record.metadata()) {
            let level = record.level().as_str().to_ascii_lowercase();
            // Nobody to tell if standard error is gone.
            let _ = writeln!(std::io::stderr(), "{level}: {}: {}", self.what, record.args());
        }
    }

    fn flush(&self) {}
}

/// Other crates' messages may hold what must not be logged.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("rustha")
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_journal_that_hangs_does_not_hang_the_agent() {
        let path = std::env::temp_dir().join(format!("rustha-log-{}", std::process::id()));
        let _nobody_reads = UnixDatagram::bind(&path).expect("bound");
        let logger = open_syslog(&path).expect("it is there");
        let start = Instant::now();
        let record = Record::builder().args(format_args!("a message")).target("rustha").build();
        // Until nothing more fits.
        while start.elapsed() < PATIENCE {
            logger.log(&record);
        }
        logger.log(&record);
        assert!(start.elapsed() < PATIENCE * 20, "{:?}", start.elapsed());
        std::fs::remove_file(path).expect("removed");
    }
}
