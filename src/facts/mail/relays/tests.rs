//! Lines of Received fields and what comes of them.

use super::*;
use crate::message::Header;

fn message<'x>(fields: &[(&'static str, &'x str)]) -> Message<'x> {
    Message {
        headers: fields
            .iter()
            .map(|(name, value)| Header { name: (*name).into(), raw: value.as_bytes().into() })
            .collect(),
        ..Message::default()
    }
}

fn relays(fields: &[&str]) -> Relays {
    let fields: Vec<_> = fields.iter().map(|value| ("Received", *value)).collect();
    read(&message(&fields), &Envelope::default(), &Networks::default())
}

/// `expected`: the hop in short, `skip` or `?`.
#[track_caller]
fn check(line: &str, expected: &str) {
    let relays = relays(&[line]);
    let found = match relays.all.first() {
        Some(relay) => relay
            .to_string()
            .split(' ')
            .filter(|pair| !pair.ends_with('=') && !["[", "]", "msa=0"].contains(pair))
            .filter(|pair| !pair.starts_with("intl="))
            .collect::<Vec<_>>()
            .join(" "),
        None if relays.unparseable > 0 => "?".to_owned(),
        None => "skip".to_owned(),
    };
    assert_eq!(found, expected, "{line}");
}

#[test]
fn formats_of_mail_systems() {
    check(
        " from h.example (r.example [192.0.2.1])\r\n\tby m.example (Postfix) with ESMTPS id 4AbC\r\n\tfor <u@m.example>; Mon,  1 Jan 2024 10:00:00 +0000 (UTC)\r\n",
        "ip=192.0.2.1 rdns=r.example helo=h.example by=m.example id=4AbC",
    );
    check(
        "from h (unknown [192.0.2.1]) by m.example (Postfix) with SMTP id 12",
        "ip=192.0.2.1 helo=h by=m.example",
    );
    check(
        "from [10.0.0.5] (p.example [192.0.2.1]) (Authenticated sender: me) by m.example (Postfix) with ESMTPSA id 4AbCD",
        "ip=192.0.2.1 rdns=p.example helo=!10.0.0.5! by=m.example id=4AbCD auth=ESMTPSA",
    );
    check(
        "from h.example (IDENT:me@r.example [192.0.2.1] (may be forged)) by m.example (8.15/8.15) with ESMTP id x123",
        "ip=192.0.2.1 rdns=r.example helo=h.example by=m.example ident=me id=x123",
    );
    check(
        "from r.example ([192.0.2.1] helo=h.example ident=me) by m.example with esmtp (Exim 4.9) (envelope-from <a@b.example>) id 1abc-0001",
        "ip=192.0.2.1 rdns=r.example helo=h.example by=m.example ident=me envfrom=a@b.example id=1abc-0001",
    );
    check(
        "from [192.0.2.1] (helo=h) by m.example with esmtp (Exim 4.9) id 1abc",
        "ip=192.0.2.1 helo=h by=m.example id=1abc",
    );
    check(
        "from r.example (HELO h.example) (me@192.0.2.1) by m.example with SMTP; 1 Jan 2024 10:00:00 -0000",
        "ip=192.0.2.1 rdns=r.example helo=h.example by=m.example ident=me",
    );
    check(
        "from mail-x1.example (mail-x1.example. [2001:db8::5]) by mx.example with ESMTPS id k1si2 for <u@m.example>",
        "ip=2001:db8::5 rdns=mail-x1.example helo=mail-x1.example by=mx.example id=k1si2",
    );
    check(
        "from A.example ([fe80::1]) by B.example ([fe80::1%6]) with mapi id 15.20.7228.036; Mon, 1 Jan 2024 10:00:00 +0000",
        "ip=fe80::1 helo=A.example by=B.example",
    );
    check(
        "from A.example (2001:db8::7) by B.example (2001:db8::8) with Microsoft SMTP Server (version=TLS1_2, cipher=X) id 15.20.1.2; Mon, 1 Jan 2024 10:00:00 +0000",
        "ip=2001:db8::7 rdns=A.example helo=A.example by=B.example id=15.20.1.2",
    );
    check(
        "from [192.0.2.1] by web1.example via HTTP; Mon, 01 Jan 2024 10:00:00 PST",
        "ip=192.0.2.1 by=web1.example",
    );
    check("from x ([192.0.2.1]) by m (ecelerity", "ip=192.0.2.1 helo=x by=m");
    check(
        "FROM h.example (r.example [192.0.2.1]) BY m.example ID 4.AB ; 1 Jan 2024 10:00:00 -0400",
        "ip=192.0.2.1 rdns=r.example helo=h.example by=m.example id=4.AB",
    );
    check(
        "(from h.example [192.0.2.1]) by m.example (NAVGW 2.5) with SMTP id M2006",
        "ip=192.0.2.1 helo=h.example by=m.example id=M2006",
    );
}

#[test]
fn lines_that_tell_nothing() {
    check("by 2002:a05:1:2:b0:3 with SMTP id abc; Mon, 1 Jan 2024 10:00:00 -0800 (PST)", "skip");
    check("(qmail 123 invoked by uid 1); 1 Jan 2024 10:00:00 -0000", "skip");
    check("from a.example by b.example; Mon, 1 Jan 2024 10:00:00 +0000", "skip");
    check("from me by m.example with local (Exim 4.9) id 1abc", "skip");
    check("from a.example by b.example with ESMTP id 123", "skip");
    check("from localhost (me@localhost) by b.example (8.15/8.15) with SMTP id 123", "skip");
    check("from me@a.example by b.example id 1", "skip");
    check("from me@a.example by b.example", "?");
    check("from nowhere", "?");
    check("from", "skip");
    check("", "skip");
}

#[track_caller]
fn check_trust(networks: &[&str], fields: &[&str], expected: &str) {
    let mut known = Networks::default();
    for line in networks {
        match line.split_once(' ') {
            Some(("trusted", text)) => known.add_trusted(text).unwrap(),
            Some(("internal", text)) => known.add_internal(text).unwrap(),
            Some(("msa", text)) => known.add_msa(text).unwrap(),
            Some(_) | None => panic!("{line}"),
        }
    }
    let values: Vec<String> = fields.iter().map(|field| hop(field)).collect();
    let fields: Vec<_> = values.iter().map(|value| ("Received", value.as_str())).collect();
    let relays = read(&message(&fields), &Envelope::default(), &known);
    let found: Vec<String> = relays
        .all
        .iter()
        .map(|relay| {
            let letter = |yes, letter| if yes { letter } else { "" };
            let (trusted, internal) = (letter(relay.trusted, "t"), letter(relay.internal, "i"));
            format!("{}:{trusted}{internal}{}", relay.ip, letter(relay.msa, "m"))
        })
        .collect();
    assert_eq!(found.join(" "), expected, "{networks:?} {fields:?}");
    let text = [Zone::Trusted, Zone::Untrusted].map(|zone| relays.text(zone)).join("");
    assert_eq!(text.matches("[ ip=").count(), relays.all.len());
}

fn hop(ip: &str) -> String {
    match ip.strip_suffix('+') {
        Some(ip) => format!("from h (r.example [{ip}]) by m (Postfix) with ESMTPSA id 123"),
        None if ip == "fetch" => "from h ([10.9.9.9]) by localhost with IMAP x".to_owned(),
        None => format!("from h (r.example [{ip}]) by m (Postfix) with ESMTP id 123"),
    }
}

#[test]
fn where_trust_ends() {
    check_trust(&[], &["10.0.0.1", "192.0.2.1", "10.0.0.2"], "10.0.0.1:ti 192.0.2.1: 10.0.0.2:");
    check_trust(&[], &["192.0.2.1+", "192.0.2.2"], "192.0.2.1:ti 192.0.2.2:");
    check_trust(
        &["trusted 192.0.2.0/24"],
        &["192.0.2.1", "198.51.100.1", "192.0.2.2"],
        "192.0.2.1:ti 198.51.100.1: 192.0.2.2:",
    );
    check_trust(
        &["trusted 192.0.2.0/24", "internal 192.0.2.1"],
        &["192.0.2.1", "192.0.2.2", "192.0.2.1", "203.0.113.1"],
        "192.0.2.1:ti 192.0.2.2:t 192.0.2.1:t 203.0.113.1:",
    );
    check_trust(
        &["trusted 192.0.2.0/24", "msa 192.0.2.2"],
        &["192.0.2.1", "192.0.2.2", "203.0.113.1"],
        "192.0.2.1:ti 192.0.2.2:tim 203.0.113.1:ti",
    );
    check_trust(&["trusted 192.0.2.0/24"], &["10.0.0.1"], "10.0.0.1:");
}

#[test]
fn the_hop_of_the_envelope() {
    #[track_caller]
    fn check(ip: &str, user: Option<&str>, top: &str, expected: &str) {
        let envelope = Envelope {
            client_ip: Some(ip.parse().unwrap()),
            helo: Some("h el".to_owned()),
            hostname: Some("r.example".to_owned()),
            sender: Some("s@a.example".to_owned()),
            user: user.map(str::to_owned),
            ..Envelope::default()
        };
        let top = hop(top);
        let relays = read(&message(&[("Received", &top)]), &envelope, &Networks::default());
        let found =
            relays.all.iter().map(|r| format!("{}{}", r.ip, if r.trusted { "+" } else { "" }));
        assert_eq!(found.collect::<Vec<_>>().join(" "), expected);
    }
    check("192.0.2.1", None, "192.0.2.1", "192.0.2.1");
    check("::ffff:192.0.2.1", None, "192.0.2.1", "192.0.2.1");
    check("192.0.2.1", None, "192.0.2.2", "192.0.2.1 192.0.2.2");
    check("192.0.2.1", Some("me"), "192.0.2.2", "192.0.2.1+ 192.0.2.2");
    check("10.0.0.1", None, "192.0.2.2", "10.0.0.1+ 192.0.2.2");
}

#[test]
fn origin_fields_and_senders_told_above() {
    let relays = read(
        &message(&[
            ("Received", "from a by b (envelope-from <x@y.example>, uid 5) with qmail-scanner-1"),
            ("Received", "from h (r.example [192.0.2.1]) by m (Postfix) with ESMTP id 123"),
            ("X-Originating-IP", " [203.0.113.9]\r\n"),
        ]),
        &Envelope::default(),
        &Networks::default(),
    );
    assert_eq!(
        relays.text(Zone::Untrusted),
        "[ ip=192.0.2.1 rdns=r.example helo=h by=m ident= envfrom=x@y.example intl=0 id=123 auth= msa=0 ] \
         [ ip=203.0.113.9 rdns= helo= by= ident= envfrom= intl=0 id= auth= msa=0 ]"
    );
    assert_eq!(relays.trusted_fields, 1);
}

#[test]
fn hostile_lines() {
    let started = std::time::Instant::now();
    for piece in ["(", "a (", "[", "by ", "from ", "] by (authenticated ", "1:", "helo=", " id "] {
        let line = format!("from {}", piece.repeat(8_000 / piece.len()));
        let lines: Vec<&str> = std::iter::repeat_n(line.as_str(), 200).collect();
        relays(&lines);
    }
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}
