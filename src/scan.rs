//! The pipeline, written out once: one request in, one [`Outcome`] out.
//!
//! Not an error: anything in the message. A scan that runs out of its time budget answers
//! with what it has and says so in [`Outcome::partial`].

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::authentication::{Authenticator, Pending};
use crate::calendar::{self, Moment, Property, Reading};
use crate::facts::{self, Facts, History, Origin};
use crate::lists::{self, Listing, Listings, Lists};
use crate::message::{self, Defect, DefectKind, Envelope, Message};
use crate::reputation::{Judgement, Observation, Recalled, Reputation};
use crate::rules::{self, Evaluation, EvidenceScope, Hit, RuleSet};
use crate::site::Site;
use crate::verdict::{self, Action, Apply, Circumstances, Policy, Profile, Upstream, Verdict};

mod outcome;
mod waits;

pub use outcome::{
    EventOutcome, Extracted, ExtractedUrl, Known, Outcome, Remembered, Said, Timings,
};
pub use waits::Waits;

/// Rules named that ran into their limit.
const EXHAUSTED: usize = 10;

/// Reason for a partial answer: the scan ended by a mistake of ours.
pub const INTERNAL_ERROR: &str = "internal-error";

/// Reason for a partial answer: lists took too long.
pub const DNS_BUDGET: &str = "dns-budget";

/// Reason for a partial answer: not every list has answered all that was to be asked.
pub const LISTS: &str = "lists";

/// Reason for a partial answer: nobody could say what was seen before.
pub const STORE: &str = "store";

/// Settings of all stages.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Limits of the message stage.
    pub message: message::Settings,
    /// Limits of the calendar stage.
    pub calendar: calendar::Settings,
    /// Thresholds and policy.
    pub verdict: verdict::Settings,
    /// Limits of the whole scan.
    pub limits: Limits,
    /// What the site knows.
    pub site: Site,
    /// Verifies what nobody has said of a message's authentication; `None` without DNS.
    pub authentication: Option<Authenticator>,
    /// Who asks DNS lists; nobody by default.
    pub lists: Lists,
    /// Who knows what was seen before; nobody by default.
    pub reputation: Reputation,
}

impl Settings {
    /// True when a scan may have to wait for somebody else's answer.
    pub fn may_wait(&self) -> bool {
        self.lists.may_wait() || self.reputation.may_wait()
    }
}

/// Limits of a whole scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Time after which the answer goes out with what is there.
    pub time: Duration,
    /// Links read per message.
    pub urls: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_secs(4), urls: 500 }
    }
}

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// SMTP transaction.
    pub envelope: Envelope,
    /// The body is declared to be `text/calendar`.
    pub bare: bool,
    /// Which evidence counts.
    pub scope: EvidenceScope,
    /// The recipient's policy (`Calendar-Policy`).
    pub policy: Option<Policy>,
    /// The caller's view of the mail.
    pub upstream: Upstream,
    /// Time of the scan, seconds since 1970 UTC.
    pub now: i64,
    /// Ask no name server: the caller has done that, or only wants the calendar read.
    pub offline: bool,
    /// What the caller knows of the past: a calendar server of its events. Unknown by default.
    pub history: History,
    /// The message is not to be remembered.
    pub forget: bool,
    /// Other scores and thresholds than everybody's.
    pub profile: Option<Arc<Profile>>,
    /// Who is told when the scan has to wait.
    pub waits: Option<Arc<dyn Waits>>,
}

/// Scans one message, and has it remembered.
pub fn scan(bytes: &[u8], request: &Request, rules: &RuleSet, settings: &Settings) -> Outcome {
    let (outcome, observation) = observe(bytes, request, rules, settings);
    if let Some(observation) = observation.filter(|_| !request.forget) {
        settings.reputation.record(observation, judgement(&outcome.verdict));
    }
    outcome
}

/// Scans one message, and says what would be remembered of it.
pub fn observe(
    bytes: &[u8],
    request: &Request,
    rules: &RuleSet,
    settings: &Settings,
) -> (Outcome, Option<Observation>) {
    let clock = Stopwatch::start(settings.limits.time);
    let expired = || clock.expired();
    let mut timings = Timings::default();

    let message = message::parse(bytes, request.bare, &request.envelope, &settings.message);
    timings.message = clock.lap(&timings);

    // Most mail has no calendar part: nothing below can hit it, so it is answered at once.
    let has_calendar = !message.calendar_parts.is_empty();
    let concerns_calendar = has_calendar || facts::shares_calendar(&message);
    if !concerns_calendar && !rules.can_hit_without_calendar() {
        let outcome = without_calendar(&message, request, rules, settings, &clock, timings);
        return (outcome, None);
    }

    // Goes on while calendars are read.
    let site = settings.site.current();
    let is_first_hop = request.envelope.client_ip.is_none_or(|ip| !site.is_trusted(ip));
    let authenticator = settings.authentication.as_ref().filter(|_| !request.offline);
    let verifying = authenticator.map_or_else(Pending::default, |verifier| {
        verifier.start(&message, &request.envelope, is_first_hop)
    });

    let reading = calendar::read(&message, &settings.calendar, &expired);
    timings.calendar = clock.lap(&timings);

    let mut facts =
        facts::gather(&message, &reading, &request.envelope, request.now, settings.limits.urls);
    facts.know(site);
    facts.history = request.history.clone();
    timings.facts = clock.lap(&timings);

    let trusted = &settings.message.trusted_authserv_ids;
    let verified = request
        .waiting(authenticator.is_some(), || verifying.finish(&message, clock.left(), trusted));
    let known = match &verified.results {
        _ if verified.timed_out => Known::TimedOut,
        Some(results) => Known::From(results.source),
        None => Known::Nothing,
    };
    facts.authentication = verified.results;
    if authenticator.is_some() {
        timings.authentication = clock.lap(&timings);
    }

    // Whose event it is depends on who has signed.
    let reputation = &settings.reputation;
    let Recalled { history, observation, failed } =
        request.waiting(reputation.may_wait(), || reputation.recall(&facts, clock.left()));
    if let Some(history) = history {
        facts.history = history;
    }
    if reputation.is_on() {
        timings.reputation = clock.lap(&timings);
    }

    // Whose signature passed is asked about too, so lists come second and share the time.
    let left = clock.left().min(settings.lists.budget().saturating_sub(timings.authentication));
    let listings = ask(&facts, request, rules, &settings.lists, left);
    timings.lists = clock.lap(&timings);

    let evaluation = rules::evaluate(rules, &facts, &listings, request.scope, &expired);
    timings.rules = clock.lap(&timings);

    let defects = defects(&message, &reading, &facts, &evaluation, clock.expired());
    let mut partial = partial(&defects, &evaluation);
    let unread = !partial.is_empty();
    partial.extend(unanswered(&listings));
    partial.extend(failed.then(|| STORE.to_owned()));
    let verdict = verdict::decide(
        evaluation.hits,
        &settings.verdict,
        &circumstances(request, rules, &reading, unread),
    );
    timings.verdict = clock.lap(&timings);

    let mut outcome = Outcome {
        events: events(&reading, &verdict),
        extracted: extracted(&facts, request.scope),
        listings: said(&listings, rules),
        verdict,
        defects,
        partial,
        message_id: message.message_id.clone(),
        has_calendar,
        size: bytes.len(),
        authentication: known,
        remembered: remembered(observation.as_ref(), request),
        timings,
    };
    outcome.timings.total = clock.elapsed();
    (outcome, observation)
}

/// What the memory needs to know of a verdict.
fn judgement(verdict: &Verdict) -> Judgement {
    Judgement {
        clean: verdict.action == Action::NoAction,
        applies: verdict.decision.apply != Apply::Ignore,
        score: verdict.score,
        action: verdict.action.name(),
        ..Judgement::default()
    }
}

fn remembered(observation: Option<&Observation>, request: &Request) -> Remembered {
    let Some(observation) = observation else { return Remembered::default() };
    Remembered {
        record: (!request.forget && observation.is_kept()).then(|| observation.record()),
        campaign: observation.campaign(),
    }
}

/// Measures the stages and the budget. Monotonic: it is not the time of the scan.
struct Stopwatch {
    start: Instant,
    budget: Duration,
}

impl Stopwatch {
    fn start(budget: Duration) -> Self {
        Self { start: Instant::now(), budget }
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn expired(&self) -> bool {
        self.elapsed() >= self.budget
    }

    fn left(&self) -> Duration {
        self.budget.saturating_sub(self.elapsed())
    }

    /// Time since the stages measured so far.
    fn lap(&self, timings: &Timings) -> Duration {
        let before: Duration = timings.stages().iter().map(|(_, time)| *time).sum();
        self.elapsed().saturating_sub(before)
    }
}

fn without_calendar(
    message: &Message<'_>,
    request: &Request,
    rules: &RuleSet,
    settings: &Settings,
    clock: &Stopwatch,
    mut timings: Timings,
) -> Outcome {
    let reading = Reading::default();
    if !request.forget {
        settings.reputation.letter(message, &request.envelope, request.now);
    }
    // A calendar may stand where nobody has looked.
    let partial =
        partial(&message.defects, &Evaluation { complete: true, ..Evaluation::default() });
    let verdict = verdict::decide(
        Vec::new(),
        &settings.verdict,
        &circumstances(request, rules, &reading, !partial.is_empty()),
    );
    timings.total = clock.elapsed();
    Outcome {
        verdict,
        events: Vec::new(),
        defects: message.defects.clone(),
        extracted: Extracted::default(),
        listings: Vec::new(),
        partial,
        message_id: message.message_id.clone(),
        has_calendar: false,
        size: message.raw.len(),
        authentication: Known::Nothing,
        remembered: Remembered::default(),
        timings,
    }
}

/// Asks DNS lists what rules want to know.
fn ask<'f>(
    facts: &'f Facts<'f>,
    request: &Request,
    rules: &RuleSet,
    lists: &Lists,
    left: Duration,
) -> Listings<'f> {
    if !lists.is_on() || request.offline {
        return Listings::default();
    }
    let plan = rules.plan();
    let calendar_only = request.scope == EvidenceScope::Calendar;
    let questions = lists::questions(facts, &plan, calendar_only, lists.most());
    request.waiting(lists.may_wait(), || lists.look_up(&plan, questions, left))
}

/// Why the answer does not know all that lists could say. That makes nothing unread.
fn unanswered(listings: &Listings<'_>) -> impl Iterator<Item = String> {
    let late = listings.is_late().then(|| DNS_BUDGET.to_owned());
    let silent = listings.is_partial().then(|| LISTS.to_owned());
    late.into_iter().chain(silent)
}

fn said(listings: &Listings<'_>, rules: &RuleSet) -> Vec<Said> {
    let more = listings.all.iter().filter(|asked| asked.listing != Listing::NotListed);
    more.map(|asked| Said {
        list: rules
            .lists()
            .get(asked.question.list)
            .map(|l| l.name.to_string())
            .unwrap_or_default(),
        about: asked.question.about.to_string(),
        place: asked.question.sources.first().map(|s| s.place.to_string()).unwrap_or_default(),
        listing: asked.listing.clone(),
    })
    .collect()
}

fn circumstances<'a>(
    request: &'a Request,
    rules: &'a RuleSet,
    reading: &'a Reading,
    unread: bool,
) -> Circumstances<'a> {
    Circumstances {
        caps: rules.group_caps(),
        scope: request.scope,
        policy: request.policy,
        upstream: request.upstream.clone(),
        unread,
        events: &reading.events,
        method: reading.calendars.first().and_then(|calendar| calendar.method.as_deref()),
        profile: request.profile.as_deref(),
    }
}

fn defects(
    message: &Message<'_>,
    reading: &Reading,
    facts: &Facts<'_>,
    evaluation: &Evaluation,
    expired: bool,
) -> Vec<Defect> {
    let mut defects = message.defects.clone();
    defects.extend(reading.defects.iter().cloned());
    if facts.links.cut {
        defects.push(Defect::new(DefectKind::LimitUrls, "", "further links were not read"));
    }
    if facts.unread_attachments {
        let detail = "further or larger attachments were not read";
        defects.push(Defect::new(DefectKind::LimitAttachments, "", detail));
    }
    // Named, so that whoever wrote such a rule learns of it.
    let rules = evaluation.exhausted.iter().take(EXHAUSTED);
    defects.extend(rules.map(|rule| {
        Defect::new(DefectKind::LimitRegex, &**rule, "the regex of this rule takes too many steps")
    }));
    if expired && !defects.iter().any(|defect| defect.kind == DefectKind::LimitTime) {
        defects.push(Defect::new(DefectKind::LimitTime, "", "the time budget ran out"));
    }
    defects
}

/// Why the answer is not complete. Only limits: a dead list does not make input unread.
fn partial(defects: &[Defect], evaluation: &Evaluation) -> Vec<String> {
    let mut reasons: Vec<String> = defects
        .iter()
        .filter(|defect| defect.kind.is_limit())
        .map(|defect| defect.kind.name().to_owned())
        .collect();
    if !evaluation.complete && evaluation.exhausted.is_empty() {
        reasons.push(DefectKind::LimitTime.name().to_owned());
    }
    reasons.sort_unstable();
    reasons.dedup();
    reasons
}

fn events(reading: &Reading, verdict: &Verdict) -> Vec<EventOutcome> {
    reading
        .events
        .iter()
        .enumerate()
        .map(|(index, event)| {
            let concerns = |hit: &Hit| hit.events.is_empty() || hit.events.contains(&index);
            let symbols = || verdict.symbols.iter().filter(|symbol| concerns(&symbol.hit));
            let organizer = event.organizers.first();
            EventOutcome {
                place: format!("{}[{}]", event.kind.name(), event.ordinal),
                uid: event.uid.clone(),
                recurrence_id: event.recurrence_id.clone(),
                method: reading
                    .calendars
                    .get(event.calendar)
                    .and_then(|calendar| calendar.method.clone()),
                sequence: event.sequence,
                organizer: organizer
                    .map(|party| party.address.clone().unwrap_or_else(|| party.value.clone())),
                sent_by: organizer.and_then(|party| party.sent_by.clone()),
                summary: event.property("SUMMARY").and_then(Property::text).map(str::to_owned),
                start: event.start.and_then(Moment::rfc3339),
                end: event.end.and_then(Moment::rfc3339),
                instances: event.recurrence.instances,
                notifications: event.notifications(),
                // `+ 0.0`: the sum of nothing is negative zero.
                score: symbols().map(|symbol| symbol.score).sum::<f64>() + 0.0,
                symbols: symbols().map(|symbol| symbol.hit.symbol.to_string()).collect(),
            }
        })
        .collect()
}

/// Octets of event text handed to the caller.
const EXTRACTED_TEXT: usize = 64 * 1024;

fn extracted(facts: &Facts<'_>, scope: EvidenceScope) -> Extracted {
    let mut urls: Vec<ExtractedUrl> = Vec::new();
    let mut seen = HashSet::new();
    for link in &facts.links.all {
        let wanted = scope == EvidenceScope::Message || link.origin == Origin::Calendar;
        if wanted && seen.insert(link.url.as_str()) {
            urls.push(ExtractedUrl {
                url: link.url.clone(),
                host: link.host.clone(),
                domain: link.domain().map(Cow::into_owned),
                origin: link.origin,
            });
        }
    }
    let mut emails: Vec<String> = Vec::new();
    let mut phones: Vec<String> = Vec::new();
    let mut text = String::new();
    for event in &facts.events {
        let organizers = event.event.organizers.iter().filter_map(|party| party.address.clone());
        emails.extend(organizers.chain(event.emails.iter().map(|(_, address)| address.clone())));
        phones.extend(event.phones.iter().map(|phone| phone.number.clone()));
        for value in &event.texts {
            if text.len() + value.visible.len() < EXTRACTED_TEXT {
                text.push_str(&value.visible);
                text.push('\n');
            }
        }
    }
    emails.sort_unstable();
    emails.dedup();
    phones.sort_unstable();
    phones.dedup();
    Extracted { urls, emails, phones, text }
}
