//! What selectors select.

use super::*;
use crate::calendar::Reading;
use crate::facts::Links;
use crate::message::{Envelope, Header, Message};

#[track_caller]
fn check(selector: &str, headers: &[(&str, &str)], expected: Option<&str>) {
    let message = Message {
        headers: headers
            .iter()
            .map(|(name, raw)| Header { name: (*name).into(), raw: raw.as_bytes().into() })
            .collect(),
        ..Message::default()
    };
    let (reading, envelope) = (Reading::default(), Envelope::default());
    let facts =
        super::super::evaluate::tests::facts(&message, &reading, &envelope, Links::default());
    let networks = Networks::default();
    let selector = Selector::read(selector, "unset").unwrap();
    assert_eq!(
        String::from_utf8(selector.value(&facts, &networks)).unwrap(),
        expected.unwrap_or("unset"),
        "{selector:?}"
    );
    assert_eq!(selector.exists(&facts, &networks), expected.is_some());
}

#[test]
fn values_as_a_regex_sees_them() {
    let received = [("Received", " one\r\n"), ("X", " \r\n"), ("received", " two\r\n\tx\r\n")];
    check("Received:raw", &received, Some(" one\n two\n\tx\n"));
    check("RECEIVED:raw:first", &received, Some(" one\n"));
    check("Received:raw:last", &received, Some(" two\n\tx\n"));
    check("Received", &received, Some("one\ntwo x\n"));
    check("X:raw", &received, Some(" \n"));
    check("X", &received, Some("\n"));
    check("Subject", &received, None);
    check("ALL", &received, Some("Received: one\nX: \nreceived: two x\n"));
    check("ALL:raw", &received, Some("Received: one\r\nX: \r\nreceived: two\r\n\tx\r\n\r\n"));
    check("all", &received, None);
}

#[test]
fn mailboxes() {
    let mail = [
        ("To", " \"Doe, J\" <j@a.example>, b@b.example\r\n"),
        ("Cc", " c@c.example (Cee)\r\n"),
        ("From", " '=?utf-8?q?J=C3=BC?=' <J@A.example>\r\n"),
        ("Message-ID", " <1@a>\r\n"),
        ("X-Message-ID", " <2@a>\r\n"),
        ("Return-Path", " <r@a.example>\r\n"),
    ];
    check("To:addr", &mail, Some("j@a.example\nb@b.example"));
    check("To:addr:last", &mail, Some("j@a.example\nb@b.example"));
    check("To:name", &mail, Some("Doe, J"));
    check("ToCc:addr", &mail, Some("j@a.example\nb@b.example\nc@c.example"));
    check("tocc:addr:last", &mail, Some("c@c.example"));
    check("ToCc:addr:host", &mail, Some("a.example\nb.example\nc.example"));
    check("Cc:name", &mail, Some("Cee"));
    check("From:name", &mail, Some("Jü"));
    check("From:name:raw", &mail, Some("'=?utf-8?q?J=C3=BC?=' "));
    check("From:addr", &mail, Some("J@A.example"));
    check("MESSAGEID", &mail, Some("<2@a>\n<1@a>\n"));
    check("MESSAGEID:raw", &mail, Some(" <2@a>\n <1@a>\n"));
    check("EnvelopeFrom", &mail, Some("r@a.example"));
    check("envelopefrom:domain", &mail, None);
    check("Bcc:addr", &mail, None);
    check("Message-ID:addr", &mail, Some("1@a"));
}

#[test]
fn hosts_and_addresses() {
    let fields = [
        ("X", " mail from www.shop.example-store.co.uk (see a@b.com) \r\n"),
        ("Y", " at www.shop.co.uk. or www.shop.co.uk now\r\n"),
        ("Ip", " [192.0.2.7] 192.0.2.8\r\n"),
        ("Six", " IPv6:2001:db8::1 x\r\n"),
        ("Six-Alone", " 2001:db8::1\r\n"),
    ];
    check("X:host", &fields, Some("b.com"));
    check("Y:host", &fields, Some("www.shop.co.uk"));
    check("Y:domain", &fields, Some("shop.co.uk"));
    check("Y:ip", &fields, None);
    check("Ip:ip", &fields, Some("192.0.2.7"));
    check("Ip:revip", &fields, Some("7.2.0.192"));
    check("Ip:host", &fields, None);
    check("Six:ip", &fields, Some("IPv6:2001:db8::1"));
    check(
        "Six-Alone:revip",
        &fields,
        Some("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"),
    );
}

#[test]
fn hops_and_the_fields_they_added() {
    let hop = |ip: &str| format!(" from h (r.example [{ip}]) by m (Postfix) with ESMTP id 123\n");
    let (inner, outer) = (hop("10.0.0.1"), hop("192.0.2.1"));
    let fields =
        [("A", "1\n"), ("Received", &*inner), ("B", "2\n"), ("Received", &outer), ("C", "3\n")];
    let above =
        format!("A: 1\nReceived: {}B: 2\nReceived: {}", inner.trim_start(), outer.trim_start());
    check("ALL-TRUSTED", &fields, Some(&above));
    check("ALL-INTERNAL", &fields, Some(&above));
    check("ALL-EXTERNAL", &fields, Some(&format!("Received: {}C: 3\n", outer.trim_start())));
    check("ALL-UNTRUSTED:raw", &fields, Some(&format!("Received:{outer}C:3\n")));
    let text = |ip: &str, intl| {
        format!(
            "[ ip={ip} rdns=r.example helo=h by=m ident= envfrom= intl={intl} id=123 auth= msa=0 ]"
        )
    };
    check("X-Spam-Relays-Trusted", &fields, Some(&text("10.0.0.1", 1)));
    check("x-spam-relays-External", &fields, Some(&text("192.0.2.1", 0)));
    check("X-Spam-Relays-External", &[], Some(""));
    check("ALL-UNTRUSTED", &[("A", "1\n")], None);
    check("ALL-TRUSTED", &[("A", "1\n")], Some("A: 1\n"));
}

#[test]
fn what_cannot_be_selected() {
    #[track_caller]
    fn check(text: &str, expected: &Refused) {
        assert_eq!(&Selector::read(text, "").unwrap_err(), expected);
    }
    let unknown = |text: &str| Refused::Unknown(text.to_owned());
    check("From:adr", &unknown("unknown header modifier `adr`"));
    check(":addr", &unknown("`:addr` is not a header"));
}
