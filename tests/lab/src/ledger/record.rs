//! All that a stopped ledger observed. Pure.

use std::time::Duration;

use super::book::{Acknowledged, Shared};
use super::event::{Event, What};
use super::failure::{Failure, Tally};
use super::final_data::FinalData;
use super::pulse::{Beat, Gap, Pulse};
use super::span::Span;
use super::verdict::Verdict;

/// What a ledger observed from its start to its stop. All times are since the start.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// When the writing ended.
    pub ended: Duration,
    /// Longer than this without an acknowledgement, and writes counted as stopped.
    pub counted_gap: Duration,
    /// The acknowledged writes, in order of time.
    pub acknowledged: Vec<Acknowledged>,
    /// Ids whose write the server refused because it was read-only.
    pub refused: Vec<u64>,
    /// Ids of writes that failed in any other way: they may be in the table or not.
    pub unknown: Vec<u64>,
    /// The writers' failures, in order of time; also those of connections, which cost no id.
    pub failures: Vec<Failure>,
    /// For each node: when it was observed writable.
    pub writable: Vec<(String, Vec<Span>)>,
    /// For each node: when it was observed to hold the VIP.
    pub vip: Vec<(String, Vec<Span>)>,
    /// The timeline, in order of time.
    pub events: Vec<Event>,
}

impl Record {
    pub(super) fn from_shared(shared: &Shared) -> Self {
        let mut guard = shared.book();
        let book = std::mem::take(&mut *guard);
        let names = || shared.options.nodes.iter().map(|node| node.name.clone());
        let writable = book.nodes.iter().map(|seen| seen.access.spans().to_vec());
        let vip = book.nodes.iter().map(|seen| seen.vip.spans().to_vec());
        let mut record = Self {
            ended: book.closed.unwrap_or_else(|| shared.clock.now()),
            counted_gap: shared.options.counted_gap(),
            writable: names().zip(writable).collect(),
            vip: names().zip(vip).collect(),
            acknowledged: book.acknowledged,
            refused: book.refused,
            unknown: book.unknown,
            failures: book.failures,
            events: book.events,
        };
        record.add_gaps();
        record
    }

    /// Live, gaps went to the sink only; here they are found again, from the acknowledgements themselves.
    fn add_gaps(&mut self) {
        let beats = Pulse::new(self.counted_gap).advance(&self.times(), self.ended);
        let events = beats.into_iter().map(|beat| beat_event(beat, &self.failures));
        self.events.extend(events);
        self.events.sort_by_key(|event| event.at);
    }

    /// The times without acknowledged writes, long enough to count, that ended after a moment.
    pub(crate) fn gaps_since(&self, moment: Duration) -> Vec<Gap> {
        let times = self.times();
        let inner = times.windows(2).map(|pair| Gap { from: pair[0], to: pair[1], ended: true });
        let tail = times.last().map(|last| Gap { from: *last, to: self.ended.max(*last), ended: false });
        inner.chain(tail).filter(|gap| gap.to > moment && gap.length() > self.counted_gap).collect()
    }

    /// When the writes were acknowledged.
    pub(super) fn times(&self) -> Vec<Duration> {
        self.acknowledged.iter().map(|ack| ack.at).collect()
    }

    /// The last mark that the caller set before a moment.
    pub(super) fn mark_before(&self, moment: Duration) -> Option<&str> {
        let before = self.events.iter().filter(|event| event.at <= moment);
        before
            .filter_map(|event| match &event.what {
                What::Mark(text) => Some(text.as_str()),
                _ => None,
            })
            .next_back()
    }

    /// Judges it by what the nodes hold at the end.
    pub fn verdict(&self, final_data: &FinalData) -> Verdict {
        Verdict::of(self, final_data)
    }
}

pub(super) fn beat_event(beat: Beat, failures: &[Failure]) -> Event {
    match beat {
        Beat::Started(at) => Event { at, what: What::WritesStarted },
        Beat::Stopped(at) => Event { at, what: What::WritesStopped },
        Beat::Resumed(gap) => Event {
            at: gap.to,
            what: What::WritesResumed { gap, failures: Tally::between(failures, gap.from, gap.to) },
        },
    }
}
