use super::{HOP, check, check_with};

const FREE: &str =
    "freemail_domains gmail.com hotmail.com wild*.com\nfreemail_welcomelist nice@gmail.com";

#[track_caller]
fn free(call: &str, mail: &str, expected: bool) {
    check_with(FREE, call, mail, expected);
}

#[test]
fn free_senders() {
    let from = "check_freemail_from()";
    free(from, "From: bob@gmail.com", true);
    free(from, "From: bob@wildx.com", true);
    free(from, "From: bob@wild.x.com", false);
    free(from, "From: nice@gmail.com", false);
    free(from, "From: info@gmail.com", false);
    free(from, "From: deadbeef.deadbeef@gmail.com", false);
    free(from, "From: a=b=c@gmail.com", false);
    free(from, "From: bob@example.com", false);
    check(from, "From: bob@gmail.com", false);
    free("check_freemail_from('\\d@')", "From: bob1@gmail.com", true);
    free("check_freemail_from('\\d@')", "From: bob@gmail.com", false);
    free("check_freemail_header('Reply-To')", "Reply-To: x@a.com, bob@gmail.com", true);
    free("check_freemail_header('Reply-To', '\\d@')", "Reply-To: bob@gmail.com", false);
}

#[test]
fn answers_to_free_addresses() {
    let call = "check_freemail_replyto('replyto')";
    let mail = |from: &str, reply: &str, text: &str| {
        format!("From: {from}\nReply-To: {reply}\n\n{text}\n")
    };
    free(call, &mail("bob@gmail.com", "joe@gmail.com", "Hi."), true);
    free(call, &mail("bob@gmail.com", "bob@gmail.com", "Hi."), false);
    free(call, &mail("bob@example.com", "joe@gmail.com", "Hi."), false);
    free(call, &mail("bob@example.com", "joe@gmail.com", "Write to jim@gmail.com now"), true);
    free(call, &mail("bob@example.com", "joe@example.com", "Write to jim@gmail.com now"), false);
    let bulk = format!(
        "Return-Path: <x-request@example.com>\n{}",
        mail("b@gmail.com", "j@gmail.com", "Hi")
    );
    free(call, &bulk, false);
    let reply = "check_freemail_replyto('reply')";
    free(reply, "From: bob@gmail.com\n\nWrite to jim@gmail.com now\n", true);
    free(reply, "From: bob@gmail.com\n\nWrite to bob@gmail.com now\n", false);
    free(call, "From: bob@gmail.com\n\nWrite to jim@gmail.com now\n", false);
}

#[test]
fn free_addresses_in_text() {
    let text = |text: &str, expected: bool| {
        free("check_freemail_body()", &format!("From: a@example.com\n\n{text}\n"), expected);
    };
    text("Write to joe@gmail.com please", true);
    text("Write to JOE@GMAIL.COM.", true);
    text("Write to <joe@gmail.com> please", false);
    text("On Monday joe@gmail.com wrote: hi", false);
    text("call joe@gmail.com phone: 12", true);
    text("http://foo.com/?a=joe@gmail.com end", false);
    text("a@gmail.com, b@gmail.com", true);
    text("a@gmail.com, b@gmail.com, c@gmail.com", false);
    text("x@a.com, x@b.com, x@c.com, d@gmail.com", true);
    text("x@a.com, x@b.com, x@c.com, x@d.com, d@gmail.com", false);
    text("joe@gmail.comx joe@gmail.com.au", false);
    text("joe..doe@gmail.com", true);
}

#[test]
fn names_that_are_addresses() {
    let named = |call: &str, from: &str, expected: bool| {
        let settings = "fns_add_addrlist (BANK) *@bank.example.com *@post.example.net\n\
                        fns_ignore_headers X-Ignore";
        let mail = format!("From: {from}\nTo: to@example.org\nReply-To: reply@example.net");
        check_with(settings, call, &mail, expected);
    };
    let spoof = "check_fromname_spoof()";
    named(spoof, "\"boss@firm.com\" <x@other.com>", true);
    named(spoof, "\"boss@firm.com\" <boss@firm.com>", false);
    named(spoof, "\"boss@firm.com\" <boss@firm.net>", false);
    named("check_fromname_spoof('0')", "\"boss@firm.com\" <boss@firm.net>", true);
    named("check_fromname_spoof('2')", "\"boss@firm.com\" <boss@firm.net>", true);
    named("check_fromname_domain_differ()", "\"a@m.firm.com\" <a@firm.com>", false);
    named("check_fromname_different()", "\"a@m.firm.com\" <a@firm.com>", true);
    named(spoof, "\"a@bank.example.com\" <b@post.example.net>", false);
    named("check_fromname_owners_differ()", "\"a@bank.example.com\" <b@x.com>", true);
    named(spoof, "\"Bob\" <x@other.com>", false);
    named(spoof, "\"boss@firm\" <x@other.com>", false);
    named("check_fromname_contains_email()", "\"boss@firm.com via list\" <x@other.com>", true);
    let far = "\"The boss of the whole firm, boss@firm.com, has written again\" <x@other.com>";
    named(spoof, far, false);
    named("check_fromname_contains_email()", far, true);
    named("check_fromname_equals_to()", "\"to@example.org\" <x@other.com>", true);
    named("check_fromname_equals_to()", "\"no@example.org\" <x@other.com>", false);
    named("check_fromname_equals_replyto()", "\"reply@example.net\" <x@other.com>", true);
    named(spoof, "\"boss@firm.com\" <x@other.com>\nX-Ignore: 1", false);
}

#[test]
fn listed_addresses() {
    let settings = "blocklist_from *@blocked.example.com\nblocklist_to boss@*\nwelcomelist_to \
                    *@w.example.com\nmore_spam_to more@example.com\nall_spam_to \
                    all@example.com\nenlist_addrlist (MINE) user?@example.net";
    let listed = |call: &str, mail: &str, expected: bool| {
        check_with(settings, call, mail, expected);
    };
    listed("check_from_in_blocklist()", "From: A@Blocked.example.com", true);
    listed("check_from_in_blocklist()", "X-Envelope-From: a@blocked.example.com", true);
    listed("check_from_in_blacklist()", "From: a@example.com", false);
    let resent = "From: a@blocked.example.com\nResent-From: a@example.com";
    listed("check_from_in_blocklist()", resent, false);
    listed("check_to_in_blocklist()", "Cc: boss@example.com", true);
    listed("check_to_in_blocklist()", "Cc: x@example.com", false);
    listed("check_to_in_welcomelist()", "Delivered-To: x@w.example.com", true);
    listed("check_to_in_welcomelist()", &HOP.replace("lena@example.org", "x@w.example.com"), true);
    listed("check_to_in_more_spam()", "To: more@example.com", true);
    listed("check_to_in_all_spam()", "To: more@example.com", false);
    listed("check_to_in_all_spam()", "To: all@example.com", true);
    listed("check_from_in_list('MINE')", "From: user1@example.net", true);
    listed("check_from_in_list('MINE')", "From: user12@example.net", false);
    listed("check_from_in_list('OTHER')", "From: user1@example.net", false);
    listed("check_to_in_list('MINE')", "To: user1@example.net", true);
    listed("check_replyto_in_list('MINE')", "Reply-To: user1@example.net", true);
    listed("check_replyto_in_list('MINE')", "From: user1@example.net", false);
}

#[test]
fn welcome_from_certain_hosts() {
    let settings = "welcomelist_from *@always.example.com\nwelcomelist_from_rcvd *@example.com \
                    example.com\nwelcomelist_from_rcvd *@net.example.com [198.51.100.0/24]\n\
                    welcomelist_from_rcvd *@old.example.net [198.51]\nwelcomelist_allows_relays \
                    joe@example.com\ndef_welcomelist_from_rcvd *@def.example.org example.com";
    let listed = |call: &str, from: &str, hop: &str, expected: bool| {
        check_with(settings, call, &format!("{hop}\nFrom: {from}"), expected);
    };
    let other = HOP.replace("mail.example.com", "mail.example.net").replace("198.", "203.");
    let (welcome, forged) = ("check_from_in_welcomelist()", "check_forged_in_welcomelist()");
    listed(welcome, "a@always.example.com", &other, true);
    listed(welcome, "a@example.com", HOP, true);
    listed(welcome, "a@example.com", &other, false);
    listed(forged, "a@example.com", &other, true);
    listed(forged, "a@example.com", HOP, false);
    listed(forged, "joe@example.com", &other, false);
    listed(welcome, "a@net.example.com", HOP, true);
    listed(welcome, "a@net.example.com", &other, false);
    listed(welcome, "a@old.example.net", HOP, true);
    listed(welcome, "a@example.com", "X: no hop", false);
    listed("check_from_in_default_welcomelist()", "a@def.example.org", HOP, true);
    listed("check_from_in_default_welcomelist()", "a@def.example.org", &other, false);
    listed("check_forged_in_default_welcomelist()", "a@def.example.org", &other, true);
    // What is taken back is taken back from both lists.
    let removed = format!("{settings}\nunwelcomelist_from_rcvd *@example.com");
    check_with(&removed, welcome, &format!("{HOP}\nFrom: a@example.com"), false);
}

#[test]
fn listed_hosts_and_subjects() {
    let settings = "enlist_uri_host (MINE) com !example.com\nblocklist_uri_host example.net\n\
                    welcomelist_uri_host example.org\nwelcomelist_subject hello wor?d\n\
                    blocklist_subject v*gra";
    let link = |call: &str, link: &str, expected: bool| {
        check_with(settings, call, &format!("Subject: x\n\nsee {link} now\n"), expected);
    };
    link("check_uri_host_listed('MINE')", "http://www.other.com/", true);
    link("check_uri_host_listed('MINE')", "http://www.example.com/", false);
    link("check_uri_host_listed('MINE')", "mailto:a@other.com", false);
    link("check_uri_host_in_blocklist()", "http://www.example.net/", true);
    link("check_uri_host_in_welcomelist()", "http://www.example.net/", false);
    link("check_uri_host_in_welcomelist()", "http://example.org/", true);
    let subject = |call: &str, text: &str, expected: bool| {
        check_with(settings, call, &format!("Subject: {text}"), expected);
    };
    subject("check_subject_in_welcomelist()", "Say Hello World again", true);
    subject("check_subject_in_welcomelist()", "Hello", false);
    subject("check_subject_in_blocklist()", "get v1agra now", true);
    subject("check_subject_in_blocklist()", "gra v", false);
}

#[test]
fn hops() {
    check("check_no_relays()", "From: a@example.com", true);
    check("check_no_relays()", HOP, false);
    check("check_relays_unparseable()", "Received: from nowhere with love", true);
    check("check_relays_unparseable()", HOP, false);
    check("check_all_trusted()", HOP, false);
    check_with("trusted_networks 198.51.100.0/24", "check_all_trusted()", HOP, true);
    let numeric = HOP.replace("from mail.example.com (mail.example.com ", "from 203.0.113.9 (");
    check("helo_ip_mismatch()", &numeric, true);
    check("helo_ip_mismatch()", HOP, false);
    check("check_for_numeric_helo()", &numeric, true);
    let sender = |sender: &str| format!("Return-Path: <{sender}>\n{HOP}");
    check("check_mailfrom_matches_rcvd()", &sender("a@news.example.com"), true);
    check("check_mailfrom_matches_rcvd()", &sender("a@example.net"), false);
    check("check_mailfrom_matches_rcvd()", HOP, false);
    let own = "Received: from a.example.com (a.example.com [198.51.100.7]) by b.example.com with \
               SMTP id 1; Sun, 15 Nov 2026 12:00:03 +0000\nFrom: x@example.com";
    let call = "check_for_from_domain_in_received_headers('example.com','true')";
    check(call, own, true);
    check(call, &format!("{HOP}\nFrom: x@example.com"), false);
    check(&call.replace("true", "false"), &format!("{HOP}\nFrom: x@example.com"), true);
    check(&call.replace("true", "false"), &format!("{HOP}\nFrom: x@example.net"), false);
}

#[test]
fn bounces() {
    let settings = "welcomelist_bounce_relays *.ours.example.com";
    check("have_any_bounce_relays()", "X: 1", false);
    check_with(settings, "have_any_bounce_relays()", "X: 1", true);
    let call = "check_welcomelist_bounce_relays()";
    let bounce = |text: &str, expected: bool| {
        check_with(settings, call, &format!("Subject: x\n\n{text}\n"), expected);
    };
    bounce("Received: from mx.ours.example.com (x [192.0.2.1]) by z.example", true);
    bounce("text\n> Received: from a.b.c by mx.ours.example.com\n\twith SMTP", true);
    bounce("Received: from mx.other.example.com by z.example", false);
    bounce("It was mx.ours.example.com that sent it", false);
    check(call, "Subject: x\n\nReceived: from mx.ours.example.com by z.example\n", false);
}
