//! How much one client may have: requests in a time, wrong passwords, connections at a time.
//!
//! Comes in: the address of a client. Goes out: whether it may, and how long to wait. The tables
//! hold so many clients and no more: those heard of last stay.
//! Not an error: many clients. Of an IPv6 network of 64 bits, which is what one customer has, all
//! addresses are one client.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Clients in a table: twice as many at most.
const CLIENTS: usize = 8 * 1024;

/// A client, as limits know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Client(IpAddr);

impl From<IpAddr> for Client {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(IpAddr::V4(address)),
            IpAddr::V6(address) => {
                let network = address.to_bits() & (u128::MAX << 64);
                Self(IpAddr::V6(Ipv6Addr::from_bits(network)))
            }
        }
    }
}

/// So many in a time; what is used up comes back bit by bit.
#[derive(Debug)]
pub(super) struct Quota {
    burst: f64,
    /// Per second.
    refill: f64,
    tables: Mutex<Tables>,
}

/// The older table is dropped when the newer one is full: no client is looked for among the
/// others, and whoever comes back has moved over before.
#[derive(Debug, Default)]
struct Tables {
    newer: HashMap<Client, Bucket>,
    older: HashMap<Client, Bucket>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Quota {
    /// At most `count` at once and in each `window`.
    pub(super) fn new(count: u32, window: Duration) -> Self {
        let burst = f64::from(count);
        Self { burst, refill: burst / window.as_secs_f64(), tables: Mutex::default() }
    }

    /// Takes one; the error is the time until there is one again.
    pub(super) fn take(&self, client: Client, now: Instant) -> Result<(), Duration> {
        self.change(client, now, 1.0)
    }

    /// Whether there is one, without taking it.
    pub(super) fn look(&self, client: Client, now: Instant) -> Result<(), Duration> {
        self.change(client, now, 0.0)
    }

    fn change(&self, client: Client, now: Instant, taken: f64) -> Result<(), Duration> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bucket = tables.find(client).unwrap_or(Bucket { left: self.burst, at: now });
        let back = now.saturating_duration_since(bucket.at).as_secs_f64() * self.refill;
        bucket.left = (bucket.left + back).min(self.burst);
        bucket.at = bucket.at.max(now);
        let enough = bucket.left >= 1.0;
        if enough {
            bucket.left -= taken;
        }
        // Who has all that there is need not be remembered.
        if bucket.left < self.burst {
            tables.keep(client, bucket);
        }
        if enough {
            return Ok(());
        }
        let seconds = (1.0 - bucket.left) / self.refill;
        Err(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }
}

impl Tables {
    fn find(&mut self, client: Client) -> Option<Bucket> {
        self.newer.get(&client).copied().or_else(|| self.older.remove(&client))
    }

    fn keep(&mut self, client: Client, bucket: Bucket) {
        if self.newer.len() >= CLIENTS && !self.newer.contains_key(&client) {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(client, bucket);
    }
}

/// Connections at a time by client; no more clients than connections, which are bounded.
#[derive(Debug, Clone, Default)]
pub(super) struct Connections(Arc<Mutex<HashMap<Client, usize>>>);

impl Connections {
    /// One more connection of a client, until the guard is dropped; none where it has `most`.
    pub(super) fn enter(&self, client: Client, most: usize) -> Option<Connection> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = table.entry(client).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Connection { table: Arc::clone(&self.0), client })
    }
}

/// A connection that counts.
#[derive(Debug)]
pub(super) struct Connection {
    table: Arc<Mutex<HashMap<Client, usize>>>,
    client: Client,
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut entry) = table.entry(self.client) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> Client {
        Client::from(text.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn networks_of_customers_are_one_client() {
        assert_eq!(client("::ffff:192.0.2.1"), client("192.0.2.1"));
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:0:0:1"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
    }

    #[test]
    fn what_is_used_up_comes_back() {
        let quota = Quota::new(3, Duration::from_secs(30));
        let (a, b) = (client("192.0.2.1"), client("192.0.2.2"));
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(quota.look(a, start), Ok(()));
            assert_eq!(quota.take(a, start), Ok(()));
        }
        assert_eq!(quota.take(a, start), Err(Duration::from_secs(10)));
        assert_eq!(quota.look(a, start), Err(Duration::from_secs(10)));
        assert_eq!(quota.take(b, start), Ok(()));
        let later = start + Duration::from_secs(10);
        assert_eq!(quota.take(a, later), Ok(()));
        assert!(quota.take(a, later).is_err());
        // A refusal takes nothing, and the time that passed before counts once.
        assert_eq!(quota.take(a, later + Duration::from_secs(10)), Ok(()));
        // A clock that stands still or goes back gives nothing.
        assert!(quota.take(a, start).is_err());
        let much_later = start + Duration::from_secs(1_000);
        assert_eq!((0..9).filter(|_| quota.take(a, much_later).is_ok()).count(), 3);
    }

    #[test]
    fn many_clients_take_bounded_room_and_the_busy_one_stays() {
        let quota = Quota::new(2, Duration::from_hours(1));
        let now = Instant::now();
        let busy = client("192.0.2.1");
        assert_eq!((0..2).filter(|_| quota.take(busy, now).is_ok()).count(), 2);
        for number in 0..100_000_u32 {
            let address = std::net::Ipv4Addr::from_bits(0x0a00_0000 + number);
            assert_eq!(quota.take(Client(IpAddr::V4(address)), now), Ok(()));
            if number % 1_000 == 0 {
                assert!(quota.take(busy, now).is_err(), "{number}");
            }
        }
        let tables = quota.tables.lock().unwrap();
        assert!(tables.newer.len() + tables.older.len() <= 2 * CLIENTS);
    }

    #[test]
    fn connections_end() {
        let connections = Connections::default();
        let (a, b) = (client("192.0.2.1"), client("192.0.2.2"));
        let first = connections.enter(a, 2).unwrap();
        let second = connections.enter(a, 2);
        assert!(second.is_some() && connections.enter(a, 2).is_none());
        assert!(connections.enter(b, 2).is_some());
        drop(first);
        assert!(connections.enter(a, 2).is_some());
        drop(second);
        assert!(connections.0.lock().unwrap().is_empty());
    }
}
