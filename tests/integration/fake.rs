//! Something that speaks HTTP and is not calspamd: says what a test wants, and keeps what it was
//! asked.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::support::{field, read_head};

/// What is answered to a request.
pub(crate) enum Say {
    /// This, with status 200.
    Body(String),
    /// The same after a while.
    Late(Duration, String),
    /// Another status.
    Status(u16),
    /// A reply that never ends, an octet now and then.
    Drip,
}

/// A request.
pub(crate) struct Asked {
    head: String,
    pub(crate) body: String,
}

impl Asked {
    fn read(stream: &mut TcpStream) -> Option<Self> {
        let head = read_head(stream);
        if !head.ends_with(b"\r\n\r\n") {
            return None;
        }
        let mut asked =
            Self { head: String::from_utf8_lossy(&head).into_owned(), body: String::new() };
        let length = asked.header("content-length").and_then(|length| length.parse().ok());
        let mut body = vec![0; length.unwrap_or_default()];
        stream.read_exact(&mut body).ok()?;
        asked.body = String::from_utf8_lossy(&body).into_owned();
        Some(asked)
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }
}

/// The server, until it is stopped or dropped.
pub(crate) struct Fake {
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Fake {
    /// Answers at an address.
    pub(crate) fn start(
        address: SocketAddr,
        say: impl Fn(&Asked) -> Say + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (kept, stopped, say) = (Arc::clone(&asked), Arc::clone(&stop), Arc::new(say));
        let thread = Some(thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let Ok((stream, _)) = listener.accept() else {
                    thread::sleep(Duration::from_millis(10));
                    continue;
                };
                let (kept, stopped, say) =
                    (Arc::clone(&kept), Arc::clone(&stopped), Arc::clone(&say));
                thread::spawn(move || answer(stream, &kept, &stopped, &*say));
            }
        }));
        Self { asked, stop, thread }
    }

    /// What was asked since the last call.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    /// Stops listening.
    pub(crate) fn stop(self) {
        drop(self);
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn answer(
    mut stream: TcpStream,
    kept: &Mutex<Vec<Asked>>,
    stopped: &AtomicBool,
    say: &dyn Fn(&Asked) -> Say,
) {
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let Some(asked) = Asked::read(&mut stream) else { return };
    let said = say(&asked);
    kept.lock().unwrap().push(asked);
    let (status, body) = match said {
        Say::Body(body) => (200, body),
        Say::Late(after, body) => {
            thread::sleep(after);
            (200, body)
        }
        Say::Status(status) => (status, String::new()),
        Say::Drip => {
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"));
            while !stopped.load(Ordering::Relaxed) && stream.write_all(b" ").is_ok() {
                thread::sleep(Duration::from_millis(200));
            }
            return;
        }
    };
    let length = body.len();
    drop(write!(
        stream,
        "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    ));
}
