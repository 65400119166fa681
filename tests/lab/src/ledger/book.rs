//! What all threads of a ledger share: the book everything is written down in, and the signals to stop.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::clock::Clock;
use super::event::{Access, Event, Vip, What};
use super::failure::{Failure, FailureKind};
use super::options::Options;
use super::span::Track;

/// A write that the cluster acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledged {
    /// The row's id.
    pub id: u64,
    /// When it was sent, since the start.
    pub sent: Duration,
    /// When the acknowledgement had come.
    pub at: Duration,
}

/// What the watchers know of one node.
#[derive(Debug)]
pub(super) struct Seen {
    pub access: Track<Access>,
    pub vip: Track<Vip>,
}

/// Everything that was observed so far.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// In order of time.
    pub acknowledged: Vec<Acknowledged>,
    pub refused: Vec<u64>,
    pub unknown: Vec<u64>,
    pub failures: Vec<Failure>,
    /// One for each node of the options, in their order.
    pub nodes: Vec<Seen>,
    /// In the order in which they were noticed.
    pub events: Vec<Event>,
    /// When the writing was ended.
    pub closed: Option<Duration>,
}

/// What the threads of one ledger share.
#[derive(Debug)]
pub(super) struct Shared {
    pub options: Options,
    pub clock: Clock,
    book: Mutex<Book>,
    /// Signalled with each acknowledgement and at the end.
    pub written: Condvar,
    pub table_is_there: AtomicBool,
    next_id: AtomicU64,
    stopping: AtomicBool,
    live: Sender<Event>,
}

impl Shared {
    pub fn new(options: Options, first_id: u64, live: Sender<Event>) -> Self {
        let nodes =
            options.nodes.iter().map(|_| Seen { access: Track::new(Access::Writable), vip: Track::new(Vip::Held) });
        let book = Book { nodes: nodes.collect(), ..Book::default() };
        Self {
            options,
            clock: Clock::started_now(),
            book: Mutex::new(book),
            written: Condvar::new(),
            table_is_there: AtomicBool::new(false),
            next_id: AtomicU64::new(first_id),
            stopping: AtomicBool::new(false),
            live,
        }
    }

    /// The book. A thread that panicked with it leaves it usable: each entry is one push.
    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that nobody else gets, whatever becomes of its write.
    pub fn take_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether the threads are to end.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Whether the writers are to end: they do so before the watchers if their time is up.
    pub fn is_closed(&self) -> bool {
        self.is_stopping() || self.clock.now() > self.options.limit
    }

    /// Ends the writing, and with it the time in which a missing acknowledgement counts.
    pub fn close(&self) {
        let mut book = self.book();
        let now = self.clock.now();
        book.closed.get_or_insert(now);
        self.written.notify_all();
    }

    /// Tells all threads to end.
    pub fn stop(&self) {
        self.close();
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub fn note_acknowledged(&self, id: u64, sent: Duration) {
        let mut book = self.book();
        // Read under the lock, so that the entries are in order of time.
        let at = self.clock.now();
        book.acknowledged.push(Acknowledged { id, sent, at });
        self.written.notify_all();
    }

    pub fn note_failed(&self, id: u64, kind: FailureKind) {
        let mut book = self.book();
        if kind.is_refusal() {
            book.refused.push(id);
        } else {
            book.unknown.push(id);
        }
        let at = self.clock.now();
        book.failures.push(Failure { at, kind });
    }

    /// A failure that cost no number: it came before the write was sent.
    pub fn note_no_connection(&self, kind: FailureKind) {
        let at = self.clock.now();
        self.book().failures.push(Failure { at, kind });
    }

    /// Writes an event down and sends it to the sink.
    pub fn tell(&self, at: Duration, what: What) {
        let event = Event { at, what };
        self.book().events.push(event.clone());
        self.tell_live(event);
    }

    /// Sends an event to the sink only.
    pub fn tell_live(&self, event: Event) {
        // Nobody listens any more once the ledger is stopped; the book has it.
        let _ = self.live.send(event);
    }
}
