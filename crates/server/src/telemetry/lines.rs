//! Owns how log lines leave the process: a thread writes them, so that a reader that stops reading stops no request. Must not know what they say.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait; more are dropped and counted. About 3 MB of access log.
const WAITING: usize = 8_192;
/// Bytes written at once, if that many wait.
const BATCH: usize = 64 * 1024;

/// Where the log is written to.
#[derive(Clone, Debug)]
pub struct Lines {
    sender: SyncSender<Vec<u8>>,
    dropped: Arc<AtomicU64>,
}

/// Writes what still waits when it is dropped.
#[derive(Debug)]
pub struct Flush {
    // An empty line is the end.
    sender: SyncSender<Vec<u8>>,
    writer: Option<JoinHandle<()>>,
}

impl Lines {
    /// Lines to `out`.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn to(out: impl Write + Send + 'static) -> io::Result<(Self, Flush)> {
        let (sender, receiver) = sync_channel(WAITING);
        let dropped = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&dropped);
        let writer = std::thread::Builder::new().name("log".to_owned()).spawn(move || write(out, &receiver, &counted))?;
        Ok((Self { sender: sender.clone(), dropped }, Flush { sender, writer: Some(writer) }))
    }
}

/// Writes until an empty line comes. A reader that is gone is nobody to tell.
fn write(mut out: impl Write, lines: &Receiver<Vec<u8>>, dropped: &AtomicU64) {
    while let Ok(mut batch) = lines.recv() {
        let mut ended = batch.is_empty();
        while !ended && batch.len() < BATCH {
            match lines.try_recv() {
                Ok(line) if line.is_empty() => ended = true,
                Ok(line) => batch.extend_from_slice(&line),
                Err(_) => break,
            }
        }
        let dropped = dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let _ =
                writeln!(batch, r#"{{"level":"WARN","message":"log lines dropped: the log is not read fast enough","dropped":{dropped}}}"#);
        }
        let _ = out.write_all(&batch).and_then(|()| out.flush());
        if ended {
            return;
        }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { lines: self, text: Vec::with_capacity(384) }
    }
}

/// One line on its way.
#[derive(Debug)]
pub struct Line<'a> {
    lines: &'a Lines,
    text: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if self.text.is_empty() {
            return;
        }
        if let Err(TrySendError::Full(_)) = self.lines.sender.try_send(std::mem::take(&mut self.text)) {
            self.lines.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        if self.sender.send(Vec::new()).is_ok()
            && let Some(writer) = self.writer.take()
        {
            let _ = writer.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use super::*;

    /// Keeps what is written, and holds every write until it is opened.
    #[derive(Clone, Default)]
    struct Gate(Arc<(Mutex<Written>, Condvar)>);

    /// Whether it is open, and what came through.
    type Written = (bool, Vec<u8>);

    impl Gate {
        fn open(&self) {
            self.0.0.lock().unwrap().0 = true;
            self.0.1.notify_all();
        }
        fn text(&self) -> String {
            String::from_utf8(self.0.0.lock().unwrap().1.clone()).unwrap()
        }
    }

    impl Write for Gate {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            let mut gate = self.0.1.wait_while(self.0.0.lock().unwrap(), |gate| !gate.0).unwrap();
            gate.1.extend_from_slice(text);
            Ok(text.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn everything_is_written_in_order_before_the_end() {
        let gate = Gate::default();
        let (lines, flush) = Lines::to(gate.clone()).unwrap();
        for number in 0..1_000 {
            writeln!(lines.make_writer(), "{number}").unwrap();
        }
        gate.open();
        drop(flush);
        assert_eq!(gate.text(), (0..1_000).map(|number| format!("{number}\n")).collect::<String>());
    }

    #[test]
    fn a_log_nobody_reads_holds_nobody_up_and_says_what_it_lost() {
        let gate = Gate::default();
        let (lines, flush) = Lines::to(gate.clone()).unwrap();
        // One batch is taken, however many lines that is, and held; behind it there is room for so many and no more.
        let line = "x".repeat(99);
        let written = BATCH / line.len() + WAITING * 2;
        for _ in 0..written {
            writeln!(lines.make_writer(), "{line}").unwrap();
        }
        gate.open();
        drop(flush);
        let text = gate.text();
        let (kept, told): (Vec<_>, Vec<_>) = text.lines().partition(|line| !line.starts_with('{'));
        let lost: usize =
            told.iter().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["dropped"].as_u64().unwrap() as usize).sum();
        assert!(lost >= WAITING - 1, "{lost}");
        assert_eq!(kept.len() + lost, written);
    }
}
