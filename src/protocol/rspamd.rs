//! Rspamd's HTTP dialect: `/checkv2` and its relatives.
//!
//! Comes in: request headers and query arguments, which mean the same. Goes out: what to scan
//! for and how to answer; on the way back the JSON that Rspamd's clients read, with one more
//! object, `calendar`, which they skip.
//! Not an error: unknown headers and values that make no sense. Both are passed over.

mod calendar;
mod control;
mod controller;
pub mod crypt;
mod reply;
mod settings;
pub mod v3;

use std::net::IpAddr;

use crate::message::Envelope;
use crate::protocol::compression::{ZSTD, takes_zstd};
use crate::rules::EvidenceScope;
use crate::scan::Request;
use crate::verdict::{Action, Policy};

pub use control::{ListState, contacts, learned, not_reloaded, records, reloaded, store_stats};
pub use controller::{
    Counter, ErrorRow, HistoryRow, HistorySymbol, POINTS, Point, Stat, TIMES, actions, auth,
    counters, done, errors, graph, history, pie, stat,
};
pub use reply::{ListedSymbol, SKIPPED, answer, failure, is_skipped, reply, symbols};
pub use settings::profile;

/// Longest `Log-Tag` taken over into a log line.
const LOG_TAG_LENGTH: usize = 64;

/// What a request says about its answer, beside what it says about the scan.
#[expect(clippy::struct_excessive_bools, reason = "callers ask for each by itself")]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Links as objects and not as host names (`URL-Format: extended`, `Flags: ext_urls`).
    pub extended_urls: bool,
    /// The events one by one are left out of the reply.
    pub without_events: bool,
    /// The verdict also as a header `X-purgate-type`, for Rspamd's scanner `expurgate`
    /// (`Flags: purgate`).
    pub purgate: bool,
    /// The caller's own id for the log line.
    pub log_tag: Option<String>,
    /// Name of a compression that the body is declared to have.
    pub compression: Option<String>,
    /// The caller takes a reply packed with zstd: it says so, or has packed the request.
    pub zstd: bool,
    /// The reply as `MessagePack` (`Accept: application/msgpack`).
    pub packed: bool,
    /// The reply in the shape of the old commands: symbols in `default`, beside the score.
    pub legacy: bool,
    /// What the caller takes (`Accept`), for `/checkv3`.
    pub accept: String,
    /// A file that holds the message (`File`, `Path`), in place of the body.
    pub file: Option<FileInput>,
    /// The message that something is asked of: its Message-ID without angle brackets.
    pub message_id: Option<String>,
    /// The same by a UID.
    pub uid: Option<String>,
    /// The same by the organizer's address.
    pub organizer: Option<String>,
    /// The same by the name of a campaign.
    pub campaign: Option<String>,
    /// The address that something is asked of.
    pub address: Option<String>,
    /// Name of a profile (`Settings-ID`).
    pub settings_id: Option<String>,
    /// A profile written out (`Settings`).
    pub settings: Option<String>,
    /// Scores by group in the reply (`Flags: groups`).
    pub groups: bool,
    /// Times by stage in the reply (`Profile`, `Flags: profile`).
    pub profile: bool,
    /// No log line and no row in the history (`Log: no`, `Flags: no_log`).
    pub no_log: bool,
    /// Counted nowhere (`Flags: no_stat`).
    pub no_stat: bool,
    /// Answered without being scanned (`Flags: skip`).
    pub skip: bool,
    /// The mail's subject in the caller's words (`Subject`).
    pub subject: Option<String>,
}

/// A message that the caller has put where the service may read it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileInput {
    /// Its path; for shared memory below `/dev/shm`.
    pub path: String,
    /// Where in it the message begins (`Shm-Offset`).
    pub offset: u64,
    /// How long it is (`Shm-Length`); to the end where nothing is said.
    pub length: Option<u64>,
}

/// Splits a query string into the arguments that [`request`] takes.
///
/// A plus sign stays a plus sign: addresses with a tag (`user+tag@example.org`) are common,
/// addresses with a space in them are not.
pub fn query(raw: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(raw.replace('+', "%2B").as_bytes()).into_owned().collect()
}

/// Reads request headers and query arguments.
///
/// Where a single value is given twice the first one that makes sense counts. `now` is the
/// time of the scan unless the caller says when the mail came (`Received-At`).
pub fn request<'h>(
    headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
    query: &'h [(String, String)],
    now: i64,
) -> (Request, Options) {
    let mut reading = Reading::default();
    for (name, value) in headers {
        reading.header(name, &String::from_utf8_lossy(value));
    }
    for (name, value) in query {
        reading.header(name, value);
    }
    reading.finish(now)
}

/// What has been read so far.
#[expect(clippy::struct_excessive_bools, reason = "each is said by itself")]
#[derive(Default)]
struct Reading {
    envelope: Envelope,
    bare: bool,
    /// The body is one part (`Raw`), and by its name a calendar (`Filename`).
    raw: bool,
    names_calendar: bool,
    scope: Option<EvidenceScope>,
    policy: Option<Policy>,
    upstream_action: Option<Action>,
    upstream_score: Option<f64>,
    received_at: Option<i64>,
    deliver_to: Option<String>,
    forget: bool,
    offline: bool,
    options: Options,
}

impl Reading {
    fn header(&mut self, name: &str, value: &str) {
        let value = value.trim();
        let envelope = &mut self.envelope;
        match name.to_ascii_lowercase().as_str() {
            "from" => first(&mut envelope.sender, || sender(value)),
            "rcpt" => envelope.recipients.extend(addresses(value)),
            "deliver-to" => first(&mut self.deliver_to, || address(value)),
            "ip" => first(&mut envelope.client_ip, || client_ip(value)),
            "helo" => first(&mut envelope.helo, || text(value)),
            // Postfix says "unknown" when the name could not be verified.
            "hostname" => first(&mut envelope.hostname, || {
                text(value).filter(|name| !name.eq_ignore_ascii_case("unknown"))
            }),
            "user" => first(&mut envelope.user, || text(value)),
            "queue-id" => first(&mut envelope.queue_id, || text(value)),
            "authentication-results" => {
                envelope.authentication_results.extend(text(value));
            }
            "scope" => first(&mut self.scope, || scope(value)),
            "calendar-policy" => first(&mut self.policy, || Policy::parse(value)),
            "upstream-action" => first(&mut self.upstream_action, || Action::parse(value)),
            "upstream-score" => first(&mut self.upstream_score, || number(value)),
            "received-at" => first(&mut self.received_at, || time(value)),
            "content-type" => self.bare |= is_calendar_type(value),
            // As Rspamd has it: what is asked for a test is not to be counted.
            "log" if value.eq_ignore_ascii_case("no") => self.flag("no_log"),
            "no_stat" if !matches!(value, "0" | "false" | "no") => self.flag("no_stat"),
            "profile" => self.options.profile |= is_yes(value),
            "raw" => self.raw |= is_yes(value),
            "filename" => self.names_calendar |= is_calendar_name(value),
            "settings-id" => first(&mut self.options.settings_id, || text(value)),
            "settings" => first(&mut self.options.settings, || text(value)),
            "subject" => first(&mut self.options.subject, || text(value)),
            "url-format" => self.options.extended_urls |= value.eq_ignore_ascii_case("extended"),
            "flags" => value.split(',').for_each(|flag| self.flag(flag.trim())),
            "message-id" | "message_id" => {
                first(&mut self.options.message_id, || text(value.trim_matches(['<', '>'])));
            }
            "uid" => first(&mut self.options.uid, || text(value)),
            "organizer" => first(&mut self.options.organizer, || address(value)),
            "campaign" => first(&mut self.options.campaign, || text(value)),
            "address" => first(&mut self.options.address, || address(value)),
            // Rspamd's name, and the one of proxies.
            "log-tag" | "x-request-id" => first(&mut self.options.log_tag, || log_tag(value)),
            "compression" | "content-encoding" => {
                first(&mut self.options.compression, || compression(value));
                self.options.zstd |= value.eq_ignore_ascii_case(ZSTD);
            }
            // A method that nobody can undo without the dictionary.
            "dictionary" => self.options.compression = Some("zstd with a dictionary".to_owned()),
            "accept-encoding" => self.options.zstd |= takes_zstd(value),
            "accept" => {
                self.options.packed |= value.to_ascii_lowercase().contains("application/msgpack");
                value.clone_into(&mut self.options.accept);
            }
            "file" | "path" => value.clone_into(&mut self.file().path),
            "shm" => self.file().path = format!("/dev/shm/{}", value.trim_start_matches('/')),
            "shm-offset" => self.file().offset = value.parse().unwrap_or(0),
            "shm-length" => self.file().length = value.parse().ok(),
            _ => {}
        }
    }

    fn file(&mut self) -> &mut FileInput {
        self.options.file.get_or_insert_default()
    }

    fn flag(&mut self, flag: &str) {
        match flag.to_ascii_lowercase().as_str() {
            "ext_urls" => self.options.extended_urls = true,
            "no_dns" => self.offline = true,
            "no_events" => self.options.without_events = true,
            "purgate" => self.options.purgate = true,
            "no_stat" => (self.forget, self.options.no_stat) = (true, true),
            "no_log" => (self.forget, self.options.no_log) = (true, true),
            "groups" => self.options.groups = true,
            "profile" => self.options.profile = true,
            "skip" | "skip_process" => self.options.skip = true,
            "zstd" => self.options.zstd = true,
            // `pass_all`, `body_block`, `milter` and `ssl` change nothing: no rule keeps others
            // from being asked, no message is rewritten, and `milter` is in every reply.
            _ => {}
        }
    }

    fn finish(mut self, now: i64) -> (Request, Options) {
        // An offset alone says nothing.
        self.options.file = self.options.file.filter(|file| !file.path.is_empty());
        // A delivery agent that asks about one mailbox may name it in Deliver-To only.
        if self.envelope.recipients.is_empty() {
            self.envelope.recipients.extend(self.deliver_to);
        }
        let mut request = Request {
            envelope: self.envelope,
            bare: self.bare || (self.raw && self.names_calendar),
            scope: self.scope.unwrap_or_default(),
            policy: self.policy,
            now: self.received_at.unwrap_or(now),
            forget: self.forget,
            offline: self.offline,
            ..Request::default()
        };
        request.upstream.action = self.upstream_action;
        request.upstream.score = self.upstream_score;
        (request, self.options)
    }
}

fn first<T>(place: &mut Option<T>, read: impl FnOnce() -> Option<T>) {
    if place.is_none() {
        *place = read();
    }
}

fn text(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.to_owned())
}

/// The envelope sender: `<>` and nothing at all are the null sender.
fn sender(value: &str) -> Option<String> {
    if value.is_empty() || value == "<>" { Some(String::new()) } else { address(value) }
}

/// An address without what mail systems put around it; `None` for what is no address.
fn address(value: &str) -> Option<String> {
    let mut rest = value.trim();
    for (open, close) in [('<', '>'), ('{', '}')] {
        if let Some(inner) = rest.strip_prefix(open).and_then(|rest| rest.strip_suffix(close)) {
            rest = inner.trim();
        }
    }
    let broken = |c: char| matches!(c, '<' | '>') || c.is_control();
    // A quoted local part may hold a space; anything else with one is not an address.
    let spaced = rest.contains(char::is_whitespace) && !rest.starts_with('"');
    (!rest.is_empty() && !rest.contains(broken) && !spaced).then(|| rest.to_owned())
}

/// Addresses separated by commas; a comma in quotes or angle brackets separates nothing.
fn addresses(value: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let (mut quoted, mut escaped, mut bracketed) = (false, false, false);
    for c in value.chars() {
        if c == ',' && !quoted && !bracketed {
            pieces.push(String::new());
            continue;
        }
        match c {
            '"' if !escaped => quoted = !quoted,
            '<' if !quoted => bracketed = true,
            '>' if !quoted => bracketed = false,
            _ => {}
        }
        escaped = c == '\\' && !escaped;
        if let Some(piece) = pieces.last_mut() {
            piece.push(c);
        }
    }
    pieces.iter().filter_map(|piece| address(piece)).collect()
}

/// An IP address, also as SMTP writes it: `[192.0.2.1]`, `[IPv6:2001:db8::1]`.
fn client_ip(value: &str) -> Option<IpAddr> {
    let value = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(value);
    let prefix = value.get(..5).filter(|prefix| prefix.eq_ignore_ascii_case("IPv6:"));
    let value = prefix.and_then(|prefix| value.get(prefix.len()..)).unwrap_or(value);
    value.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

fn scope(value: &str) -> Option<EvidenceScope> {
    match value.to_ascii_lowercase().as_str() {
        "calendar" => Some(EvidenceScope::Calendar),
        "message" => Some(EvidenceScope::Message),
        _ => None,
    }
}

fn number(value: &str) -> Option<f64> {
    value.parse::<f64>().ok().filter(|number| number.is_finite())
}

/// A point in time: RFC 3339, the form of mail headers, or seconds since 1970.
fn time(value: &str) -> Option<i64> {
    chrono::DateTime::parse_from_rfc3339(value)
        .or_else(|_| chrono::DateTime::parse_from_rfc2822(value))
        .map(|time| time.timestamp())
        .ok()
        .or_else(|| value.parse().ok())
}

/// Whether a Content-Type says that the body is a calendar with no mail around it.
fn is_calendar_type(value: &str) -> bool {
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(
        essence.as_str(),
        "text/calendar"
            | "text/x-vcalendar"
            | "text/ics"
            | "application/ics"
            | "application/calendar"
            | "application/calendar+json"
            | "application/calendar+xml"
            | "application/jscalendar+json"
    )
}

/// A switch that is on unless its value says otherwise.
fn is_yes(value: &str) -> bool {
    !matches!(value.to_ascii_lowercase().as_str(), "" | "0" | "no" | "false")
}

/// Whether the name of a file says that a calendar is in it.
fn is_calendar_name(value: &str) -> bool {
    let ending = value.rsplit('.').next().unwrap_or_default();
    ["ics", "ical", "ifb", "vcs"].iter().any(|one| ending.eq_ignore_ascii_case(one))
}

fn log_tag(value: &str) -> Option<String> {
    let tag: String = value
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        .take(LOG_TAG_LENGTH)
        .collect();
    (!tag.is_empty()).then_some(tag)
}

fn compression(value: &str) -> Option<String> {
    let name = value.to_ascii_lowercase();
    (!name.is_empty() && name != "identity").then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads header lines and a query string as a request would bring them.
    fn read(headers: &[(&str, &str)], arguments: &str) -> (Request, Options) {
        let arguments = query(arguments);
        request(headers.iter().map(|(n, v)| (*n, v.as_bytes())), &arguments, 1_000)
    }

    #[test]
    fn reads_the_whole_envelope() {
        let (request, options) = read(
            &[
                ("From", "<promo@example.net>"),
                ("RCPT", "<bob@example.com>"),
                ("Rcpt", "\"a,b\"@example.org, {carol@example.com},, <d,e@example.com>"),
                ("IP", "[IPv6:2001:db8::1]"),
                ("Helo", "mail.example.net"),
                ("Hostname", "unknown"),
                ("User", "bob"),
                ("Queue-Id", "4ABC"),
                ("Authentication-Results", "mx; spf=pass"),
                ("Authentication-Results", "mx; dkim=pass"),
                ("Scope", "Calendar"),
                ("Calendar-Policy", "never"),
                ("Upstream-Action", "add header"),
                ("Upstream-Score", "7.5"),
                ("Received-At", "2026-11-20T10:00:00Z"),
                ("Content-Type", "Text/Calendar; method=REQUEST"),
                ("X-Unknown", "ignored"),
                ("Log-Tag", "ab c\u{1b}[1m"),
                ("Flags", "body_block, ext_urls, No_DNS, no_events"),
            ],
            "",
        );
        let envelope = &request.envelope;
        assert_eq!(envelope.sender.as_deref(), Some("promo@example.net"));
        assert_eq!(
            envelope.recipients,
            ["bob@example.com", "\"a,b\"@example.org", "carol@example.com", "d,e@example.com"]
        );
        assert_eq!(envelope.client_ip, "2001:db8::1".parse().ok());
        assert_eq!(envelope.helo.as_deref(), Some("mail.example.net"));
        assert_eq!(envelope.hostname, None);
        assert_eq!(envelope.user.as_deref(), Some("bob"));
        assert_eq!(envelope.queue_id.as_deref(), Some("4ABC"));
        assert_eq!(envelope.authentication_results.len(), 2);
        assert_eq!(request.scope, EvidenceScope::Calendar);
        assert_eq!(request.policy, Some(Policy::Never));
        assert_eq!(request.upstream.action, Some(Action::AddHeader));
        assert_eq!(request.upstream.score, Some(7.5));
        assert_eq!(request.now, 1_795_168_800);
        assert!(request.bare && request.offline);
        assert!(options.extended_urls && options.without_events);
        assert_eq!(options.log_tag.as_deref(), Some("abc1m"));
        assert_eq!(options.compression, None);
    }

    #[test]
    fn null_sender_is_not_a_missing_sender() {
        assert_eq!(read(&[], "").0.envelope.sender, None);
        assert_eq!(read(&[("From", "<>")], "").0.envelope.sender.as_deref(), Some(""));
        assert_eq!(read(&[("From", "")], "").0.envelope.sender.as_deref(), Some(""));
    }

    #[test]
    fn bad_values_count_as_not_sent() {
        let (request, options) = read(
            &[
                ("From", "<<bad"),
                ("Rcpt", "foo bar"),
                ("IP", "not-an-ip"),
                ("Scope", "everything"),
                ("Calendar-Policy", "sometimes"),
                ("Upstream-Action", "explode"),
                ("Upstream-Score", "NaN"),
                ("Received-At", "yesterday"),
                ("Content-Encoding", "identity"),
            ],
            "",
        );
        assert_eq!(request.envelope, Envelope::default());
        assert_eq!(request.scope, EvidenceScope::Message);
        assert_eq!(request.policy, None);
        assert_eq!(request.upstream.action, None);
        assert_eq!(request.upstream.score, None);
        assert_eq!(request.now, 1_000);
        assert_eq!(options, Options::default());
    }

    #[test]
    fn query_arguments_are_headers() {
        let (request, options) = read(
            &[("IP", "192.0.2.1")],
            "from=a%40b.example&ip=192.0.2.9&rcpt=x+tag@example.com&URL-Format=extended",
        );
        assert_eq!(request.envelope.sender.as_deref(), Some("a@b.example"));
        assert_eq!(request.envelope.client_ip, "192.0.2.1".parse().ok());
        assert_eq!(request.envelope.recipients, ["x+tag@example.com"]);
        assert!(options.extended_urls);
    }

    #[test]
    fn deliver_to_stands_in_for_a_missing_recipient() {
        let (request, _) = read(&[("Deliver-To", "{bob@example.com}")], "");
        assert_eq!(request.envelope.recipients, ["bob@example.com"]);
        let (request, _) =
            read(&[("Deliver-To", "bob@example.com"), ("Rcpt", "eve@example.com")], "");
        assert_eq!(request.envelope.recipients, ["eve@example.com"]);
    }

    #[test]
    fn calendar_types() {
        for (value, expected) in [
            ("text/calendar", true),
            ("application/ics; charset=utf-8", true),
            ("APPLICATION/CALENDAR", true),
            ("text/plain", false),
            ("message/rfc822", false),
            ("", false),
        ] {
            assert_eq!(is_calendar_type(value), expected, "{value}");
        }
    }

    #[test]
    fn compression_is_seen_in_both_headers() {
        for header in ["Compression", "Content-Encoding"] {
            let (_, options) = read(&[(header, "ZSTD")], "");
            assert_eq!(options.compression.as_deref(), Some("zstd"));
        }
    }
}
