//! The ledger: a client that writes all the time and remembers every acknowledgement, with watchers beside
//! it, so that after a rehearsal there is proof of what the cluster kept and of what it did not.
//!
//! It knows nothing of the lab: it is given network namespaces, addresses and accounts. It changes nothing
//! but the table `app.ledger`, and starts no program.
//!
//! ```no_run
//! # use std::time::Duration;
//! # use rustha_lab::ledger::{FinalData, Ledger, Node, Options, timeline::Printer};
//! # fn main() -> anyhow::Result<()> {
//! let node = |n: u8| Node {
//!     name: format!("db{n}"),
//!     address: [10, 77, 0, 10 + n].into(),
//!     netns: format!("/run/netns/db{n}").into(),
//! };
//! let mut options = Options::new("/run/netns/client", [10, 77, 0, 50].into(), vec![node(1), node(2)]);
//! options.sink = Some(Printer::on_stdout().into_sink());
//! let source = options.source();
//!
//! let ledger = Ledger::start(options)?;
//! ledger.wait_until_written(Duration::from_secs(30))?;
//! ledger.mark("fault: kill-daemon db1");
//! // … the fault …
//! ledger.wait_until_written(Duration::from_secs(30))?;
//!
//! let record = ledger.stop()?;
//! let verdict = record.verdict(&FinalData::settled(&source, Duration::from_secs(10))?);
//! println!("{verdict}");
//! verdict.assert_nothing_lost()?;
//! verdict.assert_one_writer()?;
//! # Ok(())
//! # }
//! ```

mod book;
mod client;
mod clock;
mod event;
mod failure;
mod final_data;
mod options;
mod pulse;
mod record;
mod session;
mod span;
pub mod timeline;
mod verdict;
mod watcher;
mod writer;

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail, ensure};

pub use book::Acknowledged;
pub use client::{Answer, Client};
pub use event::{Access, Event, Vip, What};
pub use failure::{Failure, FailureKind, Tally};
pub use final_data::{FinalData, NodeData, Source};
pub use options::{Account, Node, Options, Sink};
pub use pulse::Gap;
pub use record::Record;
pub use span::{Overlap, Reading, Span};
pub use verdict::{Lost, Verdict};
pub(crate) use writer::CREATE_TABLE;

use book::{Book, Shared};
use clock::Deadline;
use pulse::{Beat, Pulse};
use record::beat_event;

/// How often the live timeline is brought up to date.
const LIVE_EVERY: Duration = Duration::from_millis(20);

/// A running ledger: writers, watchers and a live timeline, each on threads of their own.
///
/// Dropping it tells them to end, and does not wait for them.
#[derive(Debug)]
pub struct Ledger {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl Ledger {
    /// Starts to write and to watch. The table `app.ledger` is made as soon as somebody can be written to.
    ///
    /// # Errors
    /// If the options make no sense, or the client's network namespace cannot be entered.
    pub fn start(mut options: Options) -> Result<Self> {
        ensure!(options.writers > 0, "a ledger needs a writer");
        ensure!(options.rate > 0, "a ledger needs a rate above zero");
        let sink = options.sink.take();
        let (live, events) = mpsc::channel();
        let shared = Arc::new(Shared::new(options, first_id(), live));
        let mut ledger = Self { shared, threads: Vec::new() };
        for writer in 0..ledger.shared.options.writers {
            ledger.spawn(&format!("writer-{writer}"), move |shared| {
                writer::run(shared, writer);
                Ok(())
            })?;
        }
        for node in 0..ledger.shared.options.nodes.len() {
            ledger.spawn(&format!("watcher-{node}"), move |shared| {
                watcher::watch_access(shared, node);
                Ok(())
            })?;
        }
        ledger.spawn("watcher-vip", watcher::watch_vip)?;
        ledger.spawn("live", move |shared| {
            run_live(shared, &events, sink);
            Ok(())
        })?;
        Ok(ledger)
    }

    /// Starts a thread in the client's network namespace, and returns once it is there.
    fn spawn(&mut self, name: &str, body: impl FnOnce(&Shared) -> Result<()> + Send + 'static) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let (entered, has_entered): (SyncSender<Result<()>>, _) = mpsc::sync_channel(1);
        let thread = thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn(move || {
            let arrival = session::enter_netns(&shared.options.client);
            let is_there = arrival.is_ok();
            // The other side waits for exactly this.
            let _ = entered.send(arrival);
            if is_there { body(&shared) } else { Ok(()) }
        });
        self.threads.push(thread.context("start a thread")?);
        has_entered.recv().context("a thread of the ledger ended")?
    }

    /// Time since the start, as events tell it.
    pub fn now(&self) -> Duration {
        self.shared.clock.now()
    }

    /// Writes a line of the caller's into the timeline, such as `fault: kill-daemon db1`.
    pub fn mark(&self, text: impl Into<String>) {
        self.shared.tell(self.now(), What::Mark(text.into()));
    }

    /// Number of writes acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.shared.book().acknowledged.len()
    }

    /// Waits for `more` acknowledgements after now.
    ///
    /// # Errors
    /// If they do not come within `time`, or the writing was ended by its limit.
    pub fn wait_for_acknowledged(&self, more: usize, time: Duration) -> Result<()> {
        let wanted = self.acknowledged() + more;
        self.wait(time, |book| book.acknowledged.len() >= wanted)
            .with_context(|| format!("wait for {more} more acknowledged writes"))
    }

    /// Waits until a write that was sent after now is acknowledged, and tells how long that took. One that
    /// was already under way does not count: a node that is just dying may still acknowledge it.
    ///
    /// # Errors
    /// If there is none within `time`, or the writing was ended by its limit.
    pub fn wait_until_written(&self, time: Duration) -> Result<Duration> {
        let asked = self.now();
        self.wait(time, |book| {
            let since = book.acknowledged.iter().rev();
            let mut since = since.take_while(|ack| ack.at >= asked);
            since.any(|ack| ack.sent >= asked)
        })
        .context("wait until a write is acknowledged")?;
        Ok(self.now() - asked)
    }

    /// Waits until writes have stopped at some moment after `since`.
    ///
    /// # Errors
    /// If they do not within `time`.
    pub fn wait_until_stopped(&self, since: Duration, time: Duration) -> Result<()> {
        let stopped = || self.last_gap().filter(|gap| gap.from >= since);
        let deadline = Deadline::after(time);
        while stopped().is_none() {
            if deadline.is_over() {
                bail!("writes went on for {time:?}");
            }
            thread::sleep(self.shared.options.pause);
        }
        Ok(())
    }

    fn wait(&self, time: Duration, is_so: impl Fn(&Book) -> bool) -> Result<()> {
        let asked = self.now();
        let deadline = Deadline::after(time);
        let mut book = self.shared.book();
        while !is_so(&book) {
            if book.closed.is_some() {
                bail!("the ledger's time is up");
            }
            if deadline.is_over() {
                let failures = Tally::between(&book.failures, asked, self.now());
                bail!("not within {time:?}; failed attempts: {failures}");
            }
            let waited = self.shared.written.wait_timeout(book, deadline.left());
            book = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// The most recent time without acknowledged writes that was long enough to count. It may still last.
    pub fn last_gap(&self) -> Option<Gap> {
        let book = self.shared.book();
        let now = book.closed.unwrap_or_else(|| self.now());
        let times = book.acknowledged.iter().map(|ack| ack.at);
        pulse::last_gap(times, now, self.shared.options.counted_gap())
    }

    /// Ends the writing and the watching, and hands over all that was observed. Takes as long as the
    /// longest time-out under way.
    ///
    /// # Errors
    /// If a thread of the ledger failed: its record would prove nothing.
    pub fn stop(mut self) -> Result<Record> {
        self.shared.stop();
        for thread in std::mem::take(&mut self.threads) {
            let name = thread.thread().name().unwrap_or("a thread").to_owned();
            let ended = thread.join().map_err(|_| anyhow!("{name} panicked"))?;
            ended.with_context(|| format!("the ledger's {name}"))?;
        }
        Ok(Record::from_shared(&self.shared))
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

/// A number above all that an earlier ledger may have used on the same table, its lost writes included, which
/// no table could tell: no ledger writes once a microsecond.
fn first_id() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.ok().and_then(|since| u64::try_from(since.as_micros()).ok()).unwrap_or(1)
}

/// Hands the events to the sink, finds gaps while they last, and ends the writing when its time is up.
fn run_live(shared: &Shared, events: &Receiver<Event>, mut sink: Option<Sink>) {
    let mut show = |event: &Event| {
        if let Some(sink) = &mut sink {
            sink(event);
        }
    };
    let mut pulse = Pulse::new(shared.options.counted_gap());
    let mut seen = 0;
    let mut next = Deadline::after(LIVE_EVERY);
    loop {
        match events.recv_timeout(next.left()) {
            Ok(event) => show(&event),
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                next = Deadline::after(LIVE_EVERY);
                take_pulse(shared, &mut pulse, &mut seen).iter().for_each(&mut show);
                if shared.is_stopping() {
                    return;
                }
                if shared.is_closed() {
                    shared.close();
                }
            }
        }
    }
}

fn take_pulse(shared: &Shared, pulse: &mut Pulse, seen: &mut usize) -> Vec<Event> {
    let book = shared.book();
    let new: Vec<_> = book.acknowledged[*seen..].iter().map(|ack| ack.at).collect();
    *seen = book.acknowledged.len();
    let now = book.closed.unwrap_or_else(|| shared.clock.now());
    let beats = pulse.advance(&new, now).into_iter();
    beats.map(|beat: Beat| beat_event(beat, &book.failures)).collect()
}
