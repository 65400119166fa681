//! Times in which something was observed of a node, and where two such times certainly meet. Pure.
//!
//! **Two readings are never simultaneous.** A reading only says that the thing was so at some moment between
//! the question and its answer. So two spans count as meeting only if they meet wherever in their readings
//! the truth was: what is reported has happened, and what lasted less than two readings may be missed.

use std::time::Duration;

/// One look at a node: the truth of its answer lies between the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// When the question was sent, since the start.
    pub asked: Duration,
    /// When the answer had come.
    pub answered: Duration,
}

/// Consecutive readings that all said the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first of them.
    pub first: Reading,
    /// The last of them; with a single reading the same one.
    pub last: Reading,
}

impl Span {
    /// Whether both were so at one moment, whatever moment each reading tells of.
    fn certainly_meets(&self, other: &Self) -> bool {
        self.first.answered <= other.last.asked && other.first.answered <= self.last.asked
    }
}

/// What is known of one matter of one node: how it is now, and since when.
#[derive(Debug, Clone)]
pub(super) struct Track<S> {
    counted: S,
    state: Option<S>,
    spans: Vec<Span>,
}

impl<S: Copy + PartialEq> Track<S> {
    /// Nothing is known yet; spans of the state `counted` are kept.
    pub fn new(counted: S) -> Self {
        Self { counted, state: None, spans: Vec::new() }
    }

    /// Takes the next reading, and tells whether it differs from the one before.
    pub fn see(&mut self, state: S, reading: Reading) -> bool {
        let changed = self.state.replace(state) != Some(state);
        if state == self.counted {
            match self.spans.last_mut() {
                Some(span) if !changed => span.last = reading,
                _ => self.spans.push(Span { first: reading, last: reading }),
            }
        }
        changed
    }

    /// Whether there was no reading yet.
    pub fn is_new(&self) -> bool {
        self.state.is_none()
    }

    /// The spans so far, in order.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }
}

/// A time in which two nodes were what only one may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// The two nodes.
    pub nodes: [String; 2],
    /// From the later one's first reading, since the start.
    pub from: Duration,
    /// To the end of the earlier one's last reading.
    pub to: Duration,
}

impl Overlap {
    /// How long both were observed.
    pub fn length(&self) -> Duration {
        self.to.saturating_sub(self.from)
    }
}

/// All certain overlaps between any two nodes, in order of time.
pub(super) fn overlaps(nodes: &[(String, Vec<Span>)]) -> Vec<Overlap> {
    let mut found = Vec::new();
    for (i, (one, ones)) in nodes.iter().enumerate() {
        for (other, others) in &nodes[i + 1..] {
            for a in ones {
                for b in others.iter().filter(|b| a.certainly_meets(b)) {
                    found.push(Overlap {
                        nodes: [one.clone(), other.clone()],
                        from: a.first.asked.max(b.first.asked),
                        to: a.last.answered.min(b.last.answered),
                    });
                }
            }
        }
    }
    found.sort_by_key(|overlap| overlap.from);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(asked: u64, answered: u64) -> Reading {
        Reading { asked: Duration::from_millis(asked), answered: Duration::from_millis(answered) }
    }

    fn span(first: (u64, u64), last: (u64, u64)) -> Span {
        Span { first: reading(first.0, first.1), last: reading(last.0, last.1) }
    }

    fn meet(a: Span, b: Span) -> Vec<Overlap> {
        let forth = overlaps(&[("db1".into(), vec![a]), ("db2".into(), vec![b])]);
        let back = overlaps(&[("db1".into(), vec![b]), ("db2".into(), vec![a])]);
        assert_eq!(forth, back, "order of the nodes");
        forth
    }

    #[test]
    fn two_nodes_writable_over_several_readings_overlap() {
        let found = meet(span((0, 1), (500, 501)), span((300, 301), (900, 901)));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].from, Duration::from_millis(300));
        assert_eq!(found[0].length(), Duration::from_millis(201));
    }

    #[test]
    fn a_handover_is_no_overlap() {
        assert!(meet(span((0, 1), (500, 501)), span((550, 551), (900, 901))).is_empty());
    }

    #[test]
    fn a_slow_answer_during_a_handover_is_no_overlap() {
        // db1 was asked at 500 and answered at 700; db2 was seen writable at 600. db1 may have read its
        // variable at 501, been closed at 510, and db2 opened at 520.
        assert!(meet(span((0, 1), (500, 700)), span((600, 601), (900, 901))).is_empty());
    }

    #[test]
    fn a_single_reading_within_the_other_ones_span_overlaps() {
        assert_eq!(meet(span((0, 1), (500, 501)), span((300, 302), (300, 302))).len(), 1);
    }

    #[test]
    fn two_single_readings_at_the_same_time_prove_nothing() {
        assert!(meet(span((300, 302), (300, 302)), span((300, 302), (300, 302))).is_empty());
    }

    #[test]
    fn each_pair_and_each_time_is_found() {
        let long = span((0, 1), (1000, 1001));
        let twice = vec![span((100, 101), (150, 151)), span((300, 301), (350, 351))];
        let found = overlaps(&[
            ("db1".into(), vec![long]),
            ("db2".into(), twice),
            ("db3".into(), vec![span((140, 141), (240, 241))]),
        ]);
        let pairs: Vec<_> = found.iter().map(|o| o.nodes.join(" ")).collect();
        assert_eq!(pairs, ["db1 db2", "db1 db3", "db2 db3", "db1 db2"]);
    }

    #[test]
    fn an_unreachable_node_ends_its_span() {
        let mut track = Track::new('w');
        assert!(track.see('w', reading(0, 1)));
        assert!(!track.see('w', reading(50, 51)));
        assert!(track.see('u', reading(100, 400)));
        assert!(track.see('w', reading(450, 451)));
        assert_eq!(track.spans(), [span((0, 1), (50, 51)), span((450, 451), (450, 451))]);
    }
}
