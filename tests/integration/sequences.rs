//! What happens one after the other: messages and reports over HTTP, with a clock of the test's
//! own, on every store. What a rule says at the end depends on what came before.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use calspamd::reputation::{Limit, Reputation, Settings, Store};
use calspamd::rules;
use calspamd::scan;
use calspamd::server::State;
use serde_json::Value;

use crate::stores;
use crate::support::{Service, load, test_settings};

/// 2026-11-02T08:00:00Z
pub(crate) const START: i64 = 1_793_606_400;
const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;
pub(crate) const DAY: i64 = 86_400;

/// A service with an empty store, and the means to wait for it.
pub(crate) struct Site {
    pub(crate) service: Service,
    pub(crate) reputation: Reputation,
    clock: Arc<AtomicI64>,
}

impl Site {
    pub(crate) fn new(store: Arc<dyn Store>, settings: &Settings) -> Self {
        let clock = Arc::new(AtomicI64::new(START));
        let read = Arc::clone(&clock);
        let read = Arc::new(move || read.load(Ordering::Relaxed));
        let reputation = Reputation::over(store, b"the secret of tests", settings, read).unwrap();
        let settings =
            scan::Settings { reputation: reputation.clone(), ..scan::Settings::default() };
        let state = State::new(load(&rules::built_in()), settings).unwrap();
        let service = Service::with(test_settings(), Arc::new(state));
        Self { service, reputation, clock }
    }

    /// Scans, and waits until it is remembered.
    #[track_caller]
    pub(crate) fn scan(&self, mail: &Mail) -> Answer {
        self.clock.fetch_max(mail.at, Ordering::Relaxed);
        let reply = self.service.post("/checkv2", &mail.headers(), &mail.text());
        assert_eq!(reply.status, 200, "{reply:?}");
        self.reputation.settle().unwrap();
        Answer(reply.json())
    }

    /// Reports, and says of how many messages.
    #[track_caller]
    pub(crate) fn report(&self, path: &str, headers: &str, body: &str) -> u64 {
        let at = headers.lines().find_map(|line| line.strip_prefix("Received-At: "));
        if let Some(at) = at {
            self.clock.fetch_max(at.parse().unwrap(), Ordering::Relaxed);
        }
        let reply = self.service.post(path, headers, body);
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()["count"].as_u64().unwrap()
    }

    #[track_caller]
    fn user_reports(&self, path: &str, user: &str, mail: &Mail, at: i64) {
        let headers = format!("User: {user}\r\nReceived-At: {at}\r\n{}", mail.result());
        assert_eq!(self.report(path, &headers, &mail.text()), 1);
    }
}

/// What the service answered.
pub(crate) struct Answer(pub(crate) Value);

impl Answer {
    pub(crate) fn has(&self, symbol: &str) -> bool {
        self.0["symbols"].get(symbol).is_some()
    }

    pub(crate) fn symbols(&self) -> Vec<&str> {
        self.0["symbols"].as_object().unwrap().keys().map(String::as_str).collect()
    }

    #[track_caller]
    fn check(&self, present: &[&str], absent: &[&str]) {
        for symbol in present {
            assert!(self.has(symbol), "{symbol} is not in {:?}", self.symbols());
        }
        for symbol in absent {
            assert!(!self.has(symbol), "{symbol} is in {:?}", self.symbols());
        }
    }
}

/// A mail with one event.
#[derive(Clone)]
pub(crate) struct Mail {
    pub(crate) at: i64,
    pub(crate) uid: String,
    pub(crate) method: &'static str,
    pub(crate) organizer: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) sequence: i64,
    pub(crate) summary: String,
    pub(crate) description: String,
    pub(crate) extra: String,
    pub(crate) status: &'static str,
    /// Domains that pass authentication.
    pub(crate) passing: Vec<String>,
    pub(crate) user: Option<String>,
    pub(crate) ip: Option<&'static str>,
    pub(crate) id: String,
}

fn domain(address: &str) -> String {
    address.rsplit_once('@').unwrap().1.to_owned()
}

/// An invitation of its organizer, who is who he says.
pub(crate) fn invitation(number: usize, organizer: &str, to: &str, at: i64) -> Mail {
    Mail {
        at,
        uid: format!("meeting-{number}-7f3a@{}", domain(organizer)),
        method: "REQUEST",
        organizer: organizer.to_owned(),
        from: organizer.to_owned(),
        to: to.to_owned(),
        sequence: 0,
        summary: "Budget review".to_owned(),
        description: "Please bring your figures.".to_owned(),
        extra: String::new(),
        status: "NEEDS-ACTION",
        passing: vec![domain(organizer)],
        user: None,
        ip: None,
        id: format!("mail-{number}-{at}-{to}"),
    }
}

impl Mail {
    fn sent_by(mut self, from: &str) -> Self {
        self.passing = vec![domain(from)];
        from.clone_into(&mut self.from);
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn result(&self) -> String {
        self.passing.iter().fold(String::new(), |mut all, domain| {
            write!(all, "Authentication-Results: mx; dkim=pass header.d={domain}\r\n").unwrap();
            all
        })
    }

    pub(crate) fn headers(&self) -> String {
        let mut headers = format!(
            "From: {}\r\nRcpt: {}\r\nReceived-At: {}\r\n{}",
            self.from,
            self.to,
            self.at,
            self.result()
        );
        if let Some(user) = &self.user {
            write!(headers, "User: {user}\r\n").unwrap();
        }
        if let Some(ip) = self.ip {
            write!(headers, "IP: {ip}\r\n").unwrap();
        }
        headers
    }

    pub(crate) fn text(&self) -> String {
        let time = |seconds: i64, form: &str| {
            chrono::DateTime::from_timestamp(seconds, 0).unwrap().format(form).to_string()
        };
        let stamp = |seconds| time(seconds, "%Y%m%dT%H%M%SZ");
        let attendee =
            if matches!(self.method, "REPLY" | "COUNTER") { &self.from } else { &self.to };
        format!(
            "From: {from}\r\nTo: {to}\r\nSubject: {summary}\r\nDate: {date}\r\nMessage-ID: \
             <{id}>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; \
             boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n{description}\r\n--b\r\n\
             Content-Type: text/calendar; method={method}; charset=utf-8\r\n\r\n\
             BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Example Corp//Scheduler 4.2//EN\r\n\
             METHOD:{method}\r\nBEGIN:VEVENT\r\nUID:{uid}\r\nDTSTAMP:{stamp}\r\n\
             DTSTART:{start}\r\nDTEND:{end}\r\nSUMMARY:{summary}\r\n\
             ORGANIZER:mailto:{organizer}\r\n\
             ATTENDEE;PARTSTAT={status}:mailto:{attendee}\r\nSEQUENCE:{sequence}\r\n\
             DESCRIPTION:{description}\r\n{extra}END:VEVENT\r\nEND:VCALENDAR\r\n--b--\r\n",
            from = self.from,
            to = self.to,
            summary = self.summary,
            date = time(self.at, "%a, %d %b %Y %H:%M:%S +0000"),
            id = self.id,
            description = self.description,
            method = self.method,
            uid = self.uid,
            stamp = stamp(self.at),
            start = stamp(START + 30 * DAY),
            end = stamp(START + 30 * DAY + HOUR),
            organizer = self.organizer,
            status = self.status,
            sequence = self.sequence,
            extra = self.extra,
        )
    }
}

/// Plays a sequence on each store.
fn each(settings: &Settings, play: impl Fn(&Site)) {
    for made in stores::all() {
        println!("{}", made.name);
        let site = Site::new(Arc::clone(&made.store), settings);
        play(&site);
        site.reputation.stop();
        site.service.stop();
    }
}

const BOB: &str = "bob@corp.example";
const ANN: &str = "ann@partner.example";
const EVE: &str = "eve@evil.example";

#[test]
fn first_contact_then_known_after_outbound_mail() {
    each(&Settings::default(), |site| {
        let first = invitation(1, ANN, BOB, START);
        site.scan(&first).check(&["CAL_FIRST_CONTACT"], &["CAL_ORG_PRIOR"]);
        // To another recipient he is new once more; to Bob no longer.
        let to_carol = invitation(2, ANN, "carol@corp.example", START + HOUR);
        site.scan(&to_carol).check(&["CAL_FIRST_CONTACT"], &[]);
        let again = invitation(3, ANN, BOB, START + HOUR);
        site.scan(&again).check(&[], &["CAL_FIRST_CONTACT", "CAL_ORG_PRIOR"]);
        // Bob writes to her: a letter, no calendar in it.
        let headers = format!(
            "User: {BOB}\r\nFrom: {BOB}\r\nRcpt: {ANN}\r\nReceived-At: {}\r\n",
            START + DAY
        );
        let letter = format!("From: {BOB}\r\nTo: {ANN}\r\nSubject: hello\r\n\r\nhello\r\n");
        assert_eq!(site.service.post("/checkv2", &headers, &letter).status, 200);
        site.reputation.settle().unwrap();
        let known = invitation(4, ANN, BOB, START + DAY + HOUR);
        site.scan(&known).check(&["CAL_ORG_PRIOR"], &["CAL_FIRST_CONTACT"]);
        // Only when it is she: her name alone proves nothing.
        let forged = invitation(5, ANN, BOB, START + DAY + HOUR).sent_by(EVE);
        site.scan(&forged).check(&[], &["CAL_ORG_PRIOR"]);
        // Who says of himself that he is Bob is not Bob.
        let headers = format!("From: {BOB}\r\nRcpt: {EVE}\r\nReceived-At: {}\r\n", START + DAY);
        assert_eq!(site.service.post("/checkv2", &headers, &letter).status, 200);
        let eve = invitation(6, EVE, BOB, START + DAY + HOUR);
        site.scan(&eve).check(&["CAL_FIRST_CONTACT"], &["CAL_ORG_PRIOR"]);
    });
}

#[test]
fn accepting_makes_an_acquaintance() {
    each(&Settings::default(), |site| {
        let first = invitation(1, ANN, BOB, START);
        site.scan(&first);
        let yes = invitation(1, ANN, ANN, START + HOUR).sent_by(BOB).with(|mail| {
            (mail.method, mail.status) = ("REPLY", "ACCEPTED");
            mail.user = Some(BOB.to_owned());
        });
        site.scan(&yes);
        let update = first.clone().with(|mail| {
            (mail.sequence, mail.at) = (1, START + 2 * HOUR);
        });
        site.scan(&update).check(&["CAL_UID_KNOWN", "CAL_UID_ACCEPTED", "CAL_ORG_PRIOR"], &[]);
        // Carol has not accepted it.
        let carol = update.with(|mail| mail.to = "carol@corp.example".to_owned());
        site.scan(&carol).check(&["CAL_UID_KNOWN"], &["CAL_UID_ACCEPTED", "CAL_ORG_PRIOR"]);
    });
}

#[test]
fn address_books_are_believed() {
    each(&Settings::default(), |site| {
        let book = format!("BEGIN:VCARD\r\nEMAIL:{ANN}\r\nEND:VCARD\r\n");
        let headers = format!("User: {BOB}\r\nReceived-At: {START}\r\n");
        assert_eq!(site.report("/learncontacts", &headers, &book), 1);
        let mail = invitation(1, ANN, BOB, START + HOUR);
        site.scan(&mail).check(&["CAL_ORG_PRIOR"], &["CAL_FIRST_CONTACT"]);
        let carol = invitation(2, ANN, "carol@corp.example", START + HOUR);
        site.scan(&carol).check(&["CAL_FIRST_CONTACT"], &["CAL_ORG_PRIOR"]);
        let long_after = START + 800 * DAY;
        site.scan(&invitation(3, ANN, BOB, long_after)).check(&["CAL_FIRST_CONTACT"], &[]);
        assert_eq!(site.service.post("/learncontacts", "", &book).status, 400);
    });
}

#[test]
fn a_hijacked_uid() {
    each(&Settings::default(), |site| {
        let first = invitation(1, ANN, BOB, START);
        site.scan(&first);
        let taken = first.clone().sent_by(EVE).with(|mail| {
            EVE.clone_into(&mut mail.organizer);
            (mail.sequence, mail.at) = (5, START + HOUR);
            "Join at https://login.phish.example/now".clone_into(&mut mail.description);
        });
        site.scan(&taken).check(&["CAL_UPD_ORG_CHANGED", "CAL_X_HIJACK"], &["CAL_UID_KNOWN"]);
        // It has not changed what is known: the real organizer is neither stale nor forged.
        let update = first.clone().with(|mail| (mail.sequence, mail.at) = (1, START + 2 * HOUR));
        let answer = site.scan(&update);
        answer.check(&["CAL_UID_KNOWN"], &["CAL_UPD_ORG_CHANGED", "CAL_SEQ_STALE"]);
        // At another house nobody knows the UID.
        let elsewhere = taken.with(|mail| mail.to = "dan@other.example".to_owned());
        site.scan(&elsewhere).check(&[], &["CAL_UPD_ORG_CHANGED"]);
    });
}

#[test]
fn a_squatted_uid_is_the_organizers_all_the_same() {
    each(&Settings::default(), |site| {
        // Nobody vouches for him, so the UID is not his.
        let squat = invitation(1, ANN, BOB, START).with(|mail| {
            EVE.clone_into(&mut mail.organizer);
            EVE.clone_into(&mut mail.from);
            mail.passing.clear();
            mail.sequence = 900;
        });
        site.scan(&squat);
        let real = invitation(1, ANN, BOB, START + HOUR);
        let forged = ["CAL_UPD_ORG_CHANGED", "CAL_UPD_NOT_ORG", "CAL_SEQ_STALE", "CAL_UID_REUSE"];
        site.scan(&real).check(&[], &forged);
        let update = real.with(|mail| (mail.sequence, mail.at) = (1, START + 2 * HOUR));
        site.scan(&update).check(&["CAL_UID_KNOWN"], &forged);
        let again = squat.with(|mail| (mail.sequence, mail.at) = (901, START + 3 * HOUR));
        site.scan(&again).check(&["CAL_UPD_ORG_CHANGED"], &["CAL_UID_KNOWN"]);
    });
}

#[test]
fn a_forged_cancel() {
    each(&Settings::default(), |site| {
        let first = invitation(1, ANN, BOB, START);
        site.scan(&first);
        let cancel = |at, sequence| {
            first.clone().with(|mail| {
                (mail.method, mail.at, mail.sequence) = ("CANCEL", at, sequence);
            })
        };
        let forged = cancel(START + HOUR, 1).sent_by(EVE);
        let answer = site.scan(&forged);
        answer.check(&["CAL_CANCEL_FORGED"], &["CAL_CANCEL_UNKNOWN"]);
        assert_eq!(answer.0["calendar"]["decision"]["apply"], "ignore");
        let real = site.scan(&cancel(START + 2 * HOUR, 1));
        real.check(&["CAL_UID_KNOWN"], &["CAL_CANCEL_FORGED", "CAL_SEQ_STALE"]);
        let unknown = invitation(2, ANN, BOB, START).with(|mail| mail.method = "CANCEL");
        site.scan(&unknown).check(&["CAL_CANCEL_UNKNOWN"], &["CAL_CANCEL_FORGED"]);
    });
}

/// Bob's own invitation to Ann, as it leaves the house.
fn own(at: i64) -> Mail {
    invitation(7, BOB, ANN, at).with(|mail| mail.user = Some(BOB.to_owned()))
}

/// Somebody's answer to it.
fn reply(from: &str, at: i64) -> Mail {
    invitation(7, BOB, BOB, at).sent_by(from).with(|mail| {
        (mail.method, mail.status) = ("REPLY", "ACCEPTED");
        mail.description.clear();
    })
}

#[test]
fn answers_to_ones_own_event() {
    each(&Settings::default(), |site| {
        site.scan(&own(START));
        site.scan(&reply(ANN, START + HOUR)).check(&["CAL_REPLY_OWN"], &["CAL_REPLY_UNKNOWN"]);
        let crasher = site.scan(&reply(EVE, START + HOUR));
        crasher.check(&["CAL_REPLY_CRASHER"], &["CAL_REPLY_OWN", "CAL_REPLY_UNKNOWN"]);
        let lies =
            site.scan(&reply(ANN, START + HOUR).with(|mail| mail.passing = vec![domain(EVE)]));
        lies.check(&[], &["CAL_REPLY_OWN"]);
    });
}

#[test]
fn answers_to_nothing_count_where_one_could_know() {
    each(&Settings::default(), |site| {
        let odd = |at| {
            reply(ANN, at).with(|mail| "nobody-knows-it@corp.example".clone_into(&mut mail.uid))
        };
        // Whoever has never seen the house's outbound mail cannot know what it answers to.
        site.scan(&odd(START)).check(&[], &["CAL_REPLY_UNKNOWN"]);
        site.scan(&own(START));
        site.scan(&odd(START + DAY)).check(&[], &["CAL_REPLY_UNKNOWN"]);
        site.scan(&odd(START + 31 * DAY)).check(&["CAL_REPLY_UNKNOWN"], &["CAL_REPLY_OWN"]);
    });
}

#[test]
fn old_mail_is_old() {
    each(&Settings::default(), |site| {
        let at = |sequence, at| invitation(1, ANN, BOB, at).with(|mail| mail.sequence = sequence);
        site.scan(&at(0, START));
        site.scan(&at(2, START + HOUR)).check(&["CAL_UID_KNOWN"], &["CAL_SEQ_STALE"]);
        site.scan(&at(1, START + 2 * HOUR)).check(&["CAL_SEQ_STALE"], &["CAL_UID_KNOWN"]);
        site.scan(&at(2, START + 3 * HOUR)).check(&["CAL_UID_KNOWN"], &["CAL_SEQ_STALE"]);
    });
}

#[test]
fn a_swap_after_something_clean() {
    each(&Settings::default(), |site| {
        let first = invitation(1, ANN, BOB, START);
        site.scan(&first);
        let swapped = first.clone().with(|mail| {
            (mail.at, mail.sequence) = (START + HOUR, 1);
            "New room: https://login.evil.example/session".clone_into(&mut mail.description);
        });
        site.scan(&swapped).check(&["CAL_SWAP_AFTER"], &[]);
        // The same without a new link is an update like any other.
        let moved = invitation(2, ANN, BOB, START);
        site.scan(&moved);
        let moved = moved.with(|mail| {
            (mail.at, mail.sequence) = (START + HOUR, 1);
            "Another room: number 4.".clone_into(&mut mail.description);
        });
        site.scan(&moved).check(&["CAL_UID_KNOWN"], &["CAL_SWAP_AFTER"]);
    });
}

#[test]
fn an_instance_and_its_series() {
    each(&Settings::default(), |site| {
        let series =
            invitation(1, ANN, BOB, START).with(|mail| mail.extra = "RRULE:FREQ=WEEKLY\r\n".into());
        site.scan(&series);
        let instance = |from: &str, at| {
            series.clone().sent_by(from).with(|mail| {
                mail.at = at;
                mail.extra = "RECURRENCE-ID:20261209T080000Z\r\n".into();
            })
        };
        site.scan(&instance(ANN, START + HOUR)).check(&["CAL_UID_KNOWN"], &[]);
        let foreign = instance(EVE, START + HOUR).with(|mail| EVE.clone_into(&mut mail.organizer));
        site.scan(&foreign).check(&["CAL_UPD_ORG_CHANGED"], &["CAL_UID_KNOWN"]);
    });
}

fn limits() -> Settings {
    let mut settings = Settings::default();
    let limit = |count| Limit { count, window: 3_600 };
    settings.rates.organizer = limit(5);
    settings.rates.domain = limit(12);
    settings.rates.account = limit(3);
    settings.rates.client = limit(20);
    settings.rates.recipient = limit(4);
    settings
}

#[test]
fn windows_slide_exactly() {
    each(&limits(), |site| {
        let send = |number: usize, at| {
            let to = format!("user{number}@corp.example");
            site.scan(&invitation(number, ANN, &to, at))
        };
        for number in 0..5 {
            let at = START + i64::try_from(number).unwrap() * MINUTE;
            send(number, at).check(&[], &["CAL_RATE_SENDER"]);
        }
        // The sixth within the hour, to the last second of it.
        send(5, START + HOUR - 1).check(&["CAL_RATE_SENDER"], &["CAL_RATE_FLOOD"]);
        // One second later the first one is no longer in the window; the sixth is.
        send(6, START + HOUR).check(&["CAL_RATE_SENDER"], &[]);
        send(7, START + 3 * HOUR).check(&[], &["CAL_RATE_SENDER"]);
    });
    each(&limits(), |site| {
        for number in 0..6_usize {
            let at = START + if number == 0 { 0 } else { HOUR };
            let to = format!("user{number}@corp.example");
            let answer = site.scan(&invitation(number, ANN, &to, at));
            answer.check(&[], &["CAL_RATE_SENDER"]);
        }
    });
}

#[test]
fn floods_are_told_from_a_little_too_much() {
    each(&limits(), |site| {
        let mut first = None;
        for number in 0..30_usize {
            let to = format!("user{number}@corp.example");
            let answer = site.scan(&invitation(number, ANN, &to, START));
            if answer.has("CAL_RATE_FLOOD") {
                first.get_or_insert(number + 1);
            }
        }
        assert_eq!(first, Some(25));
    });
}

#[test]
fn domains_accounts_and_clients_are_counted_too() {
    each(&limits(), |site| {
        let first_over = |make: &dyn Fn(usize) -> Mail| {
            (0..40).find(|number| site.scan(&make(*number)).has("CAL_RATE_SENDER"))
        };
        let of_domain = |number: usize| {
            let to = format!("d{number}@corp.example");
            invitation(number, &format!("p{number}@many.example"), &to, START)
        };
        assert_eq!(first_over(&of_domain), Some(12));
        let of_client = |number: usize| {
            let to = format!("c{number}@corp.example");
            invitation(number, &format!("p@host{number}.example"), &to, START + DAY)
                .with(|mail| mail.ip = Some("192.0.2.77"))
        };
        assert_eq!(first_over(&of_client), Some(20));
        let of_account = |number: usize| {
            let to = format!("a{number}@far.example");
            invitation(number, &format!("alias{number}@corp.example"), &to, START + 2 * DAY)
                .with(|mail| mail.user = Some(BOB.to_owned()))
        };
        assert_eq!(first_over(&of_account), Some(3));
    });
}

#[test]
fn a_recipient_is_flooded_by_strangers() {
    each(&limits(), |site| {
        let mail =
            |number: usize, at| invitation(number, &format!("who@host{number}.example"), BOB, at);
        for number in 0..4 {
            site.scan(&mail(number, START)).check(&[], &["CAL_RATE_RCPT"]);
        }
        // Somebody he knows is no stranger, but the flood is there.
        site.scan(&mail(4, START + MINUTE)).check(&["CAL_RATE_RCPT"], &[]);
        let other = mail(5, START + MINUTE).with(|mail| mail.to = "carol@corp.example".into());
        site.scan(&other).check(&[], &["CAL_RATE_RCPT"]);
        site.scan(&mail(6, START + 2 * HOUR)).check(&[], &["CAL_RATE_RCPT"]);
    });
}

#[test]
fn what_is_not_to_be_remembered_is_not() {
    each(&limits(), |site| {
        let mail = invitation(1, ANN, BOB, START);
        for word in ["Log: no\r\n", "Flags: no_stat\r\n"] {
            for _ in 0..10 {
                let headers = mail.headers() + word;
                let reply = site.service.post("/checkv2", &headers, &mail.text()).json();
                assert!(reply["calendar"]["provenance"]["record"].is_null());
                assert!(reply["symbols"].get("CAL_FIRST_CONTACT").is_some(), "{reply}");
            }
        }
        let answer = site.scan(&mail);
        answer.check(&["CAL_FIRST_CONTACT"], &["CAL_RATE_SENDER"]);
        assert!(answer.0["calendar"]["provenance"]["record"].is_string());
    });
}

#[test]
fn one_uid_many_organizers() {
    each(&Settings::default(), |site| {
        let mail = |number: usize| {
            invitation(1, ANN, &format!("u{number}@corp{number}.example"), START)
                .sent_by(&format!("x@host{number}.example"))
                .with(|mail| mail.organizer = format!("x@host{number}.example"))
        };
        site.scan(&mail(1)).check(&[], &["CAL_UID_REUSE"]);
        site.scan(&mail(2)).check(&[], &["CAL_UID_REUSE"]);
        site.scan(&mail(2)).check(&[], &["CAL_UID_REUSE"]);
        site.scan(&mail(3)).check(&["CAL_UID_REUSE"], &[]);
    });
}

/// A scam of one campaign; names, numbers and some words differ.
fn scam(number: usize, at: i64) -> Mail {
    let names = ["Miller", "Okafor", "Tanaka", "Schmidt", "Rossi", "Novak"];
    let greetings = ["Dear customer", "Hello", "Good day", "Dear member"];
    let name = names[number % names.len()];
    let organizer = format!("billing@tenant{number}.example");
    invitation(number, &organizer, &format!("victim{number}@corp.example"), at).with(|mail| {
        mail.summary = format!("Renewal notice {}", 4_000 + number * 37);
        mail.description = format!(
            "{} {name}\\, the yearly protection plan of your computer has been renewed by our \
             billing department and ${}.99 was charged to the account that you keep with us. If \
             you did not order this renewal or if you want to have the money refunded\\, please \
             contact the cancellation desk within twenty four hours at once so that an agent can \
             undo the payment before it is final. Order {}.",
            greetings[number % greetings.len()],
            300 + number * 11,
            90_000 + number * 7,
        );
    })
}

#[test]
fn a_campaign_is_seen_by_the_fourth_recipient() {
    each(&Settings::default(), |site| {
        for number in 0..12 {
            let answer = site.scan(&scam(number, START + i64::try_from(number).unwrap() * HOUR));
            if number < 3 {
                answer.check(&[], &["CAL_CAMPAIGN"]);
            } else {
                answer.check(&["CAL_CAMPAIGN"], &[]);
            }
        }
        // Long after, it is new again.
        site.scan(&scam(13, START + 40 * DAY)).check(&[], &["CAL_CAMPAIGN"]);
    });
}

#[test]
fn twelve_different_meetings_are_no_campaign() {
    const TEXTS: [&str; 12] = [
        "We go through the open points of the tender for the new bridge and agree on who answers which question of the city before the end of the month.",
        "The choir rehearses the second part of the oratorio\\, please bring a pencil and the marked scores and be there ten minutes early for warming up.",
        "Interview with the second candidate for the post in the laboratory; her papers are in the shared folder and I have added some questions of mine.",
        "Annual check of the fire extinguishers on all floors\\, somebody has to open the archive in the basement for the technician around noon.",
        "Parents and teachers talk about the trip to the sea in June\\, about the costs and about who can come along with the younger children.",
        "Design review of the valve housing: tolerances\\, the new supplier's samples\\, and what the last pressure tests in the hall have told us.",
        "Lunch with the visitors from the sister company\\, afterwards a walk through the old town and a look at the exhibition in the museum.",
        "Retrospective of the release: what went well in the migration\\, what kept us up at night\\, and what we shall do in another way next time.",
        "The gardeners meet at the northern gate to plant the hedges; tools are there\\, gloves and boots you have to bring along yourselves.",
        "Monthly accounts: receipts of the travels\\, the open invoice of the printer\\, and the question of the reserve for the roof repair.",
        "First aid course for beginners\\, second evening\\, with bandages\\, recovery position and the defibrillator in the entrance hall.",
        "Reading group about the third chapter; whoever wants to can prepare two questions on the narrator and send them to me before Thursday.",
    ];
    each(&Settings::default(), |site| {
        for (number, text) in TEXTS.iter().enumerate() {
            for person in 0..4 {
                let organizer = format!("host@house{number}.example");
                let to = format!("guest{number}x{person}@corp.example");
                let mail = invitation(number, &organizer, &to, START)
                    .with(|mail| (*text).clone_into(&mut mail.description));
                site.scan(&mail).check(&[], &["CAL_CAMPAIGN"]);
            }
        }
    });
}

#[test]
fn a_webinar_has_one_organizer() {
    each(&Settings::default(), |site| {
        for number in 0..10 {
            let to = format!("guest{number}@corp.example");
            let mail = scam(1, START).with(|mail| {
                mail.to = to;
                mail.id = format!("webinar-{number}");
            });
            site.scan(&mail).check(&[], &["CAL_CAMPAIGN", "CAL_UID_REUSE"]);
        }
    });
}

#[test]
fn reports_of_several_count_and_fade() {
    each(&Settings::default(), |site| {
        let mail = scam(1, START);
        site.scan(&mail);
        let look = |number, at| site.scan(&scam(number, at));
        for (number, user) in ["ann", "bob", "carol"].iter().enumerate() {
            look(20 + number, START + HOUR).check(&[], &["CAL_REPORTED"]);
            let user = format!("{user}@corp.example");
            site.user_reports("/learnspam", &user, &mail, START + HOUR);
        }
        look(30, START + 2 * HOUR).check(&["CAL_REPORTED"], &["CAL_REPORTED_MANY"]);
        // Half of three is not enough.
        look(31, START + 31 * DAY).check(&[], &["CAL_REPORTED"]);
        // Who says the contrary is subtracted, and who takes it back is not.
        site.user_reports("/learnham", "dan@corp.example", &mail, START + 2 * HOUR);
        look(32, START + 3 * HOUR).check(&[], &["CAL_REPORTED"]);
        site.user_reports("/learnforget", "dan@corp.example", &mail, START + 3 * HOUR);
        look(33, START + 3 * HOUR).check(&["CAL_REPORTED"], &[]);
    });
}

#[test]
fn one_user_alone_has_no_effect() {
    each(&Settings::default(), |site| {
        let mail = scam(1, START);
        site.scan(&mail);
        for number in 0..30 {
            let mail = scam(number, START + HOUR);
            site.scan(&mail);
            site.user_reports("/learnspam", "eve@corp.example", &mail, START + HOUR);
        }
        site.scan(&scam(40, START + 2 * HOUR)).check(&[], &["CAL_REPORTED"]);
        // The administrator weighs as much as three.
        let headers = format!("Password: x\r\nReceived-At: {}\r\n{}", START + HOUR, mail.result());
        let headers = headers.replace("Rcpt", "X-Rcpt");
        assert_eq!(site.report("/learnspam", &headers, &mail.text()), 1);
        site.scan(&scam(41, START + 2 * HOUR)).check(&["CAL_REPORTED"], &[]);
    });
}

#[test]
fn a_report_does_not_hit_whoever_is_only_named() {
    each(&Settings::default(), |site| {
        // A good name on a bad mail.
        let forged = scam(1, START).with(|mail| {
            ANN.clone_into(&mut mail.organizer);
        });
        site.scan(&forged);
        for user in ["a@corp.example", "b@corp.example", "c@corp.example"] {
            site.user_reports("/learnspam", user, &forged, START + HOUR);
        }
        site.scan(&invitation(9, ANN, BOB, START + 2 * HOUR)).check(&[], &["CAL_REPORTED"]);
        // Somebody whose own mail it was.
        let own = invitation(10, EVE, BOB, START);
        site.scan(&own);
        for user in ["a@corp.example", "b@corp.example", "c@corp.example"] {
            site.user_reports("/learnspam", user, &own, START + HOUR);
        }
        let next = invitation(11, EVE, "carol@corp.example", START + 2 * HOUR);
        site.scan(&next).check(&["CAL_REPORTED"], &[]);
    });
}

#[test]
fn mail_that_is_gone_is_reported_by_name() {
    each(&Settings::default(), |site| {
        let mail = scam(1, START);
        site.scan(&mail);
        let at = START + 30 * DAY;
        let by = |user: &str, header: &str| {
            let headers = format!("User: {user}@corp.example\r\nReceived-At: {at}\r\n{header}\r\n");
            site.report("/learnspam", &headers, "")
        };
        assert_eq!(by("ann", &format!("Message-ID: <{}>", mail.id)), 1);
        assert_eq!(by("bob", &format!("UID: {}", mail.uid)), 1);
        let path = format!("/learnspam?message_id={}", mail.id.replace('@', "%40"));
        let headers = format!("User: carol\r\nReceived-At: {at}\r\n");
        assert_eq!(site.report(&path, &headers, ""), 1);
        assert_eq!(by("dan", "Message-ID: <nobody-knows@it.example>"), 0);
        site.scan(&mail.clone().with(|mail| mail.at = at + HOUR)).check(&["CAL_REPORTED"], &[]);
        assert_eq!(site.service.post("/learnspam", "", "").status, 400);
        assert_eq!(site.service.ask(b"GET /learnspam HTTP/1.1\r\nHost: x\r\n\r\n").status, 405);
    });
}

#[test]
fn where_it_came_from() {
    each(&Settings::default(), |site| {
        let mail = scam(1, START).with(|mail| mail.ip = Some("192.0.2.5"));
        let answer = site.scan(&mail);
        site.scan(&scam(2, START));
        let record = &answer.0["calendar"]["provenance"]["record"];
        let ask = |query: &str| {
            let request = format!(
                "GET /calendar/provenance?{query} HTTP/1.1\r\nHost: x\r\nReceived-At: {}\r\n\r\n",
                START + DAY
            );
            let reply = site.service.ask(request.as_bytes());
            assert_eq!(reply.status, 200, "{reply:?}");
            reply.json()["records"].as_array().unwrap().clone()
        };
        for query in [
            format!("message_id=%3C{}%3E", mail.id),
            format!("uid={}", mail.uid),
            format!("organizer={}", mail.organizer.to_uppercase()),
        ] {
            let found = ask(&query);
            assert_eq!(found.len(), 1, "{query}: {found:?}");
            assert_eq!(found[0]["record"], *record);
            assert_eq!(found[0]["received_at"], START);
            assert_eq!(found[0]["method"], "REQUEST");
            assert_eq!(found[0]["authentication"][0], "dkim=pass");
            assert!(found[0]["message_id"].as_str().unwrap().starts_with('#'));
            let text = found[0].to_string();
            for secret in [&*mail.organizer, &*mail.to, &*mail.uid, "192.0.2.5"] {
                assert!(!text.contains(secret), "{text}");
            }
        }
        assert!(ask("uid=nobody").is_empty());
        let reply = site.service.ask(b"GET /calendar/provenance HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(reply.status, 400);
    });
}
