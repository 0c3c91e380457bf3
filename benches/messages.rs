//! The three messages that are measured: a small one, a typical one of 50 KB and a hostile
//! one. They are built here, so that every clone measures the same bytes.

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
        Sample { name: "small", bytes: small().into_bytes() },
        Sample { name: "typical", bytes: typical().into_bytes() },
        Sample { name: "hostile", bytes: hostile().into_bytes() },
    ]
}

const HEAD: &str = "Received: from mail.corp.test (mail.corp.test [192.0.2.10]) by mx.dest.test with ESMTPS id 4; Fri, 20 Nov 2026 09:00:01 +0000\r\n\
From: Ann Example <ann@corp.test>\r\nTo: Vic Tim <vic@dest.test>\r\nSubject: Invitation: Quarterly planning\r\n\
Date: Fri, 20 Nov 2026 09:00:00 +0000\r\nMessage-ID: <plan-4@corp.test>\r\nMIME-Version: 1.0\r\n";

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

/// An invitation as a calendar product writes it: a time zone, guests, agenda, one alarm.
fn calendar(guests: usize, paragraphs: usize) -> String {
    let mut out = String::from(
        "BEGIN:VCALENDAR\r\nPRODID:-//Corp Test//Planner 4.2//EN\r\nVERSION:2.0\r\nCALSCALE:GREGORIAN\r\nMETHOD:REQUEST\r\n\
BEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\nBEGIN:DAYLIGHT\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200\r\nTZNAME:CEST\r\nDTSTART:19700329T020000\r\nRRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\r\nEND:DAYLIGHT\r\n\
BEGIN:STANDARD\r\nTZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\nTZNAME:CET\r\nDTSTART:19701025T030000\r\nRRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n\
BEGIN:VEVENT\r\nDTSTART;TZID=Europe/Berlin:20261203T100000\r\nDTEND;TZID=Europe/Berlin:20261203T113000\r\nRRULE:FREQ=WEEKLY;COUNT=12;BYDAY=TH\r\nDTSTAMP:20261120T085900Z\r\n\
ORGANIZER;CN=Ann Example:mailto:ann@corp.test\r\nUID:6b0d7a52-9f0c-4d0b-8d5e-2f6f2d2b9a11\r\n",
    );
    fold(
        "ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=TRUE;CN=Vic Tim:mailto:vic@dest.test",
        &mut out,
    );
    for guest in 0..guests {
        fold(
            &format!(
                "ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=TRUE;CN=Guest Number {guest};X-NUM-GUESTS=0:mailto:guest{guest}@corp.test"
            ),
            &mut out,
        );
    }
    fold(&format!("DESCRIPTION:{}", agenda(paragraphs, "\\n")), &mut out);
    out.push_str("LOCATION:Room 4\\, second floor\r\nSEQUENCE:0\r\nSTATUS:CONFIRMED\r\nSUMMARY:Quarterly planning\r\nTRANSP:OPAQUE\r\nX-MICROSOFT-CDO-BUSYSTATUS:TENTATIVE\r\n\
BEGIN:VALARM\r\nACTION:DISPLAY\r\nDESCRIPTION:This is an event reminder\r\nTRIGGER:-P0DT0H15M0S\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n");
    out
}

fn agenda(paragraphs: usize, line: &str) -> String {
    let mut out = String::new();
    for n in 0..paragraphs {
        let _ = write!(
            out,
            "{n}. Please read the draft of chapter {n} before we meet and bring the open questions of your team\\, the numbers of the last quarter are at https://wiki.corp.test/planning/{n}?view=full and may change until Tuesday.{line}"
        );
    }
    out
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

fn small() -> String {
    format!(
        "{HEAD}Content-Type: text/calendar; charset=utf-8; method=REQUEST\r\n\r\n{}",
        calendar(1, 1)
    )
}

/// Text, HTML and calendar as alternatives, and the calendar once more as a file.
fn typical() -> String {
    let invite = calendar(20, 12);
    let text = agenda(12, "\r\n").replace("\\,", ",");
    let mut html = String::from(
        "<html><head><style>body{font-family:sans-serif} .row td{padding:4px}</style></head><body><div><h2>Quarterly planning</h2><table>",
    );
    for n in 0..86 {
        let _ = write!(
            html,
            "<tr class=\"row\" style=\"background-color:#ffffff;border-bottom:1px solid #dddddd\"><td align=\"left\" valign=\"top\">{n}</td><td><p style=\"margin:0;color:#222222\">Please read the draft of chapter {n} &amp; bring the <b>open questions</b>.</p></td><td><a href=\"https://wiki.corp.test/planning/{n}?view=full&amp;from=mail\">chapter {n}</a></td></tr>\r\n"
        );
    }
    html.push_str("</table></div></body></html>\r\n");
    format!(
        "{HEAD}Content-Type: multipart/mixed; boundary=\"mixed\"\r\n\r\n--mixed\r\nContent-Type: multipart/alternative; boundary=\"alt\"\r\n\r\n\
--alt\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n\
--alt\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{html}\r\n\
--alt\r\nContent-Type: text/calendar; charset=utf-8; method=REQUEST\r\nContent-Transfer-Encoding: base64\r\n\r\n{calendar}\
--alt--\r\n--mixed\r\nContent-Type: application/ics; name=\"invite.ics\"\r\nContent-Disposition: attachment; filename=\"invite.ics\"\r\nContent-Transfer-Encoding: base64\r\n\r\n{calendar}--mixed--\r\n",
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
    format!("{HEAD}Content-Type: text/calendar; charset=utf-8; method=REQUEST\r\n\r\n{out}")
}
