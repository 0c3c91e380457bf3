//! How a stored message once came: when, and what its delivery left of the envelope.
//!
//! Comes in: a message. Goes out: the request that a mail system would have made for it.
//! Not an error: a message that says nothing of it.
//!
//! An event is past or near only on the day of its mail, so old mail is judged by that day.
//! The topmost Received field is the own server's and tells it; Date is the sender's word and
//! comes second. A calendar with no mail around it has only the DTSTAMPs of its events.

use crate::calendar;
use crate::message::{self, Envelope, Header, Message};
use crate::scan::{Request, Settings};

/// Recipients taken from fields.
const RECIPIENTS: usize = 100;

/// Which time a scan takes for now; seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// This one.
    At(i64),
    /// The message's own; where it has none, this one.
    Mail(i64),
}

impl Clock {
    /// The time for a message.
    pub fn time(self, message: &Message<'_>, settings: &Settings) -> i64 {
        match self {
            Self::At(time) => time,
            Self::Mail(otherwise) => sent(message, settings).unwrap_or(otherwise),
        }
    }
}

/// When a message came: its topmost Received field, else its Date, else its newest DTSTAMP.
fn sent(message: &Message<'_>, settings: &Settings) -> Option<i64> {
    let stamp = || {
        let reading = calendar::read(message, &settings.calendar, &|| false);
        reading.events.iter().filter_map(|event| event.dtstamp).max()
    };
    message.received.or(message.date).or_else(stamp)
}

/// The request for a stored message.
pub fn request(bytes: &[u8], bare: bool, clock: Clock, settings: &Settings) -> Request {
    let message = message::parse(bytes, bare, &Envelope::default(), &settings.message);
    let envelope = envelope(&message);
    Request { bare, now: clock.time(&message, settings), envelope, ..Request::default() }
}

/// Recipients that the last server wrote above its Received field. What stands below came with
/// the mail, and anybody can have written it.
fn envelope(message: &Message<'_>) -> Envelope {
    let is_received = |header: &Header<'_>| header.name.eq_ignore_ascii_case("Received");
    let Some(end) = message.headers.iter().position(is_received) else {
        return Envelope::default();
    };
    let added = message.headers.get(..end).unwrap_or_default();
    // X-Original-To has the address before aliases, which is the one of the envelope.
    let mut recipients = addresses(added, "X-Original-To");
    if recipients.is_empty() {
        recipients = addresses(added, "Delivered-To");
    }
    Envelope { recipients, ..Envelope::default() }
}

fn addresses(headers: &[Header<'_>], name: &str) -> Vec<String> {
    let fields = headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
    let values = fields.take(RECIPIENTS).map(Header::decoded);
    let bare = values.map(|value| value.trim_matches(['<', '>']).to_owned());
    bare.filter(|address| address.contains('@')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECEIVED: &str = "Received: from a.example by b.example with ESMTP id 1;\r\n\
                            \tFri, 20 Nov 2026 10:00:30 +0000\r\n";
    const DATE: &str = "Date: Sat, 21 Nov 2026 10:00:00 +0000\r\n";
    const CALENDAR: &str = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTAMP:20261122T100000Z\r\n\
        DTSTART:20261123T100000Z\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nDTSTAMP:20261119T100000Z\r\n\
        DTSTART:20261123T100000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

    #[track_caller]
    fn check(fields: &str, clock: Clock, expected: i64) {
        let mail = if fields.is_empty() {
            CALENDAR.to_owned()
        } else {
            format!("{fields}Content-Type: text/calendar\r\n\r\n{CALENDAR}")
        };
        let request = request(mail.as_bytes(), false, clock, &Settings::default());
        assert_eq!(request.now, expected, "{mail}");
    }

    #[test]
    fn a_message_is_judged_on_the_day_it_came() {
        let second = "Received: by c.example; Thu, 19 Nov 2026 09:00:00 +0000\r\n";
        check(&format!("{RECEIVED}{second}{DATE}"), Clock::Mail(7), 1_795_168_830);
        check(DATE, Clock::Mail(7), 1_795_255_200);
        check(&format!("Received: by a.example\r\n{DATE}"), Clock::Mail(7), 1_795_255_200);
        check(&format!("Received: by a.example; today\r\n{DATE}"), Clock::Mail(7), 1_795_255_200);
        check("Subject: x\r\n", Clock::Mail(7), 1_795_341_600);
        check("", Clock::Mail(7), 1_795_341_600);
        check(&format!("{RECEIVED}{DATE}"), Clock::At(5), 5);
        let request = request(b"Subject: x\r\n\r\n", false, Clock::Mail(7), &Settings::default());
        assert_eq!(request.now, 7);
    }

    #[test]
    fn recipients_are_believed_above_the_topmost_received_field_only() {
        #[track_caller]
        fn check(fields: &str, expected: &[&str]) {
            let mail = format!("{fields}Subject: x\r\n\r\nx\r\n");
            let request = request(mail.as_bytes(), false, Clock::At(0), &Settings::default());
            assert_eq!(request.envelope.recipients, expected, "{fields}");
        }
        let to = "Delivered-To: bob@rcpt.example\r\n";
        check(&format!("{to}{RECEIVED}"), &["bob@rcpt.example"]);
        check(&format!("X-Original-To: <b@rcpt.example>\r\n{to}{RECEIVED}"), &["b@rcpt.example"]);
        check(&format!("{RECEIVED}{to}"), &[]);
        check(to, &[]);
        check(&format!("Delivered-To: mailing list x\r\n{RECEIVED}"), &[]);
    }
}
