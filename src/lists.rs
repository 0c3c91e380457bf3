//! Asks DNS lists about what [`Facts`] name, and says what they answered.
//!
//! Comes in: [`Questions`], collected from facts and what rules want to know. Goes out:
//! [`Listings`] within a time budget.
//! Not an error: a list that is dead, refuses, lies or is too slow; a machine without any
//! network. What nobody has answered is unknown, and no rule scores it.
//!
//! Each answer is kept once, as long as it is good for, and asked for once however many scans
//! want it at a time: a question is a task of its own, which goes on when the scan that began
//! it has left. Lists that do not answer, refuse or answer wrongly are switched off for a
//! while, and a listing counts only when the list's test points were right a moment ago.
//!
//! The only door to hickory-resolver and moka.
//!
//! [`Facts`]: crate::facts::Facts

use std::collections::HashMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use tokio::runtime::{self, Handle, Runtime};

mod cache;
mod collect;
mod health;
mod list;
mod live;
mod names;
mod question;
mod resolve;

pub use health::{AskResult, Check, Report};
pub use list::{Codes, Digest, Kind, List, NameForm};
pub use question::{Plan, Question, Questions, Source, Subject, Subjects, questions};

use list::Judgement;
use live::{Clock, Live, Tally};
#[cfg(test)]
use resolve::Ask;

/// Settings of this stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whether anybody is asked at all.
    pub enabled: bool,
    /// Resolvers; none: the system's.
    pub servers: Vec<SocketAddr>,
    /// Time that a scan waits for answers.
    pub budget: Duration,
    /// Questions of one message.
    pub most: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: false, servers: Vec::new(), budget: Duration::from_secs(2), most: 60 }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// The time budget of the scan ran out.
    Late,
    /// No answer in the list's own time.
    TimedOut,
    /// An error of DNS.
    Failed,
    /// The list refuses to answer, with this code.
    Refused(Ipv4Addr),
    /// An address that no list answers with.
    Hijacked(Ipv4Addr),
    /// The list is switched off for now.
    Off(&'static str),
    /// Too much is asked at a time.
    Busy,
}

/// What a list says of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listing {
    /// It is in the list, for these reasons.
    Listed(Vec<Ipv4Addr>),
    /// It is not.
    NotListed,
    /// Nobody knows.
    Unanswered(Silence),
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listed(addresses) => f.write_str(&health::shown(addresses)),
            Self::NotListed => f.write_str("not listed"),
            Self::Unanswered(Silence::Late) => f.write_str("no answer within the time budget"),
            Self::Unanswered(Silence::TimedOut) => f.write_str("no answer"),
            Self::Unanswered(Silence::Failed) => f.write_str("the answer is an error"),
            Self::Unanswered(Silence::Refused(code)) => write!(f, "refused: {code}"),
            Self::Unanswered(Silence::Hijacked(code)) => write!(f, "not from the list: {code}"),
            Self::Unanswered(Silence::Off(why)) => write!(f, "switched off: {why}"),
            Self::Unanswered(Silence::Busy) => f.write_str("too many questions at a time"),
        }
    }
}

/// A question and what became of it.
#[derive(Debug)]
pub struct Asked<'f> {
    /// The question.
    pub question: Question<'f>,
    /// The answer.
    pub listing: Listing,
}

/// What lists say about a message.
#[derive(Debug, Default)]
pub struct Listings<'f> {
    /// False where nobody asks DNS: then no rule about lists holds.
    pub on: bool,
    /// The questions with their answers.
    pub all: Vec<Asked<'f>>,
    /// True when more would have been asked than may be.
    pub cut: bool,
}

impl Listings<'_> {
    /// True when the time budget ran out.
    pub fn is_late(&self) -> bool {
        self.all.iter().any(|asked| asked.listing == Listing::Unanswered(Silence::Late))
    }

    /// True when a list that is not known to be out of order has not answered, or was not
    /// asked everything.
    pub fn is_partial(&self) -> bool {
        let silent = |asked: &Asked<'_>| match asked.listing {
            Listing::Unanswered(why) => !matches!(why, Silence::Off(_)),
            Listing::Listed(_) | Listing::NotListed => false,
        };
        self.cut || self.all.iter().any(silent)
    }
}

/// What became of looks into the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheReport {
    /// Answers found.
    pub hits: u64,
    /// Questions that somebody else was asking already.
    pub joined: u64,
    /// Questions that went to DNS.
    pub misses: u64,
}

/// No resolver can be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot ask DNS: {0}")]
pub struct Error(String);

/// Asks DNS lists. Cheap to clone; all clones are one. The default asks nobody.
#[derive(Clone, Default)]
pub struct Lists {
    backend: Backend,
    tally: Arc<Tally>,
}

#[derive(Clone, Default)]
enum Backend {
    #[default]
    Off,
    /// Answers that somebody has written down.
    Stated(Arc<HashMap<String, Vec<Ipv4Addr>>>),
    /// What all share who ask the same resolvers, and what this one may.
    Live(Arc<Live>, Arc<Settings>),
}

impl fmt::Debug for Lists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.backend {
            Backend::Off => f.write_str("Lists(off)"),
            Backend::Stated(_) => f.write_str("Lists(stated)"),
            Backend::Live(_, settings) => f.debug_tuple("Lists").field(settings).finish(),
        }
    }
}

impl Lists {
    /// Asks DNS as the settings say; without a resolver nobody is asked.
    pub fn start(settings: &Settings) -> Result<Self, Error> {
        Self::default().under(settings)
    }

    /// The same with other settings. What was answered is kept while the same resolvers are asked:
    /// lists say one thing to one resolver and another to the next.
    pub fn under(&self, settings: &Settings) -> Result<Self, Error> {
        let backend = match &self.backend {
            _ if !settings.enabled => Backend::Off,
            Backend::Live(live, before) if before.servers == settings.servers => {
                Backend::Live(Arc::clone(live), Arc::new(settings.clone()))
            }
            Backend::Off | Backend::Stated(_) | Backend::Live(..) => self.live(settings)?,
        };
        Ok(Self { backend, tally: Arc::clone(&self.tally) })
    }

    /// True when the same resolvers are asked, and the same answers are known.
    pub fn shares(&self, other: &Self) -> bool {
        match (&self.backend, &other.backend) {
            (Backend::Live(one, _), Backend::Live(two, _)) => Arc::ptr_eq(one, two),
            (Backend::Off | Backend::Stated(_) | Backend::Live(..), _) => false,
        }
    }

    fn live(&self, settings: &Settings) -> Result<Backend, Error> {
        let runtime = runtime()?;
        // The resolver finds its runtime where it is made.
        let resolver = {
            let _inside = runtime.enter();
            resolve::resolver(&settings.servers).map_err(Error)?
        };
        let ask = resolve::through(resolver.clone());
        let started = Instant::now();
        let clock: Clock = Arc::new(move || started.elapsed());
        let live = Live::new(runtime, Some(resolver), ask, clock, Arc::clone(&self.tally));
        Ok(Backend::Live(Arc::new(live), Arc::new(settings.clone())))
    }

    /// Answers from a table: the whole name asked for, and the addresses it has. What is not
    /// in the table is not listed.
    pub fn stated(answers: HashMap<String, Vec<Ipv4Addr>>) -> Self {
        Self { backend: Backend::Stated(Arc::new(answers)), ..Self::default() }
    }

    /// Asks somebody else than DNS, by another clock.
    #[cfg(test)]
    fn fake(ask: Ask, clock: Clock) -> Self {
        let tally = Arc::<Tally>::default();
        let live = Live::new(runtime().unwrap(), None, ask, clock, Arc::clone(&tally));
        Self { backend: Backend::Live(Arc::new(live), Arc::default()), tally }
    }

    /// True when somebody answers.
    pub fn is_on(&self) -> bool {
        !matches!(self.backend, Backend::Off)
    }

    /// True when an answer may take time.
    pub fn may_wait(&self) -> bool {
        matches!(self.backend, Backend::Live(..))
    }

    /// Questions that one message may cost.
    pub fn most(&self) -> usize {
        match &self.backend {
            Backend::Off => 0,
            Backend::Stated(_) => Settings::default().most,
            Backend::Live(_, settings) => settings.most,
        }
    }

    /// Time that the questions of one message may take.
    pub fn budget(&self) -> Duration {
        match &self.backend {
            Backend::Off => Duration::ZERO,
            Backend::Stated(_) => Settings::default().budget,
            Backend::Live(_, settings) => settings.budget,
        }
    }

    /// The resolver that all of the service shares and the runtime it works on, where there is
    /// one.
    pub fn resolver(&self) -> Option<(TokioResolver, Handle)> {
        let Backend::Live(live, _) = &self.backend else { return None };
        live.resolver()
    }

    /// Watches these lists from now on, and no others: looks at their test points now and
    /// then.
    pub fn announce(&self, lists: &[Arc<List>]) {
        if let Backend::Live(live, _) = &self.backend {
            live.announce(lists);
            live.watch();
        }
    }

    /// How the lists are that were asked or announced, by name.
    pub fn report(&self) -> Vec<Report> {
        let Backend::Live(live, _) = &self.backend else { return Vec::new() };
        let mut reports = live.reports();
        reports.sort_by(|a, b| a.list.name.cmp(&b.list.name));
        reports
    }

    /// What became of looks into the cache.
    pub fn cache(&self) -> CacheReport {
        self.tally.cache()
    }

    /// Looks at the test points of these lists now, and waits for what they say.
    pub fn test(&self, lists: &[Arc<List>]) -> Vec<Report> {
        if let Backend::Live(live, _) = &self.backend {
            live.announce(lists);
            live.test(lists);
        }
        self.report()
    }

    /// Asks, and waits for the answers at most as long as the settings and the caller allow.
    pub fn look_up<'f>(
        &self,
        plan: &Plan<'_>,
        questions: Questions<'f>,
        budget: Duration,
    ) -> Listings<'f> {
        let Questions { all, cut } = questions;
        let listings: Vec<Listing> = match &self.backend {
            Backend::Off => return Listings::default(),
            Backend::Stated(answers) => {
                let answer = |question: &Question<'_>| stated(plan, question, answers);
                all.iter().map(answer).collect()
            }
            Backend::Live(live, settings) => live.look_up(plan, &all, budget.min(settings.budget)),
        };
        let pairs = all.into_iter().zip(listings);
        let all = pairs.map(|(question, listing)| Asked { question, listing }).collect();
        Listings { on: true, all, cut }
    }
}

fn stated(
    plan: &Plan<'_>,
    question: &Question<'_>,
    answers: &HashMap<String, Vec<Ipv4Addr>>,
) -> Listing {
    let Some(list) = plan.lists.get(question.list) else { return Listing::NotListed };
    let name = if list.shown.is_empty() {
        question.name.to_string()
    } else {
        format!("{}.{}", question.name, list.shown)
    };
    match answers.get(&name) {
        None => Listing::NotListed,
        Some(addresses) => judged(list, addresses),
    }
}

fn judged(list: &List, addresses: &[Ipv4Addr]) -> Listing {
    match list.judge(addresses) {
        Judgement::Listed(addresses) => Listing::Listed(addresses),
        Judgement::Unexpected => Listing::NotListed,
        Judgement::Refused(code) => Listing::Unanswered(Silence::Refused(code)),
        Judgement::Hijacked(code) => Listing::Unanswered(Silence::Hijacked(code)),
    }
}

fn runtime() -> Result<Runtime, Error> {
    runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("calspamd-dns")
        .enable_all()
        .build()
        .map_err(|error| Error(error.to_string()))
}

#[cfg(test)]
mod tests;
