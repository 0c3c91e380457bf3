//! What the machine around the process grants and wants to know: sockets that a service manager
//! has bound already, how the service is, how many files may be open, where the log goes.
//!
//! Comes in: what systemd puts into the environment (`LISTEN_FDS`, `NOTIFY_SOCKET`,
//! `WATCHDOG_USEC`, `JOURNAL_STREAM`). Goes out: listeners and messages.
//! Not an error: no service manager, or one that does not listen.
//!
//! The only module that knows listenfd, sd-notify and rustix.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use listenfd::ListenFd;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sd_notify::NotifyState;

use super::{Address, Listener};

/// A process has one set of inherited sockets, so they stand in one place.
static HANDED: Mutex<Vec<Handed>> = Mutex::new(Vec::new());

/// A socket that is not ours: it was bound before the process began, and outlives it.
struct Handed {
    address: Address,
    /// Until somebody listens on it.
    listener: Option<Listener>,
}

fn handed() -> MutexGuard<'static, Vec<Handed>> {
    HANDED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes what a service manager hands over. Called once, before anything is bound.
///
/// # Errors
///
/// One of the descriptors is no listening stream socket.
pub fn receive_sockets() -> io::Result<()> {
    let mut sockets = ListenFd::from_env();
    for index in 0..sockets.len() {
        // A socket of another family stays where it is and is tried again.
        let listener = match sockets.take_unix_listener(index) {
            Ok(listener) => listener.map(Listener::Unix),
            Err(_) => sockets.take_tcp_listener(index)?.map(Listener::Tcp),
        };
        if let Some(listener) = listener {
            let address = address_of(&listener)?;
            handed().push(Handed { address, listener: Some(listener) });
        }
    }
    Ok(())
}

fn address_of(listener: &Listener) -> io::Result<Address> {
    match listener {
        Listener::Tcp(listener) => listener.local_addr().map(Address::Tcp),
        Listener::Unix(listener) => {
            let address = listener.local_addr()?;
            let path = address.as_pathname().ok_or_else(|| {
                let kind =
                    if address.as_abstract_name().is_some() { "abstract" } else { "unnamed" };
                io::Error::other(format!("an {kind} Unix socket has no path to be known by"))
            })?;
            Ok(Address::Unix(path.to_owned()))
        }
    }
}

/// The socket for an address, if it was handed over.
pub(super) fn take(address: &Address) -> Option<Listener> {
    handed().iter_mut().find(|socket| socket.address == *address)?.listener.take()
}

/// True for an address whose socket is not ours to remove.
pub(super) fn is_handed(address: &Address) -> bool {
    handed().iter().any(|socket| socket.address == *address)
}

/// An address whose socket nobody listens on: clients that connect there would wait for ever.
pub fn unclaimed_socket() -> Option<Address> {
    handed().iter().find(|socket| socket.listener.is_some()).map(|socket| socket.address.clone())
}

/// How the service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition<'t> {
    /// It answers; with a line for people.
    Ready(&'t str),
    /// Rules and settings are being read again.
    Reloading,
    /// No more connections are taken.
    Stopping,
    /// It is still there.
    Alive,
}

/// Tells the service manager, if there is one.
pub(super) fn tell(condition: Condition<'_>) {
    let mut states = match condition {
        Condition::Ready(line) => vec![NotifyState::Ready, NotifyState::Status(line)],
        Condition::Reloading => vec![NotifyState::Reloading],
        Condition::Stopping => {
            vec![NotifyState::Stopping, NotifyState::Status("finishing the scans going on")]
        }
        Condition::Alive => vec![NotifyState::Watchdog],
    };
    if condition == Condition::Reloading {
        // Newer managers want to know which reload this is.
        states.extend(NotifyState::monotonic_usec_now());
    }
    if let Err(error) = sd_notify::notify(&states) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}

/// How often the service manager wants to hear that the service is alive; `None` if it does not.
pub(super) fn heartbeat() -> Option<Duration> {
    // Twice as often as asked: a late one must not kill the service.
    sd_notify::watchdog_enabled().map(|period| period / 2)
}

/// Raises the number of files that may be open to what is wanted, as far as that is allowed, and
/// gives what it is now.
pub fn raise_open_files(wanted: u64) -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let now = current.unwrap_or(u64::MAX);
    let most = maximum.unwrap_or(u64::MAX);
    let raised = wanted.min(most);
    if raised <= now {
        return now;
    }
    let limit = Rlimit { current: Some(raised), maximum };
    if setrlimit(Resource::Nofile, limit).is_ok() { raised } else { now }
}

/// True when the standard error is the journal's, which stamps each line itself. `stream` is what
/// the environment says of the journal's socket: device and inode.
pub fn is_journal(stream: &str) -> bool {
    let Some((device, inode)) = stream.split_once(':') else { return false };
    let is = |text: &str, number: u64| text.parse() == Ok(number);
    rustix::fs::fstat(io::stderr())
        .is_ok_and(|stat| is(device, stat.st_dev) && is(inode, stat.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_manager_is_no_mistake() {
        receive_sockets().unwrap();
        assert_eq!(unclaimed_socket(), None);
        let address = "127.0.0.1:11380".parse().unwrap();
        assert!(take(&address).is_none() && !is_handed(&address));
        tell(Condition::Reloading);
        tell(Condition::Ready("well"));
    }

    #[test]
    fn open_files_are_raised_as_far_as_allowed() {
        let most = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        let low = Rlimit { current: Some(200.min(most)), maximum: Some(most) };
        setrlimit(Resource::Nofile, low).unwrap();
        assert_eq!(raise_open_files(100), 200.min(most), "never lowered");
        assert_eq!(raise_open_files(300), 300.min(most));
        assert_eq!(getrlimit(Resource::Nofile).current, Some(300.min(most)));
        assert_eq!(raise_open_files(u64::MAX), most);
    }

    #[test]
    fn other_places_are_no_journal() {
        for stream in ["", "1", "0:0", "x:y", "1:2:3"] {
            assert!(!is_journal(stream), "{stream}");
        }
    }
}
