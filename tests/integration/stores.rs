//! What every store does, whatever it is made of: the same questions after the same changes have
//! the same answers.

use std::sync::Arc;
use std::time::Duration;

use calspamd::reputation::entry::{Content, Entry};
use calspamd::reputation::store::{Ask, Change, Field, Found, Key, Kind, Member, Purge, Wins};
use calspamd::reputation::{Embedded, Memory, Store};

use crate::cli::Folder;

/// A store for a test, with whatever has to live as long as it.
pub(crate) struct Made {
    pub(crate) name: &'static str,
    pub(crate) store: Arc<dyn Store>,
    _keep: Option<Box<dyn Send + Sync>>,
}

impl Made {
    pub(crate) fn new(
        name: &'static str,
        store: Arc<dyn Store>,
        keep: Option<Box<dyn Send + Sync>>,
    ) -> Self {
        Self { name, store, _keep: keep }
    }
}

pub(crate) fn memory() -> Made {
    Made::new("memory", Arc::new(Memory::new(64 << 20)), None)
}

pub(crate) fn embedded() -> Made {
    let folder = Folder::new();
    let store = Arc::new(Embedded::open(folder.path(), 64 << 20).unwrap());
    Made::new("embedded", store, Some(Box::new(folder)))
}

pub(crate) fn redis() -> Made {
    let (store, server) = crate::redis::store();
    Made::new("redis", store, Some(Box::new(server)))
}

/// An empty store of each sort that is at hand.
pub(crate) fn all() -> Vec<Made> {
    vec![memory(), embedded(), redis()]
}

const SOON: Duration = Duration::from_secs(5);

pub(crate) fn key(kind: Kind, number: u8) -> Key {
    let mut key = [number; 17];
    key[0] = kind as u8;
    Key(key)
}

pub(crate) fn member(number: u8) -> Member {
    Member([number; 8])
}

fn note(key: Key, who: u8, at: i64) -> Change {
    Change::Note { key, member: member(who), at, window: 100, most: 4, life: 1_000_000 }
}

fn put(key: Key, name: u8, at: i64, order: u128, wins: Wins, value: &[u8]) -> Change {
    let (name, value) = (member(name), value.to_vec());
    Change::Put { key, name, at, order, wins, value, most: 3, life: 1_000_000 }
}

fn one(store: &dyn Store, ask: Ask) -> Found {
    let mut found = store.recall(&[ask], SOON).unwrap();
    assert_eq!(found.len(), 1);
    found.remove(0)
}

fn count(store: &dyn Store, key: Key, since: i64, of: &[u8]) -> (u64, Vec<Option<i64>>) {
    let of = of.iter().map(|who| member(*who)).collect();
    match one(store, Ask::Count { key, since, of }) {
        Found::Count { count, of } => (count, of),
        other @ (Found::List(_) | Found::Fields(_)) => panic!("{other:?}"),
    }
}

fn fields(store: &dyn Store, key: Key, since: i64) -> Vec<(u8, i64, Vec<u8>)> {
    match one(store, Ask::Read { key, since }) {
        Found::Fields(fields) => {
            fields.into_iter().map(|field| (field.name.0[0], field.at, field.value)).collect()
        }
        other @ (Found::List(_) | Found::Count { .. }) => panic!("{other:?}"),
    }
}

/// Runs a test on each store as it is, and again after everything was saved.
fn each(test: impl Fn(&dyn Store)) {
    for made in all() {
        println!("{}", made.name);
        test(&*made.store);
    }
}

#[test]
fn sets_slide_exactly_and_are_bounded() {
    each(|store| {
        let key = key(Kind::ByOrganizer, 1);
        store.record(&[note(key, 1, 1_000), note(key, 2, 1_010), note(key, 3, 1_099)]).unwrap();
        assert_eq!(count(store, key, 1_000, &[1, 9]), (3, vec![Some(1_000), None]));
        store.flush().unwrap();
        assert_eq!(count(store, key, 1_001, &[1]), (2, vec![None]));
        assert_eq!(count(store, key, 1_100, &[]).0, 0);
        // Older than the window of the newest: it leaves. The same again moves.
        store.record(&[note(key, 2, 1_101)]).unwrap();
        assert_eq!(count(store, key, 0, &[1, 2, 3]), (2, vec![None, Some(1_101), Some(1_099)]));
        // An earlier time changes nothing.
        store.record(&[note(key, 2, 1_050)]).unwrap();
        assert_eq!(count(store, key, 0, &[2]).1, [Some(1_101)]);
        // The newest four stay.
        let more: Vec<Change> = (10..16).map(|who| note(key, who, 1_110)).collect();
        store.record(&more).unwrap();
        assert_eq!(count(store, key, 0, &[2, 10, 11, 12, 15]).0, 4);
        assert_eq!(
            count(store, key, 0, &[2, 11, 12, 15]).1,
            [None, None, Some(1_110), Some(1_110)]
        );
        let list = one(store, Ask::List { key, since: 0, most: 2 });
        assert_eq!(list, Found::List(vec![(member(15), 1_110), (member(14), 1_110)]));
        store.record(&[Change::Remove { key, name: member(15) }]).unwrap();
        assert_eq!(count(store, key, 0, &[15]), (3, vec![None]));
    });
}

#[test]
fn fields_are_won_by_their_order() {
    each(|store| {
        let key = key(Kind::Event, 1);
        store
            .record(&[
                put(key, 1, 10, 5, Wins::Above, b"first"),
                put(key, 1, 20, 5, Wins::Above, b"second"),
                put(key, 2, 10, 5, Wins::NotBelow, b"first"),
                put(key, 2, 20, 5, Wins::NotBelow, b"second"),
            ])
            .unwrap();
        let expected = [(1, 20, b"first".to_vec()), (2, 20, b"second".to_vec())];
        assert_eq!(fields(store, key, 0), expected);
        store.flush().unwrap();
        store
            .record(&[
                put(key, 1, 15, u128::MAX, Wins::Above, b"third"),
                put(key, 2, 30, 4, Wins::NotBelow, b"third"),
            ])
            .unwrap();
        let expected = [(1, 20, b"third".to_vec()), (2, 30, b"second".to_vec())];
        assert_eq!(fields(store, key, 0), expected);
        assert_eq!(fields(store, key, 21).len(), 1);
        // The three put last stay.
        store
            .record(&[
                put(key, 3, 40, 0, Wins::Above, b""),
                put(key, 4, 40, 0, Wins::Above, &[0, 255, 10, 13]),
            ])
            .unwrap();
        let names: Vec<u8> = fields(store, key, 0).iter().map(|field| field.0).collect();
        assert_eq!(names, [2, 3, 4]);
        assert_eq!(fields(store, key, 0)[2].2, [0, 255, 10, 13]);
        store.record(&[Change::Remove { key, name: member(3) }]).unwrap();
        assert_eq!(fields(store, key, 0).len(), 2);
    });
}

#[test]
fn a_change_made_twice_counts_once() {
    each(|store| {
        let key = key(Kind::ByClient, 1);
        let changes: Vec<Change> = (0..4).map(|who| note(key, who, 50)).collect();
        store.record(&changes).unwrap();
        store.record(&changes).unwrap();
        store.flush().unwrap();
        store.record(&changes).unwrap();
        assert_eq!(count(store, key, 0, &[]).0, 4);
    });
}

#[test]
fn many_threads_lose_nothing() {
    each(|store| {
        let key = key(Kind::ByDomain, 1);
        std::thread::scope(|scope| {
            for thread in 0..8_u8 {
                scope.spawn(move || {
                    for number in 0..50_u8 {
                        let member = Member([thread, number, 0, 0, 0, 0, 0, 0]);
                        let (window, most, life) = (1_000, 1_000, 1_000_000);
                        let at = i64::from(number);
                        let note = Change::Note { key, member, at, window, most, life };
                        store.record(&[note]).unwrap();
                        if number % 10 == 0 {
                            store.flush().unwrap();
                        }
                    }
                });
            }
        });
        assert_eq!(count(store, key, 0, &[]).0, 400);
    });
}

#[test]
fn what_is_to_be_forgotten_is_gone_everywhere() {
    each(|store| {
        let (whole, set, reports) =
            (key(Kind::Seen, 1), key(Kind::Campaign, 1), key(Kind::Reports, 1));
        store
            .record(&[
                note(whole, 5, 10),
                note(set, 1, 10),
                note(set, 2, 10),
                put(reports, 1, 10, 0, Wins::Above, b"x"),
                put(reports, 2, 10, 0, Wins::Above, b"a needle in it"),
                put(reports, 3, 10, 0, Wins::Above, b"y"),
            ])
            .unwrap();
        let purge = Purge {
            keys: vec![whole],
            members: vec![member(1)],
            needles: vec![b"needle".to_vec()],
        };
        assert_eq!(store.purge(&purge).unwrap(), 4);
        assert_eq!(count(store, whole, 0, &[]).0, 0);
        assert_eq!(count(store, set, 0, &[1, 2]), (1, vec![None, Some(10)]));
        assert_eq!(fields(store, reports, 0), [(3, 10, b"y".to_vec())]);
        assert_eq!(store.purge(&purge).unwrap(), 0);
    });
}

#[test]
fn entries_move_from_one_store_to_another() {
    let time = 4_000_000_000;
    let one = Entry { until: time, content: Content::Times(vec![(3, member(1)), (4, member(2))]) };
    let field = Field { name: member(1), at: 3, order: 7, value: b"v".to_vec() };
    let two = Entry { until: time, content: Content::Fields(vec![field]) };
    let entries = vec![(key(Kind::Seen, 1), one.clone()), (key(Kind::Record, 2), two.clone())];
    each(|store| {
        store.restore(entries.clone()).unwrap();
        let mut shown = Vec::new();
        store.visit(&mut |key, entry| shown.push((key, entry.content))).unwrap();
        shown.sort_by_key(|(key, _)| *key);
        let expected: Vec<_> =
            entries.iter().map(|(key, entry)| (*key, entry.content.clone())).collect();
        assert_eq!(shown, expected);
        assert_eq!(count(store, key(Kind::Seen, 1), 4, &[1]), (1, vec![None]));
        // The order came along.
        let key = key(Kind::Record, 2);
        store.record(&[put(key, 1, 9, 6, Wins::NotBelow, b"late")]).unwrap();
        assert_eq!(fields(store, key, 0), [(1, 9, b"v".to_vec())]);
        let entries = store.stats().unwrap().entries;
        assert!(entries.is_empty() || entries.len() == 2, "{entries:?}");
    });
}

#[test]
fn what_has_expired_goes_and_there_is_always_room() {
    let folder = Folder::new();
    let most = 16 << 20;
    let stores: [Arc<dyn Store>; 2] = [
        Arc::new(Memory::new(most)),
        Arc::new(Embedded::open(folder.path(), most as u64).unwrap()),
    ];
    for store in stores {
        let write = |number: u32, at: i64, life: i64| {
            let mut key = [Kind::Record as u8; 17];
            key[1..5].copy_from_slice(&number.wrapping_mul(2_654_435_761).to_be_bytes());
            let value = vec![7; 400];
            let (name, order, wins) = (member(1), 0, Wins::Above);
            Change::Put { key: Key(key), name, at, order, wins, value, most: 1, life }
        };
        let entries = |store: &dyn Store| {
            store.stats().unwrap().entries.iter().map(|(_, count)| count).sum::<u64>()
        };
        let short: Vec<Change> = (0..500).map(|number| write(number, 1_000, 10)).collect();
        store.record(&short).unwrap();
        store.tend(1_005).unwrap();
        assert_eq!(entries(&*store), 500);
        for _ in 0..20 {
            store.tend(2_000).unwrap();
        }
        assert_eq!(entries(&*store), 0);
        // Five times as much as fits: the newest stay.
        for batch in 0..100_u32 {
            let many = (0..500).map(|n| write(batch * 500 + n, i64::from(batch), 1_000_000));
            store.record(&many.collect::<Vec<_>>()).unwrap();
            store.tend(100).unwrap();
        }
        let stats = store.stats().unwrap();
        assert!(stats.bytes <= stats.max_bytes, "{stats:?}");
        let present = |number| {
            let ask = Ask::Read { key: write(number, 0, 0).key(), since: 0 };
            usize::from(one(&*store, ask) != Found::Fields(Vec::new()))
        };
        let newest: usize = (49_000..50_000).map(present).sum();
        let oldest: usize = (0..10_000).map(present).sum();
        assert!(newest > 900 && oldest < 1_000, "{newest} {oldest} {stats:?}");
    }
}

#[test]
fn a_file_has_one_owner_and_the_next_takes_over() {
    let folder = Folder::new();
    let first = Embedded::open(folder.path(), 1 << 24).unwrap();
    let key = key(Kind::Seen, 1);
    first.record(&[note(key, 1, 10)]).unwrap();
    let second = Embedded::open(folder.path(), 1 << 24).unwrap();
    let ask = [Ask::Count { key, since: 0, of: Vec::new() }];
    assert!(second.recall(&ask, SOON).is_err());
    assert!(second.record(&[note(key, 2, 10)]).is_err());
    first.flush().unwrap();
    drop(first);
    second.tend(20).unwrap();
    second.record(&[note(key, 2, 10)]).unwrap();
    assert_eq!(count(&second, key, 0, &[1, 2]).1, [Some(10), Some(10)]);
}

/// What is saved is first in a journal, and in its place only when there is much of it: nobody may
/// see the difference, whenever the process ends.
#[test]
fn a_file_is_whole_whenever_it_is_closed() {
    let folder = Folder::new();
    let open = || Embedded::open(folder.path(), 1 << 28).unwrap();
    let numbered = |number: u64| {
        let mut key = [Kind::Uid as u8; 17];
        let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        key[1..9].copy_from_slice(&spread);
        key[9..].copy_from_slice(&spread);
        Key(key)
    };
    let first = open();
    first.record(&[note(numbered(0), 1, 10), note(numbered(1), 1, 10)]).unwrap();
    first.flush().unwrap();
    first.record(&[Change::Remove { key: numbered(1), name: member(1) }]).unwrap();
    first.record(&[note(numbered(0), 2, 20)]).unwrap();
    first.flush().unwrap();
    drop(first);
    let second = open();
    assert_eq!(count(&second, numbered(0), 0, &[1, 2]).1, [Some(10), Some(20)]);
    assert_eq!(count(&second, numbered(1), 0, &[1]).0, 0);
    // More than the journal takes, some of it twice, with all that was asked about before.
    for round in 1..=2_u8 {
        for batch in 0..80 {
            let some = batch * 1_000..(batch + 1) * 1_000;
            let asks: Vec<Ask> = some
                .clone()
                .map(|number| Ask::Count { key: numbered(number), since: 0, of: Vec::new() })
                .collect();
            second.recall(&asks, SOON).unwrap();
            let notes: Vec<Change> =
                some.map(|number| note(numbered(number), round + 10, 50)).collect();
            second.record(&notes).unwrap();
            second.flush().unwrap();
        }
    }
    drop(second);
    for _ in 0..2 {
        let store = open();
        for number in (0..80_000).step_by(997) {
            let expected = [Some(50), Some(50)];
            assert_eq!(count(&store, numbered(number), 0, &[11, 12]).1, expected, "{number}");
        }
        assert_eq!(count(&store, numbered(0), 0, &[1, 2]).0, 4);
        assert_eq!(store.stats().unwrap().entries, [(Kind::Uid, 80_000)]);
    }
}

#[test]
fn a_broken_file_is_not_the_end() {
    let folder = Folder::new();
    std::fs::write(folder.path().join("memory.redb"), vec![0x5a; 20_000]).unwrap();
    let store = Embedded::open(folder.path(), 1 << 24).unwrap();
    let key = key(Kind::Seen, 1);
    assert!(store.recall(&[Ask::Read { key, since: 0 }], SOON).is_err());
    assert!(store.record(&[note(key, 1, 10)]).is_err());
    assert!(store.tend(10).is_err());
    std::fs::remove_file(folder.path().join("memory.redb")).unwrap();
    store.tend(10).unwrap();
    store.record(&[note(key, 1, 10)]).unwrap();
    assert_eq!(count(&store, key, 0, &[]).0, 1);
}
