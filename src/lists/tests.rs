//! Listings against a DNS that does what a test says, by a clock that a test turns.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::live::lock;
use super::resolve::Reply;
use super::*;
use crate::facts::{Origin, Place};

/// A DNS of the test's own, and how often it was asked for each name.
struct World {
    lists: Lists,
    list: Arc<List>,
    seconds: Arc<AtomicU64>,
    asked: Arc<Mutex<HashMap<String, usize>>>,
}

fn listed(address: &str, ttl: u32) -> Reply {
    Reply::Addresses { addresses: vec![address.parse().unwrap()], ttl }
}

impl World {
    /// Answers come after so many milliseconds. Test points are right unless the test answers
    /// for them too.
    fn new(delay: u64, answer: impl Fn(&str) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let asked: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
        let seconds = Arc::new(AtomicU64::new(1_000));
        let (log, answer) = (Arc::clone(&asked), Arc::new(answer));
        let ask: Ask = Arc::new(move |name, _| {
            *lock(&log).entry(name.to_string()).or_default() += 1;
            let reply = answer(&name).unwrap_or_else(|| match &*name {
                "2.0.0.127.l.example" => listed("127.0.0.2", 300),
                _ => Reply::Nothing { ttl: Some(100) },
            });
            Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(delay)).await;
                reply
            })
        });
        let hands = Arc::clone(&seconds);
        let clock: Clock = Arc::new(move || Duration::from_secs(hands.load(Ordering::Relaxed)));
        let mut list = List::new("L", "l.example", "l.example", Kind::Ip);
        list.timeout = Duration::from_millis(200);
        Self { lists: Lists::fake(ask, clock), list: Arc::new(list), seconds, asked }
    }

    fn ask(&self, name: &str, budget: u64) -> Listing {
        ask(&self.lists, &self.list, name, budget)
    }

    fn asked(&self, name: &str) -> usize {
        lock(&self.asked).get(&format!("{name}.l.example")).copied().unwrap_or(0)
    }

    fn wait(&self, seconds: u64) {
        self.seconds.fetch_add(seconds, Ordering::Relaxed);
    }
}

fn ask(lists: &Lists, list: &Arc<List>, name: &str, budget: u64) -> Listing {
    let source = Source {
        subject: Subject::Client,
        place: Place::Name("client"),
        origin: Origin::Network,
        event: None,
    };
    let question =
        Question { list: 0, name: name.into(), about: name.into(), sources: vec![source] };
    let plan = Plan {
        lists: std::slice::from_ref(list),
        subjects: &[],
        networks: &crate::facts::mail::Networks::default(),
        skipped: &std::collections::BTreeSet::new(),
    };
    let questions = Questions { all: vec![question], cut: false };
    let mut listings = lists.look_up(&plan, questions, Duration::from_millis(budget));
    listings.all.remove(0).listing
}

const BAD: Listing = Listing::NotListed;

fn is_listed(listing: &Listing) -> bool {
    matches!(listing, Listing::Listed(_))
}

#[test]
fn one_question_however_many_ask() {
    let world = World::new(50, |name| name.starts_with("bad").then(|| listed("127.0.0.2", 300)));
    let found = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                if is_listed(&world.ask("bad", 2_000)) {
                    found.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(found.into_inner(), 100);
    assert_eq!(world.asked("bad"), 1);
    assert_eq!(world.asked("1.0.0.127"), 1);
}

#[test]
fn who_leaves_does_not_end_the_question() {
    let world = World::new(80, |name| name.starts_with("bad").then(|| listed("127.0.0.2", 300)));
    assert_eq!(world.ask("bad", 5), Listing::Unanswered(Silence::Late));
    assert!(is_listed(&world.ask("bad", 2_000)));
    assert_eq!(world.asked("bad"), 1);
}

#[test]
fn answers_are_asked_for_again_when_they_have_expired() {
    #[track_caller]
    fn check(reply: &Reply, seconds: u64) {
        let reply = reply.clone();
        let world = World::new(0, move |name| name.starts_with('x').then(|| reply.clone()));
        for (wait, times) in [(0, 1), (seconds - 1, 1), (1, 2)] {
            world.wait(wait);
            world.ask("x", 2_000);
            assert_eq!(world.asked("x"), times, "after {wait} s");
        }
    }
    check(&listed("127.0.0.2", 600), 600);
    check(&listed("127.0.0.2", 0), 60);
    check(&listed("127.0.0.2", 28 * 86_400), 3_600);
    check(&Reply::Nothing { ttl: Some(300) }, 300);
    check(&Reply::Nothing { ttl: None }, 60);
    check(&Reply::Failed, 30);
}

#[test]
fn a_list_that_lists_everything_lists_nothing() {
    let world = World::new(0, |_| Some(listed("127.0.0.2", 300)));
    let off = Listing::Unanswered(Silence::Off("it lists everything"));
    assert_eq!(world.ask("a", 2_000), off);
    // From now on nobody asks it, until the pause is over.
    assert_eq!(world.ask("b", 2_000), off);
    assert_eq!(world.asked("b"), 0);
}

#[test]
fn a_list_that_begins_to_lie_is_found_out() {
    let parked = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let lies = Arc::clone(&parked);
    let world = World::new(0, move |name| {
        let all = lies.load(Ordering::Relaxed);
        (all || name.starts_with("bad")).then(|| listed("127.0.0.2", 300))
    });
    assert!(is_listed(&world.ask("bad", 2_000)));
    assert_eq!(world.ask("good", 2_000), BAD);
    parked.store(true, Ordering::Relaxed);
    world.wait(61);
    assert_eq!(world.ask("other", 2_000), Listing::Unanswered(Silence::Off("it lists everything")));
    // Nor does what it said before count any more.
    assert!(!is_listed(&world.ask("bad", 2_000)));
    parked.store(false, Ordering::Relaxed);
    world.wait(60);
    world.ask("bad", 2_000);
    for _ in 0..200 {
        if is_listed(&world.ask("bad", 2_000)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it does not come back");
}

#[test]
fn a_dead_list_costs_time_only_until_it_is_switched_off() {
    let world = World::new(10_000, |_| None);
    let started = Instant::now();
    for name in ["a", "b", "c", "d", "e"] {
        assert_eq!(world.ask(name, 2_000), Listing::Unanswered(Silence::TimedOut));
    }
    assert!(started.elapsed() < Duration::from_secs(3));
    let started = Instant::now();
    let off = Listing::Unanswered(Silence::Off("it does not answer"));
    for number in 0..1_000 {
        assert_eq!(world.ask(&number.to_string(), 2_000), off);
    }
    assert!(started.elapsed() < Duration::from_secs(1));
    let report = world.lists.report();
    assert_eq!(report[0].off.map(|(why, _)| why), Some("it does not answer"));
    assert!(report[0].counts.contains(&(AskResult::TimedOut, 5)));
    assert!(report[0].counts.contains(&(AskResult::Off, 1_000)));
}

#[test]
fn refusals_and_strangers_are_no_listings() {
    let world = World::new(0, |name| match name.split('.').next() {
        Some("refused") => Some(listed("127.255.255.254", 300)),
        Some("one") => Some(listed("127.0.0.1", 300)),
        Some("stranger") => Some(listed("192.0.2.1", 300)),
        Some("odd") => Some(listed("127.0.3.3", 300)),
        _ => None,
    });
    let code = |text: &str| text.parse().unwrap();
    let refused = |text| Listing::Unanswered(Silence::Refused(code(text)));
    assert_eq!(world.ask("refused", 2_000), refused("127.255.255.254"));
    assert_eq!(world.ask("one", 2_000), refused("127.0.0.1"));
    let hijacked = Listing::Unanswered(Silence::Hijacked(code("192.0.2.1")));
    assert_eq!(world.ask("stranger", 2_000), hijacked);
    // One name that makes a list say "refused" does not switch it off for all others: its test
    // points are right.
    assert!(is_listed(&world.ask("odd", 2_000)));
}

#[test]
fn lists_that_are_off_ask_nobody() {
    let lists = Lists::default();
    assert!(!lists.is_on());
    let list = Arc::new(List::new("L", "l.example", "l.example", Kind::Ip));
    lists.announce(&[Arc::clone(&list)]);
    assert!(lists.report().is_empty());
    assert!(lists.resolver().is_none());
    assert_eq!(lists.budget(), Duration::ZERO);
}

#[test]
fn other_settings_keep_answers_and_other_resolvers_do_not() {
    let world = World::new(0, |_| None);
    assert_eq!(world.ask("a", 5_000), Listing::NotListed);
    let enabled = Settings { enabled: true, ..Settings::default() };
    let fewer = Settings { most: 1, budget: Duration::from_secs(9), ..enabled.clone() };
    let other = world.lists.under(&fewer).unwrap();
    assert!(other.shares(&world.lists));
    assert_eq!((other.most(), other.budget()), (1, Duration::from_secs(9)));
    assert_eq!((world.lists.most(), world.lists.budget()), (60, Duration::from_secs(2)));
    assert_eq!(ask(&other, &world.list, "a", 5_000), Listing::NotListed);
    assert_eq!(world.asked("a"), 1);

    // What was counted is never taken back.
    let counted = other.cache();
    assert_eq!((counted.hits, counted.misses), (1, 1));
    let off = other.under(&Settings::default()).unwrap();
    assert!(!off.is_on() && !off.shares(&other));
    assert_eq!(off.cache(), counted);
    let elsewhere = Settings { servers: vec!["127.0.0.1:1".parse().unwrap()], ..enabled };
    let moved = off.under(&elsewhere).unwrap();
    assert!(moved.is_on() && !moved.shares(&other));
    assert_eq!(moved.cache(), counted);
    moved.announce(std::slice::from_ref(&world.list));
    let asked: u64 = moved.report()[0].counts.iter().map(|(_, n)| n).sum();
    assert_eq!(asked, world.lists.report()[0].counts.iter().map(|(_, n)| n).sum::<u64>());
    assert!(asked > 0);
}
