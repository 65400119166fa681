//! Where each seeded mistake shows: a way that leads near, and a search over all interleavings from there. The same search
//! finds nothing without the mistake, so that it is the mistake that is found and not the place.

use std::mem::discriminant;
use std::time::Duration;

use crate::mistakes::{ALL, Mistake};
use crate::places;
use crate::search::{Limits, Report, explore};
use crate::setup::Setup;
use crate::state::Broken;
use crate::steps::Move;

/// A mistake, and a place where it shows.
#[derive(Clone)]
pub struct Seeded {
    mistake: Mistake,
    /// Other rules that keep it from doing harm, and so have to be left out with it.
    masks: &'static [Mistake],
    breaks: Broken,
    setup: Setup,
    way: Vec<Move>,
    /// It is found at most so many steps after the way.
    depth: usize,
}

impl Seeded {
    pub fn new(mistake: Mistake, breaks: Broken, setup: Setup, way: &[Move], depth: usize) -> Self {
        Self { mistake, masks: &[], breaks, setup, way: way.to_vec(), depth }
    }

    pub fn masked_by(self, masks: &'static [Mistake]) -> Self {
        Self { masks, ..self }
    }

    /// What is found from there with these mistakes.
    fn search(&self, mistakes: &[Mistake]) -> Report {
        let setup = Setup { mistakes: mistakes.to_vec(), ..self.setup.clone() };
        let fair_one_in = u64::from(self.breaks == Broken::Stuck);
        let limits = Limits { depth: self.depth, states: usize::MAX, time: Duration::MAX, fair_one_in };
        explore(&setup, &self.way, limits)
    }

    fn assert_found(&self) {
        let Self { mistake, masks, breaks, .. } = self;
        let report = self.search(&[&[*mistake], *masks].concat());
        let is_sought = |found: Broken| discriminant(&found) == discriminant(breaks);
        assert!(
            report.found.as_ref().is_some_and(|found| is_sought(found.broken)),
            "{mistake:?} with {masks:?} is not found: {report}"
        );
    }

    fn assert_due_to_it(&self) {
        let Self { mistake, masks, .. } = self;
        let report = self.search(masks);
        assert!(report.found.is_none(), "found without {mistake:?}: {report}");
    }

    fn assert_masked(&self) {
        let Self { mistake, masks, .. } = self;
        let report = self.search(&[*mistake]);
        assert!(masks.is_empty() || report.found.is_none(), "{mistake:?} is found alone, without {masks:?}: {report}");
    }
}

/// What the model would say if a rule were left out.
#[test]
fn seeded_mistakes_are_found() {
    let all = places::all();
    for seeded in &all {
        seeded.assert_found();
        seeded.assert_due_to_it();
        seeded.assert_masked();
    }
    let unheld: Vec<&Mistake> = ALL.iter().filter(|one| all.iter().all(|seeded| seeded.mistake != **one)).collect();
    assert!(unheld.is_empty(), "not looked for: {unheld:?}");
}
