//! The search: breadth first over all interleavings up to a depth, and deep random runs. Of a state that was seen only its
//! fingerprint is kept, with the one before it and the step between, so that a counterexample is the shortest one and can be
//! played again in words.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::time::{Duration, Instant};

use crate::fair;
use crate::setup::Setup;
use crate::state::{Broken, State};
use crate::steps::{Move, World};

/// Quick, and good enough for 64 bits of a few million states.
#[derive(Default)]
pub struct Quick(u64);

impl Hasher for Quick {
    fn finish(&self) -> u64 {
        let mixed = (self.0 ^ self.0 >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ mixed >> 32
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(byte.into());
    }

    fn write_u16(&mut self, word: u16) {
        self.write_u64(word.into());
    }

    fn write_isize(&mut self, word: isize) {
        self.write_u64(word as u64);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }
}

fn fingerprint(state: &State) -> u64 {
    let mut hasher = Quick::default();
    state.hash(&mut hasher);
    hasher.finish()
}

type Seen = HashMap<u64, (u64, u32), BuildHasherDefault<Quick>>;

/// How far it is searched.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub depth: usize,
    pub states: usize,
    pub time: Duration,
    /// P4 is played from one in so many states; 0: from none.
    pub fair_one_in: u64,
}

/// What was found.
#[derive(Debug)]
pub struct Report {
    pub what: String,
    pub states: usize,
    pub depth: usize,
    pub fair: usize,
    pub time: Duration,
    /// Everything up to the depth was seen.
    pub is_complete: bool,
    pub found: Option<Counterexample>,
}

#[derive(Debug)]
pub struct Counterexample {
    pub broken: Broken,
    pub steps: Vec<String>,
}

impl std::fmt::Display for Report {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, states, depth, fair, time, is_complete, found } = self;
        let end = if *is_complete { "" } else { " (not all of the last)" };
        write!(
            formatter,
            "{what}: {states} states, depth {depth}{end}, {fair} fair runs, {:.1} s",
            time.as_secs_f32()
        )?;
        if let Some(Counterexample { broken, steps }) = found {
            write!(formatter, "\n  {broken:?} after {} steps:\n    {}", steps.len(), steps.join("\n    "))?;
        }
        Ok(())
    }
}

/// Breadth first.
pub fn explore(setup: &Setup, limits: Limits) -> Report {
    let mut world = World::new(setup.clone());
    let begin = Instant::now();
    let first = world.begin();
    let mut seen = Seen::default();
    seen.insert(fingerprint(&first), (0, 0));
    let mut frontier = vec![first];
    let mut report = Report {
        what: setup.to_string(),
        states: 1,
        depth: 0,
        fair: 0,
        time: Duration::ZERO,
        is_complete: true,
        found: None,
    };
    while !frontier.is_empty() && report.depth < limits.depth && report.found.is_none() && report.is_complete {
        let mut next = Vec::new();
        for state in &frontier {
            if report.states >= limits.states || begin.elapsed() >= limits.time {
                report.is_complete = false;
                break;
            }
            expand(&mut world, state, &limits, &mut seen, &mut next, &mut report);
            if report.found.is_some() {
                break;
            }
        }
        report.depth += 1;
        frontier = next;
    }
    report.time = begin.elapsed();
    report
}

fn expand(
    world: &mut World,
    state: &State,
    limits: &Limits,
    seen: &mut Seen,
    next: &mut Vec<State>,
    report: &mut Report,
) {
    let before = fingerprint(state);
    for (nth, step) in world.moves(state).into_iter().enumerate() {
        let Some(after) = world.apply(state, step) else { continue };
        let print = fingerprint(&after);
        if seen.contains_key(&print) {
            continue;
        }
        seen.insert(print, (before, nth as u32));
        report.states += 1;
        let mut broken = after.ghost.broken;
        let mut stuck = Vec::new();
        if broken.is_none() && limits.fair_one_in > 0 && print.is_multiple_of(limits.fair_one_in) {
            report.fair += 1;
            if let Err(way) = fair::comes_back(world, &after) {
                broken = Some(Broken::Stuck);
                stuck = way;
            }
        }
        if let Some(broken) = broken {
            let mut steps = trace(world, seen, print);
            steps.extend(stuck);
            report.found = Some(Counterexample { broken, steps });
            return;
        }
        next.push(after);
    }
}

/// The way to a state, in words.
fn trace(world: &mut World, seen: &Seen, to: u64) -> Vec<String> {
    let mut choices = Vec::new();
    let mut at = to;
    while let Some((before, nth)) = seen.get(&at).filter(|(before, _)| *before != 0) {
        choices.push(*nth as usize);
        at = *before;
    }
    let mut state = world.begin();
    let mut steps = Vec::new();
    for nth in choices.into_iter().rev() {
        let step = world.moves(&state)[nth];
        steps.push(world.describe(&state, step));
        state = world.apply(&state, step).expect("it was possible");
    }
    steps
}

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
    let mut way: Vec<(State, Move)> = Vec::new();
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
        way.push((state, step));
        state = after;
        found = state.ghost.broken;
    }
    let mut stuck = Vec::new();
    if found.is_none()
        && let Err(way) = fair::comes_back(&mut world, &state)
    {
        found = Some(Broken::Stuck);
        stuck = way;
    }
    let depth = way.len();
    let found = found.map(|broken| {
        let mut steps: Vec<String> = way.iter().map(|(state, step)| world.describe(state, *step)).collect();
        steps.extend(stuck);
        Counterexample { broken, steps }
    });
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
