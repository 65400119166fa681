//! The exit codes of the OCF resource agent API 1.1: the only place where one appears as a number.

use std::fmt;

/// How an action ended, as Pacemaker reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Done; for monitor: running, unpromoted.
    Success = 0,
    /// Failed, try again.
    Generic = 1,
    /// A parameter does not fit this node: not tried again here.
    Args = 2,
    /// The action does not exist.
    Unimplemented = 3,
    /// A permission is missing: not tried again here.
    Perm = 4,
    /// Software is missing: not tried again here.
    Installed = 5,
    /// The configuration is wrong on every node: not tried again anywhere.
    Configured = 6,
    /// Cleanly stopped.
    NotRunning = 7,
    /// Running and promoted.
    RunningPromoted = 8,
    /// Promoted, and broken.
    FailedPromoted = 9,
    /// Running unpromoted, but something needs attention.
    Degraded = 190,
    /// Running promoted, but something needs attention.
    DegradedPromoted = 191,
}

impl ExitCode {
    /// The number for `exit(2)`.
    pub fn number(self) -> i32 {
        self as i32
    }
}

/// A failed action: the code decides what Pacemaker does, the reason is what the operator reads.
#[derive(Clone, Debug)]
pub struct OcfError {
    /// What Pacemaker is told.
    pub code: ExitCode,
    /// One sentence, lower case, with the way out if there is one; never a secret.
    pub reason: String,
}

impl OcfError {
    /// An error with any code.
    pub fn new(code: ExitCode, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// A plain failure.
    pub fn generic(reason: impl Into<String>) -> Self {
        Self::new(ExitCode::Generic, reason)
    }
}

impl fmt::Display for OcfError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.reason)
    }
}

impl std::error::Error for OcfError {}

/// The outcome of an action: an exit code, or a failure with its reason.
pub type Outcome = anyhow::Result<ExitCode>;

/// The code and reason of any error: a typed one says its own code, everything else is a plain failure.
pub fn describe(error: &anyhow::Error) -> OcfError {
    match error.downcast_ref::<OcfError>() {
        Some(typed) => OcfError::new(typed.code, one_line(&format!("{error:#}"))),
        None => OcfError::generic(one_line(&format!("{error:#}"))),
    }
}

/// Pacemaker takes an exit reason up to the first line break; a reason must not lose its end there.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_typed_error_keeps_its_code_through_context() {
        let error = Err::<(), _>(OcfError::new(ExitCode::Perm, "no"))
            .context("cannot open the socket")
            .expect_err("is an error");
        let described = describe(&error);
        assert_eq!(described.code, ExitCode::Perm);
        assert_eq!(described.reason, "cannot open the socket: no");
    }

    #[test]
    fn a_reason_is_one_line() {
        assert_eq!(describe(&anyhow::anyhow!("a\n  b")).reason, "a b");
    }
}
