//! Abuse reports: what somebody was sent, in the form that senders' abuse desks read by program
//! (RFC 5965), without the names of those who were sent it (RFC 6590).
//!
//! Comes in: a message with its envelope, and where else it is known to lie. Goes out: a mail
//! with the report, addresses that might want it, and the events to take back elsewhere.
//! Not an error: anything in the message. What cannot stand in a report is left out.
//!
//! Nothing is sent: whoever asks for a report decides whether, and to whom.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use mail_auth::report::{Feedback, FeedbackType};
use mail_builder::MessageBuilder;
use mail_builder::headers::HeaderType;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::raw::Raw;
use mail_builder::mime::{BodyPart, MimePart};
use serde::Serialize;

use crate::calendar::{self, Reading};
use crate::facts::{self, Facts, Origin, domain};
use crate::message::{self, Message};
use crate::scan::{self, Request};

mod copy;
mod redact;
mod suggest;

pub use suggest::{Suggestion, Why};

use redact::Redactor;

/// Largest message that is reported whole; of a larger one the header is enough.
const WHOLE: usize = 1024 * 1024;

/// Links named in a report.
const LINKS: usize = 50;

/// Octets of a value.
const VALUE: usize = 900;

/// Longest line that mail carries, with its carriage return (RFC 5321 §4.5.3.1.6).
const LINE: usize = 999;

/// Events and places to take back.
const RETRACT: usize = 1_000;

/// Time for reading the message.
const TIME: Duration = Duration::from_secs(4);

/// What is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// Unsolicited.
    #[default]
    Abuse,
    /// Phishing and other deceit.
    Fraud,
    /// Something harmful is attached.
    Virus,
    /// It was taken for spam and is none.
    NotSpam,
    /// None of these.
    Other,
}

impl Sort {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Abuse, Self::Fraud, Self::Virus, Self::NotSpam, Self::Other];

    /// Name in reports (RFC 5965 §7.3).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Abuse => "abuse",
            Self::Fraud => "fraud",
            Self::Virus => "virus",
            Self::NotSpam => "not-spam",
            Self::Other => "other",
        }
    }

    /// The sort with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sort| sort.name().eq_ignore_ascii_case(name.trim()))
    }

    const fn feedback(self) -> FeedbackType {
        match self {
            Self::Abuse => FeedbackType::Abuse,
            Self::Fraud => FeedbackType::Fraud,
            Self::Virus => FeedbackType::Virus,
            Self::NotSpam => FeedbackType::NotSpam,
            Self::Other => FeedbackType::Other,
        }
    }
}

/// How a report is written.
#[derive(Debug, Clone)]
pub struct Options {
    /// What is reported.
    pub sort: Sort,
    /// Mail address of whoever reports.
    pub reporter: String,
    /// Names and addresses of recipients become pseudonyms.
    pub redact: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { sort: Sort::default(), reporter: REPORTER.to_owned(), redact: true }
    }
}

/// Reporter where nobody says who.
const REPORTER: &str = "postmaster@localhost";

/// An event that lies in somebody's calendar because of such a message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Delivered {
    /// UID of the event, or how the store shows it.
    pub uid: String,
    /// Whose calendar, or how the store shows it.
    pub recipient: String,
    /// Message-ID of the mail that brought it.
    pub message_id: Option<String>,
}

/// A report, and what to do with it.
#[derive(Debug, Clone)]
pub struct Report {
    /// The mail, without a recipient yet.
    pub mail: Vec<u8>,
    /// Who might want it, the likeliest first.
    pub send_to: Vec<Suggestion>,
    /// What to take back, of this message and of others with the same events.
    pub retract: Vec<Delivered>,
    /// UIDs of the message's events.
    pub uids: Vec<String>,
}

/// The UIDs of a message's events, to look up where else they are.
pub fn uids(bytes: &[u8], request: &Request, settings: &scan::Settings) -> Vec<String> {
    let message = message::parse(bytes, request.bare, &request.envelope, &settings.message);
    uids_of(&read(&message, settings))
}

fn read(message: &Message<'_>, settings: &scan::Settings) -> Reading {
    let start = Instant::now();
    calendar::read(message, &settings.calendar, &|| start.elapsed() >= TIME)
}

fn uids_of(reading: &Reading) -> Vec<String> {
    let uids = reading.events.iter().filter_map(|event| event.uid.clone());
    uids.take(RETRACT).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Writes a report. `pseudonym` makes a name that stands for another one, always the same for
/// the same, and tells nobody which; `delivered` is where the store knows the events to be.
pub fn report(
    bytes: &[u8],
    request: &Request,
    settings: &scan::Settings,
    options: &Options,
    pseudonym: &dyn Fn(&str) -> String,
    delivered: &[Delivered],
) -> Report {
    let message = message::parse(bytes, request.bare, &request.envelope, &settings.message);
    let reading = read(&message, settings);
    let facts =
        facts::gather(&message, &reading, &request.envelope, request.now, settings.limits.urls);
    let redactor = if options.redact { Redactor::new(&facts, pseudonym) } else { Redactor::none() };
    let uids = uids_of(&reading);
    let mut retract: BTreeSet<Delivered> = delivered.iter().take(RETRACT).cloned().collect();
    for recipient in &request.envelope.recipients {
        for uid in &uids {
            if retract.len() < RETRACT {
                let (uid, recipient) = (uid.clone(), recipient.clone());
                retract.insert(Delivered {
                    uid,
                    recipient,
                    message_id: message.message_id.clone(),
                });
            }
        }
    }
    Report {
        mail: mail(&facts, request, options, &redactor),
        send_to: suggest::addresses(&facts),
        retract: retract.into_iter().collect(),
        uids,
    }
}

/// The mail of three parts: for people, for programs, and what it is about.
fn mail(facts: &Facts<'_>, request: &Request, options: &Options, redactor: &Redactor) -> Vec<u8> {
    let header = |name: &str| format!("message/{name}");
    let parts = vec![
        MimePart::new("text/plain", explanation(facts, request, options)),
        MimePart {
            headers: vec![raw("Content-Type", &header("feedback-report"))],
            contents: BodyPart::Binary(
                fields(facts, request, options, redactor).into_bytes().into(),
            ),
        },
        about(facts, redactor),
    ];
    // Without an encoding of its own a part is written as it is.
    let parts = parts.into_iter().enumerate().map(|(index, part)| match index {
        1 => part.transfer_encoding("7bit"),
        _ => part,
    });
    let kind = ContentType::new("multipart/report").attribute("report-type", "feedback-report");
    let host = options.reporter.rsplit_once('@').map_or("localhost", |(_, host)| host);
    let reporter = one_line(&options.reporter);
    let id = format!("{}@{}", mail_builder::mime::make_boundary("."), one_line(host));
    // Readers sort reports by it: the reported mail's, as if forwarded (RFC 5965 §2).
    let subject = facts.message.subject.as_deref().map(|subject| one_line(&redactor.text(subject)));
    let subject = subject.filter(|subject| !subject.trim().is_empty());
    let subject = format!("FW: {}", subject.as_deref().unwrap_or("calendar invitation"));
    MessageBuilder::new()
        .from(reporter.as_str())
        .subject(subject.as_str())
        .date(request.now)
        .message_id(id)
        .header("Auto-Submitted", HeaderType::Raw(Raw::new("auto-generated")))
        .body(MimePart::new(kind, BodyPart::Multipart(parts.collect())))
        .write_to_vec()
        .unwrap_or_default()
}

fn raw<'x>(name: &'static str, value: &str) -> (std::borrow::Cow<'x, str>, HeaderType<'x>) {
    (name.into(), HeaderType::Raw(Raw::new(value.to_owned())))
}

/// The part for people.
fn explanation(facts: &Facts<'_>, request: &Request, options: &Options) -> String {
    let mut text = String::from("This is a report about a calendar invitation.\r\n\r\n");
    let mut line = |what: &str, value: Option<&str>| {
        if let Some(value) = value.map(one_line).filter(|value| !value.is_empty()) {
            text.extend([what, ": ", &value, "\r\n"]);
        }
    };
    line("Reported as", Some(options.sort.name()));
    let time = chrono::DateTime::from_timestamp(request.now, 0).map(|time| time.to_rfc2822());
    line("Received", time.as_deref());
    line("From host", request.envelope.client_ip.map(|ip| ip.to_string()).as_deref());
    let events = &facts.reading.events;
    let organizer =
        events.iter().flat_map(|event| &event.organizers).find_map(|o| o.address.as_deref());
    line("Organizer", organizer);
    line("Events", Some(&events.len().to_string()));
    if options.redact {
        text += "\r\nNames and addresses of recipients are replaced by pseudonyms (RFC 6590), the \
                 same for the\r\nsame person in every report from here. Attachments are left out.\r\n";
    }
    text
}

/// The part for programs.
fn fields(facts: &Facts<'_>, request: &Request, options: &Options, redactor: &Redactor) -> String {
    let shown = |text: &str| value(&redactor.text(text));
    let envelope = &request.envelope;
    let mut feedback = Feedback::new(options.sort.feedback())
        .with_version(1)
        .with_user_agent(concat!("calspamd/", env!("CARGO_PKG_VERSION")))
        .with_arrival_date(request.now);
    if let Some(sender) = envelope.sender.as_deref().and_then(shown) {
        feedback = feedback.with_original_mail_from(format!("<{sender}>"));
    }
    if let Some(recipient) = envelope.recipients.first().and_then(|address| shown(address)) {
        feedback = feedback.with_original_rcpt_to(format!("<{recipient}>"));
    }
    if let Some(id) = envelope.queue_id.as_deref().and_then(value) {
        feedback = feedback.with_original_envelope_id(id);
    }
    if let Some(host) = options.reporter.rsplit_once('@').and_then(|(_, host)| value(host)) {
        feedback = feedback.with_reporting_mta(format!(" {host}"));
    }
    if let Some(ip) = envelope.client_ip {
        feedback = feedback.with_source_ip(ip);
    }
    for results in envelope.authentication_results.iter().filter_map(|text| shown(text)) {
        feedback = feedback.with_authentication_results(results);
    }
    for name in domains(facts) {
        feedback = feedback.with_reported_domain(name);
    }
    let links = facts.links.all.iter().filter(|link| link.origin == Origin::Calendar);
    let links: BTreeSet<String> = links.filter_map(|link| shown(&link.url)).collect();
    for link in links.into_iter().take(LINKS) {
        feedback = feedback.with_reported_uri(link);
    }
    feedback.to_arf()
}

/// Domains of the organizers and of the links, by name.
fn domains(facts: &Facts<'_>) -> BTreeSet<String> {
    let organizers = facts.reading.events.iter().flat_map(|event| &event.organizers);
    let hosts = organizers
        .filter_map(|organizer| organizer.address.as_deref()?.rsplit_once('@'))
        .map(|(_, host)| domain::registered(host).into_owned());
    let links = facts.links.all.iter().filter(|link| link.origin == Origin::Calendar);
    let links = links.filter_map(facts::Link::domain).map(std::borrow::Cow::into_owned);
    hosts.chain(links).filter_map(|name| value(&name)).take(LINKS).collect()
}

/// What the report is about: a copy without names, or the message as it came.
fn about<'x>(facts: &'x Facts<'_>, redactor: &Redactor) -> MimePart<'x> {
    let content =
        if redactor.is_on() { copy::redacted(facts, redactor) } else { copy::exact(facts.message) };
    let whole = content.len() <= WHOLE;
    let kind = if whole { "message/rfc822" } else { "text/rfc822-headers" };
    let content = if whole { content } else { copy::header_of(content, WHOLE) };
    let is_long = content.split(|octet| *octet == b'\n').any(|line| line.len() > LINE);
    let encoding = match content.is_ascii() {
        _ if is_long => "binary",
        true => "7bit",
        false => "8bit",
    };
    MimePart {
        headers: vec![raw("Content-Type", kind), raw("Content-Disposition", "inline")],
        contents: BodyPart::Binary(content.into()),
    }
    .transfer_encoding(encoding)
}

/// A text without what ends a line or commands a terminal.
fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(VALUE).collect()
}

/// A text as the value of a field: ASCII, and none where too little or too much is left.
fn value(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    for c in text.trim().chars().filter(|c| !c.is_control()) {
        if c.is_ascii() {
            out.push(c);
        } else {
            let mut octets = [0; 4];
            for octet in c.encode_utf8(&mut octets).bytes() {
                out.extend(['%', hex(octet >> 4), hex(octet & 15)]);
            }
        }
    }
    (!out.is_empty() && out.len() <= VALUE).then_some(out)
}

/// How a report is to be written: `type`, `reporter` and `redact=no` of a query. An error says
/// what makes no sense.
pub fn options(query: &[(String, String)]) -> Result<Options, String> {
    let mut options = Options::default();
    for (name, value) in query {
        match name.to_ascii_lowercase().as_str() {
            "type" => {
                options.sort = Sort::parse(value).ok_or_else(|| {
                    format!("type: write {}", Sort::ALL.map(Sort::name).join(", "))
                })?;
            }
            "reporter" => {
                let is_address = value.is_ascii()
                    && value
                        .split_once('@')
                        .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
                    && !value.contains(|c: char| c.is_whitespace() || c.is_control());
                if !is_address {
                    return Err("reporter: write a mail address".to_owned());
                }
                options.reporter.clone_from(value);
            }
            "redact" => {
                options.redact = !matches!(&*value.to_ascii_lowercase(), "no" | "false" | "0");
            }
            _ => {}
        }
    }
    Ok(options)
}

/// A pseudonym of this process: where no installation has a secret.
pub fn pseudonym(name: &str) -> String {
    static SECRET: OnceLock<RandomState> = OnceLock::new();
    let secret = SECRET.get_or_init(RandomState::new);
    format!("{:016x}", secret.hash_one(name))
}

fn hex(digit: u8) -> char {
    char::from_digit(digit.into(), 16).unwrap_or_default().to_ascii_uppercase()
}

#[derive(Serialize)]
struct Answer<'r> {
    report: std::borrow::Cow<'r, str>,
    r#type: &'static str,
    redacted: bool,
    send_to: &'r [Suggestion],
    uids: &'r [String],
    retract: &'r [Delivered],
}

/// A report as the body of a reply.
pub fn answer(report: &Report, options: &Options) -> Vec<u8> {
    let answer = Answer {
        report: String::from_utf8_lossy(&report.mail),
        r#type: options.sort.name(),
        redacted: options.redact,
        send_to: &report.send_to,
        uids: &report.uids,
        retract: &report.retract,
    };
    serde_json::to_vec(&answer).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Envelope;

    const MAIL: &str = "Received: from mx.evil.example by mx.corp.example for <bob@corp.example>; \
        Fri, 20 Nov 2026 10:00:00 +0000\r\n\
        DKIM-Signature: v=1; a=rsa-sha256; d=evil.example; s=s; h=from:to:cfbl-address; bh=x; b=y\r\n\
        CFBL-Address: fbl@evil.example; report=arf\r\nFrom: Eve <eve@evil.example>\r\n\
        To: Bob Sample <bob@corp.example>, =?utf-8?q?J=C3=B6rg_Muster?= <joerg@corp.example>\r\n\
        Subject: Invoice for Bob Sample\r\nMessage-ID: <m1@evil.example>\r\n\
        MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
        --b\r\nContent-Type: text/plain\r\n\r\nHello bob@corp.example!\r\n\
        --b\r\nContent-Type: text/calendar; method=REQUEST\r\n\r\n\
        BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:u1@evil.example\r\n\
        DTSTART:20261201T100000Z\r\nORGANIZER:mailto:eve@evil.example\r\n\
        ATTENDEE;CN=Bob Sample:mailto:bob@corp.example\r\nATTENDEE;CN=Carla Lange:mailto:ca\r\n \
        rla@other.example\r\nDESCRIPTION:Dear Bob Sample\\, pay at https://pay.evil.example/?to=bob%40corp.example\r\n\
        END:VEVENT\r\nEND:VCALENDAR\r\n--b--\r\n";

    fn request() -> Request {
        let envelope = Envelope {
            client_ip: "192.0.2.9".parse().ok(),
            sender: Some("bounce+bob=corp.example@evil.example".to_owned()),
            recipients: vec!["bob@corp.example".to_owned()],
            authentication_results: vec!["mx; dkim=pass header.d=evil.example".to_owned()],
            ..Envelope::default()
        };
        Request { envelope, now: 1_795_168_800, ..Request::default() }
    }

    fn made(mail: &str, options: &Options) -> Report {
        let pseudonym = |name: &str| format!("p{}", name.len());
        let settings = scan::Settings::default();
        report(mail.as_bytes(), &request(), &settings, options, &pseudonym, &[])
    }

    #[test]
    fn recipients_are_hidden_and_senders_are_not() {
        let report = made(MAIL, &Options::default());
        let text = String::from_utf8(report.mail).unwrap();
        for hidden in
            ["bob@", "bob%40", "bob=", "Bob Sample", "joerg", "J=C3=B6rg", "Carla", "rla@other"]
        {
            assert!(!text.contains(hidden), "{hidden}: {text}");
        }
        for shown in [
            "p3@corp.example",
            "eve@evil.example",
            "Feedback-Type: abuse\r\n",
            "Source-IP: 192.0.2.9\r\n",
            "Reported-Domain: evil.example\r\n",
            "Original-Mail-From: <bounce+p3=corp.example@evil.example>\r\n",
            "UID:u1@evil.example",
            "Subject: FW: Invoice for p10",
        ] {
            assert!(text.contains(shown), "{shown}: {text}");
        }
        assert!(text.is_ascii());
        let parsed = Feedback::parse_rfc5322(text.as_bytes()).unwrap();
        assert_eq!(parsed.feedback_type(), FeedbackType::Abuse);
        assert_eq!(parsed.source_ip(), "192.0.2.9".parse().ok());
        let options = Options { redact: false, ..Options::default() };
        let text = String::from_utf8(made(MAIL, &options).mail).unwrap();
        assert!(text.contains(MAIL), "{text}");
    }

    #[test]
    fn who_wants_it_and_what_to_take_back() {
        let report = made(MAIL, &Options::default());
        let shown: Vec<(&str, Why, bool)> = report
            .send_to
            .iter()
            .map(|one| (one.address.as_str(), one.why, one.verified))
            .collect();
        assert_eq!(
            shown,
            [
                ("fbl@evil.example", Why::CfblAddress, true),
                ("abuse@evil.example", Why::Signer, true),
            ]
        );
        assert_eq!(report.uids, ["u1@evil.example"]);
        assert_eq!(report.retract.len(), 1);
        assert_eq!(report.retract[0].recipient, "bob@corp.example");
        // Not under a signature: anybody's.
        let unsigned = made(&MAIL.replace(":cfbl-address;", ";"), &Options::default());
        let fbl = unsigned.send_to.iter().find(|one| one.why == Why::CfblAddress).unwrap();
        assert!(!fbl.verified);
    }

    #[test]
    fn hostile_values_end_no_line() {
        let mail = MAIL
            .replace("u1@evil.example", "u1\\nSource-IP: 1")
            .replace("https://pay.evil.example/", "https://pay.evil.example/\u{7}\u{e9}\\n");
        let mut request = request();
        request.envelope.sender = Some("a\r\nSource-IP: 203.0.113.1\r\n@x.example".to_owned());
        request.envelope.authentication_results = vec!["mx; x\r\n\r\n--b".to_owned()];
        let options =
            Options { reporter: "a\r\nBcc: x@y.example".to_owned(), ..Options::default() };
        let settings = scan::Settings::default();
        let report = report(mail.as_bytes(), &request, &settings, &options, &pseudonym, &[]);
        let text = String::from_utf8(report.mail).unwrap();
        let count = |line: &str| text.lines().filter(|found| found.starts_with(line)).count();
        assert_eq!(count("Source-IP:"), 1, "{text}");
        assert_eq!(count("Bcc:"), 0, "{text}");
    }

    #[test]
    fn a_large_message_is_its_header() {
        let large = MAIL.replace("Hello", &"Hello and more\r\n".repeat(WHOLE / 10));
        let options = Options { redact: false, ..Options::default() };
        let report = made(&large, &options);
        assert!(report.mail.len() < 10_000, "{}", report.mail.len());
        assert!(String::from_utf8_lossy(&report.mail).contains("text/rfc822-headers"));
    }

    #[test]
    fn options_of_a_query() {
        #[track_caller]
        fn check(name: &str, value: &str, fits: bool) {
            assert_eq!(
                options(&[(name.to_owned(), value.to_owned())]).is_ok(),
                fits,
                "{name}={value}"
            );
        }
        check("type", "fraud", true);
        check("Type", "Not-Spam", true);
        check("type", "annoying", false);
        check("reporter", "abuse@corp.example", true);
        check("reporter", "abuse", false);
        check("reporter", "a@b\r\nBcc: c@d", false);
        check("redact", "no", true);
        check("else", "", true);
    }
}
