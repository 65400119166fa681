//! Why an attempt to write or to look failed, in few kinds that can be counted. Pure.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::time::Duration;

use mysql::DriverError;

/// The kind of a failure; failures of one kind are counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// The address is there, no server listens.
    ConnectRefused,
    /// Nobody answered the connection attempt.
    ConnectTimedOut,
    /// The network knows no way to the address.
    NoRoute,
    /// A connection that no answer came on in time.
    NoAnswer,
    /// The connection ended; clients call it 2013.
    Lost,
    /// The server answered with this error.
    Server(u16),
    /// Anything else, in the driver's words.
    Other(String),
}

impl FailureKind {
    /// Whether the server said that it did not do it. Any other failure leaves the outcome unknown: also
    /// an error from the server, as that may come from the commit's last part (a kill while it waits for
    /// a semi-synchronous acknowledgement).
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Server(1290 | 1836))
    }

    fn of_io(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Self::NoAnswer,
            ErrorKind::ConnectionRefused => Self::ConnectRefused,
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Self::NoRoute,
            ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe => Self::Lost,
            _ => Self::Other(error.to_string()),
        }
    }
}

impl From<&mysql::Error> for FailureKind {
    fn from(error: &mysql::Error) -> Self {
        match error {
            mysql::Error::MySqlError(error) => Self::Server(error.code),
            mysql::Error::IoError(error) => Self::of_io(error),
            // The codec's error type is not exported; what it wraps while reading is an I/O error.
            mysql::Error::CodecError(error) => error
                .source()
                .and_then(|source| source.downcast_ref())
                .map_or_else(|| Self::Other(error.to_string()), Self::of_io),
            mysql::Error::DriverError(DriverError::ConnectTimeout) => Self::ConnectTimedOut,
            mysql::Error::DriverError(DriverError::CouldNotConnect(Some((_, _, kind)))) => Self::of_io(&(*kind).into()),
            other => Self::Other(other.to_string()),
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::ConnectRefused => "connect refused",
            Self::ConnectTimedOut => "connect timed out",
            Self::NoRoute => "no route",
            Self::NoAnswer => "no answer",
            Self::Lost => "2013 lost",
            Self::Server(1040) => "1040 too many connections",
            Self::Server(1044 | 1045 | 1142 | 1698) => "access denied",
            Self::Server(1053) => "1053 shutting down",
            Self::Server(1290 | 1836) => "1290 read-only",
            Self::Server(3032) => "3032 offline mode",
            Self::Server(code) => return write!(f, "server error {code}"),
            Self::Other(text) => text,
        };
        f.write_str(name)
    }
}

/// A failed attempt of a writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// When it was known to have failed, since the start.
    pub at: Duration,
    /// What it was.
    pub kind: FailureKind,
}

/// Failures counted by kind; displayed as `14× 1290 read-only, 2× 2013 lost`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally(pub BTreeMap<FailureKind, usize>);

impl Tally {
    /// Counts the failures after `from`, up to and with `to`.
    pub fn between(failures: &[Failure], from: Duration, to: Duration) -> Self {
        let mut counts = BTreeMap::new();
        for failure in failures {
            if from < failure.at && failure.at <= to {
                *counts.entry(failure.kind.clone()).or_insert(0) += 1;
            }
        }
        Self(counts)
    }

    /// Whether nothing failed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        for (i, (kind, count)) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{count}× {kind}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_only_server_refuses_and_a_lost_connection_leaves_the_outcome_unknown() {
        assert!(FailureKind::Server(1290).is_refusal());
        assert!(!FailureKind::Lost.is_refusal());
        assert!(!FailureKind::Server(1317).is_refusal());
    }

    #[test]
    fn time_outs_losses_and_refusals_are_told_apart() {
        let io = |kind: ErrorKind| FailureKind::from(&mysql::Error::IoError(kind.into()));
        assert_eq!(io(ErrorKind::WouldBlock), FailureKind::NoAnswer);
        assert_eq!(io(ErrorKind::UnexpectedEof), FailureKind::Lost);
        assert_eq!(io(ErrorKind::BrokenPipe), FailureKind::Lost);
        let refused = Some((String::new(), String::new(), ErrorKind::ConnectionRefused));
        let refused = mysql::Error::DriverError(DriverError::CouldNotConnect(refused));
        assert_eq!(FailureKind::from(&refused), FailureKind::ConnectRefused);
    }

    #[test]
    fn a_tally_counts_what_lies_in_the_gap() {
        let at = |ms, kind| Failure { at: Duration::from_millis(ms), kind };
        let failures = [
            at(10, FailureKind::Lost),
            at(20, FailureKind::Lost),
            at(30, FailureKind::Server(1290)),
            at(31, FailureKind::Lost),
        ];
        let tally = Tally::between(&failures, Duration::from_millis(10), Duration::from_millis(30));
        assert_eq!(tally.to_string(), "1× 2013 lost, 1× 1290 read-only");
    }
}
