//! Deep random runs: what a search over all interleavings does not come to.

use std::collections::HashSet;
use std::time::Instant;

use crate::fair;
use crate::search::{Counterexample, Report, fingerprint};
use crate::setup::Setup;
use crate::state::{Broken, State};
use crate::steps::{Move, World};

/// A generator of numbers that are the same in each run (xorshift).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) % end as u64) as usize
    }
}

/// One random run, and P4 from its end.
pub fn run_randomly(setup: &Setup, seed: u64, length: usize) -> Report {
    let mut world = World::new(setup.clone());
    let begin = Instant::now();
    let mut dice = Dice::new(seed);
    let mut state = world.begin();
    let taste = Taste::new(&mut dice);
    let mut been = HashSet::new();
    let mut way: Vec<Move> = Vec::new();
    let mut found = None;
    while way.len() < length && found.is_none() {
        let moves = world.moves(&state);
        let possible = moves.into_iter().filter_map(|step| Some((step, world.apply(&state, step)?)));
        // Never the same state twice: a promotion that is refused is refused again.
        let possible: Vec<(Move, State)> = possible.filter(|(_, after)| !been.contains(&fingerprint(after))).collect();
        if possible.is_empty() {
            break;
        }
        let (step, after) = taste.pick(&mut dice, &possible);
        been.insert(fingerprint(&after));
        way.push(step);
        state = after;
        found = state.ghost.broken;
    }
    if found.is_none() && fair::comes_back(&mut world, &state).is_err() {
        found = Some(Broken::Stuck);
    }
    let depth = way.len();
    let found = found.map(|broken| Counterexample::new(&mut world, broken, way));
    Report {
        what: format!("{setup}, seed {seed}"),
        states: depth,
        depth,
        fair: 1,
        time: begin.elapsed(),
        is_complete: true,
        found,
    }
}

/// How likely each kind of step is in one run: every run has its own taste, and so its own corner of what is possible.
struct Taste(Vec<usize>);

impl Taste {
    fn new(dice: &mut Dice) -> Self {
        Self((0..Move::KINDS).map(|_| [1, 4, 16, 64][dice.below(4)]).collect())
    }

    fn pick(&self, dice: &mut Dice, possible: &[(Move, State)]) -> (Move, State) {
        let weight = |step: &Move| self.0[step.kind()];
        let mut left = dice.below(possible.iter().map(|(step, _)| weight(step)).sum());
        let chosen = possible.iter().find(|(step, _)| match left.checked_sub(weight(step)) {
            Some(rest) => {
                left = rest;
                false
            }
            None => true,
        });
        *chosen.expect("the weights add up")
    }
}
