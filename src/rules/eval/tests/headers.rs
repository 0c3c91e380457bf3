use super::{check, check_with};

#[test]
fn who_is_named() {
    check("check_for_missing_to_header()", "Subject: x", true);
    check("check_for_missing_to_header()", "To:", false);
    check("check_for_missing_to_header()", "Apparently-To: a@example.com", false);
    let same = "Return-Path: <Bob@example.com>\nFrom: bob@example.com";
    check("check_for_matching_env_and_hdr_from()", same, true);
    check("check_for_matching_env_and_hdr_from()", "From: bob@example.com", false);
    let other = "Return-Path: <b@mail.example.net>\nFrom: bob@example.com";
    check("check_equal_from_domains()", other, true);
    let below = "Return-Path: <b@mail.example.com>\nFrom: bob@example.com";
    check("check_equal_from_domains()", below, false);
    check("check_equal_from_domains()", "From: bob@example.com", false);
}

#[test]
fn counts() {
    let two = "Subject: a\nSubject: b\nX: 1\nX: 1";
    check("check_header_count_range('Subject','2','9')", two, true);
    check("check_header_count_range('Subject','3','9')", two, false);
    check("check_header_count_range('X','2','9')", two, false);
}

#[test]
fn letters_that_should_be_encoded() {
    let call = "check_illegal_chars('Subject','0.00','2')";
    check(call, "Subject: caf\u{e9} cr\u{e8}me", false);
    check(call, "Subject: caf\u{e9}\u{1}", true);
    check(call, "Subject: a\u{1}\u{2}", true);
    check(call, "Subject: a\u{1}", false);
    check(call, "X: a\u{1}\u{2}", false);
    check("check_illegal_chars('Subject','0.5','2')", "Subject: abcdefgh\u{1}\u{2}", false);
}

#[test]
fn mass_mailers() {
    check("check_unresolved_template()", "X-Foo: %RND_WORD", true);
    check("check_unresolved_template()", "Subject: %RND_WORD", false);
    check("check_unresolved_template()", "X-Foo: 50%R", false);
    let id = "Message-ID: <ABCDEFGHIJKLMNOPQRSTUVWXYZAB.bob@example.com>\nFrom: ";
    check("check_ratware_name_id()", &format!("{id}\"B\" <bob@example.com>"), true);
    check("check_ratware_name_id()", &format!("{id}B <bob@example.com>"), false);
    check("check_ratware_name_id()", &format!("{id}\"B\" <rob@example.com>"), false);
    let to = "To: lena@mail.example.org\nReturn-Path: ";
    check("check_ratware_envelope_from()", &format!("{to}<example.org=lena@a.com>"), true);
    check("check_ratware_envelope_from()", &format!("{to}<SRS0=example.org=lena@a.com>"), false);
    check("check_ratware_envelope_from()", &format!("{to}<lena@a.com>"), false);
}

#[test]
fn subjects() {
    let user = |subject: &str, expected: bool| {
        let mail = format!("To: lena@example.org\nSubject: {subject}");
        check("check_for_to_in_subject('user')", &mail, expected);
    };
    user("lena, look", true);
    user("Lena, look", false);
    user("LENA", true);
    user("re: hi lena", true);
    user("re: hi there lena", false);
    user(", lena!", true);
    user("lena hi", false);
    let address = |subject: &str, expected: bool| {
        let mail = format!("To: lena@example.org\nSubject: {subject}");
        check("check_for_to_in_subject('address')", &mail, expected);
    };
    address("for Lena@example.org!", true);
    address("for xlena@example.org!", false);
    let caps = |subject: &str, expected: bool| {
        check("subject_is_all_caps()", &format!("Subject: {subject}"), expected);
    };
    caps("BUY THIS NOW", true);
    caps("Re: fwd: BUY THIS NOW", true);
    caps("BUY THIs NOW", false);
    caps("BUYTHISNOW", false);
    caps("BUY IT NO", false);
    caps("123 456 789", false);
    caps("=?koi8-r?Q?BUY_THIS_NOW?=", false);
    check("check_for_unique_subject_id()", "Subject: x      abc123", false);
}

#[test]
fn charsets() {
    let call = "check_for_faraway_charset_in_headers()";
    check_with("ok_locales en", call, "Subject: =?gb2312?B?xOO6ww==?= x", true);
    check_with("ok_locales zh", call, "Subject: =?gb2312?B?xOO6ww==?= x", false);
    check_with("ok_locales en", call, "Subject: =?utf-8?Q?a?=", false);
    check_with("ok_locales en", call, "Subject: =?utf-8?Q?a?= =?big5?Q?b?=", true);
    check_with("ok_locales en", call, "Subject: =?big5?Q?never closed", false);
    check(call, "Subject: =?big5?Q?b?=", false);
}

#[test]
fn recipients() {
    let to = |count: usize| {
        let all: Vec<String> = (0..count).map(|i| format!("u{i}@example.org")).collect();
        format!("To: {}", all.join(", "))
    };
    check("sorted_recipients()", &to(7), true);
    check("sorted_recipients()", &to(6), false);
    check("sorted_recipients()", &format!("{}, a@example.org", to(7)), false);
    check("similar_recipients('0.9','undef')", &to(5), false);
    let alike: Vec<String> = (0..5).map(|i| format!("uu{i}@example.org")).collect();
    let alike = format!("To: {}", alike.join(", "));
    check("similar_recipients('0.9','undef')", &alike, true);
    check("similar_recipients('undef','1')", &alike, false);
    check("similar_recipients('0.1','undef')", "To: uu1@a.org, uu2@a.org", false);
}
