//! Inline attachments and pictures: whose links count, what the limits are.

use std::time::{Duration, Instant};

use calspamd::scan::{Outcome, Request};

use crate::support::{base64, calendar, mail, repository, scan, scan_file, stock, symbols};

fn outcome(lines: &str) -> Outcome {
    let message = mail("Invitation", &calendar("REQUEST", &[lines]));
    scan(message.as_bytes(), &Request::default(), stock())
}

/// A GIF of one colour that says how large it is.
fn gif(width: u16, height: u16) -> Vec<u8> {
    let [size, frame] = [[width, height]; 2].map(|side| side.map(u16::to_le_bytes).concat());
    [
        b"GIF89a",
        &size[..],
        b"\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0",
        &frame[..],
        b"\0\x02\x02\x44\x01\0;",
    ]
    .concat()
}

fn inline(octets: &[u8]) -> String {
    let content = base64(octets).replace(['\r', '\n'], "");
    format!("ATTACH;ENCODING=BASE64;VALUE=BINARY:{content}")
}

#[test]
fn links_of_qr_codes_are_links_of_the_event() {
    let found = scan_file(&repository("tests/messages/spam/CAL_QR-second-factor.eml"));
    let urls: Vec<&str> = found.extracted.urls.iter().map(|url| url.url.as_str()).collect();
    assert_eq!(urls, ["https://files-portal.example/mfa?u=4711"]);
    let hit = found.verdict.symbols.iter().find(|symbol| &*symbol.hit.symbol == "CAL_QR");
    let shown: Vec<String> =
        hit.unwrap().hit.evidence.iter().map(|evidence| evidence.place.clone()).collect();
    assert!(shown.contains(&"VEVENT[0].ATTACH QR".to_owned()), "{shown:?}");
}

#[test]
fn pictures_of_a_calendar_are_read_for_its_first_event() {
    let text = std::fs::read_to_string(repository("tests/messages/ham/CAL_QR-link-shown-too.eml"));
    let text = text.unwrap();
    let lines = text.split_inclusive('\n').skip_while(|line| !line.starts_with("IMAGE;"));
    let folded = |(at, line): &(usize, &str)| *at == 0 || line.starts_with(' ');
    let image: String = lines.enumerate().take_while(folded).map(|(_, line)| line).collect();
    let moved = text.replace(&image, "").replace("BEGIN:VEVENT", &format!("{image}BEGIN:VEVENT"));
    let moved = moved.replace("https://meetup-hall.example/e/77 or", "with");
    let found = scan(moved.as_bytes(), &Request::default(), stock());
    assert!(symbols(&found).contains(&"CAL_QR"), "{:?}", symbols(&found));
}

#[test]
fn pictures_within_the_limits_leave_the_answer_whole() {
    // The same picture again costs nothing.
    let found = outcome(&[inline(&gif(3000, 3000)).as_str(); 50].join("\r\n"));
    assert_eq!(found.partial, [""; 0]);
}

#[track_caller]
fn check_cut(what: &str, lines: &str) {
    let start = Instant::now();
    let found = outcome(lines);
    assert_eq!(found.partial, ["limit:attachments"], "{what}");
    assert!(!found.verdict.decision.auto_insert, "{what}");
    assert!(start.elapsed() < Duration::from_secs(4), "{what}: {:?}", start.elapsed());
}

#[test]
fn what_is_over_a_limit_makes_the_answer_partial() {
    check_cut("a bomb", &inline(&gif(16_000, 16_000)));
    check_cut("a long strip", &inline(&gif(40_000, 2)));
    let large: Vec<String> = (0..5).map(|n| inline(&gif(3000, 2999 - n))).collect();
    check_cut("many large pictures", &large.join("\r\n"));
    let small: Vec<String> = (0..1_200).map(|n| inline(&gif(30, 30 + n))).collect();
    check_cut("very many pictures", &small.join("\r\n"));
    check_cut("very many files", &vec![inline(b"Agenda: one word"); 6_000].join("\r\n"));
}
