//! Scenarios on real clusters, one file a subject. `cargo lab test` plays them; a new file is a line in `mod` and a
//! line in `ALL`.

mod cold_start;
mod contract;

use std::process::ExitCode;

use rustha_lab::scenario::{self, Scenario};

/// All scenarios, in the order in which they are played.
const ALL: &[&[Scenario]] = &[contract::ALL, cold_start::ALL];

fn main() -> ExitCode {
    scenario::main(ALL)
}
