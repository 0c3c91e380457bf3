//! Turns hits into a score, an action for the mail system and a decision for the calendar.
//!
//! Comes in: [`Hit`]s, group caps, thresholds, the recipient's policy and what the caller
//! thinks of the mail. Goes out: a [`Verdict`].
//!
//! The decision rules are those of CC/R 18003 §6.2 and §7: nothing suspicious, unread or
//! already called spam is ever inserted by itself; a forged iTIP message is not applied
//! whatever its score; a silent discard needs two independent groups of evidence.
//!
//! Pure.

mod settings;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::calendar::Event;
use crate::rules::{EvidenceScope, GroupCap, Hit};

pub use settings::Profile;

/// Sum below which good signs never count where only the calendar's evidence is asked: a
/// nice-looking event does not rescue a spam mail.
const GOOD_FLOOR_IN_CALENDAR_SCOPE: f64 = -1.0;

/// What the mail system should do; names are Rspamd's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Deliver.
    NoAction,
    /// Delay; for us: suspicious.
    Greylist,
    /// Mark as spam.
    AddHeader,
    /// Keep away from the recipient.
    Quarantine,
    /// Refuse in the SMTP dialogue.
    Reject,
    /// Accept and drop silently.
    Discard,
}

impl Action {
    /// Every action, from mild to harsh.
    pub const ALL: [Self; 6] = [
        Self::NoAction,
        Self::Greylist,
        Self::AddHeader,
        Self::Quarantine,
        Self::Reject,
        Self::Discard,
    ];

    /// Rspamd's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoAction => "no action",
            Self::Greylist => "greylist",
            Self::AddHeader => "add header",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
            Self::Discard => "discard",
        }
    }

    /// Finds an action by Rspamd's name, also the spam-like ones we never give ourselves.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.trim().to_ascii_lowercase().replace('_', " ");
        match name.as_str() {
            "rewrite subject" | "spam" => Some(Self::AddHeader),
            "soft reject" => Some(Self::Greylist),
            "accept" | "ham" => Some(Self::NoAction),
            other => Self::ALL.into_iter().find(|action| action.name() == other),
        }
    }
}

/// Whether clean events may enter the calendar without the recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// All clean ones.
    All,
    /// Those of known organizers.
    #[default]
    Known,
    /// None.
    Never,
}

impl Policy {
    /// `all`, `known`, `never`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Known => "known",
            Self::Never => "never",
        }
    }

    /// Reads a policy's name.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.trim();
        [Self::All, Self::Known, Self::Never]
            .into_iter()
            .find(|p| name.eq_ignore_ascii_case(p.name()))
    }
}

/// Thresholds of the actions, on Rspamd's scale; `None` switches an action off.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    /// From here on an event is suspicious.
    pub greylist: Option<f64>,
    /// From here on it is spam.
    pub add_header: Option<f64>,
    /// Quarantine.
    pub quarantine: Option<f64>,
    /// Reject.
    pub reject: Option<f64>,
    /// Silent discard, only with two groups of evidence.
    pub discard: Option<f64>,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            greylist: Some(4.0),
            add_header: Some(6.0),
            quarantine: None,
            reject: Some(15.0),
            discard: None,
        }
    }
}

impl Thresholds {
    /// Action and limit, mildest first, those that are on.
    pub fn list(&self) -> Vec<(Action, f64)> {
        [
            (Action::Greylist, self.greylist),
            (Action::AddHeader, self.add_header),
            (Action::Quarantine, self.quarantine),
            (Action::Reject, self.reject),
            (Action::Discard, self.discard),
        ]
        .into_iter()
        .filter_map(|(action, limit)| limit.map(|limit| (action, limit)))
        .collect()
    }
}

/// Settings of this stage.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Settings {
    /// Thresholds.
    pub thresholds: Thresholds,
    /// Policy where the request names none.
    pub auto_insert: Policy,
    /// What is different for requests that name one of these.
    pub profiles: BTreeMap<String, Arc<Profile>>,
}

impl Settings {
    /// The thresholds that hold under a profile.
    pub fn thresholds_under(&self, profile: Option<&Profile>) -> Cow<'_, Thresholds> {
        match profile {
            Some(profile) => Cow::Owned(profile.thresholds(&self.thresholds)),
            None => Cow::Borrowed(&self.thresholds),
        }
    }
}

/// What the caller thinks of the mail already.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Upstream {
    /// Request header `Upstream-Action`.
    pub action: Option<Action>,
    /// Request header `Upstream-Score`, on Rspamd's scale.
    pub score: Option<f64>,
}

/// Everything the decision depends on besides the hits.
#[derive(Debug, Clone)]
pub struct Circumstances<'a> {
    /// Caps of groups.
    pub caps: &'a [GroupCap],
    /// Message or calendar evidence.
    pub scope: EvidenceScope,
    /// The recipient's policy, if the request names one.
    pub policy: Option<Policy>,
    /// The caller's view.
    pub upstream: Upstream,
    /// True when part of the input was not read.
    pub unread: bool,
    /// The events with their METHODs.
    pub events: &'a [Event],
    /// METHOD of the first calendar, upper case.
    pub method: Option<&'a str>,
    /// What is different for this request.
    pub profile: Option<&'a Profile>,
}

/// A symbol of the answer, score after caps.
#[derive(Debug, Clone)]
pub struct Symbol {
    /// The hit.
    pub hit: Hit,
    /// Score after caps; the answer's symbol scores add up to its score.
    pub score: f64,
}

/// `apply` of the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Apply {
    /// A new event.
    Create,
    /// A change of a known one.
    Update,
    /// A cancellation.
    Cancel,
    /// Not to be applied.
    Ignore,
}

/// `target` of the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The user's calendar.
    Default,
    /// A calendar of events from strangers.
    Untrusted,
    /// A junk calendar.
    Junk,
    /// No calendar.
    None,
}

/// `busy` of the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    /// As busy time.
    Busy,
    /// As tentative.
    Tentative,
    /// As free time.
    Free,
}

/// `manual_insert` of the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManualInsert {
    /// The user may insert it.
    Allowed,
    /// With a warning.
    Warn,
    /// Not at all: active content.
    Denied,
}

macro_rules! names {
    ($type:ident { $($variant:ident = $name:literal),+ $(,)? }) => {
        impl $type {
            /// Name in the answer.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

names!(Apply { Create = "create", Update = "update", Cancel = "cancel", Ignore = "ignore" });
names!(Target { Default = "default", Untrusted = "untrusted", Junk = "junk", None = "none" });
names!(Busy { Busy = "busy", Tentative = "tentative", Free = "free" });
names!(ManualInsert { Allowed = "allowed", Warn = "warn", Denied = "denied" });

/// What a calendar server should do with the events.
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the answer")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Insert without asking.
    pub auto_insert: bool,
    /// How the iTIP message is to be applied.
    pub apply: Apply,
    /// Into which calendar.
    pub target: Target,
    /// As which time.
    pub busy: Busy,
    /// Keep alarms; `false`: strip them.
    pub keep_alarms: bool,
    /// Keep attachments; `false`: strip them.
    pub keep_attachments: bool,
    /// Whether an automatic reply may go to the organizer.
    pub notify_organizer: bool,
    /// What the user may do by hand.
    pub manual_insert: ManualInsert,
    /// Symbols and circumstances behind it, strongest first.
    pub reasons: Vec<String>,
}

/// Score, action and decision.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Sum of the symbols' scores.
    pub score: f64,
    /// What the mail system should do.
    pub action: Action,
    /// What the calendar should do.
    pub decision: Decision,
    /// The hits with their scores after caps.
    pub symbols: Vec<Symbol>,
}

/// How bad the events look, by score alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Band {
    Clean,
    Suspicious,
    Spam,
    Malicious,
}

/// Decides.
pub fn decide(
    mut hits: Vec<Hit>,
    settings: &Settings,
    circumstances: &Circumstances<'_>,
) -> Verdict {
    if let Some(profile) = circumstances.profile {
        profile.apply(&mut hits);
    }
    let thresholds = &*settings.thresholds_under(circumstances.profile);
    let symbols = capped(hits, circumstances);
    let score = symbols.iter().map(|symbol| symbol.score).sum::<f64>() + 0.0;
    let action = action(score, &symbols, thresholds);
    let policy = circumstances.policy.unwrap_or(settings.auto_insert);
    let decision = decision(score, action, &symbols, thresholds, policy, circumstances);
    Verdict { score, action, decision, symbols }
}

/// Applies the caps by scaling, so that the scores shown add up to the sum.
fn capped(hits: Vec<Hit>, circumstances: &Circumstances<'_>) -> Vec<Symbol> {
    let mut symbols: Vec<Symbol> =
        hits.into_iter().map(|hit| Symbol { score: hit.score, hit }).collect();

    // Active content is never excused by good signs.
    if symbols.iter().any(|symbol| symbol.hit.flags.active) {
        for symbol in &mut symbols {
            symbol.score = symbol.score.max(0.0);
        }
    }

    let mut sums: BTreeMap<Arc<str>, (f64, f64)> = BTreeMap::new();
    for symbol in &symbols {
        if let Some(group) = &symbol.hit.group {
            let (bad, good) = sums.entry(Arc::clone(group)).or_default();
            if symbol.score > 0.0 { *bad += symbol.score } else { *good += symbol.score }
        }
    }
    for cap in circumstances.caps {
        let Some(&(bad, good)) = sums.get(&cap.group) else { continue };
        let sum = bad + good;
        // Only the side that goes over the edge is scaled: a good sign in a group must not
        // be made smaller because the bad ones are too large.
        let (from, to, positive) = if sum > cap.max && bad > 0.0 {
            (bad, (cap.max - good).max(0.0), true)
        } else if sum < cap.min && good < 0.0 {
            (good, (cap.min - bad).min(0.0), false)
        } else {
            continue;
        };
        for symbol in &mut symbols {
            let same_side = (symbol.score > 0.0) == positive;
            if same_side && symbol.hit.group.as_ref() == Some(&cap.group) {
                symbol.score *= to / from;
            }
        }
    }

    if circumstances.scope == EvidenceScope::Calendar {
        let good: f64 = symbols.iter().map(|symbol| symbol.score.min(0.0)).sum();
        if good < GOOD_FLOOR_IN_CALENDAR_SCOPE {
            for symbol in symbols.iter_mut().filter(|symbol| symbol.score < 0.0) {
                symbol.score *= GOOD_FLOOR_IN_CALENDAR_SCOPE / good;
            }
        }
    }
    symbols
}

fn action(score: f64, symbols: &[Symbol], thresholds: &Thresholds) -> Action {
    let mut reached = Action::NoAction;
    for (action, limit) in thresholds.list() {
        if score < limit {
            continue;
        }
        // Nobody hears of a discarded mail, so it takes two kinds of evidence and no doubt.
        if action == Action::Discard && (groups(symbols) < 2 || has_good_sign(symbols)) {
            reached =
                reached.max(if thresholds.reject.is_some() { Action::Reject } else { reached });
            continue;
        }
        reached = reached.max(action);
    }
    reached
}

/// Independent groups with evidence against the event. Symbols without a group count as one.
fn groups(symbols: &[Symbol]) -> usize {
    let mut groups: Vec<Option<&Arc<str>>> = symbols
        .iter()
        .filter(|symbol| symbol.score > 0.0)
        .map(|symbol| symbol.hit.group.as_ref())
        .collect();
    groups.sort_unstable();
    groups.dedup();
    groups.len()
}

fn has_good_sign(symbols: &[Symbol]) -> bool {
    symbols.iter().any(|symbol| symbol.score < 0.0)
}

fn band(score: f64, action: Action, thresholds: &Thresholds) -> Band {
    let reached = |limit: Option<f64>| limit.is_some_and(|limit| score >= limit);
    if action >= Action::Quarantine {
        Band::Malicious
    } else if reached(thresholds.add_header) {
        Band::Spam
    } else if reached(thresholds.greylist) {
        Band::Suspicious
    } else {
        Band::Clean
    }
}

fn decision(
    score: f64,
    action: Action,
    symbols: &[Symbol],
    thresholds: &Thresholds,
    policy: Policy,
    circumstances: &Circumstances<'_>,
) -> Decision {
    let band = band(score, action, thresholds);
    let flag = |get: fn(&Hit) -> bool| symbols.iter().any(|symbol| get(&symbol.hit));
    let known = flag(|hit| hit.flags.known);
    let forged = flag(|hit| hit.flags.forged);
    let active = flag(|hit| hit.flags.active);
    let upstream_spam = upstream_says_spam(&circumstances.upstream, thresholds);
    let policy_allows = match policy {
        Policy::All => true,
        Policy::Known => known,
        Policy::Never => false,
    };
    let has_events = !circumstances.events.is_empty();
    let trusted = band == Band::Clean && !forged && !upstream_spam;

    let apply = if forged || !has_events || band == Band::Malicious {
        Apply::Ignore
    } else {
        apply(circumstances.method, circumstances.events)
    };
    let auto_insert = trusted
        && !circumstances.unread
        && policy_allows
        && matches!(apply, Apply::Create | Apply::Update | Apply::Cancel);

    let target = match band {
        _ if !has_events => Target::None,
        Band::Malicious => Target::None,
        Band::Spam => Target::Junk,
        Band::Suspicious => Target::Untrusted,
        Band::Clean if upstream_spam => Target::Junk,
        Band::Clean if forged || circumstances.unread => Target::Untrusted,
        Band::Clean => Target::Default,
    };
    let own_free = circumstances
        .events
        .first()
        .is_some_and(|event| event.transparency.as_deref() == Some("TRANSPARENT"));
    let busy = match (trusted && !circumstances.unread, known) {
        _ if own_free => Busy::Free,
        (true, true) => Busy::Busy,
        (true, false) => Busy::Tentative,
        (false, _) => Busy::Free,
    };
    let manual_insert = if active || band == Band::Malicious {
        ManualInsert::Denied
    } else if trusted && !circumstances.unread {
        ManualInsert::Allowed
    } else {
        ManualInsert::Warn
    };
    // Unread input keeps its alarms from ringing too: nobody has seen what they say.
    let keep = trusted && !circumstances.unread;

    Decision {
        auto_insert,
        apply,
        target,
        busy,
        keep_alarms: keep,
        keep_attachments: keep,
        notify_organizer: keep && has_events,
        manual_insert,
        reasons: reasons(symbols, circumstances, policy, policy_allows, upstream_spam),
    }
}

fn upstream_says_spam(upstream: &Upstream, thresholds: &Thresholds) -> bool {
    let by_action = upstream.action.is_some_and(|action| action >= Action::AddHeader);
    let by_score = match (upstream.score, thresholds.add_header) {
        (Some(score), Some(limit)) => score >= limit,
        _ => false,
    };
    by_action || by_score
}

/// What an iTIP METHOD does to the recipient's calendar (RFC 5546 §1.4).
fn apply(method: Option<&str>, events: &[Event]) -> Apply {
    let changes = events
        .iter()
        .any(|event| event.recurrence_id.is_some() || event.sequence.is_some_and(|n| n > 0));
    match method {
        Some("CANCEL") => Apply::Cancel,
        Some("REPLY" | "ADD") => Apply::Update,
        Some("REQUEST" | "PUBLISH") | None => {
            if changes {
                Apply::Update
            } else {
                Apply::Create
            }
        }
        // COUNTER, DECLINECOUNTER and REFRESH go to a person, nothing changes by itself; a
        // METHOD that no document defines has no meaning to apply.
        Some(_) => Apply::Ignore,
    }
}

fn reasons(
    symbols: &[Symbol],
    circumstances: &Circumstances<'_>,
    policy: Policy,
    policy_allows: bool,
    upstream_spam: bool,
) -> Vec<String> {
    let mut scored: Vec<&Symbol> = symbols
        .iter()
        .filter(|symbol| symbol.score != 0.0 || symbol.hit.flags.forged || symbol.hit.flags.known)
        .collect();
    scored.sort_by(|a, b| {
        b.score.abs().total_cmp(&a.score.abs()).then_with(|| a.hit.symbol.cmp(&b.hit.symbol))
    });
    let mut reasons: Vec<String> =
        scored.iter().take(10).map(|symbol| symbol.hit.symbol.to_string()).collect();
    if upstream_spam {
        reasons.push("upstream:spam".to_owned());
    }
    if circumstances.unread {
        reasons.push("unread".to_owned());
    }
    if !policy_allows {
        reasons.push(format!("policy:{}", policy.name()));
    }
    reasons
}
