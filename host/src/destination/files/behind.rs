//! Writing on a thread of its own, so that making the next records does not wait for the kernel's copy of the last.
//!
//! It owns at most three buffers a file. A failed write is told by the next call; after it nothing more is written.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

/// Buffers on their way to the thread; one more is being written and one filled.
const WAITING: usize = 1;

/// A writer whose full buffers are written behind the caller's back, in order.
///
/// The thread begins with the first full buffer: a small file costs none.
#[derive(Debug)]
pub(super) struct WriteBehind<W>(State<W>);

#[derive(Debug)]
enum State<W> {
    Here(W),
    There(Behind<W>),
    /// A write has failed and its error was told, or the writer was given back.
    Ended,
}

#[derive(Debug)]
struct Behind<W> {
    full: SyncSender<Vec<u8>>,
    written: Receiver<Vec<u8>>,
    thread: JoinHandle<io::Result<W>>,
}

impl<W: Write + Send + 'static> WriteBehind<W> {
    /// Nothing is written yet.
    pub fn new(writer: W) -> Self {
        Self(State::Here(writer))
    }

    /// Takes the bytes of `buffer` and leaves it empty, with room.
    ///
    /// # Errors
    /// What a write since the last call met.
    pub fn write(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        let behind = match self.take() {
            State::Here(writer) => Behind::begin(writer, buffer.capacity())?,
            State::There(behind) => behind,
            State::Ended => return Err(given_up()),
        };
        // A closed channel means that the thread has ended, which it does early for a failed write alone.
        let Ok(mut empty) = behind.written.recv() else { return behind.end().and_then(|_| Err(given_up())) };
        std::mem::swap(buffer, &mut empty);
        if behind.full.send(empty).is_err() {
            return behind.end().and_then(|_| Err(given_up()));
        }
        self.0 = State::There(behind);
        Ok(())
    }

    /// Writes the bytes of `buffer`, waits until everything is written, and gives the writer back. Nothing can be written
    /// here any more.
    ///
    /// # Errors
    /// What a write since the last call met.
    pub fn finish(&mut self, buffer: &mut Vec<u8>) -> io::Result<W> {
        let mut writer = match self.take() {
            State::Here(writer) => writer,
            State::There(behind) => behind.end()?,
            State::Ended => return Err(given_up()),
        };
        writer.write_all(buffer)?;
        buffer.clear();
        Ok(writer)
    }

    fn take(&mut self) -> State<W> {
        std::mem::replace(&mut self.0, State::Ended)
    }
}

impl<W: Write + Send + 'static> Behind<W> {
    fn begin(writer: W, capacity: usize) -> io::Result<Self> {
        let (full, to_write) = sync_channel(WAITING);
        let (give_back, written) = sync_channel(WAITING + 2);
        for _ in 0..=WAITING {
            // There is room for all of them, and the other end stands here.
            let _ = give_back.send(Vec::with_capacity(capacity));
        }
        let thread = Builder::new().name("write".into()).spawn(move || write_all(writer, &to_write, &give_back))?;
        Ok(Self { full, written, thread })
    }

    /// Waits for what is under way.
    fn end(self) -> io::Result<W> {
        drop((self.full, self.written));
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the writing thread has panicked")))
    }
}

fn write_all<W: Write>(mut writer: W, full: &Receiver<Vec<u8>>, written: &SyncSender<Vec<u8>>) -> io::Result<W> {
    while let Ok(mut buffer) = full.recv() {
        writer.write_all(&buffer)?;
        buffer.clear();
        // Nobody takes it back when the file ends.
        let _ = written.send(buffer);
    }
    Ok(writer)
}

fn given_up() -> io::Error {
    io::Error::other("an earlier write has failed, or was the last")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Sink {
        bytes: Arc<Mutex<Vec<u8>>>,
        room: Option<usize>,
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut held = self.bytes.lock().unwrap();
            if self.room.is_some_and(|room| held.len() + bytes.len() > room) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            held.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn write(writer: &mut WriteBehind<Sink>, texts: std::ops::Range<u32>, whole: &mut String) -> io::Result<()> {
        let mut buffer = Vec::new();
        for text in texts {
            let text = format!("{text}\n");
            whole.push_str(&text);
            buffer.extend_from_slice(text.as_bytes());
            writer.write(&mut buffer)?;
            assert!(buffer.is_empty());
        }
        Ok(())
    }

    #[test]
    fn what_is_written_behind_stands_in_order_and_whole() {
        for texts in [0, 1, 2, 100] {
            let (sink, mut whole) = (Sink::default(), String::new());
            let mut writer = WriteBehind::new(sink.clone());
            write(&mut writer, 0..texts, &mut whole).unwrap();
            whole.push_str("the end");
            writer.finish(&mut b"the end".to_vec()).unwrap();
            assert_eq!(*sink.bytes.lock().unwrap(), whole.as_bytes());
        }
    }

    #[test]
    fn a_failed_write_is_told_once_and_nothing_follows_it() {
        let sink = Sink { room: Some(100), ..Sink::default() };
        let mut writer = WriteBehind::new(sink.clone());
        let told = write(&mut writer, 1000..2000, &mut String::new()).unwrap_err();
        assert_eq!(told.kind(), io::ErrorKind::StorageFull);
        let held = sink.bytes.lock().unwrap().len();
        assert_eq!(writer.finish(&mut b"more".to_vec()).err().unwrap().to_string(), given_up().to_string());
        assert_eq!((held, sink.bytes.lock().unwrap().len()), (100, 100));
    }

    #[test]
    fn a_failure_after_the_last_full_buffer_is_told_at_the_end() {
        let sink = Sink { room: Some(3), ..Sink::default() };
        let mut writer = WriteBehind::new(sink);
        writer.write(&mut b"four".to_vec()).unwrap();
        assert_eq!(writer.finish(&mut Vec::new()).err().unwrap().kind(), io::ErrorKind::StorageFull);
    }
}
