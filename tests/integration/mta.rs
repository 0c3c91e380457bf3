//! Real mail programs in front of the service, with the configuration of `deploy` as it stands
//! there: an abusive invitation is refused, a good one arrives with what was said of it.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{self, Service};

// Exim with its condition `spam`, in both dialects.
mod exim;
// Haraka with its plug-in for SpamAssassin.
mod haraka;
// Postfix with spamass-milter, and with Rspamd.
mod postfix;

/// How long a program may take on a crowded machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Where mail ends: a server that takes all of it.
struct Sink {
    address: SocketAddr,
    mails: Arc<Mutex<Vec<String>>>,
}

impl Sink {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mails = Arc::default();
        let taken = Arc::clone(&mails);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let taken = Arc::clone(&taken);
                thread::spawn(move || receive(&stream.unwrap(), &taken));
            }
        });
        Self { address, mails }
    }

    /// The next mail that arrives, its line ends as `\n`.
    #[track_caller]
    fn next(&self) -> String {
        let started = Instant::now();
        loop {
            if let Some(mail) = self.mails.lock().unwrap().pop() {
                return mail;
            }
            assert!(started.elapsed() < PATIENCE, "no mail arrives");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The server's side of SMTP, as much as programs need.
fn receive(stream: &TcpStream, mails: &Mutex<Vec<String>>) {
    let mut say = stream;
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    drop(say.write_all(b"220 sink\r\n"));
    while let Some(line) = lines.next() {
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        if verb == "DATA" {
            drop(say.write_all(b"354 go on\r\n"));
            let mut mail = String::new();
            for line in lines.by_ref().take_while(|line| line != ".") {
                mail.push_str(line.strip_prefix('.').unwrap_or(&line));
                mail.push('\n');
            }
            mails.lock().unwrap().push(mail);
        }
        let reply = if verb == "QUIT" { "221 bye\r\n" } else { "250 fine\r\n" };
        drop(say.write_all(reply.as_bytes()));
    }
}

/// Brings a mail to a server; what it says to it, on one line.
fn submit(address: SocketAddr, mail: &str) -> String {
    let stream = support::connect(address);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut say = &stream;
    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
    let mut answer = || {
        let mut all = String::new();
        for line in lines.by_ref() {
            let is_last = line.as_bytes().get(3) != Some(&b'-');
            all.push_str(&line);
            if is_last {
                break;
            }
        }
        all
    };
    let greeting = answer();
    assert!(greeting.starts_with("220"), "{greeting}");
    for command in [
        "EHLO mx.sender.example",
        "MAIL FROM:<ann@sender.example>",
        "RCPT TO:<bob@rcpt.example>",
        "DATA",
    ] {
        say.write_all(format!("{command}\r\n").as_bytes()).unwrap();
        let said = answer();
        assert!(said.starts_with(['2', '3']), "{command}: {said}");
    }
    let mail = mail.replace('\n', "\r\n").replace("\r\r", "\r").replace("\r\n.", "\r\n..");
    say.write_all(format!("{}\r\n.\r\n", mail.trim_end()).as_bytes()).unwrap();
    let said = answer();
    drop(say.write_all(b"QUIT\r\n"));
    said
}

/// A mail whose sender has written decisions into it.
fn forged(mail: &str) -> String {
    mail.replacen("Subject:", "X-Calspam-Decision: insert=yes; forged\nSubject:", 1)
}

/// What stands in headers of this name, unfolded.
fn headers(mail: &str, name: &str) -> Vec<String> {
    let head = mail.split("\n\n").next().unwrap_or_default();
    let head = head.replace("\n\t", " ").replace("\n ", " ");
    let values = head.lines().filter_map(|line| line.split_once(": "));
    values.filter(|(found, _)| *found == name).map(|(_, value)| value.to_owned()).collect()
}

/// A program in the foreground that ends with this.
struct Daemon(Child);

impl Daemon {
    /// Starts it, its output in a file, and waits until somebody listens.
    fn start(command: &mut Command, log: &Path, address: SocketAddr) -> Self {
        let output = std::fs::File::create(log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}: run `make tools`"));
        let daemon = Self(child);
        listening(address, || std::fs::read_to_string(log).unwrap_or_default());
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        support::terminate(&mut self.0);
    }
}

/// Waits until somebody listens; else fails with what a program has said.
#[track_caller]
fn listening(address: SocketAddr, log: impl Fn() -> String) {
    let started = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(started.elapsed() < PATIENCE, "nobody listens: {}", log());
        thread::sleep(Duration::from_millis(50));
    }
}

/// A file of `deploy`.
fn deployed(file: &str) -> String {
    std::fs::read_to_string(support::repository("deploy").join(file)).unwrap()
}

/// Stops a service and waits until nobody answers there.
fn gone(service: Service, address: SocketAddr) {
    service.stop();
    let started = Instant::now();
    while TcpStream::connect(address).is_ok() {
        assert!(started.elapsed() < PATIENCE, "{address} still answers");
        thread::sleep(Duration::from_millis(50));
    }
}
