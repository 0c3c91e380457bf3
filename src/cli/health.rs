//! `calspamd health`: asks a running service whether it is well, for containers and scripts.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use super::Error;
use crate::server::Address;

/// A service that needs longer is not well.
const PATIENCE: Duration = Duration::from_secs(5);

/// More than any head of ours.
const REPLY: u64 = 4096;

pub(super) fn run(address: &Address, out: &mut dyn Write) -> Result<ExitCode, Error> {
    let not_well = |reason: String| Error::NotWell { address: address.clone(), reason };
    let reply = ask(address).map_err(|error| not_well(error.to_string()))?;
    let status = reply.lines().next().unwrap_or_default();
    if status.split_whitespace().nth(1) != Some("200") {
        return Err(not_well(format!("it answers `{}`", super::terminal::clean(status))));
    }
    writeln!(out, "ok")?;
    Ok(ExitCode::SUCCESS)
}

fn ask(address: &Address) -> io::Result<String> {
    match address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect_timeout(&reachable(*address), PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            talk(stream)
        }
        Address::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            talk(stream)
        }
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

fn talk(mut stream: impl Read + Write) -> io::Result<String> {
    stream.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
    let mut reply = Vec::new();
    stream.take(REPLY).read_to_end(&mut reply)?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}
