//! The protocol explored: a model of the cluster in which the product's own pure decisions act (`Keeper::next`, `elect`,
//! `found_set`, `may_acknowledge`, `noted`, `find_errant`, the cold start's rule), and a search over its interleavings.

mod begin;
mod chance;
mod cluster;
mod fair;
mod faults;
mod guards;
mod mistakes;
mod places;
mod promotions;
mod properties;
mod search;
mod seeded;
mod servers;
mod setup;
mod state;
mod steps;
mod survey;
mod words;

use std::time::Duration;

use chance::run_randomly;
use search::{Limits, explore};
use setup::{Setup, Start};

/// Where a run begins: with everybody in sync, with a replica that returns, with a primary that is alone, with nobody
/// promoted yet.
const STARTS: [Start; 4] = [Start::Whole, Start::Returning, Start::Alone, Start::Fresh];

/// Three nodes with one acknowledgement, three with two, and two with fencing; with faults and delays enough for a second
/// failure after the first.
fn setups() -> Vec<(String, Setup)> {
    let bases =
        [("three", Setup::three()), ("three, two acknowledgements", Setup::three_with_two()), ("two", Setup::two())];
    let all = bases.into_iter().flat_map(|(name, base)| {
        STARTS.map(|start| {
            let setup = Setup { start, writes: 4, faults: 3, hitches: 2, ..base.clone() };
            (format!("{name}, {start:?}"), setup)
        })
    });
    all.collect()
}

/// Invariants 1 and 2, the promise, and that with no fault left it comes back to writing, in deep random runs.
#[test]
fn invariant_1_no_random_run_breaks_the_promise() {
    for (name, setup) in setups() {
        for seed in 0..300 {
            let report = run_randomly(&setup, seed, 120);
            assert!(report.found.is_none(), "{name}: {report}");
        }
    }
}

/// All interleavings of each of the three, with one fault and one hitch, to this depth; from one state in 200 it has to come
/// back to writing.
fn explore_all(depth: usize) {
    for base in [Setup::three(), Setup::three_with_two(), Setup::two()] {
        let setup = Setup { faults: 1, hitches: 1, writes: 2, ..base };
        let limits = Limits { depth, states: 20_000_000, time: Duration::from_secs(900), fair_one_in: 200 };
        let report = explore(&setup, &[], limits);
        println!("{report}");
        assert!(report.found.is_none(), "{report}");
        assert!(report.is_complete && report.depth == depth, "not searched to its depth: {report}");
    }
}

#[test]
fn invariant_1_no_interleaving_breaks_the_promise() {
    explore_all(7);
}

#[test]
#[ignore = "minutes: the step model of cargo lab test --all, or cargo test --release --test protocol -- --ignored no_longer"]
fn invariant_1_no_longer_interleaving_breaks_the_promise() {
    explore_all(11);
}
