//! Talks to a running service over its HTTP address: one request a connection.

use std::fmt::Display;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::Error;
use crate::server::{Address, Settings};

/// Longest head of a reply, and longest body that is kept in memory.
const HEAD: u64 = 64 * 1024;
const BODY: u64 = 64 * 1024 * 1024;

/// A service that says nothing for so long is not well.
const PATIENCE: Duration = Duration::from_mins(1);

/// A service at an address.
pub(super) struct Service<'c> {
    pub(super) settings: &'c Settings,
    pub(super) patience: Duration,
}

/// What is asked.
pub(super) struct Request<'r> {
    pub(super) method: &'r str,
    pub(super) path: &'r str,
    pub(super) headers: Vec<(&'r str, &'r str)>,
    pub(super) body: &'r [u8],
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// A reply whose body has not been read.
pub(super) struct Reply {
    pub(super) status: u16,
    /// First line of the reply.
    pub(super) line: String,
    stream: BufReader<Body>,
}

/// The body of a reply: pieces with their lengths, or all that comes.
struct Body {
    stream: BufReader<Box<dyn Stream>>,
    /// Octets left of a piece; `None` where nobody counts.
    left: Option<u64>,
    done: bool,
}

impl Read for Body {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.done {
            return Ok(0);
        }
        let Some(left) = &mut self.left else { return self.stream.read(into) };
        if *left == 0 {
            let mut line = String::new();
            // The end of the piece before, then a length in hex; a length of 0 ends it all.
            while line.trim().is_empty() {
                line.clear();
                if self.stream.by_ref().take(HEAD).read_line(&mut line)? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            let length = line.split(';').next().unwrap_or_default().trim();
            *left = u64::from_str_radix(length, 16)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            if *left == 0 {
                self.done = true;
                return Ok(0);
            }
        }
        let count = self.stream.by_ref().take(*left).read(into)?;
        *left -= u64::try_from(count).unwrap_or(*left).min(*left);
        Ok(count)
    }
}

impl Reply {
    /// The lines of the body as they come.
    pub(super) fn lines(self) -> impl Iterator<Item = io::Result<String>> {
        self.stream.lines()
    }

    /// The whole body.
    pub(super) fn body(self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        self.stream.take(BODY).read_to_end(&mut body)?;
        Ok(body)
    }
}

impl<'c> Service<'c> {
    pub(super) fn new(settings: &'c Settings) -> Self {
        Self { settings, patience: PATIENCE }
    }

    /// Why the service cannot be asked.
    pub(super) fn not_well(&self, reason: impl Display) -> Error {
        let reason = format!("{reason}");
        Error::NotWell { address: self.settings.listen.clone(), reason }
    }

    /// Asks, and reads the head of the reply.
    pub(super) fn ask(&self, request: &Request<'_>) -> io::Result<Reply> {
        let mut stream = self.connect()?;
        let clean = |value: &str| value.replace(['\r', '\n'], " ");
        // HTTP/1.0: the reply ends with the connection, and nobody need count its pieces.
        let mut head = vec![format!("{} {} HTTP/1.0", request.method, clean(request.path))];
        // Of a hash nobody knows the password; the machine itself needs none.
        let password = self.settings.enable_password.as_ref().and_then(|set| set.plain());
        let password = password.map(|password| ("Password", password));
        for (name, value) in request.headers.iter().copied().chain(password) {
            head.push(format!("{name}: {}", clean(value)));
        }
        head.push(format!("Content-Length: {}\r\n\r\n", request.body.len()));
        stream.write_all(head.join("\r\n").as_bytes())?;
        stream.write_all(request.body)?;
        stream.flush()?;

        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        let mut head = stream.by_ref().take(HEAD);
        head.read_line(&mut line)?;
        let mut field = String::new();
        let mut left = None;
        while head.read_line(&mut field)? > 0 && !field.trim().is_empty() {
            let lower = field.to_ascii_lowercase();
            if lower.starts_with("transfer-encoding:") && lower.contains("chunked") {
                left = Some(0);
            }
            field.clear();
        }
        let stream = BufReader::new(Body { stream, left, done: false });
        let line = line.trim().to_owned();
        let status = line.split_whitespace().nth(1).and_then(|status| status.parse().ok());
        Ok(Reply { status: status.unwrap_or(0), line, stream })
    }

    fn connect(&self) -> io::Result<Box<dyn Stream>> {
        match &self.settings.listen {
            Address::Tcp(address) => {
                let stream = TcpStream::connect_timeout(&reachable(*address), self.patience)?;
                stream.set_read_timeout(Some(self.patience))?;
                stream.set_write_timeout(Some(self.patience))?;
                Ok(Box::new(stream))
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(self.patience))?;
                stream.set_write_timeout(Some(self.patience))?;
                Ok(Box::new(stream))
            }
        }
    }

    /// Asks, and reads the reply as JSON; anything but success is an error that says why.
    pub(super) fn json(&self, request: &Request<'_>) -> Result<serde_json::Value, Error> {
        let reply = self.ask(request).map_err(|error| self.not_well(error))?;
        let (status, line) = (reply.status, reply.line.clone());
        let body = reply.body().map_err(|error| self.not_well(error))?;
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        if status == 200 {
            return Ok(json);
        }
        let error = json.get("error").and_then(serde_json::Value::as_str);
        let error = error.map_or_else(|| format!("it answers `{line}`"), str::to_owned);
        Err(self.not_well(super::terminal::clean(&error)))
    }
}

/// A service that listens everywhere is asked at home.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, address.port())
}
