//! The messages that are measured: a small one, a typical one of 50 KB and a hostile one; and
//! ordinary mail, small and typical ones by turns, in which everybody writes something else.
//! They are built here, so that every clone measures the same bytes.

use std::fmt::Write as _;

/// A message with its name.
pub(crate) struct Sample {
    /// `small`, `typical` or `hostile`.
    pub(crate) name: &'static str,
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
}

/// All samples.
pub(crate) fn samples() -> Vec<Sample> {
    vec![
        Sample { name: "small", bytes: small(&Letter::sample()).into_bytes() },
        Sample { name: "typical", bytes: typical(&Letter::sample()).into_bytes() },
        Sample { name: "hostile", bytes: hostile().into_bytes() },
    ]
}

/// Who invites, and to what.
struct Letter {
    name: String,
    local: String,
    house: String,
    /// In the Message-ID and the UID; of the samples, as they always were.
    number: Option<usize>,
    title: String,
}

impl Letter {
    /// The one of all samples.
    fn sample() -> Self {
        Self {
            name: "Ann Example".to_owned(),
            local: "ann".to_owned(),
            house: "corp.test".to_owned(),
            number: None,
            title: "Quarterly planning".to_owned(),
        }
    }

    /// One of many: some 2,000 people of 300 houses, and all that they say is different.
    fn ordinary(number: usize) -> Self {
        let person = number.wrapping_mul(7_919) % 2_000;
        Self {
            name: format!("Pat Person{}", word(person)),
            local: format!("person{person}"),
            house: format!("house{}.test", person % 300),
            number: Some(number),
            title: format!("{} {}", word(number * 3 + 1), word(number * 5 + 2)),
        }
    }

    fn head(&self) -> String {
        let Self { name, local, house, title, .. } = self;
        let id = self.number.unwrap_or(4);
        format!(
            "Received: from mail.{house} (mail.{house} [192.0.2.10]) by mx.dest.test with ESMTPS id 4; Fri, 20 Nov 2026 09:00:01 +0000\r\n\
From: {name} <{local}@{house}>\r\nTo: Vic Tim <vic@dest.test>\r\nSubject: Invitation: {title}\r\n\
Date: Fri, 20 Nov 2026 09:00:00 +0000\r\nMessage-ID: <plan-{id}@{house}>\r\nMIME-Version: 1.0\r\n"
        )
    }

    fn uid(&self) -> String {
        let number = self.number.map_or("6b0d7a52".to_owned(), |number| format!("{number:08x}"));
        format!("{number}-9f0c-4d0b-8d5e-2f6f2d2b9a11")
    }

    fn agenda(&self, paragraphs: usize, line: &str) -> String {
        let house = &self.house;
        let mut out = String::new();
        for n in 0..paragraphs {
            if let Some(number) = self.number {
                let _ = write!(out, "{n}.");
                for at in 0..34 {
                    let _ = write!(out, " {}", word((number * 100 + n) * 100 + at));
                }
                let _ = write!(out, " https://wiki.{house}/planning/{n}?view=full{line}");
                continue;
            }
            let _ = write!(
                out,
                "{n}. Please read the draft of chapter {n} before we meet and bring the open questions of your team\\, the numbers of the last quarter are at https://wiki.{house}/planning/{n}?view=full and may change until Tuesday.{line}"
            );
        }
        out
    }

    /// An invitation as a calendar product writes it: a time zone, guests, agenda, one alarm.
    fn calendar(&self, guests: usize, paragraphs: usize) -> String {
        let Self { name, local, house, title, .. } = self;
        let mut out = String::from(
            "BEGIN:VCALENDAR\r\nPRODID:-//Corp Test//Planner 4.2//EN\r\nVERSION:2.0\r\nCALSCALE:GREGORIAN\r\nMETHOD:REQUEST\r\n\
BEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\nBEGIN:DAYLIGHT\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200\r\nTZNAME:CEST\r\nDTSTART:19700329T020000\r\nRRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\r\nEND:DAYLIGHT\r\n\
BEGIN:STANDARD\r\nTZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\nTZNAME:CET\r\nDTSTART:19701025T030000\r\nRRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n\
BEGIN:VEVENT\r\nDTSTART;TZID=Europe/Berlin:20261203T100000\r\nDTEND;TZID=Europe/Berlin:20261203T113000\r\nRRULE:FREQ=WEEKLY;COUNT=12;BYDAY=TH\r\nDTSTAMP:20261120T085900Z\r\n",
        );
        let _ = write!(out, "ORGANIZER;CN={name}:mailto:{local}@{house}\r\nUID:{}\r\n", self.uid());
        fold(
            "ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=TRUE;CN=Vic Tim:mailto:vic@dest.test",
            &mut out,
        );
        for guest in 0..guests {
            fold(
                &format!(
                    "ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=TRUE;CN=Guest Number {guest};X-NUM-GUESTS=0:mailto:guest{guest}@{house}"
                ),
                &mut out,
            );
        }
        fold(&format!("DESCRIPTION:{}", self.agenda(paragraphs, "\\n")), &mut out);
        let _ = write!(
            out,
            "LOCATION:Room 4\\, second floor\r\nSEQUENCE:0\r\nSTATUS:CONFIRMED\r\nSUMMARY:{title}\r\nTRANSP:OPAQUE\r\nX-MICROSOFT-CDO-BUSYSTATUS:TENTATIVE\r\n\
BEGIN:VALARM\r\nACTION:DISPLAY\r\nDESCRIPTION:This is an event reminder\r\nTRIGGER:-P0DT0H15M0S\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
        );
        out
    }
}

/// One of some 30,000 made-up words; the numbers need not be near each other.
fn word(number: usize) -> String {
    const SYLLABLES: [&str; 32] = [
        "ba", "ke", "li", "mo", "nu", "ra", "se", "ti", "vo", "du", "fa", "ge", "hi", "jo", "lu",
        "ma", "ne", "pi", "ro", "su", "ta", "we", "zi", "bo", "cu", "da", "fe", "gi", "ho", "ka",
        "le", "mi",
    ];
    let mut number = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let mut out = String::new();
    for _ in 0..3 {
        out.push_str(SYLLABLES[number % SYLLABLES.len()]);
        number /= SYLLABLES.len();
    }
    out
}

/// An ordinary message, and the address of who sent it.
pub(crate) fn ordinary(number: usize, typically: bool) -> (Vec<u8>, String) {
    let letter = Letter::ordinary(number);
    let text = if typically { typical(&letter) } else { small(&letter) };
    (text.into_bytes(), format!("{}@{}", letter.local, letter.house))
}

fn fold(line: &str, out: &mut String) {
    let mut width = 0;
    for c in line.chars() {
        if width + c.len_utf8() > 74 {
            out.push_str("\r\n ");
            width = 1;
        }
        out.push(c);
        width += c.len_utf8();
    }
    out.push_str("\r\n");
}

fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for (index, chunk) in text.as_bytes().chunks(3).enumerate() {
        let bits = chunk.iter().fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let value = (bits >> (18 - 6 * place)) & 63;
            out.push(if place > chunk.len() { '=' } else { char::from(ALPHABET[value as usize]) });
        }
        if index % 19 == 18 {
            out.push_str("\r\n");
        }
    }
    out.push_str("\r\n");
    out
}

fn small(letter: &Letter) -> String {
    format!(
        "{}Content-Type: text/calendar; charset=utf-8; method=REQUEST\r\n\r\n{}",
        letter.head(),
        letter.calendar(1, 1)
    )
}

/// Text, HTML and calendar as alternatives, and the calendar once more as a file.
fn typical(letter: &Letter) -> String {
    let Letter { house, title, .. } = letter;
    let invite = letter.calendar(20, 12);
    let text = letter.agenda(12, "\r\n").replace("\\,", ",");
    let mut html = format!(
        "<html><head><style>body{{font-family:sans-serif}} .row td{{padding:4px}}</style></head><body><div><h2>{title}</h2><table>",
    );
    for n in 0..86 {
        let _ = write!(
            html,
            "<tr class=\"row\" style=\"background-color:#ffffff;border-bottom:1px solid #dddddd\"><td align=\"left\" valign=\"top\">{n}</td><td><p style=\"margin:0;color:#222222\">Please read the draft of chapter {n} &amp; bring the <b>open questions</b>.</p></td><td><a href=\"https://wiki.{house}/planning/{n}?view=full&amp;from=mail\">chapter {n}</a></td></tr>\r\n"
        );
    }
    html.push_str("</table></div></body></html>\r\n");
    format!(
        "{head}Content-Type: multipart/mixed; boundary=\"mixed\"\r\n\r\n--mixed\r\nContent-Type: multipart/alternative; boundary=\"alt\"\r\n\r\n\
--alt\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n\
--alt\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{html}\r\n\
--alt\r\nContent-Type: text/calendar; charset=utf-8; method=REQUEST\r\nContent-Transfer-Encoding: base64\r\n\r\n{calendar}\
--alt--\r\n--mixed\r\nContent-Type: application/ics; name=\"invite.ics\"\r\nContent-Disposition: attachment; filename=\"invite.ics\"\r\nContent-Transfer-Encoding: base64\r\n\r\n{calendar}--mixed--\r\n",
        head = letter.head(),
        calendar = base64(&invite)
    )
}

/// Much of everything that costs: guests, events, markup, disguises, links, rules.
fn hostile() -> String {
    let mut out = String::from("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:REQUEST\r\n");
    for n in 0..300 {
        let _ = write!(
            out,
            "BEGIN:VEVENT\r\nUID:{n}@x.test\r\nDTSTART:20261203T100007Z\r\nRRULE:FREQ=HOURLY;BYDAY=MO,TU,WE;BYHOUR=1,2,3,4,5;BYSETPOS=1\r\nSUMMARY:P\u{430}yp\u{430}l inv\u{200b}oice {n}\r\nDESCRIPTION:<p>Call +1 (202) 555-01{:02} about $ {n}.99 <a href='https://www.google.com/url?q=https://r{n}.evil.test/'>bank.test</a></p>\r\n",
            n % 100
        );
        for guest in 0..20 {
            let _ = write!(out, "ATTENDEE;CN=\"G {guest}\":mailto:g{guest}@d{n}.test\r\n");
        }
        out.push_str("BEGIN:VALARM\r\nACTION:DISPLAY\r\nREPEAT:99\r\nEND:VALARM\r\nEND:VEVENT\r\n");
    }
    out.push_str("END:VCALENDAR\r\n");
    let head = Letter::sample().head();
    format!("{head}Content-Type: text/calendar; charset=utf-8; method=REQUEST\r\n\r\n{out}")
}
