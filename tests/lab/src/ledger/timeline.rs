//! The timeline for people: a line per event, as it happens or afterwards. Colours only on a terminal.

use std::io::{self, IsTerminal, Write};

use super::event::{Access, Event, Vip, What};
use super::options::Sink;

/// Prints events as lines, `  12.345s  db2 writable`.
#[derive(Debug)]
pub struct Printer<W> {
    out: W,
    colours: bool,
}

impl Printer<io::Stdout> {
    /// On the standard output, with colours if that is a terminal.
    pub fn on_stdout() -> Self {
        let out = io::stdout();
        let colours = out.is_terminal();
        Self { out, colours }
    }
}

impl<W: Write> Printer<W> {
    /// On anything, without colours.
    pub fn plain(out: W) -> Self {
        Self { out, colours: false }
    }

    /// Prints one event.
    ///
    /// # Errors
    /// If the output takes no more.
    pub fn print(&mut self, event: &Event) -> io::Result<()> {
        let line = line(event);
        match (self.colours, colour(&event.what)) {
            (true, Some(colour)) => writeln!(self.out, "\x1b[{colour}m{line}\x1b[0m")?,
            _ => writeln!(self.out, "{line}")?,
        }
        self.out.flush()
    }
}

impl<W: Write + Send + Sync + 'static> Printer<W> {
    /// As the sink of a ledger.
    pub fn into_sink(mut self) -> Sink {
        Box::new(move |event| {
            // Who closed the output wants no more lines; the record has them all.
            let _ = self.print(event);
        })
    }
}

/// An event as a line, without colour and line end. Live, a gap is told once it is long enough to be one,
/// with the time at which it began, so times of live lines are not always in order.
pub fn line(event: &Event) -> String {
    format!("{:>8.3}s  {}", event.at.as_secs_f64(), event.what)
}

/// The SGR parameter for an event: green for what is well, red for what is not, bold for the caller's marks.
fn colour(what: &What) -> Option<&'static str> {
    match what {
        What::Mark(_) => Some("1"),
        What::WritesStarted | What::WritesResumed { .. } => Some("32"),
        What::WritesStopped | What::Trouble(_) => Some("31"),
        What::Access { access, .. } => match access {
            Access::Writable => Some("36"),
            Access::ReadOnly => None,
            Access::Unreachable => Some("33"),
        },
        What::Vip { vip, .. } => match vip {
            Vip::Held => Some("35"),
            Vip::CutOff | Vip::Absent => None,
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::*;

    fn writable() -> Event {
        Event {
            at: Duration::from_millis(12345),
            what: What::Access { node: "db2".into(), access: Access::Writable, why: None },
        }
    }

    #[test]
    fn a_line_has_the_time_and_the_event() {
        assert_eq!(line(&writable()), "  12.345s  db2 writable");
    }

    #[test]
    fn there_are_no_colours_without_a_terminal() {
        let mut out = Vec::new();
        Printer::plain(&mut out).print(&writable()).unwrap();
        assert_eq!(out, b"  12.345s  db2 writable\n");
    }
}
