//! For people: looks for a seeded mistake in random setups, and prints the shortest ways to it as they stand in `seeded.rs`.
//! `MISTAKES=NoSeal,NoUnseal SECONDS=20 cargo test --test protocol survey -- --ignored --nocapture`; mistakes that are
//! joined by a plus are made together, and `BREAKS=Lost` shows only those ways.

use std::time::Instant;

use crate::STARTS;
use crate::chance::{Dice, run_randomly};
use crate::fair;
use crate::mistakes::{ALL, Mistake};
use crate::search::{Counterexample, play};
use crate::setup::{FAULTS, HITCHES, Setup};
use crate::state::Broken;
use crate::steps::{Move, World};

#[test]
#[ignore = "minutes, for people: ways to seeded mistakes"]
fn survey() {
    let seconds = variable("SECONDS").map_or(8.0, |text| text.parse().expect("a number"));
    let all: Vec<String> = ALL.iter().map(|mistake| format!("{mistake:?}")).collect();
    let asked = variable("MISTAKES").unwrap_or_else(|| all.join(","));
    for names in asked.split(',') {
        let named = |name: &str| ALL.iter().copied().find(|one| name == format!("{one:?}")).expect("a mistake");
        let mistakes: Vec<Mistake> = names.split('+').map(named).collect();
        look_for(names, &mistakes, seconds);
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn look_for(names: &str, mistakes: &[Mistake], seconds: f32) {
    let mut dice = Dice::new(7);
    let begin = Instant::now();
    let (mut runs, mut found) = (0, Vec::new());
    while begin.elapsed().as_secs_f32() < seconds {
        let setup = Setup { mistakes: mistakes.to_vec(), ..any_setup(&mut dice) };
        let length = [40, 80, 120, 200][dice.below(4)];
        for _ in 0..20 {
            runs += 1;
            if let Some(one) = run_randomly(&setup, dice.below(1 << 40) as u64, length).found
                && variable("BREAKS").is_none_or(|kind| format!("{:?}", one.broken).starts_with(&kind))
            {
                found.push((setup.clone(), one));
            }
        }
    }
    println!("=== {names}: {} of {runs} runs", found.len());
    found.sort_by_key(|(_, one)| one.way.len());
    let mut shortened: Vec<_> = found.into_iter().take(40).map(|(setup, one)| shorten(setup, one)).collect();
    shortened.retain(|(setup, one)| is_due_to_first(setup, one));
    shortened.sort_by_key(|(_, one)| one.way.len());
    for (setup, one) in shortened.iter().take(variable("SHOW").map_or(3, |text| text.parse().expect("a number"))) {
        println!("{:?} in {} steps: {setup}, {:?} {:?}", one.broken, one.way.len(), setup.kinds, setup.hitch_kinds);
        println!("  &{:?}", one.way);
        println!("    {}", one.steps.join("\n    "));
    }
}

fn any_setup(dice: &mut Dice) -> Setup {
    let base = [Setup::three(), Setup::three(), Setup::three_with_two(), Setup::two()][dice.below(4)].clone();
    let kinds = any_of(dice, FAULTS);
    let hitch_kinds = any_of(dice, HITCHES);
    Setup {
        start: STARTS[dice.below(4)],
        writes: 1 + dice.below(4) as u8,
        faults: 1 + dice.below(3) as u8,
        hitches: dice.below(3) as u8,
        kinds,
        hitch_kinds,
        ..base
    }
}

/// All of them, or one, or two.
fn any_of<T: Copy>(dice: &mut Dice, all: &'static [T]) -> &'static [T] {
    let count = dice.below(3);
    if count == 0 {
        return all;
    }
    let some: Vec<T> = (0..count).map(|_| all[dice.below(all.len())]).collect();
    Vec::leak(some)
}

/// Whether the same way breaks nothing without the first of the mistakes.
fn is_due_to_first(setup: &Setup, found: &Counterexample) -> bool {
    let mut world = World::new(Setup { mistakes: setup.mistakes[1..].to_vec(), ..setup.clone() });
    breaks(&mut world, &found.way, found.broken).is_none()
}

/// Leaves out whatever step is not needed.
fn shorten(setup: Setup, found: Counterexample) -> (Setup, Counterexample) {
    let mut world = World::new(setup.clone());
    let mut broken = found.broken;
    let mut way = found.way;
    let mut at = way.len();
    let mut is_shorter = true;
    while is_shorter {
        is_shorter = false;
        while at > 0 {
            at -= 1;
            let mut shorter = way.clone();
            shorter.remove(at);
            if let Some((still, rest)) = breaks(&mut world, &shorter, broken) {
                (broken, way) = (still, rest);
                at = at.min(way.len());
                is_shorter = true;
            }
        }
        at = way.len();
    }
    (setup, Counterexample::new(&mut world, broken, way))
}

/// What this way breaks, and so much of it as is possible and needed.
fn breaks(world: &mut World, way: &[Move], sought: Broken) -> Option<(Broken, Vec<Move>)> {
    let mut state = world.begin();
    let mut taken = Vec::new();
    for step in way {
        let Some(next) = world.apply(&state, *step) else { continue };
        state = next;
        taken.push(*step);
        if let Some(broken) = state.ghost.broken {
            return Some((broken, taken));
        }
    }
    let is_stuck = sought == Broken::Stuck && play(world, &taken).is_ok() && fair::comes_back(world, &state).is_err();
    is_stuck.then_some((Broken::Stuck, taken))
}
