//! The JSON of the answer. Its structs exist for the wire alone, so that a change of ours
//! inside cannot change what callers read.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::Options;
use super::calendar::{Calendar, calendar};
use crate::protocol::decision::{HEADER, header};
use crate::rules::Evidence;
use crate::scan::{INTERNAL_ERROR, Outcome, Request, Timings};
use crate::verdict::{Action, Decision, Symbol, Thresholds};

/// What Rspamd answers in place of a missing Message-ID.
const NO_MESSAGE_ID: &str = "undef";

/// Reason for an answer without a scan: the caller wanted none.
pub const SKIPPED: &str = "skipped";

/// Group of symbols that are in none, as Rspamd's controller calls it.
const NO_GROUP: &str = "ungrouped";

/// One line of the listing of symbols.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedSymbol {
    /// Public name.
    pub name: String,
    /// Its group, if it has one.
    pub group: Option<String>,
    /// Score before caps.
    pub score: f64,
    /// Description, if there is one.
    pub description: Option<String>,
}

#[derive(Serialize)]
struct Failure<'a> {
    error: &'a str,
    error_domain: &'static str,
}

/// The body of the reply to a request that gets no scan.
pub fn failure(error: &str) -> Vec<u8> {
    let failure = Failure { error, error_domain: "protocol-error" };
    serde_json::to_vec(&failure).unwrap_or_default()
}

/// The body of the reply of `/checkv2`.
pub fn reply(
    outcome: &Outcome,
    request: &Request,
    options: &Options,
    thresholds: &Thresholds,
) -> Vec<u8> {
    let answer = answer(outcome, request, options, thresholds);
    // Writing these structs to memory cannot fail: no map has a key that is not a string.
    if options.packed {
        rmp_serde::to_vec_named(&answer).unwrap_or_default()
    } else {
        serde_json::to_vec(&answer).unwrap_or_default()
    }
}

/// The same as [`reply`], to be put into another object.
pub fn answer<'a>(
    outcome: &'a Outcome,
    request: &'a Request,
    options: &Options,
    thresholds: &'a Thresholds,
) -> impl Serialize + 'a {
    let verdict = &outcome.verdict;
    let extracted = &outcome.extracted;
    let legacy = options.legacy;
    let found = !extracted.urls.is_empty() || !extracted.emails.is_empty();
    let is_skipped = is_skipped(outcome);
    let (score, required_score) = (Float(verdict.score), Float(required_score(thresholds)));
    let action = verdict.action.name();
    let summary = Summary { is_skipped, score, required_score, action };
    let milter = Milter {
        decision: outcome.has_calendar.then_some(&verdict.decision),
        kind: options.purgate.then(|| purgate(outcome)),
    };
    let (head, default) = if legacy {
        let symbols = &verdict.symbols;
        let is_spam = verdict.score >= required_score.0;
        (None, Some(Legacy { is_spam, summary, symbols }))
    } else {
        let thresholds = Limits(thresholds);
        (Some(Head { summary, thresholds, symbols: Symbols(&verdict.symbols) }), None)
    };
    Answer {
        head,
        default,
        groups: options.groups.then(|| groups(&verdict.symbols)),
        messages: Messages {},
        urls: found.then(|| urls(outcome, options.extended_urls)),
        emails: found.then_some(extracted.emails.as_slice()),
        profile: options.profile.then_some(Stages(&outcome.timings)),
        message_id: outcome.message_id.as_deref().unwrap_or(NO_MESSAGE_ID),
        time_real: Float(outcome.timings.total.as_secs_f64()),
        milter: (!legacy).then_some(milter),
        rmilter: legacy.then_some(milter),
        calendar: calendar(outcome, request, options),
    }
}

/// The body of the reply of `/symbols` without a message: every symbol there is, by group.
pub fn symbols(list: &[ListedSymbol]) -> Vec<u8> {
    let mut sorted: Vec<(&str, &ListedSymbol)> =
        list.iter().map(|symbol| (symbol.group.as_deref().unwrap_or(NO_GROUP), symbol)).collect();
    sorted.sort_by(|a, b| a.0.cmp(b.0).then_with(|| a.1.name.cmp(&b.1.name)));
    let groups: Vec<Group<'_>> = sorted
        .chunk_by(|a, b| a.0 == b.0)
        .map(|chunk| Group {
            group: chunk.first().map_or(NO_GROUP, |(group, _)| group),
            rules: chunk.iter().map(|(_, symbol)| Rule::new(symbol)).collect(),
        })
        .collect();
    serde_json::to_vec(&groups).unwrap_or_default()
}

/// Whether nothing was scanned: by our own mistake, or because the caller wanted it so.
pub fn is_skipped(outcome: &Outcome) -> bool {
    outcome.partial.iter().any(|reason| reason == INTERNAL_ERROR || reason == SKIPPED)
}

/// A number with at most six decimals, as Rspamd prints them; never an integer, never null.
#[derive(Clone, Copy)]
pub(super) struct Float(pub(super) f64);

impl Serialize for Float {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let finite = if self.0.is_finite() { self.0 } else { 0.0 };
        let rounded = (finite * 1e6).round() / 1e6;
        // Adding zero makes a negative zero positive. The largest numbers have no decimals to round.
        serializer.serialize_f64(if rounded.is_finite() { rounded + 0.0 } else { finite })
    }
}

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    head: Option<Head<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<Legacy<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<BTreeMap<&'a str, GroupScore>>,
    messages: Messages,
    #[serde(skip_serializing_if = "Option::is_none")]
    urls: Option<Vec<Url<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    emails: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<Stages<'a>>,
    #[serde(rename = "message-id")]
    message_id: &'a str,
    time_real: Float,
    #[serde(skip_serializing_if = "Option::is_none")]
    milter: Option<Milter<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rmilter: Option<Milter<'a>>,
    calendar: Calendar<'a>,
}

/// What the symbols of a group come to.
#[derive(Serialize)]
struct GroupScore {
    score: Float,
}

fn groups(symbols: &[Symbol]) -> BTreeMap<&str, GroupScore> {
    let mut groups: BTreeMap<&str, GroupScore> = BTreeMap::new();
    for symbol in symbols {
        if let Some(group) = &symbol.hit.group {
            groups.entry(group).or_insert(GroupScore { score: Float(0.0) }).score.0 += symbol.score;
        }
    }
    groups
}

/// Milliseconds by stage. Rspamd has its symbols here; ours are evaluated all at once.
struct Stages<'a>(&'a Timings);

impl Serialize for Stages<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stages = self.0.stages();
        let milliseconds = |time: Duration| Float(time.as_secs_f64() * 1e3);
        serializer.collect_map(stages.map(|(stage, time)| (stage, milliseconds(time))))
    }
}

/// What a mail system looks at first.
#[derive(Clone, Copy, Serialize)]
struct Summary {
    is_skipped: bool,
    score: Float,
    required_score: Float,
    action: &'static str,
}

/// The begin of an answer of `/checkv2`.
#[derive(Serialize)]
struct Head<'a> {
    #[serde(flatten)]
    summary: Summary,
    thresholds: Limits<'a>,
    symbols: Symbols<'a>,
}

/// The same in an answer of the old commands: symbols stand beside the score.
struct Legacy<'a> {
    is_spam: bool,
    summary: Summary,
    symbols: &'a [Symbol],
}

impl Serialize for Legacy<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(5 + self.symbols.len()))?;
        map.serialize_entry("is_spam", &self.is_spam)?;
        map.serialize_entry("is_skipped", &self.summary.is_skipped)?;
        map.serialize_entry("score", &self.summary.score)?;
        map.serialize_entry("required_score", &self.summary.required_score)?;
        map.serialize_entry("action", self.summary.action)?;
        for symbol in self.symbols {
            // The old commands do not tell what a symbol weighs by itself.
            let symbol = WireSymbol { metric_score: None, ..WireSymbol::of(symbol) };
            map.serialize_entry(symbol.name, &symbol)?;
        }
        map.end()
    }
}

/// Changes to the mail's headers: the decision for the calendar, and nobody else's.
#[derive(Clone, Copy)]
struct Milter<'a> {
    decision: Option<&'a Decision>,
    /// The one word that Rspamd's scanner `expurgate` asks for.
    kind: Option<&'static str>,
}

impl Serialize for Milter<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let name = HEADER;
        let mut milter = serializer.serialize_map(None)?;
        let decision = self.decision.map(|decision| (name, header(decision)));
        let kind = self.kind.map(|kind| ("X-purgate-type", kind.to_owned()));
        let added: BTreeMap<&str, Added> = [decision, kind]
            .into_iter()
            .flatten()
            .map(|(name, value)| (name, Added { value, order: 0 }))
            .collect();
        if !added.is_empty() {
            milter.serialize_entry("add_headers", &added)?;
        }
        // 0: all of that name.
        milter.serialize_entry("remove_headers", &BTreeMap::from([(name, 0)]))?;
        milter.end()
    }
}

/// The verdict in the words of eXpurgate, whose scanner in Rspamd (4.1) knows no others.
fn purgate(outcome: &Outcome) -> &'static str {
    if !outcome.has_calendar {
        return "unknown";
    }
    match outcome.verdict.action {
        Action::NoAction => "clean",
        Action::Greylist | Action::AddHeader => "suspect",
        Action::Quarantine | Action::Reject | Action::Discard => "spam",
    }
}

/// A header to add, and where: 0 is on top.
#[derive(Serialize)]
struct Added {
    value: String,
    order: i32,
}

/// Replies to the SMTP client; we have none to give.
#[derive(Serialize)]
struct Messages {}

/// Thresholds, harshest first.
pub(super) struct Limits<'a>(pub(super) &'a Thresholds);

impl Serialize for Limits<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let limits = self.0.list();
        let limits = limits.into_iter().rev().map(|(action, limit)| (action.name(), Float(limit)));
        serializer.collect_map(limits)
    }
}

/// The score that Rspamd's clients compare with: the reject threshold, else the harshest one.
pub(super) fn required_score(thresholds: &Thresholds) -> f64 {
    let limits = thresholds.list();
    let reject = limits.iter().find(|(action, _)| *action == Action::Reject);
    reject.or_else(|| limits.last()).map_or(0.0, |(_, limit)| *limit)
}

struct Symbols<'a>(&'a [Symbol]);

impl Serialize for Symbols<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for symbol in self.0 {
            map.serialize_entry(&*symbol.hit.symbol, &WireSymbol::of(symbol))?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct WireSymbol<'a> {
    name: &'a str,
    score: Float,
    #[serde(skip_serializing_if = "Option::is_none")]
    metric_score: Option<Float>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    options: Vec<String>,
}

impl<'a> WireSymbol<'a> {
    fn of(symbol: &'a Symbol) -> Self {
        let hit = &symbol.hit;
        Self {
            name: &hit.symbol,
            score: Float(symbol.score),
            metric_score: Some(Float(hit.score)),
            description: hit.description.as_deref(),
            options: hit.evidence.iter().map(option).collect(),
        }
    }
}

fn option(evidence: &Evidence) -> String {
    match (evidence.place.as_str(), evidence.text.as_str()) {
        ("", text) => text.to_owned(),
        (place, "") => place.to_owned(),
        (place, text) => format!("{place}: {text}"),
    }
}

/// A link: its host name, or an object.
enum Url<'a> {
    Host(&'a str),
    Extended { url: &'a str, tld: &'a str, host: &'a str },
}

impl Serialize for Url<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Host(host) => serializer.serialize_str(host),
            Self::Extended { url, tld, host } => {
                ExtendedUrl { url, tld, host, flags: &[] }.serialize(serializer)
            }
        }
    }
}

#[derive(Serialize)]
struct ExtendedUrl<'a> {
    url: &'a str,
    tld: &'a str,
    host: &'a str,
    flags: &'a [&'a str],
}

/// Links in the form asked for; host names once each, in order of appearance.
fn urls(outcome: &Outcome, extended: bool) -> Vec<Url<'_>> {
    let mut hosts: Vec<&str> = Vec::new();
    let mut links = Vec::new();
    for url in &outcome.extracted.urls {
        let Some(host) = url.host.as_deref() else {
            continue;
        };
        if extended {
            let tld = url.domain.as_deref().unwrap_or(host);
            links.push(Url::Extended { url: &url.url, tld, host });
        } else if !hosts.contains(&host) {
            hosts.push(host);
            links.push(Url::Host(host));
        }
    }
    links
}

#[derive(Serialize)]
struct Group<'a> {
    group: &'a str,
    rules: Vec<Rule<'a>>,
}

/// A symbol of the listing. The numbers after the description are Rspamd's own statistics,
/// which its interfaces expect to find.
#[derive(Serialize)]
struct Rule<'a> {
    symbol: &'a str,
    weight: Float,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    frequency: Float,
    frequency_stddev: Float,
    time: Float,
}

impl<'a> Rule<'a> {
    fn new(symbol: &'a ListedSymbol) -> Self {
        Self {
            symbol: &symbol.name,
            weight: Float(symbol.score),
            description: symbol.description.as_deref(),
            frequency: Float(0.0),
            frequency_stddev: Float(0.0),
            time: Float(0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Origin;
    use crate::message::{Defect, DefectKind};
    use crate::rules::{Flags, Hit};
    use crate::scan::{EventOutcome, Extracted, ExtractedUrl, Known};
    use crate::verdict::{Apply, Busy, ManualInsert, Target, Verdict};

    fn url(url: &str, host: &str, domain: &str, origin: Origin) -> ExtractedUrl {
        ExtractedUrl {
            url: url.to_owned(),
            host: Some(host.to_owned()),
            domain: Some(domain.to_owned()),
            origin,
        }
    }

    fn outcome() -> Outcome {
        let evidence =
            |place: &str, text: &str| Evidence { place: place.into(), text: text.into() };
        let hit = Hit {
            symbol: "CAL_CALLBACK".into(),
            score: 3.0,
            group: Some("content".into()),
            description: Some("Call us".into()),
            flags: Flags::default(),
            origin: Origin::Calendar,
            evidence: vec![
                evidence("VEVENT[0].SUMMARY", "call \"now\""),
                evidence("", "bare"),
                evidence("envelope", ""),
            ],
            events: vec![0],
        };
        let verdict = Verdict {
            score: 2.000_000_4,
            action: Action::NoAction,
            decision: Decision {
                auto_insert: false,
                apply: Apply::Create,
                target: Target::Default,
                busy: Busy::Tentative,
                keep_alarms: true,
                keep_attachments: false,
                notify_organizer: true,
                manual_insert: ManualInsert::Allowed,
                reasons: vec!["CAL_CALLBACK".to_owned()],
            },
            symbols: vec![Symbol { hit, score: 2.0 }],
        };
        Outcome {
            verdict,
            events: vec![EventOutcome {
                uid: Some("u1".to_owned()),
                instances: 1,
                symbols: vec!["CAL_CALLBACK".to_owned()],
                score: 2.0,
                ..EventOutcome::default()
            }],
            defects: vec![Defect::new(DefectKind::Truncated, "part[1]", "no end")],
            extracted: Extracted {
                urls: vec![
                    url(
                        "https://a.example.com/1",
                        "a.example.com",
                        "example.com",
                        Origin::Calendar,
                    ),
                    url("https://a.example.com/2", "a.example.com", "example.com", Origin::Mail),
                ],
                emails: vec!["bob@example.com".to_owned()],
                ..Extracted::default()
            },
            listings: Vec::new(),
            partial: Vec::new(),
            message_id: None,
            has_calendar: true,
            size: 10,
            authentication: Known::Nothing,
            remembered: crate::scan::Remembered::default(),
            timings: Timings { total: Duration::from_micros(1500), ..Timings::default() },
        }
    }

    fn request() -> Request {
        let mut request = Request { now: 1_795_168_800, ..Request::default() };
        request.envelope.client_ip = "192.0.2.7".parse().ok();
        request
    }

    fn text(outcome: &Outcome, options: &Options) -> String {
        let bytes = reply(outcome, &request(), options, &Thresholds::default());
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_verdict_is_also_one_of_expurgates_words() {
        let options = Options { purgate: true, ..Options::default() };
        let mut outcome = outcome();
        for (action, has_calendar, expected) in [
            (Action::NoAction, true, "clean"),
            (Action::AddHeader, true, "suspect"),
            (Action::Reject, true, "spam"),
            (Action::NoAction, false, "unknown"),
        ] {
            outcome.verdict.action = action;
            outcome.has_calendar = has_calendar;
            let reply: serde_json::Value = serde_json::from_str(&text(&outcome, &options)).unwrap();
            let added = &reply["milter"]["add_headers"];
            assert_eq!(added["X-purgate-type"]["value"], expected);
            assert_eq!(added.get("X-Calspam-Decision").is_some(), has_calendar);
            let plain = text(&outcome, &Options::default());
            assert!(!plain.contains("purgate"), "{plain}");
        }
    }

    #[test]
    fn keys_stand_in_the_order_of_rspamd() {
        let expected = concat!(
            r#"{"is_skipped":false,"score":2.0,"required_score":15.0,"action":"no action","#,
            r#""thresholds":{"reject":15.0,"add header":6.0,"greylist":4.0},"#,
            r#""symbols":{"CAL_CALLBACK":{"name":"CAL_CALLBACK","score":2.0,"metric_score":3.0,"#,
            r#""description":"Call us","options":["VEVENT[0].SUMMARY: call \"now\"","bare","#,
            r#""envelope"]}},"messages":{},"urls":["a.example.com"],"emails":["bob@example.com"],"#,
            r#""message-id":"undef","time_real":0.0015,"milter":{"add_headers":{"#,
            r#""X-Calspam-Decision":{"value":"insert=no; apply=create; target=default; "#,
            r#"busy=tentative; alarms=keep; attachments=strip; notify=yes; manual=allowed; "#,
            r#"reasons=CAL_CALLBACK","order":0}},"remove_headers":{"X-Calspam-Decision":0}},"#,
            r#""calendar":{"events":[{"uid":"u1","#,
            r#""recurrence_id":null,"method":null,"sequence":null,"organizer":null,"#,
            r#""sent_by":null,"summary":null,"start":null,"end":null,"instances_1y":1,"#,
            r#""notifications_1y":0,"score":2.0,"symbols":["CAL_CALLBACK"]}],"#,
            r#""decision":{"auto_insert":false,"apply":"create","target":"default","#,
            r#""busy":"tentative","alarms":"keep","attachments":"strip","#,
            r#""notify_organizer":true,"manual_insert":"allowed","reasons":["CAL_CALLBACK"]},"#,
            r#""provenance":{"record":null,"message_id":null,"#,
            r#""received_at":"2026-11-20T10:00:00Z","source_ip":"192.0.2.7","via":"imip","#,
            r#""campaign":null},"defects":[{"kind":"truncated","place":"part[1]","#,
            r#""detail":"no end"}],"extracted":{"urls":["https://a.example.com/1"],"#,
            r#""emails":["bob@example.com"],"phones":[],"text":""},"partial":[]}}"#,
        );
        assert_eq!(text(&outcome(), &Options::default()), expected);
    }

    #[test]
    fn extended_urls_are_objects() {
        let options = Options { extended_urls: true, ..Options::default() };
        let expected = concat!(
            r#""urls":[{"url":"https://a.example.com/1","tld":"example.com","#,
            r#""host":"a.example.com","flags":[]},{"url":"https://a.example.com/2","#,
            r#""tld":"example.com","host":"a.example.com","flags":[]}],"emails""#,
        );
        assert!(text(&outcome(), &options).contains(expected));
    }

    #[test]
    fn events_are_left_out_for_who_wants_none() {
        let options = Options { without_events: true, ..Options::default() };
        let reply = text(&outcome(), &options);
        assert!(reply.contains(r#""calendar":{"events":[],"decision""#), "{reply}");
        assert!(reply.contains(r#""extracted":{"urls":["https://a.example.com/1"]"#), "{reply}");
    }

    #[test]
    fn urls_are_absent_where_nothing_was_found() {
        let mut outcome = outcome();
        outcome.extracted = Extracted::default();
        assert!(text(&outcome, &Options::default()).contains(r#""messages":{},"message-id""#));
    }

    #[test]
    fn flags_add_groups_and_times() {
        let mut outcome = outcome();
        outcome.timings.rules = Duration::from_micros(1250);
        let options = Options { groups: true, profile: true, ..Options::default() };
        let reply = text(&outcome, &options);
        let groups = r#"}},"groups":{"content":{"score":2.0}},"messages":{}"#;
        assert!(reply.contains(groups), "{reply}");
        let times = r#""emails":["bob@example.com"],"profile":{"message":0.0,"calendar":0.0,"#;
        assert!(reply.contains(times), "{reply}");
        assert!(reply.contains(r#""rules":1.25,"verdict":0.0},"message-id""#), "{reply}");
    }

    #[test]
    fn numbers_are_always_floats() {
        for (number, expected) in [
            (15.0, "15.0"),
            (-0.0, "0.0"),
            (0.1 + 0.2, "0.3"),
            (7.239_130_4, "7.23913"),
            (f64::NAN, "0.0"),
            (f64::INFINITY, "0.0"),
            (1e308, "1e+308"),
        ] {
            assert_eq!(serde_json::to_string(&Float(number)).unwrap(), expected);
        }
    }

    #[test]
    fn an_internal_error_is_a_skipped_message() {
        let mut outcome = outcome();
        outcome.partial = vec!["internal-error".to_owned()];
        let reply = text(&outcome, &Options::default());
        assert!(reply.starts_with(r#"{"is_skipped":true,"#), "{reply}");
        assert!(reply.ends_with(r#""partial":["internal-error"]}}"#), "{reply}");
    }

    #[test]
    fn required_score_falls_back_to_the_harshest_action() {
        let off = Thresholds { reject: None, ..Thresholds::default() };
        assert!((required_score(&off) - 6.0).abs() < f64::EPSILON);
        let discard = Thresholds { discard: Some(30.0), ..Thresholds::default() };
        assert!((required_score(&discard) - 15.0).abs() < f64::EPSILON);
    }

    #[test]
    fn symbols_are_listed_by_group() {
        let symbol = |name: &str, group: Option<&str>| ListedSymbol {
            name: name.to_owned(),
            group: group.map(str::to_owned),
            score: 1.5,
            description: (name == "A").then(|| "First".to_owned()),
        };
        let list = [symbol("B", Some("links")), symbol("Z", None), symbol("A", Some("links"))];
        let numbers = r#""frequency":0.0,"frequency_stddev":0.0,"time":0.0}"#;
        let expected = format!(
            concat!(
                r#"[{{"group":"links","rules":[{{"symbol":"A","weight":1.5,"description":"First",{0},"#,
                r#"{{"symbol":"B","weight":1.5,{0}]}},"#,
                r#"{{"group":"ungrouped","rules":[{{"symbol":"Z","weight":1.5,{0}]}}]"#,
            ),
            numbers
        );
        assert_eq!(String::from_utf8(symbols(&list)).unwrap(), expected);
    }

    #[test]
    fn failures_are_short() {
        assert_eq!(
            failure("invalid command"),
            br#"{"error":"invalid command","error_domain":"protocol-error"}"#
        );
    }
}
