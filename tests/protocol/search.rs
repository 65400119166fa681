//! The search: breadth first over all interleavings up to a depth. Of a state that was seen only its fingerprint is kept,
//! with the one before it and the step between, so that a counterexample is the shortest one and can be played again in
//! words.

use std::collections::HashMap;
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

pub fn fingerprint(state: &State) -> u64 {
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

/// A way to where something is broken.
#[derive(Debug)]
pub struct Counterexample {
    pub broken: Broken,
    pub way: Vec<Move>,
    /// The same in words; where it does not come back to writing, also how that was tried.
    pub steps: Vec<String>,
}

impl Counterexample {
    pub fn new(world: &mut World, broken: Broken, way: Vec<Move>) -> Self {
        let mut steps = tell(world, &way);
        if broken == Broken::Stuck
            && let Ok(state) = play(world, &way)
            && let Err(stuck) = fair::comes_back(world, &state)
        {
            steps.extend(stuck);
        }
        Self { broken, way, steps }
    }
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
        if let Some(Counterexample { broken, steps, .. }) = found {
            write!(formatter, "\n  {broken:?} after {} steps:\n    {}", steps.len(), steps.join("\n    "))?;
        }
        Ok(())
    }
}

/// Breadth first, from where this way leads.
///
/// # Panics
/// When that way is not possible.
pub fn explore(setup: &Setup, way: &[Move], limits: Limits) -> Report {
    let mut world = World::new(setup.clone());
    let begin = Instant::now();
    let first = play(&mut world, way).unwrap_or_else(|step| panic!("{setup}: {step:?} is not possible on the way"));
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
            if let Some((broken, print)) = expand(&mut world, state, &limits, &mut seen, &mut next, &mut report) {
                let rest = trace(&mut world, &first, &seen, print);
                report.found = Some(Counterexample::new(&mut world, broken, [way, &rest].concat()));
                break;
            }
        }
        report.depth += 1;
        frontier = next;
    }
    report.time = begin.elapsed();
    report
}

/// Takes every step from a state; what is broken after one of them, and where that is.
fn expand(
    world: &mut World,
    state: &State,
    limits: &Limits,
    seen: &mut Seen,
    next: &mut Vec<State>,
    report: &mut Report,
) -> Option<(Broken, u64)> {
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
        if broken.is_none() && limits.fair_one_in > 0 && print.is_multiple_of(limits.fair_one_in) {
            report.fair += 1;
            broken = fair::comes_back(world, &after).is_err().then_some(Broken::Stuck);
        }
        if let Some(broken) = broken {
            return Some((broken, print));
        }
        next.push(after);
    }
    None
}

/// The way to a state from where the search began.
fn trace(world: &mut World, first: &State, seen: &Seen, to: u64) -> Vec<Move> {
    let mut choices = Vec::new();
    let mut at = to;
    while let Some((before, nth)) = seen.get(&at).filter(|(before, _)| *before != 0) {
        choices.push(*nth as usize);
        at = *before;
    }
    let mut state = *first;
    let mut way = Vec::new();
    for nth in choices.into_iter().rev() {
        let step = world.moves(&state)[nth];
        way.push(step);
        state = world.apply(&state, step).expect("it was possible");
    }
    way
}

/// A way in words.
pub fn tell(world: &mut World, way: &[Move]) -> Vec<String> {
    let mut state = world.begin();
    let mut steps = Vec::new();
    for step in way {
        steps.push(world.describe(&state, *step));
        state = world.apply(&state, *step).unwrap_or(state);
    }
    steps
}

/// Where a way leads.
///
/// # Errors
/// The step that is not possible.
pub fn play(world: &mut World, way: &[Move]) -> Result<State, Move> {
    way.iter().try_fold(world.begin(), |state, step| world.apply(&state, *step).ok_or(*step))
}
