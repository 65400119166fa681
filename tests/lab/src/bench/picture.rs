//! The timelines of one failover of each contender, as a picture (SVG 1.1). Pure.

use std::fmt::Write;
use std::time::Duration;

use super::trial::Outcome;
use crate::ledger::{Access, Event, Vip, What};

const WIDTH: f64 = 900.0;
const LEFT: f64 = 170.0;
const RIGHT: f64 = 30.0;
const LANE: f64 = 74.0;
const TOP: f64 = 56.0;
const BAR: f64 = 16.0;
/// What is shown before the fault, in seconds.
const BEFORE: f64 = 0.5;
/// What is shown after the last of them was back.
const AFTER: f64 = 0.7;

/// A contender's failover.
pub(crate) struct Lane<'a> {
    pub name: String,
    pub outcome: &'a Outcome,
}

/// Draws them, one below the other, on one scale.
pub(crate) fn render(title: &str, lanes: &[Lane<'_>]) -> String {
    let end = lanes.iter().map(|lane| back_at(lane.outcome)).fold(1.0, f64::max) + AFTER;
    let scale = (WIDTH - LEFT - RIGHT) / (BEFORE + end);
    let x = |second: f64| LEFT + (second + BEFORE) * scale;
    let height = TOP + LANE * lanes.len() as f64 + 30.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"12\" y=\"24\" font-size=\"15\" font-weight=\"bold\">{}</text>\n",
        escape(title)
    );
    let bottom = height - 30.0;
    for second in 0..=end.floor() as i64 {
        let at = x(second as f64);
        let _ = write!(
            svg,
            "<line x1=\"{at:.1}\" y1=\"{:.1}\" x2=\"{at:.1}\" y2=\"{bottom:.1}\" stroke=\"#dddddd\"/>\n\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#555555\">{second} s</text>\n",
            TOP - 12.0,
            bottom + 16.0
        );
    }
    for (index, lane) in lanes.iter().enumerate() {
        draw(&mut svg, lane, TOP + LANE * index as f64, end, &x);
    }
    svg + "</svg>\n"
}

fn draw(svg: &mut String, lane: &Lane<'_>, top: f64, end: f64, x: &impl Fn(f64) -> f64) {
    let without = lane.outcome.without.map_or("not back".into(), |time| format!("{:.2} s", time.as_secs_f64()));
    let _ = write!(
        svg,
        "<text x=\"12\" y=\"{:.1}\" font-weight=\"bold\">{}</text>\n<text x=\"12\" y=\"{:.1}\" fill=\"#555555\">{without} \
         without writes</text>\n",
        top + 12.0,
        escape(&lane.name),
        top + 28.0
    );
    let fault = lane.outcome.fault.as_secs_f64();
    let mut bar = |from: f64, to: f64, colour: &str| {
        let (from, to) = (from.max(-BEFORE), to.min(end));
        if to > from {
            let _ = writeln!(
                svg,
                "<rect x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>",
                x(from),
                x(to) - x(from)
            );
        }
    };
    // Writes flow, but for the gaps.
    bar(-BEFORE, end, "#3a9d5d");
    for gap in lane.outcome.record.gaps_since(lane.outcome.fault) {
        bar(gap.from.as_secs_f64() - fault, gap.to.as_secs_f64() - fault, "#d9534f");
    }
    let words = lane.outcome.record.events.iter().filter_map(|event| word(event, lane.outcome.fault));
    for (row, (at, text)) in words.enumerate() {
        if at > end {
            break;
        }
        let place = x(at);
        let below = top + BAR + 14.0 + (row % 3) as f64 * 13.0;
        let _ = write!(
            svg,
            "<line x1=\"{place:.1}\" y1=\"{top:.1}\" x2=\"{place:.1}\" y2=\"{below:.1}\" stroke=\"#333333\" \
             stroke-width=\"0.7\"/>\n<text x=\"{:.1}\" y=\"{below:.1}\" font-size=\"10\">{}</text>\n",
            place + 2.0,
            escape(&text)
        );
    }
}

/// When writes flowed for good again, in seconds after the fault.
fn back_at(outcome: &Outcome) -> f64 {
    let gaps = outcome.record.gaps_since(outcome.fault);
    gaps.last().map_or(0.0, |gap| gap.to.as_secs_f64() - outcome.fault.as_secs_f64())
}

/// What is worth a word, and when in seconds after the fault: who is open for writes, and who has the address.
fn word(event: &Event, fault: Duration) -> Option<(f64, String)> {
    let at = event.at.as_secs_f64() - fault.as_secs_f64();
    if at < 0.0 {
        return None;
    }
    let text = match &event.what {
        What::Access { node, access: Access::Writable, .. } => format!("{node} open"),
        What::Vip { node, vip: Vip::Held } => format!("address on {node}"),
        What::Vip { node, vip: Vip::Absent } => format!("address leaves {node}"),
        _ => return None,
    };
    Some((at, text))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Acknowledged, Record};

    #[test]
    fn a_gap_and_what_ended_it_are_in_the_picture() {
        let second = Duration::from_secs;
        let ack = |id, at| Acknowledged { id, sent: at, at };
        let opened = What::Access { node: "db2".into(), access: Access::Writable, why: None };
        let record = Record {
            ended: second(4),
            counted_gap: Duration::from_millis(100),
            acknowledged: vec![ack(1, second(1)), ack(2, second(3)), ack(3, second(4))],
            events: vec![Event { at: second(2), what: opened }],
            ..Record::default()
        };
        let outcome = Outcome { fault: second(1), without: Some(second(3)), lost: None, record };
        let svg = render("one & all", &[Lane { name: "rustha:mysql".into(), outcome: &outcome }]);
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("one &amp; all") && svg.contains("db2 open") && svg.contains("3.00 s without writes"));
        assert_eq!(svg.matches("#d9534f").count(), 2);
    }
}
