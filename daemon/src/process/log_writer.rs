//! The queue of the log, and the thread `log` that writes it. Nobody may read stderr, and the journal may be stopped: no
//! other thread waits for either. Lines that find no room are dropped and counted.

use crate::process::named::lines;
use crate::process::supervise::{self, Pulse};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tracing::field::{Field, Value, Visit, display};
use tracing::{Dispatch, Event, Metadata, Subscriber, warn};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Most lines that wait to be written.
const MAX_LINES: usize = 4_096;
/// Most bytes of the lines that wait.
const MAX_BYTES: usize = 1 << 20;
/// Most bytes of one line, or of one value for the journal: what is longer is cut.
const MAX_LINE_BYTES: usize = 1 << 16;
/// Time limit to write what waits, before the process ends.
const FLUSH_LIMIT: Duration = Duration::from_millis(500);

/// A line of the log.
pub(crate) enum Line {
    /// Text for stderr.
    Text(Vec<u8>),
    /// An event for the journal.
    Entry(Entry),
}

impl Line {
    fn bytes(&self) -> usize {
        match self {
            Line::Text(text) => text.len(),
            Line::Entry(entry) => entry.values.iter().flatten().map(String::len).sum(),
        }
    }
}

/// An event with its values as text, so that another thread can send it to the journal.
pub(crate) struct Entry {
    metadata: &'static Metadata<'static>,
    /// For each field of the event.
    values: Vec<Option<String>>,
}

impl Entry {
    /// Sends the event to `dispatch`.
    pub(crate) fn send_to(&self, dispatch: &Dispatch) {
        let shown: Vec<_> = self.values.iter().map(|value| value.as_ref().map(display)).collect();
        let values: Vec<_> =
            shown.iter().map(|value| value.as_ref().map(|value| value as &dyn Value)).collect();
        dispatch.event(&Event::new_child_of(
            None,
            self.metadata,
            &self.metadata.fields().value_set_all(&values),
        ));
    }

    /// The message, as a line.
    pub(crate) fn text(&self) -> String {
        let is_message = |field: &Field| field.name() == "message";
        let message = self
            .metadata
            .fields()
            .iter()
            .find(is_message)
            .and_then(|field| self.values[field.index()].as_deref());
        format!("{} {}\n", self.metadata.level(), lines(message.unwrap_or_default()))
    }
}

impl Visit for Entry {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.values[field.index()] = Some(shortened(value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.values[field.index()] = Some(shortened(format!("{value:?}")));
    }
}

/// Cuts a text that is too long to be kept until it is written.
fn shortened(mut text: String) -> String {
    if text.len() > MAX_LINE_BYTES {
        let more = text.len() - MAX_LINE_BYTES;
        text.truncate(text.floor_char_boundary(MAX_LINE_BYTES));
        text += &format!("... ({more} bytes more)\n");
    }
    text
}

/// Puts events into the queue as entries.
pub(crate) struct Entries;

impl<S: Subscriber> Layer<S> for Entries {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut entry = Entry { metadata, values: vec![None; metadata.fields().len()] };
        event.record(&mut entry);
        enqueue(Line::Entry(entry));
    }
}

/// Puts formatted events into the queue. The formatter writes each event at once.
#[derive(Clone, Copy)]
pub(crate) struct Lines;

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = shortened(String::from_utf8_lossy(bytes).into_owned());
        enqueue(Line::Text(text.into_bytes()));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Queue {
    lines: Sender<Line>,
    /// Bytes of the lines that wait.
    bytes: AtomicUsize,
    lost: AtomicU64,
    /// Lines put into the queue, and lines written, since the start.
    sent: AtomicU64,
    written: AtomicU64,
}

impl Queue {
    fn new() -> (Self, Receiver<Line>) {
        let (lines, received) = bounded(MAX_LINES);
        let (bytes, lost) = (AtomicUsize::new(0), AtomicU64::new(0));
        (Self { lines, bytes, lost, sent: AtomicU64::new(0), written: AtomicU64::new(0) }, received)
    }

    /// Never waits.
    fn push(&self, line: Line) {
        let size = line.bytes();
        let has_room = self.bytes.fetch_add(size, Ordering::Relaxed) + size <= MAX_BYTES;
        if has_room && self.lines.try_send(line).is_ok() {
            self.sent.fetch_add(1, Ordering::Release);
        } else {
            self.bytes.fetch_sub(size, Ordering::Relaxed);
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes a line that was taken from the queue. If that panics, the line is lost.
    fn write(&self, line: Line, write: impl FnOnce(Line)) {
        struct Done<'a>(&'a Queue, usize);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.bytes.fetch_sub(self.1, Ordering::Relaxed);
                self.0.written.fetch_add(1, Ordering::Release);
                self.0.lost.fetch_add(u64::from(thread::panicking()), Ordering::Relaxed);
            }
        }
        let _done = Done(self, line.bytes());
        write(line);
    }

    /// How many lines were lost since the last call, once half of the queue is free.
    fn take_lost(&self) -> Option<u64> {
        let has_room =
            self.lines.len() <= MAX_LINES / 2 && self.bytes.load(Ordering::Relaxed) <= MAX_BYTES / 2;
        let lost = if has_room { self.lost.swap(0, Ordering::Relaxed) } else { 0 };
        (lost > 0).then_some(lost)
    }
}

/// The log of the process, once it has been started.
static QUEUE: OnceLock<Queue> = OnceLock::new();

/// Puts a line into the queue; never waits.
fn enqueue(line: Line) {
    if let Some(queue) = QUEUE.get() {
        queue.push(line);
    }
}

/// Starts the thread that writes the lines. `make_writer` is called on it, and again with `false` after a panic.
///
/// # Errors
/// The system cannot start a thread. [`io::ErrorKind::AlreadyExists`] if the process has a log already.
pub(crate) fn start<W: FnMut(Line)>(
    mut make_writer: impl FnMut(bool) -> W + Send + 'static,
) -> io::Result<()> {
    let (queue, received) = Queue::new();
    QUEUE.set(queue).map_err(|_| io::ErrorKind::AlreadyExists)?;
    let mut is_first = true;
    let thread = supervise::keep_running("log", move |pulse| {
        run(&received, make_writer(std::mem::take(&mut is_first)), pulse);
        Ok(())
    });
    thread.map(drop)
}

fn run(received: &Receiver<Line>, mut write: impl FnMut(Line), pulse: &Pulse) {
    let Some(queue) = QUEUE.get() else { return };
    loop {
        pulse.set_waiting();
        let Ok(line) = received.recv() else { return };
        queue.write(line, |line| {
            // From here on it counts as a thread without progress: subscribers are told that the log is not read.
            pulse.beat();
            write(line);
        });
        if let Some(lost) = queue.take_lost() {
            // At the end of the queue, which is where the lines were lost.
            warn!("{lost} log lines lost: the log was not read fast enough");
        }
    }
}

/// Waits until what was logged is written, at most a short time: for the end of the process.
pub(crate) fn flush() {
    let Some(queue) = QUEUE.get() else { return };
    let (sent, begin) = (queue.sent.load(Ordering::Acquire), Instant::now());
    while queue.written.load(Ordering::Acquire) < sent && begin.elapsed() < FLUSH_LIMIT {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Logs a panic to stderr, as the standard library does, but without waiting; false if there is no log yet.
pub(crate) fn log_panic(panic: &PanicHookInfo<'_>) -> bool {
    let thread = thread::current();
    let mut text = format!("thread '{}' {panic}\n", thread.name().unwrap_or("without a name"));
    // If RUST_BACKTRACE asks for it.
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        text += &format!("{backtrace}\n");
    }
    enqueue(Line::Text(shortened(lines(&text)).into_bytes()));
    QUEUE.get().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Line {
        Line::Text(text.as_bytes().to_vec())
    }

    #[test]
    fn lines_without_room_are_counted_and_the_count_is_given_once_there_is_room() {
        let (queue, received) = Queue::new();
        for _ in 0..MAX_LINES + 3 {
            queue.push(text("a line\n"));
        }
        let mut written = 0;
        let mut writes = |line: Line| written += usize::from(matches!(line, Line::Text(_)));
        for _ in 0..MAX_LINES / 2 - 1 {
            queue.write(received.recv().unwrap(), &mut writes);
            assert_eq!(queue.take_lost(), None, "the queue is nearly full");
        }
        queue.write(received.recv().unwrap(), &mut writes);
        assert_eq!(queue.take_lost(), Some(3));
        assert_eq!(queue.take_lost(), None);
        while let Ok(line) = received.try_recv() {
            queue.write(line, &mut writes);
        }
        assert_eq!((written, queue.bytes.into_inner()), (MAX_LINES, 0));
        assert_eq!(queue.sent.into_inner(), queue.written.into_inner());
    }

    #[test]
    fn long_lines_that_wait_take_no_more_memory_than_allowed() {
        let (queue, received) = Queue::new();
        let long = "x".repeat(MAX_BYTES / 4);
        for _ in 0..6 {
            queue.push(text(&long));
        }
        assert_eq!((received.len(), queue.lost.load(Ordering::Relaxed)), (4, 2));
        for _ in 0..2 {
            assert_eq!(queue.take_lost(), None);
            queue.write(received.recv().unwrap(), drop);
        }
        assert_eq!(queue.take_lost(), Some(2));
    }

    #[test]
    fn a_line_that_cannot_be_written_is_lost_and_a_line_that_is_too_long_is_cut() {
        let (queue, received) = Queue::new();
        queue.push(text("a line\n"));
        let write =
            std::panic::AssertUnwindSafe(|| queue.write(received.recv().unwrap(), |_| panic!("no terminal")));
        assert!(std::panic::catch_unwind(write).is_err());
        assert_eq!(
            (queue.take_lost(), queue.written.into_inner(), queue.bytes.into_inner()),
            (Some(1), 1, 0)
        );
        assert_eq!(shortened("short".to_owned()), "short");
        let long = shortened("\u{e4}".repeat(MAX_LINE_BYTES));
        assert!(
            long.len() < MAX_LINE_BYTES + 40
                && long.ends_with(&format!("... ({MAX_LINE_BYTES} bytes more)\n"))
        );
    }

    #[test]
    fn an_event_for_the_journal_has_its_values_as_they_were_logged() {
        use std::sync::{Arc, Mutex};
        use tracing::dispatcher::with_default;
        use tracing_subscriber::layer::SubscriberExt;
        use tracing_subscriber::registry;

        /// Keeps what it receives.
        struct Keep(Arc<Mutex<Vec<Entry>>>);

        impl<S: Subscriber> Layer<S> for Keep {
            fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
                let metadata = event.metadata();
                let mut entry = Entry { metadata, values: vec![None; metadata.fields().len()] };
                event.record(&mut entry);
                self.0.lock().unwrap().push(entry);
            }
        }

        let kept = Arc::<Mutex<Vec<Entry>>>::default();
        let dispatch = Dispatch::new(registry().with(Keep(Arc::clone(&kept))));
        with_default(&dispatch, || warn!(chain = "a", latency = 64, "{} is on air", "a"));
        let logged = kept.lock().unwrap().pop().unwrap();
        logged.send_to(&dispatch);
        let sent = kept.lock().unwrap().pop().unwrap();
        let mut values = sent.values.clone();
        values.sort();
        assert_eq!(values, [Some("64"), Some("a"), Some("a is on air")].map(|text| text.map(str::to_owned)));
        assert_eq!((sent.values, sent.metadata.level()), (logged.values, logged.metadata.level()));
    }
}
