//! What people see of a demonstration: each act with its time, and while it lasts a spinner on a terminal.

use std::io::{IsTerminal, stdout};
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use crate::ledger::{Sink, Verdict, timeline::Printer};

const GREEN: &str = "32";
const RED: &str = "31";
const FAINT: &str = "2";
const BOLD: &str = "1";

/// The standard output, as a stage.
pub(super) struct Stage {
    is_terminal: bool,
}

impl Stage {
    pub(super) fn open() -> Stage {
        Stage { is_terminal: stdout().is_terminal() }
    }

    /// A paragraph.
    pub(super) fn say(&self, text: &str) {
        println!("\n{text}");
    }

    /// Does something that takes its time, and says how long it took.
    pub(super) fn act<T>(&self, what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let start = Instant::now();
        let spinner = self.spin(what);
        let result = work();
        spinner.finish_and_clear();
        let (sign, colour) = if result.is_ok() { ("✓", GREEN) } else { ("✗", RED) };
        println!(
            "{} {what} {}",
            self.paint(colour, sign),
            self.paint(FAINT, &format!("{:.1} s", start.elapsed().as_secs_f32()))
        );
        result
    }

    /// Shows a text as it was typed.
    pub(super) fn quote(&self, what: &str, text: &str) {
        println!("{} {what}\n", self.paint(GREEN, "✓"));
        for line in text.lines() {
            println!("    {}", self.paint(FAINT, line));
        }
        println!();
    }

    /// Prints a ledger's events as they happen.
    pub(super) fn timeline(&self) -> Sink {
        println!();
        Printer::on_stdout().into_sink()
    }

    /// Tells how it ended.
    pub(super) fn verdict(&self, verdict: &Verdict) {
        let (word, colour) = match verdict.assert_sound() {
            Ok(()) => ("Nothing was lost.", GREEN),
            Err(_) => ("Not as it must be.", RED),
        };
        println!("\n{}", self.paint(BOLD, &self.paint(colour, word)));
        for line in verdict.to_string().lines() {
            let colour = match line.chars().next() {
                Some('✓') => GREEN,
                Some('✗') => RED,
                _ => FAINT,
            };
            let (sign, rest) = line.split_at(line.chars().next().map_or(0, char::len_utf8));
            println!("{}{rest}", self.paint(colour, sign));
        }
        println!();
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.is_terminal { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn spin(&self, what: &str) -> ProgressBar {
        if !self.is_terminal {
            return ProgressBar::hidden();
        }
        let spinner = ProgressBar::new_spinner().with_message(format!("{what} …"));
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            spinner.set_style(style);
        }
        spinner.enable_steady_tick(Duration::from_millis(120));
        spinner
    }
}
