//! How much memory the bodies of requests take together, as they come and until they are scanned.
//!
//! Comes in: octets that have come, and whose they are. Goes out: whether there is room for them.
//! Not an error: a message larger than all the room, while no other is there: how large one may be
//! is said elsewhere, and each can be scanned at some time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::turns::Who;

/// The room for all bodies of all clients; by default there is none.
#[derive(Debug, Default)]
pub(super) struct Room {
    most: usize,
    /// What is taken.
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// No client in here has nothing; no more of them than connections.
    clients: HashMap<Who, usize>,
}

impl Room {
    /// The same room, for so many octets; one client may have three quarters of it. What is taken
    /// stays so.
    pub(super) fn under(&self, most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Arc::clone(&self.taken) })
    }

    /// A body that nothing has come of yet. Who is trusted may take all of the room.
    pub(super) fn hold(self: &Arc<Self>, who: Who, is_trusted: bool) -> Held {
        Held { room: Arc::clone(self), who, is_trusted, octets: 0 }
    }

    /// Octets taken.
    pub(super) fn taken(&self) -> usize {
        self.lock(|taken| taken.all)
    }

    fn lock<T>(&self, look: impl FnOnce(&mut Taken) -> T) -> T {
        look(&mut self.taken.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What one body takes, until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    room: Arc<Room>,
    who: Who,
    is_trusted: bool,
    octets: usize,
}

impl Held {
    /// Takes room for more octets, if there is any.
    #[must_use]
    pub(super) fn grow(&mut self, by: usize) -> bool {
        let (most, octets) = (self.room.most, self.octets);
        let has_room = self.room.lock(|taken| {
            let own = taken.clients.get(&self.who).copied().unwrap_or_default();
            let fits = |taken: usize, most: usize| {
                // Nobody else's, whatever its size.
                taken == octets || taken.saturating_add(by) <= most
            };
            let fits = fits(taken.all, most) && (self.is_trusted || fits(own, most / 4 * 3));
            if fits && by > 0 {
                taken.all = taken.all.saturating_add(by);
                taken.clients.insert(self.who, own.saturating_add(by));
            }
            fits
        });
        self.octets = if has_room { octets.saturating_add(by) } else { octets };
        has_room
    }

    /// The same up to so many in all; never less than there is.
    #[must_use]
    pub(super) fn grow_to(&mut self, octets: usize) -> bool {
        self.grow(octets.saturating_sub(self.octets))
    }

    /// Gives room back until so many octets are left.
    pub(super) fn shrink_to(&mut self, octets: usize) {
        let back = self.octets.saturating_sub(octets);
        if back == 0 {
            return;
        }
        self.octets -= back;
        self.room.lock(|taken| {
            taken.all = taken.all.saturating_sub(back);
            if let Some(own) = taken.clients.get_mut(&self.who) {
                *own = own.saturating_sub(back);
                if *own == 0 {
                    taken.clients.remove(&self.who);
                }
            }
        });
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::super::quota::Client;
    use super::*;

    fn client(last: u8) -> Client {
        Client::from(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn nobody_takes_all_and_all_comes_back() {
        let room = Room::default().under(1_000);
        let (mut a, mut b) = (room.hold(Some(client(1)), false), room.hold(Some(client(1)), false));
        let mut other = room.hold(Some(client(2)), false);
        let mut trusted = room.hold(None, true);
        assert!(a.grow(700) && !b.grow(51) && b.grow(50));
        assert!(a.grow(0) && !a.grow(1));
        assert!(other.grow_to(200) && other.grow_to(100) && !other.grow_to(251));
        assert!(trusted.grow(50) && !trusted.grow(1));
        assert_eq!(room.taken(), 1_000);
        a.shrink_to(800);
        assert_eq!(room.taken(), 1_000);
        a.shrink_to(100);
        assert!(!other.grow(601) && trusted.grow(600));
        drop((a, b, other));
        assert_eq!(room.taken(), 650);
        drop(trusted);
        assert_eq!(room.taken(), 0);
        assert!(room.lock(|taken| taken.clients.is_empty()));
    }

    #[test]
    fn one_message_always_has_room() {
        let room = Room::default().under(10);
        let (mut large, mut small) =
            (room.hold(Some(client(1)), false), room.hold(Some(client(2)), false));
        assert!(large.grow(6) && large.grow(94) && !small.grow(1));
        drop(large);
        assert!(small.grow(1));
        // While somebody else has any, the limit is one.
        let mut large = room.hold(Some(client(1)), false);
        assert!(large.grow(9) && !large.grow(1));
        drop(small);
        assert!(large.grow(1_000));
        assert!(large.grow(usize::MAX) && large.octets == usize::MAX);
        drop(large);
        assert_eq!(room.taken(), 0);
    }
}
