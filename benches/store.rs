//! How the embedded store behaves when it has seen millions of messages: latency and size, a
//! line each 100,000. `make curve` runs it; `make curve MESSAGES=200000` for a shorter one.
//!
//! Each message is remembered as scans do it: some thirty changes on random keys, among them the
//! keys of its text, and asked about with more questions before.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "a benchmark prints, and may stop where it stands"
)]

use std::time::{Duration, Instant};

use calspamd::reputation::store::{Ask, Change, Key, Kind, Member, Wins};
use calspamd::reputation::{Embedded, Store};

/// Messages a second, by the clock of the test: what is short-lived expires as it would.
const A_SECOND: u64 = 20;
/// Messages a line.
const LINE: u64 = 100_000;
/// Messages recorded at a time.
const BATCH: u64 = 100;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ (self.0 >> 29)
    }

    fn key(&mut self, kind: Kind, among: u64) -> Key {
        let number = (self.next() % among).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut key = [kind as u8; 17];
        key[1..9].copy_from_slice(&number.to_be_bytes());
        key[9..17].copy_from_slice(&number.rotate_left(23).to_be_bytes());
        Key(key)
    }

    fn member(&mut self, among: u64) -> Member {
        Member((self.next() % among).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes())
    }
}

const DAY: i64 = 86_400;

/// The questions and changes of one message.
fn message(random: &mut Random, at: i64) -> (Vec<Ask>, Vec<Change>) {
    let fresh = u64::MAX;
    let mut asks = Vec::new();
    let mut changes = Vec::new();
    let mut note = |random: &mut Random, key: Key, of: u64, window: i64, most: usize| {
        let member = random.member(of);
        asks.push(Ask::Count { key, since: at - window, of: vec![member] });
        changes.push(Change::Note { key, member, at, window, most, life: window });
    };
    for (kind, among) in
        [(Kind::ByOrganizer, 50_000), (Kind::ByDomain, 10_000), (Kind::ByClient, 5_000)]
    {
        let key = random.key(kind, among);
        note(random, key, fresh, 3_600, 5_001);
    }
    // A text that nobody has seen.
    for _ in 0..12 {
        let key = random.key(Kind::Campaign, fresh);
        note(random, key, fresh, 14 * DAY, 48);
    }
    let key = random.key(Kind::Uid, fresh);
    note(random, key, 10_000, 400 * DAY, 32);
    let key = random.key(Kind::Seen, 200_000);
    note(random, key, 50_000, 730 * DAY, 5_000);
    let record = random.key(Kind::Record, fresh);
    let event = random.key(Kind::Event, fresh);
    for (key, octets, life) in [(record, 900, 90 * DAY), (event, 500, 400 * DAY)] {
        asks.push(Ask::Read { key, since: at - life });
        changes.push(Change::Put {
            key,
            name: Member([1; 8]),
            at,
            order: 0,
            wins: Wins::Above,
            value: vec![random.next() as u8; octets],
            most: 8,
            life,
        });
    }
    // Who had the text.
    let text = random.key(Kind::Campaign, fresh);
    for _ in 0..3 {
        let (member, window) = (random.member(fresh), 14 * DAY);
        changes.push(Change::Note { key: text, member, at, window, most: 32, life: window });
    }
    for _ in 0..3 {
        let key = random.key(Kind::Index, fresh);
        let member = random.member(fresh);
        let (window, life) = (90 * DAY, 90 * DAY);
        changes.push(Change::Note { key, member, at, window, most: 1_000, life });
    }
    for _ in 0..16 {
        asks.push(Ask::Read { key: random.key(Kind::Reports, fresh), since: at - 180 * DAY });
    }
    (asks, changes)
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let messages: u64 = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(5_000_000);
    let max_size: u64 = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(1 << 30);
    let folder = std::env::temp_dir().join(format!("calspamd-curve-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let store = Embedded::open(&folder, max_size).unwrap();
    let mut random = Random(7);
    println!("messages   recall/µs  p99   record/µs  save/ms (worst)  file/MiB");
    let (mut recalls, mut records) = (Vec::new(), Duration::ZERO);
    let (mut worst, mut saves, mut saving) = (Duration::ZERO, 0_u32, Duration::ZERO);
    let begun = 1_800_000_000_i64;
    let mut waiting = Vec::new();
    for number in 1..=messages {
        let now = begun + i64::try_from(number / A_SECOND).unwrap();
        let (asks, changes) = message(&mut random, now);
        if number % 16 == 0 {
            let before = Instant::now();
            store.recall(&asks, Duration::from_secs(5)).unwrap();
            recalls.push(before.elapsed());
        }
        waiting.extend(changes);
        if number % BATCH == 0 {
            let before = Instant::now();
            store.record(&waiting).unwrap();
            records += before.elapsed();
            waiting.clear();
        }
        // As often as under a load of 1,000 messages a second.
        if number % 1_000 == 0 {
            let before = Instant::now();
            store.tend(now).unwrap();
            let took = before.elapsed();
            (worst, saves, saving) = (worst.max(took), saves + 1, saving + took);
        }
        if number % LINE == 0 || number == messages {
            recalls.sort();
            let sum: Duration = recalls.iter().sum();
            let mean = sum.as_secs_f64() * 1e6 / recalls.len().max(1) as f64;
            let p99 = recalls[(recalls.len() * 99 / 100).min(recalls.len() - 1)];
            let stats = std::fs::metadata(folder.join("memory.redb")).unwrap().len();
            println!(
                "{number:>9}  {mean:>9.0}  {:>5}  {:>9.0}  {:>7.0} ({:.0})  {:>8}",
                p99.as_micros(),
                records.as_secs_f64() * 1e6 / LINE as f64,
                saving.as_secs_f64() * 1e3 / f64::from(saves.max(1)),
                worst.as_secs_f64() * 1e3,
                stats >> 20,
            );
            assert!(stats <= max_size, "the file is larger than it may be");
            recalls.clear();
            (records, worst, saves, saving) = (Duration::ZERO, Duration::ZERO, 0, Duration::ZERO);
        }
    }
    drop(store);
    let before = Instant::now();
    let store = Embedded::open(&folder, max_size).unwrap();
    assert!(store.trouble().is_none());
    println!("opened again in {:.1} ms", before.elapsed().as_secs_f64() * 1e3);
    drop(store);
    std::fs::remove_dir_all(&folder).unwrap();
}
