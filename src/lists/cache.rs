//! Keeps what was answered, each answer as long as it is good for.
//!
//! Lifetimes come from the answers and are clamped; the clock is an argument. Memory is
//! bounded: an entry costs what it holds, and what was not asked for long gives way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::sync::Cache as Moka;

use super::resolve::Reply;

/// Limits of a positive answer: a list that says 0 is asked once a minute all the same, one
/// that says a month may have changed its mind after an hour.
const LISTED: (Duration, Duration) = (Duration::from_mins(1), Duration::from_hours(1));
/// Limits of a negative one.
const NOT_LISTED: (Duration, Duration) = (Duration::from_mins(1), Duration::from_mins(15));
/// Where a zone does not say how long "no" is good for.
const UNSAID: Duration = Duration::from_mins(1);
/// How long a failure keeps others from asking the same.
const FAILED: Duration = Duration::from_secs(30);

/// Octets of an entry beside its name and addresses, as measured.
const OVERHEAD: usize = 420;

/// How long an answer is good for.
pub(super) fn lifetime(reply: &Reply) -> Duration {
    let clamped = |seconds: u32, (least, most): (Duration, Duration)| {
        Duration::from_secs(u64::from(seconds)).clamp(least, most)
    };
    match reply {
        Reply::Addresses { ttl, .. } => clamped(*ttl, LISTED),
        Reply::Nothing { ttl } => ttl.map_or(UNSAID, |ttl| clamped(ttl, NOT_LISTED)),
        Reply::TimedOut | Reply::Failed => FAILED,
    }
}

#[derive(Debug, Clone)]
struct Entry {
    reply: Arc<Reply>,
    /// By the clock of the caller.
    until: Duration,
    lifetime: Duration,
}

/// Lets moka reclaim what nobody may read any more.
struct Lifetimes;

impl Expiry<Arc<str>, Entry> for Lifetimes {
    fn expire_after_create(&self, _: &Arc<str>, entry: &Entry, _: Instant) -> Option<Duration> {
        Some(entry.lifetime)
    }

    fn expire_after_update(
        &self,
        _: &Arc<str>,
        entry: &Entry,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.lifetime)
    }
}

/// Answers by the name that was asked for.
pub(super) struct Cache(Moka<Arc<str>, Entry>);

impl Cache {
    /// An empty cache that may hold so many octets.
    pub(super) fn new(octets: u64) -> Self {
        let cost = |name: &Arc<str>, entry: &Entry| {
            let addresses = match &*entry.reply {
                Reply::Addresses { addresses, .. } => addresses.len() * 4,
                Reply::Nothing { .. } | Reply::TimedOut | Reply::Failed => 0,
            };
            u32::try_from(OVERHEAD + name.len() + addresses).unwrap_or(u32::MAX)
        };
        let cache =
            Moka::builder().max_capacity(octets).weigher(cost).expire_after(Lifetimes).build();
        Self(cache)
    }

    /// The answer, if one is there that is still good.
    pub(super) fn get(&self, name: &Arc<str>, now: Duration) -> Option<Arc<Reply>> {
        self.0.get(name).filter(|entry| now < entry.until).map(|entry| entry.reply)
    }

    /// Keeps an answer.
    pub(super) fn keep(&self, name: Arc<str>, reply: Arc<Reply>, now: Duration) {
        let lifetime = lifetime(&reply);
        self.0.insert(name, Entry { reply, until: now + lifetime, lifetime });
    }

    /// Answers held.
    #[cfg(test)]
    pub(super) fn len(&self) -> u64 {
        self.0.run_pending_tasks();
        self.0.entry_count()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn listed(ttl: u32) -> Reply {
        Reply::Addresses { addresses: vec![Ipv4Addr::new(127, 0, 0, 2)], ttl }
    }

    #[test]
    fn answers_live_as_long_as_they_are_good_for() {
        #[track_caller]
        fn check(reply: &Reply, seconds: u64) {
            let cache = Cache::new(1_000_000);
            let name: Arc<str> = "x.l.example".into();
            let start = Duration::from_secs(10_000);
            cache.keep(Arc::clone(&name), Arc::new(reply.clone()), start);
            let found = |after: u64| cache.get(&name, start + Duration::from_secs(after));
            assert_eq!(found(0).as_deref(), Some(reply));
            assert_eq!(found(seconds - 1).as_deref(), Some(reply));
            assert_eq!(found(seconds), None, "after {seconds} s");
        }
        check(&listed(300), 300);
        check(&listed(0), 60);
        check(&listed(28 * 86_400), 3_600);
        check(&Reply::Nothing { ttl: Some(120) }, 120);
        check(&Reply::Nothing { ttl: Some(5) }, 60);
        check(&Reply::Nothing { ttl: Some(86_400) }, 900);
        check(&Reply::Nothing { ttl: None }, 60);
        check(&Reply::TimedOut, 30);
        check(&Reply::Failed, 30);
    }

    #[test]
    fn a_later_answer_has_its_own_lifetime() {
        let cache = Cache::new(1_000_000);
        let name: Arc<str> = "x.l.example".into();
        cache.keep(Arc::clone(&name), Arc::new(Reply::Failed), Duration::ZERO);
        cache.keep(Arc::clone(&name), Arc::new(listed(600)), Duration::from_secs(31));
        assert!(cache.get(&name, Duration::from_secs(630)).is_some());
        assert!(cache.get(&name, Duration::from_secs(631)).is_none());
    }

    #[test]
    fn a_million_names_stay_in_bounds() {
        const OCTETS: u64 = 8 * 1024 * 1024;
        let cache = Cache::new(OCTETS);
        let memory = || {
            let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
        };
        let before = memory();
        for number in 0..1_000_000_u32 {
            let name = format!("host-{number}.spam.example.uribl.example").into();
            cache.keep(name, Arc::new(Reply::Nothing { ttl: Some(900) }), Duration::ZERO);
        }
        let after = memory();
        let held = cache.len();
        println!("1,000,000 names: {held} kept, RSS {before} KiB before, {after} KiB after");
        assert!(held * 420 <= OCTETS, "{held} entries");
        // Other tests of this process need memory meanwhile.
        assert!(after.saturating_sub(before) < 256 * 1024, "{before} KiB, then {after} KiB");
    }
}
