//! Caches for DNS records as mail-auth has parsed them, bounded in number and in weight.
//!
//! Comes in: records with the time they are good for. Goes out: the same, while it lasts.
//! Not an error: a record too heavy to keep, which is asked for again next time.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mail_auth::hickory_resolver::proto::op::ResponseCode;
use mail_auth::{DnsError, Error, MX, RecordSet, ResolverCache, Txt};

/// Records of one kind kept at most.
const RECORDS: usize = 20_000;

/// Heaviest record kept, in octets more or less.
const HEAVIEST: usize = 4 * 1024;

/// A record is good for one message at least, and for a day at most.
const SHORTEST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_hours(24);

/// Roughly how much memory a record takes.
pub(super) trait Weigh {
    fn weight(&self) -> usize;
}

impl Weigh for Txt {
    fn weight(&self) -> usize {
        match self {
            Self::Spf(spf) => spf.directives.len() * 96,
            Self::Dmarc(dmarc) => dmarc
                .rua
                .iter()
                .chain(&dmarc.ruf)
                .map(|uri| uri.uri().len() + size_of_val(uri))
                .sum(),
            // Keys of 4096 bits and policies are small; macros and the rest are one line.
            Self::SpfMacro(_)
            | Self::DomainKey(_)
            | Self::DomainKeyReport(_)
            | Self::Atps(_)
            | Self::MtaSts(_)
            | Self::TlsRpt(_)
            | Self::Error(_) => 1_024,
        }
    }
}

impl Weigh for RecordSet<MX> {
    fn weight(&self) -> usize {
        self.rrset.iter().flat_map(|mx| &mx.exchanges).map(|name| name.len() + 32).sum()
    }
}

impl Weigh for RecordSet<Ipv4Addr> {
    fn weight(&self) -> usize {
        size_of_val(&*self.rrset)
    }
}

impl Weigh for RecordSet<Ipv6Addr> {
    fn weight(&self) -> usize {
        size_of_val(&*self.rrset)
    }
}

impl Weigh for RecordSet<Box<str>> {
    fn weight(&self) -> usize {
        self.rrset.iter().map(|name| name.len() + 16).sum()
    }
}

/// One cache. Two generations: when the young one is full it becomes the old one, and what was
/// old and not asked for since is gone. No entry is ever looked for to be thrown out.
pub(super) struct Cache<K, V>(Mutex<Generations<K, V>>);

struct Generations<K, V> {
    young: HashMap<K, (V, Instant)>,
    old: HashMap<K, (V, Instant)>,
    most: usize,
}

impl<K, V> Cache<K, V> {
    fn new(most: usize) -> Self {
        Self(Mutex::new(Generations { young: HashMap::new(), old: HashMap::new(), most }))
    }
}

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self::new(RECORDS)
    }
}

impl<K: Hash + Eq, V> Generations<K, V> {
    fn insert(&mut self, key: K, value: (V, Instant)) {
        if self.young.len() >= self.most / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

impl<K: Hash + Eq, V: Clone + Weigh> Cache<K, V> {
    fn insert_at(&self, key: K, value: V, valid_until: Instant, now: Instant) {
        if value.weight() > HEAVIEST {
            return;
        }
        let life = valid_until.saturating_duration_since(now).clamp(SHORTEST, LONGEST);
        let Some(until) = now.checked_add(life) else { return };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, (value, until));
    }

    fn get_at<Q>(&self, name: &Q, now: Instant) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((value, until)) = generations.young.get(name) {
            return (*until > now).then(|| value.clone());
        }
        let (key, kept) = generations.old.remove_entry(name)?;
        let value = (kept.1 > now).then(|| kept.0.clone())?;
        generations.insert(key, kept);
        Some(value)
    }
}

impl<K: Hash + Eq, V: Clone + Weigh> ResolverCache<K, V> for Cache<K, V> {
    fn get<Q>(&self, name: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.get_at(name, Instant::now())
    }

    fn remove<Q>(&self, name: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (young, old) = (generations.young.remove(name), generations.old.remove(name));
        young.or(old).map(|(value, _)| value)
    }

    fn insert(&self, key: K, value: V, valid_until: Instant) {
        self.insert_at(key, value, valid_until, Instant::now());
    }
}

/// How long it is remembered that there is no record. Shorter than most zones ask for: mail-auth
/// does not tell how long it may be.
const ABSENCE: Duration = Duration::from_mins(1);

/// That there is no record.
#[derive(Clone, Copy)]
struct Absent;

impl Weigh for Absent {
    fn weight(&self) -> usize {
        0
    }
}

/// The cache of TXT records as one verification sees it. Mail-auth does not put aside that a
/// record is not there, and those are asked for most: `_dmarc.com` for every mail from below.
/// What was looked for here and never brought is remembered as absent, once it is clear that no
/// name server has failed. The name is not told in a form that can be kept, so its hash is.
pub(super) struct Looks<'c> {
    caches: &'c Caches,
    missed: Mutex<HashSet<u64>>,
}

impl<'c> Looks<'c> {
    pub(super) fn into_caches(caches: &'c Caches) -> Self {
        Self { caches, missed: Mutex::default() }
    }

    /// Every question was answered: what was not found is not there.
    pub(super) fn all_answered(&self) {
        let missed = std::mem::take(&mut *self.missed());
        let Some(until) = Instant::now().checked_add(ABSENCE) else { return };
        for name in missed {
            self.caches.absent.insert(name, Absent, until);
        }
    }

    fn missed(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResolverCache<Box<str>, Txt> for Looks<'_> {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let found = self.caches.txt.get(name);
        if found.is_some() {
            return found;
        }
        let hash = self.caches.hasher.hash_one(name);
        if self.caches.absent.get(&hash).is_some() {
            let absent = DnsError::RecordNotFound(ResponseCode::NXDomain);
            return Some(Txt::Error(Error::Dns(absent)));
        }
        self.missed().insert(hash);
        None
    }

    fn remove<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.caches.txt.remove(name)
    }

    fn insert(&self, key: Box<str>, value: Txt, valid_until: Instant) {
        self.missed().remove(&self.caches.hasher.hash_one(&*key));
        self.caches.txt.insert(key, value, valid_until);
    }
}

/// The caches that mail-auth asks for.
#[derive(Default)]
pub(super) struct Caches {
    txt: Cache<Box<str>, Txt>,
    absent: Cache<u64, Absent>,
    hasher: RandomState,
    pub(super) mx: Cache<Box<str>, RecordSet<MX>>,
    pub(super) ptr: Cache<IpAddr, RecordSet<Box<str>>>,
    pub(super) ipv4: Cache<Box<str>, RecordSet<Ipv4Addr>>,
    pub(super) ipv6: Cache<Box<str>, RecordSet<Ipv6Addr>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weigh for usize {
        fn weight(&self) -> usize {
            *self
        }
    }

    #[test]
    fn records_last_as_long_as_they_say_within_reason() {
        let cache = Cache::<Box<str>, usize>::new(100);
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        for (key, life, gone) in
            [("hour", 3_600, 3_600), ("none", 0, 5), ("month", 2_592_000, 86_400)]
        {
            cache.insert_at(key.into(), 1, after(life), start);
            assert_eq!(cache.get_at(key, after(gone - 1)), Some(1), "{key}");
            assert_eq!(cache.get_at(key, after(gone)), None, "{key}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let cache = Cache::<Box<str>, usize>::new(100);
        let now = Instant::now();
        let later = now + Duration::from_mins(1);
        for number in 0..10_000 {
            cache.insert_at(format!("{number}").into(), 1, later, now);
            // What is asked for stays.
            cache.insert_at("often".into(), 2, later, now);
            assert_eq!(cache.get_at("often", now), Some(2));
        }
        let generations = cache.0.lock().unwrap();
        assert!(generations.young.len() + generations.old.len() <= 100);
        drop(generations);
        assert_eq!(cache.get_at("9999", now), Some(1));
        assert_eq!(cache.get_at("0", now), None);
        cache.insert_at("heavy".into(), HEAVIEST + 1, later, now);
        assert_eq!(cache.get_at("heavy", now), None);
        assert_eq!(cache.remove("often"), Some(2));
        assert_eq!(cache.remove("often"), None);
    }
}
