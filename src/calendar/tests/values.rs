//! Values: text exactly as a calendar shows it, links as written, inline content.

use super::*;
use crate::calendar::Value;

fn check(line: &str, expected: &str) {
    for end in ["\r\n", "\n", "\r"] {
        let text = calendar(line).replace("\r\n", "\n").replace('\n', end);
        let reading = read_text(&text);
        let property = reading.events[0].properties.first();
        assert_eq!(property.and_then(|property| property.text()), Some(expected), "{text:?}");
    }
}

#[test]
fn text_is_unfolded_and_unescaped() {
    check("SUMMARY:plain", "plain");
    check("SUMMARY: leading and trailing ", " leading and trailing ");
    check("SUMMARY:", "");
    check(r"SUMMARY:a\nb\Nc\,d\;e\\f", "a\nb\nc,d;e\\f");
    check(r"SUMMARY:C:\\new", r"C:\new");
    check("SUMMARY:one\r\n  two\r\n\tthree", "one twothree");
    check("SUMMARY:\u{1f600}\r\n \u{1f600}", "\u{1f600}\u{1f600}");
    check("SUMMARY:\r\n a\r\n b", "ab");
    check("SUMMARY:tab\there", "tab\there");
    check("SUMMARY:cut\\\r\n nhere", "cut\nhere");
    check("SUMMARY:cut\\\r\n \r\n nhere", "cut\nhere");
    check("SUMMARY:end\\", "end\\");
    check("SUMMARY:end\\\\", "end\\");
    check("SUMMARY:\\", "\\");
    check("SUMM\r\n ARY:folded name", "folded name");
    check("summary;language=de:x", "x");
    check("SUMMARY:\"quoted\": yes, yes; yes", "\"quoted\": yes, yes; yes");
    check(r#"X-ALT-DESC;FMTTYPE=text/html:<p style="a;b\;c">x</p>"#, "<p style=\"a;b;c\">x</p>");
    check("X-ANYTHING:http://example.com/a,b;c", "http://example.com/a,b;c");
    check("NOTE;ENCODING=QUOTED-PRINTABLE;CHARSET=UTF-8:gr=C3=BCn=\r\nes", "gr\u{fc}nes");
}

#[test]
fn lists_become_properties() {
    let event = event("CATEGORIES:a\\,b,c\r\nRESOURCES:d,e\r\nCATEGORIES;LANGUAGE=de:f");
    let found: Vec<_> =
        event.properties.iter().map(|p| (p.name.as_ref(), p.text().unwrap())).collect();
    let expected = [
        ("CATEGORIES", "a,b"),
        ("CATEGORIES", "c"),
        ("RESOURCES", "d"),
        ("RESOURCES", "e"),
        ("CATEGORIES", "f"),
    ];
    assert_eq!(found, expected);
    assert_eq!(event.properties[4].parameter("LANGUAGE"), Some("de"));
}

#[test]
fn links_stay_as_written() {
    for name in ["URL", "ATTACH", "CONFERENCE", "IMAGE", "SOURCE", "LINK", "TZURL"] {
        let event = event(&format!("{name};VALUE=URI:HTTP://Example.com/a?b=c&d=%20;e,f"));
        let expected = Value::Uri("HTTP://Example.com/a?b=c&d=%20;e,f".to_owned());
        assert_eq!(event.properties[0].value, expected, "{name}");
    }
    let event = event("X-GOOGLE-CONFERENCE:https://meet.example.com/x");
    assert!(matches!(event.properties[0].value, Value::Text(_)));
}

#[test]
fn inline_content_is_decoded() {
    let binary = |line: &str| match event(line).properties.remove(0).value {
        Value::Binary { media_type, data } => (media_type, data),
        other @ (Value::Text(_) | Value::Uri(_) | Value::Other(_)) => panic!("{line}: {other:?}"),
    };
    let html = (Some("text/html".to_owned()), b"<b>hi</b>".to_vec());
    assert_eq!(binary("ATTACH;FMTTYPE=text/html;ENCODING=BASE64;VALUE=BINARY:PGI+aGk8L2I+"), html);
    assert_eq!(binary("ATTACH;FMTTYPE=Text/HTML;ENCODING=BASE64:PGI+aGk8L2I+"), html);
    assert_eq!(binary("ATTACH:data:text/html;base64,PGI+aGk8L2I+"), html);
    let (_, data) = binary("IMAGE;VALUE=BINARY;ENCODING=BASE64:AP8A");
    assert_eq!(data, [0, 255, 0]);
}

#[test]
fn backslashes_are_kept_as_written() {
    let text = calendar("UID:1\r\nURL:\\\\host\\share\r\nX-A:\\\r\n \\x\r\nSUMMARY:a\\nb");
    let reading = read_text(&text);
    let lines = &reading.calendars[0].backslash_lines;
    let found: Vec<_> =
        lines.iter().map(|line| (line.place.as_str(), line.rest.as_str())).collect();
    assert_eq!(found, [("VEVENT[0].URL", ":\\\\host\\share"), ("VEVENT[0].X-A", ":\\\\x")]);
    assert!(lines.iter().all(|line| line.event == Some(0)));
}

#[test]
fn other_values_keep_their_text() {
    let event = event(
        "DTSTART;TZID=Europe/Berlin:20250101T100000\r\nDTEND;VALUE=DATE:20250102\r\nDTSTAMP:20250101T000000Z\r\nGEO:1.5;-2\r\nRRULE:FREQ=DAILY;INTERVAL=0\r\nPRIORITY:5\r\nDURATION:PT1H\r\nSTATUS:confirmed",
    );
    let found: Vec<_> = event
        .properties
        .iter()
        .map(|property| match &property.value {
            Value::Text(text) | Value::Uri(text) | Value::Other(text) => text.as_str(),
            Value::Binary { .. } => "binary",
        })
        .collect();
    let expected = [
        "20250101T100000",
        "20250102",
        "20250101T000000Z",
        "1.5;-2",
        "FREQ=DAILY;INTERVAL=0",
        "5",
        "PT1H",
        "CONFIRMED",
    ];
    assert_eq!(found, expected);
}
