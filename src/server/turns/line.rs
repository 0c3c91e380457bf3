//! Who waits, and who of them comes next: the order that is fair between clients.
//!
//! Comes in: those who wait, and whose they are. Goes out: one after the other.
//! Not an error: one that goes away while it waits.

use std::collections::{HashMap, VecDeque};

use super::Who;

/// Those who wait. Clients take turns; each client's own come in order. A client that had nobody
/// here goes before those that were served already, but never two such in a row: a small client
/// waits for nobody's row of requests, and many small ones leave a large one its turns.
#[derive(Debug)]
pub(super) struct Line<W> {
    /// By client; none of them is empty. Numbers rise.
    waiting: HashMap<Who, VecDeque<(u64, W)>>,
    /// Clients that got nothing yet since they came, with the number that they came with.
    new: VecDeque<(Who, u64)>,
    /// The others, with the next number when they were served; the smallest first.
    served: VecDeque<(Who, u64)>,
    /// The last one was let go before somebody who was there first.
    jumped: bool,
    /// The next number.
    number: u64,
    /// How many wait.
    pub(super) length: usize,
}

impl<W> Default for Line<W> {
    fn default() -> Self {
        Self {
            waiting: HashMap::new(),
            new: VecDeque::new(),
            served: VecDeque::new(),
            jumped: false,
            number: 0,
            length: 0,
        }
    }
}

impl<W> Line<W> {
    /// Puts one at the end of its client's own; returns its number.
    pub(super) fn join(&mut self, who: Who, one: W) -> u64 {
        let number = self.number;
        self.number += 1;
        self.length += 1;
        let own = self.waiting.entry(who).or_default();
        if own.is_empty() {
            self.new.push_back((who, number));
        }
        own.push_back((number, one));
        number
    }

    /// Takes out whose turn it is.
    pub(super) fn next(&mut self) -> Option<W> {
        let came = self.new.front().map(|(_, number)| *number);
        let served = self.served.front().map(|(_, number)| *number);
        let jumps = matches!((came, served), (Some(came), Some(served)) if came >= served);
        let is_new = came.is_some() && !(jumps && self.jumped);
        let clients = if is_new { &mut self.new } else { &mut self.served };
        let (who, _) = clients.pop_front()?;
        self.jumped = is_new && jumps;
        let own = self.waiting.get_mut(&who)?;
        let (_, one) = own.pop_front()?;
        self.length -= 1;
        if own.is_empty() {
            self.waiting.remove(&who);
        } else {
            self.served.push_back((who, self.number));
        }
        Some(one)
    }

    /// Takes out one that waits no longer, if it is still there.
    pub(super) fn leave(&mut self, who: Who, number: u64) -> Option<W> {
        let own = self.waiting.get_mut(&who)?;
        let index = own.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        let (_, one) = own.remove(index)?;
        self.length -= 1;
        if own.is_empty() {
            self.waiting.remove(&who);
            self.new.retain(|(other, _)| *other != who);
            self.served.retain(|(other, _)| *other != who);
        }
        Some(one)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::super::Client;
    use super::*;

    /// A client on a network, or on a Unix socket.
    fn client(last: u8) -> Who {
        (last > 0).then(|| Client::from(IpAddr::from([192, 0, 2, last])))
    }

    /// Who is asked in which order, where letters join and `.` hands out a turn.
    fn order(script: &str) -> String {
        let mut line = Line::default();
        let mut out = String::new();
        for c in script.chars() {
            if c == '.' {
                out.push(line.next().unwrap_or('-'));
            } else {
                line.join(client(u8::try_from(c).unwrap()), c);
            }
        }
        while let Some(next) = line.next() {
            out.push(next);
        }
        assert_eq!(line.length, 0);
        assert!(line.waiting.is_empty() && line.new.is_empty() && line.served.is_empty());
        out
    }

    #[test]
    fn clients_take_turns() {
        #[track_caller]
        fn check(script: &str, expected: &str) {
            assert_eq!(order(script), expected, "{script}");
        }
        check("", "");
        check(".a", "-a");
        check("aaa", "aaa");
        check("aaaabbc", "abcabaa");
        // Who comes late goes first once.
        check("aaaa.b", "abaaa");
        check("aaaa..bb", "aababa");
        // Small ones that come again and again leave the large one its turns.
        check("aaaaaa.b.b.b.b", "ababababaa");
        check("aaaa.b.c.d.e", "abacdaea");
    }

    #[test]
    fn who_goes_away_leaves_nothing() {
        let mut line = Line::default();
        let (a, b) = (client(1), client(0));
        let numbers: Vec<u64> = (0..3).map(|n| line.join(a, n)).collect();
        let other = line.join(b, 9);
        assert_eq!(line.leave(a, numbers[1]), Some(1));
        assert_eq!(line.leave(a, numbers[1]), None);
        assert_eq!(line.leave(b, numbers[0]), None);
        assert_eq!(line.leave(b, other), Some(9));
        assert_eq!((line.next(), line.length), (Some(0), 1));
        assert_eq!(line.leave(a, numbers[2]), Some(2));
        assert_eq!((line.next(), line.length), (None, 0));
        assert!(line.waiting.is_empty() && line.new.is_empty() && line.served.is_empty());
    }
}
