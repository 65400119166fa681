//! The steps that need no cluster: what cargo checks.

use std::time::Duration;

use anyhow::Result;

use super::report::{Failure, Outcome, first_line, save};
use crate::workspace;

/// From nothing, on two cores: a build of all dependencies, twice.
const LIMIT: Duration = Duration::from_secs(25 * 60);

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Format,
    Lints,
    Unit,
    Lab,
    Model,
}

impl Step {
    pub(super) const ALL: [Step; 5] = [Step::Format, Step::Lints, Step::Unit, Step::Lab, Step::Model];

    /// Whether it is run only with `--all`, or when it is named.
    pub(super) fn is_long(self) -> bool {
        self == Step::Model
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Step::Format => "fmt",
            Step::Lints => "clippy",
            Step::Unit => "unit",
            Step::Lab => "lab",
            Step::Model => "model",
        }
    }

    pub(super) fn about(self) -> &'static str {
        match self {
            Step::Format => "The sources are formatted as rustfmt does it.",
            Step::Lints => "Clippy has nothing to say.",
            Step::Unit => "The release build, and all tests that need no cluster.",
            Step::Lab => "The lab itself: two at once do not meet, and nothing of them remains, also after a crash.",
            Step::Model => "The model of the in-sync protocol, searched deeper than among the unit tests.",
        }
    }

    pub(super) fn run(self) -> Result<Outcome> {
        match self {
            Step::Format => self.check("rustfmt", &["fmt", "--all", "--check"]),
            Step::Lints => {
                let strict = ["--", "-D", "warnings"];
                let all = [&["clippy", "--quiet", "--workspace", "--all-targets"][..], &strict].concat();
                // Cargo does not count a target with `test = false` among all targets.
                let scenarios =
                    [&["clippy", "--quiet", "--package", "rustha-lab", "--test", "cluster"][..], &strict].concat();
                match self.check("clippy", &all)? {
                    Outcome::Passed => self.check("clippy", &scenarios),
                    other => Ok(other),
                }
            }
            Step::Unit => {
                workspace::build_rustha()?;
                self.cargo(&["test", "--quiet", "--workspace", "--no-fail-fast"])
            }
            Step::Lab => {
                let fixed = ["test", "--quiet", "--package", "rustha-lab", "--test", "library", "--"];
                self.cargo(&[&fixed[..], &["--ignored", "--test-threads=1"]].concat())
            }
            Step::Model => self.cargo(&[
                "test",
                "--quiet",
                "--release",
                "--test",
                "protocol",
                "--",
                "--ignored",
                "no_longer_interleaving",
            ]),
        }
    }

    /// With a component of Rust that a minimal installation lacks.
    fn check(self, component: &str, argv: &[&str]) -> Result<Outcome> {
        if !workspace::cargo(&[argv[0], "--version"]).output()?.status.success() {
            return Ok(Outcome::Skipped(format!("not installed; get it with: rustup component add {component}")));
        }
        self.cargo(argv)
    }

    fn cargo(self, argv: &[&str]) -> Result<Outcome> {
        let output = workspace::cargo(argv).limit(LIMIT).output()?;
        if output.status.success() {
            return Ok(Outcome::Passed);
        }
        let said = output.stdout + &output.stderr;
        let reason = find_reason(&said).map_or_else(|| output.status.to_string(), str::to_owned);
        Ok(Outcome::Failed(Failure { reason, logs: Some(save(self.name(), &said)?) }))
    }
}

/// The line of cargo's output that says most.
fn find_reason(said: &str) -> Option<&str> {
    let says = |line: &&str| {
        line.starts_with("error")
            || line.starts_with("Diff in")
            || line.contains("panicked at")
            || line.ends_with("FAILED")
    };
    said.lines().find(says).or_else(|| first_line(said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_is_the_reason() {
        assert_eq!(find_reason("  Compiling\nerror[E1]: bad\nerror: more").unwrap(), "error[E1]: bad");
        assert_eq!(find_reason("Diff in /a.rs:1:\n-x").unwrap(), "Diff in /a.rs:1:");
        assert_eq!(find_reason("\nodd\n").unwrap(), "odd");
    }
}
