//! Scenarios on real clusters, one file a subject. `cargo lab test` plays them; a new file is a line in `mod` and a
//! line in `ALL`.

mod cold_start;

use std::process::ExitCode;

use rustha_lab::scenario::{self, Scenario};

/// All scenarios, in the order in which they are played.
const ALL: &[&[Scenario]] = &[cold_start::ALL];

fn main() -> ExitCode {
    scenario::main(ALL)
}
