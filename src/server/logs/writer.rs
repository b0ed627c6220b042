//! Log lines go to a thread of their own: whoever reads them slowly never holds up a request.

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait; what comes when they all do is counted and lost.
const WAITING_LINES: usize = 8192;
/// After it has written, the thread rests: lines that come meanwhile are written together, and wake nobody.
const REST: Duration = Duration::from_millis(20);
/// How long the end waits for what is not written yet. Whoever should read it may have stopped reading.
const FLUSHED_WITHIN: Duration = Duration::from_secs(2);

enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// The way to the writing thread.
#[derive(Clone)]
pub struct Writer {
    queue: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

/// Whether a person reads the log as it comes.
pub fn is_terminal() -> bool {
    io::stderr().is_terminal()
}

impl Writer {
    /// Starts the thread.
    pub fn start() -> io::Result<Self> {
        let (queue, messages) = sync_channel(WAITING_LINES);
        let lost = Arc::new(AtomicU64::new(0));
        let writer = Self { queue, lost: Arc::clone(&lost) };
        std::thread::Builder::new().name("log".to_owned()).spawn(move || run(&messages, &lost))?;
        Ok(writer)
    }

    /// Waits until everything is written, but not for long.
    pub fn flush(&self) {
        let until = Instant::now() + FLUSHED_WITHIN;
        let (answer, answered) = sync_channel(1);
        let mut message = Message::Flush(answer);
        loop {
            match self.queue.try_send(message) {
                Ok(()) => break,
                Err(TrySendError::Full(again)) if Instant::now() < until => message = again,
                Err(_) => return,
            }
            std::thread::sleep(REST);
        }
        let _ = answered.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

impl Write for Writer {
    /// The subscriber hands over a whole line at a time.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Message::Line(line.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Writer {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn run(messages: &Receiver<Message>, lost: &AtomicU64) {
    let mut out = BufWriter::new(io::stderr());
    while let Ok(first) = messages.recv() {
        // One system call for all that waits. A log that cannot be written has nobody to be told to.
        for message in std::iter::once(first).chain(messages.try_iter()) {
            match message {
                Message::Line(line) => drop(out.write_all(&line)),
                Message::Flush(answer) => {
                    let _ = out.flush();
                    let _ = answer.send(());
                }
            }
        }
        match lost.swap(0, Ordering::Relaxed) {
            0 => {}
            lost => drop(writeln!(out, "{lost} log lines were lost: they came faster than they are read")),
        }
        let _ = out.flush();
        std::thread::sleep(REST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_a_log_that_stands_still() {
        let (queue, messages) = sync_channel(1);
        let writer = Writer { queue, lost: Arc::new(AtomicU64::new(0)) };
        let (done, ended) = sync_channel(1);
        std::thread::spawn(move || {
            // One line waits, another one is lost, and nothing is taken.
            for _ in 0..2 {
                writer.clone().write_all(b"line\n").unwrap();
            }
            writer.flush();
            done.send(writer.lost.load(Ordering::Relaxed)).unwrap();
        });
        assert_eq!(ended.recv_timeout(FLUSHED_WITHIN * 5), Ok(1));
        drop(messages);
    }
}
